//! What agrees with the formulas, what does not, and what cannot be compared, over planted trials.

use super::*;
use crate::claims::fixture;
use crate::results::SeriesBin;

/// 200/s against 8 workers of 200 ms for 2.5 s, and 5 ms before and after: what a perfect machine would leave.
fn perfect(workers: Option<u32>) -> Trial {
    let mut trial = fixture::slow("queue", 0, 1_000_000, 1_000_000, 0);
    trial.cell.slow = Some("0s..1s 5ms; 1s..3500ms 200ms; 3500ms.. 5ms".into());
    trial.cell.workers = workers;
    let mut waiting = 0.0_f64;
    trial.series = (0..60)
        .map(|bin| {
            let slow = (10..35).contains(&bin);
            let done: f64 = match (slow, workers) {
                (true, Some(_)) => 4.0,
                // Unbounded: what came 200 ms ago.
                (true, None) if bin < 12 => 0.0,
                (true, None) => 20.0,
                (false, _) => 160.0,
            };
            let done = done.min(waiting + 20.0);
            waiting += 20.0 - done;
            SeriesBin {
                start_s: f64::from(bin) / 10.0,
                width_s: 0.1,
                planned: 20,
                completed: Some(done as u64),
                ..SeriesBin::default()
            }
        })
        .collect();
    let planned = [200, 500, 500];
    let edges = [0.0, 1.0, 3.5, 6.0];
    for (i, phase) in trial.phases.iter_mut().enumerate() {
        (phase.start_s, phase.end_s) = (edges[i], edges[i + 1]);
        phase.planned = planned[i];
        if let Some(completion) = &mut phase.completion_ns {
            completion.max = Some(2_200_000_000);
        }
    }
    trial
}

fn run(trials: Vec<Trial>) -> Run {
    Run {
        trials,
        ..Run::default()
    }
}

/// What is expected, what was measured, and what they do.
fn said<'t>(table: &'t Table, what: &str) -> (&'t Value, &'t Value, &'t Value) {
    let row = table
        .rows
        .iter()
        .find(|row| matches!(&row[2], Value::Text(text) if text.starts_with(what)))
        .unwrap_or_else(|| panic!("no {what} in {table:?}"));
    (&row[5], &row[6], &row[4])
}

fn point(value: &Value) -> f64 {
    match value {
        Value::Interval { point, .. } => *point,
        other => panic!("{other:?} is no interval"),
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Number(number) => *number,
        other => panic!("{other:?} is no number"),
    }
}

#[test]
fn a_machine_as_the_formulas_have_it_agrees_with_them() {
    let table = table(&run(vec![perfect(Some(8))]), "slow", "slow");
    for (what, formula) in [
        ("orders waiting", 400.0),
        ("time to drain", 400.0 / 1_400.0),
        ("longest completion", 2.2),
    ] {
        let (expected, _, they) = said(&table, what);
        assert!((point(expected) - formula).abs() < 1e-6, "{what}");
        assert_eq!(*they, Value::from("agrees"), "{what}: {table:?}");
    }
    assert_eq!(point(said(&table, "orders waiting").1), 400.0);
}

#[test]
fn every_row_says_how_far_the_plan_is_over_the_workers_and_the_machine_from_its_limit() {
    let mut trial = perfect(Some(8));
    let made = |trial: &Trial| table(&run(vec![trial.clone()]), "slow", "slow");
    let unknown = made(&trial);
    for bin in &mut trial.series {
        (bin.sent, bin.accepted) = (20, 20);
    }
    let known = made(&trial);
    for (unknown, known) in unknown.rows.iter().zip(&known.rows) {
        // 200/s × 200 ms ÷ 8, and 200/s × 90 µs of service and broker.
        assert!((number(&known[7]) - 5.0).abs() < 1e-9, "{known:?}");
        assert!((point(&known[8]) - 1.8).abs() < 1e-9, "{known:?}");
        assert!(matches!(unknown[8], Value::Missing(_)), "{unknown:?}");
    }
    trial.cell.workers = None;
    assert!(matches!(made(&trial).rows[0][7], Value::Missing(_)));
}

#[test]
fn half_the_workers_that_were_promised_are_a_finding_and_no_fault() {
    let mut trial = perfect(Some(8));
    for bin in &mut trial.series[10..35] {
        bin.completed = Some(2);
    }
    let before = trial.validity.clone();
    let run = run(vec![trial]);
    let table = table(&run, "slow", "slow");
    let (_, measured, they) = said(&table, "orders waiting");
    assert_eq!(point(measured), 450.0);
    assert_eq!(*they, Value::from("measured above"));
    assert_eq!(run.trials[0].validity, before);
}

#[test]
fn without_a_bound_littles_law_stands_alone() {
    let table = table(&run(vec![perfect(None)]), "slow", "slow");
    assert_eq!(table.rows.len(), 1);
    let (expected, measured, they) = said(&table, "orders in work");
    assert_eq!((point(expected), point(measured)), (40.0, 40.0));
    assert_eq!(*they, Value::from("agrees"));
}

#[test]
fn a_synchronous_caller_holds_what_waits_until_its_deadline() {
    for (timeout_ms, held) in [(5_000, 400), (1_000, 200)] {
        let mut trial = perfect(Some(8));
        trial.cell.transport = "grpc".into();
        trial.cell.timeout_ms = Some(timeout_ms);
        trial.series[34].in_flight = held;
        let table = table(&run(vec![trial]), "slow", "slow");
        let (expected, measured, they) = said(&table, "calls in flight");
        assert_eq!(
            (point(expected), point(measured)),
            (held as f64, held as f64)
        );
        assert_eq!(*they, Value::from("agrees"));
    }
}

#[test]
fn a_limit_holds_the_queue_and_turns_the_rest_away() {
    let mut trial = perfect(Some(8));
    let factors = &mut trial.cell.factors;
    factors.insert("queue_limit".into(), "100".into());
    trial.counters.insert("failed: nack".into(), 292);
    let mut waiting = 0.0;
    for bin in &mut trial.series[10..35] {
        waiting += 16.0;
        if waiting > 108.0 {
            bin.errors = (waiting - 108.0) as u64;
            waiting = 108.0;
        }
    }
    let table = table(&run(vec![trial]), "slow", "slow");
    for (what, figure) in [("orders waiting", 108.0), ("orders turned away", 292.0)] {
        let (expected, measured, they) = said(&table, what);
        assert_eq!((point(expected), point(measured)), (figure, figure));
        assert_eq!(*they, Value::from("agrees"));
    }
}

#[test]
fn a_window_that_ends_before_the_drain_measures_none() {
    let mut trial = perfect(Some(8));
    trial.series.truncate(36);
    let table = table(&run(vec![trial]), "slow", "slow");
    let (_, measured, they) = said(&table, "time to drain");
    assert!(matches!(measured, Value::Missing(_)));
    assert_eq!(*they, Value::from("cannot be compared"));
}

#[test]
fn what_has_no_such_phase_has_no_row() {
    let planted = fixture::planted();
    assert!(table(&planted, "capacity", "slow").rows.is_empty());
    assert!(table(&Run::default(), "slow", "slow").rows.is_empty());
}
