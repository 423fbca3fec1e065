//! The ledger of deliveries, after Jepsen's total-queue: what the caller attempted and was told, what the service
//! was delivered, and the balance of the two. Exact, in compressed bitmaps.

use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// The service's side: per producer, which sequences arrived, how often, and in what order per key.
#[derive(Clone, Debug, Default)]
pub struct ServiceLedger {
    producers: BTreeMap<u32, Deliveries>,
}

#[derive(Clone, Debug, Default)]
struct Deliveries {
    seen: RoaringTreemap,
    again: RoaringTreemap,
    /// Sequences delivered more than twice, with their count.
    more: BTreeMap<u64, u32>,
    reordered: u64,
    /// Highest sequence seen per key.
    last: HashMap<u64, u64>,
}

/// The caller's side, one producer. Attempted sequences are 0 … attempted − 1.
#[derive(Clone, Debug, Default)]
pub struct CallerLedger {
    /// Operations started.
    pub attempted: u64,
    /// Sequences whose reply or confirm came.
    pub acknowledged: RoaringTreemap,
    /// Sequences that the service itself answered with a refusal or a failure.
    pub rejected: RoaringTreemap,
    /// Operations refused by the service.
    pub refused: u64,
    /// Operations that failed (an error came back, whoever made it).
    pub failed: u64,
    /// Operations whose deadline passed: their outcome is unknown.
    pub timed_out: u64,
    /// Operations still open when the drain's grace ended.
    pub open: u64,
}

/// Both sides, balanced. `None` on the delivery side where the service's ledger could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// acknowledged + refused + failed + timed_out + open, if the identity holds.
    pub attempted: u64,
    /// A reply or confirm came.
    pub acknowledged: u64,
    /// The service refused.
    pub refused: u64,
    /// An error came back.
    pub failed: u64,
    /// Outcome unknown.
    pub timed_out: u64,
    /// Still open at the end of the drain.
    pub open: u64,
    /// Distinct operations delivered to the handler.
    pub delivered: Option<u64>,
    /// Acknowledged, never delivered.
    pub lost: Option<u64>,
    /// Extra deliveries beyond the first.
    pub duplicated: Option<u64>,
    /// Delivered, though the caller was never told anything by the service.
    pub recovered: Option<u64>,
    /// Delivered, never attempted.
    pub unexpected: Option<u64>,
    /// First deliveries that came after a later one of the same key.
    pub reordered: Option<u64>,
}

impl ServiceLedger {
    /// Records one delivery; `key` is a hash of the order's key (the user id).
    pub fn record(&mut self, _producer: u32, _sequence: u64, _key: u64) {
        let _ = &self.producers;
        todo!()
    }

    /// Distinct operations delivered, over all producers.
    pub fn delivered(&self) -> u64 {
        todo!()
    }

    /// The portable form (roaring's own serialisation, base64 inside JSON).
    pub fn to_json(&self) -> serde_json::Value {
        todo!()
    }

    /// Reads the portable form; anything malformed is a sentence.
    pub fn from_json(_value: &serde_json::Value) -> Result<Self, String> {
        todo!()
    }
}

impl Balance {
    /// Balances the callers' ledgers (index = producer) against the service's, if it could be read.
    pub fn of(_callers: &[CallerLedger], _service: Option<&ServiceLedger>) -> Self {
        todo!()
    }

    /// The caller's identity: attempted = acknowledged + refused + failed + timed_out + open.
    pub fn identity_holds(&self) -> bool {
        todo!()
    }
}
