//! The table of the experiment `consumers`: each drain with the formula beside it.

use super::{AFTER, AWAY, EXPERIMENT, Theory, accept, busy, consumers, drained, over_blocks, rate};
use crate::claims::overload::Course;
use crate::claims::samples::{CellTrials, Sample, cells, figure, is_base};
use crate::results::{Run, Table, Value};
use crate::theory::{Expected, agreement};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;

/// How each number of consumers drained what had waited, with the formula beside it.
pub fn tables(run: &Run) -> Vec<Table> {
    let columns = [
        ("transport", ""),
        ("consumers", ""),
        ("of these with work", ""),
        ("waiting at the return", ""),
        ("time to drain, expected", "s"),
        ("time to drain, measured", "s"),
        ("they", ""),
        ("μ", "1/s"),
        ("drain rate, measured", "1/s"),
        ("accept p50 while away", "ms"),
        ("accept p50 afterwards", "ms"),
    ];
    let title = "What several consumers drain after an outage";
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(
        "Each consumer works on one order at a time. Expected: backlog ÷ (μ − λ), where μ is the consumers with work ÷ the \
         handler's own mean time. Measured: from the service's return until no more waits than they work on, in bins of \
         the series; the rate is what was done in that time, which ended somewhere in its last bin. A consumer that is handed its next order only after the last \
         one, and keys that lie unevenly on partitions, make it longer than the formula knows.",
    );
    let mut all = cells(run, EXPERIMENT);
    all.retain(|trials| is_base(trials.cell));
    all.sort_by_key(|trials| {
        let cell = trials.cell;
        (
            cell.transport.clone(),
            busy(cell) < consumers(cell),
            consumers(cell),
        )
    });
    for cell in &all {
        table.push(row(cell));
    }
    vec![table]
}

fn row(cell: &CellTrials<'_>) -> Vec<Value> {
    let shown = |found: &Option<Estimate>, why: &str| match found {
        Some(found) => Value::interval(found.point(), found.interval(LEVEL)),
        None => Value::missing(why),
    };
    let early = "its window ended before, or the service could not be read";
    let few = "too few samples";
    // The plan is the same in every block; the handler's own time differs by little.
    let theory = cell.kept().next().and_then(Theory::of);
    let took = over_blocks(cell, drained);
    let they = match (&theory, &took) {
        (Some(theory), Some(took)) => {
            let found = took.point();
            let ends = took.interval(LEVEL).unwrap_or((found, found));
            let Expected { low, high, .. } = theory.seconds;
            agreement((low, high), ends).to_string()
        }
        _ => "cannot be compared".into(),
    };
    let waiting = over_blocks(cell, |trial| Course::of(trial, AWAY)?.at_end());
    let rates: Option<Vec<Sample>> = cell.kept().map(rate).collect();
    let drain_rate = rates.and_then(|rates| figure(&rates));
    let count = |number: u64| Value::number(number as f64);
    vec![
        cell.cell.transport.as_str().into(),
        count(consumers(cell.cell)),
        count(busy(cell.cell)),
        shown(&waiting, "the service could not be read"),
        match &theory {
            Some(Theory { seconds, .. }) => {
                Value::interval(seconds.point, Some((seconds.low, seconds.high)))
            }
            None => Value::missing("no handler time to go by"),
        },
        shown(&took, early),
        they.into(),
        Value::maybe(
            theory.as_ref().map(|theory| theory.rate.0),
            "no handler time to go by",
        ),
        drain_rate.unwrap_or_else(|| Value::missing(early)),
        shown(&over_blocks(cell, |trial| accept(trial, AWAY)), few),
        shown(&over_blocks(cell, |trial| accept(trial, AFTER)), few),
    ]
}
