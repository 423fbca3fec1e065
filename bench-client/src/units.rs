//! How people write durations and sizes on a command line, and how they read them.

use std::time::Duration;

const UNITS: [(&str, f64); 6] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
];

/// Reads `250us`, `1.5s`, `2m`. A number without unit is refused: `5` could be anything.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let expected = "expected a duration with its unit, such as 500us, 20ms, 5s or 2m";
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number
        .parse()
        .map_err(|_| format!("'{text}' does not begin with a number; {expected}"))?;
    let (_, factor) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| match unit {
            "" => format!("'{text}' has no unit; {expected}"),
            unit => format!("'{unit}' in '{text}' is not a unit of time; {expected}"),
        })?;
    let seconds = number * factor;
    if seconds > 86_400.0 {
        return Err(format!("'{text}' is longer than a day; {expected}"));
    }
    Ok(Duration::from_nanos((seconds * 1e9).round() as u64))
}

/// Writes nanoseconds as people read them: three significant digits and a unit.
pub fn show_ns(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let digits = if value < 10.0 {
        2
    } else {
        usize::from(value < 100.0)
    };
    format!("{value:.digits$} {unit}")
}

/// Writes bytes as people read them: three significant digits and a decimal unit (1 kB is 1,000 bytes).
pub fn show_bytes(bytes: f64) -> String {
    let (value, unit) = match bytes {
        bytes if bytes < 999.5 => return format!("{bytes:.0} B"),
        bytes if bytes < 999.5e3 => (bytes / 1e3, "kB"),
        bytes => (bytes / 1e6, "MB"),
    };
    let digits = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_with_three_digits() {
        let cases = [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (1_000.0, "1.00 kB"),
            (11_168.0, "11.2 kB"),
            (500_000.0, "500 kB"),
            (999_700.0, "1.00 MB"),
            (4_194_304.0, "4.19 MB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(show_bytes(bytes), text);
        }
    }

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, ns) in [
            ("250us", 250_000),
            ("1.5s", 1_500_000_000),
            ("2m", 120_000_000_000),
            ("0ms", 0),
            ("7ns", 7),
        ] {
            assert_eq!(
                parse_duration(text).unwrap(),
                Duration::from_nanos(ns),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_a_sentence() {
        for (text, word) in [
            ("5", "no unit"),
            ("", "number"),
            ("s", "number"),
            ("5 parsecs", "unit"),
            ("-1s", "number"),
            ("1..2s", "number"),
            ("9999h", "unit"),
            ("90000s", "day"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn nanoseconds_are_shown_with_three_digits() {
        assert_eq!(show_ns(82_340.0), "82.3 µs");
        assert_eq!(show_ns(1_234.0), "1.23 µs");
        assert_eq!(show_ns(5e9), "5.00 s");
    }
}
