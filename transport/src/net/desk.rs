//! The listening end: binding, accepting, and the desk where listeners hand requests to the service.

use super::REDIAL_AFTER;
use crate::{Origin, Reply, Service, Started, finish, start};
use anyhow::Context as _;
use bench_proto::Message;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// How long a stopping listener waits for peers that keep a connection open though all their work is done.
pub(crate) const CLOSING_GRACE: Duration = Duration::from_secs(2);

/// Binds a listening socket and says where it is.
pub(crate) async fn bind(name: &str, target: &str) -> anyhow::Result<(TcpListener, String)> {
    let listener = TcpListener::bind(target).await.with_context(|| {
        format!("cannot listen for {name} at {target}: expected a free host:port of this machine")
    })?;
    let address = listener.local_addr()?.to_string();
    Ok((listener, address))
}

/// The next connection, Nagle off unless that is left to the system. Errors of `accept` are about one peer, or about descriptors that have run
/// out: neither ends the listener.
pub(crate) async fn accept(listener: &TcpListener, nagle_left: bool) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) if nagle_left || stream.set_nodelay(true).is_ok() => return stream,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(REDIAL_AFTER).await;
            }
        }
    }
}

/// How a listener says what became of Nagle on what it accepts.
pub(crate) fn nodelay_in_force(nagle_left: bool) -> String {
    if nagle_left {
        "left to the system: Nagle is on".into()
    } else {
        "on every accepted connection".into()
    }
}

/// Returns once the listener is to stop, also when its handle was dropped.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Where a listener hands requests to the service, and waits for the last of them when it stops.
#[derive(Clone, Debug)]
pub(crate) struct Desk<S> {
    service: S,
    open: TaskTracker,
}

impl<S: Service> Desk<S> {
    pub(crate) fn new(service: S) -> Self {
        Self {
            service,
            open: TaskTracker::new(),
        }
    }

    /// Starts to work on a request.
    pub(crate) async fn start(&self, message: Message, origin: Origin) -> Started<Reply> {
        start(self.handler(message, origin)).await
    }

    /// Works on a request; the work goes on if the caller of this stops waiting.
    pub(crate) async fn finish(&self, message: Message, origin: Origin) -> Reply {
        let reply = finish(self.handler(message, origin)).await;
        reply.unwrap_or_else(panicked)
    }

    /// Waits until the service hands out its catalogue.
    pub(crate) async fn catalog(&self) {
        self.service.catalog().await;
    }

    /// Counts a request that never became a message.
    pub(crate) fn rejected(&self, what: &str) {
        self.service.rejected(what);
    }

    /// Waits until every handler has ended. Nothing new may be handed in afterwards.
    pub(crate) async fn idle(&self) {
        self.open.close();
        self.open.wait().await;
    }

    fn handler(
        &self,
        message: Message,
        origin: Origin,
    ) -> impl Future<Output = Reply> + Send + 'static {
        let open = self.open.token();
        let work = self.service.handle(message, origin);
        async move {
            let reply = work.await;
            drop(open);
            reply
        }
    }
}

/// What is answered for a handler that panicked.
pub(crate) fn panicked() -> Reply {
    Reply::Failed("the order's handler panicked; the service's log says where".into())
}
