//! Slopes: within a block, how a ratio changes per decade of a factor; the interval then goes over blocks.

/// The factor by which the ratio changes per decade, by least squares of ln ratio on log₁₀ factor. None with fewer than two
/// distinct factors or a value that is not positive. Feed one per block to [`super::Estimate::of_ratios`].
pub fn per_decade(points: &[(f64, f64)]) -> Option<f64> {
    if points
        .iter()
        .any(|(x, y)| !(*x > 0.0 && *y > 0.0 && x.is_finite() && y.is_finite()))
    {
        return None;
    }
    let n = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x.log10()).sum::<f64>() / n;
    let mean_y = points.iter().map(|(_, y)| y.ln()).sum::<f64>() / n;
    let sxx: f64 = points
        .iter()
        .map(|(x, _)| (x.log10() - mean_x).powi(2))
        .sum();
    let sxy: f64 = points
        .iter()
        .map(|(x, y)| (x.log10() - mean_x) * (y.ln() - mean_y))
        .sum();
    (sxx > 0.0).then(|| (sxy / sxx).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_law_gives_its_exponent_back() {
        // ratio = 0.8 · x^0.1: × 10^0.1 per decade.
        let points: Vec<_> = [1.0f64, 4.0, 16.0, 64.0, 256.0]
            .iter()
            .map(|x| (*x, 0.8 * x.powf(0.1)))
            .collect();
        assert!((per_decade(&points).unwrap() - 10f64.powf(0.1)).abs() < 1e-9);
    }

    #[test]
    fn a_flat_ratio_has_the_slope_one() {
        assert!(
            (per_decade(&[(1.0, 2.0), (10.0, 2.0), (100.0, 2.0)]).unwrap() - 1.0).abs() < 1e-12
        );
    }

    #[test]
    fn no_slope_without_two_factors_or_with_a_ratio_of_zero() {
        assert_eq!(per_decade(&[]), None);
        assert_eq!(per_decade(&[(4.0, 1.0), (4.0, 2.0)]), None);
        assert_eq!(per_decade(&[(1.0, 0.0), (2.0, 1.0)]), None);
    }
}
