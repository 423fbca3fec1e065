//! Fan-outs with planted results, on each side of every rule.

use super::*;
use crate::claims::outage::CHECKOUT;
use crate::claims::{fixture, judge};
use crate::latency::{Beside, Minimum, summarise};
use crate::results::{
    Arrival, Fault, Hop, Latency, Ledger, Phase, Sent, Skipped, Table, Value, Verdict, VerdictRow,
};
use std::collections::BTreeMap;

const MS: u64 = 1_000_000;
const ORDERS: u64 = 1_000;

/// The orders of a trial: so many at the slow consumer's time or above, the rest at `p50`.
fn times(p50: u64, slow: u64) -> Latency {
    let mut samples = histogram::new();
    samples.record_n(p50, ORDERS - slow).unwrap();
    samples.record_n(SLOW.as_nanos() as u64 + MS, slow).unwrap();
    summarise(&samples, Beside::default(), Minimum::Trial)
}

fn hop(number: u32) -> Hop {
    let sent = Sent {
        calls: ORDERS,
        succeeded: ORDERS,
        lost: Some(0),
        unknown_to_caller: Some(0),
    };
    Hop {
        service: consumer(number),
        ledger: Ledger {
            delivered: Some(ORDERS),
            lost: Some(0),
            duplicated: Some(0),
            ..Ledger::default()
        },
        completion_ns: Some(times(3 * MS, 20)),
        from: BTreeMap::from([(CHECKOUT.to_string(), sent)]),
        ..Hop::default()
    }
}

/// A trial of a fan-out: the caller's median, ns, and how many of its orders met a slow consumer.
fn trial(fan: Fan, block: u32, p50: u64, slow: u64) -> Trial {
    let name = fan.name();
    let cell = Cell {
        id: name.clone(),
        durability: "process".into(),
        arrival: Arrival::Constant,
        rate_per_s: Some(100.0),
        factors: BTreeMap::from([("topology".to_string(), name)]),
        ..fixture::cell(SYNC_OVER, "O3")
    };
    Trial {
        experiment: EXPERIMENT.into(),
        block,
        cell,
        // A little apart, so that there is an interval.
        accept_ns: times(p50 + p50 / 1_000 * u64::from(block), slow),
        hops: (1..=fan.consumers).map(hop).collect(),
        ..Trial::default()
    }
}

fn blocks(fan: Fan, p50: u64, slow: u64) -> Vec<Trial> {
    (0..3).map(|block| trial(fan, block, p50, slow)).collect()
}

/// Trials in which a third consumer was ready after so many seconds, with the caller's median before and after, ns.
fn joining(way: &'static str, ready_s: f64, [before, after]: [u64; 2]) -> Vec<Trial> {
    let phase = |name: &str, start_s: f64, p50| Phase {
        name: name.into(),
        start_s,
        end_s: start_s + 2.0,
        accept_ns: times(p50, 20),
        ..Phase::default()
    };
    let join = Fault {
        what: "at 2s start consumer-3".into(),
        planned_s: 2.0,
        actual_s: ready_s,
    };
    let trial = |block: u32| Trial {
        phases: vec![
            phase(BEFORE, 0.0, before),
            phase(AFTER, 4.0, after + after / 1_000 * u64::from(block)),
        ],
        faults: vec![join.clone()],
        ..trial(Fan::joining(way), block, before, 20)
    };
    (0..3).map(trial).collect()
}

/// Each way with one consumer at 3 ms, and with most of them at these medians, in the order of the ways.
fn planted(of_most: [u64; 4]) -> Run {
    let mut trials = Vec::new();
    for (way, p50) in SYNC.into_iter().chain(BROKERS).zip(of_most) {
        trials.extend(blocks(Fan::of(way, 1), 3 * MS, 20));
        trials.extend(blocks(Fan::of(way, MOST), p50, 149));
    }
    for way in BROKERS {
        trials.extend(joining(way, 2.3, [3 * MS; 2]));
    }
    Run {
        trials,
        ..Run::default()
    }
}

fn verdict(run: &Run) -> VerdictRow {
    judge(run)
        .into_iter()
        .find(|row| row.claim == "fanout-sync")
        .expect("every claim has a row")
}

fn part_of(row: &VerdictRow, way: &str) -> Verdict {
    let named = |part: &&crate::results::Part| part.name.starts_with(way);
    row.parts.iter().find(named).expect("a part").verdict
}

#[test]
fn a_fan_out_is_known_by_the_name_of_its_topology() {
    let one_slow = Fan {
        one_slow: true,
        ..Fan::of("side-by-side", WITH_ONE_SLOW)
    };
    for fan in [
        Fan::of("sequence", 1),
        one_slow,
        Fan::of("stream", MOST),
        Fan::joining("queue"),
    ] {
        let planted = trial(fan, 0, MS, 0);
        assert_eq!(Fan::in_cell(&planted.cell), Some(fan), "{}", fan.name());
    }
    for name in [
        "checkout",
        "fanout-pigeon-4",
        "fanout-queue-many",
        "fanout-queue",
    ] {
        let mut planted = trial(one_slow, 0, MS, 0);
        planted.cell.factors.insert("topology".into(), name.into());
        assert_eq!(Fan::in_cell(&planted.cell), None, "{name}");
    }
}

#[test]
fn it_holds_where_waiting_callers_get_slower_and_publishing_ones_do_not() {
    let row = verdict(&planted([24 * MS, 9 * MS, 3 * MS, 3 * MS]));
    assert_eq!(row.verdict, Verdict::Holds, "{}", row.reason);
    assert_eq!(row.parts.len(), 6);
    // 149 of 1,000 in each of three blocks, and theory for eight with 2 %.
    for words in [
        "side-by-side 14.9 % [",
        "1 − (1 − p)^K is 14.9 %",
        "must be deployed anew",
    ] {
        assert!(row.reason.contains(words), "{words}: {}", row.reason);
    }
    let added = &row.parts[4];
    let says = "queue: the caller's accept p50 once consumer 3 had joined is 1.00×";
    assert!(added.reason.starts_with(says), "{}", added.reason);
}

#[test]
fn each_way_refutes_alone() {
    let holds = [24 * MS, 9 * MS, 3 * MS, 3 * MS];
    for (place, way, p50) in [
        (0, "sequence", 3 * MS),
        (1, "side-by-side", 4 * MS),
        (2, "queue", 12 * MS),
        (3, "stream", 6 * MS),
    ] {
        let mut of_most = holds;
        of_most[place] = p50;
        let row = verdict(&planted(of_most));
        assert_eq!(part_of(&row, way), Verdict::Refuted, "{}", row.reason);
        assert_eq!(row.verdict, Verdict::Refuted, "{}", row.reason);
    }
}

#[test]
fn a_consumer_that_joins_and_is_felt_refutes_and_one_that_joined_late_tells_nothing() {
    let with = |ready_s, medians| {
        let mut run = planted([24 * MS, 9 * MS, 3 * MS, 3 * MS]);
        let name = Fan::joining("stream").name();
        run.trials.retain(|trial| trial.cell.id != name);
        run.trials.extend(joining("stream", ready_s, medians));
        let row = verdict(&run);
        (row.parts[5].verdict, row)
    };
    let (part, row) = with(2.3, [3 * MS, 9 * MS]);
    assert_eq!(part, Verdict::Refuted, "{}", row.reason);
    assert_eq!(row.verdict, Verdict::Refuted, "{}", row.reason);
    assert_eq!(row.parts[5].name, "stream, one consumer added");
    // Ready 0.9 s before the phase begins: what its start took may be in it.
    let (part, row) = with(3.1, [3 * MS, 9 * MS]);
    assert_eq!(part, Verdict::NotMeasured, "{}", row.reason);
    assert_ne!(row.verdict, Verdict::Holds);
}

#[test]
fn what_was_not_run_is_not_measured_and_says_why() {
    let mut run = planted([24 * MS, 9 * MS, 3 * MS, 3 * MS]);
    run.trials
        .retain(|trial| !trial.cell.id.starts_with("fanout-queue"));
    run.skipped.push(Skipped {
        transport: "queue".into(),
        reason: "no broker".into(),
    });
    let row = verdict(&run);
    assert_eq!(part_of(&row, "queue"), Verdict::NotMeasured);
    assert_ne!(row.verdict, Verdict::Holds);
    let none = verdict(&Run::default());
    assert_eq!(none.verdict, Verdict::NotMeasured);
    assert!(none.reason.contains("not run over grpc"), "{}", none.reason);
}

#[test]
fn the_tables_hold_a_row_per_fan_out_and_two_where_one_consumer_is_slow() {
    let mut run = planted([24 * MS, 9 * MS, 3 * MS, 3 * MS]);
    let one_slow = Fan {
        one_slow: true,
        ..Fan::of("queue", WITH_ONE_SLOW)
    };
    run.trials.extend(blocks(one_slow, 3 * MS, 0));
    let tables = tables(&run);
    let rows: Vec<usize> = tables.iter().map(|table| table.rows.len()).collect();
    assert_eq!(rows, [9, 10, 2]);
    let number = |table: &Table, row: usize, column: usize| match &table.rows[row][column] {
        Value::Number(value) => *value,
        Value::Interval { point, .. } => *point,
        other => panic!("expected a figure, got {other:?}"),
    };
    // In sequence, K = 8.
    assert!((number(&tables[0], 1, 6) - 8.0).abs() < 0.05);
    assert!((number(&tables[0], 1, 7) - 14.9).abs() < 0.01);
    assert!((number(&tables[0], 1, 8) - 14.92).abs() < 0.01);
    // Three blocks, eight consumers.
    for column in [3, 4] {
        assert_eq!(number(&tables[1], 1, column), (3 * 8 * ORDERS) as f64);
    }
    // Planned and ready, before and after, accepted and delivered.
    for (column, value) in [(1, 2.0), (2, 2.3), (3, 3.0), (5, 1.0)] {
        let got = number(&tables[2], 1, column);
        assert!((got - value).abs() < 0.01, "column {column}: {got}");
    }
    assert_eq!(number(&tables[2], 1, 7), (3 * ORDERS) as f64);
    // The slow one of four, and the others.
    assert_eq!(number(&tables[1], 8, 4), (3 * ORDERS) as f64);
    assert_eq!(number(&tables[1], 9, 4), (9 * ORDERS) as f64);
}
