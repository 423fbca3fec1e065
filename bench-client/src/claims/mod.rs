//! The claims and their verdicts, from results alone: pure, nothing is measured here and nothing is filled in by hand.
//!
//! What a run must hold for a claim to be judged (see also each file):
//! - `size-3-10x`: `sizes[]` with `payload` O1 … O1000, `format` `json` and `protobuf`, no `compression`;
//! - `grpc-thr-3-10x`: experiment `capacity`, closed loop, `in_flight` 32, payload O3 and O100, transports `rest`
//!   (`json`, not `h2`) and `grpc` (`protobuf`), every other field of the cell equal;
//! - `grpc-lat-3-10x`: experiment `ladder`, open loop, the same, at one `rate_per_s`;
//! - `producer-free`, `slow-200ms`: experiment `slow`, transports `rest`, `grpc`, `queue`, `stream`, `phases[]` named
//!   `before` and `slow`;
//! - an A/A pair is a cell with `arm` absent or `A1` and one with `arm` `A2`, equal in every other field.

pub mod catalogue;
pub mod combine;
pub mod measured;
pub mod part;
pub mod ratios;
pub mod rules;
pub mod samples;
pub mod scope;
pub mod size;
pub mod slow;
pub mod transports;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use catalogue::{CLAIMS, Claim};

use crate::results::{Part, Run, Verdict, VerdictRow};
use combine::{Judged, all_of, names, primary_cells};

/// Ratios and verdicts of a run, written into it.
pub fn conclude(run: &mut Run) {
    run.ratios = ratios::ratios(run);
    run.verdicts = judge(run);
}

/// The verdict on every claim, in the order of the table.
pub fn judge(run: &Run) -> Vec<VerdictRow> {
    CLAIMS.iter().map(|claim| verdict(claim, run)).collect()
}

/// Cells that kept under two thirds of their blocks: they have no headline (exit status 3).
pub fn without_headline(run: &Run) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for experiment in samples::experiments(run) {
        for cell in samples::cells(run, experiment) {
            if !cell.has_headline() && !ids.contains(&cell.cell.id) {
                ids.push(cell.cell.id.clone());
            }
        }
    }
    ids
}

fn verdict(claim: &Claim, run: &Run) -> VerdictRow {
    match (claim.id, claim.rules) {
        ("size-3-10x", [band]) => row(
            claim,
            run,
            size::parts(run, *band),
            primary_cells,
            "the number of order lines",
        ),
        ("grpc-thr-3-10x", [band]) => row(
            claim,
            run,
            transports::throughput_parts(run, *band),
            primary_cells,
            "the payload",
        ),
        ("grpc-lat-3-10x", [band]) => row(
            claim,
            run,
            transports::latency_parts(run, *band),
            primary_cells,
            "percentile and payload",
        ),
        ("slow-200ms", [_, effect, equal]) => row(
            claim,
            run,
            slow::wait_parts(run, *effect, *equal),
            all_of,
            "",
        ),
        ("producer-free", [_, equal, _]) => {
            row(claim, run, slow::producer_parts(run, *equal), all_of, "")
        }
        _ => unmeasured(claim),
    }
}

/// A claim that no code judges yet.
fn unmeasured(claim: &Claim) -> VerdictRow {
    let reason = match claim.experiment {
        Some(name) => format!(
            "this version does not judge it yet; the experiment `{name}` is to decide it on: {}",
            claim.judged_on
        ),
        None => format!(
            "this version has no experiment for it; it is to be judged on: {}",
            claim.judged_on
        ),
    };
    VerdictRow {
        claim: claim.id.into(),
        verdict: Verdict::NotMeasured,
        beyond: None,
        low: None,
        high: None,
        unit: String::new(),
        cells: vec![],
        reason,
        parts: vec![],
    }
}

fn row(
    claim: &Claim,
    run: &Run,
    judged: Vec<Judged>,
    combine: fn(&[Judged]) -> Verdict,
    factor: &str,
) -> VerdictRow {
    let verdict = combine(&judged);
    let mut cells: Vec<String> = judged.iter().flat_map(|j| j.part.cells.clone()).collect();
    cells.sort();
    cells.dedup();
    let reason = sentence(claim, run, verdict, &judged, &cells, factor);
    let parts: Vec<Part> = judged.into_iter().map(|j| j.part).collect();
    // Parts of different kinds share no span: an all-of claim shows the part that refuted it, if one did.
    let of_one_kind = claim.rules.len() == 1;
    let (low, high, unit) = match parts.iter().find(|p| p.verdict == Verdict::Refuted) {
        _ if of_one_kind => hull(&parts),
        Some(worst) if verdict == Verdict::Refuted => (worst.low, worst.high, worst.unit.clone()),
        _ => (None, None, String::new()),
    };
    let beyond = common_beyond(&parts);
    VerdictRow {
        claim: claim.id.into(),
        verdict,
        beyond,
        low,
        high,
        unit,
        cells,
        reason,
        parts,
    }
}

fn sentence(
    claim: &Claim,
    run: &Run,
    verdict: Verdict,
    judged: &[Judged],
    cells: &[String],
    factor: &str,
) -> String {
    let measured: Vec<&Part> = judged
        .iter()
        .map(|j| &j.part)
        .filter(|p| p.verdict != Verdict::NotMeasured)
        .collect();
    let missing = names(judged, Verdict::NotMeasured);
    if measured.is_empty() {
        return judged
            .first()
            .map_or_else(String::new, |j| j.part.reason.clone());
    }
    let n = judged.len();
    let count = |verdict| names(judged, verdict).len();
    let mut text = match verdict {
        Verdict::Depends => format!(
            "Depends on {factor}: holds for {}, refuted for {}",
            names(judged, Verdict::Holds).join(", "),
            names(judged, Verdict::Refuted).join(", ")
        ),
        Verdict::Holds => format!("Holds in all {n} parts"),
        Verdict::Refuted => format!("Refuted in {} of {n} parts", count(Verdict::Refuted)),
        _ => format!(
            "Inconclusive: {} of {n} parts hold, {} refuted, {} inconclusive, {} not measured",
            count(Verdict::Holds),
            count(Verdict::Refuted),
            count(Verdict::Inconclusive),
            missing.len()
        ),
    };
    if claim.by_construction {
        text.push_str(" (in part by construction)");
    }
    let findings: Vec<&str> = measured.iter().map(|p| p.reason.as_str()).collect();
    text.push_str(&format!(". {}.", findings.join("; ")));
    if claim.id == "grpc-thr-3-10x" {
        text.push_str(&transports::cpu_beside(run));
    }
    if !missing.is_empty() {
        text.push_str(&format!(" Not measured: {}.", missing.join(", ")));
    }
    text.push_str(&format!(" Scope: {}.", scope::scope(run, cells)));
    text
}

/// The span of the parts' intervals, where all have one unit.
fn hull(parts: &[Part]) -> (Option<f64>, Option<f64>, String) {
    let measured: Vec<&Part> = parts
        .iter()
        .filter(|p| p.verdict != Verdict::NotMeasured)
        .collect();
    let Some(first) = measured.first() else {
        return (None, None, String::new());
    };
    if measured.iter().any(|p| p.unit != first.unit) {
        return (None, None, String::new());
    }
    // One open end leaves the span's end open.
    let low = measured
        .iter()
        .map(|p| p.low)
        .collect::<Option<Vec<f64>>>()
        .and_then(|v| v.into_iter().reduce(f64::min));
    let high = measured
        .iter()
        .map(|p| p.high)
        .collect::<Option<Vec<f64>>>()
        .and_then(|v| v.into_iter().reduce(f64::max));
    (low, high, first.unit.clone())
}

fn common_beyond(parts: &[Part]) -> Option<String> {
    let mut measured = parts.iter().filter(|p| p.verdict != Verdict::NotMeasured);
    let first = measured.next()?.beyond.clone()?;
    measured
        .all(|p| p.beyond.as_ref() == Some(&first))
        .then_some(first)
}
