//! Evidence that is worked out before it can be judged: the handler against its plan, and Little's law.

use crate::cell::Cell;
use crate::load::{Mode, Record, SpanRecord};
use crate::validity::{HANDLER_MEDIAN, Handler, Little};
use bench_stats::histogram as portable;

/// What a handler was asked to take against what it took, from two portable histograms.
pub(super) fn handler(planned: &str, actual: &str) -> Option<Handler> {
    let planned = portable::decode(planned).ok()?;
    let actual = portable::decode(actual).ok()?;
    // Without slowness the plan is "no time": nothing to hold the handler against.
    (planned.max() > 1 && !actual.is_empty()).then(|| Handler {
        planned_p50_ns: HANDLER_MEDIAN.map(|quantile| planned.value_at_quantile(quantile) as f64),
        actual_p50_ns: actual.value_at_quantile(0.5) as f64,
        planned_mean_ns: planned.mean(),
        actual_mean_ns: actual.mean(),
    })
}

/// The terms of Little's law; a closed loop alone has them.
pub(super) fn little(
    cell: &Cell,
    record: &Record,
    window: &SpanRecord,
    window_s: f64,
) -> Option<Little> {
    let Mode::Closed { callers, think } = &cell.mode else {
        return None;
    };
    (window_s > 0.0 && !window.accept.is_empty()).then(|| Little {
        in_flight: (*callers as u32 * cell.threads) as f64,
        accepted_per_s: record.accepted_in_window as f64 / window_s,
        mean_accept_s: window.accept.mean() / 1e9 + think.as_secs_f64(),
        operations: window.accept.len(),
    })
}
