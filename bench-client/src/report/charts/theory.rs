//! What arithmetic says of a backlog over time, for a line in a picture: work arrives at a rate and is done at workers ÷
//! mean handler time. The formulas with their intervals are in [`crate::theory`].

use crate::results::Cell;
use bench_proto::slowness::Slowness;
use std::time::Duration;

/// Orders waiting or in work, (seconds, orders), over `window_s` in steps of `step_s`. None where the cell's slowness
/// or workers are not known.
pub(super) fn waiting(cell: &Cell, window_s: f64, step_s: f64) -> Option<Vec<(f64, f64)>> {
    let slowness: Slowness = cell.slow.as_deref()?.parse().ok()?;
    let (rate, workers) = (cell.rate_per_s?, f64::from(cell.workers?));
    let mut waiting = 0.0;
    let steps = (window_s / step_s).ceil() as usize;
    let points = (0..=steps).map(|i| {
        let at = i as f64 * step_s;
        let mean = slowness.mean(Duration::from_secs_f64(at)).as_secs_f64();
        let point = (at, waiting);
        if mean > 0.0 {
            // What is in work is rate × mean: less than that never waits.
            let done = workers / mean;
            waiting = f64::max(
                waiting + (rate - done) * step_s,
                f64::min(rate * mean, workers),
            );
        }
        point
    });
    Some(points.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_grows_by_what_cannot_be_done_and_drains_by_what_is_over() {
        let cell = Cell {
            slow: Some("0s..1s 1ms; 1s..2s 200ms; 2s.. 1ms".into()),
            rate_per_s: Some(200.0),
            workers: Some(8),
            ..Cell::default()
        };
        let points = waiting(&cell, 3.0, 0.01).unwrap();
        let at = |s: f64| points[(s * 100.0).round() as usize].1;
        // 8 workers at 200 ms do 40/s of 200/s: 160 wait after a second, and up to 8 are in work.
        assert!((160.0..=168.0).contains(&at(2.0)), "{}", at(2.0));
        // 8,000/s then clear them within 25 ms.
        assert!(at(2.1) < 2.0 && at(0.5) < 2.0, "{}", at(2.1));
        assert_eq!(waiting(&Cell::default(), 1.0, 0.1), None);
    }
}
