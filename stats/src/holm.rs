//! Holm's step-down correction for several tests of one claim.

/// Adjusted p-values in the given order; one is significant at α when its adjusted p is at most α.
pub fn adjust(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut floor: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        floor = floor.max((p.len() - rank) as f64 * p[i]).min(1.0);
        adjusted[i] = floor;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: &[f64], expected: &[f64]) {
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-12),
            "{found:?} is not {expected:?}"
        );
    }

    #[test]
    fn the_textbook_example() {
        near(
            &adjust(&[0.01, 0.04, 0.03, 0.005]),
            &[0.03, 0.06, 0.06, 0.02],
        );
    }

    #[test]
    fn one_test_needs_no_correction() {
        near(&adjust(&[0.04]), &[0.04]);
        assert!(adjust(&[]).is_empty());
    }

    #[test]
    fn no_p_exceeds_one_and_the_order_is_kept() {
        near(&adjust(&[0.9, 0.6]), &[1.0, 1.0]);
        near(&adjust(&[0.04, 0.02]), &[0.04, 0.04]);
    }
}
