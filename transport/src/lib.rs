//! One file per transport, both ends of the wire in it: `connect(&Settings) → Caller`, `serve(&Settings, service) → Listener`.
//! Adding a transport is adding one such file and its row in [`Transport`]. Nothing here generates load or measures.

mod broker;
mod deadline;
mod gather;
pub mod grpc;
pub mod h2;
mod kind;
mod net;
pub mod queue;
mod reply;
pub mod rest;
mod shared;
pub mod stream;
pub mod tcp;
mod tls;
mod travel;

pub use tls::{Identity, Tls};

pub use kind::CallKind;
pub use reply::ReplyVia;

use bench_proto::format::Answer;
use bench_proto::{Durability, Format, Kind, Message, Stamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

/// The transports under comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// A length prefix and nothing else: the floor.
    Tcp,
    /// HTTP with JSON (or protobuf) bodies.
    Rest,
    /// gRPC.
    Grpc,
    /// RabbitMQ.
    Queue,
    /// Kafka.
    Stream,
}

impl Transport {
    /// All of them, floor first.
    pub const ALL: [Self; 5] = [Self::Tcp, Self::Rest, Self::Grpc, Self::Queue, Self::Stream];

    /// Whether a broker stands between the two ends.
    pub fn needs_broker(self) -> bool {
        matches!(self, Self::Queue | Self::Stream)
    }

    /// Its name on command lines and in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Rest => "rest",
            Self::Grpc => "grpc",
            Self::Queue => "queue",
            Self::Stream => "stream",
        }
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Transport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|transport| transport.name() == text).ok_or_else(|| {
            format!("'{text}' is not a transport; expected tcp, rest, grpc, queue (RabbitMQ) or stream (Kafka)")
        })
    }
}

/// Which HTTP the rest transport speaks (HTTP/2 by prior knowledge).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpVersion {
    /// HTTP/1.1, one exchange at a time per connection.
    H1,
    /// HTTP/2, multiplexed.
    H2,
}

impl std::str::FromStr for HttpVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "h1" | "1.1" => Ok(Self::H1),
            "h2" | "2" => Ok(Self::H2),
            _ => Err(format!(
                "'{text}' is not an HTTP version; expected h1 or h2"
            )),
        }
    }
}

/// What a caller does about connections from one call to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connecting {
    /// They are opened once and kept.
    #[default]
    Kept,
    /// Each call opens one of its own and closes it; everything else stays matched (not on Kafka, whose producers
    /// nobody opens per record).
    PerCall,
    /// As the sources' own samples do it: an HTTP client per request; an AMQP connection with its own declaration per
    /// publish, without a confirm; a Kafka flush after each send. They have none for tcp, and keep their gRPC client.
    AsWritten,
}

impl Connecting {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kept, Self::PerCall, Self::AsWritten];

    /// Its name on command lines and in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::PerCall => "per-call",
            Self::AsWritten => "as-written",
        }
    }

    /// Whether a transport can do it; if not, why.
    pub fn check(self, transport: Transport) -> Result<(), String> {
        match (self, transport) {
            (Self::PerCall, Transport::Stream) => Err(
                "expected kept or as-written on Kafka, got per-call; nobody opens a producer per record, and the sources' habit, a flush after each send, is as-written".into(),
            ),
            (Self::AsWritten, Transport::Tcp | Transport::Grpc) => Err(format!(
                "expected kept or per-call over {transport}, got as-written; the sources have no sample of it that connects in a way of its own"
            )),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Connecting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Connecting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|way| way.name() == text)
            .ok_or_else(|| {
                format!("'{text}' is no way to connect; expected kept, per-call or as-written")
            })
    }
}

/// What each end of a hop leaves to its libraries where nobody matches the settings: sentences for the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftUnset {
    /// By the caller.
    pub caller: &'static str,
    /// By the service.
    pub service: &'static str,
}

impl Transport {
    /// What [`Settings::library_defaults`] leaves unset on this transport.
    pub fn left_unset(self) -> LeftUnset {
        match self {
            Self::Tcp => tcp::LEFT_UNSET,
            Self::Rest => rest::LEFT_UNSET,
            Self::Grpc => grpc::LEFT_UNSET,
            Self::Queue => queue::LEFT_UNSET,
            Self::Stream => stream::LEFT_UNSET,
        }
    }
}

/// Everything the two ends of a hop must agree on, matched across transports and printed with every result.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `host:port` (tcp, rest, grpc; on the serving side port 0 is allowed), an AMQP URL, or Kafka bootstrap servers.
    pub target: String,
    /// Names the exchange, queues and topics of one run: `hopbench.<scope>…`.
    pub scope: String,
    /// How bodies are encoded (grpc is protobuf whatever this says).
    pub format: Format,
    /// Rest only.
    pub http: HttpVersion,
    /// How operations are spread over requests; orders only, a blob's call is always unary.
    pub kind: CallKind,
    /// Operations per stream or list, where the kind gathers them.
    pub batch: usize,
    /// TCP connections (tcp, rest h1: at most so many, opened on demand; rest h2, grpc: channels).
    pub connections: usize,
    /// What becomes of a connection after its call (the caller's side alone).
    pub connecting: Connecting,
    /// Leaves to each library what is matched otherwise; see [`Transport::left_unset`].
    pub library_defaults: bool,
    /// In-flight bound of one caller: the confirm window of queue and stream.
    pub window: usize,
    /// Deadline of one call, confirm included.
    pub deadline: Duration,
    /// The caller tells its deadline with each call, and the service does not start what is past it: rest, grpc, and over
    /// a broker where a reply is awaited.
    pub deadline_travels: bool,
    /// What an accepted order survives.
    pub durability: Durability,
    /// Handler concurrency of the broker transports: RabbitMQ's prefetch, and how many records of Kafka are worked on at once.
    pub prefetch: u16,
    /// Kafka partitions.
    pub partitions: i32,
    /// Kafka linger.
    pub linger: Duration,
    /// RabbitMQ: so many messages wait in the queue at most, and a publish beyond them is refused (nack); none: unbounded.
    pub queue_limit: Option<u32>,
    /// Queue and stream, the calling side: the caller waits for the service's reply on this way, not for the confirm.
    pub reply: Option<ReplyVia>,
    /// Largest body that a listener takes, bytes.
    pub max_body: usize,
    /// TLS 1.3 on every connection; none: plaintext.
    pub tls: Option<Tls>,
}

/// Operations per stream or list where nothing else is asked for.
pub const DEFAULT_BATCH: usize = 32;

impl Default for Settings {
    fn default() -> Self {
        Self {
            target: String::new(),
            scope: "orders".into(),
            format: Format::Protobuf,
            http: HttpVersion::H1,
            kind: CallKind::Unary,
            batch: DEFAULT_BATCH,
            connections: 1,
            connecting: Connecting::Kept,
            library_defaults: false,
            window: 1_024,
            deadline: Duration::from_secs(5),
            deadline_travels: false,
            durability: Durability::None,
            prefetch: 100,
            partitions: 4,
            linger: Duration::ZERO,
            queue_limit: None,
            reply: None,
            max_body: 4 << 20,
            tls: None,
        }
    }
}

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

/// What a listener tells the service about a request beside its message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// The Stamp, if there was one.
    pub stamp: Option<Stamp>,
    /// The broker flagged it as redelivered.
    pub redelivered: bool,
    /// Its caller waits until then and no longer, CLOCK_MONOTONIC ns; none where the caller didn't say.
    pub deadline_ns: Option<u64>,
}

/// What the service answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Worked on.
    Done(Answer),
    /// Refused by validation: 422, InvalidArgument, dead letter.
    Refused(String),
    /// Failed: 500, Internal, dead letter.
    Failed(String),
    /// Turned away before any work because too many wait already: 503 with Retry-After, ResourceExhausted, dead letter.
    Overloaded(String),
}

/// The one service behind every listener.
pub trait Service: Clone + Send + Sync + 'static {
    /// Works on one request.
    fn handle(
        &self,
        message: Message,
        origin: Origin,
    ) -> impl Future<Output = Reply> + Send + 'static;

    /// Counts a request that never became a message: `what` is a short stable name such as `rest malformed`.
    fn rejected(&self, what: &str);

    /// What the service does before it hands out the catalogue, which is no order: nothing, unless it says otherwise.
    fn catalog(&self) -> impl Future<Output = ()> + Send + 'static {
        std::future::ready(())
    }
}

/// A running listener.
#[derive(Debug)]
pub struct Listener {
    /// Where it can be reached: `host:port`, or the broker's address without its password.
    pub address: String,
    /// Settings in force, read back where they can be, by name.
    pub in_force: BTreeMap<String, String>,
    stop: tokio::sync::watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    /// Assembles a listener from its parts: `task` ends, everything accepted finished, after `stop` turned true.
    pub fn new(
        address: String,
        in_force: BTreeMap<String, String>,
        stop: tokio::sync::watch::Sender<bool>,
        task: tokio::task::JoinHandle<()>,
    ) -> Self {
        Self {
            address,
            in_force,
            stop,
            task,
        }
    }

    /// Stops accepting, finishes what was accepted, and returns.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }

    /// Drops the listener where it stands, as a crash would: nothing more is finished or acknowledged.
    pub async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// A handler that was started: done at once, or running on as a task of its own.
#[derive(Debug)]
pub enum Started<T> {
    /// It was done at its first step and cost no task (none if it panicked).
    Done(Option<T>),
    /// It goes on whether or not anybody waits.
    Running(tokio::task::JoinHandle<T>),
}

impl<T> Started<T> {
    /// Waits for the handler's end; none if it panicked.
    pub async fn end(self) -> Option<T> {
        match self {
            Self::Done(reply) => reply,
            Self::Running(task) => task.await.ok(),
        }
    }
}

/// Starts a handler that will run to its end even if the caller goes away: what the service accepted, it
/// finishes, on every transport alike. A handler that is done at once costs no task.
pub async fn start<F>(handler: F) -> Started<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let mut handler = Box::pin(handler);
    let first = poll_fn(|context| {
        // A panic stays inside its own order, exactly as it would in a task.
        let step = AssertUnwindSafe(|| handler.as_mut().poll(context));
        Poll::Ready(match catch_unwind(step) {
            Ok(Poll::Ready(reply)) => Some(Some(reply)),
            Ok(Poll::Pending) => None,
            Err(_) => Some(None),
        })
    })
    .await;
    match first {
        Some(reply) => Started::Done(reply),
        None => Started::Running(tokio::spawn(handler)),
    }
}

/// [`start`], and wait for the end; none if the handler panicked.
pub async fn finish<F>(handler: F) -> Option<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    start(handler).await.end().await
}
