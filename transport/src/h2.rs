//! The HTTP/2 settings that rest (h2) and grpc share on both ends, so that a difference between them is never one
//! of flow control; they are printed with every result. And the connections of a caller over hyper: used in turn,
//! each carrying many calls at once. It knows no request.

use crate::gather::Gathering;
use crate::net::{Dialer, Lane, Link, closed};
use crate::{Connecting, Failure, Settings};
use http_body::Body;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::sync::Arc;

/// Streams that one connection may have open. Above any in-flight window of the suites, so that the limit is never
/// the bottleneck; hyper's server would stop at 200, tonic's at none.
pub const MAX_CONCURRENT_STREAMS: u32 = 10_000;

/// Receive window of a stream: an order of 1,000 lines as JSON (108 kB) fits nine times, so no body of the suites
/// waits for a window update. (The specification's default is 64 KiB.)
pub const STREAM_WINDOW: u32 = 1 << 20;

/// Receive window of a connection: 32 bodies in flight of half a stream window each.
pub const CONNECTION_WINDOW: u32 = 16 << 20;

/// The settings by name, for the manifest.
pub(crate) fn in_force(library_defaults: bool) -> impl Iterator<Item = (String, String)> {
    let matched = [
        (
            "h2.max_concurrent_streams",
            MAX_CONCURRENT_STREAMS.to_string(),
        ),
        ("h2.stream_window", STREAM_WINDOW.to_string()),
        ("h2.connection_window", CONNECTION_WINDOW.to_string()),
        ("h2.adaptive_window", "off".to_string()),
    ];
    matched.into_iter().map(move |(name, value)| {
        let value = if library_defaults {
            "left to the library".into()
        } else {
            value
        };
        (name.to_string(), value)
    })
}

/// N connections with prior knowledge, used in turn; or one for each call.
#[derive(Debug)]
pub(crate) struct Connections<B> {
    dialer: Arc<Dialer>,
    lanes: Vec<Lane<SendRequest<B>>>,
    next: Cell<usize>,
    library_defaults: bool,
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
    pub(crate) async fn open(dialer: Arc<Dialer>, settings: &Settings) -> Result<Self, Failure> {
        let kept = settings.connecting == Connecting::Kept;
        let lanes = if kept { settings.connections.max(1) } else { 0 };
        let connections = Self {
            dialer,
            lanes: (0..lanes).map(|_| Lane::new()).collect(),
            next: Cell::new(0),
            library_defaults: settings.library_defaults,
        };
        if !kept {
            // Whether anybody listens there is said now, not by the first call.
            drop(connections.dial().await?);
        }
        for turn in 0..connections.lanes.len() {
            connections.at(turn).await?;
        }
        Ok(connections)
    }

    /// The connection whose turn it is, opened again if it was cut; or a new one, which ends when this is dropped.
    pub(crate) async fn sender(&self) -> Result<SendRequest<B>, Failure> {
        match self.turn() {
            Some(turn) => self.at(turn).await,
            None => Box::pin(self.dial()).await,
        }
    }

    /// Which connection's turn it is; none where each call has one of its own.
    pub(crate) fn turn(&self) -> Option<usize> {
        let turn = self.next.get();
        self.next.set((turn + 1).checked_rem(self.lanes.len())?);
        Some(turn)
    }

    /// A connection, if it is open.
    pub(crate) fn link(&self, turn: usize) -> Option<SendRequest<B>> {
        self.lanes[turn].link()
    }

    /// A connection, opened again if it was cut.
    pub(crate) async fn at(&self, turn: usize) -> Result<SendRequest<B>, Failure> {
        let lane = &self.lanes[turn];
        if let Some(sender) = lane.link() {
            return Ok(sender);
        }
        lane.open(async || self.dial().await).await
    }

    /// The failure of a call whose connection broke.
    pub(crate) fn closed(&self, error: &hyper::Error) -> Failure {
        let mut failure = closed(error);
        failure.text.push_str(&self.dialer.why_ended(error));
        failure
    }

    /// A new connection, which ends with its last call.
    pub(crate) async fn dial(&self) -> Result<SendRequest<B>, Failure> {
        let stream = self.dialer.dial().await?;
        let mut builder = Builder::new(Here);
        if !self.library_defaults {
            builder
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW);
        }
        let stream = TokioIo::new(Gathering::new(stream, self.library_defaults));
        let handshake = builder.handshake(stream).await;
        let (sender, connection) = handshake.map_err(|error| closed(&error))?;
        let dialer = self.dialer.clone();
        tokio::task::spawn_local(async move {
            dialer.ended(connection.await);
            dialer.meter().lost();
        });
        Ok(sender)
    }
}

/// A caller's connection is refused with this: an empty SETTINGS frame, as every server begins, and a GOAWAY with the
/// sentence as its debug data.
pub(crate) fn goaway(text: &str) -> Vec<u8> {
    /// RFC 9113, section 7: the transport's properties do not meet the requirements.
    const INADEQUATE_SECURITY: u32 = 0xc;
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let mut frames = SETTINGS.to_vec();
    let length = (8 + text.len()) as u32;
    frames.extend_from_slice(&length.to_be_bytes()[1..]);
    // Type GOAWAY, no flags, stream 0; last stream 0.
    frames.extend_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    frames.extend_from_slice(&INADEQUATE_SECURITY.to_be_bytes());
    frames.extend_from_slice(text.as_bytes());
    frames
}
