//! fanout-sync, from the experiment `fanout`: one order for K consumers, called one after the other, all at once, or
//! published once for all of them. Each cell is a topology whose name says which, how many, and whether one is slow or
//! joins while the trial runs.

mod tables;
#[cfg(test)]
mod tests;

pub use tables::tables;

use super::combine::Judged;
use super::outage::{missing, of_topology, phase};
use super::part::{self, Question, not_measured, number};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Sample, cells, percentile};
use super::{Combine, Judge};
use crate::results::{Cell, Percentile, Run, Trial};
use crate::theory::{self, Share};
use bench_proto::slowness::Slowness;
use bench_stats::estimate::LEVEL;
use bench_stats::{Shares, histogram};
use std::time::Duration;

/// What is judged here.
pub const JUDGES: &[Judge] = &[Judge {
    claim: "fanout-sync",
    // Rules: all of, effect, equal.
    parts: |run, rules| parts(run, rules[1], rules[2]),
    combine: Combine::AllOf,
    beside,
}];

/// The experiment.
pub const EXPERIMENT: &str = "fanout";
/// Ways in which the caller waits for its consumers, over [`SYNC_OVER`].
pub const SYNC: [&str; 2] = ["sequence", "side-by-side"];
/// Over what it waits, and over what the user waits for it.
pub const SYNC_OVER: &str = "grpc";
/// Ways in which it publishes to them, each named as its transport.
pub const BROKERS: [&str; 2] = ["queue", "stream"];
/// K.
pub const CONSUMERS: [u32; 4] = [1, 2, 4, 8];
/// Against a single one stand so many: the primary cells.
pub const MOST: u32 = CONSUMERS[3];
/// Where one is slow, it is one of these.
pub const WITH_ONE_SLOW: u32 = 4;
/// p: the share of orders that a consumer is slow on by itself.
pub const RARELY: f64 = 0.02;
/// What it takes over these. No sum of consumers that are not slow comes near it.
pub const SLOW: Duration = Duration::from_millis(400);
/// Where one joins while the trial runs, it is the last of these.
pub const WITH_ONE_JOINING: u32 = 3;
/// The phase before it is started.
pub const BEFORE: &str = "before";
/// The phase that begins when it has long been ready.
pub const AFTER: &str = "after";
/// How long: the start of a process takes CPU of all that share its core, and that is not what a consumer costs.
pub const SETTLING: Duration = Duration::from_secs(1);

/// One fan-out of the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fan {
    /// One of [`SYNC`] and [`BROKERS`].
    pub way: &'static str,
    /// K.
    pub consumers: u32,
    /// The first of them is slow on every order.
    pub one_slow: bool,
    /// The last of them joins while the trial runs.
    pub one_joins: bool,
}

impl Fan {
    /// One in which no consumer is slower than the others, and all are there from the start.
    pub fn of(way: &'static str, consumers: u32) -> Self {
        Self {
            way,
            consumers,
            one_slow: false,
            one_joins: false,
        }
    }

    /// One whose last consumer joins while the trial runs.
    pub fn joining(way: &'static str) -> Self {
        Self {
            one_joins: true,
            ..Self::of(way, WITH_ONE_JOINING)
        }
    }

    /// What its topology is called.
    pub fn name(self) -> String {
        let slow = if self.one_slow { "-one-slow" } else { "" };
        let joins = if self.one_joins { "-one-joins" } else { "" };
        format!("{EXPERIMENT}-{}-{}{slow}{joins}", self.way, self.consumers)
    }

    /// The fan-out that a cell ran; none if it ran another topology, or none.
    pub fn in_cell(cell: &Cell) -> Option<Self> {
        let name = cell.factors.get("topology")?;
        let rest = name.strip_prefix(EXPERIMENT)?.strip_prefix('-')?;
        let (rest, one_joins) = match rest.strip_suffix("-one-joins") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (rest, one_slow) = match rest.strip_suffix("-one-slow") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (way, consumers) = rest.rsplit_once('-')?;
        Some(Self {
            way: SYNC
                .into_iter()
                .chain(BROKERS)
                .find(|known| *known == way)?,
            consumers: consumers.parse().ok()?,
            one_slow,
            one_joins,
        })
    }

    /// Whether the caller waits for its consumers.
    pub fn waits(self) -> bool {
        SYNC.contains(&self.way)
    }

    /// Whether a consumer is the one that is slow on every order.
    fn is_slow_one(self, name: &str) -> bool {
        self.one_slow && name == consumer(1)
    }

    /// Whether a consumer is the one that joins while the trial runs.
    pub fn joins_later(self, number: u32) -> bool {
        self.one_joins && number == self.consumers
    }

    /// The share of orders on which at least one consumer is slow.
    fn slow_share(self) -> f64 {
        match self.one_slow {
            true => 1.0,
            false => theory::fan_out_slow(Share(RARELY), self.consumers).0,
        }
    }
}

/// What a consumer is called, counted from 1.
pub fn consumer(number: u32) -> String {
    format!("consumer-{number}")
}

/// What each consumer does: about 20 ms, each by itself (that all wake at once would measure the scheduler), and rarely
/// [`SLOW`]. Nine processes on a core wake each other some 0.3 to 0.6 ms late, more than the median of a handler of 10 ms may
/// be off its plan. What the claim asks are ratios, and by formula those of consumers twice as slow are the same.
pub fn slowness() -> Slowness {
    let text = "lognormal(20ms,0.3):49,400ms:1";
    text.parse().expect("a constant in the slowness language")
}

/// The caller's median with most consumers against that with one: at least the effect where it waits for them, equal
/// where it publishes; and there equal before and after one more consumer has joined, too.
fn parts(run: &Run, effect: Rule, equal: Rule) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    let sync = SYNC.map(|way| (way, SYNC_OVER, effect));
    let published = BROKERS.map(|way| (way, way, equal));
    sync.into_iter()
        .chain(published)
        .map(|(way, over, rule)| part(run, &all, way, over, rule))
        .chain(BROKERS.map(|way| joined(run, &all, way, equal)))
        .collect()
}

fn part(run: &Run, all: &[CellTrials<'_>], way: &'static str, over: &str, rule: Rule) -> Judged {
    let name = format!("{way}, K = {MOST} against 1");
    let find = |consumers| of_topology(all, &Fan::of(way, consumers).name());
    let (Some(most), Some(one)) = (find(MOST), find(1)) else {
        return not_measured(name, missing(run, EXPERIMENT, over));
    };
    let says = |ratio: &str| {
        format!("{way}: the caller's accept p50 with {MOST} consumers is {ratio} that with one")
    };
    let p50 = |trial: &Trial| Metric::AcceptP50.of(trial);
    let question = Question {
        name,
        rule,
        metric: Metric::AcceptP50,
        above: &p50,
        below: &p50,
        says: &says,
    };
    part::judge(run, &question, most, one)
}

/// The caller's median once a consumer has joined, against that before, in the same trials.
fn joined(run: &Run, all: &[CellTrials<'_>], way: &'static str, rule: Rule) -> Judged {
    let name = format!("{way}, one consumer added");
    let Some(cell) = of_topology(all, &Fan::joining(way).name()) else {
        return not_measured(name, missing(run, EXPERIMENT, way));
    };
    let says = |ratio: &str| {
        format!(
            "{way}: the caller's accept p50 once consumer {WITH_ONE_JOINING} had joined is {ratio} that before"
        )
    };
    let question = Question {
        name,
        rule,
        metric: Metric::AcceptP50,
        above: &after,
        below: &before,
        says: &says,
    };
    part::judge(run, &question, cell, cell)
}

/// The caller's median before a consumer joins.
fn before(trial: &Trial) -> Option<Sample> {
    percentile(&phase(trial, BEFORE)?.accept_ns, Percentile::P50)
}

/// The caller's median after it has; none where it was not ready so long before.
fn after(trial: &Trial) -> Option<Sample> {
    let phase = phase(trial, AFTER)?;
    let ready_s = trial.faults.first()?.actual_s;
    if ready_s + SETTLING.as_secs_f64() > phase.start_s {
        return None;
    }
    percentile(&phase.accept_ns, Percentile::P50)
}

/// The orders of a cell that took at least as long as a slow consumer, and all of them; none without histograms.
fn slow_orders(cell: &CellTrials<'_>) -> Option<Shares> {
    let counts = |trial: &Trial| -> Option<(u64, u64)> {
        let samples = histogram::decode(trial.accept_ns.histogram.as_deref()?).ok()?;
        let slow = samples
            .iter_recorded()
            .filter(|bucket| u128::from(bucket.value_iterated_to()) >= SLOW.as_nanos())
            .map(|bucket| bucket.count_at_value())
            .sum();
        Some((slow, samples.len()))
    };
    let blocks: Option<Vec<(u64, u64)>> = cell.kept().map(counts).collect();
    blocks.map(Shares::of)
}

/// How often the caller that waits for most consumers meets a slow one, against theory; and what was not tried.
fn beside(run: &Run) -> String {
    let all = cells(run, EXPERIMENT);
    let said: Vec<String> = SYNC
        .iter()
        .filter_map(|way| {
            let fan = Fan::of(way, MOST);
            let found = slow_orders(of_topology(&all, &fan.name())?)?;
            let (low, high) = found.interval(LEVEL)?;
            let (slow, of) = found.total();
            let percent = |share: f64| number(100.0 * share);
            Some(format!(
                "{way} {} % [{}, {}]",
                percent(slow as f64 / of as f64),
                percent(low),
                percent(high)
            ))
        })
        .collect();
    if said.is_empty() {
        return String::new();
    }
    format!(
        " Of the orders for {MOST} consumers, each of them slow on {} %, the caller waited for a slow one: {}, where \
         1 − (1 − p)^K is {} %. To none that waits was a consumer added while it ran: to call one more it must be deployed \
         anew.",
        number(100.0 * RARELY),
        said.join(", "),
        number(100.0 * Fan::of(SYNC[0], MOST).slow_share())
    )
}
