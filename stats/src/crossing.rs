//! Crossings: within a block, where a curve over a factor reaches a level; the interval then goes over blocks.

/// The factor at which the curve first reaches `level`, straight between neighbours on log-log axes. Points come in order
/// of the factor. None where a value is not positive or the level lies outside of what was measured: nothing is extrapolated.
/// Feed one per block to [`super::Estimate::of_ratios`].
pub fn at_level(points: &[(f64, f64)], level: f64) -> Option<f64> {
    let positive = |value: &f64| value.is_finite() && *value > 0.0;
    if !points.iter().all(|(x, y)| positive(x) && positive(y)) || !positive(&level) {
        return None;
    }
    points.windows(2).find_map(|pair| {
        let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
        if y0 > level || y1 < level || y0 == y1 {
            return None;
        }
        let share = (level / y0).ln() / (y1 / y0).ln();
        Some(x0 * (x1 / x0).powf(share))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// y = 2·x: straight on log-log axes, so exact between any two points.
    const DOUBLE: [(f64, f64); 4] = [
        (1.0, 2.0),
        (10.0, 20.0),
        (400.0, 800.0),
        (5_000.0, 10_000.0),
    ];

    #[test]
    fn a_power_law_crosses_where_arithmetic_says() {
        for level in [2.0, 3.0, 20.0, 777.0, 10_000.0] {
            let at = at_level(&DOUBLE, level).unwrap();
            assert!((at / (level / 2.0) - 1.0).abs() < 1e-12, "{level}: {at}");
        }
        // y = x^1.5: 1,000 is reached at 100.
        let points = [(1.0, 1.0), (1e4, 1e6)];
        assert!((at_level(&points, 1e3).unwrap() - 100.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_extrapolated() {
        assert_eq!(at_level(&DOUBLE, 1.9), None);
        assert_eq!(at_level(&DOUBLE, 10_001.0), None);
        assert_eq!(at_level(&[], 1.0), None);
        assert_eq!(at_level(&[(1.0, 0.0), (2.0, 4.0)], 1.0), None);
    }

    #[test]
    fn the_first_crossing_counts() {
        let points = [(1.0, 1.0), (2.0, 4.0), (3.0, 1.0), (4.0, 9.0)];
        assert!(at_level(&points, 2.0).unwrap() < 2.0);
    }
}
