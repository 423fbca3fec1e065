//! The A/A rule: two arms that differ in nothing must be seen to differ in nothing, and sharply enough to mean it.

use super::estimate::{AA_LEVEL, Estimate};

/// How wide the A/A interval may be, as a factor to either side (FACTS section 8: noisy pairs must not pass by being noisy).
pub const WIDEST: f64 = 1.10;

/// Passes if the 99 % interval contains 1 and reaches no further than ±10 % from its own point.
pub fn passes(ratio: &Estimate) -> bool {
    let Some((low, high)) = ratio.interval(AA_LEVEL) else {
        return false;
    };
    low <= 1.0 && 1.0 <= high && high / ratio.point() <= WIDEST
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
        assert!(!passes(&spread(1.08, 0.02)));
    }

    #[test]
    fn equal_but_too_noisy_to_tell_fails() {
        assert!(!passes(&spread(1.0, 0.20)));
    }

    #[test]
    fn a_single_block_proves_nothing() {
        assert!(!passes(&Estimate::of_ratios(&[1.0]).unwrap()));
    }
}
