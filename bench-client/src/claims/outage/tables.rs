//! The tables of the experiment `outage`; the first is made for every experiment with that phase.

use super::{
    BEHIND, DOWN, EXPERIMENT, hop, late, longest, phase, published, succeeded, usual_error,
};
use crate::claims::part::share_in_percent;
use crate::claims::samples::{CellTrials, Sample, cells, is_base, percentile};
use crate::results::{Hop, Percentile, Run, Table, Value};

/// Who could check out, and what became of the orders behind, in this order.
pub fn tables(run: &Run) -> Vec<Table> {
    let all = cells(run, EXPERIMENT);
    vec![checkouts(EXPERIMENT, &all), orders_behind(&all)]
}

/// Who could check out while a service was away; for every experiment with that phase.
pub(in crate::claims) fn checkouts(experiment: &str, all: &[CellTrials<'_>]) -> Table {
    let columns = [
        ("topology", ""),
        ("planned in the outage", ""),
        ("succeeded", ""),
        ("share", "%"),
        ("most frequent error", ""),
        ("its callers waited", "ms"),
        ("accept p50 before", "ms"),
        ("accept p50 in the outage, of all planned", "ms"),
        ("accept p99 in the outage, of all planned", "ms"),
    ];
    let title = "Who could check out while the service behind was away";
    let mut table = Table::new(experiment, title, &columns).with_note(
        "The share has its 95 % interval over blocks, the exact one where all orders went the same way. Of all planned: \
         whoever failed or timed out ranks at the deadline or above; \
         a percentile that falls among them is a lower bound. Percentiles are those of the median block; a p99 takes 1,000 \
         orders of a block.",
    );
    for cell in all.iter().filter(|cell| is_base(cell.cell)) {
        let found = succeeded(cell, DOWN);
        let (well, of) = found.total();
        let error = usual_error(cell);
        let name = cell.cell.factors.get("topology").cloned();
        table.push(vec![
            name.unwrap_or_default().into(),
            Value::number(of as f64),
            Value::number(well as f64),
            share_in_percent(&found),
            error
                .as_ref()
                .map_or_else(|| "none".into(), |(error, _)| error.as_str().into()),
            Value::maybe(error.as_ref().map(|(_, waited)| *waited), "no error"),
            p50(cell, "before"),
            p50(cell, DOWN),
            accept(cell, DOWN, Percentile::P99),
        ]);
    }
    table
}

/// A phase's accept p50 over the blocks that count, ms.
pub(in crate::claims) fn p50(cell: &CellTrials<'_>, name: &str) -> Value {
    accept(cell, name, Percentile::P50)
}

fn accept(cell: &CellTrials<'_>, name: &str, which: Percentile) -> Value {
    let Some(sample) = of_median_block(cell, name, which) else {
        return Value::missing("too few samples");
    };
    let ms = sample.value / 1e6;
    if sample.at_least {
        Value::interval(ms, Some((ms, f64::INFINITY)))
    } else {
        Value::number(ms)
    }
}

/// A percentile of a phase's accept over the blocks that count, ns: the median block's, since one that timed out is a
/// bound. None where no block has the samples for it.
pub(in crate::claims) fn of_median_block(
    cell: &CellTrials<'_>,
    name: &str,
    which: Percentile,
) -> Option<Sample> {
    let mut found: Vec<Sample> = cell
        .kept()
        .filter_map(|trial| phase(trial, name))
        .filter_map(|phase| percentile(&phase.accept_ns, which))
        .collect();
    found.sort_by(|one, other| {
        let by_value = one.value.total_cmp(&other.value);
        by_value.then(one.at_least.cmp(&other.at_least))
    });
    found.get(found.len() / 2).copied()
}

fn orders_behind(all: &[CellTrials<'_>]) -> Table {
    let columns = [
        ("topology", ""),
        ("calls that went well", ""),
        ("never delivered", ""),
        ("delivered twice or more", ""),
        ("delivered, though checkout was told otherwise", ""),
        ("completed of the outage's", ""),
        ("the longest of them", "s"),
        ("λ·T", ""),
    ];
    let title = "What became of the orders at the service that was killed";
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(
        "Counted over the blocks that count. Over a broker the orders planned in the outage wait, λ·T of them in the mean \
        , and the longest waits at least as long as the service is away; over a sync transport they \
         were never sent. What its first life answered, the service read back from its journal.",
    );
    for cell in all.iter().filter(|cell| is_base(cell.cell)) {
        let unread = "a ledger could not be read";
        let ledger = |read: fn(&Hop) -> Option<u64>| {
            let counts: Option<u64> = cell.kept().map(|trial| read(hop(trial, BEHIND)?)).sum();
            Value::maybe(counts.map(|count| count as f64), unread)
        };
        let sent = published(cell, BEHIND);
        let done: u64 = late(cell).map(|phase| phase.completed).sum();
        let waiting = cell.kept().filter_map(|trial| phase(trial, DOWN));
        let planned: Vec<f64> = waiting.map(|phase| phase.planned as f64).collect();
        let mean = planned.iter().sum::<f64>() / planned.len().max(1) as f64;
        let name = cell.cell.factors.get("topology").cloned();
        table.push(vec![
            name.unwrap_or_default().into(),
            Value::maybe(sent.map(|(well, _)| well as f64), unread),
            Value::maybe(sent.map(|(_, lost)| lost as f64), unread),
            ledger(|hop| hop.ledger.duplicated),
            ledger(|hop| hop.ledger.recovered),
            Value::number(done as f64),
            Value::maybe(longest(cell), "none of them was completed"),
            Value::number(mean),
        ]);
    }
    table
}
