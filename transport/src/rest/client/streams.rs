//! HTTP/2 with prior knowledge: N connections, used in turn, each carrying many calls at once.

use super::{Dialer, Exchanged, Gather, closed, now};
use crate::net::{Lane, Link};
use crate::{Failure, h2};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::rc::Rc;

#[derive(Debug)]
pub(super) struct Streams {
    dialer: Rc<Dialer>,
    lanes: Vec<Lane<Sender>>,
    next: Cell<usize>,
}

#[derive(Clone, Debug)]
struct Sender(SendRequest<Full<Bytes>>);

impl Link for Sender {
    fn is_open(&self) -> bool {
        !self.0.is_closed()
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

impl Streams {
    pub(super) async fn open(dialer: Rc<Dialer>, connections: usize) -> Result<Self, Failure> {
        let streams = Self {
            dialer,
            lanes: (0..connections).map(|_| Lane::new()).collect(),
            next: Cell::new(0),
        };
        for lane in &streams.lanes {
            streams.sender(lane).await?;
        }
        Ok(streams)
    }

    /// Carries a request on the connection whose turn it is. If this future is dropped, its stream is reset.
    pub(super) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        sent_ns: &Cell<Option<u64>>,
    ) -> Exchanged {
        let turn = self.next.get();
        self.next.set((turn + 1) % self.lanes.len());
        let mut sender = self.sender(&self.lanes[turn]).await?;
        sent_ns.set(now());
        let response = sender.0.send_request(request).await;
        let (head, mut body) = response.map_err(|error| closed(&error))?.into_parts();
        let mut gather = Gather::default();
        while let Some(frame) = body.frame().await {
            if let Ok(piece) = frame.map_err(|error| closed(&error))?.into_data() {
                gather.add(piece);
            }
        }
        Ok((head.status, gather.whole()))
    }

    async fn sender(&self, lane: &Lane<Sender>) -> Result<Sender, Failure> {
        if let Some(sender) = lane.link() {
            return Ok(sender);
        }
        let dial = async || {
            let stream = self.dialer.dial().await?;
            let handshake = Builder::new(Here)
                .initial_stream_window_size(h2::STREAM_WINDOW)
                .initial_connection_window_size(h2::CONNECTION_WINDOW)
                .handshake(TokioIo::new(stream))
                .await;
            let (sender, connection) = handshake.map_err(|error| closed(&error))?;
            let dialer = self.dialer.clone();
            tokio::task::spawn_local(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "an HTTP/2 connection was cut");
                }
                dialer.meter.lost();
            });
            Ok(Sender(sender))
        };
        lane.open(dial).await
    }
}
