//! Little's law as a check of the instrument: in a closed loop L = λ·W, with the accepted rate and the accept latency.

/// How far λ·W lies from L, as a share of L. None where one of them is not positive.
pub fn deviation(in_flight: f64, rate_per_s: f64, mean_wait_s: f64) -> Option<f64> {
    let ok = [in_flight, rate_per_s, mean_wait_s]
        .iter()
        .all(|v| v.is_finite() && *v > 0.0);
    ok.then(|| (rate_per_s * mean_wait_s - in_flight).abs() / in_flight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_keeps_the_law_deviates_by_nothing() {
        assert!(deviation(32.0, 64_000.0, 0.0005).unwrap() < 1e-12);
    }

    #[test]
    fn a_tenth_too_much_is_a_tenth() {
        assert!((deviation(32.0, 64_000.0, 0.00055).unwrap() - 0.1).abs() < 1e-9);
        assert!((deviation(32.0, 64_000.0, 0.00045).unwrap() - 0.1).abs() < 1e-9);
    }

    #[test]
    fn nothing_measured_is_no_deviation() {
        assert_eq!(deviation(32.0, 0.0, 0.001), None);
        assert_eq!(deviation(0.0, 10.0, 0.001), None);
    }
}
