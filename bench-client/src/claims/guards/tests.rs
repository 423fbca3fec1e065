//! Guards with planted results: every one stops it, one does not, nothing was measured.

use super::*;
use crate::claims::fixture;
use crate::results::{Hop, Probe, Verdict, VerdictRow};
use crate::stats::latency::{Beside, Minimum, summarise};

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

/// Of 1,250 catalogues asked for in the slow phase so many come.
fn trial(over: &str, guard: Guard, block: u32, came: u64) -> Trial {
    let mut trial = fixture::slow(over, block, 1_000_000, 300_000_000, 0);
    let name = topology(over, guard);
    trial.experiment = EXPERIMENT.into();
    trial.cell.id = name.clone();
    trial.cell.slow = None;
    trial.cell.factors.insert("topology".into(), name);
    trial.probe = Some(Probe {
        phases: vec![
            phase(BEFORE, 400 + u64::from(block) * 4, 300, 0),
            phase(SLOW, 400 + u64::from(block) * 6, came, 1_250 - came),
        ],
        ..Probe::default()
    });
    let mut calls = HopCalls {
        shed: 7,
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

/// Every guard stops it, and so many catalogues come where there is none, and with the breaker alone.
fn planted(unguarded: u64, breaker: u64) -> Run {
    let mut run = fixture::planted();
    for block in 0..3 {
        for over in SYNC {
            for guard in Guard::ALL {
                let came = match guard {
                    Guard::None => unguarded,
                    Guard::Breaker => breaker,
                    _ => 1_250,
                };
                run.trials.push(trial(over, guard, block, came));
            }
        }
    }
    run
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
    assert_eq!(row.parts.len(), 8);
    for words in ["without a guard, 600 of 3750", "open for 2.50 s"] {
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
    let refuted: Vec<&str> = row
        .parts
        .iter()
        .filter(|part| part.verdict == Verdict::Refuted)
        .map(|part| part.name.as_str())
        .collect();
    assert_eq!(refuted, ["rest, breaker", "grpc, breaker"]);
}

#[test]
fn a_catalogue_known_only_as_a_bound_still_shows_the_cascade() {
    let row = verdict(&planted(200, 1_250), "cascade");
    assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
    assert!(row.reason.contains("at least"), "{}", row.reason);
    let calm = verdict(&planted(1_250, 1_250), "cascade");
    assert_eq!(calm.verdict, Verdict::Refuted, "{calm:?}");
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
        assert_eq!(table.rows.len(), 12, "{}", table.title);
    }
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
