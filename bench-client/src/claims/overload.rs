//! A phase in which more arrives than is done: what its plan says, and what waited in it by the series of its trial.
//! Read from results alone; what it means is for tables and verdicts.

use crate::results::{Arrival, Cell, Phase, Trial};
use crate::theory::{Arrivals, Expected, Orders, PerSecond, backlog_between, capacity};
use bench_proto::slowness::Slowness;
use std::time::Duration;

/// A phase ends with a bin of the series, but for rounding.
pub(super) const EDGE_S: f64 = 1e-6;
/// The slow time of the cells that claims are judged on; others are told apart by theirs.
const USUAL: Duration = Duration::from_millis(200);

/// A phase in which more arrives than is done, as its plan says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overload {
    /// λ in the phase.
    pub arrivals: PerSecond,
    /// λ after it.
    pub later: PerSecond,
    /// What an order takes in the phase.
    pub time: Duration,
    /// And after it.
    pub later_time: Duration,
    /// T.
    pub lasting: Duration,
    /// None: unbounded.
    pub workers: Option<u64>,
    /// How arrivals lie.
    pub spacing: Arrivals,
    /// Orders that may wait, where there is a limit.
    pub room: Option<f64>,
    /// Width of the series' bins.
    pub bin: Duration,
}

impl Overload {
    /// From a trial with a phase of this name and one after it. Where the slowness never changes, an order takes what
    /// the handler's own clock says in the mean, else what was planned.
    pub fn of(trial: &Trial, during: &str) -> Option<Self> {
        let at = trial.phases.iter().position(|phase| phase.name == during)?;
        let (phase, next) = (&trial.phases[at], trial.phases.get(at + 1)?);
        let slowness: Slowness = trial.cell.slow.as_deref()?.parse().ok()?;
        let time = |phase: &Phase| slowness.mean(Duration::from_secs_f64(phase.start_s));
        let own = trial
            .handler_ns
            .as_ref()
            .filter(|_| slowness.phases().count() == 1)
            .and_then(|handler| handler.mean)
            .map(|ns| Duration::from_nanos(ns as u64));
        let limit = ["max_waiting", "queue_limit"]
            .iter()
            .find_map(|name| trial.cell.factors.get(*name)?.parse().ok());
        Some(Self {
            arrivals: rate(phase)?,
            later: rate(next)?,
            time: own.unwrap_or(time(phase)),
            later_time: own.unwrap_or(time(next)),
            lasting: Duration::from_secs_f64(phase.end_s - phase.start_s),
            workers: trial.cell.workers.map(u64::from),
            spacing: match trial.cell.arrival {
                Arrival::Poisson => Arrivals::Poisson,
                _ => Arrivals::Even,
            },
            room: limit,
            bin: Duration::from_secs_f64(trial.series.first()?.width_s),
        })
    }

    /// μ in the phase; none where workers are unbounded.
    pub fn done(&self) -> Option<PerSecond> {
        Some(capacity(self.workers?, self.time))
    }

    /// (λ − μ)·T: what cannot be done in the phase, wherever it goes.
    pub fn excess(&self) -> Option<Expected<Orders>> {
        let (workers, done) = (self.workers?, self.done()?);
        Some(backlog_between(
            self.arrivals,
            done,
            self.lasting,
            self.spacing,
            workers,
        ))
    }

    /// What waits when it ends: the excess, as far as there is room for it.
    pub fn waiting(&self) -> Option<Expected<Orders>> {
        let (workers, all) = (self.workers? as f64, self.excess()?);
        let Some(room) = self.room else {
            return Some(all);
        };
        // What is in work has left the queue.
        let full = room + workers;
        Some(Expected {
            point: Orders(all.point.0.min(full)),
            low: Orders(all.low.0.min(room)),
            high: Orders(all.high.0.min(full + workers)),
        })
    }
}

fn rate(phase: &Phase) -> Option<PerSecond> {
    let seconds = phase.end_s - phase.start_s;
    (seconds > 0.0).then(|| PerSecond(phase.planned as f64 / seconds))
}

/// What waits over time, by the bins of a trial's series, around one phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// End of the bin, what waits then.
    points: Vec<(f64, f64)>,
    start_s: f64,
    end_s: f64,
}

impl Course {
    /// Planned and not worked on yet, the same on every transport; what a limit turned away waits for nothing. None
    /// without such a phase, or where the service could not be read.
    pub fn of(trial: &Trial, during: &str) -> Option<Self> {
        let phase = trial.phases.iter().find(|phase| phase.name == during)?;
        let bounded = is_bounded(&trial.cell);
        let mut waiting = 0.0;
        let mut points = Vec::new();
        for bin in &trial.series {
            let away = if bounded { bin.errors } else { 0 };
            waiting += bin.planned as f64 - (bin.completed? + away) as f64;
            points.push((bin.start_s + bin.width_s, waiting));
        }
        Some(Self {
            points,
            start_s: phase.start_s,
            end_s: phase.end_s,
        })
    }

    /// What waits when the phase ends.
    pub fn at_end(&self) -> Option<f64> {
        let inside = |point: &&(f64, f64)| point.0 <= self.end_s + EDGE_S;
        self.points.iter().rfind(inside).map(|point| point.1)
    }

    /// Seconds from the phase's end until no more waits than there are workers to work on it; none if that never was.
    pub fn drained(&self, workers: u64) -> Option<f64> {
        let gone = self
            .points
            .iter()
            .filter(|point| point.0 > self.end_s + EDGE_S)
            .find(|point| point.1 <= workers as f64)?;
        Some(gone.0 - self.end_s)
    }

    /// The mean over the phase, its first `after` left out: then its first orders have ended.
    pub fn mean(&self, after: Duration) -> Option<f64> {
        let from = self.start_s + after.as_secs_f64();
        let inside: Vec<f64> = self
            .points
            .iter()
            .filter(|point| point.0 > from + EDGE_S && point.0 <= self.end_s + EDGE_S)
            .map(|point| point.1)
            .collect();
        (!inside.is_empty()).then(|| inside.iter().sum::<f64>() / inside.len() as f64)
    }
}

/// Calls in flight when a phase ends: the most at a release in its last bin.
pub fn in_flight_at_end(trial: &Trial, during: &str) -> Option<f64> {
    let phase = trial.phases.iter().find(|phase| phase.name == during)?;
    let last = trial
        .series
        .iter()
        .rfind(|bin| bin.start_s + bin.width_s <= phase.end_s + EDGE_S)?;
    Some(last.in_flight as f64)
}

/// Whether its callers wait for the work itself.
pub fn is_synchronous(cell: &Cell) -> bool {
    !matches!(cell.transport.as_str(), "queue" | "stream") || cell.factors.contains_key("reply")
}

/// Whether there is a limit to what may wait, in the service or in the queue.
pub fn is_bounded(cell: &Cell) -> bool {
    ["max_waiting", "queue_limit"]
        .iter()
        .any(|name| cell.factors.contains_key(*name))
}

/// Orders that a full service or a full queue turned away, by the trial's counters.
pub fn turned_away(trial: &Trial) -> u64 {
    ["shed", "failed: nack"]
        .iter()
        .filter_map(|name| trial.counters.get(*name))
        .sum()
}

/// Whether a cell slows to the time that the claims speak of, over a bounded number of workers: it decides, and the
/// others of its transport stand beside it.
pub fn is_primary(cell: &Cell) -> bool {
    cell.workers.is_some()
        && cell
            .slow
            .as_deref()
            .is_some_and(|slow| slow.contains(" 200ms"))
}

/// Whether something in a cell is stopped for a while (SIGSTOP).
pub fn is_stopped(cell: &Cell) -> bool {
    let stops = |faults: &String| faults.contains(" pause ");
    cell.factors.get("fault").is_some_and(stops)
}

/// What sets a cell with phases apart from its transport's plain one; empty for that one.
pub fn variant(cell: &Cell) -> String {
    // Its services have workers and slowness of their own.
    if let Some(topology) = cell.factors.get("topology") {
        return topology.clone();
    }
    let mut words = Vec::new();
    let slowness: Option<Slowness> = cell.slow.as_deref().and_then(|slow| slow.parse().ok());
    let slowest = slowness.and_then(|slowness| {
        let starts = slowness.phases().map(|(start, _)| start);
        let times: Vec<Duration> = starts.map(|start| slowness.mean(start)).collect();
        // One phase alone is no change.
        times.iter().max().copied().filter(|_| times.len() > 1)
    });
    if let Some(slowest) = slowest.filter(|slowest| *slowest != USUAL) {
        words.push(format!("slow {slowest:?}"));
    }
    if cell.workers.is_none() {
        words.push("workers without bound".into());
    }
    if is_stopped(cell) {
        words.push("stopped".into());
    }
    for (name, of) in [
        ("max_waiting", "waiting in the service"),
        ("queue_limit", "in the queue"),
    ] {
        if let Some(most) = cell.factors.get(name) {
            words.push(format!("at most {most} {of}"));
        }
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(slow: &str, workers: Option<u32>) -> Cell {
        Cell {
            slow: Some(slow.into()),
            workers,
            ..Cell::default()
        }
    }

    #[test]
    fn the_primary_cell_has_no_variant_and_the_others_say_what_they_are() {
        let usual = cell("0s..1s 5ms; 1s..2s 200ms; 2s.. 5ms", Some(8));
        assert!(is_primary(&usual) && variant(&usual).is_empty());
        let tenfold = cell("0s..1s 5ms; 1s..2s 50ms; 2s.. 5ms", Some(8));
        assert!(!is_primary(&tenfold));
        assert_eq!(variant(&tenfold), "slow 50ms");
        let unbounded = cell("0s..1s 5ms; 1s..2s 200ms; 2s.. 5ms", None);
        assert!(!is_primary(&unbounded));
        assert_eq!(variant(&unbounded), "workers without bound");
        let mut stopped = cell("5ms", Some(8));
        let faults = &mut stopped.factors;
        faults.insert("fault".into(), "at 2s kill service".into());
        assert!(!is_stopped(&stopped));
        let what = "at 1s pause service; at 2s resume service";
        stopped.factors.insert("fault".into(), what.into());
        assert!(is_stopped(&stopped) && !is_primary(&stopped));
        assert_eq!(variant(&stopped), "stopped");
        let mut limited = cell("5ms", Some(8));
        assert_eq!(variant(&limited), "");
        limited.factors.insert("queue_limit".into(), "400".into());
        assert_eq!(variant(&limited), "at most 400 in the queue");
        assert!(is_bounded(&limited) && !is_bounded(&tenfold));
    }

    #[test]
    fn orders_turned_away_are_those_of_the_service_and_of_the_queue() {
        let mut trial = Trial::default();
        assert_eq!(turned_away(&trial), 0);
        trial.counters = [("shed", 3), ("failed: nack", 4), ("failed: closed", 9)]
            .map(|(name, count)| (name.to_string(), count))
            .into();
        assert_eq!(turned_away(&trial), 7);
    }
}
