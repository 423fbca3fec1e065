//! Two runs set against each other, from results alone: whether they may be, and then cell by cell and metric by metric
//! what changed from the first to the second. Pure; it measures nothing and prints nothing.

mod comparable;
#[cfg(test)]
mod tests;

pub use comparable::{Difference, differences};

use crate::claims::part::resolution;
use crate::claims::ratios::metrics;
use crate::claims::samples::{CellTrials, Metric, Paired, cells, experiments, is_base};
use crate::results::{Arrival, Cell, Manifest, Run, State};
use crate::stats::Estimate;
use crate::stats::estimate::LEVEL;
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

/// The two samples of one metric, and what is known of them beside.
struct Samples {
    ratio: Estimate,
    first: f64,
    second: f64,
    trials: [usize; 2],
    /// The ratio has no lower end, no upper end: a value on one side is only a bound.
    open: [bool; 2],
}

impl Samples {
    fn paired(paired: &Paired, with_suspect: bool) -> Option<Self> {
        let used: Vec<_> = paired
            .blocks
            .iter()
            .filter(|(.., suspect)| with_suspect || !suspect)
            .collect();
        let column = |read: fn(&(u32, f64, f64, bool)) -> f64| {
            let values: Vec<f64> = used.iter().map(|block| read(block)).collect();
            Some(Estimate::of_ratios(&values)?.point())
        };
        Some(Self {
            ratio: Estimate::of_ratios(&paired.ratios(with_suspect))?,
            first: column(|block| block.2)?,
            second: column(|block| block.1)?,
            trials: [used.len(); 2],
            open: [paired.below_at_least, paired.above_at_least],
        })
    }

    fn unpaired(
        before: &CellTrials<'_>,
        after: &CellTrials<'_>,
        metric: Metric,
        with_suspect: bool,
    ) -> Option<Self> {
        let read = |cell: &CellTrials<'_>| {
            let mut is_bound = false;
            let values: Vec<f64> = cell
                .kept()
                .filter(|trial| with_suspect || trial.validity.state != State::Suspect)
                .filter_map(|trial| metric.of(trial))
                .filter(|sample| sample.value > 0.0)
                .map(|sample| {
                    is_bound |= sample.at_least;
                    sample.value
                })
                .collect();
            (values, is_bound)
        };
        let ((first, low_open), (second, high_open)) = (read(before), read(after));
        Some(Self {
            ratio: Estimate::of_unpaired(&second, &first)?,
            first: Estimate::of_ratios(&first)?.point(),
            second: Estimate::of_ratios(&second)?.point(),
            trials: [first.len(), second.len()],
            open: [low_open, high_open],
        })
    }

    /// Its ends; an open one is none.
    fn interval(&self) -> (Option<f64>, Option<f64>) {
        match self.ratio.interval(LEVEL) {
            Some((low, high)) => (
                Some(low).filter(|_| !self.open[0]),
                Some(high).filter(|_| !self.open[1]),
            ),
            None => (None, None),
        }
    }

    fn decide(&self, metric: Metric) -> Verdict {
        let (less, more) = match metric {
            Metric::Throughput | Metric::OrdersPerCpuSecond => (Verdict::Slower, Verdict::Faster),
            Metric::CpuPerOp => (Verdict::Cheaper, Verdict::Dearer),
            Metric::AcceptP50
            | Metric::AcceptP99
            | Metric::CompletionP50
            | Metric::CompletionP99 => (Verdict::Faster, Verdict::Slower),
        };
        match self.interval() {
            (Some(low), _) if low > 1.0 => more,
            (_, Some(high)) if high < 1.0 => less,
            (Some(_), Some(_)) => Verdict::NoDifference,
            _ => Verdict::Undecided,
        }
    }
}

/// One metric of a cell; none where one of the runs has no value for it.
fn row(
    before: &CellTrials<'_>,
    after: &CellTrials<'_>,
    metric: Metric,
    plans_match: bool,
    doubts: &mut Doubts<'_>,
) -> Option<Row> {
    let by_block = Paired::of(after, before, |t| metric.of(t), |t| metric.of(t));
    // A single pair has no interval; then what else there is of the two may have one.
    let paired = plans_match && by_block.blocks.len() > 1;
    let samples = |with_suspect: bool| match paired {
        true => Samples::paired(&by_block, with_suspect),
        false => Samples::unpaired(before, after, metric, with_suspect),
    };
    let all = samples(true)?;
    let found = all.decide(metric);
    let any_suspect = [before, after].iter().any(|cell| {
        cell.kept()
            .any(|trial| trial.validity.state == State::Suspect)
    });
    let clean = || samples(false).map_or(Verdict::Undecided, |clean| clean.decide(metric));
    let (low, high) = all.interval();
    let mde = all.ratio.minimum_detectable();
    let (verdict, why) = if found == Verdict::Undecided {
        (found, Some(why_undecided(&all)))
    } else if let Some(doubt) = doubts.about(metric, before.cell) {
        (Verdict::Undecided, Some(format!("{found}, but {doubt}")))
    } else if any_suspect && clean() != found {
        let why = format!("{found} with SUSPECT trials, {} without them", clean());
        (Verdict::Undecided, Some(why))
    } else if found == Verdict::NoDifference {
        (found, mde.map(would_have_seen))
    } else {
        (found, None)
    };
    Some(Row {
        cell: before.cell.id.clone(),
        metric: metric.name().into(),
        first: all.first,
        second: all.second,
        ratio: all.ratio.point(),
        low,
        high,
        p: all.ratio.p_differs(1.0),
        mde,
        paired,
        trials: all.trials,
        verdict,
        why,
        excluded: if paired {
            by_block.excluded
        } else {
            Vec::new()
        },
    })
}

fn why_undecided(samples: &Samples) -> String {
    if samples.open != [false, false] {
        return "a value is only a lower bound (the generator was the limit, or ranks fell among operations without an answer)".into();
    }
    let [first, second] = samples.trials;
    format!(
        "{first} against {second} trials give no interval; repeat it (`load --save` again adds a trial to a baseline)"
    )
}

fn would_have_seen(mde: f64) -> String {
    format!(
        "a change of {} % or more would have been seen in four of five such comparisons",
        crate::claims::part::number((mde - 1.0) * 100.0)
    )
}

/// Which metrics' A/A pairs failed in one of the runs: looked up once for each metric and kind of load.
struct Doubts<'r> {
    runs: [&'r Run; 2],
    known: Vec<((Metric, bool), Option<String>)>,
}

impl<'r> Doubts<'r> {
    fn new(runs: [&'r Run; 2]) -> Self {
        Self {
            runs,
            known: Vec::new(),
        }
    }

    fn about(&mut self, metric: Metric, like: &Cell) -> Option<String> {
        let asked = (metric, like.arrival == Arrival::Closed);
        if let Some((_, doubt)) = self.known.iter().find(|(known, _)| *known == asked) {
            return doubt.clone();
        }
        let failed = |(run, which): (&Run, &str)| {
            let resolution = resolution(run, metric, like);
            let cell = resolution.failed()?;
            Some(format!(
                "the {which} run's A/A pair of `{cell}` failed for {}: it is too noisy or biased for it",
                metric.name()
            ))
        };
        let doubt = self
            .runs
            .into_iter()
            .zip(["first", "second"])
            .find_map(failed);
        self.known.push((asked, doubt.clone()));
        doubt
    }
}
