//! consumer-scale, from the experiment `consumers`: the service is stopped for a while under load, and 1, 2, 4 or 8
//! consumers of one order at a time drain what has waited. Eight of them on two partitions are the counter-example, which
//! is said beside the verdict and decides nothing.

mod tables;
#[cfg(test)]
mod tests;

pub use tables::tables;

use super::combine::Judged;
use super::overload::{Course, EDGE_S, Overload};
use super::part::{self, Question, not_measured, number};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Sample, cells, is_base};
use super::{Combine, Judge};
use crate::results::{Cell, Run, Trial};
use crate::theory::{Expected, PerSecond, backlog_between, capacity, drain};
use bench_stats::Estimate;

/// What is judged here.
pub const JUDGES: &[Judge] = &[Judge {
    claim: "consumer-scale",
    // Rule: effect.
    parts: |run, rules| BROKERS.map(|broker| scales(run, broker, rules[0])).into(),
    combine: Combine::Cells("the broker"),
    beside,
}];

/// The experiment.
pub const EXPERIMENT: &str = "consumers";
/// The phase in which the service is stopped.
pub const AWAY: &str = "away";
/// The phase in which they drain what waited, and go on.
const AFTER: &str = "after";
/// The claim compares so many consumers with one.
pub const MOST: u16 = 8;
const BROKERS: [&str; 2] = ["queue", "stream"];

fn factor(cell: &Cell, name: &str) -> Option<u64> {
    cell.factors.get(name)?.parse().ok()
}

/// How many consumers a cell has: its results name them where they are several.
fn consumers(cell: &Cell) -> u64 {
    factor(cell, "consumers").unwrap_or(1)
}

/// How many of them can have work: a partition has one consumer.
fn busy(cell: &Cell) -> u64 {
    let partitions = factor(cell, "partitions").unwrap_or(u64::MAX);
    consumers(cell).min(partitions)
}

/// The cell of a broker with so many consumers, each of which can have work, or (`idle`) some of which cannot.
fn find<'a, 'r>(
    all: &'a [CellTrials<'r>],
    broker: &str,
    count: u64,
    idle: bool,
) -> Option<&'a CellTrials<'r>> {
    all.iter().find(|trials| {
        let cell = trials.cell;
        let is_idle = busy(cell) < consumers(cell);
        is_base(cell) && cell.transport == broker && consumers(cell) == count && is_idle == idle
    })
}

/// Seconds from the service's return until no more waits than its consumers work on; none if the window ended before.
fn drained(trial: &Trial) -> Option<f64> {
    Course::of(trial, AWAY)?.drained(busy(&trial.cell))
}

/// Orders done per second in that time, which ended somewhere in its last bin. Where the window ended before, in all of
/// it: its consumers had work to its end.
fn rate(trial: &Trial) -> Option<Sample> {
    let phase = trial.phases.iter().find(|phase| phase.name == AWAY)?;
    let over = trial.phases.last()?.end_s;
    let drained = drained(trial);
    let seconds = drained.unwrap_or(over - phase.end_s);
    let (from, to) = (phase.end_s - EDGE_S, phase.end_s + seconds + EDGE_S);
    let bins = trial.series.iter();
    let inside = bins.filter(|bin| bin.start_s >= from && bin.start_s + bin.width_s <= to);
    let done: u64 = inside.map(|bin| bin.completed).sum::<Option<u64>>()?;
    let rate = done as f64 / seconds;
    if drained.is_none() {
        return Some(Sample::exact(rate));
    }
    let least_s = seconds - trial.series.first()?.width_s;
    let most = match least_s > EDGE_S {
        true => done as f64 / least_s,
        false => f64::INFINITY,
    };
    Some(Sample::within(rate, rate, most))
}

/// Its figure alone.
fn per_second(trial: &Trial) -> Option<f64> {
    Some(rate(trial)?.value)
}

/// What arithmetic says of a trial's drain.
struct Theory {
    /// μ: the consumers that can have work ÷ the handler's own mean time.
    rate: PerSecond,
    /// backlog ÷ (μ − λ), seconds.
    seconds: Expected<f64>,
}

impl Theory {
    fn of(trial: &Trial) -> Option<Self> {
        let (plan, busy) = (Overload::of(trial, AWAY)?, busy(&trial.cell));
        let rate = capacity(busy, plan.time);
        let nothing = PerSecond(0.0);
        let waiting = backlog_between(plan.arrivals, nothing, plan.lasting, plan.spacing, busy);
        let seconds = |waiting| Some(drain(waiting, plan.later, rate)?.as_secs_f64());
        // A bin tells no instants inside it, and what is in work takes its time still.
        let late = (plan.bin + plan.time).as_secs_f64();
        Some(Self {
            rate,
            seconds: Expected {
                point: seconds(waiting.point)?,
                low: seconds(waiting.low)?,
                high: seconds(waiting.high)? + late,
            },
        })
    }
}

fn scales(run: &Run, broker: &str, rule: Rule) -> Judged {
    let all = cells(run, EXPERIMENT);
    let found = |count: u16| find(&all, broker, count.into(), false);
    let (Some(many), Some(one)) = (found(MOST), found(1)) else {
        let skipped = run.skipped.iter().find(|s| s.transport == broker);
        let why = match skipped {
            Some(skipped) => format!("{broker} was skipped: {}", skipped.reason),
            None => format!("`{EXPERIMENT}` was not run over {broker}"),
        };
        return not_measured(broker, why);
    };
    let says = |ratio: &str| {
        format!("{broker}: {MOST} consumers drained the backlog at {ratio} the rate of one")
    };
    let question = Question {
        name: broker.into(),
        rule,
        // An open loop's throughput is its rate, however fast a backlog is drained.
        metric: Metric::Own,
        above: &rate,
        below: &rate,
        says: &says,
    };
    part::judge(run, &question, many, one)
}

/// The mean of a figure over the blocks that count; none where one of them does not say.
fn over_blocks(cell: &CellTrials<'_>, read: impl Fn(&Trial) -> Option<f64>) -> Option<Estimate> {
    let values: Option<Vec<f64>> = cell.kept().map(read).collect();
    Estimate::of_values(&values?)
}

/// A phase's accept p50, ms.
fn accept(trial: &Trial, phase: &str) -> Option<f64> {
    let found = trial.phases.iter().find(|found| found.name == phase)?;
    Some(found.accept_ns.p50? as f64 / 1e6)
}

/// What the producer felt, and what fewer partitions than consumers do.
fn beside(run: &Run) -> String {
    let all = cells(run, EXPERIMENT);
    let mut said = Vec::new();
    for broker in BROKERS {
        let felt = |count: u16| {
            let cell = find(&all, broker, count.into(), false)?;
            over_blocks(cell, |trial| accept(trial, AFTER))
        };
        if let (Some(one), Some(many)) = (felt(1), felt(MOST)) {
            said.push(format!(
                "{broker}: accept p50 while they drained {} ms with one consumer, {} ms with {MOST}",
                number(one.point()),
                number(many.point())
            ));
        }
    }
    if let Some(short) = find(&all, "stream", MOST.into(), true)
        && let Some(few) = over_blocks(short, per_second)
        && let Some(full) = find(&all, "stream", MOST.into(), false)
        && let Some(many) = over_blocks(full, per_second)
    {
        said.push(format!(
            "{MOST} consumers on {} partitions drained {}/s, on as many partitions as consumers {}/s: a partition has one consumer",
            busy(short.cell),
            number(few.point()),
            number(many.point())
        ));
    }
    match said.is_empty() {
        true => String::new(),
        false => format!(" Beside it: {}.", said.join("; ")),
    }
}
