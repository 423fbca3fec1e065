//! The time series of a trial: both sides in bins of the same width, and the backlog between them.

use crate::cell::Cell;
use crate::load::Record;
use crate::load::series::Series;
use crate::results::SeriesBin;
use bench_proto::control::Account;

/// The time series, with the service's completions in bins of the same width.
pub(super) fn series(cell: &Cell, record: &Record, account: Option<&Account>) -> Vec<SeriesBin> {
    let width = record.series.width();
    let completed = account.map(|account| completed_by_bin(cell, record, account));
    let mut backlog = 0;
    let mut bins: Vec<SeriesBin> = record
        .series
        .points()
        .enumerate()
        .map(|(index, point)| {
            let completed = completed
                .as_ref()
                .map(|bins| bins.get(index).copied().unwrap_or(0));
            backlog += point.accepted as i64 - completed.unwrap_or(0) as i64;
            SeriesBin {
                start_s: point.at.as_secs_f64(),
                width_s: width.as_secs_f64(),
                planned: point.planned,
                sent: point.sent,
                accepted: point.accepted,
                completed,
                errors: point.errors,
                in_flight: point.in_flight,
                backlog: completed.map(|_| backlog),
                p50_ns: point.p50_ns,
                p99_ns: point.p99_ns,
                max_ns: point.max_ns,
                longest_ns: point.longest_ns,
            }
        })
        .collect();
    // Behind a broker the service works on after the last caller has gone on.
    let done = completed.unwrap_or_default();
    let end = done
        .iter()
        .rposition(|count| *count > 0)
        .map_or(0, |last| last + 1);
    for (index, count) in done.iter().enumerate().take(end).skip(bins.len()) {
        backlog -= *count as i64;
        bins.push(SeriesBin {
            start_s: index as f64 * width.as_secs_f64(),
            width_s: width.as_secs_f64(),
            completed: Some(*count),
            backlog: Some(backlog),
            ..SeriesBin::default()
        });
    }
    bins
}

/// What a service completed in each bin of the series, and after its last one as long as it went on.
pub(super) fn completed_by_bin(cell: &Cell, record: &Record, account: &Account) -> Vec<u64> {
    // The service counts in the bins that the series began with; these may have widened since.
    let (width, narrow) = (
        record.series.width(),
        Series::for_window(cell.stop.time).width(),
    );
    let together = (width.as_nanos() / narrow.as_nanos().max(1)).max(1) as usize;
    let bins = account.completed_bins.chunks(together);
    bins.map(|bins| bins.iter().copied().map(u64::from).sum())
        .collect()
}

/// The backlog at the end of a phase, and how long after it the backlog was gone.
pub(super) fn drain(series: &[SeriesBin], end_s: f64) -> (Option<i64>, Option<f64>) {
    let ends = |bin: &&SeriesBin| bin.start_s + bin.width_s;
    let Some(at_end) = series.iter().rfind(|bin| ends(bin) <= end_s + 1e-9) else {
        return (None, None);
    };
    let backlog = at_end.backlog;
    let gone = series
        .iter()
        .filter(|bin| ends(bin) > end_s + 1e-9)
        .find(|bin| bin.backlog.is_some_and(|backlog| backlog <= 0));
    let drained = gone.filter(|_| backlog.is_some_and(|backlog| backlog > 0));
    (backlog, drained.map(|bin| ends(&bin) - end_s))
}
