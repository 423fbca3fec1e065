//! Shares: the exact (Clopper–Pearson) interval, and what "none in n" allows.

use statrs::distribution::{Beta, Binomial, ContinuousCDF, DiscreteCDF};

/// The exact interval of a share, `hits` of `n`. None without a trial or with more hits than trials.
pub fn interval(hits: u64, n: u64, level: f64) -> Option<(f64, f64)> {
    if n == 0 || hits > n {
        return None;
    }
    let tail = (1.0 - level) / 2.0;
    let beta = |a: u64, b: u64| Beta::new(a as f64, b as f64).expect("both shapes are positive");
    let low = if hits == 0 {
        0.0
    } else {
        beta(hits, n - hits + 1).inverse_cdf(tail)
    };
    let high = if hits == n {
        1.0
    } else {
        beta(hits + 1, n - hits).inverse_cdf(1.0 - tail)
    };
    Some((low, high))
}

/// The exact two-sided p of "the share is `share`", `hits` of `n` seen: twice the smaller tail. None without a trial, with
/// more hits than trials, and for a share that leaves nothing to chance.
pub fn p_value(hits: u64, n: u64, share: f64) -> Option<f64> {
    if n == 0 || hits > n || share <= 0.0 || share >= 1.0 {
        return None;
    }
    let law = Binomial::new(share, n).ok()?;
    let at_most = law.cdf(hits);
    let at_least = hits.checked_sub(1).map_or(1.0, |less| law.sf(less));
    Some((2.0 * at_most.min(at_least)).min(1.0))
}

/// The rule of three: none seen in `n` leaves a share of up to 3 ÷ n open (95 %, one-sided).
pub fn rule_of_three(n: u64) -> f64 {
    if n == 0 {
        1.0
    } else {
        (3.0 / n as f64).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_and_interval_say_the_same_of_a_share() {
        for share in [0.01, 0.02, 0.049, 0.5] {
            let expected = (share * 2_000.0) as u64;
            for hits in expected.saturating_sub(60)..expected + 60 {
                let (low, high) = interval(hits, 2_000, 0.95).unwrap();
                let p = p_value(hits, 2_000, share).unwrap();
                assert_eq!(
                    p > 0.05,
                    low < share && share < high,
                    "{hits} of 2000 at {share}: {p}"
                );
            }
        }
        assert_eq!(p_value(0, 0, 0.5), None);
        assert_eq!(p_value(1, 2, 0.0), None);
        assert!((p_value(0, 10, 0.5).unwrap() - 2.0 / 1_024.0).abs() < 1e-12);
    }

    #[test]
    fn the_interval_is_that_of_the_tables() {
        for (hits, n, low, high) in [
            (0, 10, 0.0, 0.3085),
            (1, 10, 0.0025, 0.4450),
            (5, 10, 0.1871, 0.8129),
            (10, 10, 0.6915, 1.0),
        ] {
            let (l, h) = interval(hits, n, 0.95).unwrap();
            assert!(
                (l - low).abs() < 1e-4 && (h - high).abs() < 1e-4,
                "{hits}/{n}: {l} {h}"
            );
        }
    }

    #[test]
    fn each_end_leaves_its_tail_for_large_counts_too() {
        let (hits, n) = (490, 10_000);
        let (low, high) = interval(hits, n, 0.95).unwrap();
        assert!((Binomial::new(low, n).unwrap().sf(hits - 1) - 0.025).abs() < 1e-5);
        assert!((Binomial::new(high, n).unwrap().cdf(hits) - 0.025).abs() < 1e-5);
    }

    #[test]
    fn the_rule_of_three_is_close_to_the_exact_bound() {
        let exact = interval(0, 1_000, 0.90).unwrap().1;
        assert!((rule_of_three(1_000) - exact).abs() < 1e-4, "{exact}");
        assert_eq!(rule_of_three(0), 1.0);
    }

    #[test]
    fn no_trials_have_no_interval() {
        assert_eq!(interval(0, 0, 0.95), None);
        assert_eq!(interval(3, 2, 0.95), None);
    }
}
