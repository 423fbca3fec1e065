use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const KEYS: u64 = 64;

/// A key as the service hashes one: the user of a sequence.
fn key(sequence: u64) -> u64 {
    (sequence % KEYS).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn acknowledged(attempted: u64) -> CallerLedger {
    CallerLedger {
        attempted,
        acknowledged: (0..attempted).collect(),
        ..CallerLedger::default()
    }
}

fn recorded(deliveries: impl IntoIterator<Item = u64>) -> ServiceLedger {
    let mut ledger = ServiceLedger::default();
    for sequence in deliveries {
        ledger.record(0, sequence, key(sequence));
    }
    ledger
}

#[test]
fn what_was_acknowledged_and_delivered_once_in_order_balances() {
    let balance = Balance::of(&[acknowledged(10_000)], Some(&recorded(0..10_000)));
    let expected = Balance {
        attempted: 10_000,
        acknowledged: 10_000,
        delivered: Some(10_000),
        lost: Some(0),
        duplicated: Some(0),
        recovered: Some(0),
        unexpected: Some(0),
        reordered: Some(0),
        ..Balance::default()
    };
    assert_eq!(balance, expected);
    assert!(balance.identity_holds());
}

#[test]
fn planted_drops_doubles_and_swaps_are_found_to_the_exact_count() {
    const ATTEMPTED: u64 = 100_000;
    let (mut dropped, mut doubled, mut swapped) = (0, 0, 0);
    let mut deliveries: Vec<u64> = Vec::new();
    for sequence in 0..ATTEMPTED {
        match sequence % 1_000 {
            17 => dropped += 1,
            250 => {
                doubled += 1;
                deliveries.extend([sequence, sequence]);
            }
            _ => deliveries.push(sequence),
        }
    }
    // A swap of neighbours of one key, 64 apart, well away from the other faults.
    for at in (500..ATTEMPTED - KEYS).step_by(1_000) {
        let place = |sequence| deliveries.iter().position(|s| *s == sequence);
        let (Some(one), Some(other)) = (place(at), place(at + KEYS)) else {
            panic!("{at} is delivered");
        };
        deliveries.swap(one, other);
        swapped += 1;
    }
    let balance = Balance::of(&[acknowledged(ATTEMPTED)], Some(&recorded(deliveries)));
    assert_eq!((dropped, doubled, swapped), (100, 100, 100));
    assert_eq!(balance.delivered, Some(ATTEMPTED - dropped));
    assert_eq!(balance.lost, Some(dropped));
    assert_eq!(balance.duplicated, Some(doubled));
    assert_eq!(balance.reordered, Some(swapped));
    assert_eq!((balance.recovered, balance.unexpected), (Some(0), Some(0)));
}

#[test]
fn another_keys_order_is_no_reordering() {
    let mut ledger = ServiceLedger::default();
    for (sequence, key) in [(5, 1), (3, 2), (4, 2), (6, 1)] {
        ledger.record(0, sequence, key);
    }
    assert_eq!(Balance::of(&[], Some(&ledger)).reordered, Some(0));
    // Of the same key it is, for every first delivery that comes late.
    ledger.record(0, 1, 1);
    ledger.record(0, 2, 1);
    assert_eq!(Balance::of(&[], Some(&ledger)).reordered, Some(2));
    // Another producer counts from its own 0.
    ledger.record(1, 0, 1);
    assert_eq!(Balance::of(&[], Some(&ledger)).reordered, Some(2));
}

#[test]
fn a_redelivery_is_a_duplicate_and_never_reordered() {
    let balance = Balance::of(
        &[acknowledged(3)],
        Some(&recorded([0, 64, 0, 0, 0, 1, 1, 2])),
    );
    assert_eq!(balance.duplicated, Some(3 + 1));
    assert_eq!(balance.reordered, Some(0));
    assert_eq!(balance.delivered, Some(4));
}

#[test]
fn a_timeout_whose_handler_ran_is_recovered_and_a_refusal_is_not() {
    let mut caller = acknowledged(2);
    caller.attempted = 6;
    caller.rejected = [2].into_iter().collect();
    (caller.refused, caller.timed_out, caller.open) = (1, 2, 1);
    // 0 and 1 acknowledged, 2 refused, 3 timed out but delivered, 4 timed out and gone, 5 open and delivered.
    let balance = Balance::of(&[caller], Some(&recorded([0, 1, 2, 3, 5])));
    assert_eq!(balance.recovered, Some(2));
    assert_eq!((balance.lost, balance.unexpected), (Some(0), Some(0)));
    assert!(balance.identity_holds());
}

#[test]
fn what_nobody_attempted_is_unexpected_and_not_recovered() {
    let mut ledger = recorded([0, 1, 2, u64::MAX]);
    ledger.record(7, 0, 0);
    let balance = Balance::of(&[acknowledged(2)], Some(&ledger));
    assert_eq!(balance.unexpected, Some(3));
    assert_eq!(balance.recovered, Some(0));
    let nobody = Balance::of(&[], Some(&ledger));
    assert_eq!((nobody.unexpected, nobody.lost), (Some(5), Some(0)));
}

#[test]
fn without_the_services_ledger_its_side_is_unknown() {
    let balance = Balance::of(&[acknowledged(2)], None);
    assert_eq!((balance.attempted, balance.acknowledged), (2, 2));
    assert_eq!((balance.delivered, balance.lost), (None, None));
    let json = serde_json::to_value(&balance).expect("a balance is JSON");
    assert_eq!(json["reordered"], serde_json::Value::Null);
    assert_eq!(serde_json::from_value::<Balance>(json).ok(), Some(balance));
}

#[test]
fn an_operation_that_is_counted_nowhere_or_twice_breaks_the_identity() {
    let mut caller = acknowledged(2);
    caller.attempted = 3;
    assert!(!Balance::of(&[caller.clone()], None).identity_holds());
    caller.failed = 1;
    assert!(Balance::of(&[caller.clone()], None).identity_holds());
    caller.timed_out = 1;
    assert!(!Balance::of(&[caller], None).identity_holds());
}

#[test]
fn ten_million_operations_fit_into_sixteen_mebibytes_on_both_sides_together() {
    const ATTEMPTED: u64 = 10_000_000;
    let mut service = ServiceLedger::default();
    let mut caller = CallerLedger {
        attempted: ATTEMPTED,
        ..CallerLedger::default()
    };
    for i in 0..ATTEMPTED {
        let sequence = i ^ 21; // workers finish out of order
        if sequence % 1_000 != 17 {
            service.record(0, sequence, key(sequence));
        }
        if sequence % 1_000 == 250 {
            service.record(0, sequence, key(sequence));
        }
        match sequence % 1_000 {
            400 => caller.rejected.insert(sequence),
            500 => false, // timed out
            _ => caller.acknowledged.insert(sequence),
        };
    }
    let deliveries = &service.producers[&0];
    let bitmaps = [
        &deliveries.seen,
        &deliveries.again,
        &caller.acknowledged,
        &caller.rejected,
    ];
    // A container takes in memory what it takes serialised; the rest is a few entries per key.
    let bytes: usize = bitmaps.iter().map(|b| b.serialized_size()).sum();
    assert!(bytes <= 16 << 20, "{bytes} bytes");
    assert!(deliveries.last.len() as u64 <= KEYS && deliveries.more.is_empty());
    let balance = Balance::of(&[caller], Some(&service));
    assert_eq!(balance.lost, Some(10_000));
    assert_eq!(balance.duplicated, Some(10_000));
    assert_eq!(balance.recovered, Some(10_000));
}

#[test]
fn a_malformed_ledger_is_answered_with_what_was_expected() {
    let good = recorded([0, 1, 2, 1, 1]).to_json();
    let with = |pointer: &str, value: serde_json::Value| {
        let mut json = good.clone();
        *json.pointer_mut(pointer).expect("a field of the ledger") = value;
        ServiceLedger::from_json(&json).expect_err(pointer)
    };
    let seen = good["producers"]["0"]["seen"].clone();
    let seen = STANDARD
        .decode(seen.as_str().expect("text"))
        .expect("base64");
    let longer = STANDARD.encode([seen.as_slice(), &[0]].concat());
    let shorter = STANDARD.encode(&seen[..seen.len() - 1]);
    let empty = ServiceLedger::default();
    assert_eq!(
        ServiceLedger::from_json(&empty.to_json()).map(|l| l.delivered()),
        Ok(0)
    );
    for (error, cause) in [
        (with("", serde_json::json!([])), "control port"),
        (
            with("/producers", serde_json::json!({"x": 1})),
            "control port",
        ),
        (with("/producers/0/reordered", (-1).into()), "control port"),
        (with("/producers/0/seen", "*".into()), "'seen' in base64"),
        (with("/producers/0/again", longer.into()), "1 bytes more"),
        (
            with("/producers/0/again", shorter.into()),
            "roaring treemap",
        ),
        (
            with("/producers/0/seen", "AAAAAAAAAAA=".into()),
            "every sequence of 'again'",
        ),
        (
            with("/producers/0/more/1", 2.into()),
            "three or more deliveries",
        ),
        (
            with("/producers/0/more", serde_json::json!({"2": 3})),
            "of 'again'",
        ),
    ] {
        assert!(
            error.contains("expected") && error.contains(cause),
            "{error}"
        );
    }
}

/// The same bookkeeping with nothing but a list of what happened.
#[derive(Debug)]
struct Naive<'a> {
    /// (producer, sequence, key), as delivered.
    deliveries: &'a [(u32, u64, u64)],
    callers: &'a [CallerLedger],
}

impl Naive<'_> {
    fn balance(&self) -> Balance {
        let mut counts: HashMap<(u32, u64), u64> = HashMap::new();
        let mut reordered = 0;
        for (i, &(producer, sequence, key)) in self.deliveries.iter().enumerate() {
            let count = counts.entry((producer, sequence)).or_default();
            *count += 1;
            let later_one_before = self.deliveries[..i]
                .iter()
                .any(|&(p, s, k)| p == producer && k == key && s > sequence);
            if *count == 1 && later_one_before {
                reordered += 1;
            }
        }
        let caller = |producer: u32| self.callers.get(producer as usize);
        let attempted = |&(p, s): &(u32, u64)| caller(p).is_some_and(|caller| s < caller.attempted);
        let told = |&(p, s): &(u32, u64)| {
            caller(p).is_some_and(|c| c.acknowledged.contains(s) || c.rejected.contains(s))
        };
        let count = |which: &dyn Fn(&(u32, u64)) -> bool| {
            Some(counts.keys().filter(|id| which(id)).count() as u64)
        };
        let mut lost = 0;
        for (producer, caller) in (0..).zip(self.callers) {
            for sequence in &caller.acknowledged {
                lost += u64::from(!counts.contains_key(&(producer, sequence)));
            }
        }
        let sum = |of: fn(&CallerLedger) -> u64| self.callers.iter().map(of).sum();
        Balance {
            attempted: sum(|c| c.attempted),
            acknowledged: sum(|c| c.acknowledged.len()),
            refused: sum(|c| c.refused),
            failed: sum(|c| c.failed),
            timed_out: sum(|c| c.timed_out),
            open: sum(|c| c.open),
            delivered: count(&|_| true),
            lost: Some(lost),
            duplicated: Some(counts.values().map(|n| n - 1).sum()),
            recovered: count(&|id| attempted(id) && !told(id)),
            unexpected: count(&|id| !attempted(id)),
            reordered: Some(reordered),
        }
    }
}

/// Sequences as few as they collide, or around the edge of roaring's 16-bit containers and 32-bit maps.
fn sequence() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..30_u64,
        65_530..65_542_u64,
        4_294_967_290..4_294_967_300_u64
    ]
}

prop_compose! {
    fn caller()(
        attempted in prop_oneof![0..40_u64, Just(70_000), Just(1 << 33)],
        outcomes in vec((sequence(), any::<bool>()), 0..30),
        (refused, failed, timed_out, open) in (0..9_u64, 0..9_u64, 0..9_u64, 0..9_u64),
    ) -> CallerLedger {
        let mut caller = CallerLedger { attempted, refused, failed, timed_out, open, ..CallerLedger::default() };
        for (sequence, acknowledged) in outcomes.into_iter().filter(|o| o.0 < attempted) {
            if acknowledged {
                caller.acknowledged.insert(sequence);
            } else {
                caller.rejected.insert(sequence);
            }
        }
        caller
    }
}

proptest! {
    #[test]
    fn the_balance_is_that_of_a_naive_list(
        deliveries in vec((0..4_u32, sequence()), 0..120),
        callers in vec(caller(), 0..4),
    ) {
        // An operation has one key, however often it is delivered.
        let deliveries: Vec<_> = deliveries.into_iter().map(|(p, s)| (p, s, s % 3)).collect();
        let mut service = ServiceLedger::default();
        for &(producer, sequence, key) in &deliveries {
            service.record(producer, sequence, key);
        }
        let naive = Naive { deliveries: &deliveries, callers: &callers }.balance();
        prop_assert_eq!(service.delivered(), naive.delivered.expect("it counts them"));
        prop_assert_eq!(&Balance::of(&callers, Some(&service)), &naive);
        // As it arrives over the control port.
        let text = service.to_json().to_string();
        let json = serde_json::from_str(&text).expect("its own JSON");
        let read = ServiceLedger::from_json(&json).expect("its own ledger");
        prop_assert_eq!(&Balance::of(&callers, Some(&read)), &naive);
    }
}
