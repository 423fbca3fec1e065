//! The table of paired ratios and A/A pairs, with the blocks that were left out.

use super::apart::told_apart;
use super::document::{Cell, Document, Table, Tone, names};
use super::format::{NOTHING, interval, maybe};
use crate::claims::part::number;
use crate::claims::ratios::is_aa;
use crate::claims::samples::{cells, experiments};
use crate::results::{Ratio, Run};
use std::collections::BTreeSet;

/// Every ratio of cells that were sustained, with its interval and what it could have found; A/A pairs with whether they
/// passed.
pub(super) fn table(document: &mut Document, run: &Run) {
    if run.ratios.is_empty() {
        return;
    }
    document.heading("Ratios, paired by block");
    let unsustained = unsustained(run);
    let is_left_out = |r: &&Ratio| {
        !is_aa(r)
            && [&r.numerator, &r.denominator]
                .iter()
                .any(|cell| unsustained.contains(cell.as_str()))
    };
    let ratios = told_apart(run);
    let (left_out, kept): (Vec<&Ratio>, Vec<&Ratio>) = ratios.iter().partition(is_left_out);
    let row = |r: &&Ratio| -> Vec<Cell> {
        let aa = match r.aa_passed {
            Some(true) => Cell {
                text: "A/A passed".into(),
                tone: Tone::Good,
            },
            Some(false) => Cell {
                text: "A/A failed".into(),
                tone: Tone::Bad,
            },
            None if is_aa(r) => Cell::from("A/A not tested"),
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
        rows: kept.iter().map(row).collect(),
    });
    if !left_out.is_empty() {
        let sides = left_out.iter().flat_map(|r| [&r.numerator, &r.denominator]);
        let cells: BTreeSet<String> = sides
            .filter(|id| unsustained.contains(id.as_str()))
            .map(|id| format!("`{id}`"))
            .collect();
        let cells: Vec<String> = cells.into_iter().collect();
        document.text(format!(
            "{} ratios are left out, since completions did not keep up in {}.",
            left_out.len(),
            cells.join(", ")
        ));
    }
    let excluded = kept.iter().flat_map(|r| {
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

/// Cells whose completions did not keep up with what was offered: their latency is that of a growing queue.
fn unsustained(run: &Run) -> BTreeSet<&str> {
    let of = |experiment| cells(run, experiment).into_iter();
    experiments(run)
        .into_iter()
        .flat_map(of)
        .filter(|cell| !cell.is_sustained())
        .map(|cell| cell.cell.id.as_str())
        .collect()
}

/// Excluded blocks that are listed before the rest is only counted.
const SHOWN: usize = 12;
