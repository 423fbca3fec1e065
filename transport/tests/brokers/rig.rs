//! What the broker tests stand on: where the brokers are, a small real service with a ledger, and the sending side.

use bench_proto::format::Answer;
use bench_proto::ledger::Balance;
use bench_proto::validate::validate;
use bench_proto::{
    CallerLedger, Corpus, Durability, Format, Kind, Message, PayloadClass, ServiceLedger, Stamp,
};
use bench_transport::{CallResult, Caller, Listener, Origin, Outcome, Reply, Service, Settings};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The run of every test's orders.
pub(crate) const RUN: u64 = 7;
/// Nothing here waits longer: a guard against hanging, not a measurement.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// An address from the environment, else from the checkout's own stack.
pub(crate) fn address(variable: &str) -> Option<String> {
    if let Ok(value) = std::env::var(variable) {
        return Some(value);
    }
    let text = std::fs::read_to_string(repository().join(".hopbench/env")).ok()?;
    let line = text.lines().find_map(|line| {
        line.strip_prefix("export ")
            .unwrap_or(line)
            .strip_prefix(variable)?
            .strip_prefix('=')
    })?;
    let value = line.trim().trim_matches(['\'', '"']);
    (!value.is_empty()).then(|| value.to_string())
}

/// One broker under test, with its own plain client beside the transport.
pub(crate) trait Broker: Clone + 'static {
    type Caller: Caller;
    const NAME: &'static str;
    const ADDRESS: &'static str;
    /// The variable with its TLS listener.
    const TLS_ADDRESS: &'static str;
    /// One test at a time has the broker: some of them stop it.
    fn turn() -> &'static tokio::sync::Mutex<()>;
    fn new(address: String) -> Self;
    fn address(&self) -> String;
    async fn connect(&self, settings: &Settings) -> anyhow::Result<Self::Caller>;
    async fn serve(&self, settings: &Settings, service: Ledgered) -> anyhow::Result<Listener>;
    async fn prepare(&self, settings: &Settings) -> anyhow::Result<()>;
    async fn remove(&self, settings: &Settings) -> anyhow::Result<()>;
    async fn backlog(&self, settings: &Settings) -> anyhow::Result<u64>;
    /// Sends a message as a client that knows nothing of Hopbench would.
    async fn send_raw(&self, settings: &Settings, raw: Raw);
    /// Takes so many dead letters: their body and the reason beside it.
    async fn dead_letters(&self, settings: &Settings, count: usize) -> Vec<(Vec<u8>, String)>;
}

/// A message by a foreign client.
#[derive(Default)]
pub(crate) struct Raw {
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) stamp: Option<Vec<u8>>,
}

/// Runs a test with its broker to itself; without one it fails, unless HOPBENCH_SKIP_BROKERS=1 says otherwise.
pub(crate) async fn with<B: Broker, T: AsyncFnOnce(B, Settings)>(durability: Durability, test: T) {
    let _alone = B::turn().lock().await;
    if std::env::var("HOPBENCH_SKIP_BROKERS").is_ok_and(|value| value == "1") {
        println!("skipped: HOPBENCH_SKIP_BROKERS=1 asks for no {}", B::NAME);
        return;
    }
    let Some(address) = address(B::ADDRESS) else {
        panic!(
            "no {}: start it with `stack/stack up`, point {} at one, or skip with HOPBENCH_SKIP_BROKERS=1",
            B::NAME,
            B::ADDRESS
        );
    };
    let broker = B::new(address);
    static SCOPES: AtomicU64 = AtomicU64::new(0);
    let number = SCOPES.fetch_add(1, Ordering::Relaxed);
    let settings = Settings {
        target: broker.address(),
        scope: format!("test-{}-{number}", std::process::id()),
        durability,
        window: 256,
        max_body: 64 << 10,
        ..Settings::default()
    };
    let guarded = tokio::time::timeout(2 * PATIENCE, test(broker.clone(), settings.clone()));
    // Also a failed test leaves nothing in the broker.
    let outcome = AssertUnwindSafe(guarded).catch_unwind().await;
    let removed = broker.remove(&settings).await;
    match outcome {
        Ok(ended) => ended.expect("the test ends: something hangs"),
        Err(panic) => {
            // A test that failed halfway may have left its broker stopped, for everybody.
            let name = B::NAME.to_lowercase();
            for verb in ["resume", "start"] {
                let _ = run_stack(verb, name.clone()).await;
            }
            resume_unwind(panic)
        }
    }
    removed.expect("the scope can be removed");
}

/// A real service: it validates, and keeps the delivery ledger.
#[derive(Clone, Default)]
pub(crate) struct Ledgered(Arc<Inner>);

#[derive(Default)]
struct Inner {
    ledger: Mutex<ServiceLedger>,
    rejected: Mutex<BTreeMap<String, u64>>,
    unstamped: AtomicU64,
    refused: AtomicU64,
    redelivered: AtomicU64,
    handled: AtomicU64,
    work: Mutex<Duration>,
    /// Keys in work now, and whether one was ever in work twice at once.
    in_work: Mutex<(BTreeMap<String, u32>, bool)>,
}

impl Ledgered {
    pub(crate) fn slow(work: Duration) -> Self {
        let service = Self::default();
        *service.0.work.lock().unwrap() = work;
        service
    }
    pub(crate) fn handled(&self) -> u64 {
        self.0.handled.load(Ordering::SeqCst)
    }
    pub(crate) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::SeqCst)
    }
    pub(crate) fn unstamped(&self) -> u64 {
        self.0.unstamped.load(Ordering::SeqCst)
    }
    pub(crate) fn redelivered(&self) -> u64 {
        self.0.redelivered.load(Ordering::SeqCst)
    }
    pub(crate) fn rejected_by_name(&self) -> BTreeMap<String, u64> {
        self.0.rejected.lock().unwrap().clone()
    }
    pub(crate) fn delivered(&self) -> u64 {
        self.0.ledger.lock().unwrap().delivered()
    }
    pub(crate) fn a_key_was_in_work_twice(&self) -> bool {
        self.0.in_work.lock().unwrap().1
    }
    pub(crate) fn balance(&self, caller: &CallerLedger) -> Balance {
        Balance::of(
            std::slice::from_ref(caller),
            Some(&self.0.ledger.lock().unwrap()),
        )
    }
}

impl Service for Ledgered {
    fn handle(
        &self,
        message: Message,
        origin: Origin,
    ) -> impl Future<Output = Reply> + Send + 'static {
        let inner = self.0.clone();
        async move {
            let Message::Order(order) = message else {
                return Reply::Failed("these tests send orders only".into());
            };
            let user = order.user_id.clone();
            {
                let mut in_work = inner.in_work.lock().unwrap();
                let working = in_work.0.entry(user.clone()).or_default();
                *working += 1;
                in_work.1 |= *working > 1;
            }
            let work = *inner.work.lock().unwrap();
            if !work.is_zero() {
                tokio::time::sleep(work).await;
            }
            *inner.in_work.lock().unwrap().0.get_mut(&user).unwrap() -= 1;
            match origin.stamp {
                Some(stamp) => {
                    assert_eq!(stamp.run, RUN, "a Stamp arrives as it was sent");
                    let key = BuildHasherDefault::<DefaultHasher>::default().hash_one(&user);
                    let mut ledger = inner.ledger.lock().unwrap();
                    ledger.record(stamp.producer, stamp.sequence, key);
                }
                None => {
                    inner.unstamped.fetch_add(1, Ordering::SeqCst);
                }
            }
            if origin.redelivered {
                inner.redelivered.fetch_add(1, Ordering::SeqCst);
            }
            let reply = match validate(&order) {
                Ok(receipt) => Reply::Done(Answer::Receipt(receipt)),
                Err(refusal) => {
                    inner.refused.fetch_add(1, Ordering::SeqCst);
                    Reply::Refused(refusal.to_string())
                }
            };
            inner.handled.fetch_add(1, Ordering::SeqCst);
            reply
        }
    }

    fn rejected(&self, what: &str) {
        *self
            .0
            .rejected
            .lock()
            .unwrap()
            .entry(what.into())
            .or_default() += 1;
    }
}

/// An order's sequence, and what became of it.
pub(crate) type Sent = (u64, Outcome);

/// The sending side of a test: orders of the corpus, each sent once, and what became of them.
pub(crate) struct Sender {
    corpus: Corpus,
    format: Format,
    pub(crate) ledger: CallerLedger,
    /// Failures by name.
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Sender {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            corpus: Corpus::new(PayloadClass::Order(3), 1),
            format,
            ledger: CallerLedger::default(),
            failures: BTreeMap::new(),
        }
    }

    /// The next order: sequence, key, body, Stamp.
    pub(crate) fn next(&mut self) -> (u64, String, Bytes, Stamp) {
        let sequence = self.ledger.attempted;
        self.ledger.attempted += 1;
        let message = self.corpus.message(RUN, 0, sequence);
        let Message::Order(order) = message else {
            unreachable!("the corpus of O3 is orders")
        };
        let stamp = Stamp {
            run: RUN,
            producer: 0,
            sequence,
            planned_ns: bench_host::clock::now_ns(),
        };
        (
            sequence,
            order.user_id.clone(),
            message.encode(self.format),
            stamp,
        )
    }

    pub(crate) fn record(&mut self, sequence: u64, outcome: Outcome) {
        match outcome.result {
            CallResult::Acknowledged(answer) => {
                assert!(answer.is_none(), "a confirm carries no answer");
                self.ledger.acknowledged.insert(sequence);
            }
            CallResult::Refused(_) => self.ledger.refused += 1,
            CallResult::Failed(failure) => {
                self.ledger.failed += 1;
                *self.failures.entry(failure.name).or_default() += 1;
            }
            CallResult::TimedOut => self.ledger.timed_out += 1,
        }
    }

    /// One more order on its way; it is sent when first polled.
    pub(crate) fn start(&mut self, caller: &impl Caller) -> LocalBoxFuture<'static, Sent> {
        let (sequence, key, body, stamp) = self.next();
        let call = caller.call(Kind::Order, &key, body, Some(stamp));
        // Boxed here, because the future's type names the key's lifetime though it does not hold the key.
        let call: LocalBoxFuture<'static, Outcome> = Box::pin(call);
        Box::pin(async move { (sequence, call.await) })
    }

    /// Sends so many orders, at most 256 at once.
    pub(crate) async fn send(&mut self, caller: &impl Caller, count: usize) {
        use futures_util::StreamExt;
        let mut calls = futures_util::stream::FuturesUnordered::new();
        let mut left = count;
        loop {
            while left > 0 && calls.len() < 256 {
                left -= 1;
                calls.push(self.start(caller));
            }
            match calls.next().await {
                Some((sequence, outcome)) => self.record(sequence, outcome),
                None => return,
            }
        }
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("waited for {PATIENCE:?} in vain until {what}"));
}

/// One verb of the stack, on one broker.
pub(crate) async fn stack(verb: &'static str, broker: &str) {
    let output = run_stack(verb, broker.into()).await;
    assert!(
        output.status.success(),
        "stack/stack {verb} {broker} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

async fn run_stack(verb: &'static str, broker: String) -> std::process::Output {
    let run = move || {
        std::process::Command::new(repository().join("stack/stack"))
            .args([verb, &broker])
            .output()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    output.expect("stack/stack can be run")
}
