//! What an outage leaves behind, by arithmetic (FACTS on theory: a backlog grows by what arrives and is not worked on,
//! and drains by what is worked on beyond what arrives).

/// Orders that wait when a service comes back after `outage_s` seconds away.
pub(super) fn backlog(rate_per_s: f64, outage_s: f64) -> f64 {
    rate_per_s * outage_s
}

/// Seconds until a backlog is gone while orders go on arriving; none where they arrive as fast as they are worked on.
pub(super) fn drain_s(backlog: f64, rate_per_s: f64, capacity_per_s: f64) -> Option<f64> {
    (capacity_per_s > rate_per_s).then(|| backlog / (capacity_per_s - rate_per_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_is_rate_times_outage_and_drains_by_what_capacity_leaves_over() {
        assert_eq!(backlog(5_000.0, 600.0), 3_000_000.0);
        assert_eq!(drain_s(3_000_000.0, 5_000.0, 20_000.0), Some(200.0));
        assert_eq!(drain_s(3_000_000.0, 5_000.0, 5_000.0), None);
        assert_eq!(drain_s(1.0, 5_000.0, 10.0), None);
    }
}
