//! A time series whose size is bounded: 100 ms bins that widen (pairwise, histograms merged) when the run outgrows them.

use hdrhistogram::Histogram;
use std::time::Duration;

/// The narrowest bin.
pub const NARROWEST: Duration = Duration::from_millis(100);

/// More bins than this and neighbours are merged: a chart has no more pixels, and memory stays flat.
const MOST_BINS: usize = 300;

/// p99 of a bin is printed from so many samples on.
const SAMPLES_FOR_P99: u64 = 1_000;

/// Counts and latencies by time since the start.
#[derive(Clone, Debug)]
pub struct Series {
    width_ns: u64,
    bins: Vec<Bin>,
}

#[derive(Clone, Debug)]
struct Bin {
    planned: u64,
    sent: u64,
    accepted: u64,
    errors: u64,
    in_flight: u64,
    longest_ns: Option<u64>,
    /// Accept latency of the operations planned in the bin: two digits and 32-bit counts keep it small.
    accept: Histogram<u32>,
}

/// One bin, evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Start of the bin.
    pub at: Duration,
    /// Planned in it.
    pub planned: u64,
    /// Sent in it.
    pub sent: u64,
    /// Acknowledged in it.
    pub accepted: u64,
    /// Refused, failed or timed out in it.
    pub errors: u64,
    /// Most operations in flight at a release in it.
    pub in_flight: u64,
    /// Accept p50 of those planned in it, ns.
    pub p50_ns: Option<u64>,
    /// Accept p99 of those planned in it, ns, from 1,000 samples on.
    pub p99_ns: Option<u64>,
    /// Accept maximum of those planned in it, ns.
    pub max_ns: Option<u64>,
    /// The longest that one which ended in it, whichever way, had taken, ns.
    pub longest_ns: Option<u64>,
}

impl Bin {
    fn new() -> Self {
        let mut accept = Histogram::new(2).expect("two digits are valid");
        accept.auto(true);
        Self {
            planned: 0,
            sent: 0,
            accepted: 0,
            errors: 0,
            in_flight: 0,
            longest_ns: None,
            accept,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.planned += other.planned;
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.errors += other.errors;
        self.in_flight = self.in_flight.max(other.in_flight);
        self.longest_ns = self.longest_ns.max(other.longest_ns);
        self.accept
            .add(&other.accept)
            .expect("auto-resizing histograms add");
    }
}

impl Series {
    /// A series for a window of known length (already wide enough), or one that widens as it goes.
    pub fn for_window(window: Option<Duration>) -> Self {
        let mut width = NARROWEST;
        while window.is_some_and(|window| window.as_nanos() > width.as_nanos() * MOST_BINS as u128)
        {
            width *= 2;
        }
        Self {
            width_ns: width.as_nanos() as u64,
            bins: Vec::new(),
        }
    }

    /// Width of a bin now.
    pub fn width(&self) -> Duration {
        Duration::from_nanos(self.width_ns)
    }

    /// The bins in order of time.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        self.bins.iter().enumerate().map(|(index, bin)| {
            let samples = bin.accept.len();
            let quantile =
                |q: f64, least: u64| (samples >= least).then(|| bin.accept.value_at_quantile(q));
            Point {
                at: Duration::from_nanos(index as u64 * self.width_ns),
                planned: bin.planned,
                sent: bin.sent,
                accepted: bin.accepted,
                errors: bin.errors,
                in_flight: bin.in_flight,
                p50_ns: quantile(0.5, 1),
                p99_ns: quantile(0.99, SAMPLES_FOR_P99),
                max_ns: quantile(1.0, 1),
                longest_ns: bin.longest_ns,
            }
        })
    }

    pub(super) fn planned(&mut self, offset_ns: u64, in_flight: u64) {
        let bin = self.bin(offset_ns);
        bin.planned += 1;
        bin.in_flight = bin.in_flight.max(in_flight);
    }

    pub(super) fn sent(&mut self, offset_ns: u64) {
        self.bin(offset_ns).sent += 1;
    }

    pub(super) fn accepted(&mut self, at_ns: u64, planned_offset_ns: u64, latency_ns: u64) {
        self.bin(at_ns).accepted += 1;
        // Not the saturating kind: that one stops at the size which an auto-resizing histogram has now, 2 ns at first.
        self.bin(planned_offset_ns)
            .accept
            .record(latency_ns.max(1))
            .expect("an auto-resizing histogram takes every latency");
    }

    pub(super) fn errors(&mut self, at_ns: u64) {
        self.bin(at_ns).errors += 1;
    }

    /// An operation ended, whichever way: what it had taken is known from now on, and not from when it was planned.
    pub(super) fn ended(&mut self, at_ns: u64, latency_ns: u64) {
        let bin = self.bin(at_ns);
        bin.longest_ns = bin.longest_ns.max(Some(latency_ns));
    }

    /// Joins another thread's series.
    pub fn merge(&mut self, mut other: Self) {
        while self.width_ns < other.width_ns {
            self.widen();
        }
        while other.width_ns < self.width_ns {
            other.widen();
        }
        for (index, bin) in other.bins.iter().enumerate() {
            let mine = self.bin(index as u64 * self.width_ns);
            let most = mine.in_flight + bin.in_flight;
            mine.merge(bin);
            mine.in_flight = most;
        }
    }

    fn bin(&mut self, offset_ns: u64) -> &mut Bin {
        while offset_ns / self.width_ns >= MOST_BINS as u64 {
            self.widen();
        }
        let index = (offset_ns / self.width_ns) as usize;
        if index >= self.bins.len() {
            self.bins.resize_with(index + 1, Bin::new);
        }
        &mut self.bins[index]
    }

    fn widen(&mut self) {
        self.width_ns *= 2;
        let old = std::mem::take(&mut self.bins);
        for pair in old.chunks(2) {
            let mut bin = pair[0].clone();
            if let Some(second) = pair.get(1) {
                bin.merge(second);
            }
            self.bins.push(bin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_widen_and_lose_nothing() {
        let mut series = Series::for_window(None);
        for second in 0..100 {
            series.planned(second * 1_000_000_000, 3);
            series.accepted(
                second * 1_000_000_000 + 5_000,
                second * 1_000_000_000,
                5_000,
            );
        }
        let points: Vec<Point> = series.points().collect();
        assert!(points.len() <= MOST_BINS);
        assert_eq!(series.width(), Duration::from_millis(400));
        assert_eq!(points.iter().map(|point| point.planned).sum::<u64>(), 100);
        assert_eq!(points.iter().map(|point| point.accepted).sum::<u64>(), 100);
        // Two digits: what was recorded comes back within 1 %.
        for point in points.iter().filter(|point| point.accepted > 0) {
            for latency in [point.p50_ns, point.max_ns] {
                let latency = latency.unwrap();
                assert!((4_950..=5_050).contains(&latency), "{latency}");
            }
        }
        assert!(
            points.iter().all(|point| point.p99_ns.is_none()),
            "too few samples for a p99"
        );
    }

    #[test]
    fn what_an_operation_took_stands_where_it_ended() {
        let mut series = Series::for_window(None);
        for (at_ms, took_ms) in [(50, 5), (90, 2), (350, 340)] {
            series.ended(at_ms * 1_000_000, took_ms * 1_000_000);
        }
        let mut other = Series::for_window(None);
        other.ended(80_000_000, 7_000_000);
        series.merge(other);
        let longest: Vec<Option<u64>> = series.points().map(|point| point.longest_ns).collect();
        let expected = [Some(7_000_000), None, None, Some(340_000_000)];
        assert_eq!(longest, expected);
    }

    #[test]
    fn series_of_threads_add_up_even_if_their_bins_differ_in_width() {
        let mut one = Series::for_window(None);
        let mut other = Series::for_window(Some(Duration::from_secs(3_600)));
        one.planned(50, 1);
        other.planned(50, 2);
        one.merge(other);
        let first = one.points().next().unwrap();
        assert_eq!((first.planned, first.in_flight), (2, 3));
    }
}
