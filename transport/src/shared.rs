//! Calls that share a request with others, in a stream or a list. The caller's half: each call waits for its own
//! answer under its own deadline, and calls gather until a request is full. The listener's half: what becomes of one
//! order among others. It knows no protocol.

use crate::net::{Desk, Meter, failed_here, failed_there};
use crate::{CallKind, CallResult, Outcome, Reply, Service};
use bench_host::clock::now_ns;
use bench_proto::among::MAX_LIST;
use bench_proto::format::Answer;
use bench_proto::{Message, Placed, Placement, Stamp};
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A request that does not fill up leaves so long after its first operation: without it the last operations of a run
/// would wait for company for ever. Five times the coarseness of the runtime's timer.
pub(crate) const PATIENCE: Duration = Duration::from_millis(5);

/// Orders of one stream or list that are worked on side by side; as many as unary calls of one connection may be.
const SIDE_BY_SIDE: usize = crate::h2::MAX_CONCURRENT_STREAMS as usize;

/// One call among others, its order encoded already.
pub(crate) struct Call {
    pub(crate) body: Bytes,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) pending: Pending,
}

/// The other end of a call that waits for its answer.
pub(crate) struct Pending {
    sent_ns: Rc<Cell<Option<u64>>>,
    tell: oneshot::Sender<(CallResult, usize)>,
}

impl Pending {
    /// Its bytes are handed to a connection now.
    pub(crate) fn sent(&self) {
        self.sent_ns.set(Some(now_ns()));
    }

    /// The place where its sending is noted, for an error that knows better.
    pub(crate) fn sent_ns(&self) -> &Cell<Option<u64>> {
        &self.sent_ns
    }

    /// Whether anybody still waits: a call past its deadline has been accounted for.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.tell.is_closed()
    }

    /// Ends the call; `body_in` is its share of the answer, bytes.
    pub(crate) fn end(self, result: CallResult, body_in: usize) {
        let _ = self.tell.send((result, body_in));
    }

    /// Ends the call with what the service says became of its order.
    pub(crate) fn placed(self, placed: Placed, body_in: usize) {
        self.end(result(placed), body_in);
    }
}

/// Hands a call to `send` and waits for its answer, no longer than its deadline.
pub(crate) async fn carry(
    deadline: Duration,
    meter: &Meter,
    body: Bytes,
    stamp: Option<Stamp>,
    send: impl FnOnce(Call),
) -> Outcome {
    let (tell, told) = oneshot::channel();
    let sent_ns = Rc::new(Cell::new(None));
    send(Call {
        body,
        stamp,
        pending: Pending {
            sent_ns: sent_ns.clone(),
            tell,
        },
    });
    let (result, body_in) = match tokio::time::timeout(deadline, told).await {
        Ok(Ok(told)) => told,
        Ok(Err(_)) => (unanswered(), 0),
        Err(_) => {
            meter.unknown(1);
            (CallResult::TimedOut, 0)
        }
    };
    Outcome {
        sent_ns: sent_ns.get(),
        result,
        body_in,
    }
}

/// The kind's settings in force, by name; nothing for unary calls.
pub(crate) fn in_force(kind: CallKind, batch: usize) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    if kind != CallKind::Unary {
        settings.insert("kind".into(), kind.to_string());
    }
    if kind.gathers() {
        settings.insert("batch".into(), batch.to_string());
        settings.insert("batch.patience".into(), format!("{PATIENCE:?}"));
    }
    settings
}

/// The result of a call whose request ended well, but without an answer for it.
pub(crate) fn unanswered() -> CallResult {
    failed_here("closed", "the request ended before this order was answered")
}

/// The result of an answer that does not answer every order of its request once.
pub(crate) fn miscounted(orders: usize, answers: u64) -> CallResult {
    let text = format!("expected answers for {orders} orders of one request, got {answers}");
    failed_here("answer", text)
}

fn result(placed: Placed) -> CallResult {
    match placed {
        Placed {
            receipt: Some(receipt),
            refused: None,
            failed: None,
        } => CallResult::Acknowledged(Some(Answer::Receipt(receipt))),
        Placed {
            receipt: None,
            refused: Some(text),
            failed: None,
        } => CallResult::Refused(text),
        Placed {
            receipt: None,
            refused: None,
            failed: Some(text),
        } => failed_there("failed", text),
        other => failed_here(
            "answer",
            format!("expected one of receipt, refused and failed, got {other:?}"),
        ),
    }
}

/// A request that takes operations until it is closed.
pub(crate) trait Request: 'static {
    /// Whether it can still take one: its connection may be gone.
    fn is_open(&self) -> bool;
    /// Takes one more operation.
    fn take(&mut self, call: Call);
    /// It is full, or was waited for long enough.
    fn close(self);
}

/// Gathers calls into requests of a fixed size.
pub(crate) struct Gather<R> {
    size: usize,
    begin: Box<dyn Fn() -> R>,
    open: RefCell<Option<Filling<R>>>,
    begun: Cell<u64>,
}

struct Filling<R> {
    number: u64,
    taken: usize,
    request: R,
}

impl<R: Request> Gather<R> {
    /// Requests of `size` operations, each begun by `begin`.
    pub(crate) fn new(size: usize, begin: impl Fn() -> R + 'static) -> Rc<Self> {
        Rc::new(Self {
            size: size.max(1),
            begin: Box::new(begin),
            open: RefCell::default(),
            begun: Cell::new(0),
        })
    }

    /// Puts a call into the request that is filling up, or into a fresh one.
    pub(crate) fn add(self: &Rc<Self>, call: Call) {
        let mut open = self.open.borrow_mut();
        let broken = open.take_if(|filling| !filling.request.is_open());
        if let Some(broken) = broken {
            broken.request.close();
        }
        let filling = open.get_or_insert_with(|| self.filling());
        filling.request.take(call);
        filling.taken += 1;
        if filling.taken == self.size
            && let Some(full) = open.take()
        {
            full.request.close();
        }
    }

    fn filling(self: &Rc<Self>) -> Filling<R> {
        let number = self.begun.replace(self.begun.get() + 1);
        let gather = self.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(PATIENCE).await;
            let still = |filling: &mut Filling<R>| filling.number == number;
            let waited_for = gather.open.borrow_mut().take_if(still);
            if let Some(filling) = waited_for {
                filling.request.close();
            }
        });
        Filling {
            number,
            taken: 0,
            request: (self.begin)(),
        }
    }
}

impl<R> fmt::Debug for Gather<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = formatter.debug_struct("Gather");
        out.field("size", &self.size).finish_non_exhaustive()
    }
}

/// A request that is sent as a whole once it is closed.
pub(crate) struct Basket {
    calls: Vec<Call>,
    send: Rc<dyn Fn(Vec<Call>)>,
}

impl Basket {
    /// Gathers calls into lists of `size`, each handed to `send` when it is full.
    pub(crate) fn gather(size: usize, send: impl Fn(Vec<Call>) + 'static) -> Rc<Gather<Self>> {
        let send: Rc<dyn Fn(Vec<Call>)> = Rc::new(send);
        Gather::new(size, move || Self {
            calls: Vec::with_capacity(size),
            send: send.clone(),
        })
    }
}

impl Request for Basket {
    fn is_open(&self) -> bool {
        true
    }

    fn take(&mut self, call: Call) {
        self.calls.push(call);
    }

    fn close(self) {
        (self.send)(self.calls);
    }
}

/// The calls' orders with their Stamps, as a list takes them.
pub(crate) fn entries(
    calls: &[Call],
) -> impl Iterator<Item = (&[u8], Option<&Stamp>)> + Clone + '_ {
    calls
        .iter()
        .map(|call| (&call.body[..], call.stamp.as_ref()))
}

/// Refuses a list that is empty or too long, before anything of it is worked on.
pub(crate) fn check_length(placements: usize) -> Result<(), String> {
    if (1..=MAX_LIST).contains(&placements) {
        return Ok(());
    }
    Err(format!(
        "expected a list of 1 to {MAX_LIST} orders, got {placements}; nothing of it was worked on"
    ))
}

/// The Stamp beside an order, if there is one.
pub(crate) fn stamp_of(placement: &Placement) -> Result<Option<Stamp>, String> {
    if placement.stamp.is_empty() {
        return Ok(None);
    }
    Stamp::from_bytes(&placement.stamp)
        .map(Some)
        .map_err(|error| error.to_string())
}

/// Works on orders side by side and gives what became of each in their order. A placement without an order is an
/// order without lines, and refused as such; what cannot be read (the error) becomes none.
pub(crate) fn place_all<S: Service, E: Send + 'static>(
    desk: Desk<S>,
    placements: impl Stream<Item = Result<(Placement, Option<Stamp>), E>> + Send + 'static,
) -> impl Stream<Item = Result<Placed, E>> + Send + 'static {
    placements
        .map(move |placement| {
            let desk = desk.clone();
            async move {
                let (placement, stamp) = placement?;
                let order = Message::Order(placement.order.unwrap_or_default());
                let origin = crate::Origin {
                    stamp,
                    ..crate::Origin::default()
                };
                Ok(placed(desk.finish(order, origin).await))
            }
        })
        .buffered(SIDE_BY_SIDE)
}

fn placed(reply: Reply) -> Placed {
    match reply {
        Reply::Done(Answer::Receipt(receipt)) => Placed {
            receipt: Some(receipt),
            ..Placed::default()
        },
        Reply::Done(Answer::Blob(_)) => Placed {
            failed: Some("expected a receipt for an order, got a blob".into()),
            ..Placed::default()
        },
        Reply::Refused(text) => Placed {
            refused: Some(text),
            ..Placed::default()
        },
        Reply::Failed(text) | Reply::Overloaded(text) => Placed {
            failed: Some(text),
            ..Placed::default()
        },
    }
}
