//! The ledger of deliveries, after Jepsen's total-queue: what the caller attempted and was told, what the service
//! was delivered, and the balance of the two. Exact, in compressed bitmaps. It knows no transport.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// The service's side: per producer, which sequences arrived, how often, and in what order per key. Ten million
/// deliveries take about 1.3 MB per producer, in whatever order they come.
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
    /// Highest sequence seen per key. A few bytes per key: the corpora have 64.
    last: HashMap<u64, u64, BuildHasherDefault<KeyHasher>>,
}

/// Takes a key for its own hash, since it is one: hashing it again would only cost time on every delivery.
#[derive(Clone, Copy, Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        unreachable!("a key is one u64, not {} bytes", bytes.len());
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
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
    /// Distinct operations delivered to the handler, the unexpected ones included.
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
    pub fn record(&mut self, producer: u32, sequence: u64, key: u64) {
        self.producers
            .entry(producer)
            .or_default()
            .record(sequence, key);
    }

    /// Distinct operations delivered, over all producers.
    pub fn delivered(&self) -> u64 {
        self.producers.values().map(|d| d.seen.len()).sum()
    }

    /// The sequences of a producer that arrived, if one of its did.
    pub fn seen(&self, producer: u32) -> Option<&RoaringTreemap> {
        Some(&self.producers.get(&producer)?.seen)
    }

    /// The portable form (roaring's own serialisation, base64 inside JSON).
    pub fn to_json(&self) -> serde_json::Value {
        let producers: BTreeMap<u32, Portable> = self
            .producers
            .iter()
            .map(|(producer, d)| (*producer, Portable::of(d)))
            .collect();
        serde_json::json!({ "producers": producers })
    }

    /// Reads the portable form; anything malformed is a sentence.
    pub fn from_json(value: &serde_json::Value) -> Result<Self, String> {
        let PortableLedger { producers } = PortableLedger::deserialize(value).map_err(|e| {
            format!("expected a service's ledger as its control port gives it: {e}")
        })?;
        let producers = producers
            .into_iter()
            .map(|(producer, portable)| {
                let deliveries = portable
                    .deliveries()
                    .map_err(|e| format!("the ledger of producer {producer}: {e}"))?;
                Ok((producer, deliveries))
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { producers })
    }
}

impl Deliveries {
    fn record(&mut self, sequence: u64, key: u64) {
        if !self.seen.insert(sequence) {
            return self.record_again(sequence);
        }
        let last = self.last.entry(key).or_insert(sequence);
        if sequence < *last {
            self.reordered += 1;
        } else {
            *last = sequence;
        }
    }

    #[cold]
    fn record_again(&mut self, sequence: u64) {
        if !self.again.insert(sequence) {
            *self.more.entry(sequence).or_insert(2) += 1;
        }
    }

    /// Deliveries beyond the first of each sequence.
    fn extra(&self) -> u64 {
        let beyond_two = self.more.values().map(|count| u64::from(count - 2));
        self.again.len() + beyond_two.sum::<u64>()
    }
}

#[derive(Serialize, Deserialize)]
struct PortableLedger {
    producers: BTreeMap<u32, Portable>,
}

/// One producer's deliveries in JSON. The last sequence per key stays behind: a ledger that was read is balanced,
/// not recorded into.
#[derive(Serialize, Deserialize)]
struct Portable {
    seen: String,
    again: String,
    more: BTreeMap<u64, u32>,
    reordered: u64,
}

impl Portable {
    fn of(deliveries: &Deliveries) -> Self {
        let base64 = |bitmap: &RoaringTreemap| {
            let mut bitmap = bitmap.clone();
            bitmap.optimize();
            let mut bytes = Vec::with_capacity(bitmap.serialized_size());
            bitmap
                .serialize_into(&mut bytes)
                .expect("a Vec takes every byte");
            STANDARD.encode(bytes)
        };
        Self {
            seen: base64(&deliveries.seen),
            again: base64(&deliveries.again),
            more: deliveries.more.clone(),
            reordered: deliveries.reordered,
        }
    }

    fn deliveries(&self) -> Result<Deliveries, String> {
        let bitmap = |name: &str, text: &str| {
            let bytes = STANDARD
                .decode(text)
                .map_err(|e| format!("expected '{name}' in base64: {e}"))?;
            let mut rest = bytes.as_slice();
            let bitmap = RoaringTreemap::deserialize_from(&mut rest)
                .map_err(|e| format!("expected '{name}' as a serialised roaring treemap: {e}"))?;
            if rest.is_empty() {
                Ok(bitmap)
            } else {
                Err(format!(
                    "expected '{name}' as one roaring treemap, got {} bytes more",
                    rest.len()
                ))
            }
        };
        let deliveries = Deliveries {
            seen: bitmap("seen", &self.seen)?,
            again: bitmap("again", &self.again)?,
            more: self.more.clone(),
            reordered: self.reordered,
            last: HashMap::default(),
        };
        if !deliveries.again.is_subset(&deliveries.seen) {
            return Err("expected every sequence of 'again' in 'seen' too".into());
        }
        for (sequence, count) in &deliveries.more {
            if *count < 3 || !deliveries.again.contains(*sequence) {
                return Err(format!(
                    "expected 'more' to count three or more deliveries of a sequence of 'again', got {count} of {sequence}"
                ));
            }
        }
        Ok(deliveries)
    }
}

impl Balance {
    /// Balances the callers' ledgers (index = producer) against the service's, if it could be read.
    pub fn of(callers: &[CallerLedger], service: Option<&ServiceLedger>) -> Self {
        let mut balance = Self::default();
        for caller in callers {
            balance.attempted += caller.attempted;
            balance.acknowledged += caller.acknowledged.len();
            balance.refused += caller.refused;
            balance.failed += caller.failed;
            balance.timed_out += caller.timed_out;
            balance.open += caller.open;
        }
        let Some(service) = service else {
            return balance;
        };
        let nobody = CallerLedger::default();
        let silent = Deliveries::default();
        let (mut lost, mut duplicated, mut recovered, mut unexpected, mut reordered) =
            (0, 0, 0, 0, 0);
        for (producer, caller) in (0..).zip(callers) {
            let delivered = service.producers.get(&producer).unwrap_or(&silent);
            lost += caller.acknowledged.difference_len(&delivered.seen);
        }
        for (producer, delivered) in &service.producers {
            let caller = callers.get(*producer as usize).unwrap_or(&nobody);
            let untold = &delivered.seen - &caller.acknowledged - &caller.rejected;
            duplicated += delivered.extra();
            recovered += below(&untold, caller.attempted);
            unexpected += delivered.seen.len() - below(&delivered.seen, caller.attempted);
            reordered += delivered.reordered;
        }
        Self {
            delivered: Some(service.delivered()),
            lost: Some(lost),
            duplicated: Some(duplicated),
            recovered: Some(recovered),
            unexpected: Some(unexpected),
            reordered: Some(reordered),
            ..balance
        }
    }

    /// The caller's identity: attempted = acknowledged + refused + failed + timed_out + open.
    pub fn identity_holds(&self) -> bool {
        self.attempted
            == self.acknowledged + self.refused + self.failed + self.timed_out + self.open
    }
}

/// How many of a bitmap's values are below a bound.
fn below(bitmap: &RoaringTreemap, bound: u64) -> u64 {
    bound.checked_sub(1).map_or(0, |last| bitmap.rank(last))
}

#[cfg(test)]
mod tests;
