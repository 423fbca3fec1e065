//! gap-concurrency and gap-payload: does gRPC's lead over REST grow with a factor? Per block, the slope of the log ratio
//! on the log factor; the interval then goes over blocks.

use super::combine::Judged;
use super::pairs::{Measure, is_plain_rest, pairs, seen, size_of, words};
use super::part::{Question, judge_paired, not_measured};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Paired, cells};
use super::{Combine, Judge, nothing_beside};
use crate::results::{Cell, Run, Table, Value};
use bench_stats::estimate::LEVEL;
use bench_stats::slope::per_decade;
use std::collections::BTreeMap;

/// What is judged here.
pub const JUDGES: &[Judge] = &[
    Judge {
        claim: "gap-concurrency",
        parts: |run, rules| parts(run, &CONCURRENCY, rules[0]),
        combine: Combine::AllOf,
        beside: nothing_beside,
    },
    Judge {
        claim: "gap-payload",
        parts: |run, rules| parts(run, &PAYLOAD, rules[0]),
        combine: Combine::AllOf,
        beside: nothing_beside,
    },
];

/// A ratio, gRPC ÷ REST, along a factor.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// The experiment that varies it.
    pub experiment: &'static str,
    /// The factor's name.
    pub factor: &'static str,
    /// Each line is a slope of its own: what is held constant.
    pub lines: &'static [&'static str],
    /// Whether a cell is on a line.
    on: fn(&Cell, &str) -> bool,
    /// The factor's value.
    value: fn(&Cell) -> f64,
    /// Fewer distinct values make no slope worth a verdict.
    least: usize,
}

/// Along operations in flight, with as many connections.
pub const CONCURRENCY: Gap = Gap {
    experiment: "capacity",
    factor: "in flight",
    lines: &["O3", "O100"],
    on: |cell, payload| cell.payload == payload,
    value: |cell| cell.in_flight.unwrap_or(0).into(),
    least: 3,
};

/// Along the lines of an order, with 32 in flight.
pub const PAYLOAD: Gap = Gap {
    experiment: "payload",
    factor: "order lines",
    lines: &["32 in flight"],
    on: |cell, _| cell.in_flight == Some(32) && size_of(&cell.payload) < u64::MAX,
    value: |cell| size_of(&cell.payload) as f64,
    least: 3,
};

/// The cells of one line, REST and gRPC, by the factor.
type Line<'a, 'r> = Vec<(f64, &'a CellTrials<'r>, &'a CellTrials<'r>)>;

fn line<'a, 'r>(all: &'a [CellTrials<'r>], gap: &Gap, name: &str) -> Line<'a, 'r> {
    let mut line: Line<'a, 'r> = pairs(all, |cell| is_plain_rest(cell) && (gap.on)(cell, name))
        .into_iter()
        .map(|(rest, grpc)| ((gap.value)(rest.cell), rest, grpc))
        .collect();
    line.sort_by(|a, b| a.0.total_cmp(&b.0));
    line
}

fn of_line<'a, 'r>(line: &Line<'a, 'r>) -> Vec<&'a CellTrials<'r>> {
    line.iter()
        .flat_map(|(_, rest, grpc)| [*rest, *grpc])
        .collect()
}

/// Per block, the factor by which the ratio changes per decade; blocks that lack a point are left out.
fn slopes(line: &Line<'_, '_>, metric: Metric) -> Paired {
    let mut points: BTreeMap<u32, (Vec<(f64, f64)>, bool)> = BTreeMap::new();
    let mut paired = Paired::default();
    for (value, rest, grpc) in line {
        // As observed: a bound on either side is what `Measure` is there for.
        let read = |t: &_| metric.of(t);
        let at = Paired::of(grpc, rest, read, read);
        paired.excluded.extend(at.excluded);
        for (block, above, below, suspect) in at.blocks {
            let entry = points.entry(block).or_default();
            entry.0.push((*value, above / below));
            entry.1 |= suspect;
        }
    }
    for (block, (points, suspect)) in points {
        if points.len() < line.len() {
            continue;
        }
        if let Some(slope) = per_decade(&points) {
            paired.blocks.push((block, slope, 1.0, suspect));
        }
    }
    paired
}

fn parts(run: &Run, gap: &Gap, rule: Rule) -> Vec<Judged> {
    let all = cells(run, gap.experiment);
    let lines: Vec<(&str, Line<'_, '_>)> = gap
        .lines
        .iter()
        .map(|name| (*name, line(&all, gap, name)))
        .collect();
    let compared: Vec<&CellTrials<'_>> = lines
        .iter()
        .filter(|(_, line)| line.len() >= gap.least)
        .flat_map(|(_, line)| of_line(line))
        .collect();
    let measure = Measure::of(&compared);
    lines
        .iter()
        .flat_map(|(name, line)| {
            if line.len() < gap.least {
                return vec![not_measured(
                    format!("slope, {name}"),
                    format!(
                        "`{}` has REST and gRPC at {} values of {} in this run ({name}); a slope takes {}",
                        gap.experiment,
                        line.len(),
                        gap.factor,
                        gap.least
                    ),
                )];
            }
            vec![
                slope_part(run, gap, name, line, rule, measure),
                top_part(run, gap, name, line, measure),
            ]
        })
        .collect()
}

fn slope_part(
    run: &Run,
    gap: &Gap,
    name: &str,
    line: &Line<'_, '_>,
    rule: Rule,
    measure: Measure,
) -> Judged {
    let metric = measure.decides;
    let beside = seen(measure.other, &slopes(line, measure.other));
    let (from, to) = (line[0].0, line[line.len() - 1].0);
    let says = |slope: &str| {
        format!(
            "{name}: from {from} to {to} {}, gRPC ÷ REST in {} changes by {slope} per decade ({beside})",
            gap.factor,
            words(metric)
        )
    };
    // A slope is one value per block: there is nothing to read from a trial.
    let question = Question {
        name: format!("slope, {name}"),
        rule,
        metric,
        above: &|_| None,
        below: &|_| None,
        says: &says,
    };
    judge_paired(run, &question, &slopes(line, metric), &of_line(line))
}

fn top_part(run: &Run, gap: &Gap, name: &str, line: &Line<'_, '_>, measure: Measure) -> Judged {
    let (value, rest, grpc) = line[line.len() - 1];
    let metric = measure.decides;
    let beside = measure.beside(grpc, rest);
    let read = |t: &_| metric.of(t);
    let says = |ratio: &str| {
        format!(
            "{name}: at {value} {}, gRPC has {ratio} the {} of REST ({beside})",
            gap.factor,
            words(metric)
        )
    };
    let question = Question {
        name: format!("above 1 at the top, {name}"),
        rule: Rule::Effect(1.0),
        metric,
        above: &read,
        below: &read,
        says: &says,
    };
    super::part::judge(run, &question, grpc, rest)
}

/// The slopes as a table, by both measures.
pub fn table(run: &Run, gap: &Gap) -> Table {
    let mut table = Table::new(
        gap.experiment,
        format!(
            "does gRPC ÷ REST grow with {}? Change of the ratio per decade",
            gap.factor
        ),
        &[
            ("line", ""),
            ("from", ""),
            ("to", ""),
            ("orders per CPU-second", "×"),
            ("orders per second", "×"),
        ],
    )
    .with_note("1 is a gap that stays as it is. A slope per block, the interval over blocks.");
    let all = cells(run, gap.experiment);
    for name in gap.lines {
        let line = line(&all, gap, name);
        let (Some(first), Some(last)) = (line.first(), line.last()) else {
            continue;
        };
        if line.len() < gap.least {
            continue;
        }
        let slope = |metric| match slopes(&line, metric).measured(true, None) {
            Some(found) => Value::interval(found.ratio.point(), found.ratio.interval(LEVEL)),
            None => Value::missing("no block has every point"),
        };
        table.push(vec![
            (*name).into(),
            Value::number(first.0),
            Value::number(last.0),
            slope(Metric::OrdersPerCpuSecond),
            slope(Metric::Throughput),
        ]);
    }
    table
}

#[cfg(test)]
#[path = "gap_tests.rs"]
mod tests;
