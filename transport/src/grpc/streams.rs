//! The calling end of the streaming kinds: one order is one message and one operation, many share a stream. Orders
//! come encoded, as everywhere; an answer is decoded in tonic's codec, as a unary one is.

use super::client::Inner;
use super::codec::Decoded;
use crate::CallKind;
use crate::net::failed_here;
use crate::shared::{Basket, Call, Gather, Pending, Request, entries, miscounted, unanswered};
use bench_proto::among::{self, placement};
use bench_proto::{Format, Placed, Summary};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::poll_fn;
use http::uri::PathAndQuery;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tonic::{Code, Status};

/// How the calls of one caller share streams.
#[derive(Clone, Debug)]
pub(super) enum Streams {
    /// Streams up, a summary each.
    Client(Rc<Gather<Upload>>),
    /// Lists up, streams down.
    Server(Rc<Gather<Basket>>),
    /// One stream per channel, both ways, as long as it lives.
    Bidi(Rc<Exchanges>),
}

impl Streams {
    /// What a kind of call needs; none for a unary one.
    pub(super) fn of(kind: CallKind, size: usize, inner: &Rc<Inner>) -> Option<Self> {
        let inner = inner.clone();
        match kind {
            CallKind::Client => Some(Self::Client(Gather::new(size, move || {
                Upload::begin(inner.clone())
            }))),
            CallKind::Server => Some(Self::Server(Basket::gather(size, move |calls| {
                tokio::task::spawn_local(place_each(inner.clone(), calls));
            }))),
            CallKind::Bidi => Some(Self::Bidi(Rc::new(Exchanges::new(inner)))),
            CallKind::Unary | CallKind::List => None,
        }
    }

    /// Puts a call on a stream.
    pub(super) fn send(&self, call: Call) {
        match self {
            Self::Client(uploads) => uploads.add(call),
            Self::Server(lists) => lists.add(call),
            Self::Bidi(exchanges) => exchanges.send(call),
        }
    }
}

/// Orders on their way up a stream, and those who wait for what becomes of them.
#[derive(Clone)]
struct Up {
    orders: UnboundedSender<Bytes>,
    waiting: Rc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    calls: RefCell<VecDeque<Pending>>,
    ended: Cell<bool>,
}

impl Up {
    fn new() -> (Self, UnboundedReceiver<Bytes>) {
        let (orders, receiver) = mpsc::unbounded_channel();
        let waiting = Rc::default();
        (Self { orders, waiting }, receiver)
    }

    fn is_open(&self) -> bool {
        !self.waiting.ended.get() && !self.orders.is_closed()
    }

    fn send(&self, call: Call) {
        call.pending.sent();
        self.waiting.calls.borrow_mut().push_back(call.pending);
        // A stream that has just gone ends all who wait, this one included.
        let _ = self.orders.send(placement(&call.body, call.stamp.as_ref()));
    }
}

impl Waiting {
    /// The stream is over: nobody else may wait here.
    fn end(&self) -> VecDeque<Pending> {
        self.ended.set(true);
        self.calls.take()
    }
}

/// What a receiver gives, as a stream that tonic can send.
fn as_stream(mut orders: UnboundedReceiver<Bytes>) -> impl Stream<Item = Bytes> + Send + 'static {
    poll_fn(move |context| orders.poll_recv(context))
}

fn path(method: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(method)
}

/// Ends calls whose stream broke with its status. A service that stops says nothing about any one of them.
fn fail(inner: &Inner, calls: impl IntoIterator<Item = Pending>, status: &Status) {
    let stopped = status.code() == Code::Unavailable && status.source().is_none();
    for call in calls.into_iter().filter(Pending::is_awaited) {
        if stopped {
            inner.unknown_one();
            call.end(failed_here("closed", status.message()), 0);
            continue;
        }
        let result = inner.result(status.clone(), call.sent_ns());
        call.end(result, 0);
    }
}

/// One stream up that ends in a summary.
pub(super) struct Upload(Up);

impl Upload {
    fn begin(inner: Rc<Inner>) -> Self {
        let (up, orders) = Up::new();
        let waiting = up.waiting.clone();
        inner.begin_shared();
        tokio::task::spawn_local(async move {
            let call = async {
                let mut grpc = inner.client();
                grpc.ready().await.map_err(Status::from_error)?;
                let request = tonic::Request::new(as_stream(orders));
                let path = path("/hopbench.v1.OrderService/PlaceMany");
                grpc.client_streaming(request, path, Decoded::<Summary>::default())
                    .await
            };
            // The calls keep their deadlines themselves; the stream is given up when the last of them has passed.
            let ended = tokio::time::timeout(inner.deadline() * 2, call).await;
            let calls = waiting.end();
            match ended {
                Ok(Ok(answer)) => {
                    let (summary, length) = answer.into_inner();
                    settle(calls, summary, length);
                }
                Ok(Err(status)) => fail(&inner, calls, &status),
                // Nobody waits any more.
                Err(_) => {}
            }
        });
        Self(up)
    }
}

impl Request for Upload {
    fn is_open(&self) -> bool {
        self.0.is_open()
    }

    fn take(&mut self, call: Call) {
        self.0.send(call);
    }

    /// Dropping the sender ends the stream, and the summary follows.
    fn close(self) {}
}

/// A summary ends every order of its stream: accepted but for those that it names.
fn settle(calls: VecDeque<Pending>, summary: Summary, length: usize) {
    let answers = summary.accepted + summary.refused + summary.failed;
    let named = summary.rejections.len() as u64;
    if answers != calls.len() as u64 || named != summary.refused + summary.failed {
        let orders = calls.len();
        for call in calls {
            call.end(miscounted(orders, answers), 0);
        }
        return;
    }
    let mut rejections: HashMap<u64, Placed> = summary
        .rejections
        .into_iter()
        .map(|rejection| {
            let reason = Some(rejection.reason);
            let placed = if rejection.failed {
                Placed {
                    failed: reason,
                    ..Placed::default()
                }
            } else {
                Placed {
                    refused: reason,
                    ..Placed::default()
                }
            };
            (rejection.index, placed)
        })
        .collect();
    for (index, call) in calls.into_iter().enumerate() {
        // The first stands for the summary's bytes, so that their sum is exact.
        let body_in = if index == 0 { length } else { 0 };
        match rejections.remove(&(index as u64)) {
            Some(placed) => call.placed(placed, body_in),
            None => call.end(crate::CallResult::Acknowledged(None), body_in),
        }
    }
}

/// One list up, what became of each of its orders streams back.
async fn place_each(inner: Rc<Inner>, calls: Vec<Call>) {
    let body = among::list(Format::Protobuf, entries(&calls));
    let mut waiting: VecDeque<Pending> = calls.into_iter().map(|call| call.pending).collect();
    inner.begin_shared();
    let exchange = async {
        let mut grpc = inner.client();
        grpc.ready().await.map_err(Status::from_error)?;
        waiting.iter().for_each(Pending::sent);
        let path = path("/hopbench.v1.OrderService/PlaceEach");
        let request = tonic::Request::new(body);
        let answer = grpc
            .server_streaming(request, path, Decoded::<Placed>::default())
            .await?;
        let mut answers = answer.into_inner();
        while let Some((placed, length)) = answers.message().await? {
            if let Some(call) = waiting.pop_front() {
                call.placed(placed, length);
            }
        }
        Ok(())
    };
    let ended = tokio::time::timeout(inner.deadline() * 2, exchange).await;
    match ended {
        Ok(Ok(())) => waiting
            .into_iter()
            .for_each(|call| call.end(unanswered(), 0)),
        Ok(Err(status)) => fail(&inner, waiting, &status),
        // Nobody waits any more.
        Err(_) => {}
    }
}

/// One stream per channel, used in turn, opened when it is first needed and again after it broke.
pub(super) struct Exchanges {
    inner: Rc<Inner>,
    lanes: Vec<RefCell<Option<Up>>>,
    next: Cell<usize>,
}

impl Exchanges {
    fn new(inner: Rc<Inner>) -> Self {
        let lanes = inner.channels();
        Self {
            inner,
            lanes: (0..lanes).map(|_| RefCell::default()).collect(),
            next: Cell::new(0),
        }
    }

    fn send(&self, call: Call) {
        let turn = self.next.replace((self.next.get() + 1) % self.lanes.len());
        let mut lane = self.lanes[turn].borrow_mut();
        let open = lane.take_if(|up| up.is_open());
        let up = lane.insert(open.unwrap_or_else(|| exchange(self.inner.clone())));
        up.send(call);
    }
}

impl fmt::Debug for Exchanges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = formatter.debug_struct("Exchanges");
        out.field("lanes", &self.lanes.len())
            .finish_non_exhaustive()
    }
}

/// Opens a stream both ways; the answer to message i is the i-th.
fn exchange(inner: Rc<Inner>) -> Up {
    let (up, orders) = Up::new();
    let waiting = up.waiting.clone();
    inner.begin_shared();
    tokio::task::spawn_local(async move {
        let conversation = async {
            let mut grpc = inner.client();
            grpc.ready().await.map_err(Status::from_error)?;
            let path = path("/hopbench.v1.OrderService/Exchange");
            let request = tonic::Request::new(as_stream(orders));
            let answer = grpc
                .streaming(request, path, Decoded::<Placed>::default())
                .await?;
            let mut answers = answer.into_inner();
            while let Some((placed, length)) = answers.message().await? {
                let first = waiting.calls.borrow_mut().pop_front();
                if let Some(call) = first {
                    call.placed(placed, length);
                }
            }
            Ok::<(), Status>(())
        };
        let ended = conversation.await;
        let calls = waiting.end();
        match ended {
            Ok(()) => calls.into_iter().for_each(|call| call.end(unanswered(), 0)),
            Err(status) => fail(&inner, calls, &status),
        }
    });
    up
}
