//! What the experiment `guards` shows: what the catalogue felt under each guard, and what became of the orders.

use super::{
    BEFORE, EXPERIMENT, Guard, SYNC, Trouble, calls, in_state, probed, prompt, topology, waited,
};
use crate::claims::outage::of_topology;
use crate::claims::part::share_in_percent;
use crate::claims::samples::{CellTrials, Sample, cells};
use crate::results::{HopCalls, Percentile, Phase, Run, Table, Trial, Value};

/// What the catalogue felt, and what became of the orders and of checkout's calls, in this order.
pub fn tables(run: &Run) -> Vec<Table> {
    let all = cells(run, EXPERIMENT);
    let mut catalogue = Table::new(
        EXPERIMENT,
        "The catalogue of checkout while the service behind it is slow, hangs or is dead",
        &[
            ("trouble", ""),
            ("transport", ""),
            ("guard of the call behind", ""),
            ("asked for", ""),
            ("errors", ""),
            ("came within 100 ms", "%"),
            ("p50 before", "ms"),
            ("p50 meanwhile", "ms"),
            ("p99 meanwhile", "ms"),
        ],
    )
    .with_note(
        "It needs a worker of checkout and nothing of the service behind. That is slow (200 ms an order), hangs (SIGSTOP: it \
         keeps its connections and answers nothing) or crashes (SIGKILL: connections are refused at once). Of all that were asked for: what failed or timed out \
         ranks at the deadline or above, and a percentile that falls among them is a lower bound. The share has its \
         95 % interval over blocks, the exact one where all went the same way; percentiles are those of the median block. `breaker` and \
         `all` count calls that failed or took more than 100 ms, `breaker-errors-only` and `breaker-timeout` those that failed or timed \
         out; each call counts when it ends.",
    );
    let mut orders = Table::new(
        EXPERIMENT,
        "The orders meanwhile, and checkout's calls to the service behind",
        &[
            ("trouble", ""),
            ("transport", ""),
            ("guard", ""),
            ("planned meanwhile", ""),
            ("sold", ""),
            ("failed", ""),
            ("timed out", ""),
            ("goodput", "1/s"),
            ("calls failed", ""),
            ("calls timed out", ""),
            ("shed by the bulkhead", ""),
            ("refused by the breaker", ""),
            ("breaker closed", "s"),
            ("open", "s"),
            ("half open", "s"),
        ],
    )
    .with_note(
        "Goodput: orders planned in the phase of the trouble that the user was told are done, by its length. Calls are those of the \
         whole trial, over the blocks that count; the breaker's states are seconds of a trial, in the mean.",
    );
    for trouble in Trouble::ALL {
        for over in SYNC {
            for guard in trouble.guards().iter().copied() {
                let Some(cell) = of_topology(&all, &topology(trouble, over, guard)) else {
                    continue;
                };
                catalogue.push(catalogue_row(trouble, over, guard, cell));
                orders.push(orders_row(trouble, over, guard, cell));
            }
        }
    }
    vec![catalogue, orders]
}

fn catalogue_row(trouble: Trouble, over: &str, guard: Guard, cell: &CellTrials<'_>) -> Vec<Value> {
    let meanwhile = trouble.name();
    let found = prompt(cell, meanwhile);
    let phases = cell.kept().filter_map(|trial| probed(trial, meanwhile));
    let errors: u64 = phases
        .map(|phase| phase.planned.saturating_sub(phase.acknowledged))
        .sum();
    vec![
        trouble.name().into(),
        over.into(),
        guard.name().into(),
        Value::number(found.total().1 as f64),
        Value::number(errors as f64),
        share_in_percent(&found),
        median(cell, |trial| waited(trial, BEFORE, Percentile::P50)),
        median(cell, |trial| waited(trial, meanwhile, Percentile::P50)),
        median(cell, |trial| waited(trial, meanwhile, Percentile::P99)),
    ]
}

fn orders_row(trouble: Trouble, over: &str, guard: Guard, cell: &CellTrials<'_>) -> Vec<Value> {
    let phases: Vec<&Phase> = cell
        .kept()
        .flat_map(|trial| &trial.phases)
        .filter(|phase| phase.name == trouble.name())
        .collect();
    let orders = |read: fn(&Phase) -> u64| -> f64 {
        let all: u64 = phases.iter().map(|phase| read(phase)).sum();
        all as f64
    };
    let sold = orders(|phase| phase.acknowledged);
    let seconds: f64 = phases.iter().map(|phase| phase.end_s - phase.start_s).sum();
    let count = |read: fn(&HopCalls) -> u64| {
        let all: u64 = calls(cell).map(read).sum();
        Value::number(all as f64)
    };
    let state = |state: &str| Value::maybe(in_state(cell, state), "no breaker");
    vec![
        trouble.name().into(),
        over.into(),
        guard.name().into(),
        Value::number(orders(|phase| phase.planned)),
        Value::number(sold),
        Value::number(orders(|phase| phase.failed)),
        Value::number(orders(|phase| phase.timed_out)),
        Value::number(sold / seconds),
        count(|calls| calls.failed.values().sum()),
        count(|calls| calls.timed_out),
        count(|calls| calls.shed),
        count(|calls| calls.refused_by_breaker),
        state("closed"),
        state("open"),
        state("half open"),
    ]
}

/// A latency of the median block, ms: one that timed out is a bound, and bounds have no mean.
fn median(cell: &CellTrials<'_>, of: impl Fn(&Trial) -> Option<Sample>) -> Value {
    let mut found: Vec<Sample> = cell.kept().filter_map(of).collect();
    found.sort_by(|one, other| one.value.total_cmp(&other.value));
    let Some(sample) = found.get(found.len() / 2) else {
        return Value::missing("too few samples");
    };
    let ms = sample.value / 1e6;
    if sample.at_least {
        Value::interval(ms, Some((ms, f64::INFINITY)))
    } else {
        Value::number(ms)
    }
}
