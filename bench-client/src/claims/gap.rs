//! gap-concurrency and gap-payload: does gRPC's lead over REST grow with a factor? Per block, the slope of the log ratio
//! on the log factor; the interval then goes over blocks.

use super::combine::Judged;
use super::pairs::{is_plain_rest, measure, pairs, size_of};
use super::part::{Question, judge_paired, not_measured};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Paired, cells};
use super::{Combine, Judge, nothing_beside};
use crate::results::{Cell, Run, Table, Value};
use crate::stats::estimate::LEVEL;
use crate::stats::slope::per_decade;
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
        // As observed: a bound on either side is what `measure` is there for.
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
    gap.lines
        .iter()
        .flat_map(|name| {
            let line = line(&all, gap, name);
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
            vec![slope_part(run, gap, name, &line, rule), top_part(run, gap, name, &line)]
        })
        .collect()
}

fn slope_part(run: &Run, gap: &Gap, name: &str, line: &Line<'_, '_>, rule: Rule) -> Judged {
    let of = of_line(line);
    let metric = measure(&of);
    let (from, to) = (line[0].0, line[line.len() - 1].0);
    let says = |slope: &str| {
        format!(
            "{name}: from {from} to {to} {}, gRPC ÷ REST in {} changes by {slope} per decade",
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
    judge_paired(run, &question, &slopes(line, metric), &of)
}

fn top_part(run: &Run, gap: &Gap, name: &str, line: &Line<'_, '_>) -> Judged {
    let (value, rest, grpc) = line[line.len() - 1];
    let metric = measure(&[rest, grpc]);
    let read = |t: &_| metric.of(t);
    let says = |ratio: &str| {
        format!(
            "{name}: at {value} {}, gRPC has {ratio} the {} of REST",
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

fn words(metric: Metric) -> &'static str {
    match metric {
        Metric::OrdersPerCpuSecond => "orders per CPU-second",
        _ => "orders per second",
    }
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
mod tests {
    use super::super::{fixture, judge};
    use super::*;
    use crate::results::{Trial, Verdict, VerdictRow};

    /// REST at 10,000/s and 50 µs everywhere; gRPC so many times as good at `depth`.
    fn at(depth: u32, ratio: f64, block: u32) -> [Trial; 2] {
        let one = |transport: &str, times: f64| {
            let cpu = [25.0 / times, 25.0 / times, 0.0];
            let cell = fixture::cell(transport, "O3");
            let mut trial = fixture::closed(cell, 0, block, 10_000.0 * times, cpu);
            trial.cell.in_flight = Some(depth);
            trial.cell.connections = Some(depth);
            trial.cell.id = format!("{transport}-O3-c{depth}");
            trial
        };
        [one("rest", 1.0), one("grpc", ratio)]
    }

    fn run(ratio: impl Fn(f64) -> f64) -> Run {
        let trials = (0..fixture::BLOCKS).flat_map(|block| {
            [1, 8, 32, 128, 256].map(|depth| at(depth, ratio(depth.into()), block))
        });
        Run {
            trials: trials.flatten().collect(),
            ..fixture::planted()
        }
    }

    fn verdict(run: &Run, claim: &str) -> VerdictRow {
        let mut rows = judge(run);
        rows.retain(|row| row.claim == claim);
        rows.remove(0)
    }

    fn part(row: &VerdictRow, name: &str) -> Verdict {
        row.parts.iter().find(|p| p.name == name).unwrap().verdict
    }

    #[test]
    fn a_gap_that_grows_and_ends_above_one_widens() {
        // x^0.1 is ×1.26 per decade, and 1.74 at 256.
        let row = verdict(&run(|x| x.powf(0.1)), "gap-concurrency");
        assert_eq!(part(&row, "slope, O3"), Verdict::Holds, "{}", row.reason);
        assert_eq!(part(&row, "above 1 at the top, O3"), Verdict::Holds);
        // O100 was not run: what is not measured keeps the whole from holding.
        assert_eq!(row.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_gap_that_grows_and_stays_below_one_is_no_lead() {
        let row = verdict(&run(|x| 0.5 * x.powf(0.1)), "gap-concurrency");
        assert_eq!(part(&row, "slope, O3"), Verdict::Holds);
        assert_eq!(part(&row, "above 1 at the top, O3"), Verdict::Refuted);
        assert_eq!(row.verdict, Verdict::Refuted, "{}", row.reason);
    }

    #[test]
    fn a_gap_that_stays_as_it_is_does_not_widen() {
        let row = verdict(&run(|_| 1.5), "gap-concurrency");
        assert_eq!(part(&row, "slope, O3"), Verdict::Refuted, "{}", row.reason);
        assert_eq!(row.verdict, Verdict::Refuted);
    }

    #[test]
    fn a_block_without_every_point_has_no_slope() {
        let mut run = run(|x| x.powf(0.1));
        run.trials
            .retain(|t| !(t.block == 0 && t.cell.in_flight == Some(128)));
        let all = cells(&run, "capacity");
        let line = line(&all, &CONCURRENCY, "O3");
        assert_eq!(slopes(&line, Metric::Throughput).blocks.len(), 5);
    }

    #[test]
    fn the_payload_gap_runs_over_the_lines_of_an_order() {
        let mut run = run(|_| 1.0);
        run.trials.clear();
        for block in 0..fixture::BLOCKS {
            for lines in [1u32, 10, 100, 1_000] {
                for mut trial in at(32, f64::from(lines).powf(0.2), block) {
                    trial.cell.payload = format!("O{lines}");
                    trial.cell.id = format!("{}-O{lines}-c32", trial.cell.transport);
                    trial.experiment = "payload".into();
                    run.trials.push(trial);
                }
            }
        }
        let row = verdict(&run, "gap-payload");
        assert_eq!(row.verdict, Verdict::Holds, "{}", row.reason);
        let table = table(&run, &PAYLOAD);
        assert_eq!(table.rows.len(), 1);
        let Value::Interval { point, .. } = table.rows[0][3] else {
            panic!("{table:?}");
        };
        assert!((point - 10f64.powf(0.2)).abs() < 1e-6, "{point}");
    }
}
