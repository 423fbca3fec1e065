//! Chains with planted results, on each side of every rule.

use super::failures::FAILS;
use super::tails::tail_of_sum;
use super::*;
use crate::claims::fixture;
use crate::claims::judge;
use crate::results::{
    Arrival, Cell, Ledger, Skipped, State, Table, Trial, Value, Verdict, VerdictRow,
};
use std::collections::BTreeMap;

/// A trial of a chain: p50 and p99 of accept, ns, and the share of 10,000 orders that failed.
fn trial(transport: &str, chain: Chain, block: u32, p50: u64, p99: u64, failed: u64) -> Trial {
    let name = chain.name();
    let cell = Cell {
        id: format!("{transport}-{name}"),
        durability: "process".into(),
        arrival: Arrival::Constant,
        rate_per_s: Some(500.0),
        factors: BTreeMap::from([("topology".to_string(), name)]),
        ..fixture::cell(transport, "O3")
    };
    // A little apart, so that there is an interval.
    let scaled = |ns: u64| ns + ns / 1_000 * u64::from(block);
    Trial {
        experiment: EXPERIMENT.into(),
        block,
        cell,
        accept_ns: fixture::latency(10, scaled(p50), scaled(p99)),
        ledger: Ledger {
            attempted: 10_000,
            acknowledged: 10_000 - failed,
            failed,
            ..Ledger::default()
        },
        ..Trial::default()
    }
}

fn run_of(trials: impl IntoIterator<Item = Trial>) -> Run {
    Run {
        trials: trials.into_iter().collect(),
        ..Run::default()
    }
}

fn blocks(transport: &str, chain: Chain, p50: u64, p99: u64, failed: u64) -> Vec<Trial> {
    (0..3)
        .map(|block| trial(transport, chain, block, p50, p99, failed))
        .collect()
}

fn of(run: &Run, claim: &str) -> VerdictRow {
    judge(run)
        .into_iter()
        .find(|row| row.claim == claim)
        .expect("every claim has a row")
}

/// Failing chains of every length over both transports, each with the share that the formula gives, and `extra` more.
fn failing_chains(extra: impl Fn(&str, usize) -> f64) -> Run {
    let mut trials = Vec::new();
    for transport in SYNC {
        for hops in 1..=LONGEST {
            let share = failing(hops) + extra(transport, hops);
            let failed = (share * 10_000.0).round() as u64;
            let chain = Chain::of(hops, Kind::Fail);
            trials.extend(blocks(transport, chain, 1_000_000, 2_000_000, failed));
        }
    }
    run_of(trials)
}

#[test]
fn a_chain_is_known_by_the_name_of_its_topology() {
    let plain = Chain::of(3, Kind::Smooth);
    let published = Chain {
        published: Some("queue"),
        ..Chain::of(2, Kind::Smooth)
    };
    for chain in [plain, published, Chain::of(5, Kind::Floor)] {
        let planted = trial("rest", chain, 0, 1, 1, 0);
        assert_eq!(
            Chain::in_cell(&planted.cell),
            Some(chain),
            "{}",
            chain.name()
        );
    }
    for name in [
        "checkout",
        "chain-x-smooth",
        "chain-3-rough",
        "chain-3-smooth-and-pigeon",
    ] {
        let mut planted = trial("rest", plain, 0, 1, 1, 0);
        planted.cell.factors.insert("topology".into(), name.into());
        assert_eq!(Chain::in_cell(&planted.cell), None, "{name}");
    }
}

#[test]
fn failures_of_a_chain_hold_where_each_share_is_the_formulas() {
    let row = of(&failing_chains(|_, _| 0.0), "chain-fail");
    assert_eq!(row.verdict, Verdict::Holds, "{}", row.reason);
    assert_eq!(row.parts.len(), 10);
    assert!(row.reason.contains("by construction"), "{}", row.reason);
    assert!((failing(5) - 0.0490).abs() < 1e-4);
}

#[test]
fn failures_in_step_refute_the_formula() {
    // As if every service drew the same orders to fail: one in a hundred, whatever the length.
    let run = failing_chains(|_, hops| FAILS - failing(hops));
    let row = of(&run, "chain-fail");
    let verdict = |name: &str| {
        row.parts
            .iter()
            .find(|part| part.name == name)
            .unwrap()
            .verdict
    };
    assert_eq!(verdict("rest, N = 1"), Verdict::Holds);
    assert_eq!(verdict("rest, N = 5"), Verdict::Refuted);
    assert_ne!(row.verdict, Verdict::Holds);
    // A single length a little off is not enough to refute, and enough not to hold.
    let run = failing_chains(|transport, hops| match (transport, hops) {
        ("grpc", 5) => 0.0045,
        _ => 0.0,
    });
    assert_eq!(of(&run, "chain-fail").verdict, Verdict::Inconclusive);
}

#[test]
fn a_tail_is_judged_against_as_many_single_ones() {
    let ms = 1_000_000;
    // p99 of five hops in each block, where a single one has 10 ms.
    let with = |of_five: [u64; 3]| {
        let mut trials = Vec::new();
        for transport in SYNC {
            for kind in [Kind::Smooth, Kind::Spike] {
                for (block, p99) in (0..).zip(of_five) {
                    let (one, five) = (Chain::of(1, kind), Chain::of(5, kind));
                    trials.push(trial(transport, one, block, 5 * ms, 10 * ms, 0));
                    trials.push(trial(transport, five, block, 20 * ms, p99 * ms, 0));
                }
            }
        }
        of(&run_of(trials), "chain-p99")
    };
    let row = with([49, 50, 51]);
    assert_eq!(
        (row.verdict, row.parts.len()),
        (Verdict::Holds, 4),
        "{}",
        row.reason
    );
    let below = with([24, 25, 26]);
    assert_eq!(below.verdict, Verdict::Refuted, "{}", below.reason);
    assert!(below.high.unwrap() < 0.8);
    assert_eq!(with([490, 500, 510]).verdict, Verdict::Refuted);
    // 0.8 × 50 ms is the fence.
    assert_eq!(with([38, 40, 42]).verdict, Verdict::Inconclusive);
}

#[test]
fn what_theory_says_of_tails_is_below_one_for_smooth_hops_and_far_above_it_for_rare_spikes() {
    let smooth = tail_of_sum(LONGEST, Kind::Smooth);
    assert!((0.4..0.85).contains(&smooth), "{smooth}");
    let spike = tail_of_sum(LONGEST, Kind::Spike);
    assert!((10.0..34.0).contains(&spike), "{spike}");
    assert!((tail_of_sum(1, Kind::Smooth) - 1.0).abs() < 1e-9);
    assert!((tail_of_sum(LONGEST, Kind::Floor) - 1.0).abs() < 1e-9);
}

#[test]
fn one_order_quicker_than_its_hops_refutes_the_floor() {
    let ms = 1_000_000;
    let with = |p50: u64| {
        let chain = Chain::of(LONGEST, Kind::Floor);
        let trials = SYNC.map(|of| blocks(of, chain, p50, 260 * ms, 0)).concat();
        of(&run_of(trials), "chain-floor")
    };
    let row = with(253 * ms);
    assert_eq!(row.verdict, Verdict::Holds, "{}", row.reason);
    assert!(
        row.reason.contains("none took less than 250 ms"),
        "{}",
        row.reason
    );
    assert!(
        row.low.unwrap() >= 252.0 && row.high.unwrap() < 256.0,
        "{row:?}"
    );
    let row = with(240 * ms);
    assert_eq!(row.verdict, Verdict::Refuted, "{}", row.reason);
}

#[test]
fn one_block_of_three_does_not_tell_that_no_order_was_quicker_and_does_tell_that_one_was() {
    let ms = 1_000_000;
    let with = |p50: u64| {
        let chain = Chain::of(LONGEST, Kind::Floor);
        let mut run = run_of(SYNC.map(|of| blocks(of, chain, p50, 260 * ms, 0)).concat());
        for trial in run.trials.iter_mut().filter(|trial| trial.block > 0) {
            trial.validity.state = State::Invalid;
        }
        of(&run, "chain-floor")
    };
    let row = with(253 * ms);
    assert_eq!(row.verdict, Verdict::Inconclusive, "{}", row.reason);
    assert!(row.reason.contains("kept 1 of 3 blocks"), "{}", row.reason);
    assert_eq!(with(240 * ms).verdict, Verdict::Refuted);
}

#[test]
fn a_published_hop_is_free_where_the_tail_stays_and_not_where_it_doubles() {
    let ms = 1_000_000;
    let base = Chain::of(BASE, Kind::Smooth);
    let with = |p99: u64| {
        let mut trials = Vec::new();
        for transport in SYNC {
            trials.extend(blocks(transport, base, 10 * ms, 25 * ms, 0));
            for broker in BROKERS {
                let chain = Chain {
                    published: Some(broker),
                    ..base
                };
                trials.extend(blocks(transport, chain, 11 * ms, p99, 0));
            }
        }
        of(&run_of(trials), "async-hop-free")
    };
    let row = with(27 * ms);
    assert_eq!(
        (row.verdict, row.parts.len()),
        (Verdict::Holds, 4),
        "{}",
        row.reason
    );
    assert_eq!(with(50 * ms).verdict, Verdict::Refuted);
}

#[test]
fn what_was_not_run_is_not_measured_and_says_why() {
    let mut run = run_of(blocks("rest", Chain::of(BASE, Kind::Smooth), 1, 2, 0));
    run.skipped.push(Skipped {
        transport: "queue".into(),
        reason: "no broker".into(),
    });
    let row = of(&run, "async-hop-free");
    assert_eq!(row.verdict, Verdict::NotMeasured);
    assert!(
        row.reason.contains("queue was skipped: no broker"),
        "{}",
        row.reason
    );
    for claim in ["chain-fail", "chain-p99", "chain-floor"] {
        let row = of(&run, claim);
        assert_eq!(row.verdict, Verdict::NotMeasured, "{claim}");
        assert!(
            row.reason.contains("was not run with"),
            "{claim}: {}",
            row.reason
        );
    }
}

#[test]
fn the_tables_hold_a_row_per_chain_with_theory_in_the_last_column() {
    let ms = 1_000_000;
    let mut run = failing_chains(|_, _| 0.0);
    let base = Chain::of(BASE, Kind::Smooth);
    let published = Chain {
        published: Some("stream"),
        ..base
    };
    for (chain, p99) in [
        (Chain::of(1, Kind::Smooth), 10 * ms),
        (base, 18 * ms),
        (published, 19 * ms),
        (Chain::of(5, Kind::Floor), 255 * ms),
    ] {
        run.trials.extend(blocks("grpc", chain, p99 / 2, p99, 0));
    }
    let tables = tables(&run);
    let rows: Vec<usize> = tables.iter().map(|table| table.rows.len()).collect();
    assert_eq!(rows, [10, 2, 1, 1]);
    for table in &tables {
        assert!(
            table
                .rows
                .iter()
                .all(|row| row.len() == table.columns.len()),
            "{table:?}"
        );
    }
    let number = |table: &Table, row: usize, column: usize| match &table.rows[row][column] {
        Value::Number(value) => *value,
        Value::Interval { point, .. } => *point,
        other => panic!("expected a figure, got {other:?}"),
    };
    assert!(
        (number(&tables[0], 4, 5) - 4.9).abs() < 0.01,
        "theory for N = 5"
    );
    assert!((number(&tables[0], 4, 4) - 4.9).abs() < 0.05);
    assert!(
        (number(&tables[1], 1, 6) - 0.9).abs() < 0.01,
        "18 ms ÷ 2 × 10 ms"
    );
    assert_eq!(number(&tables[2], 0, 5), 250.0);
    assert!((number(&tables[3], 0, 5) - 19.0 / 18.0).abs() < 0.01);
}
