//! A finding's figures in words.

use crate::claims::measured::Measured;
use crate::claims::rules::{Interval, Rule};

/// The unit in which a rule asks: that of its band, × else.
pub(super) fn unit(rule: Rule) -> &'static str {
    match rule {
        Rule::Band(_, _, unit) => unit,
        _ => "×",
    }
}

/// Behind a figure: × follows at once, a unit after a space.
pub(super) fn spaced(rule: Rule) -> String {
    match unit(rule) {
        "×" => "×".into(),
        unit => format!(" {unit}"),
    }
}

/// `0.58× [0.55, 0.61]`, or what is known of it; for *equal* with the difference beside.
pub(super) fn show(measured: &Measured, interval: Interval, rule: Rule) -> String {
    let point = number(measured.ratio.point());
    let unit = spaced(rule);
    let ratio = match (measured.open_low, measured.open_high) {
        (false, false) => format!(
            "{point}{unit} [{}, {}]",
            number(interval.low),
            number(interval.high)
        ),
        (false, true) => format!("at least {}{unit}", number(interval.low)),
        (true, false) => format!("at most {}{unit}", number(interval.high)),
        (true, true) => format!("unknown (about {point}{unit}, but neither end is known)"),
    };
    match (rule, measured.difference()) {
        (Rule::Equal, Some(d)) if d.low.is_finite() && d.high.is_finite() => {
            format!("{ratio}, {:+.2} to {:+.2} ms,", d.low, d.high)
        }
        _ => ratio,
    }
}

/// Three significant digits, without an exponent.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    let decimals = match magnitude {
        m if !m.is_finite() => return "∞".into(),
        m if m >= 100.0 => 0,
        m if m >= 10.0 => 1,
        m if m >= 0.1 || m == 0.0 => 2,
        m if m >= 0.01 => 3,
        _ => 4,
    };
    format!("{value:.decimals$}")
}
