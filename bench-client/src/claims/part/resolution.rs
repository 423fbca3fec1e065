//! What a run's A/A pairs say of its own noise.

use crate::claims::samples::{CellTrials, Metric, Paired, cells, experiments, is_twin};
use crate::results::{Arrival, Cell, Run};
use bench_stats::{Estimate, aa};

/// What the A/A pairs say of a metric in this run.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    /// Every pair passed.
    Passed,
    /// One scattered too much: its cell, and the factor that chance alone may make of nothing.
    Noisy(String, f64),
    /// One was not alike, by more than chance: its cell.
    Biased(String),
    /// There was none that could tell.
    Untested,
}

impl Resolution {
    /// The cell of the pair that did not pass.
    pub fn failed(&self) -> Option<&str> {
        match self {
            Self::Noisy(cell, _) | Self::Biased(cell) => Some(cell),
            Self::Passed | Self::Untested => None,
        }
    }

    /// The worse of two.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Biased(cell), _) | (_, Self::Biased(cell)) => Self::Biased(cell),
            (Self::Noisy(a, by), Self::Noisy(_, less)) if by >= less => Self::Noisy(a, by),
            (_, Self::Noisy(cell, by)) | (Self::Noisy(cell, by), _) => Self::Noisy(cell, by),
            (Self::Passed, _) | (_, Self::Passed) => Self::Passed,
            (Self::Untested, Self::Untested) => Self::Untested,
        }
    }
}

/// What the run's A/A pairs say of a metric in a cell like this: pairs under the same kind of load, for a closed loop's
/// latency says nothing of an open one's. A claim on p99 falls with the pair's p99, not with its throughput. A pair
/// without an interval (a single block) tells nothing.
pub fn resolution(run: &Run, metric: Metric, like: &Cell) -> Resolution {
    let is_closed = |cell: &Cell| cell.arrival == Arrival::Closed;
    let mut found = Resolution::Untested;
    for experiment in experiments(run) {
        for (first, second) in twins(&cells(run, experiment)) {
            if is_closed(first.cell) != is_closed(like) {
                continue;
            }
            let paired = Paired::of(second, first, |t| metric.of(t), |t| metric.of(t));
            let estimate = Estimate::of_ratios(&paired.ratios(true));
            let cell = first.cell.id.clone();
            let here = match estimate.as_ref().and_then(aa::outcome) {
                Some(aa::Outcome::Passed) => Resolution::Passed,
                Some(aa::Outcome::Noisy(by)) => Resolution::Noisy(cell, by),
                Some(aa::Outcome::Biased) => Resolution::Biased(cell),
                None => Resolution::Untested,
            };
            found = found.and(here);
        }
    }
    found
}

/// The A/A pairs among an experiment's cells.
pub fn twins<'a, 'r>(cells: &'a [CellTrials<'r>]) -> Vec<(&'a CellTrials<'r>, &'a CellTrials<'r>)> {
    let pairs = |first: &'a CellTrials<'r>| {
        cells
            .iter()
            .filter(|c| is_twin(first.cell, c.cell))
            .map(move |c| (first, c))
    };
    cells.iter().flat_map(pairs).collect()
}
