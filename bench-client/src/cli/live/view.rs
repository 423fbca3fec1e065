//! What the live view knows: glances as they came, and what is worked out of them. It knows no terminal.

use crate::load::{Glance, Stop};
use bench_stats::Spectrum;
use std::collections::VecDeque;
use std::time::Duration;

/// Rates and percentiles "now" are over so many glances: two seconds, so that a p99 has samples behind it.
pub(super) const RECENT: usize = 8;

/// Points of the past that are kept: two minutes of them, more than a terminal has columns for.
const MOST_POINTS: usize = 480;

/// A p99 of fewer samples than this is the largest of them.
const SAMPLES_FOR_P99: u64 = 100;

/// One point in time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// Since the window began.
    pub(super) at: Duration,
    /// Acknowledged per second, since the glance before.
    pub(super) rate: f64,
    /// Accept p50 of what was answered lately, ns.
    pub(super) p50: Option<u64>,
    /// Its p99.
    pub(super) p99: Option<u64>,
}

/// How far the run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    /// The service is started, connections opened, the warm-up driven; for so long now.
    Starting(Duration),
    /// The window is open: share of it that is over, and the time left where that is known.
    Measuring(f64, Option<Duration>),
    /// The window is over, what is open is awaited.
    Draining,
}

/// Everything that is drawn.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// What is run, in a line.
    pub(super) title: String,
    /// Until when.
    pub(super) stop: Stop,
    /// Whether the user asked for the end.
    pub(super) ending: bool,
    /// Whether colours are wanted.
    pub(super) colour: bool,
    /// For how long the view has been there.
    pub(super) age: Duration,
    /// The latest glances, oldest first.
    recent: VecDeque<Glance>,
    points: VecDeque<Point>,
}

impl View {
    pub(super) fn new(title: String, stop: Stop, colour: bool) -> Self {
        Self {
            title,
            stop,
            ending: false,
            colour,
            age: Duration::ZERO,
            recent: VecDeque::new(),
            points: VecDeque::new(),
        }
    }

    /// Takes in a glance; one that was seen before changes nothing.
    pub(super) fn observe(&mut self, glance: Glance) {
        let before = self.recent.back();
        let elapsed = match before {
            Some(before) if before.at_ns >= glance.at_ns => return,
            Some(before) => glance.at_ns - before.at_ns,
            None => glance.at_ns.saturating_sub(glance.start_ns),
        };
        let came = glance.acknowledged - before.map_or(0, |before| before.acknowledged);
        self.recent.push_back(glance);
        if self.recent.len() > RECENT + 1 {
            self.recent.pop_front();
        }
        let lately = self.lately();
        if let Some(now) = self.now() {
            let point = Point {
                at: Duration::from_nanos(now.at_ns.saturating_sub(now.start_ns)),
                rate: came as f64 / (elapsed.max(1) as f64 / 1e9),
                p50: lately.quantile(0.5),
                p99: p99(&lately),
            };
            self.points.push_back(point);
        }
        if self.points.len() > MOST_POINTS {
            self.points.pop_front();
        }
    }

    /// The latest glance.
    pub(super) fn now(&self) -> Option<&Glance> {
        self.recent.back()
    }

    /// The past, oldest first.
    pub(super) fn points(&self) -> impl ExactSizeIterator<Item = &Point> + DoubleEndedIterator {
        self.points.iter()
    }

    /// What was answered within the last two seconds.
    pub(super) fn lately(&self) -> Spectrum {
        let now = self.now().map(|now| &now.accept);
        let whole = now.cloned().unwrap_or_default();
        match self.recent.front() {
            Some(then) if self.recent.len() > RECENT => whole.since(&then.accept),
            _ => whole,
        }
    }

    /// Acknowledged per second over the last two seconds.
    pub(super) fn rate(&self) -> f64 {
        let count = self.points.len().min(RECENT);
        let last = self.points.iter().rev().take(count);
        last.map(|point| point.rate).sum::<f64>() / count.max(1) as f64
    }

    pub(super) fn stage(&self) -> Stage {
        let Some(now) = self.now() else {
            return Stage::Starting(self.age);
        };
        if now.draining {
            return Stage::Draining;
        }
        let elapsed = Duration::from_nanos(now.at_ns.saturating_sub(now.start_ns));
        let by_time = self
            .stop
            .time
            .map(|time| elapsed.as_secs_f64() / time.as_secs_f64().max(1e-9));
        let by_count = self
            .stop
            .count
            .map(|count| now.planned as f64 / count.max(1) as f64);
        // Whichever comes first ends it.
        let done = by_time
            .unwrap_or(0.0)
            .max(by_count.unwrap_or(0.0))
            .clamp(0.0, 1.0);
        // As fast as so far.
        let left = (done > 0.0)
            .then(|| elapsed.mul_f64((1.0 - done) / done))
            .or(self.stop.time.map(|time| time.saturating_sub(elapsed)));
        Stage::Measuring(done, left)
    }
}

/// The p99 of a spectrum; none of too few samples.
pub(super) fn p99(spectrum: &Spectrum) -> Option<u64> {
    (spectrum.len() >= SAMPLES_FOR_P99)
        .then(|| spectrum.quantile(0.99))
        .flatten()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use bench_stats::histogram;

    const MS: u64 = 1_000_000;

    /// At so many quarters of a second: so many answers, each of so many ms.
    pub(crate) fn glance(quarter: u64, answered: u64, ms: u64) -> Glance {
        let mut samples = histogram::new();
        samples.record_n(ms * MS, answered).unwrap();
        Glance {
            start_ns: 1_000,
            at_ns: 1_000 + quarter * 250 * MS,
            planned: answered + 2,
            acknowledged: answered,
            in_flight: 2,
            accept: Spectrum::of(&samples),
            ..Glance::default()
        }
    }

    fn view(stop: Stop) -> View {
        View::new("planted".into(), stop, false)
    }

    #[test]
    fn rates_are_what_came_between_two_glances_and_a_glance_counts_once() {
        let mut view = view(Stop::after(Duration::from_secs(10)));
        for (quarter, answered) in [(1, 100), (2, 300), (2, 300), (1, 100), (3, 300)] {
            view.observe(glance(quarter, answered, 5));
        }
        let rates: Vec<f64> = view.points().map(|point| point.rate.round()).collect();
        assert_eq!(rates, [400.0, 800.0, 0.0]);
        assert_eq!(view.rate().round(), 400.0);
        let first = view.points().next().unwrap();
        assert_eq!(first.at, Duration::from_millis(250));
        assert!(first.p99.is_some(), "a hundred samples are enough");
    }

    #[test]
    fn percentiles_forget_what_is_older_than_two_seconds() {
        let mut view = view(Stop::after(Duration::from_secs(60)));
        for quarter in 1..=8 {
            view.observe(glance(quarter, quarter * 100, 5));
        }
        // From here on everything takes 50 ms: the old answers stay in the histogram of the whole window.
        let mut samples = histogram::new();
        samples.record_n(5 * MS, 800).unwrap();
        for quarter in 9..=20 {
            samples.record_n(50 * MS, 100).unwrap();
            view.observe(Glance {
                accept: Spectrum::of(&samples),
                ..glance(quarter, quarter * 100, 50)
            });
        }
        let last = view.points().next_back().unwrap();
        assert!(last.p50.unwrap() > 40 * MS, "{last:?}");
        assert_eq!(view.lately().len(), 800);
        assert_eq!(view.now().unwrap().accept.len(), 2_000);
    }

    #[test]
    fn the_time_left_is_that_of_the_window_or_of_the_operations_that_are_missing() {
        let mut by_time = view(Stop::after(Duration::from_secs(10)));
        assert_eq!(by_time.stage(), Stage::Starting(Duration::ZERO));
        by_time.observe(glance(10, 500, 5));
        let Stage::Measuring(done, Some(left)) = by_time.stage() else {
            panic!("{:?}", by_time.stage())
        };
        assert!((done - 0.25).abs() < 1e-9 && left.as_millis().abs_diff(7_500) <= 1);
        let mut by_count = view(Stop::count(1_004));
        by_count.observe(glance(8, 500, 5));
        let Stage::Measuring(done, Some(left)) = by_count.stage() else {
            panic!("{:?}", by_count.stage())
        };
        assert!((done - 0.5).abs() < 1e-9 && left.as_millis().abs_diff(2_000) <= 1);
        by_count.observe(Glance {
            draining: true,
            ..glance(9, 1_004, 5)
        });
        assert_eq!(by_count.stage(), Stage::Draining);
    }

    #[test]
    fn the_past_is_bounded() {
        let mut view = view(Stop::default());
        for quarter in 1..=2_000 {
            view.observe(glance(quarter, quarter, 5));
        }
        assert_eq!(view.points().len(), MOST_POINTS);
    }
}
