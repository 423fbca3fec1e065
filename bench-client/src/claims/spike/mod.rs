//! spike, from the experiment of that name: ten times the rate for a while over workers of fixed capacity. Of queue and
//! stream, each without a limit: no publish fails, what the workers cannot do waits, and it drains with nothing lost.
//! What synchronous callers saw, and what limits turned away, is said beside it and decides nothing.

mod table;
#[cfg(test)]
mod tests;

pub use table::table;

use super::combine::Judged;
use super::overload::{Course, Overload, is_bounded, turned_away, variant};
use super::part::{counted, not_measured, number};
use super::rules::{self, Interval, Rule};
use super::samples::{CellTrials, cells, is_base};
use super::{Combine, Judge};
use crate::results::{Part, Phase, Run, Trial, Verdict};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;

/// The phase.
pub const SPIKE: &str = "spike";
/// Transports on which a queue buffers.
const BUFFERED: [&str; 2] = ["queue", "stream"];
/// "Buffers": at least this share of what the workers cannot do waits when the spike ends. Half, so that a worker that
/// is a little faster or slower than planned decides nothing.
const BUFFERS: f64 = 0.5;
/// By which its parts are judged.
pub const RULES: &[Rule] = &[Rule::AllOf, Rule::Never, Rule::Effect(BUFFERS)];

/// What is judged here.
pub const JUDGES: &[Judge] = &[Judge {
    claim: "spike",
    parts: |run, _| parts(run),
    combine: Combine::AllOf,
    beside,
}];

/// Three parts for each transport that buffers.
pub fn parts(run: &Run) -> Vec<Judged> {
    let all = cells(run, "spike");
    let mut parts = Vec::new();
    for transport in BUFFERED {
        let cell = all.iter().find(|cell| {
            is_base(cell.cell) && cell.cell.transport == transport && !is_bounded(cell.cell)
        });
        let names = ["takes every order", "buffers", "drains and loses nothing"]
            .map(|what| format!("{transport} {what}"));
        let [takes, buffers, drains] = names;
        match cell {
            Some(cell) => parts.extend([
                never_fails(cell, takes),
                waits(cell, buffers),
                drained(cell, drains),
            ]),
            None => {
                let why = missing(run, transport);
                parts.extend([takes, buffers, drains].map(|name| not_measured(name, why.as_str())));
            }
        }
    }
    parts
}

fn missing(run: &Run, transport: &str) -> String {
    match run.skipped.iter().find(|s| s.transport == transport) {
        Some(skipped) => format!("{transport} was skipped: {}", skipped.reason),
        None => format!("`spike` was not run over {transport}"),
    }
}

/// Whether a publish of the spike, or of the time after it, was not confirmed.
fn never_fails(cell: &CellTrials<'_>, name: String) -> Judged {
    let phases = || cell.kept().flat_map(|trial| &trial.phases);
    let planned: u64 = phases().map(|phase| phase.planned).sum();
    let failed: u64 = phases()
        .map(|phase| phase.planned.saturating_sub(phase.acknowledged))
        .sum();
    let transport = &cell.cell.transport;
    counted(cell, name, failed, planned, |bound| match failed {
        0 => format!(
            "{transport}: each of {planned} publishes was confirmed (a share of ≤ {} at 95 % may fail)",
            number(bound)
        ),
        _ => format!("{transport}: {failed} of {planned} publishes were not confirmed"),
    })
}

/// Whether what was confirmed is worked on by the end of the window, and none of it lost.
fn drained(cell: &CellTrials<'_>, name: String) -> Judged {
    let transport = &cell.cell.transport;
    let Some(lost) = cell
        .kept()
        .map(|trial| trial.ledger.lost)
        .sum::<Option<u64>>()
    else {
        return not_measured(
            name,
            format!("{transport}: the service's ledger could not be read"),
        );
    };
    let confirmed: u64 = cell.kept().map(|trial| trial.ledger.acknowledged).sum();
    let workers = cell.cell.workers.map_or(0, u64::from);
    let times: Vec<Option<f64>> = cell
        .kept()
        .map(|trial| Course::of(trial, SPIKE)?.drained(workers))
        .collect();
    // A backlog that is there when the window ends did not drain in the time that was given to it.
    let waiting = times.iter().filter(|time| time.is_none()).count() as u64;
    let took: Vec<f64> = times.into_iter().flatten().collect();
    let took = Estimate::of_values(&took).map_or(String::new(), |took| {
        format!(
            " and its backlog was gone {} s after it",
            number(took.point())
        )
    });
    // Orders of orders, or blocks of blocks.
    let blocks = cell.kept().count() as u64;
    let (against, of) = if lost == 0 && waiting > 0 {
        (waiting, blocks)
    } else {
        (lost, confirmed)
    };
    counted(cell, name, against, of, |_| {
        if lost > 0 {
            format!("{transport}: {lost} of {confirmed} confirmed orders were lost")
        } else if waiting > 0 {
            format!(
                "{transport}: in {waiting} of {blocks} blocks the backlog was not gone when the window ended"
            )
        } else {
            format!("{transport}: none of {confirmed} confirmed orders was lost{took}")
        }
    })
}

/// Of the orders that the workers cannot do in the spike, the share that waits when it ends.
fn waits(cell: &CellTrials<'_>, name: String) -> Judged {
    let transport = &cell.cell.transport;
    let share = |trial: &Trial| {
        let excess = Overload::of(trial, SPIKE)?.excess()?.point.0;
        let waiting = Course::of(trial, SPIKE)?.at_end()?;
        (excess > 0.0).then(|| waiting.max(0.0) / excess)
    };
    let shares: Option<Vec<f64>> = cell.kept().map(share).collect();
    let Some(estimate) = shares.and_then(|shares| Estimate::of_values(&shares)) else {
        return not_measured(
            name,
            format!("{transport}: no block tells what waited when the spike ended"),
        );
    };
    let point = number(estimate.point());
    let Some((low, high)) = estimate.interval(LEVEL) else {
        let reason = format!(
            "{transport}: one block gives no interval ({point} of what formulas expect waited)"
        );
        let mut judged = not_measured(name, reason);
        judged.part.verdict = Verdict::Inconclusive;
        judged.part.cells = vec![cell.cell.id.clone()];
        return judged;
    };
    let decision = rules::effect(BUFFERS, Interval::new(low, high));
    let p = match decision.verdict {
        Verdict::Holds => estimate.p_above(BUFFERS),
        Verdict::Refuted => estimate.p_below(BUFFERS),
        _ => Some(0.5),
    };
    Judged {
        part: Part {
            name,
            verdict: decision.verdict,
            beyond: None,
            low: Some(low),
            high: Some(high),
            unit: "of (λ − μ)·T".into(),
            cells: vec![cell.cell.id.clone()],
            reason: format!(
                "{transport}: when the spike ended {point} [{}, {}] of (λ − μ)·T waited over {} blocks",
                number(low),
                number(high),
                estimate.blocks()
            ),
        },
        p: p.map(|p| (2.0 * p).min(1.0)),
    }
}

/// What the callers of the other cells saw.
fn beside(run: &Run) -> String {
    let mut said: Vec<String> = Vec::new();
    for cell in cells(run, "spike").iter().filter(|c| is_base(c.cell)) {
        let away: u64 = cell.kept().map(turned_away).sum();
        let (planned, late) = cell
            .kept()
            .filter_map(spike_of)
            .fold((0, 0), |(planned, late), phase| {
                (planned + phase.planned, late + phase.timed_out)
            });
        let limit = variant(cell.cell);
        let transport = &cell.cell.transport;
        if is_bounded(cell.cell) {
            said.push(format!(
                "{transport} with {limit} turned {away} of {planned} away and let {late} time out"
            ));
        } else if !BUFFERED.contains(&transport.as_str()) {
            said.push(format!(
                "{transport} let {late} of {planned} callers time out"
            ));
        }
    }
    if said.is_empty() {
        return String::new();
    }
    format!(" Beside it, in the spike: {}.", said.join("; "))
}

fn spike_of(trial: &Trial) -> Option<&Phase> {
    trial.phases.iter().find(|phase| phase.name == SPIKE)
}
