//! fanout-sync, from the experiment `fanout`: one order for K consumers, called one after the other, all at once, or
//! published once for all of them. Each cell is a topology whose name says which, how many, and whether one is slow.

mod tables;
#[cfg(test)]
mod tests;

pub use tables::tables;

use super::combine::Judged;
use super::outage::{missing, of_topology};
use super::part::{self, Question, not_measured, number};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, cells};
use super::{Combine, Judge};
use crate::results::{Cell, Run, Trial};
use crate::stats::estimate::LEVEL;
use crate::stats::{binomial, histogram};
use crate::theory::{self, Share};
use bench_proto::slowness::Slowness;
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
pub const SLOW: Duration = Duration::from_millis(100);

/// One fan-out of the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fan {
    /// One of [`SYNC`] and [`BROKERS`].
    pub way: &'static str,
    /// K.
    pub consumers: u32,
    /// The first of them is slow on every order.
    pub one_slow: bool,
}

impl Fan {
    /// One in which no consumer is slower than the others.
    pub fn of(way: &'static str, consumers: u32) -> Self {
        Self {
            way,
            consumers,
            one_slow: false,
        }
    }

    /// What its topology is called.
    pub fn name(self) -> String {
        let slow = if self.one_slow { "-one-slow" } else { "" };
        format!("{EXPERIMENT}-{}-{}{slow}", self.way, self.consumers)
    }

    /// The fan-out that a cell ran; none if it ran another topology, or none.
    pub fn in_cell(cell: &Cell) -> Option<Self> {
        let name = cell.factors.get("topology")?;
        let rest = name.strip_prefix(EXPERIMENT)?.strip_prefix('-')?;
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

/// What each consumer does: about 5 ms, each by itself (that all wake at once would measure the scheduler), and rarely
/// [`SLOW`].
pub fn slowness() -> Slowness {
    let text = "lognormal(5ms,0.3):49,100ms:1";
    text.parse().expect("a constant in the slowness language")
}

/// The caller's median with most consumers against that with one: at least the effect where it waits for them, equal
/// where it publishes.
fn parts(run: &Run, effect: Rule, equal: Rule) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    let sync = SYNC.map(|way| (way, SYNC_OVER, effect));
    let published = BROKERS.map(|way| (way, way, equal));
    sync.into_iter()
        .chain(published)
        .map(|(way, over, rule)| part(run, &all, way, over, rule))
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

/// The orders of a cell that took at least as long as a slow consumer, and all of them; none without histograms.
fn slow_orders(cell: &CellTrials<'_>) -> Option<(u64, u64)> {
    cell.kept().try_fold((0, 0), |(slow, of), trial| {
        let samples = histogram::decode(trial.accept_ns.histogram.as_deref()?).ok()?;
        let here: u64 = samples
            .iter_recorded()
            .filter(|bucket| u128::from(bucket.value_iterated_to()) >= SLOW.as_nanos())
            .map(|bucket| bucket.count_at_value())
            .sum();
        Some((slow + here, of + samples.len()))
    })
}

/// How often the caller that waits for most consumers meets a slow one, against theory; and what was not tried.
fn beside(run: &Run) -> String {
    let all = cells(run, EXPERIMENT);
    let said: Vec<String> = SYNC
        .iter()
        .filter_map(|way| {
            let fan = Fan::of(way, MOST);
            let (slow, of) = slow_orders(of_topology(&all, &fan.name())?)?;
            let (low, high) = binomial::interval(slow, of, LEVEL)?;
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
         1 − (1 − p)^K is {} %. No consumer was added while a trial ran.",
        number(100.0 * RARELY),
        said.join(", "),
        number(100.0 * Fan::of(SYNC[0], MOST).slow_share())
    )
}
