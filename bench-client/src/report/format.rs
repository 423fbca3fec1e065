//! How figures are printed: units that fit, "–" for what has too few samples, "≥" for what is only a lower bound.

use crate::claims::part::number;
use crate::results::{Latency, Percentile};

/// What cannot be said.
pub(super) const NOTHING: &str = "–";

/// A time, with three digits and the unit that fits.
pub(super) fn ns(value: f64) -> String {
    match value {
        v if v < 1e3 => format!("{v:.0} ns"),
        v if v < 1e6 => format!("{} µs", number(v / 1e3)),
        v if v < 1e9 => format!("{} ms", number(v / 1e6)),
        v => format!("{} s", number(v / 1e9)),
    }
}

/// A percentile of a summary.
pub(super) fn percentile(latency: Option<&Latency>, which: Percentile) -> String {
    let sample = latency.and_then(|latency| crate::claims::samples::percentile(latency, which));
    match sample {
        None => NOTHING.into(),
        Some(s) if s.at_least => format!("≥ {}", ns(s.value)),
        Some(s) => ns(s.value),
    }
}

/// A figure that may be missing.
pub(super) fn maybe(value: Option<f64>) -> String {
    value.map_or(NOTHING.into(), number)
}

/// Thousands set apart by a thin space's plain cousin.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A metric's name in results, in words.
pub(super) fn metric(name: &str) -> &str {
    match name {
        "throughput_per_s" => "orders/s",
        "orders_per_cpu_s" => "orders per CPU-second",
        "cpu_us_per_op" => "CPU per order",
        "accept_p50" => "accept p50",
        "accept_p99" => "accept p99",
        "completion_p50" => "completion p50",
        "completion_p99" => "completion p99",
        other => other,
    }
}

/// An interval whose ends may be open.
pub(super) fn interval(low: Option<f64>, high: Option<f64>, unit: &str) -> String {
    let unit = if unit == "×" || unit.is_empty() {
        unit.to_string()
    } else {
        format!(" {unit}")
    };
    match (low, high) {
        (None, None) => NOTHING.into(),
        // A ratio is above zero anyhow: such a bound says nothing.
        (Some(low), None) if low == 0.0 && unit == "×" => NOTHING.into(),
        (Some(low), None) => format!("≥ {}{unit}", number(low)),
        (None, Some(high)) => format!("≤ {}{unit}", number(high)),
        (Some(low), Some(high)) if low == high => format!("{}{unit}", number(low)),
        (Some(low), Some(high)) => format!("[{}, {}]{unit}", number(low), number(high)),
    }
}

/// So many of them, in words.
pub(super) fn count(n: u32, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_take_the_unit_that_fits() {
        for (value, text) in [
            (950.0, "950 ns"),
            (58_000.0, "58.0 µs"),
            (787_400.0, "787 µs"),
            (1_240_000.0, "1.24 ms"),
            (5e9, "5.00 s"),
        ] {
            assert_eq!(ns(value), text);
        }
    }

    #[test]
    fn what_is_unknown_is_a_dash_and_a_bound_is_marked() {
        let latency = Latency {
            p50: Some(1_000_000),
            p99: Some(5_000_000_000),
            at_least: vec![Percentile::P99],
            ..Latency::default()
        };
        assert_eq!(percentile(Some(&latency), Percentile::P50), "1.00 ms");
        assert_eq!(percentile(Some(&latency), Percentile::P99), "≥ 5.00 s");
        assert_eq!(percentile(Some(&latency), Percentile::P999), "–");
        assert_eq!(percentile(None, Percentile::P50), "–");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(1_234_567.4), "1 234 567");
        assert_eq!(grouped(999.0), "999");
    }

    #[test]
    fn open_ends_are_said() {
        assert_eq!(interval(Some(0.55), Some(0.61), "×"), "[0.55, 0.61]×");
        assert_eq!(interval(Some(5.0), None, "×"), "≥ 5.00×");
        assert_eq!(interval(Some(2.3), Some(2.3), "×"), "2.30×");
        assert_eq!(interval(None, None, "×"), "–");
        assert_eq!(interval(Some(0.0), None, "×"), "–");
    }
}
