//! From a run to paired values: which trials of a cell count, what a metric reads from one, and the ratio of two cells
//! block by block. Nothing is averaged across blocks before it is paired.

use super::measured::Measured;
use crate::results::{Cell, Latency, Percentile, Run, State, Trial, Value};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;
use std::collections::{BTreeMap, BTreeSet};

/// A cell that keeps fewer than two thirds of its blocks has no headline (docs/METHOD.md, Validity): numerator and denominator.
pub const KEPT: (usize, usize) = (2, 3);

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Completed operations per second.
    Throughput,
    /// Accept latency, median.
    AcceptP50,
    /// Accept latency, 99 %.
    AcceptP99,
    /// Completion latency, median.
    CompletionP50,
    /// Completion latency, 99 %.
    CompletionP99,
    /// CPU of client, service and broker per operation.
    CpuPerOp,
    /// Operations per second of CPU, of client, service and broker together.
    OrdersPerCpuSecond,
    /// What a claim reads itself from phases or from the series, as the goodput of a phase: no A/A pair has it.
    Own,
}

/// One block's value; perhaps only a lower bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The value; latencies in ns.
    pub value: f64,
    /// The truth is at least this.
    pub at_least: bool,
    /// Read from bins: the least and the most that the truth may be. Zero or less, and infinite, bound nothing.
    pub within: Option<(f64, f64)>,
}

impl Sample {
    /// A value that is no bound.
    pub fn exact(value: f64) -> Self {
        Self {
            value,
            at_least: false,
            within: None,
        }
    }

    /// A value that was read from bins, and what it lies between.
    pub fn within(least: f64, value: f64, most: f64) -> Self {
        Self {
            within: Some((least, most)),
            ..Self::exact(value)
        }
    }

    fn ends(&self) -> (f64, f64) {
        self.within.unwrap_or((self.value, self.value))
    }
}

/// Whether this end of what is positive is a bound.
fn is_bound(end: f64) -> bool {
    end.is_finite() && end > 0.0
}

/// Times or rates of a cell's blocks as one figure: their geometric mean, and the interval as far as they were read. None
/// without one, or where one is not positive.
pub fn figure(samples: &[Sample]) -> Option<Value> {
    let or = |end: f64, value: f64| if is_bound(end) { end } else { value };
    let within = |sample: &Sample| {
        let (least, most) = sample.ends();
        (
            or(least, sample.value),
            sample.value,
            or(most, sample.value),
        )
    };
    let within: Vec<(f64, f64, f64)> = samples.iter().map(within).collect();
    let found = Estimate::of_ratios_within(&within)?;
    let (point, ends) = (found.point(), found.interval(LEVEL));
    let no_low = samples.iter().any(|sample| !is_bound(sample.ends().0));
    let no_high = samples
        .iter()
        .any(|sample| sample.at_least || !is_bound(sample.ends().1));
    Some(match ends {
        None if !no_high => Value::interval(point, None),
        ends => {
            let (low, high) = ends.unwrap_or((point, point));
            let low = if no_low { 0.0 } else { low };
            let high = if no_high { f64::INFINITY } else { high };
            Value::interval(point, Some((low, high)))
        }
    })
}

impl Metric {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Throughput => "throughput_per_s",
            Metric::AcceptP50 => "accept_p50",
            Metric::AcceptP99 => "accept_p99",
            Metric::CompletionP50 => "completion_p50",
            Metric::CompletionP99 => "completion_p99",
            Metric::CpuPerOp => "cpu_us_per_op",
            Metric::OrdersPerCpuSecond => "orders_per_cpu_s",
            Metric::Own => "its own figure",
        }
    }

    /// Its value in one trial; none where the trial has too few samples for it or could not measure it.
    pub fn of(self, trial: &Trial) -> Option<Sample> {
        match self {
            Metric::Throughput => Some(Sample {
                at_least: trial.throughput_is_lower_bound,
                ..Sample::exact(trial.throughput_per_s)
            }),
            Metric::AcceptP50 => percentile(&trial.accept_ns, Percentile::P50),
            Metric::AcceptP99 => percentile(&trial.accept_ns, Percentile::P99),
            Metric::CompletionP50 => percentile(trial.completion_ns.as_ref()?, Percentile::P50),
            Metric::CompletionP99 => percentile(trial.completion_ns.as_ref()?, Percentile::P99),
            Metric::CpuPerOp => trial.cpu_us_per_op_total().map(Sample::exact),
            Metric::OrdersPerCpuSecond => trial
                .cpu_us_per_op_total()
                .filter(|cpu| *cpu > 0.0)
                .map(|cpu| Sample::exact(1e6 / cpu)),
            Metric::Own => None,
        }
    }
}

/// A percentile of a summary as a sample.
pub fn percentile(latency: &Latency, which: Percentile) -> Option<Sample> {
    let value = match which {
        Percentile::P50 => latency.p50,
        Percentile::P90 => latency.p90,
        Percentile::P99 => latency.p99,
        Percentile::P999 => latency.p999,
        Percentile::Max => latency.max,
    }?;
    Some(Sample {
        at_least: latency.at_least.contains(&which),
        ..Sample::exact(value as f64)
    })
}

/// One cell of a run: the attempt that counts of each of its blocks.
#[derive(Clone, Debug)]
pub struct CellTrials<'r> {
    /// The cell.
    pub cell: &'r Cell,
    /// Block → the attempt that counts.
    pub blocks: BTreeMap<u32, &'r Trial>,
    /// Blocks that its experiment ran.
    pub of: usize,
}

impl<'r> CellTrials<'r> {
    /// Blocks that are not INVALID.
    pub fn kept(&self) -> impl Iterator<Item = &'r Trial> + '_ {
        self.blocks
            .values()
            .copied()
            .filter(|trial| trial.validity.state != State::Invalid)
    }

    /// Whether completions kept up with what was offered in at least as many blocks as a headline takes; a rate that
    /// was not sustained has none.
    pub fn is_sustained(&self) -> bool {
        let (kept, sustained) = self.kept().fold((0, 0), |(kept, sustained), trial| {
            (
                kept + 1,
                sustained + usize::from(trial.overloaded.is_none()),
            )
        });
        kept > 0 && sustained * KEPT.1 >= kept * KEPT.0
    }

    /// Whether enough blocks were kept for a headline.
    pub fn has_headline(&self) -> bool {
        self.kept().count() * KEPT.1 >= self.of * KEPT.0
    }
}

/// Every cell of an experiment, in the order in which they first ran.
pub fn cells<'r>(run: &'r Run, experiment: &str) -> Vec<CellTrials<'r>> {
    let mine = || {
        run.trials
            .iter()
            .filter(|trial| trial.belongs_to(experiment))
    };
    let of = mine()
        .map(|trial| trial.block)
        .collect::<BTreeSet<_>>()
        .len();
    let mut cells: Vec<CellTrials<'r>> = Vec::new();
    for trial in mine() {
        let at = cells
            .iter()
            .position(|c| c.cell.id == trial.cell.id)
            .unwrap_or_else(|| {
                cells.push(CellTrials {
                    cell: &trial.cell,
                    blocks: BTreeMap::new(),
                    of,
                });
                cells.len() - 1
            });
        let counted = cells[at].blocks.entry(trial.block).or_insert(trial);
        if trial.standing() >= counted.standing() {
            *counted = trial;
        }
    }
    cells
}

/// Experiments of a run, in the order in which they first appear.
pub fn experiments(run: &Run) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for trial in &run.trials {
        for name in std::iter::once(&trial.experiment).chain(&trial.shared_with) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    names
}

/// Whether a cell stands for itself: no arm, or the first arm of an A/A pair.
pub fn is_base(cell: &Cell) -> bool {
    cell.arm.as_deref().is_none_or(|arm| arm == "A1")
}

/// Whether `second` is the A/A twin of `first`: equal in everything but the arm.
pub fn is_twin(first: &Cell, second: &Cell) -> bool {
    let alike = Cell {
        id: first.id.clone(),
        arm: first.arm.clone(),
        ..second.clone()
    };
    is_base(first) && second.arm.as_deref() == Some("A2") && alike == *first
}

/// Two cells paired by block.
#[derive(Clone, Debug, Default)]
pub struct Paired {
    /// (block, value above the line, value below it, whether one of the two trials is SUSPECT), in run order.
    pub blocks: Vec<(u32, f64, f64, bool)>,
    /// Blocks left out, and why.
    pub excluded: Vec<String>,
    /// The least and the most that a block's ratio may be, where one of its values was read from bins.
    pub within: BTreeMap<u32, (f64, f64)>,
    /// A value above the line is a lower bound, or one below it may be next to nothing: no upper end.
    pub above_at_least: bool,
    /// A value below the line is a lower bound, or one above it may be next to nothing: no lower end.
    pub below_at_least: bool,
}

impl Paired {
    /// Pairs two cells by block; `above` and `below` read the values.
    pub fn of(
        numerator: &CellTrials<'_>,
        denominator: &CellTrials<'_>,
        above: impl Fn(&Trial) -> Option<Sample>,
        below: impl Fn(&Trial) -> Option<Sample>,
    ) -> Self {
        let mut paired = Self::default();
        for (block, first) in &numerator.blocks {
            let Some(second) = denominator.blocks.get(block) else {
                paired.excluded.push(format!(
                    "block {block}: `{}` did not run",
                    denominator.cell.id
                ));
                continue;
            };
            if let Some(bad) = [first, second]
                .iter()
                .find(|t| t.validity.state == State::Invalid)
            {
                let why = bad.validity.reasons.first().map_or("", String::as_str);
                paired.excluded.push(format!(
                    "block {block}: `{}` is INVALID: {why}",
                    bad.cell.id
                ));
                continue;
            }
            let (Some(a), Some(b)) = (above(first), below(second)) else {
                paired
                    .excluded
                    .push(format!("block {block}: not measured, or too few samples"));
                continue;
            };
            if !(a.value > 0.0 && b.value > 0.0) {
                paired
                    .excluded
                    .push(format!("block {block}: a value of zero has no ratio"));
                continue;
            }
            let suspect = [first, second]
                .iter()
                .any(|t| t.validity.state == State::Suspect);
            paired.above_at_least |= a.at_least;
            paired.below_at_least |= b.at_least;
            paired.blocks.push((*block, a.value, b.value, suspect));
            if a.within.is_some() || b.within.is_some() {
                paired.bound(*block, a, b);
            }
        }
        paired
    }

    /// One value read early in its bin and the other late, and the reverse.
    fn bound(&mut self, block: u32, above: Sample, below: Sample) {
        let ((above_least, above_most), (below_least, below_most)) = (above.ends(), below.ends());
        let (least, most) = (above_least / below_most, above_most / below_least);
        self.below_at_least |= !is_bound(least);
        self.above_at_least |= !is_bound(most);
        // An end that is open anyway does not matter.
        let or_point = |end: f64| {
            if is_bound(end) {
                end
            } else {
                above.value / below.value
            }
        };
        self.within.insert(block, (or_point(least), or_point(most)));
    }

    /// Blocks with a SUSPECT trial.
    pub fn suspect(&self) -> usize {
        self.blocks.iter().filter(|(.., suspect)| *suspect).count()
    }

    /// The same, as if everything above the line were so many times as much.
    pub fn scaled(&self, by: f64) -> Self {
        let mut scaled = self.clone();
        for (_, above, ..) in &mut scaled.blocks {
            *above *= by;
        }
        for (least, most) in scaled.within.values_mut() {
            *least *= by;
            *most *= by;
        }
        scaled
    }

    /// The ratio of each block.
    pub fn ratios(&self, with_suspect: bool) -> Vec<f64> {
        self.used(with_suspect).map(|(_, a, b, _)| a / b).collect()
    }

    /// The estimates that a rule sees; `unit` is how many of the values' units make one ms. None without a block.
    pub fn measured(&self, with_suspect: bool, unit: Option<f64>) -> Option<Measured> {
        let differences = |unit: f64| -> Vec<f64> {
            self.used(with_suspect)
                .map(|(_, a, b, _)| (a - b) / unit)
                .collect()
        };
        let within = |(block, a, b, _): &(u32, f64, f64, bool)| {
            let ratio = a / b;
            let (least, most) = self.within.get(block).copied().unwrap_or((ratio, ratio));
            (least, ratio, most)
        };
        let ratios: Vec<(f64, f64, f64)> = self.used(with_suspect).map(within).collect();
        Some(Measured {
            ratio: Estimate::of_ratios_within(&ratios)?,
            difference_ms: unit.and_then(|unit| Estimate::of_values(&differences(unit))),
            open_low: self.below_at_least,
            open_high: self.above_at_least,
        })
    }

    fn used(&self, with_suspect: bool) -> impl Iterator<Item = &(u32, f64, f64, bool)> {
        self.blocks
            .iter()
            .filter(move |(.., suspect)| with_suspect || !suspect)
    }
}
