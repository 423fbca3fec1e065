//! cascade and breaker, from the experiment `guards`: what the catalogue of checkout feels, which needs nothing of the
//! service behind, while that service is slow; without guards on the call, and with each of them. Each cell is a topology
//! whose name says over what checkout calls, and under which guards.

mod tables;
#[cfg(test)]
mod tests;

pub use tables::tables;

use super::combine::Judged;
use super::outage::{BEHIND, CHECKOUT, missing, of_topology};
use super::part::{self, Question, not_measured, number, share};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Sample, cells, percentile};
use super::{Combine, Judge, nothing_beside};
use crate::results::{HopCalls, Percentile, Phase, Run, Trial, Verdict};
use crate::stats::histogram;
use std::time::Duration;

/// What is judged here.
pub const JUDGES: &[Judge] = &[
    Judge {
        claim: "cascade",
        parts: |run, rules| SYNC.map(|over| cascades(run, over, rules[0])).into(),
        combine: Combine::Cells("transport"),
        beside: nothing_beside,
    },
    Judge {
        claim: "breaker",
        parts: |run, _| stopped_parts(run),
        combine: Combine::AllOf,
        beside: around_it,
    },
];

/// The experiment.
pub const EXPERIMENT: &str = "guards";
/// The phase before the service behind is slow.
pub const BEFORE: &str = "before";
/// The phase in which it is.
pub const SLOW: &str = "slow";
/// Over what user and checkout call.
pub const SYNC: [&str; 2] = ["rest", "grpc"];
/// What the service behind takes for an order in the slow phase.
pub const TAKES: Duration = Duration::from_millis(200);
/// "Stopped": a catalogue that comes within half of that has not waited for the service behind …
pub const PROMPT: Duration = Duration::from_millis(100);
/// … and so does at least this share of all that were asked for in the slow phase.
const STOPPED: f64 = 0.99;

/// What guards checkout's call to the service behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nothing: checkout waits for as long as it takes.
    None,
    /// A bound on how long it waits.
    Timeout,
    /// A circuit breaker.
    Breaker,
    /// A bound on how many calls it makes at once.
    Bulkhead,
    /// A circuit breaker with a timeout, by which slowness becomes failure.
    BreakerAndTimeout,
    /// All three.
    All,
}

impl Guard {
    /// All of them, the unguarded call first.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Timeout,
        Self::Breaker,
        Self::Bulkhead,
        Self::BreakerAndTimeout,
        Self::All,
    ];
    /// Those that decide: each alone, and all together.
    const DECIDE: [Self; 4] = [Self::Timeout, Self::Breaker, Self::Bulkhead, Self::All];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Timeout => "timeout",
            Self::Breaker => "breaker",
            Self::Bulkhead => "bulkhead",
            Self::BreakerAndTimeout => "breaker-timeout",
            Self::All => "all",
        }
    }

    /// The same in a sentence.
    fn words(self) -> &'static str {
        match self {
            Self::None => "without a guard",
            Self::Timeout => "with a timeout",
            Self::Breaker => "with a circuit breaker",
            Self::Bulkhead => "with a bulkhead",
            Self::BreakerAndTimeout => "with a circuit breaker and a timeout",
            Self::All => "with all three",
        }
    }

    /// Whether a timeout is among them.
    pub fn has_timeout(self) -> bool {
        matches!(self, Self::Timeout | Self::BreakerAndTimeout | Self::All)
    }

    /// Whether a circuit breaker is.
    pub fn has_breaker(self) -> bool {
        matches!(self, Self::Breaker | Self::BreakerAndTimeout | Self::All)
    }

    /// Whether a bulkhead is.
    pub fn has_bulkhead(self) -> bool {
        matches!(self, Self::Bulkhead | Self::All)
    }
}

/// What the topology is called in which checkout calls over this, so guarded.
pub fn topology(over: &str, guard: Guard) -> String {
    format!("guards-{over}-{}", guard.name())
}

/// A phase of the probe.
fn probed<'t>(trial: &'t Trial, name: &str) -> Option<&'t Phase> {
    let mut phases = trial.probe.as_ref()?.phases.iter();
    phases.find(|phase| phase.name == name)
}

/// A percentile of the probe, of all that were asked for in a phase.
fn waited(trial: &Trial, name: &str, which: Percentile) -> Option<Sample> {
    percentile(&probed(trial, name)?.accept_ns, which)
}

/// Catalogues asked for in a phase that came promptly, and all of them; over the blocks that count.
fn prompt(cell: &CellTrials<'_>, name: &str) -> (u64, u64) {
    let counts = |trial: &Trial| -> Option<(u64, u64)> {
        let phase = probed(trial, name)?;
        let came = histogram::decode(phase.accept_ns.histogram.as_deref()?).ok()?;
        let soon = came.count_between(0, PROMPT.as_nanos() as u64);
        Some((soon.min(phase.planned), phase.planned))
    };
    cell.kept()
        .filter_map(counts)
        .fold((0, 0), |(soon, of), (more, all)| (soon + more, of + all))
}

/// cascade: the catalogue while the service behind is slow, against before, with no guard between.
fn cascades(run: &Run, over: &str, effect: Rule) -> Judged {
    let all = cells(run, EXPERIMENT);
    let Some(cell) = of_topology(&all, &topology(over, Guard::None)) else {
        return not_measured(over, missing(run, EXPERIMENT, over));
    };
    let says = |ratio: &str| {
        format!(
            "{over}: while {BEHIND} is slow, the p50 of checkout's catalogue, which needs nothing of it, is {ratio} that of before"
        )
    };
    let question = Question {
        name: over.into(),
        rule: effect,
        metric: Metric::AcceptP50,
        above: &|trial| waited(trial, SLOW, Percentile::P50),
        below: &|trial| waited(trial, BEFORE, Percentile::P50),
        says: &says,
    };
    part::judge(run, &question, cell, cell)
}

/// breaker: the catalogue comes as if nothing were slow, with each guard alone and with all; against none, where it must
/// not, or there is nothing to stop.
fn stopped_parts(run: &Run) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    let cascades = |over: &str| {
        let cell = of_topology(&all, &topology(over, Guard::None))?;
        let (soon, of) = prompt(cell, SLOW);
        Some((soon as f64) < STOPPED * of as f64)
    };
    let arms = SYNC
        .iter()
        .flat_map(|over| Guard::DECIDE.map(move |guard| (*over, guard)));
    arms.map(|(over, guard)| {
        let name = format!("{over}, {}", guard.name());
        let Some(cell) = of_topology(&all, &topology(over, guard)) else {
            return not_measured(name, missing(run, EXPERIMENT, over));
        };
        let found = prompt(cell, SLOW);
        let mut judged = share(cell, name, found, STOPPED..=1.0, |found| {
            format!(
                "{over} {}: {found}, catalogues came within {} ms while {BEHIND} was slow",
                guard.words(),
                PROMPT.as_millis()
            )
        });
        if guard == Guard::Breaker {
            let why = "; a breaker counts failures, and a slow answer is none";
            judged.part.reason.push_str(why);
        }
        if judged.part.verdict == Verdict::Holds && cascades(over) != Some(true) {
            judged.part.verdict = Verdict::Inconclusive;
            let why = ", but so they did without a guard, or that was not measured: there was nothing to stop";
            judged.part.reason.push_str(why);
        }
        judged
    })
    .collect()
}

/// What stands on either side of the verdict: no guard at all, and a breaker that is told of slowness by a timeout.
fn around_it(run: &Run) -> String {
    let all = cells(run, EXPERIMENT);
    let mut said = String::new();
    for over in SYNC {
        for guard in [Guard::None, Guard::BreakerAndTimeout] {
            let Some(cell) = of_topology(&all, &topology(over, guard)) else {
                continue;
            };
            let (soon, of) = prompt(cell, SLOW);
            let open = match open_s(cell) {
                Some(seconds) => format!(" (open for {} s a trial)", number(seconds)),
                None => String::new(),
            };
            said.push_str(&format!(
                " Over {over} {}, {soon} of {of} came so soon{open}.",
                guard.words()
            ));
        }
    }
    said
}

/// Checkout's calls to the service behind, trial by trial.
fn calls<'a>(cell: &'a CellTrials<'_>) -> impl Iterator<Item = &'a HopCalls> {
    cell.kept()
        .flat_map(|trial| &trial.hops)
        .filter(|hop| hop.service == CHECKOUT)
        .filter_map(|hop| hop.calls.get(BEHIND))
}

/// How long the breaker was in a state, mean of the trials, seconds; none without a breaker.
fn in_state(cell: &CellTrials<'_>, state: &str) -> Option<f64> {
    let found: Vec<f64> = calls(cell)
        .filter_map(|calls| calls.breaker_s.get(state).copied())
        .collect();
    let trials = found.len();
    (trials > 0).then(|| found.iter().sum::<f64>() / trials as f64)
}

fn open_s(cell: &CellTrials<'_>) -> Option<f64> {
    in_state(cell, "open")
}
