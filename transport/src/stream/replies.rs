//! Request and reply over Kafka, both ends of the reply: a topic of one partition per caller, the correlation id in a
//! header. A reply is produced in the run's class and sent once: the caller's deadline ends a call whose reply was lost.

use super::{ATTEMPT, Route};
use crate::reply::{Arrived, Calls, Written};
use anyhow::{Context as _, bail};
use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};
use tokio::time::timeout;

/// Header of a request: the topic of its reply.
pub(super) const REPLY_TO: &str = "hopbench-reply-to";
/// Header of request and reply: which call it is, eight bytes, big-endian.
pub(super) const CORRELATION: &str = "hopbench-correlation";
/// Header of a reply: what it says.
const STATUS: &str = "hopbench-status";
/// No call has this one: the caller proves with it that replies reach it.
const HELLO: u64 = 0;

/// The caller's end. Replies are handed over as long as it lives.
pub(super) struct Inbox {
    pub(super) topic: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Closing a consumer blocks: never on the runtime.
struct OffRuntime(Option<StreamConsumer>);

impl Drop for OffRuntime {
    fn drop(&mut self) {
        if let Some(consumer) = self.0.take() {
            std::thread::spawn(move || drop(consumer));
        }
    }
}

impl Inbox {
    /// Creates the caller's reply topic and reads it. A first record has come back when it returns: replies will too.
    pub(super) async fn open(route: &Route, calls: Arc<Calls>) -> anyhow::Result<Self> {
        let caller = RandomState::new().hash_one(bench_host::clock::now_ns());
        let topic = format!("{}{caller:016x}", route.reply_prefix());
        let admin = route.admin()?;
        let max = route.max_record.to_string();
        let new =
            NewTopic::new(&topic, 1, TopicReplication::Fixed(1)).set("max.message.bytes", &max);
        let created = admin
            .client
            .create_topics([&new], &admin.options)
            .await
            .with_context(|| format!("no usable Kafka at {}", route.brokers))?;
        if let Some(Err((topic, code))) = created.into_iter().next() {
            bail!("Kafka did not create reply topic {topic}: {code}");
        }
        let awaited = topic.clone();
        super::blocking(move || admin.wait_for_leaders(&awaited, 1)).await?;
        let consumer: StreamConsumer = super::fetching(&mut route.client("replies"), route)
            // It takes part in no group and commits nothing; the library wants a name all the same.
            .set("group.id", &topic)
            .set("enable.auto.commit", "false")
            .set_log_level(RDKafkaLogLevel::Warning)
            .create()
            .context("the Kafka consumer of replies could not be set up")?;
        let mut whole = TopicPartitionList::new();
        whole.add_partition_offset(&topic, 0, Offset::Offset(0))?;
        consumer.assign(&whole)?;
        let owner = OffRuntime(Some(consumer));
        let out = Answers::new(route);
        out.send(
            &topic,
            Some(&HELLO.to_be_bytes()),
            &Written::of(Ok((
                crate::Reply::Refused(String::new()),
                bench_proto::Format::Json,
            ))),
        );
        let hello = async {
            match &owner.0 {
                Some(consumer) => consumer.recv().await.map(drop),
                None => Ok(()),
            }
        };
        timeout(2 * ATTEMPT, hello)
            .await
            .ok()
            .and_then(Result::ok)
            .with_context(|| {
                format!("no reply reached this caller over topic {topic} within {:?}: look at Kafka's log", 2 * ATTEMPT)
            })?;
        let task = tokio::spawn(async move {
            while let Some(consumer) = &owner.0 {
                match consumer.recv().await {
                    Ok(reply) => hand_over(&reply, &calls),
                    Err(error) => tracing::debug!("the consumer of replies reports: {error}"),
                }
            }
        });
        Ok(Self { topic, task })
    }
}

fn hand_over(reply: &BorrowedMessage<'_>, calls: &Calls) {
    let header = |name: &str| {
        let headers = reply.headers()?;
        let found = headers.iter().find(|header| header.key == name)?;
        found.value
    };
    let Some(id) = header(CORRELATION).and_then(|id| id.try_into().ok()) else {
        tracing::debug!("a reply without a correlation id of ours was dropped");
        return;
    };
    let status = header(STATUS).and_then(|status| std::str::from_utf8(status).ok());
    let body = reply.payload().unwrap_or_default().to_vec();
    calls.arrived(u64::from_be_bytes(id), Arrived::new(status, body));
}

/// The service's end: one producer for all replies, set up with the first of them.
#[derive(Clone)]
pub(super) struct Answers {
    producer: Arc<OnceLock<Option<ThreadedProducer<DefaultProducerContext>>>>,
    route: Arc<Route>,
}

impl Answers {
    pub(super) fn new(route: &Route) -> Self {
        Self {
            producer: Arc::default(),
            route: Arc::new(route.clone()),
        }
    }

    fn producer(&self) -> Option<&ThreadedProducer<DefaultProducerContext>> {
        let set_up = || {
            let route = &self.route;
            let created = route
                .client("answers")
                .set("acks", route.acks)
                .set("linger.ms", "0")
                .set("retries", "0")
                .set("message.timeout.ms", ATTEMPT.as_millis().to_string())
                .set("message.max.bytes", route.max_record.to_string())
                .set_log_level(RDKafkaLogLevel::Warning)
                .create();
            created
                .inspect_err(|error| tracing::error!("no replies can be sent: {error}"))
                .ok()
        };
        self.producer.get_or_init(set_up).as_ref()
    }

    /// Sends a reply on its way. One that cannot be sent is lost, and its caller's deadline passes.
    pub(super) fn send(&self, topic: &str, correlation: Option<&[u8]>, reply: &Written) {
        let headers = OwnedHeaders::new_with_capacity(3)
            .insert(Header {
                key: "content-type",
                value: Some(reply.content_type),
            })
            .insert(Header {
                key: STATUS,
                value: Some(reply.status.name()),
            });
        let headers = headers.insert(Header {
            key: CORRELATION,
            value: correlation,
        });
        let record = BaseRecord::<(), [u8]>::to(topic)
            .partition(0)
            .payload(&reply.body[..])
            .headers(headers);
        let Some(producer) = self.producer() else {
            return;
        };
        if let Err((error, _)) = producer.send(record) {
            tracing::debug!("a reply was not sent: {error}");
        }
    }
}

/// Where a request wants its reply: topic and correlation id.
pub(super) fn asked(record: &OwnedMessage) -> Option<(String, Option<Vec<u8>>)> {
    let headers = record.headers()?;
    let find = |name| headers.iter().find(|header| header.key == name)?.value;
    let topic = String::from_utf8(find(REPLY_TO)?.to_vec()).ok()?;
    Some((topic, find(CORRELATION).map(<[u8]>::to_vec)))
}

/// Deletes the reply topics of the run's callers.
pub(super) async fn remove(route: &Route) -> anyhow::Result<()> {
    let admin = Arc::new(route.admin()?);
    let (prefix, reader) = (route.reply_prefix(), admin.clone());
    let topics: Vec<String> = super::blocking(move || {
        let all = reader.client.inner().fetch_metadata(None, ATTEMPT)?;
        let names = all.topics().iter().map(|topic| topic.name().to_string());
        Ok(names.filter(|name| name.starts_with(&prefix)).collect())
    })
    .await?;
    if topics.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    for outcome in admin.client.delete_topics(&names, &admin.options).await? {
        match outcome {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("Kafka did not delete reply topic {topic}: {code}"),
        }
    }
    Ok(())
}
