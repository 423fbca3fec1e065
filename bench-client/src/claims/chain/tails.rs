//! chain-p99 and async-hop-free: the tail of a chain against those of its hops, and against the chain with a hop that is
//! published to.

use super::{BASE, BROKERS, Chain, EXPERIMENT, Kind, LONGEST, SYNC, find, missing};
use crate::claims::combine::Judged;
use crate::claims::part::{self, Question, number};
use crate::claims::rules::Rule;
use crate::claims::samples::{Metric, Sample, cells};
use crate::results::{Run, Trial};
use std::time::Duration;

/// Draws of the expectation below: enough that its own chance is in the third digit.
const DRAWS: u64 = 20_000;

/// p99 of a chain ÷ sum of the p99s of its hops, for hops that are as slow as asked, independent, and reached in no
/// time: what the law of the sum says, from draws of the very slowness.
pub(super) fn tail_of_sum(hops: usize, kind: Kind) -> f64 {
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

/// chain-p99: the longest chain's p99 against as many times that of a single hop.
pub(super) fn parts(run: &Run) -> Vec<Judged> {
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
pub(super) fn sum_of_singles(trial: &Trial, hops: usize) -> Option<Sample> {
    let single = Metric::AcceptP99.of(trial)?;
    Some(Sample {
        value: single.value * hops as f64,
        ..single
    })
}

/// async-hop-free: p99 with one more service that is published to, against the chain without it.
pub(super) fn published(run: &Run, equal: Rule) -> Vec<Judged> {
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
