use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const SEED: u64 = 42;

fn slow(text: &str) -> Slowness {
    text.parse().unwrap_or_else(|e| panic!("'{text}': {e}"))
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The plans of the first so many operations, at the run's start.
fn plans(text: &str, operations: u64) -> impl Iterator<Item = Planned> {
    let slowness = slow(text);
    (0..operations).map(move |sequence| slowness.plan(SEED, sequence, Duration::ZERO))
}

#[test]
fn a_constant_is_planned_for_every_order() {
    assert!(plans("1ms", 1_000).all(|p| p
        == Planned {
            time: ms(1),
            ..Planned::default()
        }));
}

#[test]
fn units_and_fractions_are_read_exactly() {
    for (text, nanos) in [
        ("7ns", 7),
        ("200us", 200_000),
        ("200µs", 200_000), // the micro sign
        ("200μs", 200_000), // the Greek letter
        ("1.5ms", 1_500_000),
        ("0.1ms", 100_000),
        (".5s", 500_000_000),
        ("2m", 120_000_000_000),
        ("0.000001s", 1_000),
        ("60m", 3_600_000_000_000),
        ("0s", 0),
        ("0", 0),
    ] {
        let planned = slow(text).plan(SEED, 0, Duration::ZERO);
        assert_eq!(planned.time, Duration::from_nanos(nanos), "{text}");
    }
}

#[test]
fn none_adds_nothing_and_bounds_nothing() {
    for text in ["none", "0", "0ms", "none fail=0%", " none "] {
        assert_eq!(slow(text), Slowness::none());
        assert_eq!(slow(text).to_string(), "none");
    }
    assert_eq!(Slowness::none().workers(), None);
    assert!(plans("none", 100).all(|p| p == Planned::default()));
    assert_eq!(Slowness::none().mean(seconds(5)), Duration::ZERO);
    assert_eq!(Slowness::none().phases().count(), 0);
}

#[test]
fn a_mix_is_drawn_by_its_weights() {
    let slow_ones = plans("5ms:90,200ms:10", 100_000)
        .inspect(|p| assert!([ms(5), ms(200)].contains(&p.time)))
        .filter(|p| p.time == ms(200))
        .count();
    // Four standard deviations of a binomial: 4 · sqrt(100,000 · 0.1 · 0.9) = 380.
    assert!((9_620..=10_380).contains(&slow_ones), "{slow_ones}");
    let halves = plans("1ms,2ms", 100_000)
        .filter(|p| p.time == ms(1))
        .count();
    assert!((49_368..=50_632).contains(&halves), "{halves}");
}

#[test]
fn a_mix_may_hold_distributions_and_zero() {
    let parts = slow("exp(20ms):1,lognormal(5ms,0.5):2,0:7");
    let zeros = (0..10_000)
        .filter(|s| parts.plan(SEED, *s, Duration::ZERO).time.is_zero())
        .count();
    assert!((6_817..=7_183).contains(&zeros), "{zeros}");
}

#[test]
fn an_exponential_has_its_mean_and_its_median() {
    let mut times: Vec<f64> = plans("exp(20ms)", 100_000)
        .map(|p| p.time.as_secs_f64() * 1e3)
        .collect();
    times.sort_by(f64::total_cmp);
    let mean = times.iter().sum::<f64>() / 1e5;
    // Four standard errors: 4 · 20 / sqrt(100,000) = 0.25, for mean and median alike.
    assert!((mean - 20.0).abs() < 0.25, "{mean}");
    let median = times[50_000];
    assert!((median - 20.0 * 2_f64.ln()).abs() < 0.25, "{median}");
}

#[test]
fn a_lognormal_has_its_median_and_its_sigma() {
    let logs: Vec<f64> = plans("lognormal(5ms,0.5)", 100_000)
        .map(|p| (p.time.as_secs_f64() / 0.005).ln())
        .collect();
    let mean = logs.iter().sum::<f64>() / 1e5;
    let variance = logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / 1e5;
    // Four standard errors: of the mean 4 · 0.5 / 316, of the deviation 4 · 0.5 / 447.
    assert!(mean.abs() < 0.0064, "{mean}");
    assert!((variance.sqrt() - 0.5).abs() < 0.0045, "{variance}");
}

#[test]
fn a_long_tail_ends_at_an_hour() {
    let longest = plans("lognormal(60m,5)", 1_000).map(|p| p.time).max();
    assert_eq!(longest, Some(seconds(3_600)));
}

#[test]
fn failures_come_at_their_share_whatever_the_mix() {
    for (text, low, high) in [
        ("1ms fail=1%", 874, 1_126),
        ("fail=0.01", 874, 1_126),
        ("fail=0", 0, 0),
        ("fail=100%", 100_000, 100_000),
    ] {
        let failures = plans(text, 100_000).filter(|p| p.fails).count();
        assert!((low..=high).contains(&failures), "{text}: {failures}");
    }
    let fails = |text| plans(text, 1_000).map(|p| p.fails).collect::<Vec<_>>();
    assert_eq!(fails("1ms fail=10%"), fails("exp(3ms) fail=10%"));
}

#[test]
fn spinning_is_planned_beside_the_waiting() {
    let planned = slow("1ms spin(50us)").plan(SEED, 3, Duration::ZERO);
    assert_eq!(
        (planned.time, planned.spin),
        (ms(1), Duration::from_micros(50))
    );
    assert_eq!(planned.total(), Duration::from_micros(1_050));
    let alone = slow("spin(50us)").plan(SEED, 3, Duration::ZERO);
    assert_eq!(
        (alone.time, alone.total()),
        (Duration::ZERO, Duration::from_micros(50))
    );
}

#[test]
fn phases_hold_from_their_start_to_just_before_their_end() {
    let phased = slow("0s..10s 1ms; 10s..20s 200ms fail=100%; 20s.. 2ms");
    let at = |nanos| phased.plan(SEED, 9, Duration::from_nanos(nanos));
    for (nanos, time, fails) in [
        (0, 1, false),
        (9_999_999_999, 1, false),
        (10_000_000_000, 200, true),
        (19_999_999_999, 200, true),
        (20_000_000_000, 2, false),
        (u64::MAX, 2, false),
    ] {
        let planned = at(nanos);
        assert_eq!((planned.time, planned.fails), (ms(time), fails), "{nanos}");
    }
    let spans: Vec<_> = phased.phases().collect();
    let expected = [
        (seconds(0), Some(seconds(10))),
        (seconds(10), Some(seconds(20))),
        (seconds(20), None),
    ];
    assert_eq!(spans, expected);
}

#[test]
fn after_a_last_phase_with_an_end_nothing_is_added() {
    let phased = slow("0s..1s 5ms");
    assert_eq!(phased.plan(SEED, 0, ms(999)).time, ms(5));
    assert_eq!(phased.plan(SEED, 0, ms(1_000)), Planned::default());
}

#[test]
fn workers_hold_for_the_whole_run_wherever_they_are_given() {
    for text in [
        "workers=8; 0s..1s 1ms; 1s.. 2ms",
        "0s..1s 1ms workers=8; 1s.. 2ms",
        "0s..1s 1ms; 1s.. 2ms workers=8",
        "0s..1s 1ms; 1s.. 2ms; workers=8",
    ] {
        assert_eq!(
            slow(text),
            slow("0s..1s 1ms; 1s.. 2ms").with_workers(Some(8))
        );
        assert_eq!(slow(text).workers(), Some(8));
    }
    assert_eq!(slow("workers=1"), Slowness::none().with_workers(Some(1)));
}

#[test]
fn a_plan_depends_on_seed_and_sequence_and_on_nothing_else() {
    let slowness = slow("exp(20ms) fail=50%");
    let forwards: Vec<_> = (0..1_000)
        .map(|s| slowness.plan(1, s, seconds(1)))
        .collect();
    let mut backwards: Vec<_> = (0..1_000)
        .rev()
        .map(|s| slowness.plan(1, s, seconds(7)))
        .collect();
    backwards.reverse();
    assert_eq!(forwards, backwards);
    let same = (0..1_000)
        .filter(|s| slowness.plan(2, *s, seconds(1)).time == forwards[*s as usize].time)
        .count();
    assert_eq!(same, 0, "another seed is another plan");
}

#[test]
fn neighbouring_operations_get_unrelated_times() {
    let times: Vec<f64> = plans("exp(20ms)", 100_000)
        .map(|p| p.time.as_secs_f64() / 0.02 - 1.0)
        .collect();
    for lag in [1, 2, 3, 8, 64] {
        let pairs = times.iter().zip(&times[lag..]);
        let correlation = pairs.map(|(a, b)| a * b).sum::<f64>() / 1e5;
        // Four standard errors at no correlation: 4 / sqrt(100,000).
        assert!(correlation.abs() < 0.0127, "lag {lag}: {correlation}");
    }
}

/// If it fails, plans have changed: a run's slowness is then not that of an older run of the same seed.
#[test]
fn plans_stay_what_they_are_from_release_to_release() {
    let times: Vec<u128> = plans("1ms:1,2ms:1,3ms:1,4ms:1 fail=25%", 12)
        .map(|p| p.time.as_millis() * if p.fails { 10 } else { 1 })
        .collect();
    assert_eq!(times, [2, 4, 3, 40, 4, 2, 20, 2, 2, 2, 3, 1]);
}

#[test]
fn the_mean_is_that_of_theory() {
    for (text, micros) in [
        ("1ms", 1_000),
        ("5ms:90,200ms:10", 24_500),
        ("exp(20ms)", 20_000),
        ("lognormal(5ms,0.5)", 5_666), // 5 · exp(0.125) = 5.6657
        ("exp(10ms):1,30ms:3 fail=5%", 25_000),
        ("2ms spin(500us)", 2_500),
    ] {
        let mean = slow(text).mean(Duration::ZERO).as_secs_f64() * 1e6;
        assert!((mean - f64::from(micros)).abs() < 0.5, "{text}: {mean}");
    }
    let phased = slow("0s..10s 1ms; 10s.. 200ms");
    assert_eq!(phased.mean(seconds(10)), ms(200));
}

#[test]
fn the_canonical_form_is_short() {
    for (text, canonical) in [
        ("1000us", "1ms"),
        ("1.5ms", "1500us"),
        ("2m", "120s"),
        (
            "5ms:90 , 200ms:10   fail=0.01 workers=8",
            "5ms:90,200ms:10 fail=1% workers=8",
        ),
        ("workers=8 fail=7% 1ms", "1ms fail=7% workers=8"),
        ("lognormal( 5ms , 0.50 )", "lognormal(5ms,0.5)"),
        ("1ms:3", "1ms"),
        ("1ms,2ms", "1ms:1,2ms:1"),
        ("fail=0.5%", "none fail=0.5%"),
        ("spin(50us) 1ms", "1ms spin(50us)"),
        (
            "0..10s 1ms; 10s..0.5m 0; 30s.. exp(2ms)",
            "0s..10s 1ms; 10s..30s none; 30s.. exp(2ms)",
        ),
        ("0s..10s 1ms workers=2", "0s..10s 1ms; workers=2"),
        ("0s.. 1ms", "1ms"),
        ("workers=8", "none workers=8"),
    ] {
        assert_eq!(slow(text).to_string(), canonical);
        assert_eq!(slow(canonical), slow(text));
    }
}

#[test]
fn every_malformed_piece_is_answered_with_itself_and_an_example() {
    let table = [
        ("", "nothing", "exp(20ms)"),
        ("   ", "nothing", "none"),
        ("5", "'5'", "200us"),
        ("ms", "'ms'", "200us"),
        ("5 ms", "'5'", "200us"),
        ("5sec", "'5sec'", "10s"),
        ("5h", "'5h'", "units: ns us ms s m"),
        ("-5ms", "'-5ms'", "1.5ms"),
        ("1e3ms", "'1e3ms'", "1.5ms"),
        ("NaNms", "'NaNms'", "1.5ms"),
        ("infs", "'infs'", "1.5ms"),
        ("1.2.3ms", "'1.2.3ms'", "1.5ms"),
        ("61m", "'61m'", "3600s"),
        (
            "999999999999999999999999s",
            "'999999999999999999999999s'",
            "3600s",
        ),
        ("fast", "'fast'", "200us"),
        ("1ms 2ms", "twice", "5ms:90,200ms:10"),
        ("1ms,", "''", "200us"),
        ("1ms,,2ms", "''", "200us"),
        ("1ms:", "'1ms:'", "5ms:90"),
        ("1ms:0,2ms:1", "'1ms:0'", "5ms:90"),
        ("1ms:-1", "'1ms:-1'", "5ms:90"),
        ("1ms:NaN", "'1ms:NaN'", "5ms:90"),
        ("1ms:1e400", "'1ms:1e400'", "5ms:90"),
        ("1ms:9999999999", "'1ms:9999999999'", "1000000000"),
        ("1ms:2:3", "'1ms:2'", "200us"),
        ("exp", "'exp'", "200us"),
        ("exp(", "'exp('", "exp(20ms)"),
        ("exp()", "'exp()'", "exp(20ms)"),
        ("exp(20)", "'exp(20)'", "exp(20ms)"),
        ("exp(20ms", "'exp(20ms'", "exp(20ms)"),
        ("exp(1ms,2ms)", "'exp(1ms,2ms)'", "exp(20ms)"),
        ("normal(5ms,1ms)", "'normal(5ms,1ms)'", "lognormal(5ms,0.5)"),
        ("lognormal(5ms)", "'lognormal(5ms)'", "lognormal(5ms,0.5)"),
        (
            "lognormal(0.5,5ms)",
            "'lognormal(0.5,5ms)'",
            "lognormal(5ms,0.5)",
        ),
        ("lognormal(5ms,6)", "'lognormal(5ms,6)'", "from 0 to 5"),
        ("lognormal(5ms,-1)", "'lognormal(5ms,-1)'", "from 0 to 5"),
        ("spin()", "'spin()'", "spin(50us)"),
        ("spin(1ms):3", "'spin(1ms)'", "spin(50us)"),
        ("spin(1ms) spin(1ms)", "spin()", "twice"),
        ("fail=", "'fail='", "fail=1%"),
        ("fail=2", "'fail=2'", "fail=0.01"),
        ("fail=101%", "'fail=101%'", "fail=1%"),
        ("fail=-1%", "'fail=-1%'", "fail=1%"),
        ("fail=NaN", "'fail=NaN'", "fail=1%"),
        ("fail=1% fail=2%", "fail=", "twice"),
        ("workers=0", "'workers=0'", "workers=8"),
        ("workers=-1", "'workers=-1'", "workers=8"),
        ("workers=+1", "'workers=+1'", "workers=8"),
        ("workers=1.5", "'workers=1.5'", "workers=8"),
        ("workers=65537", "'workers=65537'", "65536"),
        ("workers=2; workers=3; 1ms", "workers=", "twice"),
        ("threads=8", "'threads=8'", "workers=8"),
        ("1ms;", "'1ms;'", "0s..10s 1ms"),
        (";", "';'", "0s..10s 1ms"),
        ("1ms; 2ms", "starts at 0s", "10s.. 200ms"),
        ("1s..2s 1ms", "got 1s", "0s..1s none"),
        ("0s..1s 1ms; 2s.. 2ms", "at 1s", "got 2s"),
        ("0s..2s 1ms; 1s.. 2ms", "at 2s", "got 1s"),
        ("0s.. 1ms; 10s.. 2ms", "starts at 10s", "0s..10s 1ms"),
        ("10s..10s 1ms", "'10s..10s'", "20s.."),
        ("10s..5s 1ms", "'10s..5s'", "after its start"),
        ("..5s 1ms", "'..5s'", "10s..20s"),
        ("0s....5s 1ms", "'0s....5s'", "10s..20s"),
        ("0s..25 1ms", "'0s..25'", "10s..20s"),
        ("0s..1441m 1ms", "'0s..1441m'", "at most"),
        ("0s..1s 1s..2s 1ms", "a span", "twice"),
        ("5ms\u{0}", "'5ms\u{0}'", "200us"),
        ("１ms", "'１ms'", "200us"),
    ];
    for (text, piece, example) in table {
        let error = text.parse::<Slowness>().expect_err(text);
        assert!(error.starts_with("expected "), "'{text}': {error}");
        assert!(error.contains(piece), "'{text}': {error}");
        assert!(error.contains(example), "'{text}': {error}");
    }
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..=3_600_u64).prop_map(Duration::from_secs),
        (0..=100_000_u64).prop_map(Duration::from_micros),
        (0..=3_600_000_000_000_u64).prop_map(Duration::from_nanos),
    ]
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        duration().prop_map(Time::Constant),
        duration().prop_map(Time::Exponential),
        (duration(), 0.0..=5.0).prop_map(|(median, sigma)| Time::Lognormal(median, sigma)),
    ]
}

prop_compose! {
    fn part()(time in time(), weight in 1e-6..1e9) -> Part {
        Part { time, weight }
    }
}

prop_compose! {
    fn phase()(
        mut mix in vec(part(), 0..4),
        spin in duration(),
        fail in prop_oneof![Just(0.0), 0.0..=1.0, (0..=100_u8).prop_map(|n| f64::from(n) / 100.0)],
    ) -> Phase {
        // One part's weight says nothing, and one of no time is no mix.
        if let [only] = mix.as_mut_slice() {
            only.weight = 1.0;
            if only.time == Time::Constant(Duration::ZERO) {
                mix.clear();
            }
        }
        Phase { start: Duration::ZERO, end: None, mix, spin, fail }
    }
}

prop_compose! {
    fn slowness()(
        mut phases in vec((phase(), 1..1_000_000_u64), 0..5),
        open: bool,
        workers in proptest::option::of(1..=65_536_usize),
    ) -> Slowness {
        let mut start = Duration::ZERO;
        let last = phases.len().saturating_sub(1);
        for (i, (phase, length)) in phases.iter_mut().enumerate() {
            phase.start = start;
            start += Duration::from_millis(*length);
            phase.end = (i < last || !open).then_some(start);
        }
        let nothing = |p: &Phase| p.end.is_none() && p.mix.is_empty() && p.spin.is_zero() && p.fail == 0.0;
        if matches!(phases.as_slice(), [(only, _)] if nothing(only)) {
            phases.clear();
        }
        Slowness { phases: phases.into_iter().map(|(phase, _)| phase).collect(), workers }
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_as_the_same_plan(slowness in slowness()) {
        let text = slowness.to_string();
        let back = text.parse::<Slowness>();
        prop_assert_eq!(back.as_ref(), Ok(&slowness), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[0-9a-z.,;:()%=µ ]{0,40}") {
        if let Ok(slowness) = text.parse::<Slowness>() {
            let planned = slowness.plan(SEED, 1, Duration::ZERO);
            prop_assert!(planned.time <= Duration::from_secs(3_600));
            prop_assert_eq!(slowness.to_string().parse::<Slowness>(), Ok(slowness));
        }
    }
}
