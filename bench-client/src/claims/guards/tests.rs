//! Guards with planted results: every one stops it, one does not, a crash brings nothing to stop, nothing was measured.

use super::*;
use crate::claims::fixture;
use crate::latency::{Beside, Minimum, summarise};
use crate::results::{Hop, Probe, Value, VerdictRow};

/// A phase of the probe with so many that came after so long and so many that timed out after 500 ms.
fn phase(name: &str, us: u64, came: u64, timed_out: u64) -> Phase {
    let mut samples = histogram::new();
    samples.record_n(us * 1_000, came).unwrap();
    let beside = Beside {
        censored: timed_out,
        bound_ns: 500_000_000,
        negative: 0,
    };
    Phase {
        name: name.into(),
        planned: came + timed_out,
        acknowledged: came,
        timed_out,
        accept_ns: summarise(&samples, beside, Minimum::Trial),
        ..Phase::default()
    }
}

/// Of 1,250 catalogues asked for in the trouble so many come.
fn trial(trouble: Trouble, over: &str, guard: Guard, block: u32, came: u64) -> Trial {
    let mut trial = fixture::slow(over, block, 1_000_000, 300_000_000, 0);
    let name = topology(trouble, over, guard);
    trial.experiment = EXPERIMENT.into();
    trial.cell.id = name.clone();
    (trial.cell.slow, trial.cell.timeout_ms) = (None, Some(500));
    trial.phases[1].name = trouble.name().into();
    trial.cell.factors.insert("topology".into(), name);
    trial.probe = Some(Probe {
        phases: vec![
            phase(BEFORE, 400 + u64::from(block) * 4, 300, 0),
            phase(
                trouble.name(),
                400 + u64::from(block) * 6,
                came,
                1_250 - came,
            ),
        ],
        ..Probe::default()
    });
    let mut calls = HopCalls {
        shed: 7,
        failed: [("connect".to_string(), 5), ("closed".to_string(), 1)].into(),
        ..HopCalls::default()
    };
    if guard.has_breaker() {
        let states = [("closed", 1.0), ("open", 2.5), ("half open", 0.5)];
        calls.breaker_s = states
            .map(|(state, seconds)| (state.to_string(), seconds))
            .into();
    }
    let mut checkout = Hop {
        service: CHECKOUT.into(),
        ..Hop::default()
    };
    checkout.calls.insert(BEHIND.into(), calls);
    trial.hops = vec![checkout];
    trial
}

/// Every guard stops it, and so many catalogues come where there is none, and with the breaker alone; after a crash all do.
fn planted(unguarded: u64, breaker: u64) -> Run {
    let mut run = fixture::planted();
    for trouble in Trouble::ALL {
        for guard in trouble.guards().iter().copied() {
            let came = match (trouble, guard) {
                (Trouble::Crash, _) => 1_250,
                (_, Guard::None) => unguarded,
                (_, Guard::Breaker) => breaker,
                _ => 1_250,
            };
            for (over, block) in SYNC
                .into_iter()
                .flat_map(|over| (0..3).map(move |b| (over, b)))
            {
                run.trials.push(trial(trouble, over, guard, block, came));
            }
        }
    }
    run
}

/// The same with other numbers for one trouble's cell.
fn with_came(mut run: Run, trouble: Trouble, guard: Guard, came: u64) -> Run {
    for over in SYNC {
        let name = topology(trouble, over, guard);
        run.trials.retain(|trial| trial.cell.id != name);
        run.trials
            .extend((0..3).map(|block| trial(trouble, over, guard, block, came)));
    }
    run
}

fn named(row: &VerdictRow, verdict: Verdict) -> Vec<&str> {
    row.parts
        .iter()
        .filter(|part| part.verdict == verdict)
        .map(|part| part.name.as_str())
        .collect()
}

fn verdict(run: &Run, claim: &str) -> VerdictRow {
    crate::claims::judge(run)
        .into_iter()
        .find(|row| row.claim == claim)
        .unwrap()
}

#[test]
fn guards_that_stop_it_hold_and_what_stands_without_one_is_said() {
    let row = verdict(&planted(200, 1_250), "breaker");
    assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
    assert_eq!(row.parts.len(), 16);
    for words in [
        "With inventory slow, over rest without a guard, 600 of 3750",
        "With inventory hanging, over grpc without a guard, 600 of 3750",
        "With inventory dead, over grpc without a guard, 3750 of 3750",
        "open for 2.50 s",
    ] {
        assert!(row.reason.contains(words), "{}", row.reason);
    }
}

#[test]
fn guards_stop_nothing_where_nothing_cascades() {
    let row = verdict(&planted(1_250, 1_250), "breaker");
    assert_eq!(row.verdict, Verdict::Inconclusive, "{row:?}");
    assert!(row.parts[0].reason.contains("nothing to stop"), "{row:?}");
}

#[test]
fn one_guard_that_does_not_refutes_and_is_named() {
    let row = verdict(&planted(200, 300), "breaker");
    assert_eq!(row.verdict, Verdict::Refuted, "{row:?}");
    assert_eq!(
        named(&row, Verdict::Refuted),
        [
            "slow, rest, breaker",
            "slow, grpc, breaker",
            "hang, rest, breaker",
            "hang, grpc, breaker"
        ]
    );
    for (part, words) in [
        (1, "failed or took more than 100 ms, when it ends"),
        (9, "when it ends: one that hangs has not"),
    ] {
        let reason = &row.parts[part].reason;
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn a_breaker_of_errors_is_told_beside_and_decides_nothing() {
    for came in [300, 1_250] {
        let run = with_came(
            planted(200, 1_250),
            Trouble::Slow,
            Guard::ErrorsOnlyBreaker,
            came,
        );
        let row = verdict(&run, "breaker");
        assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
        assert_eq!(row.parts.len(), 16);
        let words = format!(
            "With inventory slow, over grpc with a circuit breaker that counts errors only, {} of 3750",
            3 * came
        );
        assert!(row.reason.contains(&words), "{}", row.reason);
    }
}

#[test]
fn a_catalogue_known_only_as_a_bound_still_shows_the_cascade() {
    let row = verdict(&planted(200, 1_250), "cascade");
    assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
    for words in [
        "at least",
        "that bound is the set-up's, the probe's deadline of 500 ms",
    ] {
        assert!(row.reason.contains(words), "{}", row.reason);
    }
    let calm = verdict(&planted(1_250, 1_250), "cascade");
    assert_eq!(calm.verdict, Verdict::Refuted, "{calm:?}");
    assert!(!calm.reason.contains("the probe's deadline"), "{calm:?}");
}

#[test]
fn a_trouble_that_does_not_cascade_is_told_from_one_that_does() {
    let run = with_came(planted(200, 1_250), Trouble::Slow, Guard::None, 1_250);
    let row = verdict(&run, "cascade");
    assert_eq!(named(&row, Verdict::Holds), ["hang, rest", "hang, grpc"]);
    assert_eq!(named(&row, Verdict::Refuted), ["slow, rest", "slow, grpc"]);
    let stopped = verdict(&run, "breaker");
    assert_eq!(named(&stopped, Verdict::Holds).len(), 8, "{stopped:?}");
    assert!(stopped.parts[0].reason.contains("nothing to stop"));
}

#[test]
fn a_crash_is_told_beside_and_decides_nothing() {
    for came in [100, 1_250] {
        let run = with_came(planted(200, 1_250), Trouble::Crash, Guard::None, came);
        for (claim, parts) in [("cascade", 4), ("breaker", 16)] {
            let row = verdict(&run, claim);
            assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
            assert_eq!(row.parts.len(), parts);
            let words = format!(
                "With inventory dead, over rest without a guard, {} of 3750 came within 100 ms",
                3 * came
            );
            assert!(row.reason.contains(&words), "{}", row.reason);
        }
    }
}

#[test]
fn after_a_crash_each_guard_is_told_beside_and_one_that_holds_catalogues_up_shows() {
    let run = with_came(planted(200, 1_250), Trouble::Crash, Guard::Bulkhead, 1_000);
    let row = verdict(&run, "breaker");
    assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
    for (guard, came) in [
        ("a timeout", 3_750),
        ("a circuit breaker that counts errors and slow calls", 3_750),
        ("a bulkhead", 3_000),
        ("all three", 3_750),
    ] {
        for over in SYNC {
            let words = format!("With inventory dead, over {over} with {guard}, {came} of 3750");
            assert!(row.reason.contains(&words), "{words}: {}", row.reason);
        }
    }
}

#[test]
fn every_guard_that_decides_is_run_in_every_trouble_and_breakers_of_errors_in_a_slow_phase_alone() {
    for trouble in Trouble::ALL {
        let guards = trouble.guards();
        assert_eq!(guards[0], Guard::None);
        let all_there = Guard::DECIDE.iter().all(|guard| guards.contains(guard));
        assert!(all_there, "{trouble:?}");
        for of_errors in [Guard::ErrorsOnlyBreaker, Guard::BreakerAndTimeout] {
            let there = guards.contains(&of_errors);
            assert_eq!(there, trouble == Trouble::Slow, "{trouble:?}");
        }
    }
}

#[test]
fn what_a_smaller_run_leaves_out_is_said_to_be_left_out() {
    let mut run = planted(200, 1_250);
    let left_out = topology(Trouble::Hang, "rest", Guard::None);
    run.trials.retain(|trial| trial.cell.id != left_out);
    let row = verdict(&run, "cascade");
    assert_eq!(named(&row, Verdict::NotMeasured), ["hang, rest"]);
    assert!(row.parts[2].reason.contains(&left_out), "{row:?}");
    // Without it nobody knows whether there was anything to stop.
    let stopped = verdict(&run, "breaker");
    assert_eq!(named(&stopped, Verdict::Inconclusive).len(), 4);
}

#[test]
fn what_is_late_is_not_prompt_though_it_came() {
    let mut run = planted(200, 1_250);
    for trial in run.trials.iter_mut().filter(|t| t.experiment == EXPERIMENT) {
        let mut samples = histogram::new();
        samples.record_n(150_000_000, 1_250).unwrap();
        let probe = trial.probe.as_mut().unwrap();
        probe.phases[1].accept_ns = summarise(&samples, Beside::default(), Minimum::Trial);
    }
    assert_eq!(verdict(&run, "breaker").verdict, Verdict::Refuted);
}

#[test]
fn every_cell_has_a_row_and_a_run_without_a_probe_is_not_measured() {
    let mut run = planted(200, 300);
    for table in tables(&run) {
        assert_eq!(table.rows.len(), 34, "{}", table.title);
        for row in &table.rows {
            assert_eq!(row.len(), table.columns.len(), "{}", table.title);
        }
    }
    // Of 3 blocks, by whatever name they failed.
    let failed = |row: &Vec<Value>| row[8] == Value::Number(18.0);
    assert!(tables(&run)[1].rows.iter().all(failed));
    for trial in &mut run.trials {
        trial.probe = None;
    }
    for claim in ["breaker", "cascade"] {
        assert_eq!(verdict(&run, claim).verdict, Verdict::NotMeasured);
    }
    let mut none = planted(200, 300);
    none.trials.retain(|trial| trial.experiment != EXPERIMENT);
    assert_eq!(verdict(&none, "breaker").verdict, Verdict::NotMeasured);
}
