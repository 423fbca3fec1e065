//! The sending end of the stream: librdkafka's producer with a bounded window, each call waiting for its delivery
//! report until its deadline, or for its reply. A full queue of the library is back-pressure, in order. As written, a call
//! flushes the producer after its send and so waits for everybody's.

use super::refusal::{failed, is_full, is_unknown, refused, unsent};
use super::replies::{CORRELATION, Inbox, REPLY_TO};
use super::reports::{Context, Report, Reports, Waiting};
use super::{Route, client_in_force};
use crate::broker::{count, kind_name};
use crate::reply::{Arrived, Calls, Ticket};
use crate::{
    CallResult, Caller, Connecting, Counters, Outcome, ReplyVia, Settings, Transport, travel,
};
use anyhow::{Context as _, bail};
use bench_host::clock::{after, now_ns};
use bench_proto::{Format, Kind, Stamp};
use bytes::Bytes;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// Read back and printed with the result.
const PRINTED: [&str; 12] = [
    "acks",
    "linger.ms",
    "max.in.flight.requests.per.connection",
    "enable.idempotence",
    "message.timeout.ms",
    "socket.nagle.disable",
    "compression.codec",
    "message.max.bytes",
    "queue.buffering.max.messages",
    "batch.size",
    "partitioner",
    "retries",
];

/// Produces to the run's topic. Clones share the producer, the window and the counters.
#[derive(Clone, Debug)]
pub struct StreamCaller(Arc<Publisher>);

struct Publisher {
    producer: Arc<ThreadedProducer<Context>>,
    flushes: bool,
    format: Format,
    deadline: Duration,
    /// The deadline rides along, where a reply is awaited.
    deadline_travels: bool,
    topic: String,
    window: Arc<Semaphore>,
    /// Calls that found librdkafka's queue full take turns here, and the later ones queue behind them.
    gate: tokio::sync::Mutex<()>,
    at_gate: AtomicUsize,
    reports: Arc<Reports>,
    /// The calls that wait for a reply, and where their replies come; none where a call ends with its confirm.
    replies: Option<(Arc<Calls>, Inbox)>,
    in_force: BTreeMap<String, String>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher")
            .field("topic", &self.topic)
            .field("tally", &self.reports.tally)
            .finish_non_exhaustive()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.reports.close();
    }
}

/// Records in librdkafka's buffer, where nothing else is asked for.
const CLIENT_BUFFER: u32 = 100_000;

fn config(route: &Route, settings: &Settings) -> ClientConfig {
    let mut config = route.client("publisher");
    config
        .set("acks", route.acks)
        .set(
            "message.timeout.ms",
            settings.deadline.as_millis().max(1).to_string(),
        )
        .set("message.max.bytes", route.max_record.to_string())
        .set("statistics.interval.ms", "1000")
        .set_log_level(RDKafkaLogLevel::Warning);
    if let Some(most) = settings.client_buffer {
        config.set("queue.buffering.max.messages", most.to_string());
    }
    if settings.library_defaults {
        return config;
    }
    if settings.client_buffer.is_none() {
        config.set("queue.buffering.max.messages", CLIENT_BUFFER.to_string());
    }
    config
        .set(
            "linger.ms",
            (settings.linger.as_secs_f64() * 1e3).to_string(),
        )
        // The Java client's figure. librdkafka's own, a million, would let retries reorder without bound.
        .set("max.in.flight.requests.per.connection", "5")
        .set("enable.idempotence", "false")
        .set("compression.codec", "none")
        // The same partition for a key as every Java client chooses.
        .set("partitioner", "murmur2_random");
    config
}

/// Creates the run's topics if need be, and a producer to them.
pub async fn connect(settings: &Settings) -> anyhow::Result<StreamCaller> {
    let mut route = Route::new(settings)?;
    let possible = settings.connecting.check(Transport::Stream);
    possible.map_err(anyhow::Error::msg)?;
    route.create().await?;
    if settings.connecting == Connecting::AsWritten && route.acks == "all" {
        // The sample leaves `acks` to kafka-python, which asks the leader alone.
        route.acks = "1";
    }
    let config = config(&route, settings);
    let mut in_force = route.topic_in_force().await?;
    in_force.extend(client_in_force(&config, &PRINTED)?);
    for (name, value) in [
        ("connecting", settings.connecting.to_string()),
        ("window", settings.window.to_string()),
        ("deadline-ms", settings.deadline.as_millis().to_string()),
        ("content-type", settings.format.content_type().to_string()),
    ] {
        in_force.insert(name.into(), value);
    }
    let reports = Arc::new(Reports::new(settings.reply.is_some()));
    let producer = config
        .create_with_context(Context(reports.clone()))
        .context("the Kafka producer could not be set up")?;
    let replies = match settings.reply {
        None => None,
        Some(ReplyVia::Topic) => {
            let room = Arc::new(Semaphore::new(settings.window.max(1)));
            let calls = Calls::new(room, reports.tally.clone());
            let inbox = Inbox::open(&route, calls.clone()).await?;
            Some((calls, inbox))
        }
        Some(other) => {
            bail!("a reply by {other} was asked for, and that is RabbitMQ's: use topic")
        }
    };
    let via = settings.reply.map_or("none", ReplyVia::name);
    in_force.insert("reply".into(), via.into());
    tokio::spawn(reports.clone().dispatch());
    Ok(StreamCaller(Arc::new(Publisher {
        producer: Arc::new(producer),
        flushes: settings.connecting == Connecting::AsWritten,
        format: settings.format,
        deadline: settings.deadline,
        deadline_travels: settings.deadline_travels && settings.reply.is_some(),
        topic: route.orders,
        window: Arc::new(Semaphore::new(settings.window.max(1))),
        gate: tokio::sync::Mutex::new(()),
        at_gate: AtomicUsize::new(0),
        reports,
        replies,
        in_force,
    })))
}

impl Caller for StreamCaller {
    fn format(&self) -> Format {
        self.0.format
    }

    fn call_within(
        &self,
        patience: Option<Duration>,
        kind: Kind,
        key: &str,
        body: Bytes,
        stamp: Option<Stamp>,
    ) -> impl Future<Output = Outcome> + 'static {
        let publisher = self.0.clone();
        let key = key.to_string();
        let patience = patience.unwrap_or(publisher.deadline);
        async move { publisher.publish(kind, key, body, stamp, patience).await }
    }

    fn counters(&self) -> Counters {
        self.0.reports.tally.read()
    }

    fn in_force(&self) -> BTreeMap<String, String> {
        self.0.in_force.clone()
    }
}

impl Publisher {
    async fn publish(
        &self,
        kind: Kind,
        key: String,
        body: Bytes,
        stamp: Option<Stamp>,
        patience: Duration,
    ) -> Outcome {
        let deadline = Instant::now() + patience;
        let travels = self.deadline_travels;
        let deadline_ns = travels.then(|| after(now_ns(), patience));
        let permit = match self.window.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => match timeout_at(deadline, self.window.clone().acquire_owned()).await {
                Ok(Ok(permit)) => permit,
                _ => {
                    return unsent(
                        "window",
                        "the window did not open before the deadline".into(),
                    );
                }
            },
        };
        let mut ticket = match &self.replies {
            None => None,
            Some((calls, _)) => match calls.ask(deadline).await {
                None => {
                    return unsent(
                        "window",
                        "no reply made room for the call before the deadline".into(),
                    );
                }
                ticket => ticket,
            },
        };
        let correlation = ticket.as_mut().map(Ticket::expect);
        let (call, report) = oneshot::channel();
        let mut record =
            BaseRecord::<str, [u8], _>::with_opaque_to(&self.topic, Box::new((call, permit)))
                .payload(&body[..])
                .headers(self.headers(kind, stamp, correlation, deadline_ns));
        if !key.is_empty() {
            record = record.key(key.as_str());
        }
        let sent_ns = match self.enqueue(record, deadline).await {
            Ok(sent_ns) => sent_ns,
            Err(failed) => return failed,
        };
        if self.flushes {
            self.flush(deadline).await;
        }
        let mut body_in = 0;
        let result = match timeout_at(deadline, end(report, ticket.as_mut())).await {
            Ok(End::Answered(reply)) => {
                body_in = reply.body.len();
                reply.result(kind, self.format)
            }
            Ok(End::Reported(Ok(()))) => CallResult::Acknowledged(None),
            Ok(End::Reported(Err(code))) if !is_unknown(code) => failed(code),
            // librdkafka gave up on it, our own deadline passed, or the producer went away: it may be in the log.
            _ => {
                count(&self.reports.tally.unknown);
                CallResult::TimedOut
            }
        };
        Outcome {
            sent_ns: Some(sent_ns),
            result,
            body_in,
        }
    }

    /// As the sample's thread does: blocked until everything in the producer is delivered, whoever sent it.
    async fn flush(&self, deadline: Instant) {
        let (producer, left) = (self.producer.clone(), deadline - Instant::now());
        // What became of this call's own record its delivery report says.
        let _ = tokio::task::spawn_blocking(move || producer.flush(left)).await;
    }

    /// Hands the record to librdkafka. A full queue is back-pressure: wait until deliveries make room, in order.
    async fn enqueue(
        &self,
        record: BaseRecord<'_, str, [u8], Box<Waiting>>,
        deadline: Instant,
    ) -> Result<u64, Outcome> {
        let mut record = record;
        if self.at_gate.load(Ordering::Relaxed) == 0 {
            let now = now_ns();
            match self.producer.send(record) {
                Ok(()) => return Ok(now),
                Err((error, back)) if is_full(&error) => record = back,
                Err((error, _)) => return Err(refused(&error)),
            }
        }
        count(&self.reports.tally.queue_full);
        let _waits = AtGate::new(&self.at_gate);
        let late = || {
            unsent(
                "queue-full",
                "librdkafka's queue stayed full until the deadline".into(),
            )
        };
        let Ok(_turn) = timeout_at(deadline, self.gate.lock()).await else {
            return Err(late());
        };
        loop {
            let mut room = std::pin::pin!(self.reports.room.notified());
            room.as_mut().enable();
            let now = now_ns();
            match self.producer.send(record) {
                Ok(()) => return Ok(now),
                Err((error, back)) if is_full(&error) => record = back,
                Err((error, _)) => return Err(refused(&error)),
            }
            // librdkafka frees a batch only after its last callback, so the last notice can come too early: look again.
            let again = (Instant::now() + Duration::from_millis(5)).min(deadline);
            if timeout_at(again, room).await.is_err() && Instant::now() >= deadline {
                return Err(late());
            }
        }
    }

    fn headers(
        &self,
        kind: Kind,
        stamp: Option<Stamp>,
        correlation: Option<u64>,
        deadline_ns: Option<u64>,
    ) -> OwnedHeaders {
        let mut headers = OwnedHeaders::new_with_capacity(6).insert(Header {
            key: "content-type",
            value: Some(self.format.content_type()),
        });
        if let Some(stamp) = stamp {
            headers = headers.insert(Header {
                key: Stamp::HEADER,
                value: Some(&stamp.to_bytes()),
            });
        }
        if let Some(deadline_ns) = deadline_ns {
            let text = deadline_ns.to_string();
            headers = headers.insert(Header {
                key: travel::DEADLINE,
                value: Some(text.as_str()),
            });
        }
        // An order where nothing says: its bytes are the ones that matter.
        if kind != Kind::Order {
            headers = headers.insert(Header {
                key: super::KIND,
                value: Some(kind_name(kind)),
            });
        }
        if let (Some(id), Some((_, inbox))) = (correlation, &self.replies) {
            headers = headers.insert(Header {
                key: REPLY_TO,
                value: Some(&inbox.topic),
            });
            headers = headers.insert(Header {
                key: CORRELATION,
                value: Some(&id.to_be_bytes()),
            });
        }
        headers
    }
}

/// What ended a call.
enum End {
    Reported(Report),
    Answered(Arrived),
    /// The producer went away.
    Gone,
}

/// Waits for the delivery report; where a reply is asked for, a report decides only if Kafka did not take the record.
async fn end(mut report: oneshot::Receiver<Report>, ticket: Option<&mut Ticket>) -> End {
    let Some(ticket) = ticket else {
        return report.await.map_or(End::Gone, End::Reported);
    };
    let mut taken = false;
    loop {
        tokio::select! {
            biased;
            reply = ticket.reply() => return reply.map_or(End::Gone, End::Answered),
            report = &mut report, if !taken => match report {
                Ok(Ok(())) => taken = true,
                Ok(Err(code)) => return End::Reported(Err(code)),
                Err(_) => return End::Gone,
            },
        }
    }
}

/// Counts the calls at the gate, whichever way they leave it.
struct AtGate<'a>(&'a AtomicUsize);

impl<'a> AtGate<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for AtGate<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
