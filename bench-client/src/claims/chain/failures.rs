//! chain-fail: what share of orders a chain fails, by its length.

use super::{Chain, EXPERIMENT, Kind, LONGEST, SYNC, find, missing};
use crate::claims::combine::Judged;
use crate::claims::part::{not_measured, number};
use crate::claims::rules::{self, Interval};
use crate::claims::samples::{CellTrials, cells};
use crate::results::{Part, Run, Verdict};
use bench_stats::binomial;
use bench_stats::estimate::LEVEL;

/// The share of orders that each service fails.
pub(super) const FAILS: f64 = 0.01;
/// The share of orders that a chain fails, where each hop fails its own share by itself.
pub fn failing(hops: usize) -> f64 {
    1.0 - (1.0 - FAILS).powi(hops as i32)
}

/// Orders attempted in the blocks that count, and how many of them were not acknowledged.
pub(super) fn failures(cell: &CellTrials<'_>) -> (u64, u64) {
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
pub(super) fn parts(run: &Run) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    let lengths = SYNC
        .iter()
        .flat_map(|of| (1..=LONGEST).map(move |n| (*of, n)));
    lengths
        .map(|(transport, hops)| part(run, &all, transport, hops))
        .collect()
}

fn part(run: &Run, all: &[CellTrials<'_>], transport: &str, hops: usize) -> Judged {
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
