//! One of the HTTP/2 connections as a channel under tonic's client. Tonic's own channel hands every call to a task
//! through a queue, so that threads may share it; a caller has one thread and pays for neither.

use crate::Failure;
use crate::h2::Connections;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tonic::body::Body;
use tower::Service;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Pending<T> = Pin<Box<dyn Future<Output = T>>>;

/// A channel is ready when its connection is open, again after a cut.
pub struct Channel {
    connections: Rc<Connections<Body>>,
    /// None: a connection of its own, which ends with its call.
    turn: Option<usize>,
    opening: Option<Pending<Result<SendRequest<Body>, Failure>>>,
    open: Option<SendRequest<Body>>,
}

/// Why a channel could not open its connection.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.text)]
pub(super) struct DialError(pub(super) Failure);

impl Channel {
    /// The channel whose turn it is.
    pub(super) fn next(connections: &Rc<Connections<Body>>) -> Self {
        Self {
            turn: connections.turn(),
            connections: connections.clone(),
            opening: None,
            open: None,
        }
    }
}

impl Clone for Channel {
    fn clone(&self) -> Self {
        Self {
            connections: self.connections.clone(),
            turn: self.turn,
            opening: None,
            open: None,
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = formatter.debug_struct("Channel");
        out.field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = Error;
    type Future = Pending<Result<Self::Response, Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.opening.is_none() {
            self.open = self.turn.and_then(|turn| self.connections.link(turn));
            if self.open.is_some() {
                return Poll::Ready(Ok(()));
            }
        }
        let (connections, turn) = (&self.connections, self.turn);
        let opening = self.opening.get_or_insert_with(|| {
            let connections = connections.clone();
            Box::pin(async move {
                match turn {
                    Some(turn) => connections.at(turn).await,
                    None => connections.dial().await,
                }
            })
        });
        let opened = ready!(opening.as_mut().poll(context));
        self.opening = None;
        self.open = Some(opened.map_err(DialError)?);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut open = self.open.take().expect("called when ready");
        let answer = open.send_request(request);
        Box::pin(async move {
            let answer = answer.await;
            // A connection of the call's own ends with its last sender: not before the answer.
            drop(open);
            Ok(answer?)
        })
    }
}
