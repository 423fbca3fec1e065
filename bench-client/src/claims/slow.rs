//! producer-free and slow-200ms, from the experiment `slow`: accept latency of the phase `slow` against the phase
//! `before` of the same trial, and the operations that the caller lost in it.

use super::combine::Judged;
use super::overload::is_primary;
use super::part::{self, Question, not_measured};
use super::rules::{self, Rule};
use super::samples::{CellTrials, Metric, Sample, cells, is_base, percentile};
use super::{Combine, Judge, nothing_beside};
use crate::results::{Cell, Part, Percentile, Phase, Run, Trial, Verdict};

/// Transports whose caller waits for the work.
pub const SYNC: [&str; 2] = ["rest", "grpc"];
/// Transports whose caller waits for the broker.
pub const ASYNC: [&str; 2] = ["queue", "stream"];
/// Parts of producer-free that the experiment does not reach yet.
const UNREACHED: [&str; 4] = [
    "consumer stopped",
    "full queue",
    "memory alarm",
    "full client buffer",
];

/// What is judged here.
pub const JUDGES: &[Judge] = &[
    Judge {
        claim: "slow-200ms",
        // Rules: all of, effect, equal.
        parts: |run, rules| wait_parts(run, rules[1], rules[2]),
        combine: Combine::AllOf,
        beside: nothing_beside,
    },
    Judge {
        claim: "producer-free",
        // Rules: all of, equal, never.
        parts: |run, rules| producer_parts(run, rules[1]),
        combine: Combine::AllOf,
        beside: nothing_beside,
    },
];

/// slow-200ms: the sync caller waits (by construction), the async caller does not.
pub fn wait_parts(run: &Run, effect: Rule, equal: Rule) -> Vec<Judged> {
    let all = cells(run, "slow");
    let waits = SYNC
        .iter()
        .map(|transport| (transport, effect))
        .chain(ASYNC.iter().map(|t| (t, equal)));
    waits
        .map(|(transport, rule)| accept(run, &all, transport, Metric::AcceptP50, rule))
        .collect()
}

/// producer-free: equal accept latency while the consumer is slow, never a publish that fails, and what is not measured yet.
pub fn producer_parts(run: &Run, equal: Rule) -> Vec<Judged> {
    let all = cells(run, "slow");
    let mut parts = Vec::new();
    for transport in ASYNC {
        parts.push(accept(run, &all, transport, Metric::AcceptP50, equal));
        parts.push(accept(run, &all, transport, Metric::AcceptP99, equal));
        parts.push(never_fails(run, &all, transport));
    }
    let why = "no experiment of this version reaches it";
    parts.extend(
        UNREACHED
            .iter()
            .map(|name| not_measured(*name, format!("{name}: {why}"))),
    );
    parts
}

fn accept(
    run: &Run,
    all: &[CellTrials<'_>],
    transport: &str,
    metric: Metric,
    rule: Rule,
) -> Judged {
    let (which, label) = match metric {
        Metric::AcceptP99 => (Percentile::P99, "p99"),
        _ => (Percentile::P50, "p50"),
    };
    let name = format!("{transport} accept {label}");
    let Some(cell) = find(all, transport) else {
        return missing(run, name, transport);
    };
    let value = |t: &Trial, phase: &str| -> Option<Sample> {
        percentile(&self::phase(t, phase)?.accept_ns, which)
    };
    let says = |ratio: &str| {
        format!("{transport}: accept {label} while the service is slow is {ratio} that of before")
    };
    let question = Question {
        name,
        rule,
        metric,
        above: &|t| value(t, "slow"),
        below: &|t| value(t, "before"),
        says: &says,
    };
    part::judge(run, &question, cell, cell)
}

fn never_fails(run: &Run, all: &[CellTrials<'_>], transport: &str) -> Judged {
    let name = format!("{transport} publish never fails");
    let Some(cell) = find(all, transport) else {
        return missing(run, name, transport);
    };
    let phases: Vec<&Phase> = cell.kept().filter_map(|t| phase(t, "slow")).collect();
    let planned: u64 = phases.iter().map(|p| p.planned).sum();
    // Refused, failed, timed out or never answered: each is a publish that did not go through.
    let failed: u64 = phases
        .iter()
        .map(|p| p.planned.saturating_sub(p.acknowledged))
        .sum();
    let (decision, bound) = rules::never(failed, planned);
    let reason = match decision.verdict {
        Verdict::Holds => format!(
            "{transport}: each of {planned} publishes was confirmed while the service was slow (a share of ≤ {} at 95 % may fail)",
            part::number(bound)
        ),
        Verdict::Refuted => {
            format!(
                "{transport}: {failed} of {planned} publishes were not confirmed while the service was slow"
            )
        }
        _ => format!("{transport}: nothing was published while the service was slow"),
    };
    let refuted = decision.verdict == Verdict::Refuted;
    let share = if planned > 0 {
        failed as f64 / planned as f64
    } else {
        0.0
    };
    Judged {
        part: Part {
            name,
            verdict: decision.verdict,
            beyond: None,
            low: Some(share),
            high: Some(if refuted { share } else { bound }),
            unit: "share".into(),
            cells: vec![cell.cell.id.clone()],
            reason,
        },
        // A counter-example is no matter of chance.
        p: Some(if refuted { 0.0 } else { 1.0 }),
    }
}

fn find<'a, 'r>(all: &'a [CellTrials<'r>], transport: &str) -> Option<&'a CellTrials<'r>> {
    let has_phases = |t: &CellTrials<'_>| t.blocks.values().any(|t| phase(t, "slow").is_some());
    let decides = |cell: &Cell| cell.transport == transport && is_base(cell) && is_primary(cell);
    all.iter().find(|t| decides(t.cell) && has_phases(t))
}

fn phase<'t>(trial: &'t Trial, name: &str) -> Option<&'t Phase> {
    trial.phases.iter().find(|p| p.name == name)
}

fn missing(run: &Run, name: String, transport: &str) -> Judged {
    let skipped = run.skipped.iter().find(|s| s.transport == transport);
    not_measured(
        name,
        match skipped {
            Some(s) => format!("{transport} was skipped: {}", s.reason),
            None => format!("`slow` was not run over {transport}"),
        },
    )
}
