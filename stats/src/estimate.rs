//! An estimate over blocks: Student's t on the blocks' values, or on their logarithms for ratios
//! (docs/METHOD.md, Statistics: why not a bootstrap).

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The level of every interval that a verdict rests on.
pub const LEVEL: f64 = 0.95;
/// The level of an A/A pair: a 95 % rule would fail one healthy run in twenty.
pub const AA_LEVEL: f64 = 0.99;
/// The power at which the minimum detectable effect is stated.
pub const POWER: f64 = 0.80;

/// The quantile of Student's t with `df` degrees of freedom.
pub fn t_quantile(p: f64, df: f64) -> f64 {
    student(df).inverse_cdf(p)
}

fn student(df: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, df).expect("degrees of freedom are positive")
}

/// A mean over blocks with its standard error; for ratios, on the log scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    mean: Mean,
    /// That of the least that each observation may be; the mean itself unless they were read to so much only.
    least: Mean,
    /// That of the most.
    most: Mean,
    n: usize,
    /// Degrees of freedom of the standard error.
    df: f64,
    log: bool,
}

/// Over blocks; of ratios, of their logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Mean {
    at: f64,
    /// Standard error; none with a single observation, zero for what is known exactly.
    se: Option<f64>,
}

impl Estimate {
    fn at(mean: Mean, n: usize, df: f64, log: bool) -> Self {
        Self {
            mean,
            least: mean,
            most: mean,
            n,
            df,
            log,
        }
    }

    /// From one ratio per block. None if there is none, or one is not a positive number.
    pub fn of_ratios(ratios: &[f64]) -> Option<Self> {
        if ratios.iter().any(|r| !(r.is_finite() && *r > 0.0)) {
            return None;
        }
        Self::over(ratios.iter().map(|r| r.ln()), true)
    }

    /// From the least, the value and the most of one ratio per block, for what was read to so much only: its interval
    /// is the hull of those of all three, so that blocks which agree to the bin are not taken for certain. None as of ratios.
    pub fn of_ratios_within(ratios: &[(f64, f64, f64)]) -> Option<Self> {
        let of = |read: fn(&(f64, f64, f64)) -> f64| {
            let ratios: Vec<f64> = ratios.iter().map(read).collect();
            Self::of_ratios(&ratios)
        };
        Some(Self {
            least: of(|ratio| ratio.0)?.mean,
            most: of(|ratio| ratio.2)?.mean,
            ..of(|ratio| ratio.1)?
        })
    }

    /// From one difference (or any other value) per block.
    pub fn of_values(values: &[f64]) -> Option<Self> {
        if values.iter().any(|v| !v.is_finite()) {
            return None;
        }
        Self::over(values.iter().copied(), false)
    }

    /// A ratio that was counted, not sampled: its interval is the point.
    pub fn exact_ratio(ratio: f64) -> Option<Self> {
        (ratio.is_finite() && ratio > 0.0).then(|| {
            let mean = Mean {
                at: ratio.ln(),
                se: Some(0.0),
            };
            Self::at(mean, 1, 1.0, true)
        })
    }

    /// The ratio of two samples that are not paired: Welch's t on their logarithms, with the degrees of freedom of
    /// Welch and Satterthwaite. Where one side is a single observation the other's variance stands for both (then it is
    /// a prediction of one more observation); where both are, there is no interval. None if a side is empty, or holds
    /// what is not a positive number.
    pub fn of_unpaired(above: &[f64], below: &[f64]) -> Option<Self> {
        let (above, below) = (Sample::of_logs(above)?, Sample::of_logs(below)?);
        let spread = match (above.variance, below.variance) {
            (None, None) => None,
            (Some(variance), None) | (None, Some(variance)) => {
                let squared = variance * (1.0 / above.n + 1.0 / below.n);
                // One of the two is 1.
                Some((squared.sqrt(), above.n.max(below.n) - 1.0))
            }
            (Some(first), Some(second)) => {
                let (first, second) = (first / above.n, second / below.n);
                let squared = first + second;
                let df = squared.powi(2)
                    / (first.powi(2) / (above.n - 1.0) + second.powi(2) / (below.n - 1.0));
                // Without any spread the quotient is no number, and no matter.
                Some((squared.sqrt(), if df.is_finite() { df } else { 1.0 }))
            }
        };
        let mean = Mean {
            at: above.mean - below.mean,
            se: spread.map(|(se, _)| se),
        };
        let df = spread.map_or(1.0, |(_, df)| df);
        Some(Self::at(mean, (above.n + below.n) as usize, df, true))
    }

    fn over(values: impl Iterator<Item = f64> + Clone, log: bool) -> Option<Self> {
        let n = values.clone().count();
        if n == 0 {
            return None;
        }
        let mean = values.clone().sum::<f64>() / n as f64;
        let se = (n > 1).then(|| {
            let squares: f64 = values.map(|v| (v - mean).powi(2)).sum();
            (squares / (n - 1) as f64 / n as f64).sqrt()
        });
        Some(Self::at(Mean { at: mean, se }, n, n as f64 - 1.0, log))
    }

    /// The same point, as if it were known exactly.
    pub fn exact(self) -> Self {
        let known = Mean {
            se: Some(0.0),
            ..self.mean
        };
        Self::at(known, self.n, self.df, self.log)
    }

    /// Observations.
    pub fn blocks(&self) -> usize {
        self.n
    }

    /// The mean; of ratios, their geometric mean.
    pub fn point(&self) -> f64 {
        self.back(self.mean.at)
    }

    /// The two-sided interval; none with a single observation.
    pub fn interval(&self, level: f64) -> Option<(f64, f64)> {
        let low = |mean: Mean| Some(mean.at - self.half_width(mean, level)?);
        let high = |mean: Mean| Some(mean.at + self.half_width(mean, level)?);
        Some((
            self.back(f64::min(low(self.mean)?, low(self.least)?)),
            self.back(f64::max(high(self.mean)?, high(self.most)?)),
        ))
    }

    /// The one-sided p of "the truth is at most `threshold`": small is evidence for *above*. None with a single observation.
    pub fn p_above(&self, threshold: f64) -> Option<f64> {
        let p = |mean| Some(1.0 - self.share_below(mean, threshold)?);
        Some(f64::max(p(self.mean)?, p(self.least)?))
    }

    /// The one-sided p of "the truth is at least `threshold`": small is evidence for *below*.
    pub fn p_below(&self, threshold: f64) -> Option<f64> {
        let p = |mean| self.share_below(mean, threshold);
        Some(f64::max(p(self.mean)?, p(self.most)?))
    }

    /// The share of t below a mean's distance from a threshold.
    fn share_below(&self, mean: Mean, threshold: f64) -> Option<f64> {
        let distance = mean.at - self.scale(threshold);
        let se = mean.se?;
        if se == 0.0 {
            return Some(if distance < 0.0 {
                0.0
            } else if distance > 0.0 {
                1.0
            } else {
                0.5
            });
        }
        Some(student(self.df).cdf(distance / se))
    }

    /// The two-sided p of "the truth is `null`".
    pub fn p_differs(&self, null: f64) -> Option<f64> {
        let nearer = f64::min(self.p_below(null)?, self.p_above(null)?);
        Some((2.0 * nearer).min(1.0))
    }

    /// The smallest change that as many blocks with this spread find at 95 % in [`POWER`] of all runs: a factor for
    /// ratios, a difference else. None where the spread is not known.
    pub fn minimum_detectable(&self) -> Option<f64> {
        let se = self.mean.se?;
        if self.n < 2 {
            return None;
        }
        let quantiles = t_quantile(1.0 - (1.0 - LEVEL) / 2.0, self.df) + t_quantile(POWER, self.df);
        let effect = quantiles * se;
        Some(if self.log { effect.exp() } else { effect })
    }

    fn half_width(&self, mean: Mean, level: f64) -> Option<f64> {
        let se = mean.se?;
        if se == 0.0 {
            return Some(0.0);
        }
        Some(t_quantile(1.0 - (1.0 - level) / 2.0, self.df) * se)
    }

    fn back(&self, value: f64) -> f64 {
        if self.log { value.exp() } else { value }
    }

    fn scale(&self, value: f64) -> f64 {
        if self.log { value.ln() } else { value }
    }
}

/// Mean and variance of one side's logarithms.
struct Sample {
    n: f64,
    mean: f64,
    /// None with a single observation.
    variance: Option<f64>,
}

impl Sample {
    fn of_logs(values: &[f64]) -> Option<Self> {
        if values.is_empty() || values.iter().any(|v| !(v.is_finite() && *v > 0.0)) {
            return None;
        }
        let n = values.len() as f64;
        let mean = values.iter().map(|v| v.ln()).sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v.ln() - mean).powi(2)).sum();
        Some(Self {
            n,
            mean,
            variance: (values.len() > 1).then(|| squares / (n - 1.0)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b} ± {tolerance}");
    }

    #[test]
    fn t_quantiles_are_those_of_the_printed_tables() {
        for (p, df, table) in [
            (0.975, 1.0, 12.706),
            (0.975, 5.0, 2.571),
            (0.975, 9.0, 2.262),
            (0.995, 5.0, 4.032),
            (0.995, 9.0, 3.250),
            (0.80, 9.0, 0.883),
            (0.975, 30.0, 2.042),
            (0.025, 5.0, -2.571),
        ] {
            near(t_quantile(p, df), table, 6e-4);
        }
        near(t_quantile(0.5, 5.0), 0.0, 1e-6);
    }

    #[test]
    fn a_worked_example_by_hand() {
        // 1…6: mean 3.5, SD √3.5, SE √3.5/√6 = 0.763763; t(5) = 2.570582.
        let e = Estimate::of_values(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let (low, high) = e.interval(0.95).unwrap();
        near(low, 3.5 - 2.570582 * 0.763763, 1e-4);
        near(high, 3.5 + 2.570582 * 0.763763, 1e-4);
    }

    #[test]
    fn a_ratio_and_its_inverse_agree() {
        let ratios = [1.1, 0.9, 1.3, 1.05, 1.2, 0.97];
        let inverse: Vec<f64> = ratios.iter().map(|r| 1.0 / r).collect();
        let (low, high) = Estimate::of_ratios(&ratios)
            .unwrap()
            .interval(0.95)
            .unwrap();
        let (inverse_low, inverse_high) = Estimate::of_ratios(&inverse)
            .unwrap()
            .interval(0.95)
            .unwrap();
        near(low, 1.0 / inverse_high, 1e-9);
        near(high, 1.0 / inverse_low, 1e-9);
    }

    #[test]
    fn p_and_interval_say_the_same() {
        let e = Estimate::of_ratios(&[1.1, 0.9, 1.3, 1.05, 1.2, 0.97]).unwrap();
        let (low, high) = e.interval(0.95).unwrap();
        near(e.p_above(low).unwrap(), 0.025, 1e-6);
        near(e.p_below(high).unwrap(), 0.025, 1e-6);
        near(e.p_differs(low).unwrap(), 0.05, 1e-6);
    }

    #[test]
    fn one_observation_has_a_point_and_no_interval() {
        let e = Estimate::of_ratios(&[2.0]).unwrap();
        near(e.point(), 2.0, 1e-12);
        assert_eq!(
            (e.interval(0.95), e.p_above(1.0), e.minimum_detectable()),
            (None, None, None)
        );
        assert_eq!(Estimate::of_ratios(&[]), None);
    }

    #[test]
    fn what_was_counted_is_its_own_interval() {
        let e = Estimate::exact_ratio(2.3).unwrap();
        let (low, high) = e.interval(0.95).unwrap();
        near(low, 2.3, 1e-12);
        near(high, 2.3, 1e-12);
        assert_eq!((e.p_above(3.0), e.p_below(3.0)), (Some(1.0), Some(0.0)));
    }

    #[test]
    fn blocks_that_agree_to_the_bin_are_known_to_the_bin() {
        // Bin 4 ÷ bin 2: (3, 4] ÷ (1, 2].
        let same = Estimate::of_ratios_within(&[(1.5, 2.0, 4.0); 3]).unwrap();
        let (low, high) = same.interval(0.95).unwrap();
        near(same.point(), 2.0, 1e-9);
        near(low, 1.5, 1e-9);
        near(high, 4.0, 1e-9);
        near(same.p_above(1.4).unwrap(), 0.0, 1e-9);
        near(same.p_above(1.6).unwrap(), 1.0, 1e-9);
        near(same.p_below(3.9).unwrap(), 1.0, 1e-9);
        near(same.p_below(4.1).unwrap(), 0.0, 1e-9);
        near(same.p_differs(2.0).unwrap(), 1.0, 1e-9);
    }

    #[test]
    fn an_interval_within_bounds_is_no_narrower_than_that_of_the_values() {
        let ratios = [1.1, 0.9, 1.3, 1.05, 1.2, 0.97];
        let exact = ratios.map(|r| (r, r, r));
        let plain = Estimate::of_ratios(&ratios).unwrap();
        assert_eq!(Estimate::of_ratios_within(&exact), Some(plain));
        // Bounds that scatter less than the values do.
        let calm = ratios.map(|r| (0.89, r, 1.31));
        let (low, high) = Estimate::of_ratios_within(&calm)
            .unwrap()
            .interval(0.95)
            .unwrap();
        let (own_low, own_high) = plain.interval(0.95).unwrap();
        assert!(low <= own_low && own_high <= high);
        near(low, 0.89f64.min(own_low), 1e-9);
        near(high, 1.31f64.max(own_high), 1e-9);
        // And such as scatter as they do: the interval moves along at both ends.
        let wide = ratios.map(|r| (r / 2.0, r, r * 3.0));
        let (low, high) = Estimate::of_ratios_within(&wide)
            .unwrap()
            .interval(0.95)
            .unwrap();
        near(low, own_low / 2.0, 1e-9);
        near(high, own_high * 3.0, 1e-9);
        assert_eq!(Estimate::of_ratios_within(&[(0.0, 1.0, 2.0)]), None);
        assert_eq!(Estimate::of_ratios_within(&[]), None);
    }

    #[test]
    fn a_ratio_that_is_no_positive_number_gives_no_estimate() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Estimate::of_ratios(&[1.0, bad]), None);
        }
    }

    #[test]
    fn ten_blocks_that_spread_by_a_twentieth_find_a_twentieth() {
        // With a block-to-block SD of 0.05 in 79 % of cases (docs/METHOD.md, Statistics); asked for are 80 %.
        let sd = 0.05f64;
        let spread = sd * (9.0f64 / 10.0).sqrt();
        let ratios: Vec<f64> = (0..10)
            .map(|i| {
                if i % 2 == 0 {
                    spread.exp()
                } else {
                    (-spread).exp()
                }
            })
            .collect();
        near(
            Estimate::of_ratios(&ratios)
                .unwrap()
                .minimum_detectable()
                .unwrap(),
            1.05,
            0.003,
        );
    }

    #[test]
    fn an_unpaired_ratio_is_welchs_worked_by_hand() {
        // Logs 0, 1, 2 (mean 1, variance 1) against 0, 2, 4, 6 (mean 3, variance 20/3): SE² = 1/3 + 5/3 = 2, and
        // df = 2² / ((1/3)²/2 + (5/3)²/3) = 4 / (1/18 + 25/27) = 4.0755.
        let of = |logs: &[f64]| logs.iter().map(|l| l.exp()).collect::<Vec<f64>>();
        let above = of(&[0.0, 1.0, 2.0]);
        let below = of(&[0.0, 2.0, 4.0, 6.0]);
        let e = Estimate::of_unpaired(&above, &below).unwrap();
        near(e.point(), (-2.0f64).exp(), 1e-9);
        let (low, high) = e.interval(0.95).unwrap();
        let half = t_quantile(0.975, 4.0 / (1.0 / 18.0 + 25.0 / 27.0)) * 2.0f64.sqrt();
        near(low.ln(), -2.0 - half, 1e-9);
        near(high.ln(), -2.0 + half, 1e-9);
        let inverse = Estimate::of_unpaired(&below, &above).unwrap();
        near(inverse.point(), 1.0 / e.point(), 1e-9);
    }

    #[test]
    fn one_observation_against_several_is_a_prediction_and_one_against_one_has_no_interval() {
        let several = [1.0, 1.1, 0.9, 1.05, 0.97, 1.02];
        let e = Estimate::of_unpaired(&[1.0], &several).unwrap();
        // Wider than the interval of the six's own mean: one more observation has its own spread.
        let (low, high) = e.interval(0.95).unwrap();
        let (own_low, own_high) = Estimate::of_ratios(&several)
            .unwrap()
            .interval(0.95)
            .unwrap();
        assert!(high / low > (own_high / own_low).powi(2));
        assert!(e.minimum_detectable().is_some());
        let lone = Estimate::of_unpaired(&[2.0], &[1.0]).unwrap();
        near(lone.point(), 2.0, 1e-12);
        assert_eq!(
            (lone.interval(0.95), lone.minimum_detectable()),
            (None, None)
        );
        assert_eq!(Estimate::of_unpaired(&[], &[1.0]), None);
        assert_eq!(Estimate::of_unpaired(&[1.0], &[0.0]), None);
    }
}
