//! The kinds of call: how many operations share one request, and one answer. It knows which transport has which; how
//! each carries them is the transport's own.

use crate::Transport;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How operations are spread over requests. Whatever the kind, one order is one operation with a Stamp of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallKind {
    /// A request each, an answer each.
    #[default]
    Unary,
    /// A stream of orders up, one summary back: its arrival is the accept of them all.
    Client,
    /// A list of orders up, an answer for each streams back.
    Server,
    /// A stream of orders up and of answers back for as long as the connection lives.
    Bidi,
    /// A list of orders up, a list of answers back: what an interface without streams offers.
    List,
}

impl CallKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Unary,
        Self::Client,
        Self::Server,
        Self::Bidi,
        Self::List,
    ];

    /// Its name on command lines and in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Client => "client",
            Self::Server => "server",
            Self::Bidi => "bidi",
            Self::List => "list",
        }
    }

    /// Whether a request takes so many operations and then ends, so that they wait for each other.
    pub fn gathers(self) -> bool {
        matches!(self, Self::Client | Self::Server | Self::List)
    }
}

impl Transport {
    /// The kinds of call that it has.
    pub fn kinds(self) -> &'static [CallKind] {
        match self {
            Self::Grpc => &[
                CallKind::Unary,
                CallKind::Client,
                CallKind::Server,
                CallKind::Bidi,
            ],
            Self::Rest => &[CallKind::Unary, CallKind::List],
            Self::Tcp | Self::Queue | Self::Stream => &[CallKind::Unary],
        }
    }

    /// Whether it has this kind of call; the sentence that says what it has if not.
    pub fn offers(self, kind: CallKind) -> Result<(), String> {
        if self.kinds().contains(&kind) {
            return Ok(());
        }
        let kinds: Vec<&str> = self.kinds().iter().map(|kind| kind.name()).collect();
        Err(format!(
            "{self} has no calls of kind '{kind}'; expected {}",
            kinds.join(", ")
        ))
    }
}

impl fmt::Display for CallKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for CallKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == text);
        kind.ok_or_else(|| {
            format!(
                "'{text}' is not a kind of call; expected unary, client, server, bidi (grpc) or list (rest)"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back_from_its_name_and_has_a_transport() {
        for kind in CallKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert!(Transport::ALL.iter().any(|t| t.offers(kind).is_ok()));
        }
        assert!("stream".parse::<CallKind>().unwrap_err().contains("bidi"));
    }

    #[test]
    fn a_transport_without_a_kind_says_what_it_has() {
        let why = Transport::Rest.offers(CallKind::Bidi).unwrap_err();
        assert!(why.contains("unary, list"), "{why}");
        assert!(
            Transport::ALL
                .iter()
                .all(|t| t.offers(CallKind::Unary).is_ok())
        );
    }
}
