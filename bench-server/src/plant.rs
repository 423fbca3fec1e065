//! Planted faults: every n-th delivery is dropped from the ledger, recorded twice, or recorded after the next one of
//! its key, so that a test can ask the balance for the exact counts. It sits where deliveries are recorded, so
//! nothing differs between transports.

use bench_proto::ServiceLedger;
use bench_proto::burden::Burden;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::str::FromStr;

/// What to plant: every n-th delivery of the run, per kind of fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    drop: Option<u64>,
    double: Option<u64>,
    swap: Option<u64>,
    /// A slower codec: no fault of the ledger, and planted into the whole process.
    pub codec: Option<Burden>,
}

/// What was planted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planted {
    /// Deliveries left out of the ledger.
    pub dropped: u64,
    /// Deliveries recorded twice.
    pub doubled: u64,
    /// Deliveries recorded after the next one of their key.
    pub swapped: u64,
}

impl Planted {
    /// Each count with its name.
    pub fn named(self) -> impl Iterator<Item = (String, u64)> {
        [
            ("dropped", self.dropped),
            ("doubled", self.doubled),
            ("swapped", self.swapped),
        ]
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count))
    }
}

/// One delivery as the ledger wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who sent it.
    pub producer: u32,
    /// Its sequence.
    pub sequence: u64,
    /// The hash of its key.
    pub key: u64,
}

/// The faults of one run.
#[derive(Clone, Debug, Default)]
pub struct Plant {
    spec: Spec,
    seen: u64,
    due: Planted,
    planted: Planted,
    /// Deliveries to be recorded after the next one of their producer and key.
    held: HashMap<(u32, u64), Delivery>,
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut spec = Self::default();
        for part in text.split(',') {
            let wrong = || {
                format!(
                    "expected faults such as drop=1/1000,double=1/1000,swap=1/1000; got `{part}`"
                )
            };
            if part.trim().starts_with("codec=") {
                spec.codec = Burden::within(part)?;
                continue;
            }
            let (kind, every) = part
                .split_once("=1/")
                .and_then(|(kind, every)| Some((kind.trim(), every.trim().parse::<u64>().ok()?)))
                .filter(|(_, every)| *every > 0)
                .ok_or_else(wrong)?;
            let slot = match kind {
                "drop" => &mut spec.drop,
                "double" => &mut spec.double,
                "swap" => &mut spec.swap,
                _ => return Err(wrong()),
            };
            if slot.replace(every).is_some() {
                return Err(format!("`{kind}` was given twice; give each fault once"));
            }
        }
        Ok(spec)
    }
}

impl Plant {
    /// Starts over.
    pub fn new(spec: Spec) -> Self {
        Self {
            spec,
            ..Self::default()
        }
    }

    /// Records a delivery as the plant has it; false if it is to be treated as never delivered.
    pub fn record(&mut self, ledger: &mut ServiceLedger, delivery: Delivery) -> bool {
        let Delivery {
            producer,
            sequence,
            key,
        } = delivery;
        self.seen += 1;
        let falls =
            |every: Option<u64>| u64::from(every.is_some_and(|n| self.seen.is_multiple_of(n)));
        self.due.dropped += falls(self.spec.drop);
        self.due.doubled += falls(self.spec.double);
        self.due.swapped += falls(self.spec.swap);
        // One fault per delivery, so that each is found by itself; what falls on the same one goes to the next.
        if let Some(earlier) = self.held.remove(&(producer, key)) {
            ledger.record(producer, sequence, key);
            ledger.record(earlier.producer, earlier.sequence, earlier.key);
            self.planted.swapped += 1;
        } else if self.due.dropped > self.planted.dropped {
            self.planted.dropped += 1;
            return false;
        } else if self.due.doubled > self.planted.doubled {
            self.planted.doubled += 1;
            ledger.record(producer, sequence, key);
            ledger.record(producer, sequence, key);
        } else if self.due.swapped > self.planted.swapped + self.held.len() as u64 {
            self.held.insert((producer, key), delivery);
        } else {
            ledger.record(producer, sequence, key);
        }
        true
    }

    /// Deliveries held back until the next one of their key.
    pub fn held(&self) -> u64 {
        self.held.len() as u64
    }

    /// Ends the run: what is still held back had no successor, and is recorded as it came.
    pub fn settle(&mut self, ledger: &mut ServiceLedger) -> Planted {
        for (_, delivery) in self.held.drain() {
            ledger.record(delivery.producer, delivery.sequence, delivery.key);
            self.due.swapped -= 1;
        }
        self.planted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_proto::{CallerLedger, ledger::Balance};

    /// What the balance finds after `count` deliveries of 64 keys in turn.
    fn balance_under(spec: &str, count: u64) -> (Planted, Balance) {
        let mut plant = Plant::new(spec.parse().unwrap());
        let mut ledger = ServiceLedger::default();
        let mut caller = CallerLedger {
            attempted: count,
            ..CallerLedger::default()
        };
        for sequence in 0..count {
            caller.acknowledged.insert(sequence);
            let delivery = Delivery {
                producer: 0,
                sequence,
                key: sequence % 64,
            };
            plant.record(&mut ledger, delivery);
        }
        let planted = plant.settle(&mut ledger);
        (planted, Balance::of(&[caller], Some(&ledger)))
    }

    #[test]
    fn the_balance_finds_exactly_what_was_planted() {
        let spec = "drop=1/1000,double=1/500,swap=1/250";
        let (planted, balance) = balance_under(spec, 10_600);
        assert_eq!(
            (planted.dropped, planted.doubled, planted.swapped),
            (10, 21, 42)
        );
        assert_eq!(balance.lost, Some(10));
        assert_eq!(balance.duplicated, Some(21));
        assert_eq!(balance.reordered, Some(42));
        assert_eq!(balance.delivered, Some(10_590));
        assert_eq!(balance.unexpected, Some(0));
    }

    #[test]
    fn nothing_planted_is_nothing_found() {
        let mut plant = Plant::default();
        let mut ledger = ServiceLedger::default();
        for sequence in 0..1_000 {
            let delivery = Delivery {
                producer: 3,
                sequence,
                key: 1,
            };
            assert!(plant.record(&mut ledger, delivery));
        }
        assert_eq!(plant.settle(&mut ledger), Planted::default());
        assert_eq!(ledger.delivered(), 1_000);
    }

    #[test]
    fn a_swap_without_a_successor_is_recorded_in_order_and_not_counted() {
        let (planted, balance) = balance_under("swap=1/100", 100);
        assert_eq!(planted.swapped, 0);
        assert_eq!((balance.delivered, balance.reordered), (Some(100), Some(0)));
    }

    #[test]
    fn a_slower_codec_is_planted_beside_the_faults() {
        let spec: Spec = "drop=1/2,codec=protobuf:300".parse().unwrap();
        let burden = spec.codec.unwrap();
        assert_eq!(
            (burden.format, burden.rounds),
            (bench_proto::Format::Protobuf, 300)
        );
        assert_eq!(spec.drop, Some(2));
        assert!(Spec::from_str("codec=xml:300").is_err());
    }

    #[test]
    fn a_fault_that_nobody_knows_is_refused_with_a_sentence() {
        for text in [
            "",
            "lose=1/10",
            "drop=1/0",
            "drop=5",
            "drop=1/x",
            "drop=1/2,drop=1/3",
        ] {
            let error = Spec::from_str(text).unwrap_err();
            assert!(error.contains("drop"), "{text}: {error}");
        }
    }
}
