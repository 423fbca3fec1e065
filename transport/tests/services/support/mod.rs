//! What the transports' tests share: a real, small service behind the listeners (it validates and keeps the ledger),
//! and a caller's side that drives a transport and accounts for every call. It knows no transport.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program compiles this module for itself and uses a part of it"
)]

use bench_proto::format::Answer;
use bench_proto::ledger::Balance;
use bench_proto::validate::validate;
use bench_proto::{
    CallerLedger, Corpus, Format, Message, Order, PayloadClass, ServiceLedger, Stamp,
};
use bench_transport::{CallResult, Caller, Origin, Outcome, Reply, Service};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::LocalOptions;

pub mod hops;

/// The run that every test stamps its orders with.
pub const RUN: u64 = 7;
/// No wait of a test is longer: whatever takes so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A service that validates orders, echoes blobs, and keeps the ledger.
#[derive(Clone, Default)]
pub struct Shop(Arc<Inner>);

#[derive(Default)]
struct Inner {
    ledger: Mutex<ServiceLedger>,
    rejected: Mutex<BTreeMap<String, u64>>,
    finished: Mutex<u64>,
    pace: Mutex<Pace>,
}

/// What the shop does with a message before it answers.
#[derive(Clone, Copy, Default)]
pub enum Pace {
    /// It answers at once.
    #[default]
    AtOnce,
    /// It takes so long over each.
    Every(Duration),
    /// It takes so long over those with an odd sequence.
    Odd(Duration),
    /// It fails.
    Fails,
    /// It turns everybody away.
    Full,
    /// It panics.
    Panics,
}

impl Shop {
    pub fn pace(&self, pace: Pace) {
        *self.0.pace.lock().unwrap() = pace;
    }

    /// Messages handled to their end.
    pub fn finished(&self) -> u64 {
        *self.0.finished.lock().unwrap()
    }

    /// Distinct stamped operations delivered to the handler.
    pub fn delivered(&self) -> u64 {
        self.0.ledger.lock().unwrap().delivered()
    }

    /// Requests that never became a message, by name.
    pub fn rejections(&self) -> BTreeMap<String, u64> {
        self.0.rejected.lock().unwrap().clone()
    }

    /// The caller's side against this service's ledger.
    pub fn balance(&self, caller: CallerLedger) -> Balance {
        Balance::of(&[caller], Some(&self.0.ledger.lock().unwrap()))
    }

    fn deliver(&self, message: &Message, stamp: Stamp) {
        let key = match message {
            Message::Order(order) => &order.user_id,
            Message::Blob(_) => "",
        };
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let mut ledger = self.0.ledger.lock().unwrap();
        ledger.record(stamp.producer, stamp.sequence, hasher.finish());
    }
}

impl Service for Shop {
    fn handle(
        &self,
        message: Message,
        origin: Origin,
    ) -> impl Future<Output = Reply> + Send + 'static {
        let shop = self.clone();
        let pace = *self.0.pace.lock().unwrap();
        async move {
            if let Some(stamp) = origin.stamp
                && !matches!(pace, Pace::Full)
            {
                shop.deliver(&message, stamp);
            }
            let odd = origin.stamp.is_some_and(|stamp| stamp.sequence % 2 == 1);
            match pace {
                Pace::Every(time) => tokio::time::sleep(time).await,
                Pace::Odd(time) if odd => tokio::time::sleep(time).await,
                Pace::Fails => return Reply::Failed("this shop fails".into()),
                Pace::Full => return Reply::Overloaded("this shop is full".into()),
                Pace::Panics => panic!("this shop panics"),
                Pace::Odd(_) | Pace::AtOnce => {}
            }
            *shop.0.finished.lock().unwrap() += 1;
            match message {
                Message::Blob(blob) => Reply::Done(Answer::Blob(blob)),
                Message::Order(order) => match validate(&order) {
                    Ok(receipt) => Reply::Done(Answer::Receipt(receipt)),
                    Err(refusal) => Reply::Refused(refusal.to_string()),
                },
            }
        }
    }

    fn rejected(&self, what: &str) {
        let mut rejected = self.0.rejected.lock().unwrap();
        *rejected.entry(what.to_string()).or_default() += 1;
    }
}

/// Runs a test as a caller runs: on one thread that holds its tasks. The service gets a runtime of its own, whose handle
/// the test is given.
pub fn between_two_ends(test: impl AsyncFnOnce(tokio::runtime::Handle)) {
    let service = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let caller = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap();
    caller.block_on(test(service.handle().clone()));
    drop(caller);
    service.shutdown_timeout(Duration::from_secs(1));
}

thread_local! {
    static ORDERS: RefCell<Corpus> = RefCell::new(Corpus::new(PayloadClass::Order(3), 1));
}

/// An order of three lines that the service accepts.
pub fn good_order(sequence: u64) -> Order {
    ORDERS.with_borrow_mut(|orders| match orders.message(RUN, 0, sequence) {
        Message::Order(order) => order.clone(),
        Message::Blob(_) => unreachable!("a class of orders"),
    })
}

/// An order that the service refuses, and the reason.
pub fn bad_order(sequence: u64) -> (Order, String) {
    let mut order = good_order(sequence);
    order.items[0].quantity = 0;
    let refusal = validate(&order).unwrap_err();
    (order, refusal.to_string())
}

pub fn stamp(sequence: u64) -> Stamp {
    Stamp {
        run: RUN,
        producer: 0,
        sequence,
        planned_ns: bench_host::clock::now_ns(),
    }
}

/// Places one order.
pub async fn place<C: Caller>(caller: &C, order: Order, stamp: Option<Stamp>) -> Outcome {
    let key = order.user_id.clone();
    let message = Message::Order(order);
    let body = message.encode(caller.format());
    caller.call(message.kind(), &key, body, stamp).await
}

/// Places one good order and expects its receipt.
pub async fn place_well<C: Caller>(caller: &C, sequence: u64) {
    let order = good_order(sequence);
    let receipt = validate(&order).unwrap();
    let outcome = place(caller, order, Some(stamp(sequence))).await;
    match outcome.result {
        CallResult::Acknowledged(Some(Answer::Receipt(got))) => assert_eq!(got, receipt),
        other => panic!("expected {receipt:?}, got {other:?}"),
    }
}

/// Carries so many operations of a class, so many in flight, checks every answer by value where there is one, and
/// accounts for every call.
pub async fn carry<C: Caller>(
    caller: &C,
    class: PayloadClass,
    operations: u64,
    in_flight: usize,
) -> CallerLedger {
    let next = Rc::new(Cell::new(0));
    let corpus = Rc::new(RefCell::new(Corpus::new(class, 1)));
    let ledger = Rc::new(RefCell::new(CallerLedger::default()));
    let workers = (0..in_flight).map(|_| {
        let (caller, next) = (caller.clone(), next.clone());
        let (corpus, ledger) = (corpus.clone(), ledger.clone());
        tokio::task::spawn_local(async move {
            loop {
                let sequence = next.replace(next.get() + 1);
                if sequence >= operations {
                    return;
                }
                ledger.borrow_mut().attempted += 1;
                let message = corpus.borrow_mut().message(RUN, 0, sequence).clone();
                let outcome = carry_one(&caller, &message, sequence).await;
                account(
                    &mut ledger.borrow_mut(),
                    sequence,
                    &message,
                    caller.format(),
                    outcome,
                );
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    ledger.take()
}

async fn carry_one<C: Caller>(caller: &C, message: &Message, sequence: u64) -> Outcome {
    let body = message.encode(caller.format());
    let key = match message {
        Message::Order(order) => order.user_id.as_str(),
        Message::Blob(_) => "",
    };
    let call = caller.call(message.kind(), key, body, Some(stamp(sequence)));
    call.await
}

fn account(
    ledger: &mut CallerLedger,
    sequence: u64,
    message: &Message,
    format: Format,
    outcome: Outcome,
) {
    match outcome.result {
        CallResult::Acknowledged(answer) => {
            ledger.acknowledged.insert(sequence);
            assert!(outcome.sent_ns.is_some(), "acknowledged but never sent");
            if let Some(answer) = answer {
                assert_eq!(outcome.body_in, answer.encode(format).len());
                assert_eq!(answer, expected(message));
            }
        }
        CallResult::Refused(_) => {
            ledger.rejected.insert(sequence);
            ledger.refused += 1;
        }
        CallResult::Failed(failure) => {
            if failure.by_service {
                ledger.rejected.insert(sequence);
            }
            ledger.failed += 1;
        }
        CallResult::TimedOut => ledger.timed_out += 1,
    }
}

fn expected(message: &Message) -> Answer {
    match message {
        Message::Order(order) => Answer::Receipt(validate(order).unwrap()),
        Message::Blob(blob) => Answer::Blob(blob.clone()),
    }
}

/// Waits until something is so, and fails if it never is.
pub async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
