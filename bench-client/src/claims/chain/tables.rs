//! The tables of the experiment `chain`: each measurement with what theory says of it in the next column.

use super::failures::{failing, failures, level_of_each};
use super::floor::{FLOOR, quickest};
use super::tails::{sum_of_singles, tail_of_sum};
use super::{BASE, BROKERS, Chain, EXPERIMENT, Kind, LONGEST, SYNC, find};
use crate::claims::samples::{CellTrials, Metric, Paired, Sample, cells};
use crate::results::{Run, Table, Trial, Value};
use bench_stats::estimate::LEVEL;
use bench_stats::{Estimate, binomial};

/// Failures, tails, the floor and the published hop, in this order, whatever of them was measured.
pub fn tables(run: &Run) -> Vec<Table> {
    let all = cells(run, EXPERIMENT);
    vec![
        failure_table(&all),
        tail_table(&all),
        floor_table(&all),
        published_table(&all),
    ]
}

fn failure_table(all: &[CellTrials<'_>]) -> Table {
    let columns = [
        ("transport", ""),
        ("N", ""),
        ("orders", ""),
        ("failed", ""),
        ("share that failed", "%"),
        ("1 − (1 − p)^N", "%"),
    ];
    let title = "A chain of N services, each of which fails one order in a hundred";
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(format!(
        "Every service draws its failures by itself. Exact binomial intervals at {:.1} %, so that all {} together hold \
         in 95 % of runs.",
        100.0 * level_of_each(),
        SYNC.len() * LONGEST
    ));
    for (transport, hops) in SYNC
        .iter()
        .flat_map(|of| (1..=LONGEST).map(move |n| (*of, n)))
    {
        let Some(cell) = find(all, transport, Chain::of(hops, Kind::Fail)) else {
            continue;
        };
        let (failed, orders) = failures(cell);
        let percent = |share: f64| 100.0 * share;
        let ends = binomial::interval(failed, orders, level_of_each());
        let share = failed as f64 / orders as f64;
        table.push(vec![
            transport.into(),
            Value::number(hops as f64),
            Value::number(orders as f64),
            Value::number(failed as f64),
            Value::interval(
                percent(share),
                ends.map(|(low, high)| (percent(low), percent(high))),
            ),
            Value::number(percent(failing(hops))),
        ]);
    }
    table
}

fn tail_table(all: &[CellTrials<'_>]) -> Table {
    let columns = [
        ("transport", ""),
        ("each hop", ""),
        ("N", ""),
        ("accept p50", "ms"),
        ("accept p99", "ms"),
        ("N × p99 of one hop", "ms"),
        ("p99 ÷ that", "×"),
        ("independent hops", "×"),
    ];
    let title = "p99 of a chain, and the sum of its hops' own p99s";
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(
        "A single hop is a chain of one, so that its p99 holds the way to it too. The last column is what independent \
         hops give that are reached in no time, from draws of the same slowness.",
    );
    for (transport, kind) in SYNC
        .iter()
        .flat_map(|of| [Kind::Smooth, Kind::Spike].map(|kind| (*of, kind)))
    {
        for hops in 1..=LONGEST {
            let Some(cell) = find(all, transport, Chain::of(hops, kind)) else {
                continue;
            };
            let single = find(all, transport, Chain::of(1, kind));
            let sum = |trial: &Trial| sum_of_singles(trial, hops);
            table.push(vec![
                transport.into(),
                kind.slowness().to_string().into(),
                Value::number(hops as f64),
                ms(cell, |trial| Metric::AcceptP50.of(trial)),
                ms(cell, |trial| Metric::AcceptP99.of(trial)),
                single.map_or_else(
                    || Value::missing("no chain of one was run"),
                    |single| ms(single, sum),
                ),
                single.map_or_else(
                    || Value::missing("no chain of one was run"),
                    |single| ratio(cell, single, sum),
                ),
                Value::number(tail_of_sum(hops, kind)),
            ]);
        }
    }
    table
}

fn floor_table(all: &[CellTrials<'_>]) -> Table {
    let columns = [
        ("transport", ""),
        ("N", ""),
        ("orders", ""),
        ("quickest", "ms"),
        ("accept p50", "ms"),
        ("N × what one takes", "ms"),
    ];
    let title = format!(
        "A chain of N services that take {} ms each",
        FLOOR.as_millis()
    );
    let mut table = Table::new(EXPERIMENT, title, &columns);
    for transport in SYNC {
        for hops in 1..=LONGEST {
            let Some(cell) = find(all, transport, Chain::of(hops, Kind::Floor)) else {
                continue;
            };
            let floor = FLOOR * hops as u32;
            let found = quickest(cell, floor);
            table.push(vec![
                transport.into(),
                Value::number(hops as f64),
                Value::number(found.as_ref().map_or(0.0, |found| found.orders as f64)),
                Value::maybe(
                    found.map(|found| found.ns as f64 / 1e6),
                    "no block that counts",
                ),
                ms(cell, |trial| Metric::AcceptP50.of(trial)),
                Value::number(floor.as_secs_f64() * 1e3),
            ]);
        }
    }
    table
}

fn published_table(all: &[CellTrials<'_>]) -> Table {
    let columns = [
        ("transport", ""),
        ("published over", ""),
        ("accept p50", "ms"),
        ("accept p99", "ms"),
        ("without it: p99", "ms"),
        ("with ÷ without", "×"),
    ];
    let title =
        format!("A chain of {BASE}, and the same with a further service that is published to");
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(
        "Published: the chain waits for the broker's confirm and for nothing else. Durability class process on every \
         service and broker.",
    );
    let base = Chain::of(BASE, Kind::Smooth);
    for (transport, broker) in SYNC
        .iter()
        .flat_map(|of| BROKERS.map(|broker| (*of, broker)))
    {
        let chain = Chain {
            published: Some(broker),
            ..base
        };
        let Some(cell) = find(all, transport, chain) else {
            continue;
        };
        let without = find(all, transport, base);
        let p99 = |trial: &Trial| Metric::AcceptP99.of(trial);
        let none = || Value::missing("the chain without it was not run");
        table.push(vec![
            transport.into(),
            broker.into(),
            ms(cell, |trial| Metric::AcceptP50.of(trial)),
            ms(cell, p99),
            without.map_or_else(none, |without| ms(without, p99)),
            without.map_or_else(none, |without| ratio(cell, without, p99)),
        ]);
    }
    table
}

/// A latency over the blocks, geometric mean with its interval, in ms.
fn ms(cell: &CellTrials<'_>, of: impl Fn(&Trial) -> Option<Sample>) -> Value {
    let values: Vec<f64> = cell
        .kept()
        .filter_map(of)
        .filter(|sample| !sample.at_least && sample.value > 0.0)
        .map(|sample| sample.value / 1e6)
        .collect();
    match Estimate::of_ratios(&values) {
        Some(estimate) => Value::interval(estimate.point(), estimate.interval(LEVEL)),
        None => Value::missing("too few samples in any block that counts"),
    }
}

/// p99 of one cell over a latency of another, paired by block.
fn ratio(
    above: &CellTrials<'_>,
    below: &CellTrials<'_>,
    of: impl Fn(&Trial) -> Option<Sample>,
) -> Value {
    let paired = Paired::of(above, below, |trial| Metric::AcceptP99.of(trial), of);
    match Estimate::of_ratios(&paired.ratios(true)) {
        Some(estimate) => Value::interval(estimate.point(), estimate.interval(LEVEL)),
        None => Value::missing("no block has both, with enough samples"),
    }
}
