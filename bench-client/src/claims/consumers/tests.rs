//! Drains with planted series, on each side of the rule.

use super::*;
use crate::claims::fixture;
use crate::results::{Arrival, Latency, SeriesBin, Value, Verdict, VerdictRow};

/// 20/s for half a second, 300/s for a second without the service, 20/s for 4.5 s; each consumer with work does one
/// order in 10 ms.
fn trial(broker: &str, count: u64, partitions: u64, block: u32) -> Trial {
    let mut trial = fixture::slow(broker, block, 1_000_000, 1_000_000, 0);
    trial.experiment = EXPERIMENT.into();
    trial.cell.id = format!("{broker}-{count}-{partitions}");
    trial.cell.arrival = Arrival::Planned;
    trial.cell.workers = None;
    trial.cell.slow = Some("10ms".into());
    let factors = &mut trial.cell.factors;
    if count > 1 {
        factors.insert("consumers".into(), count.to_string());
    }
    if broker == "stream" {
        factors.insert("partitions".into(), partitions.to_string());
    }
    trial.handler_ns = Some(Latency {
        mean: Some(10_000_000.0),
        ..Latency::default()
    });
    let edges = [
        ("before", 0.0, 0.5, 10),
        (AWAY, 0.5, 1.5, 300),
        (AFTER, 1.5, 6.0, 90),
    ];
    for (phase, (name, start_s, end_s, planned)) in trial.phases.iter_mut().zip(edges) {
        phase.name = name.into();
        (phase.start_s, phase.end_s, phase.planned) = (start_s, end_s, planned);
    }
    let per_bin = 10 * busy(&trial.cell);
    let mut waiting = 0;
    for bin in 0..60 {
        let away = (5..15).contains(&bin);
        let planned = if away { 30 } else { 2 };
        waiting += planned;
        let done = if away { 0 } else { per_bin.min(waiting) };
        waiting -= done;
        trial.series.push(SeriesBin {
            start_s: f64::from(bin) * 0.1,
            width_s: 0.1,
            planned,
            completed: Some(done),
            ..SeriesBin::default()
        });
    }
    trial
}

/// As long as a window for eight consumers is.
fn cut(trial: &mut Trial) {
    trial.series.truncate(30);
    trial.phases[2].end_s = 3.0;
}

fn planted() -> Run {
    let mut run = fixture::planted();
    for block in 0..3 {
        for broker in BROKERS {
            for count in [1, 2, 4, 8] {
                run.trials.push(trial(broker, count, 8, block));
            }
        }
        run.trials.push(trial("stream", 8, 2, block));
    }
    run
}

fn verdict(run: &Run) -> VerdictRow {
    super::super::judge(run)
        .into_iter()
        .find(|row| row.claim == "consumer-scale")
        .unwrap()
}

#[test]
fn the_drain_is_read_from_the_series() {
    // 300 wait; 8 a bin are left over by one consumer, 78 by eight.
    let close = |found: Option<f64>, to: f64| (found.unwrap() - to).abs() < 1e-6;
    let one = trial("queue", 1, 0, 0);
    assert!(close(drained(&one), 3.8), "{:?}", drained(&one));
    assert!(close(per_second(&one), 376.0 / 3.8), "{:?}", rate(&one));
    let many = trial("stream", 8, 8, 0);
    assert!(close(drained(&many), 0.4), "{:?}", drained(&many));
    assert!(close(per_second(&many), 308.0 / 0.4), "{:?}", rate(&many));
    let (least, most) = rate(&many).unwrap().within.unwrap();
    assert!(close(Some(least), 308.0 / 0.4) && close(Some(most), 308.0 / 0.3));
    let theory = Theory::of(&many).unwrap();
    assert!((theory.rate.0 - 800.0).abs() < 1e-6);
    assert!((theory.seconds.point - 300.0 / 780.0).abs() < 1e-6);
    assert!(theory.seconds.low < 0.4 && 0.4 < theory.seconds.high);
}

#[test]
fn eight_consumers_drain_more_than_twice_as_fast_and_two_partitions_hold_them_back() {
    let row = verdict(&planted());
    assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
    for words in [
        // 308 in 0.3 to 0.4 s, and 376 in 3.7 to 3.8 s.
        "7.78× [7.58, 10.4] the rate of one",
        "over 3 blocks (no A/A pair tells of it)",
        "8 consumers on 2 partitions drained 196/s",
        "accept p50 while they drained 1.",
    ] {
        assert!(row.reason.contains(words), "{words}: {}", row.reason);
    }
}

#[test]
fn consumers_without_work_decide_nothing_and_those_that_gain_nothing_refute() {
    let mut run = planted();
    run.trials.retain(|trial| trial.cell.id != "stream-8-8");
    let row = verdict(&run);
    assert_eq!(row.verdict, Verdict::Inconclusive, "{row:?}");
    let mut run = planted();
    for found in &mut run.trials {
        if found.cell.id == "queue-8-8" || found.cell.id == "stream-8-8" {
            let slow = trial(&found.cell.transport, 1, 8, found.block);
            found.series = slow.series;
            cut(found);
        }
    }
    let row = verdict(&run);
    assert_eq!(row.verdict, Verdict::Refuted, "{row:?}");
}

#[test]
fn a_window_that_ends_before_the_drain_still_has_a_rate() {
    let mut run = planted();
    for found in &mut run.trials {
        if found.cell.id == "queue-1-8" {
            cut(found);
            assert_eq!(drained(found), None);
            let rate = rate(found).unwrap();
            assert!((rate.value - 100.0).abs() < 1e-6 && rate.within.is_none());
        }
    }
    let row = verdict(&run);
    let queue = row.parts.iter().find(|part| part.name == "queue").unwrap();
    assert_eq!(queue.verdict, Verdict::Holds, "{queue:?}");
    let table = &tables(&run)[0];
    assert_eq!(table.rows.len(), 9);
    assert!(matches!(table.rows[0][5], Value::Missing(_)), "{table:?}");
    assert_eq!(table.rows[1][6], Value::from("agrees"));
    let Value::Interval {
        low: Some(low),
        high: Some(high),
        ..
    } = table.rows[3][8]
    else {
        panic!("{table:?}");
    };
    let ends = [(low, 308.0 / 0.4), (high, 308.0 / 0.3)];
    assert!(ends.iter().all(|(found, end)| (found - end).abs() < 1e-6));
}

#[test]
fn what_was_not_run_is_not_measured() {
    let row = verdict(&fixture::planted());
    assert_eq!(row.verdict, Verdict::NotMeasured);
    assert!(
        row.reason.contains("was not run over queue"),
        "{}",
        row.reason
    );
}
