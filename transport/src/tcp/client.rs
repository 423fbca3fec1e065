//! The calling end: every connection has one driver task that writes what has gathered and completes the calls in
//! the order of their answers. Single-threaded: no lock, one allocation per call.

use super::{Status, frame_len, put_request, take_answer};
use crate::deadline::Deadline;
use crate::net::{self, Dialer, Lane, Link};
use crate::tls::Stream;
use crate::{CallResult, Caller, Connecting, Counters, Failure, Outcome, Settings};
use bench_host::clock::now_ns;
use bench_proto::{Format, Kind, Stamp};
use bytes::{Buf, Bytes, BytesMut};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// Bytes that may gather before calls wait for the socket (a wait that comes before their `sent_ns`).
const GATHERED: usize = 1 << 20;
/// Room that each read has at least.
const READ_ROOM: usize = 16 << 10;
/// An answer is no longer than the largest body, or than a sentence of so many bytes.
const LONGEST_SENTENCE: usize = 64 << 10;

/// The sending end of the tcp transport.
#[derive(Clone, Debug)]
pub struct TcpCaller(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    format: Format,
    deadline: Deadline,
    answer_limit: usize,
    lanes: Vec<Lane<Rc<Wire>>>,
    next: Cell<usize>,
    kept: bool,
    dialer: Rc<Dialer>,
}

/// Opens the connections. Runs on a tokio `LocalRuntime`.
pub async fn connect(settings: &Settings) -> anyhow::Result<TcpCaller> {
    let inner = Rc::new(Inner {
        format: settings.format,
        deadline: Deadline::new(settings.deadline),
        answer_limit: settings.max_body + LONGEST_SENTENCE,
        lanes: (0..settings.connections.max(1))
            .map(|_| Lane::new())
            .collect(),
        next: Cell::new(0),
        kept: settings.connecting == Connecting::Kept,
        dialer: Rc::new(Dialer::new("tcp", settings, None)?.nagle_left(settings.library_defaults)),
    });
    if !inner.kept {
        // Whether anybody listens there is said now, not by the first call.
        let opening = inner.dial();
        let wire = net::within(settings.deadline, "tcp", &settings.target, opening).await?;
        wire.close("nobody needs it");
        return Ok(TcpCaller(inner));
    }
    for lane in &inner.lanes {
        let opening = inner.wire(lane);
        net::within(settings.deadline, "tcp", &settings.target, opening).await?;
    }
    Ok(TcpCaller(inner))
}

impl Caller for TcpCaller {
    fn format(&self) -> Format {
        self.0.format
    }

    fn call_within(
        &self,
        patience: Option<Duration>,
        kind: Kind,
        _key: &str,
        body: Bytes,
        stamp: Option<Stamp>,
    ) -> impl Future<Output = Outcome> + 'static {
        let inner = self.0.clone();
        let patience = patience.unwrap_or(inner.deadline.patience());
        async move {
            let slot = Rc::new(Slot::new(kind, inner.format));
            let exchange = pin!(async {
                let opened = match inner.kept {
                    true => inner.wire(&inner.lanes[inner.turn()]).await,
                    false => inner.dial().await,
                };
                let wire = match opened {
                    Ok(wire) => wire,
                    Err(failure) => return (CallResult::Failed(failure), 0),
                };
                let _closes = (!inner.kept).then(|| CloseAtEnd(wire.clone()));
                wire.room(frame_len(body.len(), stamp.is_some())).await;
                wire.push(&slot, stamp.as_ref(), &body);
                poll_fn(|context| slot.poll(context.waker())).await
            });
            let (result, body_in) = match inner.deadline.within(patience, exchange).await {
                Some(ended) => ended,
                None => {
                    // Its place in the order of answers stays; the answer will be dropped.
                    slot.abandoned.set(true);
                    inner.dialer.meter().unknown(1);
                    (CallResult::TimedOut, 0)
                }
            };
            Outcome {
                sent_ns: slot.sent_ns.get(),
                result,
                body_in,
            }
        }
    }

    fn counters(&self) -> Counters {
        self.0.dialer.meter().counters()
    }

    fn in_force(&self) -> BTreeMap<String, String> {
        let inner = &self.0;
        inner
            .dialer
            .in_force(inner.lanes.len(), inner.deadline.patience())
    }
}

impl Inner {
    /// The lane whose turn it is.
    fn turn(&self) -> usize {
        let turn = self.next.get();
        self.next.set((turn + 1) % self.lanes.len());
        turn
    }

    async fn wire(&self, lane: &Lane<Rc<Wire>>) -> Result<Rc<Wire>, Failure> {
        if let Some(wire) = lane.link() {
            return Ok(wire);
        }
        lane.open(async || self.dial().await).await
    }

    async fn dial(&self) -> Result<Rc<Wire>, Failure> {
        let stream = self.dialer.dial().await?;
        let wire = Rc::new(Wire::default());
        let driver = drive(stream, wire.clone(), self.dialer.clone(), self.answer_limit);
        tokio::task::spawn_local(driver);
        Ok(wire)
    }
}

/// Closes the connection of one call, however that ends.
struct CloseAtEnd(Rc<Wire>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close("the call it was opened for has ended");
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for wire in self.lanes.iter().filter_map(Lane::link) {
            wire.close("the caller was dropped");
        }
    }
}

/// One call's place in the order of answers.
#[derive(Debug)]
struct Slot {
    kind: Kind,
    format: Format,
    abandoned: Cell<bool>,
    sent_ns: Cell<Option<u64>>,
    ended: RefCell<Option<(CallResult, usize)>>,
    waker: RefCell<Option<Waker>>,
}

impl Slot {
    fn new(kind: Kind, format: Format) -> Self {
        Self {
            kind,
            format,
            abandoned: Cell::new(false),
            sent_ns: Cell::new(None),
            ended: RefCell::new(None),
            waker: RefCell::new(None),
        }
    }

    fn poll(&self, waker: &Waker) -> Poll<(CallResult, usize)> {
        if let Some(ended) = self.ended.take() {
            return Poll::Ready(ended);
        }
        self.waker.replace(Some(waker.clone()));
        Poll::Pending
    }

    fn end(&self, result: CallResult, body_in: usize) {
        self.ended.replace(Some((result, body_in)));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn answer(&self, status: Status, body: &[u8]) {
        if self.abandoned.get() {
            return;
        }
        let text = || String::from_utf8_lossy(body).into_owned();
        let result = match status {
            Status::Answer => match self.format.decode_answer(self.kind, body) {
                Ok(answer) => CallResult::Acknowledged(Some(answer)),
                Err(error) => net::failed_here("answer", error.to_string()),
            },
            Status::Refused => CallResult::Refused(text()),
            Status::Failed => net::failed_there("failed", text()),
            Status::Rejected => net::failed_there("rejected", text()),
            Status::Overloaded => net::failed_there("overloaded", text()),
        };
        self.end(result, body.len());
    }
}

/// What the calls and the driver of one connection share.
#[derive(Debug, Default)]
struct Wire {
    /// Frames that the driver has not taken yet.
    out: RefCell<BytesMut>,
    /// Calls without an answer, in the order of their frames.
    pending: RefCell<VecDeque<Rc<Slot>>>,
    /// How many of the last in `pending` have their frame in `out`.
    unsent: Cell<usize>,
    closed: RefCell<Option<String>>,
    driver: RefCell<Option<Waker>>,
    roomier: Notify,
}

impl Link for Rc<Wire> {
    fn is_open(&self) -> bool {
        self.closed.borrow().is_none()
    }
}

impl Wire {
    /// Waits until a frame of so many bytes may be added.
    async fn room(&self, bytes: usize) {
        loop {
            let gathered = self.out.borrow().len();
            if gathered == 0 || gathered + bytes <= GATHERED || self.closed.borrow().is_some() {
                return;
            }
            self.roomier.notified().await;
        }
    }

    fn push(&self, slot: &Rc<Slot>, stamp: Option<&Stamp>, body: &[u8]) {
        if let Some(why) = &*self.closed.borrow() {
            return slot.end(net::failed_here("closed", why.clone()), 0);
        }
        put_request(
            &mut self.out.borrow_mut(),
            slot.kind,
            slot.format,
            stamp,
            body,
        );
        self.pending.borrow_mut().push_back(slot.clone());
        self.unsent.set(self.unsent.get() + 1);
        self.wake_driver();
    }

    fn wake_driver(&self) {
        if let Some(waker) = self.driver.take() {
            waker.wake();
        }
    }

    /// Takes new calls no more, and ends those that wait.
    fn close(&self, why: &str) {
        if self.closed.borrow().is_some() {
            return;
        }
        self.closed.replace(Some(why.to_string()));
        for slot in self.pending.take() {
            slot.end(net::failed_here("closed", why), 0);
        }
        self.roomier.notify_waiters();
        self.wake_driver();
    }

    /// The frames that have gathered, swapped for an empty buffer; their calls count as sent from now on.
    async fn gathered(&self, spare: &mut BytesMut) {
        poll_fn(|context| {
            if !self.out.borrow().is_empty() || self.closed.borrow().is_some() {
                return Poll::Ready(());
            }
            self.driver.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
        std::mem::swap(spare, &mut self.out.borrow_mut());
        let now = Some(now_ns());
        let pending = self.pending.borrow();
        for slot in pending.iter().rev().take(self.unsent.take()) {
            slot.sent_ns.set(now);
        }
        self.roomier.notify_waiters();
    }
}

/// Carries one connection until it is cut from either side.
async fn drive(stream: Stream, wire: Rc<Wire>, dialer: Rc<Dialer>, answer_limit: usize) {
    let why = match stream {
        Stream::Plain(mut stream) => {
            let (read, write) = stream.split();
            carry(read, write, &wire, answer_limit).await
        }
        Stream::Tls(stream) => {
            // The two halves of an encrypted connection share its state.
            let (read, write) = tokio::io::split(stream);
            carry(read, write, &wire, answer_limit).await
        }
    };
    dialer.meter().lost();
    let pending = wire.pending.take();
    let sent = pending.iter().take(pending.len() - wire.unsent.take());
    dialer
        .meter()
        .unknown(sent.filter(|slot| !slot.abandoned.get()).count() as u64);
    wire.pending.replace(pending);
    wire.close(&why);
}

async fn carry<R, W>(read: R, write: W, wire: &Wire, answer_limit: usize) -> String
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    tokio::select! {
        why = read_answers(read, wire, answer_limit) => why,
        why = write_requests(write, wire) => why,
    }
}

async fn write_requests(mut write: impl AsyncWrite + Unpin, wire: &Wire) -> String {
    let mut taken = BytesMut::new();
    while wire.closed.borrow().is_none() {
        wire.gathered(&mut taken).await;
        let written = async {
            write.write_all(&taken).await?;
            // In the clear this does nothing; encrypted records may still wait for room in the socket.
            write.flush().await
        };
        if let Err(error) = written.await {
            return format!("the connection was cut while writing: {error}");
        }
        taken.clear();
    }
    "the caller closed the connection".into()
}

async fn read_answers(
    mut read: impl AsyncRead + Unpin,
    wire: &Wire,
    answer_limit: usize,
) -> String {
    let mut input = BytesMut::new();
    loop {
        input.reserve(READ_ROOM);
        match read.read_buf(&mut input).await {
            Ok(0) => return "the service closed the connection".into(),
            Ok(_) => {}
            Err(error) => return format!("the connection was cut while reading: {error}"),
        }
        let mut taken = 0;
        loop {
            let (status, body, used) = match take_answer(&input[taken..], answer_limit) {
                Ok(Some(answer)) => answer,
                Ok(None) => break,
                Err(broken) => return broken.text,
            };
            let slot = wire.pending.borrow_mut().pop_front();
            match slot {
                Some(slot) => slot.answer(status, body),
                None => return "expected no answer, for no call waits; got one".into(),
            }
            taken += used;
        }
        input.advance(taken);
    }
}
