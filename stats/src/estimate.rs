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
mod tests;
