//! A straight line through points, by least squares: y = a + b·x.

/// Intercept and slope; none with fewer than two distinct x or a value that is not finite.
pub fn fit(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    if points
        .iter()
        .any(|(x, y)| !(x.is_finite() && y.is_finite()))
    {
        return None;
    }
    let n = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / n;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / n;
    let sxx: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let sxy: f64 = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    (sxx > 0.0).then(|| {
        let b = sxy / sxx;
        (mean_y - b * mean_x, b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_a_line_give_it_back() {
        let (a, b) = fit(&[(1e3, 0.12), (4e3, 0.42), (1e4, 1.02)]).unwrap();
        assert!(
            (a - 0.02).abs() < 1e-9 && (b - 1e-4).abs() < 1e-12,
            "{a} {b}"
        );
    }

    #[test]
    fn no_line_through_one_x_or_what_is_no_number() {
        assert_eq!(fit(&[]), None);
        assert_eq!(fit(&[(1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(fit(&[(1.0, 2.0), (2.0, f64::NAN)]), None);
    }
}
