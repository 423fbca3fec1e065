//! Planned offsets against arithmetic and theory.

use super::*;

fn offsets(rate: &str, n: usize) -> Vec<u64> {
    let profile: Profile = rate.parse().unwrap();
    Arrival::Rate {
        profile,
        spacing: Spacing::Even,
    }
    .offsets()
    .take(n)
    .collect()
}

#[test]
fn a_constant_rate_is_index_times_period() {
    assert_eq!(offsets("1000", 4), [0, 1_000_000, 2_000_000, 3_000_000]);
    let million = Arrival::constant(3_000.0).offsets().nth(3_000_000).unwrap();
    assert_eq!(
        million, 1_000_000_000_000,
        "no drift after three million periods of 333.3 µs"
    );
}

#[test]
fn steps_change_the_period_where_they_say() {
    assert_eq!(
        offsets("10:1s,100:1s", 13)[8..],
        [
            800_000_000,
            900_000_000,
            1_000_000_000,
            1_010_000_000,
            1_020_000_000
        ]
    );
}

#[test]
fn a_ramp_holds_its_integral() {
    // From 0⁺ to 100/s over 10 s: 500 operations, and the last rate goes on.
    let within = offsets("0.001..100:10s", 2_000)
        .into_iter()
        .filter(|at| *at < 10_000_000_000)
        .count();
    assert!((499..=501).contains(&within), "{within}");
    let after = offsets("0.001..100:10s", 2_000)
        .into_iter()
        .filter(|at| (10_000_000_000..11_000_000_000).contains(at))
        .count();
    assert!((99..=101).contains(&after), "{after}");
}

#[test]
fn poisson_is_seeded_and_has_the_mean_and_spread_of_its_process() {
    let a: Vec<u64> = Arrival::poisson(1_000.0, 7)
        .offsets()
        .take(100_000)
        .collect();
    let b: Vec<u64> = Arrival::poisson(1_000.0, 7)
        .offsets()
        .take(100_000)
        .collect();
    assert_eq!(a, b);
    assert_ne!(
        a[..10],
        Arrival::poisson(1_000.0, 8)
            .offsets()
            .take(10)
            .collect::<Vec<_>>()[..]
    );
    let gaps: Vec<f64> = a
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) as f64)
        .collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    assert!((mean / 1e6 - 1.0).abs() < 0.02, "{mean}");
    assert!(
        (variance.sqrt() / mean - 1.0).abs() < 0.02,
        "an exponential's deviation is its mean"
    );
}

#[test]
fn a_trace_is_replayed_and_ends() {
    let trace = parse_trace("# recorded\n0\n0.5\n750ms\n").unwrap();
    assert_eq!(
        trace.offsets().collect::<Vec<_>>(),
        [0, 500_000_000, 750_000_000]
    );
    assert!(
        parse_trace("2\n1\n")
            .unwrap_err()
            .contains("before the one above")
    );
    assert!(parse_trace("\n").unwrap_err().contains("no offset"));
    assert!(parse_trace("1\nsoon\n").unwrap_err().contains("line 2"));
}

#[test]
fn bad_rates_are_refused_with_a_sentence() {
    for (text, word) in [
        ("", "not a number"),
        ("fast", "not a number"),
        ("0", "outside"),
        ("-5", "outside"),
        ("1e99", "outside"),
        ("NaN", "outside"),
        ("5..10", "how long"),
        ("5,10", "no duration"),
        ("5:0s", "no time"),
        ("5:ten", "ten"),
    ] {
        let error = text.parse::<Profile>().unwrap_err();
        assert!(error.contains(word), "{text}: {error}");
    }
}
