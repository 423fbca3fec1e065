//! depth-canary over planted series: round figures that no machine gave.

use super::*;
use crate::claims::fixture;
use crate::results::{Fault, Verdict, VerdictRow};

const MS: u64 = 1_000_000;
/// The fixture's slow phase, 5 s to 10 s, in bins.
const DURING: std::ops::Range<usize> = 50..100;

/// 20 orders a bin; 8 workers that take 5 ms, and 200 ms in the slow phase: what waits grows from its first bin on,
/// and the first order that takes long has ended in its third.
fn plant(trial: &mut Trial) {
    let calls = is_synchronous(&trial.cell);
    let mut waiting = 0_u64;
    trial.series = (0..150)
        .map(|bin| {
            let done = match bin {
                0 => 19,
                50 => 1,
                51..100 if bin % 2 == 0 => 8,
                51..100 => 0,
                _ => waiting.max(20),
            };
            waiting = waiting + 20 - done;
            let took = if (51..100).contains(&bin) { 200 } else { 6 };
            SeriesBin {
                start_s: f64::from(bin) / 10.0,
                width_s: 0.1,
                planned: 20,
                sent: 20,
                accepted: if calls { done } else { 20 },
                completed: Some(done),
                in_flight: if calls { waiting } else { 1 },
                backlog: Some(if calls { 0 } else { waiting as i64 }),
                longest_ns: match calls {
                    true => (done > 0).then_some(took * MS),
                    false => Some(MS),
                },
                ..SeriesBin::default()
            }
        })
        .collect();
}

/// The same with a service that stands still in the slow phase: nobody is answered.
fn stop(mut trial: Trial) -> Trial {
    let calls = is_synchronous(&trial.cell);
    trial.cell.id.push_str("-stopped");
    trial.cell.slow = None;
    let what = "at 5s pause service; at 10s resume service";
    trial.cell.factors.insert("fault".into(), what.into());
    trial.faults = vec![Fault {
        what: "at 5s pause service".into(),
        planned_s: 5.0,
        actual_s: 5.05,
    }];
    let mut waiting = 0;
    for bin in &mut trial.series[DURING] {
        waiting += 20;
        bin.completed = Some(0);
        if calls {
            (bin.accepted, bin.in_flight, bin.longest_ns) = (0, waiting, None);
        } else {
            bin.backlog = Some(waiting as i64);
        }
    }
    trial
}

fn slowed(transport: &str) -> Trial {
    let mut trial = fixture::slow(transport, 0, MS, MS, 0);
    plant(&mut trial);
    trial
}

fn planted() -> Run {
    let mut run = fixture::planted();
    let slow = |trial: &&mut Trial| trial.experiment == EXPERIMENT;
    run.trials.iter_mut().filter(slow).for_each(plant);
    run
}

/// Changes every trial of a transport.
fn spoiled(transport: &str, change: impl Fn(&mut Trial)) -> VerdictRow {
    let mut run = planted();
    let mine = |t: &&mut Trial| t.experiment == EXPERIMENT && t.cell.transport == transport;
    run.trials.iter_mut().filter(mine).for_each(change);
    verdict(&run)
}

fn verdict(run: &Run) -> VerdictRow {
    super::super::judge(run)
        .into_iter()
        .find(|row| row.claim == "depth-canary")
        .unwrap()
}

fn part(row: &VerdictRow, name: &str) -> (Verdict, String) {
    let found = row.parts.iter().find(|part| part.name == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {row:?}"));
    (found.verdict, found.reason.clone())
}

fn fires(ms: u64) -> Option<Sample> {
    let at = (ms * MS) as f64;
    // Somewhere in a bin of 100 ms, and not at its very start.
    Some(Sample::within((at - 1e8) * (1.0 + ROUNDING), at, at))
}

fn never(ms: u64) -> Option<Sample> {
    Some(Sample {
        at_least: true,
        ..Sample::exact((ms * MS) as f64)
    })
}

#[test]
fn what_waits_is_seen_before_anything_slow_has_ended() {
    for transport in TRANSPORTS {
        let trial = slowed(transport);
        assert_eq!(alarm(&trial, Signal::Backlog), fires(100), "{transport}");
        assert_eq!(latency_alarm(&trial), fires(300), "{transport}");
        assert_eq!(alarm(&trial, Signal::Errors), never(5_000), "{transport}");
    }
    // A publisher sees nothing of it, and a caller has no completion beside its own latency.
    assert_eq!(alarm(&slowed("queue"), Signal::Accept), never(5_000));
    assert_eq!(alarm(&slowed("queue"), Signal::Completion), fires(300));
    assert_eq!(alarm(&slowed("rest"), Signal::Completion), None);
    let row = verdict(&planted());
    assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
    assert_eq!(row.parts.len(), 8);
    for words in [
        // After 200 ms, in the third bin, against somewhere in the first.
        "rest, service slowed: an alarm on p99 took at least 2.00× the time of one on calls in flight",
        "stream, service slowed: an alarm on errors took at least 50.0× the time of one on the broker's backlog",
    ] {
        assert!(row.reason.contains(words), "{}", row.reason);
    }
}

#[test]
fn a_latency_that_alarms_first_refutes_for_its_transport() {
    let row = spoiled("rest", |trial| {
        for bin in &mut trial.series[50..55] {
            bin.in_flight = 1;
            bin.longest_ns = Some(200 * MS);
        }
    });
    assert_eq!(row.verdict, Verdict::Depends, "{row:?}");
    assert_eq!(part(&row, "rest slowed: p99").0, Verdict::Refuted);
    assert_eq!(part(&row, "rest slowed: errors").0, Verdict::Holds);
    assert_eq!(part(&row, "grpc slowed: p99").0, Verdict::Holds);
}

#[test]
fn two_alarms_in_neighbouring_bins_decide_nothing_however_well_the_blocks_agree() {
    let row = spoiled("rest", |trial| {
        // Seen in the second bin: (100, 200] against (200, 300], which may be 3 and may be 1.
        trial.series[50].in_flight = 1;
    });
    let (found, reason) = part(&row, "rest slowed: p99");
    assert_eq!(found, Verdict::Inconclusive);
    assert!(reason.contains("1.50× [1.00, 3.00]"), "{reason}");
    // In the same bin, the first: nothing is known of their ratio.
    let row = spoiled("rest", |trial| {
        trial.series[50].longest_ns = Some(200 * MS);
    });
    let (found, reason) = part(&row, "rest slowed: p99");
    assert_eq!(found, Verdict::Inconclusive);
    assert!(reason.contains("unknown (about 1.00×"), "{reason}");
}

#[test]
fn a_backlog_that_never_alarms_refutes_only_where_another_does() {
    let row = spoiled("rest", |trial| {
        for bin in &mut trial.series {
            bin.in_flight = 1;
        }
    });
    let (found, reason) = part(&row, "rest slowed: p99");
    assert_eq!(found, Verdict::Refuted);
    assert!(reason.contains("at most"), "{reason}");
    let (found, reason) = part(&row, "rest slowed: errors");
    assert_eq!(found, Verdict::Inconclusive);
    assert!(reason.contains("neither end is known"), "{reason}");
}

#[test]
fn noise_before_the_fault_raises_the_threshold_of_its_own_signal() {
    let mut trial = slowed("rest");
    // 20, 40 and 52 wait at the ends of the first three bins.
    trial.series[10].in_flight = 41;
    assert_eq!(alarm(&trial, Signal::Backlog), fires(300));
    assert_eq!(alarm(&trial, Signal::Accept), fires(300));
    trial.series[20].longest_ns = Some(200 * MS);
    assert_eq!(alarm(&trial, Signal::Accept), never(5_000));
    // A share, and no count: as large as before is no alarm.
    (trial.series[30].errors, trial.series[30].accepted) = (1, 19);
    (trial.series[60].errors, trial.series[60].accepted) = (2, 38);
    assert_eq!(alarm(&trial, Signal::Errors), never(5_000));
    (trial.series[61].errors, trial.series[61].accepted) = (2, 18);
    assert_eq!(alarm(&trial, Signal::Errors), fires(1_200));
}

#[test]
fn of_a_service_that_stands_still_nothing_ends_and_time_counts_from_the_stop_itself() {
    for transport in TRANSPORTS {
        let trial = stop(slowed(transport));
        assert_eq!(alarm(&trial, Signal::Backlog), fires(50), "{transport}");
        assert_eq!(latency_alarm(&trial), never(4_950), "{transport}");
        assert_eq!(alarm(&trial, Signal::Errors), never(4_950), "{transport}");
    }
    let mut run = planted();
    let slow = run.trials.iter().filter(|t| t.experiment == EXPERIMENT);
    let stopped: Vec<Trial> = slow.cloned().map(stop).collect();
    run.trials.extend(stopped);
    let row = verdict(&run);
    assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
    assert_eq!(row.parts.len(), 16);
    let (_, reason) = part(&row, "queue stopped: p99");
    assert!(reason.contains("took at least 99.0×"), "{reason}");
    let table = table(&cells(&run, EXPERIMENT));
    assert_eq!(table.rows.len(), 8);
    for row in &table.rows {
        let is_stopped = row[1] == Value::from("stopped");
        let expected = if is_stopped { 50.0 } else { 100.0 };
        assert!(
            matches!(row[3], Value::Interval { point, .. } if (point - expected).abs() < 1e-6),
            "{row:?}"
        );
        assert!(
            matches!(row[6], Value::Interval { high: None, .. }),
            "{row:?}"
        );
    }
}

#[test]
fn a_series_that_does_not_say_when_operations_ended_measures_no_latency_alarm() {
    let row = spoiled("grpc", |trial| {
        for bin in &mut trial.series {
            bin.longest_ns = None;
        }
    });
    assert_eq!(part(&row, "grpc slowed: p99").0, Verdict::NotMeasured);
    assert_eq!(part(&row, "grpc slowed: errors").0, Verdict::Holds);
    let row = verdict(&Run::default());
    assert_eq!(row.verdict, Verdict::NotMeasured);
    assert!(row.reason.contains("was not run over rest"), "{row:?}");
}
