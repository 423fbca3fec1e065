//! Thresholds over planted trials: what they read, what they refuse, and what counts as crossed.

use super::*;
use crate::claims::fixture::{latency, planted};
use crate::latency::{Beside, summarise};
use crate::results::{Ledger, State};
use bench_stats::histogram;

/// accept p50 2 ms, p99 8 ms; 5,000 operations, all of them well.
fn trial() -> Trial {
    let mut trial = planted().trials[0].clone();
    trial.accept_ns = latency(5, 2_000_000, 8_000_000);
    trial.completion_ns = Some(latency(5, 1_000_000, 4_000_000));
    trial.throughput_per_s = 1_000.0;
    trial
}

fn judge(expression: &str, trial: &Trial) -> Judged {
    expression
        .parse::<Threshold>()
        .unwrap_or_else(|why| panic!("{expression}: {why}"))
        .judge(trial)
}

fn crossed(expression: &str, trial: &Trial) -> bool {
    judge(expression, trial).crossed
}

#[test]
fn every_comparison_decides_on_both_sides_and_on_the_fence() {
    let trial = trial();
    for (expression, expected) in [
        ("rate>999", true),
        ("rate>1000", false),
        ("rate>=1000", true),
        ("rate>=1001/s", false),
        ("rate<1001/s", true),
        ("rate<1000/s", false),
        ("rate<=1000/s", true),
        ("throughput<=999", false),
        (" rate < 1001 ", true),
    ] {
        assert_eq!(crossed(expression, &trial), expected, "{expression}");
    }
}

#[test]
fn latencies_are_read_from_the_clock_that_is_named() {
    let trial = trial();
    for (expression, expected) in [
        ("p50>1ms", true),
        ("p50>3ms", false),
        ("accept.p50>1ms", true),
        ("completion.p50>1500us", false),
        ("completion.p99>3ms", true),
        ("p99>7ms", true),
        ("p99>9ms", false),
        ("max>7ms", true),
        ("mean>2ms", true),
        ("mean>3ms", false),
        ("lateness.p99>1ms", false),
    ] {
        assert_eq!(crossed(expression, &trial), expected, "{expression}");
    }
    assert_eq!(judge("p99>20ms", &trial).found, "8.00 ms");
}

#[test]
fn operations_are_counted_or_taken_as_a_share_of_the_attempted() {
    let mut trial = trial();
    trial.ledger = Ledger {
        attempted: 1_000,
        acknowledged: 990,
        timed_out: 6,
        failed: 3,
        refused: 1,
        lost: Some(2),
        ..trial.ledger
    };
    for (expression, expected) in [
        ("errors>9", true),
        ("errors>10", false),
        ("errors>0.9%", true),
        ("errors>1%", false),
        ("timeouts>=6", true),
        ("failed>3", false),
        ("refused>0", true),
        ("lost>0", true),
        ("lost>0.3%", false),
        ("duplicated>0", false),
    ] {
        assert_eq!(crossed(expression, &trial), expected, "{expression}");
    }
    assert_eq!(judge("errors>5%", &trial).found, "1.00 %");
}

#[test]
fn cpu_is_per_operation_and_by_role() {
    let mut trial = trial();
    trial.cpu_us_per_op.client = Some(10.0);
    trial.cpu_us_per_op.service = Some(20.0);
    assert!(crossed("cpu>29us", &trial) && !crossed("cpu>31us", &trial));
    assert!(crossed("cpu.client>9us", &trial) && !crossed("cpu.service>20us", &trial));
    let unknown = judge("cpu.broker>1s", &trial);
    assert!(unknown.crossed && unknown.why.unwrap().contains("not measured"));
}

#[test]
fn a_percentile_among_operations_without_an_answer_is_crossed_unless_its_bound_says_otherwise() {
    let mut samples = histogram::new();
    samples.record_n(1_000_000, 950).unwrap();
    let beside = Beside {
        censored: 50,
        bound_ns: 5_000_000_000,
        negative: 0,
    };
    let mut trial = trial();
    trial.accept_ns = summarise(&samples, beside, Minimum::Trial);
    let above = judge("p99>20ms", &trial);
    assert!(above.crossed && above.found == "≥ 5.00 s" && above.why.is_none());
    // Above the bound nothing is known, and what is not known is no pass.
    let beyond = judge("p99>10s", &trial);
    assert!(beyond.crossed && beyond.why.unwrap().contains("without an answer"));
    // It is at least 5 s, so it is surely not below 1 s.
    assert!(!crossed("p99<1s", &trial));
    assert!(crossed("p99<10s", &trial));
    // The median is not among them.
    assert!(!crossed("p50>20ms", &trial));
    // 950 of 1 ms and 50 of at least 5 s.
    assert!(crossed("mean>250ms", &trial));
    assert_eq!(judge("mean>1s", &trial).found, "≥ 251 ms");
}

#[test]
fn what_was_not_measured_is_crossed_with_a_sentence() {
    let mut trial = trial();
    let few = judge("p99.9>1s", &trial);
    assert_eq!((few.crossed, few.found.as_str()), (true, "–"));
    let why = few.why.unwrap();
    assert!(why.contains("5000") && why.contains("100000"), "{why}");
    trial.completion_ns = None;
    trial.ledger.lost = None;
    for expression in ["completion.p50>1s", "lost>0", "lost>5%"] {
        let judged = judge(expression, &trial);
        assert!(
            judged.crossed && judged.why.unwrap().contains("--control"),
            "{expression}"
        );
    }
    trial.ledger = Ledger::default();
    assert!(crossed("errors>1%", &trial) && !crossed("errors>0", &trial));
}

#[test]
fn a_threshold_looks_at_figures_and_not_at_validity() {
    let mut trial = trial();
    trial.validity.state = State::Invalid;
    assert!(!crossed("p99>9ms", &trial));
}

#[test]
fn what_cannot_be_meant_is_refused_and_the_sentence_says_what_was_expected() {
    for (expression, words) in [
        ("", "no comparison"),
        ("p99", "no comparison"),
        ("p99=5ms", "no comparison"),
        ("p99==5ms", "no comparison"),
        (">5ms", "names no figure"),
        ("p98>5ms", "'p98' in 'p98>5ms' is not a figure"),
        ("P99>5ms", "not a figure"),
        ("p99=>5ms", "not a figure"),
        ("completion>5ms", "not a figure"),
        ("completion.p98>5ms", "not a figure"),
        ("handler.p99>5ms", "not a figure"),
        ("cpu.disk>5us", "not a figure"),
        ("p99>", "no value"),
        ("p99>=", "no value"),
        ("p99>5", "no unit"),
        ("p99>5%", "not a unit"),
        ("p99>-5ms", "does not begin with a number"),
        ("p99>5ms extra", "not a unit"),
        ("p99>>5ms", "does not begin with a number"),
        ("cpu>5", "no unit"),
        ("errors>0.5", "no count"),
        ("errors>-1", "no count"),
        ("errors>101%", "no share"),
        ("errors>NaN%", "no share"),
        ("errors>%", "no share"),
        ("lost>5ms", "no count"),
        ("rate<fast", "no rate"),
        ("rate<inf", "no rate"),
        ("rate<-1/s", "no rate"),
        ("rate<5/m", "no rate"),
    ] {
        let why = expression.parse::<Threshold>().unwrap_err();
        assert!(why.contains(words), "{expression}: {why}");
        assert!(why.contains("expected"), "{expression}: {why}");
    }
}

#[test]
fn figures_of_the_services_side_and_of_an_open_loop_are_known_as_such() {
    let of = |text: &str| text.parse::<Threshold>().unwrap();
    for text in [
        "completion.p50>1s",
        "lost>0",
        "duplicated>0",
        "recovered>1%",
    ] {
        assert!(of(text).needs_service(), "{text}");
    }
    for text in ["p50>1s", "errors>0", "timeouts>0", "rate<5", "cpu>1s"] {
        assert!(
            !of(text).needs_service() && !of(text).needs_rate(),
            "{text}"
        );
    }
    assert!(of("lateness.p99>1ms").needs_rate());
}
