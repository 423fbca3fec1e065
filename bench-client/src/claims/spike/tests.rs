//! What holds, what refutes and what nobody measured, over planted trials.

use super::*;
use crate::claims::fixture;
use crate::results::{Footprint, Ledger, SeriesBin, Value};

/// 2,000/s for a second over 8 workers of 10 ms: 1,200 wait, and drain in two more.
fn trial(transport: &str, block: u32, done_per_bin: u64) -> Trial {
    let mut trial = fixture::slow(transport, block, 1_000_000, 1_200_000, 0);
    trial.experiment = "spike".into();
    trial.cell.id = format!("{transport}-spike");
    trial.cell.slow = Some("10ms".into());
    trial.cell.workers = Some(8);
    let edges = [(0.0, 0.3, 60), (0.3, 1.3, 2_000), (1.3, 4.0, 540)];
    let names = ["before", SPIKE, "after"];
    for (phase, ((start_s, end_s, planned), name)) in
        trial.phases.iter_mut().zip(edges.into_iter().zip(names))
    {
        phase.name = name.into();
        (phase.start_s, phase.end_s, phase.planned) = (start_s, end_s, planned);
        phase.acknowledged = planned;
        phase.timed_out = 0;
    }
    let mut waiting = 0;
    trial.series = (0..40)
        .map(|bin| {
            let planned = if (3..13).contains(&bin) { 200 } else { 20 };
            let completed = u64::min(waiting + planned, done_per_bin);
            waiting = waiting + planned - completed;
            SeriesBin {
                start_s: f64::from(bin) / 10.0,
                width_s: 0.1,
                planned,
                completed: Some(completed),
                ..SeriesBin::default()
            }
        })
        .collect();
    trial.ledger = Ledger {
        attempted: 2_600,
        acknowledged: 2_600,
        delivered: Some(2_600),
        lost: Some(0),
        ..Ledger::default()
    };
    trial
}

fn planted() -> Run {
    let mut run = fixture::planted();
    for block in 0..3 {
        for transport in ["rest", "queue", "stream"] {
            let mut trial = trial(transport, block, 79 + u64::from(block));
            if transport == "rest" {
                trial.phases[1].timed_out = 500;
                trial.phases[1].acknowledged = 1_500;
            } else {
                trial.broker = Some(Footprint {
                    resident_before: 100_000_000,
                    resident_most: 130_000_000,
                    resident_after: 120_000_000,
                    written: 2_000_000,
                });
            }
            run.trials.push(trial);
        }
        let mut limited = trial("queue", block, 80);
        limited.cell.id = "queue-spike-limit".into();
        limited
            .cell
            .factors
            .insert("queue_limit".into(), "400".into());
        limited.counters.insert("failed: nack".into(), 796);
        limited.phases[1].failed = 796;
        limited.phases[1].acknowledged = 1_204;
        run.trials.push(limited);
    }
    run
}

fn spoiled(wanted: &str, change: impl Fn(&mut Trial)) -> Verdict {
    let mut run = planted();
    let mut hit = 0;
    for trial in &mut run.trials {
        if trial.cell.id == wanted {
            change(trial);
            hit += 1;
        }
    }
    assert!(hit > 0, "nothing to spoil");
    verdict(&run).verdict
}

fn verdict(run: &Run) -> crate::results::VerdictRow {
    crate::claims::judge(run)
        .into_iter()
        .find(|row| row.claim == "spike")
        .unwrap()
}

#[test]
fn a_queue_that_buffers_drains_and_refuses_nothing_holds_whatever_stands_beside_it() {
    let row = verdict(&planted());
    assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
    assert_eq!(row.parts.len(), 6);
    for words in [
        "rest let 1500 of 6000 callers time out",
        "queue with at most 400 in the queue turned 2388 of 6000 away",
        "Scope: Rust",
    ] {
        assert!(row.reason.contains(words), "{}", row.reason);
    }
}

#[test]
fn each_part_refutes_alone() {
    let unconfirmed = |trial: &mut Trial| trial.phases[1].acknowledged -= 1;
    assert_eq!(spoiled("queue-spike", unconfirmed), Verdict::Refuted);
    let lost = |trial: &mut Trial| trial.ledger.lost = Some(1);
    assert_eq!(spoiled("stream-spike", lost), Verdict::Refuted);
    let still_there = |trial: &mut Trial| trial.series.truncate(20);
    assert_eq!(spoiled("queue-spike", still_there), Verdict::Refuted);
    // Everything was done at once: the spike met spare capacity and no queue.
    let absorbed = |trial: &mut Trial| {
        for bin in &mut trial.series {
            bin.completed = Some(bin.planned);
        }
    };
    assert_eq!(spoiled("queue-spike", absorbed), Verdict::Refuted);
}

#[test]
fn a_share_is_of_orders_where_some_were_lost_and_of_blocks_where_a_backlog_stayed() {
    let drains = |change: &dyn Fn(&mut Trial)| {
        let mut run = planted();
        let wanted = |trial: &&mut Trial| trial.cell.id == "queue-spike" && trial.block == 0;
        change(run.trials.iter_mut().find(wanted).unwrap());
        let mut parts = verdict(&run).parts.into_iter();
        parts
            .find(|part| part.name == "queue drains and loses nothing")
            .unwrap()
    };
    let stayed = drains(&|trial: &mut Trial| trial.series.truncate(20));
    assert_eq!(stayed.low, Some(1.0 / 3.0), "{}", stayed.reason);
    assert!(
        stayed.reason.contains("in 1 of 3 blocks the backlog"),
        "{}",
        stayed.reason
    );
    let both = drains(&|trial: &mut Trial| {
        trial.series.truncate(20);
        trial.ledger.lost = Some(78);
    });
    assert_eq!(both.low, Some(0.01), "{}", both.reason);
    for part in [stayed, both] {
        assert_eq!((part.verdict, part.high), (Verdict::Refuted, part.low));
    }
}

#[test]
fn a_transport_that_was_not_run_keeps_it_from_holding() {
    let mut run = planted();
    run.trials
        .retain(|trial| !trial.cell.id.starts_with("stream-spike"));
    let row = verdict(&run);
    assert_eq!(row.verdict, Verdict::Inconclusive);
    assert!(
        row.reason
            .contains("Not measured: stream takes every order")
    );
    assert_eq!(verdict(&Run::default()).verdict, Verdict::NotMeasured);
}

#[test]
fn one_block_decides_nothing_about_the_buffer() {
    let mut run = planted();
    run.trials
        .retain(|trial| trial.experiment != "spike" || trial.block == 0);
    assert_eq!(verdict(&run).verdict, Verdict::Inconclusive);
}

#[test]
fn the_table_counts_every_order_of_the_spike_once() {
    let run = planted();
    let table = table(&cells(&run, "spike"));
    assert_eq!(table.rows.len(), 4);
    for row in &table.rows {
        let count = |at: usize| match row[at] {
            Value::Number(n) => n,
            ref other => panic!("{other:?}"),
        };
        assert_eq!(count(2), (3..7).map(count).sum::<f64>(), "{row:?}");
        let has_broker = matches!(&row[0], Value::Text(t) if t != "rest");
        let limited = matches!(&row[1], Value::Text(t) if !t.is_empty());
        assert_eq!(
            matches!(row[9], Value::Interval { .. }),
            has_broker && !limited,
            "{row:?}"
        );
    }
}
