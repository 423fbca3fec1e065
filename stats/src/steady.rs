//! Whether a system is steady before it is measured.

/// Windows looked at (docs/METHOD.md, CPU: five of 0.5 s).
pub const WINDOWS: usize = 5;
/// Largest coefficient of variation of a steady state.
pub const LARGEST_COV: f64 = 0.05;

/// Standard deviation ÷ mean. None with fewer than two values or a mean that is not positive.
pub fn coefficient_of_variation(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 || !mean.is_finite() || mean <= 0.0 {
        return None;
    }
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Some(variance.sqrt() / mean)
}

/// Whether the last [`WINDOWS`] windows vary by less than [`LARGEST_COV`].
pub fn is_steady(windows: &[f64]) -> bool {
    windows.len() >= WINDOWS
        && coefficient_of_variation(&windows[windows.len() - WINDOWS..])
            .is_some_and(|cov| cov < LARGEST_COV)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coefficient_is_the_textbook_one() {
        assert!(
            (coefficient_of_variation(&[9.0, 11.0]).unwrap() - 2f64.sqrt() / 10.0).abs() < 1e-12
        );
        assert_eq!(coefficient_of_variation(&[5.0]), None);
        assert_eq!(coefficient_of_variation(&[0.0, 0.0]), None);
    }

    #[test]
    fn a_warm_up_is_forgotten_once_five_windows_are_steady() {
        assert!(is_steady(&[
            10.0, 300.0, 1_000.0, 1_010.0, 990.0, 1_005.0, 995.0
        ]));
        assert!(!is_steady(&[10.0, 300.0, 1_000.0, 1_010.0, 990.0, 1_005.0]));
        assert!(!is_steady(&[1_000.0, 1_000.0, 1_000.0, 1_000.0]));
    }
}
