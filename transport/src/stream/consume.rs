//! The serving end of the stream: up to `prefetch` records in work, one of a key at a time and in its order. After the
//! work the highest contiguous finished offset of a partition is stored, and librdkafka commits what is stored. A request
//! that names where its reply goes is answered before that, and is no dead letter: its caller is told.

use super::assignment::{Assignment, OffRuntime, shared_out};
use super::handle::{Out, handle};
use super::offsets::Ticket;
use super::replies::Answers;
use super::turns::Turns;
use super::{Route, blocking, client_in_force, fetching, place};
use crate::{Listener, Service, Settings};
use anyhow::{Context as _, bail};
use futures_util::StreamExt;
use rdkafka::Message as _;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::OwnedMessage;
use rdkafka::producer::FutureProducer;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
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
