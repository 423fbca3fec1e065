//! What a phase of a trial, in which something stands in the way, does to its caller: accept latency against the phase
//! `before` it, and publishes that did not go through.

use super::combine::Judged;
use super::part::{self, Question, counted};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Sample, percentile};
use crate::results::{Percentile, Phase, Run, Trial};

/// Accept latency of a phase, in which something `is` so, against that of `before`.
pub(super) fn accept_in(
    run: &Run,
    cell: &CellTrials<'_>,
    name: String,
    during: &str,
    is: &str,
    metric: Metric,
    rule: Rule,
) -> Judged {
    let which = match metric {
        Metric::AcceptP99 => Percentile::P99,
        _ => Percentile::P50,
    };
    let label = label(metric);
    let transport = &cell.cell.transport;
    let value = |t: &Trial, phase: &str| -> Option<Sample> {
        percentile(&self::phase(t, phase)?.accept_ns, which)
    };
    let says =
        |ratio: &str| format!("{transport}: accept {label} while {is} is {ratio} that of before");
    let question = Question {
        name,
        rule,
        metric,
        above: &|t| value(t, during),
        below: &|t| value(t, "before"),
        says: &says,
    };
    part::judge(run, &question, cell, cell)
}

/// Whether each publish of a phase, in which something `was` so, was confirmed.
pub(super) fn never_fails_in(
    cell: &CellTrials<'_>,
    name: String,
    during: &str,
    was: &str,
) -> Judged {
    let phases: Vec<&Phase> = cell.kept().filter_map(|t| phase(t, during)).collect();
    let planned: u64 = phases.iter().map(|p| p.planned).sum();
    // Refused, failed, timed out or never answered: each is a publish that did not go through.
    let failed: u64 = phases
        .iter()
        .map(|p| p.planned.saturating_sub(p.acknowledged))
        .sum();
    let transport = &cell.cell.transport;
    counted(cell, name, failed, planned, |bound| match failed {
        0 => format!(
            "{transport}: each of {planned} publishes was confirmed while {was} (a share of ≤ {} at 95 % may fail)",
            part::number(bound)
        ),
        _ => format!("{transport}: {failed} of {planned} publishes were not confirmed while {was}"),
    })
}

/// How the percentile is called.
pub(super) fn label(metric: Metric) -> &'static str {
    match metric {
        Metric::AcceptP99 => "p99",
        _ => "p50",
    }
}

/// The phase of that name.
pub(super) fn phase<'t>(trial: &'t Trial, name: &str) -> Option<&'t Phase> {
    trial.phases.iter().find(|p| p.name == name)
}
