//! The words that instrument, transports and service share: the messages with both codecs, the seeded payload
//! corpus, the Stamp, the checks of an order, the delivery ledger, the slowness language, the durability classes and
//! the control messages.
//! It knows no socket, no clock and no process.

pub mod among;
pub mod burden;
pub mod canonical;
pub mod control;
pub mod corpus;
pub mod durability;
pub mod format;
mod json;
pub mod ledger;
pub mod slowness;
pub mod stamp;
pub mod validate;

/// The messages and the gRPC service generated from `proto/order.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod order {
    tonic::include_proto!("hopbench.v1");
}

pub use corpus::{Corpus, PayloadClass};
pub use durability::Durability;
pub use format::{Format, Kind, Message};
pub use ledger::{CallerLedger, ServiceLedger};
pub use order::{
    Address, Blob, Item, Money, Order, OrderQuery, Placed, PlacedList, Placement, PlacementList,
    Receipt, Rejection, Status, Summary,
};
pub use slowness::Slowness;
pub use stamp::Stamp;
pub use validate::{Refusal, validate};

/// The compiled descriptor set of the contract, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/order.bin"));
