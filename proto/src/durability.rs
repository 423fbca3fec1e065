//! Durability classes, named by the fault that an accepted order survives. Rows of different classes are never
//! set against each other.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What an accepted order survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Nothing: replies from memory; RabbitMQ transient without a confirm awaited; Kafka acks=0.
    None,
    /// Nothing, but processed by the broker: RabbitMQ transient with confirm.
    Memory,
    /// A kill −9 of broker or service: durable queue, persistent, confirm; acks=all; the handler's journal in the page cache.
    Process,
    /// A power cut: quorum queue; flush.messages=1; the journal with fdatasync before the answer.
    Power,
}

impl Durability {
    /// Every class, from the weakest to the strongest.
    pub const ALL: [Self; 4] = [Self::None, Self::Memory, Self::Process, Self::Power];

    /// The class's name, as it is written and read.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Memory => "memory",
            Self::Process => "process",
            Self::Power => "power",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|class| class.name() == text)
            .ok_or_else(|| {
                format!(
                    "expected a durability class, one of none, memory, process, power, got '{text}'"
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_read_back_from_what_it_prints_and_from_json() {
        for class in Durability::ALL {
            assert_eq!(class.to_string().parse(), Ok(class));
            let json = serde_json::to_value(class).expect("a class is a string");
            assert_eq!(json, class.name());
        }
    }

    #[test]
    fn an_unknown_class_is_answered_with_those_there_are() {
        let error = "disk".parse::<Durability>().expect_err("no such class");
        assert!(error.contains("none, memory, process, power") && error.contains("'disk'"));
    }
}
