//! The A/A rule: two arms that differ in nothing must be seen to differ in nothing, and sharply enough to mean it.

use super::estimate::{AA_LEVEL, Estimate};

/// How wide the A/A interval may be, as a factor to either side (docs/METHOD.md, Statistics: noisy pairs must
/// not pass by being noisy).
pub const WIDEST: f64 = 1.10;

/// What two arms that differ in nothing were seen to differ by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The 99 % interval contains 1 and reaches no further than ±10 % from its own point.
    Passed,
    /// It contains 1, but it is wider: chance alone may make so many times as much (or as little) of nothing, the far end
    /// of the interval.
    Noisy(f64),
    /// It does not contain 1: something else than chance sets the arms apart.
    Biased,
}

impl Outcome {
    /// The worse of two.
    pub fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Biased, _) | (_, Self::Biased) => Self::Biased,
            (Self::Noisy(one), Self::Noisy(other)) => Self::Noisy(one.max(other)),
            (noisy @ Self::Noisy(_), Self::Passed) | (Self::Passed, noisy) => noisy,
        }
    }
}

/// Judges a pair by its interval; none with a single block, which has none.
pub fn outcome(ratio: &Estimate) -> Option<Outcome> {
    let (low, high) = ratio.interval(AA_LEVEL)?;
    Some(if !(low <= 1.0 && 1.0 <= high) {
        Outcome::Biased
    } else if high / ratio.point() <= WIDEST {
        Outcome::Passed
    } else {
        Outcome::Noisy(high.max(1.0 / low))
    })
}

/// Whether a pair passed.
pub fn passes(ratio: &Estimate) -> bool {
    outcome(ratio) == Some(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(centre: f64, by: f64) -> Estimate {
        let ratios: Vec<f64> = (0..6)
            .map(|i| {
                centre
                    * if i % 2 == 0 {
                        1.0 + by
                    } else {
                        1.0 / (1.0 + by)
                    }
            })
            .collect();
        Estimate::of_ratios(&ratios).unwrap()
    }

    #[test]
    fn equal_and_sharp_passes() {
        assert!(passes(&spread(1.0, 0.02)));
    }

    #[test]
    fn sharp_but_apart_fails() {
        assert_eq!(outcome(&spread(1.08, 0.02)), Some(Outcome::Biased));
    }

    #[test]
    fn equal_but_too_noisy_to_tell_fails_by_the_far_end_of_its_interval() {
        let noisy = spread(1.02, 0.20);
        let (low, high) = noisy.interval(AA_LEVEL).unwrap();
        assert!(low < 1.0 && 1.0 / low < high);
        assert_eq!(outcome(&noisy), Some(Outcome::Noisy(high)));
        assert!(!passes(&noisy));
        let other_way = spread(1.0 / 1.02, 0.20);
        let (low, high) = other_way.interval(AA_LEVEL).unwrap();
        assert!(high < 1.0 / low);
        assert_eq!(outcome(&other_way), Some(Outcome::Noisy(1.0 / low)));
    }

    #[test]
    fn a_single_block_proves_nothing() {
        let single = Estimate::of_ratios(&[1.0]).unwrap();
        assert_eq!(outcome(&single), None);
        assert!(!passes(&single));
    }
}
