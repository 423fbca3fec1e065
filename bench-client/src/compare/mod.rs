//! Two runs set against each other, from results alone: whether they may be, and then cell by cell and metric by metric
//! what changed from the first to the second. Pure; it measures nothing and prints nothing.

mod comparable;
mod row;
#[cfg(test)]
mod tests;

pub use comparable::{Difference, differences};

use crate::claims::ratios::metrics;
use crate::claims::samples::{CellTrials, cells, experiments, is_base};
use crate::results::{Manifest, Run};
use row::{Doubts, row};
use serde::Serialize;
use std::fmt;

/// Two runs compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The run below the line.
    pub first: Side,
    /// The run above it.
    pub second: Side,
    /// Why the two are not comparable; empty where they are.
    pub differences: Vec<Difference>,
    /// What else differs, and does not forbid it (commits, libraries, seeds).
    pub notes: Vec<String>,
    /// Every cell that both have, metric by metric.
    pub rows: Vec<Row>,
    /// Cells of both runs that were not compared, and why.
    pub left_out: Vec<String>,
    /// Cells that only one of the two has.
    pub unmatched: usize,
}

/// One of the two runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Side {
    /// What the user calls it.
    pub name: String,
    /// When it began, RFC 3339, UTC.
    pub time: String,
    /// The commit it was built from.
    pub commit: Option<String>,
    /// Whether the work tree held changes then.
    pub dirty: Option<bool>,
}

/// One metric of one cell, the second run ÷ the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The cell's id, equal in both.
    pub cell: String,
    /// What is compared, as in results (`accept_p99`, `throughput_per_s`, …).
    pub metric: String,
    /// Geometric mean of the first run's trials: ns, µs of CPU per operation, or operations per second.
    pub first: f64,
    /// Of the second's.
    pub second: f64,
    /// The ratio.
    pub ratio: f64,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Two-sided p of "the ratio is 1".
    pub p: Option<f64>,
    /// Smallest change that so many trials find in 80 % of cases, as a factor (1.05 is 5 %).
    pub mde: Option<f64>,
    /// Whether trials were paired by block; else the interval is Welch's over unpaired trials.
    pub paired: bool,
    /// Trials of the first and of the second run that it rests on.
    pub trials: [usize; 2],
    /// What it comes to.
    pub verdict: Verdict,
    /// Why it is undecided, or what no difference means.
    pub why: Option<String>,
    /// Blocks that were left out, and why.
    pub excluded: Vec<String>,
}

/// What changed from the first run to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// More operations per second, or less time for each.
    Faster,
    /// The reverse.
    Slower,
    /// Less CPU per operation.
    Cheaper,
    /// More.
    Dearer,
    /// The interval holds 1: nothing was seen, which is not that nothing is there.
    NoDifference,
    /// The measurement cannot carry a verdict.
    Undecided,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::Cheaper => "cheaper",
            Self::Dearer => "dearer",
            Self::NoDifference => "no difference seen",
            Self::Undecided => "undecided",
        })
    }
}

/// Compares the second run with the first; each with what the user calls it.
pub fn compare(first: (&str, &Run), second: (&str, &Run)) -> Comparison {
    let runs = [first.1, second.1];
    let [mine, theirs] = runs.map(by_id);
    let partner = |cell: &CellTrials<'_>| theirs.iter().find(|c| c.cell.id == cell.cell.id);
    let mut doubts = Doubts::new(runs);
    let (mut rows, mut left_out, mut both) = (Vec::new(), Vec::new(), 0);
    for (before, after) in mine.iter().filter_map(|cell| Some((cell, partner(cell)?))) {
        both += 1;
        // The second arm of an A/A pair says how noisy a run is, and nothing else.
        if !is_base(before.cell) {
            continue;
        }
        if let Some(why) = unfit(before, after) {
            left_out.push(format!("{}: {why}", before.cell.id));
            continue;
        }
        for metric in metrics(before.cell) {
            match row(before, after, *metric, plans_match(runs), &mut doubts) {
                Some(row) => rows.push(row),
                None => left_out.push(format!(
                    "{}, {}: not measured in both, or too few samples",
                    before.cell.id,
                    metric.name()
                )),
            }
        }
    }
    Comparison {
        first: side(first),
        second: side(second),
        differences: differences(runs[0], runs[1]),
        notes: comparable::notes(runs[0], runs[1]),
        rows,
        left_out,
        unmatched: mine.len() + theirs.len() - 2 * both,
    }
}

fn side((name, run): (&str, &Run)) -> Side {
    let Manifest {
        time,
        commit,
        dirty,
        ..
    } = &run.manifest;
    Side {
        name: name.into(),
        time: time.clone(),
        commit: commit.clone(),
        dirty: *dirty,
    }
}

/// Every cell once, whichever experiments read it.
pub(crate) fn by_id(run: &Run) -> Vec<CellTrials<'_>> {
    let mut all: Vec<CellTrials<'_>> = Vec::new();
    for experiment in experiments(run) {
        for cell in cells(run, experiment) {
            if !all.iter().any(|there| there.cell.id == cell.cell.id) {
                all.push(cell);
            }
        }
    }
    all
}

/// Whether block *i* of the one is block *i* of the other: the same plan from the same seed, so the same orders and arrivals.
fn plans_match(runs: [&Run; 2]) -> bool {
    let plan = |run: &Run| {
        (
            run.manifest.seed,
            run.manifest.settings.get("plan").cloned(),
        )
    };
    plan(runs[0]) == plan(runs[1])
}

/// Why a cell's figures as a whole are not to be compared.
fn unfit(before: &CellTrials<'_>, after: &CellTrials<'_>) -> Option<String> {
    let sides = [(before, "first"), (after, "second")];
    let any = |test: fn(&crate::results::Trial) -> bool| {
        sides
            .iter()
            .any(|(cell, _)| cell.blocks.values().any(|trial| test(trial)))
    };
    if !before.cell.is_timed() {
        return Some("runs for its bytes, its times mean nothing".into());
    }
    if any(|trial| !trial.phases.is_empty() || !trial.faults.is_empty()) {
        return Some("has phases or a fault, so its latency as a whole is a mixture; see the experiment's own table".into());
    }
    if let Some((cell, which)) = sides.iter().find(|(cell, _)| !cell.has_headline()) {
        return Some(format!(
            "the {which} run kept {} of {} blocks, too few for a headline",
            cell.kept().count(),
            cell.of
        ));
    }
    match (before.is_sustained(), after.is_sustained()) {
        (true, true) => None,
        (true, false) => {
            Some("the first run kept up with what was offered, and the second did NOT".into())
        }
        (false, true) => {
            Some("the first run did not keep up with what was offered, and the second DID".into())
        }
        (false, false) => Some("neither run kept up with what was offered".into()),
    }
}
