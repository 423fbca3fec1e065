//! What the broker tests stand on: where the brokers are, a small real service with a ledger, and each broker's own
//! plain client, which stands for somebody else's producer and reads the dead letters.

use bench_proto::format::Answer;
use bench_proto::ledger::Balance;
use bench_proto::validate::validate;
use bench_proto::{
    CallerLedger, Corpus, Durability, Format, Kind, Message, PayloadClass, ServiceLedger, Stamp,
};
use bench_transport::{
    CallResult, Caller, Listener, Origin, Outcome, Reply, Service, Settings, queue, stream,
};
use bytes::Bytes;
use futures_util::FutureExt;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message as _, Offset, TopicPartitionList};
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

/// One test at a time has the brokers: some of them stop one.
static BROKERS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// An address from the environment, else from the checkout's own stack.
fn address(variable: &str) -> Option<String> {
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
    let _alone = BROKERS.lock().await;
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
        Err(panic) => resume_unwind(panic),
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

    /// Sends so many orders, at most 256 at once.
    pub(crate) async fn send(&mut self, caller: &impl Caller, count: usize) {
        use futures_util::StreamExt;
        let mut calls = futures_util::stream::FuturesUnordered::new();
        let mut left = count;
        loop {
            while left > 0 && calls.len() < 256 {
                left -= 1;
                let (sequence, key, body, stamp) = self.next();
                let call = caller.call(Kind::Order, &key, body, Some(stamp));
                calls.push(async move { (sequence, call.await) });
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
pub(crate) async fn stack(verb: &'static str, broker: &'static str) {
    let run = move || {
        std::process::Command::new(repository().join("stack/stack"))
            .args([verb, broker])
            .output()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    assert!(
        output.status.success(),
        "stack/stack {verb} {broker} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// RabbitMQ.
#[derive(Clone)]
pub(crate) struct Rabbit(String);

impl Broker for Rabbit {
    type Caller = queue::QueueCaller;
    const NAME: &'static str = "RabbitMQ";
    const ADDRESS: &'static str = "HOPBENCH_AMQP_URL";
    fn new(address: String) -> Self {
        Self(address)
    }
    fn address(&self) -> String {
        self.0.clone()
    }
    async fn connect(&self, settings: &Settings) -> anyhow::Result<Self::Caller> {
        queue::connect(settings).await
    }
    async fn serve(&self, settings: &Settings, service: Ledgered) -> anyhow::Result<Listener> {
        queue::serve(settings, service).await
    }
    async fn prepare(&self, settings: &Settings) -> anyhow::Result<()> {
        queue::prepare(settings).await
    }
    async fn remove(&self, settings: &Settings) -> anyhow::Result<()> {
        queue::remove(settings).await
    }
    async fn backlog(&self, settings: &Settings) -> anyhow::Result<u64> {
        queue::backlog(settings).await
    }

    async fn send_raw(&self, settings: &Settings, raw: Raw) {
        let plain = ConnectionProperties::default();
        let connection = Connection::connect(&self.0, plain).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let confirms = ConfirmSelectOptions::default();
        channel.confirm_select(confirms).await.unwrap();
        let mut properties = BasicProperties::default();
        if let Some(content_type) = raw.content_type {
            properties = properties.with_content_type(content_type.into());
        }
        if let Some(stamp) = raw.stamp {
            let mut headers = FieldTable::default();
            headers.insert(Stamp::HEADER.into(), AMQPValue::ByteArray(stamp.into()));
            properties = properties.with_headers(headers);
        }
        let exchange = format!("hopbench.{}", settings.scope);
        let options = BasicPublishOptions::default();
        channel
            .basic_publish(
                exchange.into(),
                "orders".into(),
                options,
                &raw.body,
                properties,
            )
            .await
            .unwrap()
            .await
            .unwrap();
        connection.close(200, "done".into()).await.unwrap();
    }

    async fn dead_letters(&self, settings: &Settings, count: usize) -> Vec<(Vec<u8>, String)> {
        let plain = ConnectionProperties::default();
        let connection = Connection::connect(&self.0, plain).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let queue = format!("hopbench.{}.dead", settings.scope);
        let mut letters = Vec::new();
        let gather = async {
            while letters.len() < count {
                let options = BasicGetOptions::default();
                match channel
                    .basic_get(queue.as_str().into(), options)
                    .await
                    .unwrap()
                {
                    Some(got) => {
                        let headers = got.delivery.properties.headers().clone();
                        let reason =
                            match headers.unwrap_or_default().inner().get("hopbench-reason") {
                                Some(AMQPValue::LongString(text)) => text.to_string(),
                                other => {
                                    panic!("a dead letter names its reason, this one {other:?}")
                                }
                            };
                        letters.push((got.delivery.data.clone(), reason));
                        got.delivery
                            .acker
                            .ack(BasicAckOptions::default())
                            .await
                            .unwrap();
                    }
                    None => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let gathered = tokio::time::timeout(PATIENCE, gather).await;
        assert!(
            gathered.is_ok(),
            "{} of {count} dead letters came",
            letters.len()
        );
        connection.close(200, "done".into()).await.unwrap();
        letters
    }
}

/// Kafka.
#[derive(Clone)]
pub(crate) struct Kafka(String);

impl Broker for Kafka {
    type Caller = stream::StreamCaller;
    const NAME: &'static str = "Kafka";
    const ADDRESS: &'static str = "HOPBENCH_KAFKA_BROKERS";
    fn new(address: String) -> Self {
        Self(address)
    }
    fn address(&self) -> String {
        self.0.clone()
    }
    async fn connect(&self, settings: &Settings) -> anyhow::Result<Self::Caller> {
        stream::connect(settings).await
    }
    async fn serve(&self, settings: &Settings, service: Ledgered) -> anyhow::Result<Listener> {
        stream::serve(settings, service).await
    }
    async fn prepare(&self, settings: &Settings) -> anyhow::Result<()> {
        stream::prepare(settings).await
    }
    async fn remove(&self, settings: &Settings) -> anyhow::Result<()> {
        stream::remove(settings).await
    }
    async fn backlog(&self, settings: &Settings) -> anyhow::Result<u64> {
        stream::backlog(settings).await
    }

    async fn send_raw(&self, settings: &Settings, raw: Raw) {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.0)
            .create()
            .unwrap();
        let topic = format!("hopbench.{}.orders", settings.scope);
        let mut headers = OwnedHeaders::new();
        if let Some(content_type) = raw.content_type {
            headers = headers.insert(Header {
                key: "content-type",
                value: Some(content_type),
            });
        }
        if let Some(stamp) = &raw.stamp {
            headers = headers.insert(Header {
                key: Stamp::HEADER,
                value: Some(stamp),
            });
        }
        let record = FutureRecord::<[u8], _>::to(&topic)
            .payload(&raw.body)
            .headers(headers);
        producer.send(record, PATIENCE).await.unwrap();
    }

    async fn dead_letters(&self, settings: &Settings, count: usize) -> Vec<(Vec<u8>, String)> {
        let consumer: StreamConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.0)
            .set("group.id", "dead-letter-reader")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        let topic = format!("hopbench.{}.dead", settings.scope);
        list.add_partition_offset(&topic, 0, Offset::Beginning)
            .unwrap();
        consumer.assign(&list).unwrap();
        let mut letters = Vec::new();
        let gather = async {
            while letters.len() < count {
                let letter = consumer.recv().await.unwrap();
                let headers = letter.headers().expect("a dead letter has headers");
                let reason = headers
                    .iter()
                    .find(|header| header.key == "hopbench-reason");
                let reason = reason.and_then(|header| header.value).expect("a reason");
                let reason = String::from_utf8(reason.into()).unwrap();
                letters.push((letter.payload().unwrap_or_default().to_vec(), reason));
            }
        };
        let gathered = tokio::time::timeout(PATIENCE, gather).await;
        assert!(
            gathered.is_ok(),
            "{} of {count} dead letters came",
            letters.len()
        );
        letters
    }
}
