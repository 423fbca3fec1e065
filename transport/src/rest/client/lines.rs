//! HTTP/1.1: up to N connections, opened on demand, each lent to one call at a time; calls wait for one in turn. Kept
//! for the next call, or closed after each.
//! The call that holds a connection drives it: no task stands between a call and its socket.

use super::{Exchanged, Gather, now};
use crate::net::{Dialer, closed};
use crate::tls::Stream;
use crate::{Connecting, Failure, Settings, travel};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::sync::Semaphore;

/// Connections that `connect` opens at once; the others wait for their first use.
const EAGER: usize = 32;

#[derive(Debug)]
pub(super) struct Lines {
    dialer: Arc<Dialer>,
    /// One permit per connection that may exist; its queue is first come, first served.
    free: Semaphore,
    idle: RefCell<Vec<Line>>,
    kept: bool,
}

impl Lines {
    pub(super) async fn open(dialer: Arc<Dialer>, settings: &Settings) -> Result<Self, Failure> {
        let connections = settings.connections.max(1);
        let kept = settings.connecting == Connecting::Kept;
        let mut idle = Vec::with_capacity(connections);
        for _ in 0..connections.min(EAGER) {
            idle.push(Line::open(&dialer).await?);
            if !kept {
                // One was enough to know that somebody listens there.
                idle.clear();
                break;
            }
        }
        Ok(Self {
            dialer,
            free: Semaphore::new(connections),
            idle: RefCell::new(idle),
            kept,
        })
    }

    /// Carries a request on a free connection. If this future is dropped on the way, so is its connection.
    pub(super) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        deadline_ns: Option<u64>,
        sent_ns: &Cell<Option<u64>>,
    ) -> Exchanged {
        let _permit = match self.free.try_acquire() {
            Ok(permit) => permit,
            Err(_) => self.free.acquire().await.expect("never closed"),
        };
        let mut request = Some(request);
        loop {
            let mut line = match self.take_idle().await {
                Some(line) => line,
                // Boxed, as it is rare: a call then needs no room for it.
                None => Box::pin(Line::open(&self.dialer)).await?,
            };
            let Some(mut sending) = request.take() else {
                unreachable!("a request is taken back before it is sent again");
            };
            travel::say(sending.headers_mut(), deadline_ns);
            sent_ns.set(now());
            match line.exchange(sending).await {
                Ok(answer) => {
                    // Dropped otherwise, and so closed before the call ends, as the end of a client's scope does it.
                    if self.kept && line.is_open() {
                        self.idle.borrow_mut().push(line);
                    }
                    return Ok(answer);
                }
                // Nothing of it was written, so it may go on another connection.
                Err((_, Some(unsent))) => {
                    sent_ns.set(None);
                    request = Some(unsent);
                }
                Err((failure, None)) => return Err(failure),
            }
        }
    }

    /// An idle connection that the service has not closed meanwhile; the latest used comes first.
    async fn take_idle(&self) -> Option<Line> {
        poll_fn(|context| {
            while let Some(mut line) = self.idle.borrow_mut().pop() {
                // Ready means that nothing was left to do when it was put back; that the service has closed it
                // since is then noticed before anything is written.
                if !line.sender.is_ready() {
                    line.drive(context);
                }
                if line.is_open() && line.sender.is_ready() {
                    return Poll::Ready(Some(line));
                }
            }
            Poll::Ready(None)
        })
        .await
    }
}

/// One connection with what drives it.
struct Line {
    sender: SendRequest<Full<Bytes>>,
    /// None once it has ended.
    connection: Option<Box<Connection<TokioIo<Stream>, Full<Bytes>>>>,
    /// Counts the connection as lost when it goes.
    dialer: Arc<Dialer>,
}

impl fmt::Debug for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = formatter.debug_struct("Line");
        out.field("open", &self.is_open()).finish_non_exhaustive()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.dialer.meter().lost();
    }
}

impl Line {
    async fn open(dialer: &Arc<Dialer>) -> Result<Self, Failure> {
        let stream = dialer.dial().await?;
        let handshake = http1::Builder::new()
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = handshake.map_err(|error| closed(&error))?;
        Ok(Self {
            sender,
            connection: Some(Box::new(connection)),
            dialer: dialer.clone(),
        })
    }

    fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// Reads and writes what can be read and written now.
    fn drive(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && Pin::new(&mut **connection).poll(context).is_ready()
        {
            // Dropping it tells a request that was not taken up any more so.
            self.connection = None;
        }
    }

    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), (Failure, Option<Request<Full<Bytes>>>)> {
        let mut response = pin!(self.sender.try_send_request(request));
        // Response and body only move when the connection is driven, here: they need no waker of their own.
        let mut quiet = Context::from_waker(Waker::noop());
        let response: Response<Incoming> = poll_fn(|context| {
            self.drive(context);
            response.as_mut().poll(&mut quiet)
        })
        .await
        .map_err(|mut error| {
            let unsent = error.take_message();
            (closed(&error.into_error()), unsent)
        })?;
        let (head, mut body) = response.into_parts();
        let mut gather = Gather::default();
        poll_fn(|context| {
            let mut driven = false;
            loop {
                match Pin::new(&mut body).poll_frame(&mut quiet) {
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Ok(piece) = frame.into_data() {
                            gather.add(piece);
                        }
                        driven = false;
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(closed(&error))),
                    Poll::Pending if driven => return Poll::Pending,
                    Poll::Pending => {
                        self.drive(context);
                        driven = true;
                    }
                }
            }
        })
        .await
        .map_err(|failure| (failure, None))?;
        Ok((head.status, gather.whole()))
    }
}
