//! One metric of one cell: its samples in both runs, and what the second's come to beside the first's.

use super::{Row, Verdict};
use crate::claims::part::resolution;
use crate::claims::samples::{CellTrials, Metric, Paired};
use crate::results::{Arrival, Cell, Run, State};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;

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
            // Only its claim knows which way is the better one.
            Metric::Own => return Verdict::Undecided,
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
pub(super) fn row(
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
pub(super) struct Doubts<'r> {
    runs: [&'r Run; 2],
    known: Vec<((Metric, bool), Option<String>)>,
}

impl<'r> Doubts<'r> {
    pub(super) fn new(runs: [&'r Run; 2]) -> Self {
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
