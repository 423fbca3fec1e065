//! The claims and their verdicts, from results alone: pure, nothing is measured here and nothing is filled in by hand.
//!
//! What a run must hold for a claim to be judged (see also each file):
//! - `size-3-10x`: `sizes[]` with `payload` O1 … O1000, `format` `json` and `protobuf`, no `compression`;
//! - `json-1-5ms`: `codecs[]` with `operation` `decode`, `format` `json`, the primary classes, an A/A pair, and orders of
//!   growing size for the crossings;
//! - `grpc-thr-3-10x`: experiment `capacity`, closed loop, `in_flight` 32, payload O3 and O100, transports `rest`
//!   (`json`, not `h2`) and `grpc` (`protobuf`), every other field of the cell equal;
//! - `grpc-lat-3-10x`: experiment `ladder`, open loop, the same, at one `rate_per_s`;
//! - `producer-free`, `slow-200ms`: experiment `slow`, transports `rest`, `grpc`, `queue`, `stream`, `phases[]` named
//!   `before` and `slow`, workers bounded and 200 ms in the slow phase, or all of this at inventory where the factor `topology`
//!   is `slow-TRANSPORT`; for `producer-free` also experiment `blocked`,
//!   transports `queue` and `stream`, factors `fault` (with an `alarm` or without), `queue_limit` or `client_buffer`,
//!   `phases[]` named `before` and `blocked`;
//! - `depth-canary`: experiment `slow`, the same and `longest_ns` in the series; where there are any, also the cells with a
//!   `pause` in the factor `fault`;
//! - `spike`: experiment `spike`, transports `queue` and `stream` without a limit to what may wait, `phases[]` with one named
//!   `spike`, and a series;
//! - `grpc-streaming`: experiment `streaming`, transport `grpc`, factor `kind` `client`, `server`, `bidi`, or none (unary);
//! - `queue-rpc`: experiments `rpc` (open loop and 32 in flight) and `rpc-kill` (`seen[]`), transports `grpc`, `queue` and
//!   `stream`, the latter with the factor `reply`;
//! - `tls-cost`: experiment `tls`, pairs of cells that differ in the factor `tls` alone;
//! - `consumer-scale`: experiment `consumers`, transports `queue` and `stream`, factor `consumers` 8 and absent (one), as
//!   many `partitions` as consumers, `phases[]` named `away` and `after`, and a series;
//! - `chain-fail`, `chain-p99`, `chain-floor`, `async-hop-free`: experiment `chain`, transports `rest` and `grpc`, factor
//!   `topology` `chain-N-fail`, `-smooth`, `-spike`, `-floor`, and `chain-2-smooth-and-queue` or `-and-stream`;
//! - `retry-storm`: experiment `retries`, transports `rest` and `grpc`, factor `topology` `retries-none`, `-immediate`,
//!   `-backoff` and `-idempotent`, over `rest` also `-deadline`, `phases[]` with one named `later`;
//! - `cascade`, `breaker`: experiment `guards`, transports `rest` and `grpc`, factor `topology`
//!   `guards-TROUBLE-TRANSPORT-GUARD` with the troubles `slow`, `hang` and `crash`, a `probe` with `phases[]` named `before`
//!   and as the trouble;
//! - `fanout-sync`: experiment `fanout`, transport `grpc`, factor `topology` `fanout-WAY-K` with the ways `sequence`,
//!   `side-by-side`, `queue` and `stream`, K = 1 and 8, and `fanout-BROKER-3-one-joins` with the start of the third in
//!   `faults[]` and `phases[]` named `before` and `after`;
//! - an A/A pair is a cell with `arm` absent or `A1` and one with `arm` `A2`, equal in every other field.

pub mod behind;
pub mod blocked;
pub mod canary;
pub mod catalogue;
pub mod chain;
pub mod codec;
pub mod combine;
pub mod connections;
pub mod consumers;
pub mod fanout;
pub mod gap;
pub mod guards;
pub mod hybrid;
pub mod ladder;
pub mod margin;
pub mod measured;
pub mod outage;
pub mod overload;
pub mod pairs;
pub mod part;
pub mod phase;
pub mod ratios;
pub mod retries;
pub mod rpc;
pub mod rules;
pub mod samples;
pub mod scope;
pub mod size;
pub mod slow;
pub mod spike;
pub mod streaming;
pub mod tls;
pub mod transports;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use catalogue::{CLAIMS, Claim};

use crate::results::{Part, Run, Verdict, VerdictRow};
use combine::{Judged, all_of, names, primary_cells};
use rules::Rule;

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

/// How a claim is judged, as data. Each file of claims names its own; `JUDGES` lists the files.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    /// The claim's id.
    pub claim: &'static str,
    /// Its parts, by the claim's rules in the order of the catalogue.
    pub parts: fn(&Run, &[Rule]) -> Vec<Judged>,
    /// From the parts to the whole.
    pub combine: Combine,
    /// What is said beside the verdict and never decides it; empty for nothing.
    pub beside: fn(&Run) -> String,
}

/// From the verdicts of parts to that of the claim.
#[derive(Clone, Copy, Debug)]
pub enum Combine {
    /// Primary cells of one kind; where they differ, the claim depends on this factor.
    Cells(&'static str),
    /// Named parts, the worst decides.
    AllOf,
}

/// Nothing stands beside the verdict.
pub fn nothing_beside(_: &Run) -> String {
    String::new()
}

/// Every claim that this version judges, file by file.
// One line each, so that lines added side by side meet in no conflict.
#[rustfmt::skip]
static JUDGES: &[&[Judge]] = &[
    size::JUDGES,
    codec::JUDGES,
    transports::JUDGES,
    gap::JUDGES,
    ladder::JUDGES,
    slow::JUDGES,
    canary::JUDGES,
    spike::JUDGES,
    streaming::JUDGES,
    connections::JUDGES,
    rpc::JUDGES,
    tls::JUDGES,
    chain::JUDGES,
    outage::JUDGES,
    hybrid::JUDGES,
    retries::JUDGES,
    guards::JUDGES,
    fanout::JUDGES,
    consumers::JUDGES,
];

fn verdict(claim: &Claim, run: &Run) -> VerdictRow {
    match JUDGES
        .iter()
        .copied()
        .flatten()
        .find(|judge| judge.claim == claim.id)
    {
        Some(judge) => row(claim, run, judge),
        None => unmeasured(claim),
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

fn row(claim: &Claim, run: &Run, judge: &Judge) -> VerdictRow {
    let judged = (judge.parts)(run, claim.rules);
    let (verdict, factor) = match judge.combine {
        Combine::Cells(factor) => (primary_cells(&judged), factor),
        Combine::AllOf => (all_of(&judged), ""),
    };
    let mut cells: Vec<String> = judged.iter().flat_map(|j| j.part.cells.clone()).collect();
    cells.sort();
    cells.dedup();
    let beside = (judge.beside)(run);
    let reason = sentence(claim, run, verdict, &judged, &cells, factor, &beside);
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
    beside: &str,
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
    text.push_str(beside);
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
