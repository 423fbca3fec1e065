//! cascade and breaker, from the experiment `guards`: what the catalogue of checkout feels, which needs nothing of the
//! service behind, while that service is in trouble; without guards on the call, and with each of them. Each cell is a
//! topology whose name says what the trouble is, over what checkout calls, and under which guards.

mod tables;
#[cfg(test)]
mod tests;

pub use tables::tables;

use super::combine::Judged;
use super::outage::{BEHIND, CHECKOUT, missing, of_topology};
use super::part::{self, Question, not_measured, number, share};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Sample, cells, percentile};
use super::{Combine, Judge};
use crate::results::{HopCalls, Percentile, Phase, Run, Trial, Verdict};
use bench_stats::{Shares, histogram};
use std::time::Duration;

/// What is judged here.
pub const JUDGES: &[Judge] = &[
    Judge {
        claim: "cascade",
        parts: |run, rules| cascade_parts(run, rules[0]),
        combine: Combine::Cells("the trouble and the transport"),
        beside: a_crash,
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
/// The phase before the service behind is in trouble; the one in which it is has the trouble's name.
pub const BEFORE: &str = "before";
/// Over what user and checkout call.
pub const SYNC: [&str; 2] = ["rest", "grpc"];
/// What the service behind takes for an order in the slow phase.
pub const TAKES: Duration = Duration::from_millis(200);
/// "Stopped": a catalogue that comes within half of that has not waited for the service behind …
pub const PROMPT: Duration = Duration::from_millis(100);
/// … and so does at least this share of all that were asked for meanwhile.
const STOPPED: f64 = 0.99;
/// The breaker that is judged counts a call that took longer like one that failed: half of what the slow service takes, and
/// many times what it takes when all is well.
pub const SLOW_AFTER: Duration = Duration::from_millis(100);

/// What is wrong with the service behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It takes so long over an order that more arrives than it does.
    Slow,
    /// It stands still: it keeps its connections and answers nothing, as if it were slow without end.
    Hang,
    /// It is dead: its address refuses every connection at once.
    Crash,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Slow, Self::Hang, Self::Crash];
    /// Those that decide. After a crash nobody waits for anything: nothing is slow, and there is nothing to stop.
    const DECIDE: [Self; 2] = [Self::Slow, Self::Hang];

    /// Its name, and that of the phase in which it lasts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Hang => "hang",
            Self::Crash => "crash",
        }
    }

    /// The same of the service behind, in a sentence.
    fn words(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Hang => "hanging",
            Self::Crash => "dead",
        }
    }

    /// Under which guards it is run, the unguarded call first. Breakers that count errors only are for the slow phase alone.
    pub fn guards(self) -> &'static [Guard] {
        match self {
            Self::Slow => &Guard::ALL,
            Self::Hang | Self::Crash => &[
                Guard::None,
                Guard::Timeout,
                Guard::Breaker,
                Guard::Bulkhead,
                Guard::All,
            ],
        }
    }
}

/// What guards checkout's call to the service behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nothing: checkout waits for as long as it takes.
    None,
    /// A bound on how long it waits.
    Timeout,
    /// A circuit breaker that counts errors and slow calls, as those in use do; each call when it ends.
    Breaker,
    /// A bound on how many calls it makes at once.
    Bulkhead,
    /// A circuit breaker that counts errors only.
    ErrorsOnlyBreaker,
    /// The same with a timeout, by which slowness becomes failure.
    BreakerAndTimeout,
    /// Timeout, the breaker that counts slow calls too, and bulkhead.
    All,
}

impl Guard {
    /// All of them, the unguarded call first.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Timeout,
        Self::Breaker,
        Self::Bulkhead,
        Self::ErrorsOnlyBreaker,
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
            Self::ErrorsOnlyBreaker => "breaker-errors-only",
            Self::BreakerAndTimeout => "breaker-timeout",
            Self::All => "all",
        }
    }

    /// The same in a sentence.
    fn words(self) -> &'static str {
        match self {
            Self::None => "without a guard",
            Self::Timeout => "with a timeout",
            Self::Breaker => "with a circuit breaker that counts errors and slow calls",
            Self::Bulkhead => "with a bulkhead",
            Self::ErrorsOnlyBreaker => "with a circuit breaker that counts errors only",
            Self::BreakerAndTimeout => {
                "with a circuit breaker that counts errors only and a timeout"
            }
            Self::All => "with all three",
        }
    }

    /// Whether a timeout is among them.
    pub fn has_timeout(self) -> bool {
        matches!(self, Self::Timeout | Self::BreakerAndTimeout | Self::All)
    }

    /// Whether a circuit breaker is.
    pub fn has_breaker(self) -> bool {
        self.counts_slow_calls()
            || matches!(self, Self::ErrorsOnlyBreaker | Self::BreakerAndTimeout)
    }

    /// Whether a circuit breaker is that counts slow calls too.
    pub fn counts_slow_calls(self) -> bool {
        matches!(self, Self::Breaker | Self::All)
    }

    /// Whether a bulkhead is.
    pub fn has_bulkhead(self) -> bool {
        matches!(self, Self::Bulkhead | Self::All)
    }
}

/// What the topology is called in which checkout calls over this, so guarded, and this befalls the service behind.
pub fn topology(trouble: Trouble, over: &str, guard: Guard) -> String {
    format!("guards-{}-{over}-{}", trouble.name(), guard.name())
}

/// Why a cell is not there: its transport was skipped, or what was run leaves it out.
fn absent(run: &Run, over: &str, topology: &str) -> String {
    match run.skipped.iter().any(|skipped| skipped.transport == over) {
        true => missing(run, EXPERIMENT, over),
        false => format!("`{EXPERIMENT}` was not run as `{topology}`"),
    }
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
fn prompt(cell: &CellTrials<'_>, name: &str) -> Shares {
    let counts = |trial: &Trial| -> Option<(u64, u64)> {
        let phase = probed(trial, name)?;
        let came = histogram::decode(phase.accept_ns.histogram.as_deref()?).ok()?;
        let soon = came.count_between(0, PROMPT.as_nanos() as u64);
        Some((soon.min(phase.planned), phase.planned))
    };
    Shares::of(cell.kept().filter_map(counts))
}

/// cascade: in each trouble that decides, over each transport.
fn cascade_parts(run: &Run, effect: Rule) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    let part = |trouble| SYNC.map(|over| cascades(run, &all, trouble, over, effect));
    Trouble::DECIDE.into_iter().flat_map(part).collect()
}

/// The catalogue while the service behind is in trouble, against before, with no guard between.
fn cascades(
    run: &Run,
    all: &[CellTrials<'_>],
    trouble: Trouble,
    over: &str,
    effect: Rule,
) -> Judged {
    let name = format!("{}, {over}", trouble.name());
    let topology = topology(trouble, over, Guard::None);
    let Some(cell) = of_topology(all, &topology) else {
        return not_measured(name, absent(run, over, &topology));
    };
    let says = |ratio: &str| {
        format!(
            "{over}: while {BEHIND} is {}, the p50 of checkout's catalogue, which needs nothing of it, is {ratio} that of before",
            trouble.words()
        )
    };
    let question = Question {
        name,
        rule: effect,
        metric: Metric::AcceptP50,
        above: &|trial| waited(trial, trouble.name(), Percentile::P50),
        below: &|trial| waited(trial, BEFORE, Percentile::P50),
        says: &says,
    };
    let mut judged = part::judge(run, &question, cell, cell);
    let is_bound = |trial: &Trial| {
        waited(trial, trouble.name(), Percentile::P50).is_some_and(|found| found.at_least)
    };
    if judged.part.verdict != Verdict::NotMeasured && cell.kept().any(is_bound) {
        let deadline = (cell.cell.timeout_ms).map_or(String::new(), |ms| format!(" of {ms} ms"));
        let why = format!("; that bound is the set-up's, the probe's deadline{deadline}");
        judged.part.reason.push_str(&why);
    }
    judged
}

/// breaker: the catalogue comes as if nothing were wrong, with each guard alone and with all; against none, where it must
/// not, or there is nothing to stop.
fn stopped_parts(run: &Run) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    let mut parts = Vec::new();
    for trouble in Trouble::DECIDE {
        for over in SYNC {
            let part = |guard| stops(run, &all, trouble, over, guard);
            parts.extend(Guard::DECIDE.map(part));
        }
    }
    parts
}

/// Whether a guard keeps a trouble from the catalogue.
fn stops(run: &Run, all: &[CellTrials<'_>], trouble: Trouble, over: &str, guard: Guard) -> Judged {
    let name = format!("{}, {over}, {}", trouble.name(), guard.name());
    let guarded = topology(trouble, over, guard);
    let Some(cell) = of_topology(all, &guarded) else {
        return not_measured(name, absent(run, over, &guarded));
    };
    let found = prompt(cell, trouble.name());
    let mut judged = share(cell, name, &found, STOPPED..=1.0, |found| {
        format!(
            "{over} {}: {found}, catalogues came within {} ms while {BEHIND} was {}",
            guard.words(),
            PROMPT.as_millis(),
            trouble.words()
        )
    });
    if guard == Guard::Breaker {
        let why = match trouble {
            Trouble::Hang => ": one that hangs has not",
            _ => "",
        };
        let why = format!(
            "; this breaker counts a call that failed or took more than {} ms, when it ends{why}",
            SLOW_AFTER.as_millis()
        );
        judged.part.reason.push_str(&why);
    }
    let unguarded = of_topology(all, &topology(trouble, over, Guard::None));
    let cascades = unguarded.is_some_and(|cell| {
        let (soon, of) = prompt(cell, trouble.name()).total();
        (soon as f64) < STOPPED * of as f64
    });
    if judged.part.verdict == Verdict::Holds && !cascades {
        judged.part.verdict = Verdict::Inconclusive;
        let why = ", but so they did without a guard, or that was not measured: there was nothing to stop";
        judged.part.reason.push_str(why);
    }
    judged
}

/// Beside cascade: a crash, which is no slowness.
fn a_crash(run: &Run) -> String {
    came(run, Trouble::Crash, |guard| guard == Guard::None)
}

/// What stands on either side of the verdict: no guard at all, a breaker that counts errors only, the same told of slowness
/// by a timeout, and a crash.
fn around_it(run: &Run) -> String {
    let decides =
        |trouble, guard| Trouble::DECIDE.contains(&trouble) && Guard::DECIDE.contains(&guard);
    Trouble::ALL
        .map(|trouble| came(run, trouble, |guard| !decides(trouble, guard)))
        .concat()
}

/// How many catalogues came promptly in a trouble, under each of these guards; nothing of what was not run.
fn came(run: &Run, trouble: Trouble, wanted: impl Fn(Guard) -> bool) -> String {
    let all = cells(run, EXPERIMENT);
    let mut said = String::new();
    for over in SYNC {
        for guard in trouble
            .guards()
            .iter()
            .copied()
            .filter(|guard| wanted(*guard))
        {
            let Some(cell) = of_topology(&all, &topology(trouble, over, guard)) else {
                continue;
            };
            let (soon, of) = prompt(cell, trouble.name()).total();
            let open = match in_state(cell, "open") {
                Some(seconds) => format!(" (breaker open for {} s a trial)", number(seconds)),
                None => String::new(),
            };
            said.push_str(&format!(
                " With {BEHIND} {}, over {over} {}, {soon} of {of} came within {} ms{open}.",
                trouble.words(),
                guard.words(),
                PROMPT.as_millis()
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
