//! What the transports over TCP share: dialling and binding, lanes that open again after a cut, what is counted,
//! and the desk where listeners hand requests to the service. It knows no protocol.

use crate::tls::{self, Calling, Negotiated, Stream};
use crate::{
    CallResult, Connecting, Counters, Failure, Origin, Reply, Service, Settings, Started, finish,
    start,
};
use anyhow::Context as _;
use bench_proto::Message;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// After a refused attempt, calls fail with its error for so long before the next one: an open loop would
/// otherwise dial once per call for as long as the service is away.
const REDIAL_AFTER: Duration = Duration::from_millis(10);

/// How long a stopping listener waits for peers that keep a connection open though all their work is done.
pub(crate) const CLOSING_GRACE: Duration = Duration::from_secs(2);

/// Settings in force, by name.
pub(crate) fn named<const N: usize>(settings: [(&str, String); N]) -> BTreeMap<String, String> {
    settings
        .map(|(name, value)| (name.to_string(), value))
        .into()
}

/// Opens a connection, with Nagle off unless that is left to the system.
async fn dial(target: &str, nagle_left: bool) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target).await?;
    // On loopback a port of the ephemeral range that nobody listens on can connect to itself, and that
    // connection would keep the listener from coming back.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            "nobody listens there (the port answered itself)",
        ));
    }
    if !nagle_left {
        stream.set_nodelay(true)?;
    }
    Ok(stream)
}

/// The failure of a call, or of `connect`, for want of a connection.
pub(crate) fn no_connection(name: &str, target: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure {
        by_service: false,
        name: "connect".into(),
        text: format!(
            "no {name} connection to {target}: {error}; is the service running there (bench-server serve --{name} {target})?"
        ),
    }
}

/// A failure on this side or on the way: the service said nothing.
pub(crate) fn failed_here(name: &str, text: impl Into<String>) -> CallResult {
    CallResult::Failed(Failure {
        by_service: false,
        name: name.into(),
        text: text.into(),
    })
}

/// The failure of a request whose connection broke.
pub(crate) fn closed(error: &hyper::Error) -> Failure {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    Failure {
        by_service: false,
        name: "closed".into(),
        text: format!(
            "the connection was cut before the answer: {error}{}",
            cause.unwrap_or_default()
        ),
    }
}

/// A failure that the service answered with.
pub(crate) fn failed_there(name: impl Into<String>, text: impl Into<String>) -> CallResult {
    CallResult::Failed(Failure {
        by_service: true,
        name: name.into(),
        text: text.into(),
    })
}

/// Connecting comes before the first operation: an operation's own short deadline must not make it fail on a busy machine.
const TO_CONNECT: Duration = Duration::from_secs(5);

/// Opens the first connection of a caller within its deadline, or [`TO_CONNECT`] where that is longer, so that
/// `connect` says soon what is wrong.
pub(crate) async fn within<T>(
    deadline: Duration,
    name: &str,
    target: &str,
    opening: impl Future<Output = Result<T, Failure>>,
) -> anyhow::Result<T> {
    let deadline = deadline.max(TO_CONNECT);
    match tokio::time::timeout(deadline, opening).await {
        Ok(Ok(open)) => Ok(open),
        Ok(Err(failure)) => Err(anyhow::anyhow!(failure.text)),
        Err(_) => Err(anyhow::anyhow!(
            no_connection(name, target, &format!("no answer within {deadline:?}")).text
        )),
    }
}

/// What a caller counts beside its outcomes.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    connects: AtomicU64,
    reconnects: AtomicU64,
    lost: AtomicU64,
    unknown: AtomicU64,
    shared: AtomicU64,
    /// Connections end with their calls: none of them is lost.
    short_lived: bool,
}

impl Meter {
    /// A connection is open: again, if one was lost before.
    pub(crate) fn opened(&self) {
        self.connects.fetch_add(1, Relaxed);
        let lost = |lost: u64| lost.checked_sub(1);
        if self.lost.fetch_update(Relaxed, Relaxed, lost).is_ok() {
            self.reconnects.fetch_add(1, Relaxed);
        }
    }

    /// An open connection was cut, by whomever.
    pub(crate) fn lost(&self) {
        if !self.short_lived {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    /// So many calls ended without anybody knowing what became of them.
    pub(crate) fn unknown(&self, calls: u64) {
        self.unknown.fetch_add(calls, Relaxed);
    }

    /// A request began that operations share.
    pub(crate) fn shared(&self) {
        self.shared.fetch_add(1, Relaxed);
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            connects: self.connects.load(Relaxed),
            reconnects: self.reconnects.load(Relaxed),
            unknown: self.unknown.load(Relaxed),
            shared_requests: self.shared.load(Relaxed),
            ..Counters::default()
        }
    }
}

/// Opens the connections of one caller and counts them.
#[derive(Debug)]
pub(crate) struct Dialer {
    transport: &'static str,
    target: String,
    /// The system's choice about Nagle is left as it is.
    nagle_left: bool,
    tls: Option<Calling>,
    negotiated: Mutex<Option<Negotiated>>,
    nodelay: AtomicBool,
    connecting: Connecting,
    meter: Meter,
    refused: Mutex<Option<(Instant, Failure)>>,
}

impl Dialer {
    /// For a transport that speaks this protocol (in the words of ALPN), if it has a name.
    pub(crate) fn new(
        transport: &'static str,
        settings: &Settings,
        protocol: Option<&str>,
    ) -> anyhow::Result<Self> {
        let (target, connecting) = (&settings.target, settings.connecting);
        Ok(Self {
            transport,
            target: target.clone(),
            nagle_left: false,
            tls: Calling::new(settings, tls::host_of(target), protocol)?,
            negotiated: Mutex::new(None),
            nodelay: AtomicBool::new(false),
            connecting,
            meter: Meter {
                short_lived: connecting != Connecting::Kept,
                ..Meter::default()
            },
            refused: Mutex::new(None),
        })
    }

    /// Leaves Nagle as the system has it.
    pub(crate) fn nagle_left(mut self, left: bool) -> Self {
        self.nagle_left = left;
        self
    }

    pub(crate) async fn dial(&self) -> Result<Stream, Failure> {
        if let Some(failure) = self.refused_just_now() {
            return Err(failure);
        }
        match self.connect().await {
            Ok(stream) => {
                self.meter.opened();
                Ok(stream)
            }
            Err(failure) => {
                *self.last_refusal() = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    async fn connect(&self) -> Result<Stream, Failure> {
        let stream = dial(&self.target, self.nagle_left).await;
        let stream = stream.map_err(|error| self.refused(&error))?;
        let nodelay = stream.nodelay().unwrap_or(false);
        self.nodelay.store(nodelay, Relaxed);
        let Some(calling) = &self.tls else {
            return Ok(Stream::Plain(stream));
        };
        let shaken = tls::handshake(calling, stream).await;
        let (stream, negotiated) = shaken.map_err(|error| Failure {
            by_service: false,
            name: "tls".into(),
            text: format!(
                "no {} connection over TLS to {}: {}",
                self.transport,
                self.target,
                tls::explain(&error)
            ),
        })?;
        let mut last = self
            .negotiated
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = Some(negotiated);
        Ok(Stream::Tls(stream))
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    fn refused_just_now(&self) -> Option<Failure> {
        let refusal = self.last_refusal();
        let (at, failure) = refusal.as_ref()?;
        (at.elapsed() < REDIAL_AFTER).then(|| failure.clone())
    }

    fn last_refusal(&self) -> MutexGuard<'_, Option<(Instant, Failure)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The failure of a call for want of a connection.
    pub(crate) fn refused(&self, error: &dyn std::fmt::Display) -> Failure {
        no_connection(self.transport, &self.target, error)
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// What every caller over TCP has in force; `tcp.nodelay` is what the latest socket said.
    pub(crate) fn in_force(
        &self,
        connections: usize,
        deadline: Duration,
    ) -> BTreeMap<String, String> {
        let mut settings = named([
            ("tcp.nodelay", self.nodelay.load(Relaxed).to_string()),
            ("connections", connections.to_string()),
            ("connecting", self.connecting.to_string()),
            ("deadline", format!("{deadline:?}")),
            ("compression", "off".into()),
        ]);
        let negotiated = self
            .negotiated
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        settings.extend(tls::in_force(negotiated.as_ref()));
        settings
    }
}

/// A connection that many calls share.
pub(crate) trait Link: Clone {
    /// Whether it still carries new calls.
    fn is_open(&self) -> bool;
}

/// The place of one shared connection: opened when it is first needed, and again after a cut.
#[derive(Debug)]
pub(crate) struct Lane<L> {
    link: RefCell<Option<L>>,
    dialing: tokio::sync::Mutex<()>,
}

impl<L: Link> Lane<L> {
    pub(crate) fn new() -> Self {
        Self {
            link: RefCell::new(None),
            dialing: tokio::sync::Mutex::new(()),
        }
    }

    /// The open connection, if there is one.
    pub(crate) fn link(&self) -> Option<L> {
        let link = self.link.borrow();
        link.as_ref().filter(|link| link.is_open()).cloned()
    }

    /// The open connection, or a new one; calls that come meanwhile wait for the same attempt.
    pub(crate) async fn open(
        &self,
        dial: impl AsyncFnOnce() -> Result<L, Failure>,
    ) -> Result<L, Failure> {
        let _turn = self.dialing.lock().await;
        if let Some(link) = self.link() {
            return Ok(link);
        }
        let link = dial().await?;
        self.link.replace(Some(link.clone()));
        Ok(link)
    }
}

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
