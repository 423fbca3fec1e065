//! The calling end of a hop: what every transport's caller can do, and how a call ends.

use bench_proto::format::Answer;
use bench_proto::{Format, Kind, Stamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

/// The sending end. Cheap to clone; used from one thread.
pub trait Caller: Clone + 'static {
    /// The format in which this caller wants bodies.
    fn format(&self) -> Format;

    /// Sends one encoded request and waits until the caller may go on: the reply, or (without one) the broker's confirm.
    /// `key` is the order's key (the user id; empty for a blob): it decides Kafka's partition. Keeps the deadline itself.
    fn call(
        &self,
        kind: Kind,
        key: &str,
        body: Bytes,
        stamp: Option<Stamp>,
    ) -> impl Future<Output = Outcome> + 'static {
        self.call_within(None, kind, key, body, stamp)
    }

    /// [`Self::call`] with a deadline of its own: so long from now, where the settings' does not hold.
    fn call_within(
        &self,
        patience: Option<Duration>,
        kind: Kind,
        key: &str,
        body: Bytes,
        stamp: Option<Stamp>,
    ) -> impl Future<Output = Outcome> + 'static;

    /// What happened on the wire beside the outcomes.
    fn counters(&self) -> Counters;

    /// Settings in force, read back where they can be, by name.
    fn in_force(&self) -> BTreeMap<String, String>;
}

/// What became of one call.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When the bytes were handed to a connection free to carry them, CLOCK_MONOTONIC ns; none if they never were.
    pub sent_ns: Option<u64>,
    /// How it ended.
    pub result: CallResult,
    /// Encoded body bytes of the answer (0 where there is none).
    pub body_in: usize,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub enum CallResult {
    /// The reply, or the confirm (no answer then).
    Acknowledged(Option<Answer>),
    /// The service refused the order.
    Refused(String),
    /// An error came back.
    Failed(Failure),
    /// The deadline passed: the outcome is unknown.
    TimedOut,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether the service itself answered so (else the connection, the broker or the library did).
    pub by_service: bool,
    /// A short stable name, such as `connect`, `closed`, `returned`, `nack`, `status-500`, `Internal`.
    pub name: String,
    /// The sentence.
    pub text: String,
}

/// Counted beside the outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections opened.
    pub connects: u64,
    /// Connections opened again after a cut.
    pub reconnects: u64,
    /// Calls pending when their connection was cut, or past their deadline: outcome unknown.
    pub unknown: u64,
    /// Confirms that came after their deadline.
    pub late_confirms: u64,
    /// Replies over a broker that came after their deadline, or a second time.
    #[serde(default)]
    pub late_replies: u64,
    /// Times the library's own queue was full and the call waited.
    pub queue_full: u64,
    /// Streams and lists begun that operations share.
    #[serde(default)]
    pub shared_requests: u64,
}

impl Counters {
    /// Each counter with its name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Self {
            connects,
            reconnects,
            unknown,
            late_confirms,
            late_replies,
            queue_full,
            shared_requests,
        } = *self;
        [
            ("connects", connects),
            ("reconnects", reconnects),
            ("unknown", unknown),
            ("late_confirms", late_confirms),
            ("late_replies", late_replies),
            ("queue_full", queue_full),
            ("shared_requests", shared_requests),
        ]
        .into_iter()
    }

    /// Both together, as of two callers.
    pub fn plus(self, other: Self) -> Self {
        Self {
            connects: self.connects + other.connects,
            reconnects: self.reconnects + other.reconnects,
            unknown: self.unknown + other.unknown,
            late_confirms: self.late_confirms + other.late_confirms,
            late_replies: self.late_replies + other.late_replies,
            queue_full: self.queue_full + other.queue_full,
            shared_requests: self.shared_requests + other.shared_requests,
        }
    }

    /// What came since an earlier reading of the same caller.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            connects: self.connects - earlier.connects,
            reconnects: self.reconnects - earlier.reconnects,
            unknown: self.unknown - earlier.unknown,
            late_confirms: self.late_confirms - earlier.late_confirms,
            late_replies: self.late_replies - earlier.late_replies,
            queue_full: self.queue_full - earlier.queue_full,
            shared_requests: self.shared_requests - earlier.shared_requests,
        }
    }
}
