//! producer-free and slow-200ms, from the experiment `slow`: accept latency of the phase `slow` against the phase
//! `before` of the same trial, and the operations that the caller lost in it. What else producer-free speaks of is read
//! from the experiment `blocked`.

use super::behind::{self, seen};
use super::blocked;
use super::combine::Judged;
use super::overload::is_primary;
use super::part::not_measured;
use super::phase::{accept_in, label, never_fails_in, phase};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, cells, is_base};
use super::{Combine, Judge, nothing_beside};
use crate::results::{Cell, Run};

/// Transports whose caller waits for the work.
pub const SYNC: [&str; 2] = ["rest", "grpc"];
/// Transports whose caller waits for the broker.
pub const ASYNC: [&str; 2] = ["queue", "stream"];

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
    let seen = seen(run, behind::EXPERIMENT);
    let all = cells(&seen, behind::EXPERIMENT);
    let waits = SYNC
        .iter()
        .map(|transport| (transport, effect))
        .chain(ASYNC.iter().map(|t| (t, equal)));
    waits
        .map(|(transport, rule)| accept(run, &all, transport, Metric::AcceptP50, rule))
        .collect()
}

/// producer-free: equal accept latency while the consumer is slow, never a publish that fails, and what else may stand in
/// the producer's way.
pub fn producer_parts(run: &Run, equal: Rule) -> Vec<Judged> {
    let seen = seen(run, behind::EXPERIMENT);
    let all = cells(&seen, behind::EXPERIMENT);
    let mut parts = Vec::new();
    for transport in ASYNC {
        parts.push(accept(run, &all, transport, Metric::AcceptP50, equal));
        parts.push(accept(run, &all, transport, Metric::AcceptP99, equal));
        parts.push(never_fails(run, &all, transport));
    }
    parts.extend(blocked::parts(run, equal));
    parts
}

fn accept(
    run: &Run,
    all: &[CellTrials<'_>],
    transport: &str,
    metric: Metric,
    rule: Rule,
) -> Judged {
    let name = format!("{transport} accept {}", label(metric));
    match find(all, transport) {
        Some(cell) => accept_in(run, cell, name, "slow", "the service is slow", metric, rule),
        None => missing(run, name, transport),
    }
}

fn never_fails(run: &Run, all: &[CellTrials<'_>], transport: &str) -> Judged {
    let name = format!("{transport} publish never fails");
    match find(all, transport) {
        Some(cell) => never_fails_in(cell, name, "slow", "the service was slow"),
        None => missing(run, name, transport),
    }
}

fn find<'a, 'r>(all: &'a [CellTrials<'r>], transport: &str) -> Option<&'a CellTrials<'r>> {
    let has_phases = |t: &CellTrials<'_>| t.blocks.values().any(|t| phase(t, "slow").is_some());
    let decides = |cell: &Cell| cell.transport == transport && is_base(cell) && is_primary(cell);
    all.iter().find(|t| decides(t.cell) && has_phases(t))
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
