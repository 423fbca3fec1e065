//! What the two ends of a hop must agree on: data, read by every transport.

use crate::{CallKind, Connecting, ReplyVia, Tls};
use bench_proto::{Durability, Format};
use serde::{Deserialize, Serialize};
use std::time::Duration;

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

/// One published message for many readers, and which end of that this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fanout {
    /// The end that publishes.
    Publisher,
    /// The end that reads under this name: it gets every message, from a queue or with a consumer group of its own. What the
    /// readers of one scope refuse goes to the same dead letters.
    Reader(String),
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
    /// Leaves to each library what is matched otherwise; see [`crate::Transport::left_unset`].
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
    /// Consumers of the serving end of queue and stream, each with a prefetch of its own; at least one.
    pub consumers: u16,
    /// Kafka partitions.
    pub partitions: i32,
    /// Kafka linger.
    pub linger: Duration,
    /// RabbitMQ: so many messages wait in the queue at most, and a publish beyond them is refused (nack); none: unbounded.
    pub queue_limit: Option<u32>,
    /// Stream, the calling side: so many records wait in the client's own buffer at most, and the next call waits for room;
    /// none: 100,000.
    pub client_buffer: Option<u32>,
    /// Queue and stream, the calling side: the caller waits for the service's reply on this way, not for the confirm.
    pub reply: Option<ReplyVia>,
    /// Queue and stream: every reader of the scope gets each message; none: they share one queue or group.
    pub fanout: Option<Fanout>,
    /// Stream, the serving end: a group without a place in the topic begins at its end, not with the oldest record. A new
    /// queue of RabbitMQ begins so anyhow.
    pub from_latest: bool,
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
            consumers: 1,
            partitions: 4,
            linger: Duration::ZERO,
            queue_limit: None,
            client_buffer: None,
            reply: None,
            fanout: None,
            from_latest: false,
            max_body: 4 << 20,
            tls: None,
        }
    }
}
