//! Outages with planted results, on each side of every rule; other experiments with the phase plant from here too.

use super::*;
use crate::claims::fixture;
use crate::results::{Latency, SeenError, Verdict, When};

/// A second before, ten away, three after, at 200/s; of the ten so many orders succeed.
pub(crate) fn trial(experiment: &str, name: &str, block: u32, well: u64) -> Trial {
    let mut trial = fixture::slow("rest", block, 1_000_000, 1_000_000, 0);
    trial.experiment = experiment.into();
    trial.cell.id = name.into();
    trial.cell.slow = None;
    trial.cell.factors.insert("topology".into(), name.into());
    let edges = [
        ("before", 0.0, 1.0, 200),
        (DOWN, 1.0, 11.0, 2_000),
        ("after", 11.0, 14.0, 600),
    ];
    for (phase, (name, start_s, end_s, planned)) in trial.phases.iter_mut().zip(edges) {
        phase.name = name.into();
        (phase.start_s, phase.end_s, phase.planned) = (start_s, end_s, planned);
        phase.acknowledged = planned;
    }
    trial.phases[1].acknowledged = well;
    trial.phases[1].failed = 2_000 - well;
    trial.hops = vec![hop_of(BEHIND, well)];
    if well < 2_000 {
        trial.seen = vec![SeenError {
            error: "status-500".into(),
            calls: When::After,
            count: 2_000 - well,
            first_s: 0.001,
            median_s: 5.0,
            last_s: 10.0,
            waited_median_s: 0.002,
            waited_most_s: 0.6,
        }];
    }
    trial
}

pub(crate) fn hop_of(service: &str, of_outage: u64) -> Hop {
    let mut hop = Hop {
        service: service.into(),
        phases: vec![HopPhase {
            name: DOWN.into(),
            completed: of_outage,
            completion_ns: Latency {
                max: Some(11_500_000_000),
                ..Latency::default()
            },
            ..HopPhase::default()
        }],
        ..Hop::default()
    };
    hop.ledger.duplicated = Some(0);
    hop.ledger.recovered = Some(0);
    let sent = Sent {
        calls: 2_800,
        succeeded: 800 + of_outage,
        lost: Some(0),
        unknown_to_caller: Some(0),
    };
    hop.from.insert(CHECKOUT.into(), sent);
    hop
}

fn planted() -> Run {
    let mut run = fixture::planted();
    for block in 0..3 {
        for over in SYNC {
            run.trials
                .push(trial(EXPERIMENT, &topology(over), block, 1));
        }
        for over in BUFFERED {
            let whole = trial(EXPERIMENT, &topology(over), block, 2_000);
            run.trials.push(whole);
        }
    }
    run
}

fn verdict(run: &Run, claim: &str) -> crate::results::VerdictRow {
    super::super::judge(run)
        .into_iter()
        .find(|row| row.claim == claim)
        .unwrap()
}

#[test]
fn nobody_checks_out_over_a_sync_hop_and_a_broker_loses_nothing() {
    let run = planted();
    let down = verdict(&run, "down-sync");
    assert_eq!(down.verdict, Verdict::Holds, "{down:?}");
    assert!(
        down.reason.contains("`status-500` after 2.00 ms"),
        "{}",
        down.reason
    );
    let kept = verdict(&run, "down-async");
    assert_eq!(kept.verdict, Verdict::Holds, "{kept:?}");
    for words in ["queue took 6000 of 6000", "done 11.5 s after"] {
        assert!(kept.reason.contains(words), "{}", kept.reason);
    }
}

#[test]
fn a_checkout_that_goes_on_refutes_the_one_and_a_lost_order_the_other() {
    let mut run = planted();
    for trial in &mut run.trials {
        if trial.cell.id == topology("grpc") {
            trial.phases[1].acknowledged = 1_900;
        }
    }
    assert_eq!(verdict(&run, "down-sync").verdict, Verdict::Refuted);
    let mut run = planted();
    let trial = run
        .trials
        .iter_mut()
        .find(|trial| trial.cell.id == topology("stream"));
    let sent = trial.unwrap().hops[0].from.get_mut(CHECKOUT).unwrap();
    sent.lost = Some(1);
    let row = verdict(&run, "down-async");
    assert_eq!(row.verdict, Verdict::Refuted, "{row:?}");
    assert!(row.reason.contains("1 of 8400 confirmed"), "{}", row.reason);
}

#[test]
fn one_block_of_three_that_goes_on_decides_nothing_however_many_orders_it_has() {
    let mut run = planted();
    let odd = |trial: &&mut Trial| trial.cell.id == topology("grpc") && trial.block == 2;
    run.trials.iter_mut().find(odd).unwrap().phases[1].acknowledged = 1_900;
    let row = verdict(&run, "down-sync");
    assert_eq!(row.verdict, Verdict::Inconclusive, "{row:?}");
    assert!(row.parts[1].reason.contains("1902 of 6000"), "{row:?}");
    assert!(row.parts[1].low.unwrap() < DOWN_SHARE, "{row:?}");
    assert!(row.parts[1].high.unwrap() > 0.9, "{row:?}");
}

#[test]
fn a_share_of_one_block_says_so() {
    let mut run = planted();
    run.trials
        .retain(|trial| trial.experiment != EXPERIMENT || trial.block == 0);
    let row = verdict(&run, "down-sync");
    for part in &row.parts {
        assert!(part.reason.contains("in one block, orders"), "{part:?}");
    }
    let whole = verdict(&planted(), "down-sync");
    assert!(!whole.reason.contains("in one block"), "{whole:?}");
}

#[test]
fn what_was_not_run_is_not_measured() {
    let run = fixture::planted();
    for claim in ["down-sync", "down-async"] {
        assert_eq!(verdict(&run, claim).verdict, Verdict::NotMeasured);
    }
}

#[test]
fn the_tables_have_a_row_for_each_way() {
    let run = planted();
    for table in tables(&run) {
        assert_eq!(table.rows.len(), 4, "{}", table.title);
    }
}
