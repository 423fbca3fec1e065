//! The table of paired ratios and A/A pairs, with the blocks that were left out.

use super::document::{Cell, Document, Table, Tone, names};
use super::format::{NOTHING, interval, maybe};
use crate::claims::part::number;
use crate::results::{Ratio, Run};

/// Every ratio with its interval and what it could have found; A/A pairs with whether they passed.
pub(super) fn table(document: &mut Document, run: &Run) {
    if run.ratios.is_empty() {
        return;
    }
    document.heading("Ratios, paired by block");
    let row = |r: &Ratio| -> Vec<Cell> {
        let aa = match r.aa_passed {
            Some(true) => Cell {
                text: "A/A passed".into(),
                tone: Tone::Good,
            },
            Some(false) => Cell {
                text: "A/A failed".into(),
                tone: Tone::Bad,
            },
            None => Cell::from(""),
        };
        let finds = r.mde.map_or(NOTHING.into(), |mde| {
            format!("{} %", number((mde - 1.0) * 100.0))
        });
        vec![
            r.name.as_str().into(),
            r.metric.as_str().into(),
            maybe(r.point).into(),
            interval(r.low, r.high, "").into(),
            finds.into(),
            r.blocks.to_string().into(),
            aa,
        ]
    };
    document.table(Table {
        header: names([
            "ratio",
            "metric",
            "point",
            "interval",
            "finds",
            "blocks",
            "A/A (99 %)",
        ]),
        numbers_from: 2,
        rows: run.ratios.iter().map(row).collect(),
    });
    let excluded = run.ratios.iter().flat_map(|r| {
        r.excluded
            .iter()
            .map(move |why| format!("{}, {}: {why}", r.name, r.metric))
    });
    let mut excluded: Vec<String> = excluded.collect();
    let more = excluded.len().saturating_sub(SHOWN);
    excluded.truncate(SHOWN);
    if more > 0 {
        excluded.push(format!("… and {more} more, in run.json"));
    }
    document.items(excluded);
}

/// Excluded blocks that are listed before the rest is only counted.
const SHOWN: usize = 12;
