//! down-sync and down-async, from the experiment `outage`: checkout and the service behind it, which is killed and comes
//! back. Each cell is a topology whose name says over what checkout calls it.

mod tables;
#[cfg(test)]
pub(super) mod tests;

pub use tables::tables;
pub(super) use tables::{checkouts, of_median_block, p50};

use super::combine::Judged;
use super::part::{counted, not_measured, number, share};
use super::samples::{CellTrials, cells, is_base};
use super::{Combine, Judge, nothing_beside};
use crate::results::{Hop, HopPhase, Phase, Run, Sent, Trial};
use bench_stats::Shares;

/// What is judged here.
pub const JUDGES: &[Judge] = &[
    Judge {
        claim: "down-sync",
        parts: |run, _| SYNC.map(|over| goes_down(run, over)).into(),
        combine: Combine::AllOf,
        beside: nothing_beside,
    },
    Judge {
        claim: "down-async",
        parts: |run, _| BUFFERED.map(|over| loses_nothing(run, over)).into(),
        combine: Combine::AllOf,
        beside: still_sold,
    },
];

/// The experiment.
pub const EXPERIMENT: &str = "outage";
/// The phase in which the service behind is away.
pub const DOWN: &str = "outage";
/// The service that the user calls.
pub const CHECKOUT: &str = "checkout";
/// The one behind it.
pub const BEHIND: &str = "inventory";
/// Over what checkout waits for it.
const SYNC: [&str; 2] = ["rest", "grpc"];
/// Over what it publishes to it.
const BUFFERED: [&str; 2] = ["queue", "stream"];
/// "Down": of the orders planned in the outage at most this share succeeds. An order at each end of it may find the
/// service there.
pub const DOWN_SHARE: f64 = 0.01;

/// What the topology is called in which checkout calls over this.
pub fn topology(over: &str) -> String {
    format!("outage-{over}")
}

/// The cell of an experiment that ran the topology of this name.
pub(super) fn of_topology<'a, 'r>(
    all: &'a [CellTrials<'r>],
    name: &str,
) -> Option<&'a CellTrials<'r>> {
    all.iter().find(|cell| {
        is_base(cell.cell) && cell.cell.factors.get("topology").map(String::as_str) == Some(name)
    })
}

/// Why a cell is not there.
pub(super) fn missing(run: &Run, experiment: &str, over: &str) -> String {
    match run.skipped.iter().find(|s| s.transport == over) {
        Some(skipped) => format!("{over} was skipped: {}", skipped.reason),
        None => format!("`{experiment}` was not run over {over}"),
    }
}

pub(super) fn phase<'t>(trial: &'t Trial, name: &str) -> Option<&'t Phase> {
    trial.phases.iter().find(|phase| phase.name == name)
}

/// Orders planned in a phase that were answered well, and all of them; over the blocks that count.
pub(super) fn succeeded(cell: &CellTrials<'_>, name: &str) -> Shares {
    let phases = cell.kept().filter_map(|trial| phase(trial, name));
    Shares::of(phases.map(|phase| (phase.acknowledged, phase.planned)))
}

/// What a service was sent by checkout: gone well by its count, and of these never delivered; none where a ledger could
/// not be read.
pub(super) fn published(cell: &CellTrials<'_>, to: &str) -> Option<(u64, u64)> {
    let sent = |trial: &Trial| -> Option<Sent> { hop(trial, to)?.from.get(CHECKOUT).cloned() };
    cell.kept().try_fold((0, 0), |(well, lost), trial| {
        let sent = sent(trial)?;
        Some((well + sent.succeeded, lost + sent.lost?))
    })
}

fn hop<'t>(trial: &'t Trial, name: &str) -> Option<&'t Hop> {
    trial.hops.iter().find(|hop| hop.service == name)
}

fn goes_down(run: &Run, over: &str) -> Judged {
    let all = cells(run, EXPERIMENT);
    let name = format!("{over}: checkout is down");
    let Some(cell) = of_topology(&all, &topology(over)) else {
        return not_measured(name, missing(run, EXPERIMENT, over));
    };
    let error = usual_error(cell).map_or(String::new(), |(error, waited)| {
        format!("; most others saw `{error}` after {} ms", number(waited))
    });
    share(
        cell,
        name,
        &succeeded(cell, DOWN),
        0.0..=DOWN_SHARE,
        |found| format!("{over}: {found}, orders succeeded while {BEHIND} was away{error}"),
    )
}

fn loses_nothing(run: &Run, over: &str) -> Judged {
    let all = cells(run, EXPERIMENT);
    let name = format!("{over} loses nothing");
    let Some(cell) = of_topology(&all, &topology(over)) else {
        return not_measured(name, missing(run, EXPERIMENT, over));
    };
    let Some((well, lost)) = published(cell, BEHIND) else {
        return not_measured(name, format!("{over}: a ledger could not be read"));
    };
    counted(cell, name, lost, well, |bound| match lost {
        0 => format!(
            "{over}: of {well} confirmed orders none was lost over the kill (a share of ≤ {} at 95 % may be), {}",
            number(bound),
            longest(cell).map_or("their completion is unknown".into(), |s| format!(
                "the last of the outage done {} s after it was planned",
                number(s)
            ))
        ),
        _ => format!("{over}: {lost} of {well} confirmed orders were never delivered"),
    })
}

/// What checkout sold meanwhile.
fn still_sold(run: &Run) -> String {
    let all = cells(run, EXPERIMENT);
    let said: Vec<String> = BUFFERED
        .iter()
        .filter_map(|over| {
            let (well, of) = succeeded(of_topology(&all, &topology(over))?, DOWN).total();
            Some(format!("{over} took {well} of {of} orders"))
        })
        .collect();
    match said.is_empty() {
        true => String::new(),
        false => format!(" While {BEHIND} was away, {}.", said.join(" and ")),
    }
}

/// The error that most callers saw, and what its callers waited for it, ms.
pub(super) fn usual_error(cell: &CellTrials<'_>) -> Option<(String, f64)> {
    let seen = cell.kept().flat_map(|trial| &trial.seen);
    let most = seen.max_by_key(|seen| seen.count)?;
    Some((most.error.clone(), most.waited_median_s * 1e3))
}

/// The outage's orders at the service behind.
fn late<'a>(cell: &'a CellTrials<'_>) -> impl Iterator<Item = &'a HopPhase> {
    cell.kept()
        .filter_map(|trial| hop(trial, BEHIND))
        .flat_map(|hop| &hop.phases)
        .filter(|phase| phase.name == DOWN)
}

/// The longest that an order planned in the outage took until the service behind had done it, seconds.
fn longest(cell: &CellTrials<'_>) -> Option<f64> {
    let most = late(cell).filter_map(|phase| phase.completion_ns.max);
    most.max().map(|ns| ns as f64 / 1e9)
}
