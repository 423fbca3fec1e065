//! Theory beside measurement: a phase in which more arrives than is done, the formulas of [`crate::theory`] for it, and
//! what the trials say. Pure: results in, a table out. Disagreement is a finding, printed, and touches no validity.

use crate::claims::overload::{self, Course, Overload, variant};
use crate::claims::samples::{CellTrials, cells, is_base};
use crate::results::{Run, Table, Trial, Value};
use crate::stats::Estimate;
use crate::stats::estimate::LEVEL;
use crate::theory::{
    Arrivals, Expected, Orders, PerSecond, agreement, capacity, drain, in_flight, oldest,
    turned_away,
};
use std::time::Duration;

/// Order of the rows.
const TRANSPORTS: [&str; 5] = ["tcp", "rest", "grpc", "queue", "stream"];

/// The cells of an experiment in the order of every table.
pub(super) fn in_order<'r>(run: &'r Run, experiment: &str) -> Vec<CellTrials<'r>> {
    let mut all: Vec<CellTrials<'r>> = cells(run, experiment)
        .into_iter()
        .filter(|cell| is_base(cell.cell))
        .collect();
    let place = |cell: &CellTrials<'_>| {
        TRANSPORTS
            .iter()
            .position(|name| *name == cell.cell.transport)
    };
    all.sort_by_key(|cell| (place(cell), variant(cell.cell)));
    all
}

/// The table of an experiment whose trials have a phase `during` of overload, and one after it.
pub(super) fn table(run: &Run, experiment: &str, during: &str) -> Table {
    let mut table = Table::new(
        experiment,
        format!("theory beside what was measured, phase `{during}`"),
        &[
            ("transport", ""),
            ("variant", ""),
            ("what", ""),
            ("formula", ""),
            ("they", ""),
            ("expected", ""),
            ("measured", ""),
        ],
    )
    .with_note(
        "λ is the planned rate, μ the workers ÷ the planned handler time (or, where that never changes, the handler's own \
         mean), T the phase's length. Expected: the formula, and the interval in which arrivals, completions in steps of \
         as many as there are workers, and the series' bins put it. Measured: the mean over blocks with its 95 % interval. \
         Orders wait from their planned instant until their handler's end, wherever they are. Where the two do not meet, \
         that is a finding: keys and partitions, deadlines, or work that no formula knows.",
    );
    for cell in &in_order(run, experiment) {
        for row in rows(cell, during) {
            table.push(row.values(&cell.cell.transport, &variant(cell.cell)));
        }
    }
    table
}

/// One quantity of one cell.
struct Row {
    what: &'static str,
    formula: &'static str,
    expected: Expected<f64>,
    /// One of each block that counts; none where a block does not say.
    measured: Option<Vec<f64>>,
}

impl Row {
    fn values(self, transport: &str, variant: &str) -> Vec<Value> {
        let Expected { point, low, high } = self.expected;
        let estimate = self
            .measured
            .and_then(|values| Estimate::of_values(&values));
        let (measured, they) = match estimate {
            None => (
                Value::missing("a block does not say, or its window ended before"),
                "cannot be compared".to_string(),
            ),
            Some(estimate) => {
                let found = estimate.point();
                let ends = estimate.interval(LEVEL);
                let they = agreement((low, high), ends.unwrap_or((found, found)));
                (Value::interval(found, ends), they.to_string())
            }
        };
        vec![
            transport.into(),
            variant.into(),
            self.what.into(),
            self.formula.into(),
            they.into(),
            Value::interval(point, Some((low, high))),
            measured,
        ]
    }
}

/// Reads a figure from every block.
type Each<'e> = dyn Fn(&dyn Fn(&Trial) -> Option<f64>) -> Option<Vec<f64>> + 'e;

fn rows(cell: &CellTrials<'_>, during: &str) -> Vec<Row> {
    let trials: Vec<&Trial> = cell.kept().collect();
    let plan = trials.first().and_then(|trial| Overload::of(trial, during));
    let Some(plan) = plan else {
        return Vec::new();
    };
    let each = |read: &dyn Fn(&Trial) -> Option<f64>| -> Option<Vec<f64>> {
        trials.iter().map(|trial| read(trial)).collect()
    };
    let (Some(workers), Some(done), Some(waiting)) = (plan.workers, plan.done(), plan.waiting())
    else {
        return vec![flying(&plan, &each, during)];
    };
    let mut rows = vec![
        Row {
            what: "orders waiting when it ends",
            formula: match plan.room {
                Some(_) => "the limit, and what is in work",
                None => "(λ − μ)·T",
            },
            expected: orders(waiting),
            measured: each(&|trial| Course::of(trial, during)?.at_end()),
        },
        drained(&plan, workers, waiting, &each, during),
        longest(&plan, done, &each, during),
    ];
    if overload::is_synchronous(cell.cell) {
        rows.push(held(&plan, waiting, cell, &each, during));
    }
    if let (Some(room), Some(excess)) = (plan.room, plan.excess()) {
        let held = Orders(room + workers as f64);
        rows.push(Row {
            what: "orders turned away",
            formula: "(λ − μ)·T − the limit",
            expected: orders(Expected {
                point: turned_away(excess.point, held),
                low: turned_away(excess.low, held),
                high: turned_away(excess.high, Orders(room)),
            }),
            measured: each(&|trial| Some(overload::turned_away(trial) as f64)),
        });
    }
    rows
}

fn orders(expected: Expected<Orders>) -> Expected<f64> {
    Expected {
        point: expected.point.0,
        low: expected.low.0,
        high: expected.high.0,
    }
}

fn drained(
    plan: &Overload,
    workers: u64,
    waiting: Expected<Orders>,
    each: &Each<'_>,
    during: &str,
) -> Row {
    let well = capacity(workers, plan.later_time);
    let seconds =
        |waiting| drain(waiting, plan.later, well).map_or(f64::INFINITY, |time| time.as_secs_f64());
    // What is in work as the phase ends takes its time still, and a bin tells no instants inside it.
    let late = (plan.time + plan.bin).as_secs_f64();
    Row {
        what: "time to drain, s",
        formula: "backlog ÷ (μ − λ)",
        expected: Expected {
            point: seconds(waiting.point),
            low: seconds(waiting.low),
            high: seconds(waiting.high) + late,
        },
        measured: each(&|trial| Course::of(trial, during)?.drained(workers)),
    }
}

fn longest(plan: &Overload, done: PerSecond, each: &Each<'_>, during: &str) -> Row {
    let step = plan.time.as_secs_f64();
    let age = oldest(plan.arrivals, done, plan.lasting).as_secs_f64();
    let (age, formula) = match plan.room {
        Some(room) => (age.min(room / done.0), "the limit ÷ μ"),
        None => (age, "T·(1 − μ ÷ λ)"),
    };
    Row {
        what: "longest completion, s",
        formula,
        // The wait, then the work itself; and whoever comes as a worker begins waits for one time more.
        expected: Expected {
            point: age + step,
            low: age,
            high: age + 2.0 * step,
        },
        measured: each(&|trial| {
            let phase = trial.phases.iter().find(|phase| phase.name == during)?;
            Some(phase.completion_ns.as_ref()?.max? as f64 / 1e9)
        }),
    }
}

/// What waits is a call that somebody holds open, until its deadline.
fn held(
    plan: &Overload,
    waiting: Expected<Orders>,
    cell: &CellTrials<'_>,
    each: &Each<'_>,
    during: &str,
) -> Row {
    let most = match cell.cell.timeout_ms {
        Some(ms) => in_flight(plan.arrivals, Duration::from_millis(ms)).0,
        None => f64::INFINITY,
    };
    let all = orders(waiting);
    // An answer to a call past its deadline may still be on its way: one more or less.
    Row {
        what: "calls in flight when it ends",
        formula: "L = λ·min(W, deadline)",
        expected: Expected {
            point: all.point.min(most),
            low: all.low.min(most - 1.0),
            high: all.high.min(most + 1.0),
        },
        measured: each(&|trial| overload::in_flight_at_end(trial, during)),
    }
}

/// Without a bound on the workers nothing piles up: as many are in work as Little says.
fn flying(plan: &Overload, each: &Each<'_>, during: &str) -> Row {
    let Orders(held) = in_flight(plan.arrivals, plan.time);
    // A bin may end just before an arrival or just after it.
    let spread = match plan.spacing {
        Arrivals::Even => 1.0,
        Arrivals::Poisson => 2.0 * held.sqrt(),
    };
    Row {
        what: "orders in work while it lasts",
        formula: "L = λ·W",
        expected: Expected {
            point: held,
            low: (held - spread).max(0.0),
            high: held + spread,
        },
        measured: each(&|trial| Course::of(trial, during)?.mean(plan.time)),
    }
}

#[cfg(test)]
mod tests {
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
}
