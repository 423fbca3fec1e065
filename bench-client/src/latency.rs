//! From a histogram to the summary that results keep: which percentiles may be printed, and which are lower bounds.

use crate::results::{Latency, Percentile};
use bench_stats::histogram::{self, Quantile};
use hdrhistogram::Histogram;

/// How many samples a percentile needs before it is printed (docs/METHOD.md, Statistics); ten beyond it for p50 and p90.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minimum {
    /// One trial or one phase of one.
    Trial,
    /// Merged over the blocks of a cell.
    Merged,
}

impl Minimum {
    /// Samples needed for `percentile`.
    pub fn samples(self, percentile: Percentile) -> u64 {
        match (percentile, self) {
            (Percentile::Max, _) => 1,
            (Percentile::P50, _) => 20,
            (Percentile::P90, _) => 100,
            (Percentile::P99, Minimum::Trial) => 1_000,
            (Percentile::P99, Minimum::Merged) => 10_000,
            (Percentile::P999, _) => 100_000,
        }
    }
}

/// What is known of one distribution beside its histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Samples below zero.
    pub negative: u64,
    /// Operations known only to lie above `bound_ns`.
    pub censored: u64,
    /// That bound.
    pub bound_ns: u64,
}

/// The summary of one distribution, its histogram included.
pub fn summarise(samples: &Histogram<u64>, beside: Beside, minimum: Minimum) -> Latency {
    let ranked = samples.len() + beside.censored;
    let mut at_least = Vec::new();
    let mut at = |percentile, q| {
        if ranked < minimum.samples(percentile) {
            return None;
        }
        match histogram::quantile(samples, beside.censored, beside.bound_ns, q)? {
            Quantile::Exactly(v) => Some(v),
            Quantile::AtLeast(v) => {
                at_least.push(percentile);
                Some(v)
            }
        }
    };
    Latency {
        count: samples.len(),
        p50: at(Percentile::P50, 0.5),
        p90: at(Percentile::P90, 0.9),
        p99: at(Percentile::P99, 0.99),
        p999: at(Percentile::P999, 0.999),
        max: at(Percentile::Max, 1.0),
        mean: histogram::mean(samples),
        negative: beside.negative,
        censored: beside.censored,
        bound: (beside.censored > 0).then_some(beside.bound_ns),
        at_least,
        histogram: Some(histogram::encode(samples)),
    }
}

/// Merges summaries through their histograms, printing by `minimum`. None when there is none to merge or one carries no histogram.
pub fn merge<'a>(
    parts: impl IntoIterator<Item = &'a Latency>,
    minimum: Minimum,
) -> Option<Latency> {
    let mut beside = Beside::default();
    let mut histograms = Vec::new();
    for part in parts {
        histograms.push(histogram::decode(part.histogram.as_deref()?).ok()?);
        beside.negative += part.negative;
        if part.censored > 0 {
            let bound = part.bound.unwrap_or(0);
            // The smallest bound is the one that is true of all.
            beside.bound_ns = if beside.censored == 0 {
                bound
            } else {
                beside.bound_ns.min(bound)
            };
            beside.censored += part.censored;
        }
    }
    if histograms.is_empty() {
        return None;
    }
    Some(summarise(&histogram::merge(&histograms), beside, minimum))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(n: u64) -> Histogram<u64> {
        let mut h = histogram::new();
        for i in 1..=n {
            h.record(i).unwrap();
        }
        h
    }

    #[test]
    fn percentiles_below_their_sample_minimum_are_not_given() {
        let summary = summarise(&samples(999), Beside::default(), Minimum::Trial);
        assert_eq!(
            (summary.p90, summary.p99, summary.p999),
            (Some(900), None, None)
        );
        assert_eq!(
            summarise(&samples(1_000), Beside::default(), Minimum::Trial).p99,
            Some(990)
        );
        assert_eq!(
            summarise(&samples(1_000), Beside::default(), Minimum::Merged).p99,
            None
        );
        assert_eq!(
            summarise(&samples(19), Beside::default(), Minimum::Trial).p50,
            None
        );
    }

    #[test]
    fn censored_operations_rank_above_and_are_named() {
        let beside = Beside {
            censored: 100,
            bound_ns: 5_000,
            negative: 2,
        };
        let summary = summarise(&samples(900), beside, Minimum::Trial);
        assert_eq!(
            (summary.p50, summary.p99, summary.max),
            (Some(500), Some(5_000), Some(5_000))
        );
        assert_eq!(summary.at_least, [Percentile::P99, Percentile::Max]);
        assert_eq!(
            (summary.negative, summary.censored, summary.bound),
            (2, 100, Some(5_000))
        );
        assert_eq!(summary.count, 900);
    }

    #[test]
    fn merged_percentiles_are_those_of_all_samples_and_not_an_average() {
        let mut slow = histogram::new();
        slow.record_n(1_000_000, 100).unwrap();
        let mut fast = histogram::new();
        fast.record_n(1_000, 900).unwrap();
        let of = |h: &Histogram<u64>| summarise(h, Beside::default(), Minimum::Trial);
        let all = merge([&of(&slow), &of(&fast)], Minimum::Merged).unwrap();
        assert_eq!(
            (all.count, all.p50, all.p90),
            (1_000, Some(1_000), Some(1_000))
        );
    }

    #[test]
    fn merging_keeps_the_smallest_bound_and_every_censored_operation() {
        let part = |bound_ns, censored| {
            summarise(
                &samples(100),
                Beside {
                    bound_ns,
                    censored,
                    negative: 1,
                },
                Minimum::Trial,
            )
        };
        let all = merge([&part(0, 0), &part(900, 4), &part(700, 6)], Minimum::Merged).unwrap();
        assert_eq!(
            (all.censored, all.bound, all.negative, all.count),
            (10, Some(700), 3, 300)
        );
    }

    #[test]
    fn without_a_histogram_nothing_is_merged() {
        assert_eq!(merge([], Minimum::Merged), None);
        let bare = Latency {
            count: 5,
            p50: Some(3),
            ..Latency::default()
        };
        assert_eq!(merge([&bare], Minimum::Merged), None);
    }
}
