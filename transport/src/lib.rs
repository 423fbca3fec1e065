//! One file per transport, both ends of the wire in it: `connect(&Settings) → Caller`, `serve(&Settings, service) → Listener`.
//! Adding a transport is adding one such file and its row in [`Transport`]. Nothing here generates load or measures.

mod broker;
mod caller;
mod connecting;
mod deadline;
mod gather;
pub mod grpc;
pub mod h2;
mod kind;
mod net;
pub mod queue;
mod reply;
pub mod rest;
mod service;
mod settings;
mod shared;
pub mod stream;
pub mod tcp;
mod tls;
mod travel;

pub use caller::{CallResult, Caller, Counters, Failure, Outcome};
pub use connecting::Connecting;
pub use kind::CallKind;
pub use reply::ReplyVia;
pub use service::{Listener, Origin, Reply, Service, Started, finish, start};
pub use settings::{DEFAULT_BATCH, Fanout, HttpVersion, Settings};
pub use tls::{Identity, Tls};

use serde::{Deserialize, Serialize};

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
