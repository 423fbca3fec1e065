//! The HTTP/2 settings that rest (h2) and grpc share on both ends, so that a difference between them is never one
//! of flow control; they are printed with every result. And the connections of a caller over hyper: used in turn,
//! each carrying many calls at once. It knows no request.

use crate::Failure;
use crate::net::{Dialer, Gathering, Lane, Link, closed};
use http_body::Body;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::rc::Rc;

/// Streams that one connection may have open. Above any in-flight window of the suites, so that the limit is never
/// the bottleneck; hyper's server would stop at 200, tonic's at none.
pub const MAX_CONCURRENT_STREAMS: u32 = 10_000;

/// Receive window of a stream: an order of 1,000 lines as JSON (108 kB) fits nine times, so no body of the suites
/// waits for a window update. (The specification's default is 64 KiB.)
pub const STREAM_WINDOW: u32 = 1 << 20;

/// Receive window of a connection: 32 bodies in flight of half a stream window each.
pub const CONNECTION_WINDOW: u32 = 16 << 20;

/// The settings by name, for the manifest.
pub(crate) fn in_force() -> impl Iterator<Item = (String, String)> {
    [
        (
            "h2.max_concurrent_streams",
            MAX_CONCURRENT_STREAMS.to_string(),
        ),
        ("h2.stream_window", STREAM_WINDOW.to_string()),
        ("h2.connection_window", CONNECTION_WINDOW.to_string()),
        ("h2.adaptive_window", "off".to_string()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into_iter()
}

/// N connections with prior knowledge, used in turn.
#[derive(Debug)]
pub(crate) struct Connections<B> {
    dialer: Rc<Dialer>,
    lanes: Vec<Lane<SendRequest<B>>>,
    next: Cell<usize>,
}

impl<B> Link for SendRequest<B> {
    fn is_open(&self) -> bool {
        !self.is_closed()
    }
}

/// Runs hyper's tasks on the caller's own thread.
#[derive(Clone, Copy, Debug)]
struct Here;

impl<F: Future + 'static> Executor<F> for Here {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

impl<B> Connections<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + 'static,
{
    pub(crate) async fn open(dialer: Rc<Dialer>, connections: usize) -> Result<Self, Failure> {
        let connections = Self {
            dialer,
            lanes: (0..connections).map(|_| Lane::new()).collect(),
            next: Cell::new(0),
        };
        for lane in &connections.lanes {
            connections.on(lane).await?;
        }
        Ok(connections)
    }

    /// The connection whose turn it is, opened again if it was cut.
    pub(crate) async fn sender(&self) -> Result<SendRequest<B>, Failure> {
        let turn = self.next.get();
        self.next.set((turn + 1) % self.lanes.len());
        self.on(&self.lanes[turn]).await
    }

    async fn on(&self, lane: &Lane<SendRequest<B>>) -> Result<SendRequest<B>, Failure> {
        if let Some(sender) = lane.link() {
            return Ok(sender);
        }
        let dial = async || {
            let stream = self.dialer.dial().await?;
            let handshake = Builder::new(Here)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .handshake(TokioIo::new(Gathering::new(stream)))
                .await;
            let (sender, connection) = handshake.map_err(|error| closed(&error))?;
            let dialer = self.dialer.clone();
            tokio::task::spawn_local(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "an HTTP/2 connection was cut");
                }
                dialer.meter().lost();
            });
            Ok(sender)
        };
        lane.open(dial).await
    }
}
