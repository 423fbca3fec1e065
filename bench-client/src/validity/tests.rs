//! One test for each row of the table, and for what each sentence says.

use super::*;

/// A healthy open-loop trial; each test spoils one thing.
fn healthy() -> Evidence {
    Evidence {
        open_loop: true,
        ledger: Ledger {
            attempted: 10_000,
            acknowledged: 9_990,
            refused: 4,
            failed: 3,
            timed_out: 2,
            open: 1,
            delivered: Some(9_996),
            lost: Some(0),
            duplicated: Some(0),
            recovered: Some(2),
            unexpected: Some(0),
            reordered: Some(0),
        },
        handler: Some(Handler {
            planned_p50_ns: [1e6; 2],
            actual_p50_ns: 1.06e6,
            planned_mean_ns: 1e6,
            actual_mean_ns: 1.1e6,
        }),
        durability_declared: "process".into(),
        durability_read_back: Some("process".into()),
        lateness_p99_ns: Some(100_000),
        accept_p99_ns: Some(1_000_000),
        generator_busy: Some(0.85),
        planned: 10_000,
        open_at_start: 3,
        open_at_end: 303,
        steal: Some(0.05),
        foreign_cpu: Some(0.05),
        ..Evidence::default()
    }
}

fn closed(little: Little) -> Evidence {
    Evidence {
        open_loop: false,
        little: Some(little),
        ..healthy()
    }
}

fn spoilt(change: impl FnOnce(&mut Evidence)) -> Validity {
    let mut evidence = healthy();
    change(&mut evidence);
    judge(&evidence).validity
}

/// One sentence, this state, not external, and the words in it.
fn says(validity: &Validity, state: State, words: &str) {
    assert_eq!(validity.state, state, "{:?}", validity.reasons);
    assert_eq!(validity.reasons.len(), 1, "{:?}", validity.reasons);
    assert!(
        validity.reasons[0].contains(words),
        "{:?} lacks {words:?}",
        validity.reasons
    );
}

#[test]
fn a_trial_at_every_limit_is_still_valid() {
    assert_eq!(judge(&healthy()), Judgement::default());
}

#[test]
fn broken_accounts_are_invalid() {
    says(
        &spoilt(|e| e.ledger.acknowledged -= 1),
        State::Invalid,
        "10000 attempted, but 9999",
    );
    says(
        &spoilt(|e| e.ledger.unexpected = Some(2)),
        State::Invalid,
        "nobody attempted",
    );
}

#[test]
fn a_negative_latency_is_invalid() {
    says(&spoilt(|e| e.negative = 1), State::Invalid, "negative");
}

#[test]
fn a_handler_off_its_plan_is_invalid() {
    let median = |ns| spoilt(|e| e.handler.as_mut().unwrap().actual_p50_ns = ns);
    says(
        &median(2e6),
        State::Invalid,
        "median was 2000 µs where 1000 µs",
    );
    says(&median(0.5e6), State::Invalid, "median was 500 µs");
    let mean = spoilt(|e| e.handler.as_mut().unwrap().actual_mean_ns = 1.6e6);
    says(&mean, State::Invalid, "mean was 1600 µs");
    // A long handler is judged by its share: 200 ms may take 205, not 220.
    let long = |ns| {
        spoilt(|e| {
            e.handler = Some(Handler {
                planned_p50_ns: [2e8; 2],
                actual_p50_ns: ns,
                planned_mean_ns: 2e8,
                actual_mean_ns: 2e8,
            });
        })
    };
    assert_eq!(long(2.05e8).state, State::Valid);
    assert_eq!(long(2.2e8).state, State::Invalid);
    // Half of the orders take 5 ms and half 50: a median on either side is as planned; beyond them it is not.
    let jumps = |actual_p50_ns| Handler {
        planned_p50_ns: [5e6, 5e7],
        actual_p50_ns,
        planned_mean_ns: 2.75e7,
        actual_mean_ns: 2.75e7,
    };
    for as_planned in [5.1e6, 5.1e7] {
        assert_eq!(off_plan(&jumps(as_planned)), Vec::<String>::new());
    }
    assert!(off_plan(&jumps(6e7))[0].contains("median was 60000 µs where 50000 µs"));
    assert!(off_plan(&jumps(4e6))[0].contains("median was 4000 µs where 5000 µs"));
}

#[test]
fn a_phase_off_its_plan_is_invalid_though_the_whole_window_is_not() {
    let found = spoilt(|e| {
        let late = Handler {
            actual_p50_ns: 2e6,
            ..e.handler.unwrap()
        };
        let well = e.handler.unwrap();
        e.handler_of_phases = vec![("before".into(), well), ("slow".into(), late)];
    });
    says(
        &found,
        State::Invalid,
        "in 'slow' the handler's median was 2000 µs where 1000 µs",
    );
}

#[test]
fn another_durability_than_declared_is_invalid() {
    let found = spoilt(|e| e.durability_read_back = Some("memory".into()));
    says(
        &found,
        State::Invalid,
        "`process` was declared, and `memory` is in force",
    );
    assert_eq!(
        spoilt(|e| e.durability_read_back = None).state,
        State::Valid
    );
}

#[test]
fn power_without_a_flush_is_invalid() {
    says(
        &spoilt(|e| e.flushes = Some(0)),
        State::Invalid,
        "the disk flushed nothing",
    );
    for seen in [None, Some(1)] {
        assert_eq!(spoilt(|e| e.flushes = seen).state, State::Valid);
    }
}

#[test]
fn a_loss_is_invalid_without_a_fault_and_a_finding_with_one() {
    says(
        &spoilt(|e| e.ledger.lost = Some(1)),
        State::Invalid,
        "1 of 9990 acknowledged",
    );
    let faulty = spoilt(|e| {
        e.ledger.lost = Some(1);
        e.fault_injected = true;
    });
    assert_eq!(faulty.state, State::Valid);
}

#[test]
fn lateness_above_a_tenth_is_suspect_and_above_half_invalid() {
    says(
        &spoilt(|e| e.lateness_p99_ns = Some(110_000)),
        State::Suspect,
        "11 % of accept p99 (limit 10 %)",
    );
    says(
        &spoilt(|e| e.lateness_p99_ns = Some(510_000)),
        State::Invalid,
        "51 % of accept p99 (limit 50 %)",
    );
}

#[test]
fn a_busy_generator_is_suspect_in_an_open_loop_and_a_label_in_a_closed_one() {
    says(
        &spoilt(|e| e.generator_busy = Some(0.9)),
        State::Suspect,
        "90 % of a core",
    );
    let closed = judge(&Evidence {
        open_loop: false,
        generator_busy: Some(0.9),
        ..healthy()
    });
    assert_eq!(
        (closed.validity.state, closed.generator_bound),
        (State::Valid, true)
    );
}

#[test]
fn a_growing_backlog_is_a_finding_and_no_fault() {
    let over = |open_loop, planned, open_at_end| {
        let e = Evidence {
            open_loop,
            planned,
            open_at_start: 0,
            open_at_end,
            ..healthy()
        };
        let judged = judge(&e);
        assert_eq!(judged.validity.state, State::Valid);
        judged.overloaded
    };
    // 3·√10,000 = 300 outweighs 1 %; at a million 1 % outweighs 3,000.
    assert_eq!(over(true, 10_000, 300), None);
    assert!(
        over(true, 10_000, 301)
            .unwrap()
            .starts_with("overloaded: 301 more")
    );
    assert_eq!(over(true, 1_000_000, 10_000), None);
    assert!(
        over(false, 1_000_000, 10_001)
            .unwrap()
            .starts_with("not sustained")
    );
}

#[test]
fn littles_law_off_by_a_twentieth_is_suspect_and_by_a_tenth_invalid() {
    let with = |mean_accept_s, operations| {
        let little = Little {
            in_flight: 32.0,
            accepted_per_s: 32_000.0,
            mean_accept_s,
            operations,
        };
        judge(&closed(little)).validity
    };
    assert_eq!(with(0.00104, 9_000).state, State::Valid);
    says(
        &with(0.00107, 9_000),
        State::Suspect,
        "off by 7.0 % (limit 5 %)",
    );
    says(
        &with(0.00080, 9_000),
        State::Invalid,
        "off by 20.0 % (limit 10 %)",
    );
    assert_eq!(
        with(0.00080, 1_999).state,
        State::Valid,
        "too few operations say nothing"
    );
    let open = Evidence {
        open_loop: true,
        ..closed(Little {
            in_flight: 1.0,
            accepted_per_s: 9.0,
            mean_accept_s: 9.0,
            operations: 9_000,
        })
    };
    assert_eq!(
        judge(&open).validity.state,
        State::Valid,
        "the law is checked in closed loops only"
    );
}

#[test]
fn disturbance_from_outside_is_suspect_and_may_be_run_again() {
    for (found, words) in [
        (spoilt(|e| e.steal = Some(0.06)), "stole 6 % of a core"),
        (
            spoilt(|e| e.foreign_cpu = Some(0.5)),
            "other processes used 50 %",
        ),
        (spoilt(|e| e.major_faults = 3), "3 major page faults"),
        (spoilt(|e| e.wire_records_lost = true), "ENOBUFS"),
    ] {
        says(&found, State::Suspect, words);
        assert!(found.external);
    }
}

#[test]
fn a_disturbance_from_outside_is_tried_again_even_if_it_shows_as_lateness_too() {
    let both = spoilt(|e| {
        e.steal = Some(0.5);
        e.lateness_p99_ns = Some(900_000);
    });
    assert_eq!(
        (both.state, both.external, both.reasons.len()),
        (State::Invalid, true, 2)
    );
}

#[test]
fn an_unpinned_published_run_is_suspect() {
    says(
        &spoilt(|e| e.unpinned = true),
        State::Suspect,
        "placement moves latency",
    );
}
