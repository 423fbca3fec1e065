//! cascade and breaker, from the experiment `guards`: what the catalogue of checkout feels, which needs nothing of the
//! service behind, while that service is slow; without guards on the call, and with each of them. Each cell is a topology
//! whose name says over what checkout calls, and under which guards.

use super::combine::Judged;
use super::outage::{BEHIND, CHECKOUT, missing, of_topology};
use super::part::{self, Question, not_measured, number, share};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Sample, cells, percentile};
use super::{Combine, Judge, nothing_beside};
use crate::results::{HopCalls, Percentile, Phase, Run, Table, Trial, Value};
use crate::stats::binomial;
use crate::stats::estimate::LEVEL;
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

/// breaker: the catalogue comes as if nothing were slow, with each guard alone and with all.
fn stopped_parts(run: &Run) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    let arms = SYNC
        .iter()
        .flat_map(|over| Guard::DECIDE.map(move |guard| (*over, guard)));
    arms.map(|(over, guard)| {
        let name = format!("{over}, {}", guard.name());
        let Some(cell) = of_topology(&all, &topology(over, guard)) else {
            return not_measured(name, missing(run, EXPERIMENT, over));
        };
        share(cell, name, prompt(cell, SLOW), STOPPED..=1.0, |found| {
            format!(
                "{over} {}: {found}, catalogues came within {} ms while {BEHIND} was slow",
                guard.words(),
                PROMPT.as_millis()
            )
        })
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

/// What the catalogue felt, and what became of the orders and of checkout's calls, in this order.
pub fn tables(run: &Run) -> Vec<Table> {
    let all = cells(run, EXPERIMENT);
    let mut catalogue = Table::new(
        EXPERIMENT,
        "The catalogue of checkout while the service behind it is slow",
        &[
            ("transport", ""),
            ("guard of the call behind", ""),
            ("asked for", ""),
            ("errors", ""),
            ("came within 100 ms", "%"),
            ("p50 before", "ms"),
            ("p50 while slow", "ms"),
            ("p99 while slow", "ms"),
        ],
    )
    .with_note(
        "It needs a worker of checkout and nothing of the service behind. Of all that were asked for: what failed or timed out \
         ranks at the deadline or above, and a percentile that falls among them is a lower bound. The share has its exact \
         95 % interval; percentiles are those of the median block.",
    );
    let mut orders = Table::new(
        EXPERIMENT,
        "The orders meanwhile, and checkout's calls to the slow service",
        &[
            ("transport", ""),
            ("guard", ""),
            ("planned while slow", ""),
            ("sold", ""),
            ("goodput", "1/s"),
            ("calls timed out", ""),
            ("shed by the bulkhead", ""),
            ("refused by the breaker", ""),
            ("breaker closed", "s"),
            ("open", "s"),
            ("half open", "s"),
        ],
    )
    .with_note(
        "Goodput: orders planned in the slow phase that the user was told are done, by its length. Calls are those of the \
         whole trial, over the blocks that count; the breaker's states are seconds of a trial, in the mean.",
    );
    for over in SYNC {
        for guard in Guard::ALL {
            let Some(cell) = of_topology(&all, &topology(over, guard)) else {
                continue;
            };
            catalogue.push(catalogue_row(over, guard, cell));
            orders.push(orders_row(over, guard, cell));
        }
    }
    vec![catalogue, orders]
}

fn catalogue_row(over: &str, guard: Guard, cell: &CellTrials<'_>) -> Vec<Value> {
    let (soon, of) = prompt(cell, SLOW);
    let ends = binomial::interval(soon, of, LEVEL);
    let percent = |share: f64| 100.0 * share;
    let phases = cell.kept().filter_map(|trial| probed(trial, SLOW));
    let errors: u64 = phases
        .map(|phase| phase.planned.saturating_sub(phase.acknowledged))
        .sum();
    vec![
        over.into(),
        guard.name().into(),
        Value::number(of as f64),
        Value::number(errors as f64),
        Value::interval(
            percent(soon as f64 / of.max(1) as f64),
            ends.map(|(low, high)| (percent(low), percent(high))),
        ),
        median(cell, |trial| waited(trial, BEFORE, Percentile::P50)),
        median(cell, |trial| waited(trial, SLOW, Percentile::P50)),
        median(cell, |trial| waited(trial, SLOW, Percentile::P99)),
    ]
}

fn orders_row(over: &str, guard: Guard, cell: &CellTrials<'_>) -> Vec<Value> {
    let phases: Vec<&Phase> = cell
        .kept()
        .flat_map(|trial| &trial.phases)
        .filter(|phase| phase.name == SLOW)
        .collect();
    let planned: u64 = phases.iter().map(|phase| phase.planned).sum();
    let sold: u64 = phases.iter().map(|phase| phase.acknowledged).sum();
    let seconds: f64 = phases.iter().map(|phase| phase.end_s - phase.start_s).sum();
    let count = |read: fn(&HopCalls) -> u64| {
        let all: u64 = calls(cell).map(read).sum();
        Value::number(all as f64)
    };
    let state = |state: &str| Value::maybe(in_state(cell, state), "no breaker");
    vec![
        over.into(),
        guard.name().into(),
        Value::number(planned as f64),
        Value::number(sold as f64),
        Value::number(sold as f64 / seconds),
        count(|calls| calls.timed_out),
        count(|calls| calls.shed),
        count(|calls| calls.refused_by_breaker),
        state("closed"),
        state("open"),
        state("half open"),
    ]
}

/// A latency of the median block, ms: one that timed out is a bound, and bounds have no mean.
fn median(cell: &CellTrials<'_>, of: impl Fn(&Trial) -> Option<Sample>) -> Value {
    let mut found: Vec<Sample> = cell.kept().filter_map(of).collect();
    found.sort_by(|one, other| one.value.total_cmp(&other.value));
    let Some(sample) = found.get(found.len() / 2) else {
        return Value::missing("too few samples");
    };
    let ms = sample.value / 1e6;
    if sample.at_least {
        Value::interval(ms, Some((ms, f64::INFINITY)))
    } else {
        Value::number(ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::fixture;
    use crate::results::{Hop, Probe, Verdict, VerdictRow};
    use crate::stats::latency::{Beside, Minimum, summarise};

    /// A phase of the probe with so many that came after so long and so many that timed out after 500 ms.
    fn phase(name: &str, us: u64, came: u64, timed_out: u64) -> Phase {
        let mut samples = histogram::new();
        samples.record_n(us * 1_000, came).unwrap();
        let beside = Beside {
            censored: timed_out,
            bound_ns: 500_000_000,
            negative: 0,
        };
        Phase {
            name: name.into(),
            planned: came + timed_out,
            acknowledged: came,
            timed_out,
            accept_ns: summarise(&samples, beside, Minimum::Trial),
            ..Phase::default()
        }
    }

    /// Of 1,250 catalogues asked for in the slow phase so many come.
    fn trial(over: &str, guard: Guard, block: u32, came: u64) -> Trial {
        let mut trial = fixture::slow(over, block, 1_000_000, 300_000_000, 0);
        let name = topology(over, guard);
        trial.experiment = EXPERIMENT.into();
        trial.cell.id = name.clone();
        trial.cell.slow = None;
        trial.cell.factors.insert("topology".into(), name);
        trial.probe = Some(Probe {
            phases: vec![
                phase(BEFORE, 400 + u64::from(block) * 4, 300, 0),
                phase(SLOW, 400 + u64::from(block) * 6, came, 1_250 - came),
            ],
            ..Probe::default()
        });
        let mut calls = HopCalls {
            shed: 7,
            ..HopCalls::default()
        };
        if guard.has_breaker() {
            let states = [("closed", 1.0), ("open", 2.5), ("half open", 0.5)];
            calls.breaker_s = states
                .map(|(state, seconds)| (state.to_string(), seconds))
                .into();
        }
        let mut checkout = Hop {
            service: CHECKOUT.into(),
            ..Hop::default()
        };
        checkout.calls.insert(BEHIND.into(), calls);
        trial.hops = vec![checkout];
        trial
    }

    /// Every guard stops it, and so many catalogues come where there is none, and with the breaker alone.
    fn planted(unguarded: u64, breaker: u64) -> Run {
        let mut run = fixture::planted();
        for block in 0..3 {
            for over in SYNC {
                for guard in Guard::ALL {
                    let came = match guard {
                        Guard::None => unguarded,
                        Guard::Breaker => breaker,
                        _ => 1_250,
                    };
                    run.trials.push(trial(over, guard, block, came));
                }
            }
        }
        run
    }

    fn verdict(run: &Run, claim: &str) -> VerdictRow {
        super::super::judge(run)
            .into_iter()
            .find(|row| row.claim == claim)
            .unwrap()
    }

    #[test]
    fn guards_that_stop_it_hold_and_what_stands_without_one_is_said() {
        let row = verdict(&planted(200, 1_250), "breaker");
        assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
        assert_eq!(row.parts.len(), 8);
        for words in ["without a guard, 600 of 3750", "open for 2.50 s"] {
            assert!(row.reason.contains(words), "{}", row.reason);
        }
    }

    #[test]
    fn one_guard_that_does_not_refutes_and_is_named() {
        let row = verdict(&planted(200, 300), "breaker");
        assert_eq!(row.verdict, Verdict::Refuted, "{row:?}");
        let refuted: Vec<&str> = row
            .parts
            .iter()
            .filter(|part| part.verdict == Verdict::Refuted)
            .map(|part| part.name.as_str())
            .collect();
        assert_eq!(refuted, ["rest, breaker", "grpc, breaker"]);
    }

    #[test]
    fn a_catalogue_known_only_as_a_bound_still_shows_the_cascade() {
        let row = verdict(&planted(200, 1_250), "cascade");
        assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
        assert!(row.reason.contains("at least"), "{}", row.reason);
        let calm = verdict(&planted(1_250, 1_250), "cascade");
        assert_eq!(calm.verdict, Verdict::Refuted, "{calm:?}");
    }

    #[test]
    fn what_is_late_is_not_prompt_though_it_came() {
        let mut run = planted(200, 1_250);
        for trial in run.trials.iter_mut().filter(|t| t.experiment == EXPERIMENT) {
            let mut samples = histogram::new();
            samples.record_n(150_000_000, 1_250).unwrap();
            let probe = trial.probe.as_mut().unwrap();
            probe.phases[1].accept_ns = summarise(&samples, Beside::default(), Minimum::Trial);
        }
        assert_eq!(verdict(&run, "breaker").verdict, Verdict::Refuted);
    }

    #[test]
    fn every_cell_has_a_row_and_a_run_without_a_probe_is_not_measured() {
        let mut run = planted(200, 300);
        for table in tables(&run) {
            assert_eq!(table.rows.len(), 12, "{}", table.title);
        }
        for trial in &mut run.trials {
            trial.probe = None;
        }
        for claim in ["breaker", "cascade"] {
            assert_eq!(verdict(&run, claim).verdict, Verdict::NotMeasured);
        }
        let mut none = planted(200, 300);
        none.trials.retain(|trial| trial.experiment != EXPERIMENT);
        assert_eq!(verdict(&none, "breaker").verdict, Verdict::NotMeasured);
    }
}
