//! CPU as a function of the rate: a line per block, of one transport or of two over what both sustained.

use super::{PROJECTED_RATE, rate, rungs};
use crate::claims::samples::CellTrials;
use crate::results::State;
use bench_stats::line;
use std::collections::BTreeMap;

/// What a transport needed in one block at a rate that it sustained there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// Orders per second, as offered.
    rate: f64,
    /// As done: CPU is counted per completed order.
    done: f64,
    cores: f64,
    suspect: bool,
}

/// CPU = a + b·rate in one block.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    /// Cores at rate 0.
    pub(super) idle: f64,
    /// Core-seconds per order.
    pub(super) per_order: f64,
    /// The rates that the line goes through, ascending.
    rates: Vec<f64>,
    pub(super) suspect: bool,
}

impl Fit {
    /// None with fewer than two rates.
    fn of(points: &[Point]) -> Option<Self> {
        let done: Vec<(f64, f64)> = points.iter().map(|p| (p.done, p.cores)).collect();
        let (idle, per_order) = line::fit(&done)?;
        Some(Self {
            idle,
            per_order,
            rates: points.iter().map(|p| p.rate).collect(),
            suspect: points.iter().any(|p| p.suspect),
        })
    }

    pub(super) fn projected(&self) -> f64 {
        self.idle + self.per_order * PROJECTED_RATE
    }
}

/// Per block, what a transport needed at the rates that it sustained there, ascending.
pub(super) fn sustained(all: &[CellTrials<'_>], transport: &str) -> BTreeMap<u32, Vec<Point>> {
    let mut points: BTreeMap<u32, Vec<Point>> = BTreeMap::new();
    for cell in rungs(all, transport, None) {
        if !cell.is_sustained() {
            continue;
        }
        for (block, trial) in &cell.blocks {
            if trial.validity.state == State::Invalid || trial.overloaded.is_some() {
                continue;
            }
            if let Some(cpu) = trial.cpu_us_per_op_total() {
                let done = trial.throughput_per_s;
                points.entry(*block).or_default().push(Point {
                    rate: rate(cell),
                    done,
                    cores: cpu * done / 1e6,
                    suspect: trial.validity.state == State::Suspect,
                });
            }
        }
    }
    points
}

/// Per block, the line through a transport's cores over the rates that it sustains.
pub(super) fn fits(all: &[CellTrials<'_>], transport: &str) -> BTreeMap<u32, Fit> {
    sustained(all, transport)
        .into_iter()
        .filter_map(|(block, points)| Some((block, Fit::of(&points)?)))
        .collect()
}

/// Two transports' lines in one block, each over the rates that both sustained there. An order costs less at a higher
/// rate, so the line that goes further would be the cheaper one.
pub(super) fn fit_both(one: &[Point], other: &[Point]) -> Option<(Fit, Fit)> {
    let shared = |mine: &[Point], theirs: &[Point]| -> Vec<Point> {
        let both = |point: &&Point| theirs.iter().any(|beside| beside.rate == point.rate);
        mine.iter().filter(both).copied().collect()
    };
    Some((Fit::of(&shared(one, other))?, Fit::of(&shared(other, one))?))
}

/// The sets of rates that lines go through, each once.
pub(super) fn rates<'f>(fits: impl IntoIterator<Item = &'f Fit>) -> Vec<&'f [f64]> {
    let mut sets: Vec<&[f64]> = Vec::new();
    for fit in fits {
        if !sets.contains(&fit.rates.as_slice()) {
            sets.push(&fit.rates);
        }
    }
    sets
}

/// `1000, 4000`.
pub(super) fn listed(rates: &[f64]) -> String {
    let rates: Vec<String> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
    rates.join(", ")
}

/// From which rates lines come, in words. Two leave no residual: how straight the line is, they do not tell.
pub(super) fn through<'f>(fits: impl IntoIterator<Item = &'f Fit>) -> String {
    let line = |rates: &[f64]| match rates.len() {
        2 => format!(
            "a line through two rates, {}/s, without a residual",
            listed(rates)
        ),
        _ => format!("a line through {}/s", listed(rates)),
    };
    let lines: Vec<String> = rates(fits).into_iter().map(line).collect();
    lines.join(" or ")
}
