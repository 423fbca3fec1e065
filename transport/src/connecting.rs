//! What becomes of a connection from one call to the next.

use crate::Transport;
use serde::{Deserialize, Serialize};

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
