//! chain-fail, chain-p99, chain-floor and async-hop-free, from the experiment `chain`: chains of services that are all
//! alike, each a topology whose name says how long it is and what its services do.

mod tables;
#[cfg(test)]
mod tests;

pub use tables::tables;

use super::combine::Judged;
use super::part::{self, Question, not_measured, number};
use super::rules::{self, Interval, Rule};
use super::samples::{CellTrials, Metric, Sample, cells, is_base};
use super::{Combine, Judge, nothing_beside};
use crate::results::{Cell, Part, Run, Trial, Verdict};
use crate::stats::estimate::LEVEL;
use crate::stats::{binomial, histogram};
use bench_proto::slowness::Slowness;
use std::time::Duration;

/// What is judged here.
pub const JUDGES: &[Judge] = &[
    Judge {
        claim: "chain-fail",
        parts: |run, _| failure_parts(run),
        combine: Combine::Cells("transport and length"),
        beside: nothing_beside,
    },
    Judge {
        claim: "chain-p99",
        parts: |run, _| tail_parts(run),
        combine: Combine::Cells("what each hop does"),
        beside: nothing_beside,
    },
    Judge {
        claim: "chain-floor",
        parts: |run, _| floor_parts(run),
        combine: Combine::AllOf,
        beside: nothing_beside,
    },
    Judge {
        claim: "async-hop-free",
        parts: |run, rules| published_parts(run, rules[0]),
        combine: Combine::Cells("transport and broker"),
        beside: nothing_beside,
    },
];

/// The experiment.
pub const EXPERIMENT: &str = "chain";
/// Transports of whole chains.
pub const SYNC: [&str; 2] = ["rest", "grpc"];
/// Over what a last hop is published.
pub const BROKERS: [&str; 2] = ["queue", "stream"];
/// The longest chain.
pub const LONGEST: usize = 5;
/// The chain that a published hop is added to.
pub const BASE: usize = 2;
/// The share of orders that each service fails.
pub const FAILS: f64 = 0.01;
/// What each service of the floor takes.
pub const FLOOR: Duration = Duration::from_millis(50);

/// What every service of a chain does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fails one order in a hundred, and takes no time.
    Fail,
    /// Takes about 10 ms, with a smooth tail. Beside Kafka's JVM on its core a service wakes some 0.3 ms late, which one of
    /// 5 ms could not be off its plan. The ratio of tails is the same by formula; a published hop may add a quarter to the
    /// tail and is still called free, which of hops of 10 ms is twice as many ms.
    Smooth,
    /// Takes 1 ms, and rarely 100 ms. Rarely is one order in 200: a share of exactly 1 % would put the p99 of a single
    /// hop on the fence between the two, and chance would decide the claim.
    Spike,
    /// Takes the same 50 ms always.
    Floor,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Fail, Self::Smooth, Self::Spike, Self::Floor];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Smooth => "smooth",
            Self::Spike => "spike",
            Self::Floor => "floor",
        }
    }

    /// The same as slowness of each service.
    pub fn slowness(self) -> Slowness {
        let text = match self {
            Self::Fail => "none fail=1%",
            Self::Smooth => "lognormal(10ms,0.5)",
            Self::Spike => "1ms:199,100ms:1",
            Self::Floor => "50ms",
        };
        text.parse().expect("a constant in the slowness language")
    }
}

/// One chain of the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Services that the caller waits for, one after the other.
    pub hops: usize,
    /// What each does.
    pub kind: Kind,
    /// One more service behind the last, published to over this transport.
    pub published: Option<&'static str>,
}

impl Chain {
    /// A chain without a published hop.
    pub fn of(hops: usize, kind: Kind) -> Self {
        Self {
            hops,
            kind,
            published: None,
        }
    }

    /// What its topology is called.
    pub fn name(self) -> String {
        let base = format!("chain-{}-{}", self.hops, self.kind.name());
        match self.published {
            Some(broker) => format!("{base}-and-{broker}"),
            None => base,
        }
    }

    /// The chain that a cell ran; none if it ran another topology, or none.
    pub fn in_cell(cell: &Cell) -> Option<Self> {
        let name = cell.factors.get("topology")?;
        let (base, broker) = match name.split_once("-and-") {
            Some((base, broker)) => (base, Some(broker)),
            None => (name.as_str(), None),
        };
        let (hops, kind) = base.strip_prefix("chain-")?.split_once('-')?;
        Some(Self {
            hops: hops.parse().ok()?,
            kind: Kind::ALL.into_iter().find(|known| known.name() == kind)?,
            published: match broker {
                Some(broker) => Some(BROKERS.into_iter().find(|known| *known == broker)?),
                None => None,
            },
        })
    }
}

/// The share of orders that a chain fails, where each hop fails its own share by itself.
pub fn failing(hops: usize) -> f64 {
    1.0 - (1.0 - FAILS).powi(hops as i32)
}

/// Draws of the expectation below: enough that its own chance is in the third digit.
const DRAWS: u64 = 20_000;

/// p99 of a chain ÷ sum of the p99s of its hops, for hops that are as slow as asked, independent, and reached in no
/// time: what the law of the sum says, from draws of the very slowness.
pub fn tail_of_sum(hops: usize, kind: Kind) -> f64 {
    let slowness = kind.slowness();
    let draw = |hop: usize, order: u64| {
        let planned = slowness.plan(hop as u64 + 1, order, Duration::ZERO);
        planned.total().as_secs_f64()
    };
    let mut single: Vec<f64> = Vec::new();
    let mut sums: Vec<f64> = Vec::new();
    for order in 0..DRAWS {
        let times: Vec<f64> = (0..hops).map(|hop| draw(hop, order)).collect();
        sums.push(times.iter().sum());
        single.extend(times);
    }
    p99(&mut sums) / (hops as f64 * p99(&mut single))
}

fn p99(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * 99).div_ceil(100) - 1]
}

/// The cell of a chain over a transport.
fn find<'a, 'r>(
    all: &'a [CellTrials<'r>],
    transport: &str,
    chain: Chain,
) -> Option<&'a CellTrials<'r>> {
    all.iter().find(|trials| {
        is_base(trials.cell)
            && trials.cell.transport == transport
            && Chain::in_cell(trials.cell) == Some(chain)
    })
}

fn missing(run: &Run, name: String, transports: &[&str], what: &str) -> Judged {
    let skipped = run
        .skipped
        .iter()
        .find(|skipped| transports.contains(&skipped.transport.as_str()));
    let reason = match skipped {
        Some(skipped) => format!("{} was skipped: {}", skipped.transport, skipped.reason),
        None => format!("`{EXPERIMENT}` was not run with {what}"),
    };
    not_measured(name, reason)
}

/// Orders attempted in the blocks that count, and how many of them were not acknowledged.
fn failures(cell: &CellTrials<'_>) -> (u64, u64) {
    cell.kept().fold((0, 0), |(failed, orders), trial| {
        let ledger = &trial.ledger;
        let lost = ledger.attempted.saturating_sub(ledger.acknowledged);
        (failed + lost, orders + ledger.attempted)
    })
}

/// The level of each interval of chain-fail, so that all of them together hold in 95 % of runs (Bonferroni).
pub fn level_of_each() -> f64 {
    1.0 - (1.0 - LEVEL) / (SYNC.len() * LONGEST) as f64
}

/// chain-fail: of each length, the exact interval of the share that failed against the formula.
fn failure_parts(run: &Run) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    let lengths = SYNC
        .iter()
        .flat_map(|of| (1..=LONGEST).map(move |n| (*of, n)));
    lengths
        .map(|(transport, hops)| failure_part(run, &all, transport, hops))
        .collect()
}

fn failure_part(run: &Run, all: &[CellTrials<'_>], transport: &str, hops: usize) -> Judged {
    let name = format!("{transport}, N = {hops}");
    let Some(cell) = find(all, transport, Chain::of(hops, Kind::Fail)) else {
        let what = format!("a failing chain of {hops} over {transport}");
        return missing(run, name, &[transport], &what);
    };
    let (failed, orders) = failures(cell);
    let expected = failing(hops);
    let Some((low, high)) = binomial::interval(failed, orders, level_of_each()) else {
        return not_measured(name, format!("no block of `{}` counts", cell.cell.id));
    };
    let mut verdict = rules::contains(expected, Interval::new(low, high)).verdict;
    let mut reason = format!(
        "{transport}, N = {hops}: {failed} of {orders} orders failed, {} % [{}, {}], where 1 − (1 − p)^N is {} %",
        number(100.0 * failed as f64 / orders as f64),
        number(100.0 * low),
        number(100.0 * high),
        number(100.0 * expected)
    );
    let mut p = binomial::p_value(failed, orders, expected);
    if !cell.has_headline() {
        let (kept, of) = (cell.kept().count(), cell.of);
        reason.push_str(&format!(
            ", but `{}` kept {kept} of {of} blocks",
            cell.cell.id
        ));
        (verdict, p) = (Verdict::Inconclusive, Some(1.0));
    }
    Judged {
        part: Part {
            name,
            verdict,
            beyond: None,
            low: Some(low),
            high: Some(high),
            unit: "share".into(),
            cells: vec![cell.cell.id.clone()],
            reason,
        },
        p,
    }
}

/// chain-p99: the longest chain's p99 against as many times that of a single hop.
fn tail_parts(run: &Run) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    let kinds = SYNC
        .iter()
        .flat_map(|of| [Kind::Smooth, Kind::Spike].map(|kind| (*of, kind)));
    kinds
        .map(|(transport, kind)| {
            let name = format!("{transport}, {} hops", kind.name());
            let long = find(&all, transport, Chain::of(LONGEST, kind));
            let single = find(&all, transport, Chain::of(1, kind));
            let (Some(long), Some(single)) = (long, single) else {
                let what = format!("{} chains of 1 and {LONGEST} over {transport}", kind.name());
                return missing(run, name, &[transport], &what);
            };
            let theory = tail_of_sum(LONGEST, kind);
            let says = |ratio: &str| {
                format!(
                    "{transport}, {} hops: the p99 of {LONGEST} is {ratio} the sum of their own p99s (independent hops: {}×)",
                    kind.name(),
                    number(theory)
                )
            };
            let question = Question {
                name,
                // The ratio inside [0.8, 1.25] is what `equal` asks.
                rule: Rule::Equal,
                metric: Metric::AcceptP99,
                above: &|trial| Metric::AcceptP99.of(trial),
                below: &|trial| sum_of_singles(trial, LONGEST),
                says: &says,
            };
            part::judge(run, &question, long, single)
        })
        .collect()
}

/// The sum of the p99s of so many hops, from a trial with one of them.
fn sum_of_singles(trial: &Trial, hops: usize) -> Option<Sample> {
    let single = Metric::AcceptP99.of(trial)?;
    Some(Sample {
        value: single.value * hops as f64,
        ..single
    })
}

/// The quickest order of a cell, how many were quicker than the floor, and how many there were; from the histograms.
struct Quickest {
    ns: u64,
    below: u64,
    orders: u64,
}

fn quickest(cell: &CellTrials<'_>, floor: Duration) -> Option<Quickest> {
    let mut found: Option<Quickest> = None;
    for trial in cell.kept() {
        let samples = histogram::decode(trial.accept_ns.histogram.as_deref()?).ok()?;
        for bucket in samples.iter_recorded() {
            // A bucket's highest value: one that may be the floor is not below it.
            let (ns, count) = (bucket.value_iterated_to(), bucket.count_at_value());
            let below = if u128::from(ns) < floor.as_nanos() {
                count
            } else {
                0
            };
            let so_far = found.get_or_insert(Quickest {
                ns,
                below: 0,
                orders: 0,
            });
            so_far.ns = so_far.ns.min(ns);
            so_far.below += below;
            so_far.orders += count;
        }
    }
    found
}

/// chain-floor: no order is quicker than its hops together.
fn floor_parts(run: &Run) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    SYNC.iter()
        .map(|transport| floor_part(run, &all, transport))
        .collect()
}

fn floor_part(run: &Run, all: &[CellTrials<'_>], transport: &str) -> Judged {
    let name = format!("{transport}, {LONGEST} × {} ms", FLOOR.as_millis());
    let floor = FLOOR * LONGEST as u32;
    let cell = find(all, transport, Chain::of(LONGEST, Kind::Floor));
    let found = cell.and_then(|cell| Some((cell, quickest(cell, floor)?)));
    let Some((cell, quickest)) = found else {
        let what = format!("a chain of {LONGEST} equal hops over {transport}");
        return missing(run, name, &[transport], &what);
    };
    let Quickest { ns, below, orders } = quickest;
    let ms = |ns: f64| ns / 1e6;
    let medians: Vec<f64> = cell
        .kept()
        .filter_map(|trial| Metric::AcceptP50.of(trial))
        .map(|sample| ms(sample.value))
        .collect();
    let median = medians.iter().sum::<f64>() / medians.len() as f64;
    let adds = if medians.is_empty() {
        String::new()
    } else {
        format!(
            "; the median took {} ms, so the way through {LONGEST} services adds {} ms",
            number(median),
            number(median - ms(floor.as_nanos() as f64))
        )
    };
    let (mut verdict, words) = match below {
        0 => (Verdict::Holds, "none".to_string()),
        some => (Verdict::Refuted, some.to_string()),
    };
    let mut reason = format!(
        "{transport}: of {orders} orders {words} took less than {} ms, the quickest {} ms{adds}",
        floor.as_millis(),
        number(ms(ns as f64))
    );
    // What few blocks did not see, the others may have.
    if verdict == Verdict::Holds && !cell.has_headline() {
        let (kept, of) = (cell.kept().count(), cell.of);
        reason.push_str(&format!(
            ", but `{}` kept {kept} of {of} blocks",
            cell.cell.id
        ));
        verdict = Verdict::Inconclusive;
    }
    Judged {
        part: Part {
            name,
            verdict,
            beyond: None,
            low: Some(ms(ns as f64)),
            high: Some(median).filter(|median| median.is_finite()),
            unit: "ms".into(),
            cells: vec![cell.cell.id.clone()],
            reason,
        },
        // A counter-example is no matter of chance.
        p: Some(if below > 0 { 0.0 } else { 1.0 }),
    }
}

/// async-hop-free: p99 with one more service that is published to, against the chain without it.
fn published_parts(run: &Run, equal: Rule) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    let pairs = SYNC
        .iter()
        .flat_map(|of| BROKERS.map(|broker| (*of, broker)));
    pairs
        .map(|(transport, broker)| {
            let name = format!("{transport}, last hop over {broker}");
            let base = Chain::of(BASE, Kind::Smooth);
            let with = Chain {
                published: Some(broker),
                ..base
            };
            let (Some(with), Some(without)) =
                (find(&all, transport, with), find(&all, transport, base))
            else {
                let what = format!("a chain over {transport} with and without a hop over {broker}");
                return missing(run, name, &[transport, broker], &what);
            };
            let says = |ratio: &str| {
                format!(
                    "{transport}: with a third service published to over {broker}, accept p99 is {ratio} that of the two alone"
                )
            };
            let read = |trial: &Trial| Metric::AcceptP99.of(trial);
            let question = Question {
                name,
                rule: equal,
                metric: Metric::AcceptP99,
                above: &read,
                below: &read,
                says: &says,
            };
            part::judge(run, &question, with, without)
        })
        .collect()
}
