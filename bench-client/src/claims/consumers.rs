//! consumer-scale, from the experiment `consumers`: the service is stopped for a while under load, and 1, 2, 4 or 8
//! consumers of one order at a time drain what has waited. Eight of them on two partitions are the counter-example, which
//! is said beside the verdict and decides nothing.

use super::combine::Judged;
use super::overload::{Course, EDGE_S, Overload};
use super::part::{self, Question, not_measured, number};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Sample, cells, is_base};
use super::{Combine, Judge};
use crate::results::{Cell, Run, Table, Trial, Value};
use crate::stats::Estimate;
use crate::stats::estimate::LEVEL;
use crate::theory::{Expected, PerSecond, agreement, backlog_between, capacity, drain};

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

/// Orders done per second in that time. Where the window ended before, in all of it: its consumers had work to its end.
fn rate(trial: &Trial) -> Option<f64> {
    let phase = trial.phases.iter().find(|phase| phase.name == AWAY)?;
    let over = trial.phases.last()?.end_s;
    let seconds = drained(trial).unwrap_or(over - phase.end_s);
    let (from, to) = (phase.end_s - EDGE_S, phase.end_s + seconds + EDGE_S);
    let bins = trial.series.iter();
    let inside = bins.filter(|bin| bin.start_s >= from && bin.start_s + bin.width_s <= to);
    let done: u64 = inside.map(|bin| bin.completed).sum::<Option<u64>>()?;
    Some(done as f64 / seconds)
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
    let value = |trial: &Trial| rate(trial).map(Sample::exact);
    let says = |ratio: &str| {
        format!("{broker}: {MOST} consumers drained the backlog at {ratio} the rate of one")
    };
    let question = Question {
        name: broker.into(),
        rule,
        metric: Metric::Throughput,
        above: &value,
        below: &value,
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
        && let Some(few) = over_blocks(short, rate)
        && let Some(full) = find(&all, "stream", MOST.into(), false)
        && let Some(many) = over_blocks(full, rate)
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

/// How each number of consumers drained what had waited, with the formula beside it.
pub fn tables(run: &Run) -> Vec<Table> {
    let columns = [
        ("transport", ""),
        ("consumers", ""),
        ("of these with work", ""),
        ("waiting at the return", ""),
        ("time to drain, expected", "s"),
        ("time to drain, measured", "s"),
        ("they", ""),
        ("μ", "1/s"),
        ("drain rate, measured", "1/s"),
        ("accept p50 while away", "ms"),
        ("accept p50 afterwards", "ms"),
    ];
    let title = "What several consumers drain after an outage";
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(
        "Each consumer works on one order at a time. Expected: backlog ÷ (μ − λ), where μ is the consumers with work ÷ the \
         handler's own mean time. Measured: from the service's return until no more waits than they work on, in bins of \
         the series; the rate is what was done in that time. A consumer that is handed its next order only after the last \
         one, and keys that lie unevenly on partitions, make it longer than the formula knows.",
    );
    let mut all = cells(run, EXPERIMENT);
    all.retain(|trials| is_base(trials.cell));
    all.sort_by_key(|trials| {
        let cell = trials.cell;
        (
            cell.transport.clone(),
            busy(cell) < consumers(cell),
            consumers(cell),
        )
    });
    for cell in &all {
        table.push(row(cell));
    }
    vec![table]
}

fn row(cell: &CellTrials<'_>) -> Vec<Value> {
    let shown = |found: &Option<Estimate>, why: &str| match found {
        Some(found) => Value::interval(found.point(), found.interval(LEVEL)),
        None => Value::missing(why),
    };
    let early = "its window ended before, or the service could not be read";
    let few = "too few samples";
    // The plan is the same in every block; the handler's own time differs by little.
    let theory = cell.kept().next().and_then(Theory::of);
    let took = over_blocks(cell, drained);
    let they = match (&theory, &took) {
        (Some(theory), Some(took)) => {
            let found = took.point();
            let ends = took.interval(LEVEL).unwrap_or((found, found));
            let Expected { low, high, .. } = theory.seconds;
            agreement((low, high), ends).to_string()
        }
        _ => "cannot be compared".into(),
    };
    let waiting = over_blocks(cell, |trial| Course::of(trial, AWAY)?.at_end());
    let count = |number: u64| Value::number(number as f64);
    vec![
        cell.cell.transport.as_str().into(),
        count(consumers(cell.cell)),
        count(busy(cell.cell)),
        shown(&waiting, "the service could not be read"),
        match &theory {
            Some(Theory { seconds, .. }) => {
                Value::interval(seconds.point, Some((seconds.low, seconds.high)))
            }
            None => Value::missing("no handler time to go by"),
        },
        shown(&took, early),
        they.into(),
        Value::maybe(
            theory.as_ref().map(|theory| theory.rate.0),
            "no handler time to go by",
        ),
        shown(&over_blocks(cell, rate), early),
        shown(&over_blocks(cell, |trial| accept(trial, AWAY)), few),
        shown(&over_blocks(cell, |trial| accept(trial, AFTER)), few),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::fixture;
    use crate::results::{Arrival, Latency, SeriesBin, Verdict, VerdictRow};

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
        assert!(close(rate(&one), 376.0 / 3.8), "{:?}", rate(&one));
        let many = trial("stream", 8, 8, 0);
        assert!(close(drained(&many), 0.4), "{:?}", drained(&many));
        assert!(close(rate(&many), 308.0 / 0.4), "{:?}", rate(&many));
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
            "7.78× [7.78, 7.78] the rate of one",
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
                assert!((rate(found).unwrap() - 100.0).abs() < 1e-6);
            }
        }
        let row = verdict(&run);
        let queue = row.parts.iter().find(|part| part.name == "queue").unwrap();
        assert_eq!(queue.verdict, Verdict::Holds, "{queue:?}");
        let table = &tables(&run)[0];
        assert_eq!(table.rows.len(), 9);
        assert!(matches!(table.rows[0][5], Value::Missing(_)), "{table:?}");
        assert_eq!(table.rows[1][6], Value::from("agrees"));
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
}
