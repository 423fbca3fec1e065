//! Durability classes, named by the fault that an accepted order survives. Rows of different classes are never
//! set against each other.

use serde::{Deserialize, Serialize};

/// What an accepted order survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
