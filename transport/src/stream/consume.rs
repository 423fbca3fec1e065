//! The serving end of the stream: up to `prefetch` records in work, one of a key at a time and in its order. After the
//! work the highest contiguous finished offset of a partition is stored, and librdkafka commits what is stored. A request
//! that names where its reply goes is answered before that, and is no dead letter: its caller is told.

use super::offsets::{Offsets, Ticket};
use super::replies::{Answers, asked};
use super::turns::Turns;
use super::{KIND, Route, blocking, client_in_force, fetching, place};
use crate::broker::{Consumed, REASON, contained};
use crate::reply::Written;
use crate::{Listener, Reply, Service, Settings, travel};
use anyhow::{Context as _, bail};
use bench_proto::Stamp;
use futures_util::StreamExt;
use futures_util::future::select_all;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientContext, Message as _, TopicPartitionList};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// How long a killed consumer keeps its partitions.
pub(super) const SESSION: Duration = Duration::from_secs(6);
/// Until a new consumer has its partitions: a killed predecessor's session and a rebalance, with room.
const ASSIGNMENT: Duration = Duration::from_secs(20);
/// Committing and leaving the group when stopped.
const FAREWELL: Duration = Duration::from_secs(5);
/// Records held per record in work: keys repeat, and a key in work must not keep the others from their turn.
const LOOKAHEAD: usize = 4;

/// Read back and printed with the result.
const PRINTED: [&str; 10] = [
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "enable.auto.offset.store",
    "auto.commit.interval.ms",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "fetch.min.bytes",
    "max.partition.fetch.bytes",
    "partition.assignment.strategy",
];

fn config(route: &Route) -> ClientConfig {
    let mut config = route.client("service");
    config
        .set("group.id", &route.group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "100")
        .set("session.timeout.ms", SESSION.as_millis().to_string())
        .set("heartbeat.interval.ms", "2000")
        .set_log_level(RDKafkaLogLevel::Warning);
    fetching(&mut config, route);
    config
}

/// Serves the run's topic. Returns when every partition is assigned to one of its consumers, and each of them that can
/// have one has one; where others of its group hold some for longer than a dead one could, with its share.
pub async fn serve<S: Service>(settings: &Settings, service: S) -> anyhow::Result<Listener> {
    let route = Route::new(settings)?;
    route.create().await?;
    let mut in_force = route.topic_in_force().await?;
    let config = config(&route);
    in_force.extend(client_in_force(&config, &PRINTED)?);
    if settings.from_latest {
        place::at_the_end(&route).await?;
        in_force.insert("begins".into(), "at the topic's end".into());
    }
    let undertaker = route
        .client("dead letters")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("message.timeout.ms", FAREWELL.as_millis().to_string())
        .set("message.max.bytes", route.max_dead().to_string())
        .create()
        .context("the producer of dead letters could not be set up")?;
    let (stop, stopped) = watch::channel(false);
    let server = Server {
        service,
        max_body: settings.max_body,
        prefetch: usize::from(settings.prefetch.max(1)),
        undertaker,
        answers: Answers::new(&route),
        topic: route.orders.clone(),
        dead: route.dead.clone(),
        stopped,
        open: TaskTracker::new(),
    };
    // Dropped before its time, it ends those that it holds.
    let mut consumers = JoinSet::new();
    let mut shares = Vec::new();
    for _ in 0..settings.consumers.max(1) {
        let consumer: StreamConsumer<Assignment> = config
            .create_with_context(Assignment::default())
            .context("the Kafka consumer could not be set up")?;
        consumer
            .subscribe(&[&route.orders])
            .with_context(|| format!("could not subscribe to {}", route.orders))?;
        shares.push(consumer.context().assigned.subscribe());
        let owner = OffRuntime {
            consumer: Some(consumer),
            open: server.open.clone(),
        };
        consumers.spawn(server.open.track_future(server.clone().run(owner)));
    }
    let _ = timeout(
        ASSIGNMENT,
        shared_out(&mut shares, route.partitions as usize),
    )
    .await;
    let held: Vec<usize> = shares.iter().filter_map(|share| *share.borrow()).collect();
    let share: usize = held.iter().sum();
    if share == 0 {
        bail!(
            "Kafka assigned no partition of {} within {ASSIGNMENT:?}: is another consumer in group {}?",
            route.orders,
            route.group
        );
    }
    for (name, value) in [
        ("consumers", consumers.len().to_string()),
        ("group", route.group.clone()),
        ("assigned-partitions", share.to_string()),
        (
            "consumers-with-partitions",
            held.iter().filter(|count| **count > 0).count().to_string(),
        ),
        ("prefetch", settings.prefetch.to_string()),
        ("max-body", settings.max_body.to_string()),
        ("dead-letter-topic", route.dead.clone()),
    ] {
        in_force.insert(name.into(), value);
    }
    let task = tokio::spawn(async move { while consumers.join_next().await.is_some() {} });
    Ok(Listener::new(route.brokers, in_force, stop, task).with_consumers(server.open))
}

/// Waits until every consumer has joined and so many partitions are spread over them, none of which is left without one
/// that could have it. One that joined later would have everything assigned anew, and what is in work done twice.
async fn shared_out(shares: &mut [watch::Receiver<Option<usize>>], partitions: usize) {
    loop {
        let held: Vec<usize> = shares
            .iter_mut()
            .filter_map(|share| *share.borrow_and_update())
            .collect();
        let busy = held.iter().filter(|count| **count > 0).count();
        let joined = held.len() == shares.len();
        if joined && held.iter().sum::<usize>() == partitions && busy == partitions.min(held.len())
        {
            return;
        }
        let changes = shares.iter_mut().map(|share| Box::pin(share.changed()));
        let (changed, ..) = select_all(changes).await;
        if changed.is_err() {
            return;
        }
    }
}

/// Follows what is assigned to this consumer.
struct Assignment {
    offsets: Mutex<Offsets>,
    /// Partitions; none before the group has shared them out, and while it does so anew.
    assigned: watch::Sender<Option<usize>>,
}

impl Default for Assignment {
    fn default() -> Self {
        Self {
            offsets: Mutex::default(),
            assigned: watch::Sender::new(None),
        }
    }
}

impl Assignment {
    fn offsets(&self) -> MutexGuard<'_, Offsets> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Assignment {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, "librdkafka: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("librdkafka: {error}: {reason}");
    }
}

impl ConsumerContext for Assignment {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let numbers = |list: &TopicPartitionList| {
            let elements = list.elements();
            elements
                .iter()
                .map(|one| one.partition())
                .collect::<Vec<_>>()
        };
        let mut offsets = self.offsets();
        match rebalance {
            Rebalance::Assign(list) => offsets.assign(numbers(list)),
            Rebalance::Revoke(list) => offsets.revoke(numbers(list)),
            Rebalance::Error(_) => {}
        }
        let settled = matches!(rebalance, Rebalance::Assign(_));
        self.assigned
            .send_replace(settled.then(|| offsets.assigned()));
    }
}

/// Closing a consumer blocks until it has left its group: never on the runtime.
struct OffRuntime {
    consumer: Option<StreamConsumer<Assignment>>,
    /// Where it counts as open until it has left.
    open: TaskTracker,
}

impl Drop for OffRuntime {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            let open = self.open.token();
            std::thread::spawn(move || {
                drop(consumer);
                drop(open);
            });
        }
    }
}

#[derive(Clone)]
struct Server<S> {
    service: S,
    max_body: usize,
    prefetch: usize,
    undertaker: FutureProducer,
    answers: Answers,
    topic: String,
    dead: String,
    stopped: watch::Receiver<bool>,
    /// Its consumers and their records in work.
    open: TaskTracker,
}

/// A record on its way through the service.
type Held = (Ticket, OwnedMessage);

impl<S: Service> Server<S> {
    async fn run(self, mut owner: OffRuntime) {
        if let Some(consumer) = &owner.consumer {
            self.deliver(consumer).await;
        }
        let Some(consumer) = owner.consumer.take() else {
            return;
        };
        let farewell = blocking(move || {
            // No offset stored since the last commit is no fault.
            let _ = consumer.commit_consumer_state(CommitMode::Sync);
            drop(consumer);
            Ok(())
        });
        let _ = timeout(FAREWELL, farewell).await;
    }

    /// Hands records to the service until it is stopped, then finishes what is in work.
    async fn deliver(&self, consumer: &StreamConsumer<Assignment>) {
        let mut records = consumer.stream();
        let mut stopped = self.stopped.clone();
        let mut turns = Turns::<Held>::new(self.prefetch);
        let mut work = JoinSet::new();
        let mut stopping = false;
        while !(stopping && work.is_empty()) {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop), if !stopping => {
                    stopping = true;
                    turns.drop_waiting();
                }
                Some(done) = work.join_next(), if !work.is_empty() => {
                    let Ok((key, ticket, finished)) = done else { continue };
                    turns.done(key);
                    if finished {
                        self.store(consumer, ticket);
                    }
                }
                record = records.next(), if !stopping && turns.held() < LOOKAHEAD * self.prefetch => match record {
                    Some(Ok(record)) => {
                        let taken = consumer.context().offsets().take(record.partition(), record.offset());
                        if let Some(ticket) = taken {
                            let key = record.key().map(|key| hash(record.partition(), key));
                            turns.push(key, (ticket, record.detach()));
                        }
                    }
                    Some(Err(error)) => tracing::debug!("Kafka's consumer reports: {error}"),
                    None => return,
                },
            }
            while let Some((key, (ticket, record))) = turns.next() {
                // Its partition went to another consumer while it waited for its turn: it is the other's now.
                if !consumer.context().offsets().holds(&ticket) {
                    turns.done(key);
                    continue;
                }
                let handled = handle(
                    self.service.clone(),
                    self.max_body,
                    Out {
                        answers: self.answers.clone(),
                        undertaker: self.undertaker.clone(),
                        dead: self.dead.clone(),
                        stopped: self.stopped.clone(),
                    },
                    record,
                );
                let handled = async move { (key, ticket, handled.await) };
                work.spawn(self.open.track_future(handled));
            }
        }
    }

    fn store(&self, consumer: &StreamConsumer<Assignment>, ticket: Ticket) {
        let highest = consumer.context().offsets().finish(ticket);
        let Some(offset) = highest else { return };
        // It fails only when the partition was just taken away: then its next owner takes the record again.
        if let Err(error) = consumer.store_offset(&self.topic, ticket.partition, offset) {
            tracing::debug!("offset {offset} was not stored: {error}");
        }
    }
}

fn hash(partition: i32, key: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one((partition, key))
}

/// Where everything goes that a record leaves.
struct Out {
    answers: Answers,
    undertaker: FutureProducer,
    dead: String,
    stopped: watch::Receiver<bool>,
}

/// One record from its bytes to its end. False if it must be delivered again.
async fn handle<S: Service>(service: S, max_body: usize, out: Out, record: OwnedMessage) -> bool {
    let header = |name: &str| {
        let headers = record.headers()?;
        headers
            .iter()
            .find(|header| header.key == name)
            .map(|header| header.value.unwrap_or_default())
    };
    let text = |name| header(name).map(|value| std::str::from_utf8(value).unwrap_or("not text"));
    let consumed = Consumed {
        body: record.payload().unwrap_or_default(),
        content_type: text("content-type"),
        kind: text(KIND),
        stamp: header(Stamp::HEADER),
        deadline: header(travel::DEADLINE),
        redelivered: false,
    };
    let handled = match consumed.request(max_body) {
        Ok((message, origin, format)) => {
            Ok((contained(service.handle(message, origin)).await, format))
        }
        Err(rejected) => {
            service.rejected(&format!("stream {}", rejected.what));
            Err(rejected)
        }
    };
    if let Some((topic, correlation)) = asked(&record) {
        let reply = Written::of(handled);
        out.answers.send(&topic, correlation.as_deref(), &reply);
        return true;
    }
    let reason = match handled {
        Ok((Reply::Done(_), _)) => return true,
        Ok((Reply::Refused(reason) | Reply::Failed(reason) | Reply::Overloaded(reason), _)) => {
            reason
        }
        Err(rejected) => rejected.reason,
    };
    bury(out.undertaker, &out.dead, out.stopped, &record, &reason).await
}

/// Produces the record to the dead-letter topic, key and headers kept, the reason in a header beside them. Tries
/// until Kafka has it: an order leaves its partition only when its dead letter is stored.
async fn bury(
    undertaker: FutureProducer,
    dead: &str,
    mut stopped: watch::Receiver<bool>,
    record: &OwnedMessage,
    reason: &str,
) -> bool {
    let headers = record.headers().cloned().unwrap_or_default();
    let headers = headers.insert(Header {
        key: REASON,
        value: Some(reason),
    });
    loop {
        let mut letter = FutureRecord::<[u8], [u8]>::to(dead).headers(headers.clone());
        if let Some(key) = record.key() {
            letter = letter.key(key);
        }
        if let Some(payload) = record.payload() {
            letter = letter.payload(payload);
        }
        let delivered = match undertaker.send_result(letter) {
            Ok(report) => matches!(report.await, Ok(Ok(_))),
            Err(_) => false,
        };
        if delivered {
            return true;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
            _ = stopped.wait_for(|stop| *stop) => return false,
        }
    }
}
