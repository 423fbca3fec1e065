//! Durations as the slowness language writes them.

use std::time::Duration;

/// Longest first; the first that divides a duration is the one it is shown in.
const UNITS: [(&str, u64); 5] = [
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads `200us`, `1.5ms`, `10s`: a decimal number and a unit, up to `longest`.
pub(super) fn parse(text: &str, longest: Duration) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.replace(['µ', 'μ'], "u"); // the micro sign and the Greek letter
    let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|u| u.1);
    let number = self::number(number);
    let (Some(scale), Some(number)) = (scale, number) else {
        return Err(format!(
            "expected a duration such as 200us, 1.5ms or 10s (units: ns us ms s m), got '{text}'"
        ));
    };
    let nanos = number * scale as f64;
    if nanos > longest.as_nanos() as f64 {
        return Err(format!(
            "expected a duration of at most {} here, got '{text}'",
            show(longest)
        ));
    }
    // Exact: whole nanoseconds up to a day are far below 2^53.
    Ok(Duration::from_nanos(nanos.round() as u64))
}

/// The duration in the largest unit that shows it without a fraction.
pub(super) fn show(duration: Duration) -> String {
    let nanos = duration.as_nanos() as u64;
    if nanos == 0 {
        return "0s".into();
    }
    let (unit, scale) = UNITS
        .into_iter()
        // Minutes are read, but seconds are how phases are spoken of.
        .skip(1)
        .find(|(_, scale)| nanos.is_multiple_of(*scale))
        .unwrap_or(("ns", 1));
    format!("{}{unit}", nanos / scale)
}

/// A plain decimal number: no sign, no exponent, no `inf`, no `NaN`.
pub(super) fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number: f64 = text.parse().ok().filter(|_| plain)?;
    number.is_finite().then_some(number)
}
