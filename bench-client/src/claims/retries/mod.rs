//! retry-storm, from the experiment `retries`: checkout calls a service that is slow for a while, and tries again by one
//! policy or another. Each cell is a topology whose name says by which.

mod tables;
#[cfg(test)]
mod tests;

pub use tables::tables;

use super::combine::Judged;
use super::outage::{BEHIND, CHECKOUT, missing};
use super::part::{Question, judge_paired, not_measured, number};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Paired, Sample, cells, is_base};
use super::{Combine, Judge};
use crate::results::{Hop, HopCalls, Phase, Run, Trial, Verdict};
use crate::theory::{PerSecond, backlog, capacity, drain};
use bench_stats::Estimate;
use std::time::Duration;

/// What is judged here.
pub const JUDGES: &[Judge] = &[Judge {
    claim: "retry-storm",
    parts: |run, rules| parts(run, rules[0]),
    combine: Combine::Cells("transport and policy"),
    beside,
}];

/// The experiment.
pub const EXPERIMENT: &str = "retries";
/// The phase in which the service behind is slow.
pub const SLOW: &str = "slow";
/// The phase in which it has long been well again.
pub const LATER: &str = "later";
/// Its phases in their order.
pub const PHASES: [&str; 4] = ["before", SLOW, "after", LATER];
/// Workers of the service behind.
pub const WORKERS: usize = 4;
/// What it takes over an order when it is well.
pub const WORK: Duration = Duration::from_millis(5);
/// And in the slow phase.
pub const SLOW_WORK: Duration = Duration::from_millis(200);
/// Attempts after the first of a call, at most, where there are any.
pub const RETRIES: u32 = 3;
/// Retries as a share of first attempts, percent, where there is a budget.
pub const BUDGET: f64 = 10.0;
/// Over what checkout calls.
const SYNC: [&str; 2] = ["rest", "grpc"];
/// Retries without a budget: they decide.
const PRIMARY: [(&str, Policy); 7] = [
    ("rest", Policy::Immediate),
    ("rest", Policy::Backoff),
    ("rest", Policy::Idempotent),
    ("rest", Policy::Deadline),
    ("grpc", Policy::Immediate),
    ("grpc", Policy::Backoff),
    ("grpc", Policy::Idempotent),
];

/// How checkout goes about a call that failed, and what the service behind makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It lets it be.
    NoRetry,
    /// It tries again at once.
    Immediate,
    /// It tries again after a pause, exponential with full jitter.
    Backoff,
    /// It tries again at once as long as a budget lasts.
    Budget,
    /// As [`Policy::Immediate`]; the service behind works on an order once, however often it comes.
    Idempotent,
    /// As [`Policy::Immediate`]; the service behind does not start what nobody waits for any more.
    Deadline,
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NoRetry,
        Self::Immediate,
        Self::Backoff,
        Self::Budget,
        Self::Idempotent,
        Self::Deadline,
    ];

    /// Its name in that of a topology.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoRetry => "none",
            Self::Immediate => "immediate",
            Self::Backoff => "backoff",
            Self::Budget => "budget",
            Self::Idempotent => "idempotent",
            Self::Deadline => "deadline",
        }
    }

    /// The same in words.
    pub fn words(self) -> String {
        match self {
            Self::NoRetry => "no retry".into(),
            Self::Immediate => format!("{RETRIES} immediate retries"),
            Self::Backoff => format!("{RETRIES} retries with backoff and jitter"),
            Self::Budget => format!("{RETRIES} retries within a budget of {BUDGET} %"),
            Self::Idempotent => format!("{RETRIES} immediate retries with an idempotency key"),
            Self::Deadline => format!("{RETRIES} immediate retries, the deadline travelling along"),
        }
    }

    /// How often the service behind has to work on each order while all of its calls fail. None where no formula says:
    /// of attempts that are dropped when their time is up, it depends on the queue's order.
    pub fn work_per_order(self) -> Option<f64> {
        match self {
            Self::NoRetry | Self::Idempotent => Some(1.0),
            Self::Immediate | Self::Backoff => Some(f64::from(1 + RETRIES)),
            Self::Budget => Some(1.0 + BUDGET / 100.0),
            Self::Deadline => None,
        }
    }

    /// What follows by formula after so long a slowness, with so many orders coming in all the time.
    pub fn outlook(self, arrivals: PerSecond, slow: Duration) -> Outlook {
        let Some(work) = self.work_per_order() else {
            return Outlook::Unknown;
        };
        let offered = PerSecond(arrivals.0 * work);
        let left = backlog(offered, capacity(WORKERS as u64, SLOW_WORK), slow);
        match drain(left, offered, capacity(WORKERS as u64, WORK)) {
            Some(after) => Outlook::ComesBack(after),
            None => Outlook::StaysAway,
        }
    }
}

/// What becomes of goodput when the slowness is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// The backlog is gone after so long.
    ComesBack(Duration),
    /// Attempts arrive faster than a well service works, so the backlog goes on growing.
    StaysAway,
    /// No formula says.
    Unknown,
}

/// What the topology is called in which checkout follows this policy.
pub fn topology(policy: Policy) -> String {
    format!("{EXPERIMENT}-{}", policy.name())
}

/// The cell of a policy over a transport.
fn find<'a, 'r>(
    all: &'a [CellTrials<'r>],
    over: &str,
    policy: Policy,
) -> Option<&'a CellTrials<'r>> {
    let name = topology(policy);
    all.iter().find(|trials| {
        is_base(trials.cell)
            && trials.cell.transport == over
            && trials.cell.factors.get("topology") == Some(&name)
    })
}

fn phase<'t>(trial: &'t Trial, name: &str) -> Option<&'t Phase> {
    trial.phases.iter().find(|phase| phase.name == name)
}

/// The share of a phase's orders that were acknowledged.
fn goodput(trial: &Trial, name: &str) -> Option<f64> {
    let phase = phase(trial, name)?;
    (phase.planned > 0).then(|| phase.acknowledged as f64 / phase.planned as f64)
}

fn service<'t>(trial: &'t Trial, name: &str) -> Option<&'t Hop> {
    trial.hops.iter().find(|hop| hop.service == name)
}

/// Checkout's calls of the service behind.
fn calls(trial: &Trial) -> Option<&HopCalls> {
    service(trial, CHECKOUT)?.calls.get(BEHIND)
}

/// Attempts ÷ calls, over the whole window.
fn amplification(trial: &Trial) -> Option<f64> {
    let calls = calls(trial)?;
    (calls.calls > 0).then(|| calls.attempts as f64 / calls.calls as f64)
}

/// How often the service behind worked on an order to a good end that it had done already.
fn applied_again(trial: &Trial) -> Option<u64> {
    Some(service(trial, BEHIND)?.effects.repeated)
}

/// The mean of a figure over the blocks that count; none where one of them does not say.
fn over_blocks(cell: &CellTrials<'_>, read: impl Fn(&Trial) -> Option<f64>) -> Option<Estimate> {
    let values: Option<Vec<f64>> = cell.kept().map(read).collect();
    Estimate::of_values(&values?)
}

/// A count over the blocks that count; none where one of them does not say, or there is none.
fn total(cell: &CellTrials<'_>, read: impl Fn(&Trial) -> Option<u64>) -> Option<u64> {
    cell.kept().next()?;
    cell.kept().map(read).sum()
}

fn parts(run: &Run, rule: Rule) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    PRIMARY
        .map(|(over, policy)| stays_away(run, &all, over, policy, rule))
        .into()
}

fn later(trial: &Trial) -> Option<Sample> {
    goodput(trial, LATER).map(Sample::exact)
}

/// Where no order succeeded, one is put in: what is divided by it is a lower bound then.
fn later_at_least_one(trial: &Trial) -> Option<Sample> {
    let phase = phase(trial, LATER)?;
    let succeeded = phase.acknowledged.max(1) as f64;
    (phase.planned > 0).then(|| Sample::exact(succeeded / phase.planned as f64))
}

/// Goodput without retries ÷ goodput with them, long after the slowness.
fn stays_away(run: &Run, all: &[CellTrials<'_>], over: &str, policy: Policy, rule: Rule) -> Judged {
    let name = format!("{over}, {}", policy.words());
    let (without, with) = (find(all, over, Policy::NoRetry), find(all, over, policy));
    let (Some(without), Some(with)) = (without, with) else {
        return not_measured(name, missing(run, EXPERIMENT, over));
    };
    let mut paired = Paired::of(without, with, later, later_at_least_one);
    paired.above_at_least = with
        .kept()
        .filter_map(|trial| phase(trial, LATER))
        .any(|phase| phase.acknowledged == 0);
    let says = |ratio: &str| {
        format!(
            "{over}, {}: after the slowness, goodput without retries was {ratio} that with them ({} against {}; {} attempts per order)",
            policy.words(),
            percent(without),
            percent(with),
            shown(over_blocks(with, amplification), "an unknown number of"),
        )
    };
    let question = Question {
        name,
        rule,
        // An open loop's throughput is its rate, whatever became of the goodput.
        metric: Metric::Own,
        above: &later,
        below: &later_at_least_one,
        says: &says,
    };
    let mut judged = judge_paired(run, &question, &paired, &[without, with]);
    let gone = |trial: &Trial| phase(trial, LATER).is_some_and(|phase| phase.acknowledged == 0);
    let lost = without.kept().filter(|trial| gone(trial)).count();
    if lost > 0 && judged.part.verdict != Verdict::NotMeasured {
        judged.part.verdict = Verdict::Inconclusive;
        let why = format!(", but in {lost} blocks goodput was gone without retries as well");
        judged.part.reason.push_str(&why);
    }
    judged
}

fn shown(estimate: Option<Estimate>, unknown: &str) -> String {
    estimate.map_or_else(|| unknown.into(), |found| number(found.point()))
}

/// The goodput of the last phase in words.
fn percent(cell: &CellTrials<'_>) -> String {
    let share = over_blocks(cell, |trial| goodput(trial, LATER));
    share.map_or_else(
        || "unknown".into(),
        |found| format!("{} %", number(100.0 * found.point())),
    )
}

/// What the policies that do not decide came to, and what was done twice.
fn beside(run: &Run) -> String {
    let all = cells(run, EXPERIMENT);
    SYNC.map(|over| beside_over(&all, over)).concat()
}

fn beside_over(all: &[CellTrials<'_>], over: &str) -> String {
    let decides = |policy: &Policy| PRIMARY.contains(&(over, *policy));
    let others = Policy::ALL
        .into_iter()
        .filter(|policy| *policy != Policy::NoRetry && !decides(policy));
    let said: Vec<String> = others
        .filter_map(|policy| {
            let cell = find(all, over, policy)?;
            let attempts = over_blocks(cell, amplification)?;
            Some(format!(
                "{}: {} of the last phase's orders succeeded, at {} attempts per order over the whole window",
                policy.words(),
                percent(cell),
                number(attempts.point())
            ))
        })
        .collect();
    if said.is_empty() {
        return String::new();
    }
    let again = |policy| total(find(all, over, policy)?, applied_again);
    let twice = match (again(Policy::Immediate), again(Policy::Idempotent)) {
        (Some(without), Some(with)) => format!(
            " Immediate retries had the work of an order done again {without} times, with an idempotency key {with} times."
        ),
        _ => String::new(),
    };
    format!(" Beside it over {over}: {}.{twice}", said.join("; "))
}
