//! The tables of the experiment `fanout`: the caller's side with theory beside it, what each consumer got, and what it is
//! to the caller that one joins.

use super::{AFTER, BEFORE, EXPERIMENT, Fan, RARELY, SETTLING, SLOW, slow_orders};
use crate::claims::outage::{self, of_topology, published};
use crate::claims::part::share_in_percent;
use crate::claims::samples::{CellTrials, Metric, Paired, cells, is_base};
use crate::latency::{Minimum, merge};
use crate::results::{Fault, Hop, Latency, Run, Table, Trial, Value};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;

const FEW: &str = "too few samples";
const UNREAD: &str = "a ledger could not be read";
const NONE: &str = "no block that counts";

/// The caller, the consumers, and one that joins, in this order; a row per fan-out that was run.
pub fn tables(run: &Run) -> Vec<Table> {
    let all = cells(run, EXPERIMENT);
    let fans: Vec<(Fan, &CellTrials<'_>)> = all
        .iter()
        .filter(|cell| is_base(cell.cell))
        .filter_map(|cell| Some((Fan::in_cell(cell.cell)?, cell)))
        .collect();
    let (joining, fans): (Vec<_>, Vec<_>) = fans.into_iter().partition(|(fan, _)| fan.one_joins);
    vec![callers(&all, &fans), consumers(&fans), one_more(&joining)]
}

fn callers(all: &[CellTrials<'_>], fans: &[(Fan, &CellTrials<'_>)]) -> Table {
    let columns = [
        ("consumers reached", ""),
        ("K", ""),
        ("one of them slow", ""),
        ("accept p50", "ms"),
        ("accept p90", "ms"),
        ("accept p99", "ms"),
        ("p50 ÷ that of K = 1", "×"),
        ("orders that met a slow one", "%"),
        ("1 − (1 − p)^K", "%"),
    ];
    let title = "What K consumers of an order cost its caller";
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(format!(
        "Each consumer is slow on p = {} % of the orders by itself, with {} ms; where one of them is slow, it is so on every \
         order. An order met a slow one if the caller waited at least so long; the share has its 95 % \
         interval over blocks, the exact one where all orders went the same way. \
         Percentiles are over all blocks that count together.",
        100.0 * RARELY,
        SLOW.as_millis()
    ));
    for (fan, cell) in fans {
        let accept = merge(cell.kept().map(|trial| &trial.accept_ns), Minimum::Merged);
        let [p50, p90, p99] = percentiles(accept.as_ref());
        let one = of_topology(all, &Fan::of(fan.way, 1).name());
        table.push(vec![
            fan.way.into(),
            Value::number(f64::from(fan.consumers)),
            if fan.one_slow { "yes" } else { "no" }.into(),
            p50,
            p90,
            p99,
            one.map_or_else(
                || Value::missing("K = 1 was not run"),
                |one| ratio(cell, one),
            ),
            slow_orders(cell)
                .as_ref()
                .map_or_else(|| Value::missing(NONE), share_in_percent),
            match fan.waits() {
                true => Value::number(100.0 * fan.slow_share()),
                false => Value::missing("the caller waits for none"),
            },
        ]);
    }
    table
}

fn consumers(fans: &[(Fan, &CellTrials<'_>)]) -> Table {
    let columns = [
        ("consumers reached", ""),
        ("K", ""),
        ("which", ""),
        ("calls that went well", ""),
        ("delivered", ""),
        ("never delivered", ""),
        ("delivered twice or more", ""),
        ("completion p50", "ms"),
        ("completion p90", "ms"),
        ("completion p99", "ms"),
    ];
    let title = "What each of K consumers got, and when it had worked on it";
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(
        "Counts are of the consumers together, over the blocks that count; what is published once goes well once for each. \
         Completion runs from the user's planned instant until the consumer has worked on the order.",
    );
    for (fan, cell) in fans {
        let kinds: &[(&str, bool)] = if fan.one_slow {
            &[("the slow one", true), ("the others", false)]
        } else {
            &[("all", false)]
        };
        for (which, slow) in kinds {
            table.push(consumer_row(*fan, cell, which, *slow));
        }
    }
    table
}

fn one_more(fans: &[(Fan, &CellTrials<'_>)]) -> Table {
    let columns = [
        ("consumers reached", ""),
        ("the last was to start at", "s"),
        ("was ready by", "s"),
        ("accept p50 before", "ms"),
        ("accept p50 after", "ms"),
        ("after ÷ before", "×"),
        ("accepted orders", ""),
        ("delivered to the last", ""),
        ("never delivered to it, of those planned since", ""),
        ("delivered to it twice or more", ""),
    ];
    let title = "What it is to the caller that one more consumer joins while it publishes";
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(format!(
        "Its queue is bound, or its group has its place at the topic's end, when it is ready: what was published before is not \
         its. Ready in all blocks by then; a block counts for the ratio if that was {} s before the phase `{AFTER}`, since the \
         start of a process takes CPU of all on its core.",
        SETTLING.as_secs()
    ));
    for (fan, cell) in fans {
        let name = super::consumer(fan.consumers);
        let joins: Vec<&Fault> = cell
            .kept()
            .filter_map(|trial| trial.faults.first())
            .collect();
        let latest = |read: fn(&Fault) -> f64| {
            Value::maybe(joins.iter().map(|fault| read(fault)).reduce(f64::max), NONE)
        };
        let hops: Vec<&Hop> = cell
            .kept()
            .flat_map(|trial| &trial.hops)
            .filter(|hop| hop.service == name)
            .collect();
        let ledger = |read: fn(&Hop) -> Option<u64>| {
            let count: Option<u64> = hops.iter().map(|hop| read(hop)).sum();
            Value::maybe(count.map(|count| count as f64), UNREAD)
        };
        let accepted: u64 = cell.kept().map(|trial| trial.ledger.acknowledged).sum();
        table.push(vec![
            fan.way.into(),
            latest(|fault| fault.planned_s),
            latest(|fault| fault.actual_s),
            outage::p50(cell, BEFORE),
            outage::p50(cell, AFTER),
            estimate(&Paired::of(cell, cell, super::after, super::before)),
            Value::number(accepted as f64),
            ledger(|hop| hop.ledger.delivered),
            ledger(|hop| hop.ledger.lost),
            ledger(|hop| hop.ledger.duplicated),
        ]);
    }
    table
}

fn consumer_row(fan: Fan, cell: &CellTrials<'_>, which: &str, slow: bool) -> Vec<Value> {
    let names: Vec<String> = (1..=fan.consumers)
        .map(super::consumer)
        .filter(|name| fan.is_slow_one(name) == slow)
        .collect();
    let sent = names.iter().try_fold((0, 0), |(well, lost), name| {
        let (more, gone) = published(cell, name)?;
        Some((well + more, lost + gone))
    });
    let hops: Vec<&Hop> = cell
        .kept()
        .flat_map(|trial| &trial.hops)
        .filter(|hop| names.contains(&hop.service))
        .collect();
    let ledger = |read: fn(&Hop) -> Option<u64>| {
        let count: Option<u64> = hops.iter().map(|hop| read(hop)).sum();
        Value::maybe(count.map(|count| count as f64), UNREAD)
    };
    let completion: Option<Vec<&Latency>> =
        hops.iter().map(|hop| hop.completion_ns.as_ref()).collect();
    let completion = completion.and_then(|parts| merge(parts, Minimum::Merged));
    let [p50, p90, p99] = percentiles(completion.as_ref());
    vec![
        fan.way.into(),
        Value::number(f64::from(fan.consumers)),
        which.into(),
        Value::maybe(sent.map(|(well, _)| well as f64), UNREAD),
        ledger(|hop| hop.ledger.delivered),
        Value::maybe(sent.map(|(_, lost)| lost as f64), UNREAD),
        ledger(|hop| hop.ledger.duplicated),
        p50,
        p90,
        p99,
    ]
}

/// p50, p90 and p99, ms.
fn percentiles(latency: Option<&Latency>) -> [Value; 3] {
    let of = |read: fn(&Latency) -> Option<u64>| {
        Value::maybe(latency.and_then(read).map(|ns| ns as f64 / 1e6), FEW)
    };
    [of(|l| l.p50), of(|l| l.p90), of(|l| l.p99)]
}

/// accept p50 of one cell over that of another, paired by block.
fn ratio(above: &CellTrials<'_>, below: &CellTrials<'_>) -> Value {
    let p50 = |trial: &Trial| Metric::AcceptP50.of(trial);
    estimate(&Paired::of(above, below, p50, p50))
}

/// The ratio of paired blocks.
fn estimate(paired: &Paired) -> Value {
    match Estimate::of_ratios(&paired.ratios(true)) {
        Some(estimate) => Value::interval(estimate.point(), estimate.interval(LEVEL)),
        None => Value::missing("no block has both, with enough samples"),
    }
}
