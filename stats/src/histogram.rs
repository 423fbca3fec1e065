//! Latency histograms: their one shape, their portable form, merging, and percentiles that admit what is not known.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

/// The largest latency told apart, ns: one hour.
pub const HIGHEST_NS: u64 = 3_600_000_000_000;
/// Significant digits: a value is off by 0.1 % at most.
pub const DIGITS: u8 = 3;

/// An empty histogram of the shape that every latency uses.
pub fn new() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, DIGITS).expect("the bounds are constants")
}

/// The portable form: HdrHistogram V2 compressed, base64.
pub fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .expect("writing to memory does not fail");
    STANDARD.encode(bytes)
}

/// Reads the portable form, whoever wrote it.
pub fn decode(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD
        .decode(text.trim())
        .map_err(|e| format!("expected a histogram as base64, and it is not: {e}"))?;
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|e| format!("expected an HdrHistogram in its V2 encoding, and it is not: {e}"))
}

/// The mean of its samples; None of nothing.
pub fn mean(histogram: &Histogram<u64>) -> Option<f64> {
    (!histogram.is_empty()).then(|| histogram.mean())
}

/// Merges histograms; percentiles are never averaged.
pub fn merge<'a>(parts: impl IntoIterator<Item = &'a Histogram<u64>>) -> Histogram<u64> {
    let mut all = new();
    // Another tool's histogram may reach further than ours.
    all.auto(true);
    for part in parts {
        all.add(part)
            .expect("an auto-resizing histogram takes every other");
    }
    all
}

/// The distribution of the sum of two independent latencies: every pair of samples, weighted. Percentiles of a sum are not
/// sums of percentiles, which is why this is needed.
pub fn sum(a: &Histogram<u64>, b: &Histogram<u64>) -> Histogram<u64> {
    let mut all = new();
    all.auto(true);
    for x in a.iter_recorded() {
        for y in b.iter_recorded() {
            let value = x.value_iterated_to() + y.value_iterated_to();
            all.record_n(value, x.count_at_value() * y.count_at_value())
                .expect("an auto-resizing histogram takes every value");
        }
    }
    all
}

/// A percentile under right-censoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantile {
    /// The rank falls among the samples.
    Exactly(u64),
    /// The rank may fall among the censored: the value is at least this.
    AtLeast(u64),
}

impl Quantile {
    /// The value or its lower bound.
    pub fn value(self) -> u64 {
        match self {
            Quantile::Exactly(v) | Quantile::AtLeast(v) => v,
        }
    }
}

/// The `q`-quantile (nearest rank) of the samples together with `censored` more that are known only to be ≥ `bound`.
/// None when there is nothing at all.
pub fn quantile(histogram: &Histogram<u64>, censored: u64, bound: u64, q: f64) -> Option<Quantile> {
    let total = histogram.len() + censored;
    if total == 0 {
        return None;
    }
    let rank = ((q * total as f64).ceil() as u64).clamp(1, total);
    if censored == 0 {
        return Some(Quantile::Exactly(at_rank(histogram, rank)));
    }
    let below = if histogram.is_empty() {
        0
    } else {
        histogram.count_between(0, bound)
    };
    Some(if rank <= below {
        Quantile::Exactly(at_rank(histogram, rank))
    } else if rank <= below + censored {
        Quantile::AtLeast(bound)
    } else {
        // Every censored operation at its bound gives the smallest value that the quantile can have.
        Quantile::AtLeast(at_rank(histogram, rank - censored))
    })
}

/// The `rank`-th smallest sample, from 1.
fn at_rank(histogram: &Histogram<u64>, rank: u64) -> u64 {
    // Half a rank down, so that rounding in the library's own multiplication cannot reach the next rank.
    histogram.value_at_quantile((rank as f64 - 0.5) / histogram.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut h = new();
        for v in values {
            h.record(v).unwrap();
        }
        h
    }

    #[test]
    fn the_portable_form_comes_back_the_same() {
        let h = of((1..5_000).map(|i| i * 977));
        assert_eq!(decode(&encode(&h)).unwrap(), h);
    }

    #[test]
    fn the_portable_form_is_the_standard_one() {
        // Cookie 0x1c849314: so begins the compressed V2 form of every HdrHistogram port.
        assert!(encode(&of([1, 2, 3])).starts_with("HISTFAAA"));
    }

    #[test]
    fn a_broken_histogram_is_refused_with_a_sentence() {
        assert!(
            decode("%%%")
                .unwrap_err()
                .contains("expected a histogram as base64")
        );
        assert!(
            decode("AAAA")
                .unwrap_err()
                .contains("expected an HdrHistogram")
        );
    }

    #[test]
    fn a_sum_of_independent_latencies_is_every_pair() {
        let both = sum(&of([100, 200]), &of([10, 10, 1_000]));
        assert_eq!(both.len(), 6);
        assert_eq!((both.count_at(110), both.count_at(210)), (2, 2));
        assert_eq!((both.count_at(1_100), both.count_at(1_200)), (1, 1));
        // One in a hundred twice is not one in a hundred: the percentile of a sum is not the sum of percentiles.
        let rare = of((0..1_000).map(|i| if i % 100 == 0 { 1_000_000 } else { 1_000 }));
        let p99 = |h: &Histogram<u64>| quantile(h, 0, 0, 0.99).unwrap().value();
        assert_eq!(p99(&rare), 1_000);
        assert!(p99(&sum(&rare, &rare)) > 1_000_000);
    }

    #[test]
    fn merging_is_recording_into_one() {
        let (a, b) = (of((1..900).map(|i| i * 31)), of((1..700).map(|i| i * i)));
        let both = of((1..900).map(|i| i * 31).chain((1..700).map(|i| i * i)));
        assert_eq!(merge([&a, &b]), both);
    }

    #[test]
    fn a_rank_among_the_censored_is_a_lower_bound() {
        let h = of(1..=90);
        assert_eq!(quantile(&h, 10, 1_000, 0.9), Some(Quantile::Exactly(90)));
        assert_eq!(
            quantile(&h, 10, 1_000, 0.91),
            Some(Quantile::AtLeast(1_000))
        );
        assert_eq!(quantile(&h, 10, 1_000, 1.0), Some(Quantile::AtLeast(1_000)));
    }

    #[test]
    fn samples_above_the_bound_make_a_bound_of_what_they_outrank() {
        // 50 samples below, 25 censored at 100, 25 samples at 500: the 60th may be anything from 100 on.
        let h = of((1..=50).chain(std::iter::repeat_n(500, 25)));
        assert_eq!(quantile(&h, 25, 100, 0.5), Some(Quantile::Exactly(50)));
        assert_eq!(quantile(&h, 25, 100, 0.6), Some(Quantile::AtLeast(100)));
        assert_eq!(quantile(&h, 25, 100, 0.9), Some(Quantile::AtLeast(500)));
    }

    #[test]
    fn nothing_has_no_quantile_and_only_censored_has_its_bound() {
        assert_eq!(quantile(&new(), 0, 0, 0.5), None);
        assert_eq!(quantile(&new(), 3, 7, 0.5), Some(Quantile::AtLeast(7)));
    }

    proptest! {
        #[test]
        fn an_uncensored_quantile_is_the_nearest_rank(mut v in prop::collection::vec(1u64..2_000, 1..300), q in 0.0f64..=1.0) {
            // Below 2,048 three digits are exact.
            let h = of(v.iter().copied());
            v.sort_unstable();
            let rank = ((q * v.len() as f64).ceil() as usize).clamp(1, v.len());
            prop_assert_eq!(quantile(&h, 0, 0, q), Some(Quantile::Exactly(v[rank - 1])));
        }
    }
}
