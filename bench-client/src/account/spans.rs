//! A span of a trial, be it the window or one of its phases, as both sides recorded it and as results keep it.

use super::timeline::drain;
use crate::cell::Cell;
use crate::latency::{Beside, Minimum, summarise};
use crate::load::{Record, SpanRecord};
use crate::results::{Latency, Phase, SeriesBin};
use bench_proto::control::{Account, SpanAccount};
use bench_stats::histogram as portable;
use std::time::Duration;

/// What a censored operation is known to have exceeded: its deadline, or what was waited for it.
pub(super) fn bound_of(cell: &Cell) -> Duration {
    cell.timeout
}

/// A latency of which some samples have no end: those are above the bound.
pub(super) fn censored(
    samples: &hdrhistogram::Histogram<u64>,
    censored: u64,
    bound: Duration,
    negative: u64,
) -> Latency {
    summarise(
        samples,
        Beside {
            negative,
            censored,
            bound_ns: bound.as_nanos() as u64,
        },
        Minimum::Trial,
    )
}

/// Completion over the operations planned in a span; accepted but never completed counts as above the bound.
pub(super) fn completion(
    service: &SpanAccount,
    caller: &SpanRecord,
    bound: Duration,
) -> Option<Latency> {
    let samples = portable::decode(&service.completion).ok()?;
    let acknowledged = caller.accept.len() - caller.refused;
    let missing = acknowledged.saturating_sub(samples.len());
    Some(censored(&samples, missing, bound, 0))
}

/// Every phase of the cell; none where it has no more than its window.
pub(super) fn phases(
    cell: &Cell,
    record: &Record,
    account: Option<&Account>,
    series: &[SeriesBin],
) -> Vec<Phase> {
    let bound = bound_of(cell);
    let phase = |(index, span): (usize, &SpanRecord)| {
        let service = account.and_then(|account| account.spans.get(index));
        let (backlog_at_end, drain_s) = drain(series, span.plan.end.as_secs_f64());
        Phase {
            completed: service.map(|service| service.completed),
            completion_ns: service.and_then(|service| completion(service, span, bound)),
            backlog_at_end,
            drain_s,
            ..caller_side(span, bound)
        }
    };
    // Index 0 of both sides is the whole window.
    record.spans.iter().enumerate().skip(1).map(phase).collect()
}

/// What the caller knows of a phase.
pub(super) fn caller_side(span: &SpanRecord, bound: Duration) -> Phase {
    Phase {
        name: span.plan.name.clone(),
        start_s: span.plan.start.as_secs_f64(),
        end_s: span.plan.end.as_secs_f64(),
        planned: span.planned,
        acknowledged: span.accept.len() - span.refused,
        refused: span.refused,
        failed: span.failed,
        timed_out: span.timed_out,
        accept_ns: censored(&span.accept, span.censored(), bound, 0),
        ..Phase::default()
    }
}
