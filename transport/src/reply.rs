//! Request and reply over a broker, whichever: the calls that wait for their reply by correlation id, and what a reply
//! says. The request keeps its own durability class; a reply is at-most-once. It knows neither AMQP nor Kafka.

use crate::broker::{Rejected, Tally, count};
use crate::net::{failed_here, failed_there};
use crate::{CallResult, Reply};
use bench_proto::{Format, Kind};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// How the reply to a request over a broker comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyVia {
    /// RabbitMQ's direct reply-to: no queue, at-most-once. A reply is gone if its caller's connection is.
    Direct,
    /// RabbitMQ: an exclusive queue per connection of the caller, gone with it.
    Queue,
    /// Kafka: a topic of one partition per caller, read from its beginning.
    Topic,
}

impl ReplyVia {
    /// Its name on command lines and in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Queue => "queue",
            Self::Topic => "topic",
        }
    }
}

impl std::fmt::Display for ReplyVia {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for ReplyVia {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Direct, Self::Queue, Self::Topic]
            .into_iter()
            .find(|via| via.name() == text)
            .ok_or_else(|| {
                format!(
                    "'{text}' is no way for a reply; expected direct or queue (RabbitMQ) or topic (Kafka)"
                )
            })
    }
}

/// What a reply says in its metadata; its body is the encoded answer, else a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Answer,
    Refused,
    Failed,
    Overloaded,
    Rejected,
}

impl Status {
    const ALL: [Self; 5] = [
        Self::Answer,
        Self::Refused,
        Self::Failed,
        Self::Overloaded,
        Self::Rejected,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Overloaded => "overloaded",
            Self::Rejected => "rejected",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// A reply as the service sends it.
pub(crate) struct Written {
    pub(crate) status: Status,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

impl Written {
    /// The reply to a request that reached the service (answered in the request's own format), or was rejected before.
    pub(crate) fn of(handled: Result<(Reply, Format), Rejected>) -> Self {
        let sentence = |status, text: String| Self {
            status,
            content_type: "text/plain",
            body: text.into(),
        };
        match handled {
            Ok((Reply::Done(answer), format)) => Self {
                status: Status::Answer,
                content_type: format.content_type(),
                body: answer.encode(format),
            },
            Ok((Reply::Refused(text), _)) => sentence(Status::Refused, text),
            Ok((Reply::Failed(text), _)) => sentence(Status::Failed, text),
            Ok((Reply::Overloaded(text), _)) => sentence(Status::Overloaded, text),
            Err(rejected) => sentence(Status::Rejected, rejected.reason),
        }
    }
}

/// A reply as it came.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// None where the metadata name none of ours.
    pub(crate) status: Option<Status>,
    pub(crate) body: Vec<u8>,
}

impl Arrived {
    pub(crate) fn new(status: Option<&str>, body: Vec<u8>) -> Self {
        let status = status.and_then(Status::of);
        Self { status, body }
    }

    /// How the call ended, mapped as on the other transports: refused is 422, failed 500, rejected 400.
    pub(crate) fn result(&self, kind: Kind, format: Format) -> CallResult {
        let text = || String::from_utf8_lossy(&self.body).into_owned();
        match self.status {
            Some(Status::Answer) => match format.decode_answer(kind, &self.body) {
                Ok(answer) => CallResult::Acknowledged(Some(answer)),
                Err(error) => failed_here("answer", error.to_string()),
            },
            Some(Status::Refused) => CallResult::Refused(text()),
            Some(Status::Failed) => failed_there("failed", text()),
            Some(Status::Overloaded) => failed_there("overloaded", text()),
            Some(Status::Rejected) => failed_there("rejected", text()),
            None => failed_here(
                "answer",
                "expected a reply with its status in the metadata, got one without",
            ),
        }
    }
}

/// The calls of one connection that wait for their reply.
#[derive(Debug)]
pub(crate) struct Calls {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Arrived>>>,
    next: AtomicU64,
    /// Bounds the calls that wait; shared by all connections of a caller.
    room: Arc<Semaphore>,
    tally: Arc<Tally>,
}

impl Calls {
    pub(crate) fn new(room: Arc<Semaphore>, tally: Arc<Tally>) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
            room,
            tally,
        })
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Arrived>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among the calls that wait; none if there was no room before the deadline.
    pub(crate) async fn ask(self: &Arc<Self>, deadline: Instant) -> Option<Ticket> {
        let room = match self.room.clone().try_acquire_owned() {
            Ok(room) => room,
            Err(_) => timeout_at(deadline, self.room.clone().acquire_owned())
                .await
                .ok()?
                .ok()?,
        };
        Some(Ticket {
            calls: self.clone(),
            id: self.next.fetch_add(1, Ordering::Relaxed),
            reply: None,
            _room: room,
        })
    }

    /// Hands a reply to its call; one that nobody waits for any more is counted.
    pub(crate) fn arrived(&self, id: u64, reply: Arrived) {
        let call = self.waiting().remove(&id);
        if call.is_none_or(|call| call.send(reply).is_err()) {
            count(&self.tally.late_replies);
        }
    }

    /// The way back is cut: no reply will come to those that wait now.
    pub(crate) fn cut(&self) {
        self.waiting().clear();
    }

    #[cfg(test)]
    fn open(&self) -> usize {
        self.waiting().len()
    }
}

/// A call's place; given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    calls: Arc<Calls>,
    id: u64,
    reply: Option<oneshot::Receiver<Arrived>>,
    _room: OwnedSemaphorePermit,
}

impl Ticket {
    /// From now on a reply with this correlation id is this call's.
    pub(crate) fn expect(&mut self) -> u64 {
        let (tell, reply) = oneshot::channel();
        self.calls.waiting().insert(self.id, tell);
        self.reply = Some(reply);
        self.id
    }

    /// Waits for the reply; none if the way back was cut. Not asked again after its end.
    pub(crate) async fn reply(&mut self) -> Option<Arrived> {
        match &mut self.reply {
            Some(reply) => reply.await.ok(),
            None => None,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.calls.waiting().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn calls(room: usize) -> (Arc<Calls>, Arc<Tally>) {
        let tally = Arc::new(Tally::default());
        (
            Calls::new(Arc::new(Semaphore::new(room)), tally.clone()),
            tally,
        )
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(10)
    }

    #[tokio::test]
    async fn replies_find_their_calls_in_any_order_and_a_late_one_is_counted() {
        let (calls, tally) = calls(2);
        let mut first = calls.ask(soon()).await.unwrap();
        let mut second = calls.ask(soon()).await.unwrap();
        let (one, two) = (first.expect(), second.expect());
        let reply = |text: &str| Arrived::new(Some("refused"), text.into());
        calls.arrived(two, reply("two"));
        calls.arrived(one, reply("one"));
        assert_eq!(first.reply().await.unwrap().body, b"one");
        assert_eq!(second.reply().await.unwrap().body, b"two");
        calls.arrived(two, reply("two again"));
        assert_eq!(tally.read().late_replies, 1);
    }

    #[tokio::test]
    async fn no_more_calls_wait_than_there_is_room_for() {
        let (calls, _) = calls(1);
        let mut first = calls.ask(soon()).await.unwrap();
        first.expect();
        assert!(calls.ask(soon()).await.is_none());
        assert_eq!(calls.open(), 1);
        drop(first);
        assert_eq!(calls.open(), 0, "a call that gave up leaves nothing behind");
        assert!(calls.ask(soon()).await.is_some());
    }

    #[tokio::test]
    async fn a_cut_ends_the_waiting_and_the_call_can_be_expected_anew() {
        let (calls, _) = calls(1);
        let mut ticket = calls.ask(soon()).await.unwrap();
        ticket.expect();
        calls.cut();
        assert!(ticket.reply().await.is_none());
        let id = ticket.expect();
        calls.arrived(id, Arrived::new(None, Vec::new()));
        assert!(ticket.reply().await.is_some());
    }

    #[test]
    fn what_the_service_says_comes_out_as_on_the_other_transports() {
        let told = |reply| {
            let written = Written::of(reply);
            let arrived = Arrived::new(Some(written.status.name()), written.body.to_vec());
            arrived.result(Kind::Order, Format::Json)
        };
        let refused = told(Ok((Reply::Refused("no lines".into()), Format::Json)));
        assert!(matches!(refused, CallResult::Refused(text) if text == "no lines"));
        let failed = told(Ok((Reply::Failed("broken".into()), Format::Json)));
        assert!(
            matches!(failed, CallResult::Failed(f) if f.by_service && f.name == "failed" && f.text == "broken")
        );
        let rejected = told(Err(Rejected {
            what: "malformed",
            reason: "not an order".into(),
        }));
        assert!(matches!(rejected, CallResult::Failed(f) if f.by_service && f.name == "rejected"));
        let strange = Arrived::new(Some("hello"), Vec::new()).result(Kind::Order, Format::Json);
        assert!(matches!(strange, CallResult::Failed(f) if !f.by_service && f.name == "answer"));
    }
}
