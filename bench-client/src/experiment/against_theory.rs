//! Theory beside measurement: a phase in which more arrives than is done, the formulas of [`crate::theory`] for it, and
//! what the trials say. Pure: results in, a table out. Disagreement is a finding, printed, and touches no validity.

use crate::claims::margin;
use crate::claims::overload::{self, Course, Overload, variant};
use crate::claims::samples::{CellTrials, cells, is_base};
use crate::results::{Run, Table, Trial, Value};
use crate::theory::{
    Arrivals, Expected, Orders, PerSecond, agreement, capacity, drain, in_flight, oldest,
    turned_away,
};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;
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
            ("offered ÷ capacity", "×"),
            ("busiest core", "%"),
        ],
    )
    .with_note(
        "λ is the planned rate, μ the workers ÷ the planned handler time (or, where that never changes, the handler's own \
         mean), T the phase's length. Expected: the formula, and the interval in which arrivals, completions in steps of \
         as many as there are workers, and the series' bins put it. Measured: the mean over blocks with its 95 % interval. \
         Orders wait from their planned instant until their handler's end, wherever they are. Where the two do not meet, \
         that is a finding: keys and partitions, deadlines, or work that no formula knows. Offered ÷ capacity is λ ÷ μ: above 1 \
         the phase is overload by plan. The busiest core is the margin to the machine: the client's, or that of service and \
         broker, over the phase, at the window's mean CPU per order; near 100 % they were a limit beside the workers.",
    );
    for cell in &in_order(run, experiment) {
        let margins = margins(cell, during);
        for row in rows(cell, during) {
            let mut values = row.values(&cell.cell.transport, &variant(cell.cell));
            values.extend(margins.clone());
            table.push(values);
        }
    }
    table
}

/// By how much the plan exceeds the workers, and how near the machine came to its own limit.
fn margins(cell: &CellTrials<'_>, during: &str) -> [Value; 2] {
    let plan = (cell.kept().next()).and_then(|trial| Overload::of(trial, during));
    let offered = plan.as_ref().and_then(margin::offered);
    let busiest: Option<Vec<f64>> = cell
        .kept()
        .map(|trial| margin::busiest_core(trial, during))
        .collect();
    let busiest = busiest.and_then(|values| Estimate::of_values(&values));
    [
        Value::maybe(offered, "workers without bound"),
        busiest.map_or_else(
            || {
                Value::missing(
                    "no CPU per order is known: a probe asks beside them, or a process was gone",
                )
            },
            |found| Value::interval(found.point(), found.interval(LEVEL)),
        ),
    ]
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
mod tests;
