//! chain-floor: no order is quicker than its hops together.

use super::{Chain, EXPERIMENT, Kind, LONGEST, SYNC, find, missing};
use crate::claims::combine::Judged;
use crate::claims::part::number;
use crate::claims::samples::{CellTrials, Metric, cells};
use crate::results::{Part, Run, Verdict};
use bench_stats::histogram;
use std::time::Duration;

/// What each service of the floor takes.
pub(super) const FLOOR: Duration = Duration::from_millis(50);

/// The quickest order of a cell, how many were quicker than the floor, and how many there were; from the histograms.
pub(super) struct Quickest {
    pub(super) ns: u64,
    pub(super) below: u64,
    pub(super) orders: u64,
}

pub(super) fn quickest(cell: &CellTrials<'_>, floor: Duration) -> Option<Quickest> {
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
pub(super) fn parts(run: &Run) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    SYNC.iter()
        .map(|transport| part(run, &all, transport))
        .collect()
}

fn part(run: &Run, all: &[CellTrials<'_>], transport: &str) -> Judged {
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
