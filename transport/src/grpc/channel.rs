//! The channels under tonic's client. Matched, one is one of our HTTP/2 connections: tonic's own hands every call to a
//! task through a queue, so that threads may share it; a caller has one thread and pays for neither. Where everything is
//! left to the libraries it is tonic's own, as people deploy it.

use super::deployed;
use super::error::DialError;
use crate::h2::Connections;
use crate::net::Dialer;
use crate::{Connecting, Failure, Settings};
use http::{Request, Response, Uri};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tonic::body::Body;
use tonic::transport;
use tower::Service;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Pending<T> = Pin<Box<dyn Future<Output = T>>>;

/// The channels of one caller, used in turn.
#[derive(Debug)]
pub(super) enum Channels {
    Own(Rc<Connections<Body>>),
    Tonics {
        channels: Vec<transport::Channel>,
        next: Cell<usize>,
    },
}

impl Channels {
    /// Tonic's own where everything is left to the libraries and connections are kept, ours otherwise.
    pub(super) async fn open(
        dialer: Arc<Dialer>,
        origin: &Uri,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        if settings.library_defaults && settings.connecting == Connecting::Kept {
            let channels = deployed::open(&dialer, origin, settings.connections.max(1)).await?;
            let next = Cell::new(0);
            return Ok(Self::Tonics { channels, next });
        }
        let connections = Connections::open(dialer, settings).await?;
        Ok(Self::Own(Rc::new(connections)))
    }

    /// The channel whose turn it is.
    pub(super) fn next(&self) -> Channel {
        Channel(match self {
            Self::Own(connections) => Way::Own(Own::new(connections.clone(), connections.turn())),
            Self::Tonics { channels, next } => {
                let turn = next.replace((next.get() + 1) % channels.len());
                Way::Tonics(channels[turn].clone())
            }
        })
    }

    /// Whose channels they are, for the manifest.
    pub(super) fn whose(&self) -> &'static str {
        match self {
            Self::Own(_) => "our own HTTP/2 connections under tonic's client",
            Self::Tonics { .. } => "tonic's own",
        }
    }
}

/// A channel under tonic's client. One of our own is ready when its connection is open, again after a cut; one of tonic's
/// when its queue has room.
#[derive(Clone, Debug)]
pub struct Channel(Way);

#[derive(Clone, Debug)]
enum Way {
    Own(Own),
    Tonics(transport::Channel),
}

/// One of our connections.
struct Own {
    connections: Rc<Connections<Body>>,
    /// None: a connection of its own, which ends with its call.
    turn: Option<usize>,
    opening: Option<Pending<Result<SendRequest<Body>, Failure>>>,
    open: Option<SendRequest<Body>>,
}

impl Own {
    fn new(connections: Rc<Connections<Body>>, turn: Option<usize>) -> Self {
        Self {
            connections,
            turn,
            opening: None,
            open: None,
        }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), DialError>> {
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
}

impl Clone for Own {
    fn clone(&self) -> Self {
        Self::new(self.connections.clone(), self.turn)
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = formatter.debug_struct("Own");
        out.field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Either<Incoming, Body>>;
    type Error = Error;
    type Future = Pending<Result<Self::Response, Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match &mut self.0 {
            Way::Own(own) => own.poll_ready(context).map_err(Error::from),
            Way::Tonics(channel) => channel.poll_ready(context).map_err(Error::from),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match &mut self.0 {
            Way::Own(own) => {
                let mut open = own.open.take().expect("called when ready");
                let answer = open.send_request(request);
                Box::pin(async move {
                    let answer = answer.await;
                    // A connection of the call's own ends with its last sender: not before the answer.
                    drop(open);
                    Ok(answer?.map(Either::Left))
                })
            }
            Way::Tonics(channel) => {
                let answer = channel.call(request);
                Box::pin(async move { Ok(answer.await?.map(Either::Right)) })
            }
        }
    }
}
