//! Parts judged by how many orders something happened to: with exact binomial bounds where one of them decides, over blocks
//! where it is their share.

use super::{not_measured, number};
use crate::claims::combine::Judged;
use crate::claims::rules;
use crate::claims::samples::CellTrials;
use crate::results::{Part, Value, Verdict};
use bench_stats::Shares;
use bench_stats::estimate::LEVEL;

/// A part judged by counting: one counter-example refutes.
pub fn counted(
    cell: &CellTrials<'_>,
    name: String,
    against: u64,
    of: u64,
    says: impl Fn(f64) -> String,
) -> Judged {
    let (decision, bound) = rules::never(against, of);
    let refuted = decision.verdict == Verdict::Refuted;
    let share = against as f64 / of.max(1) as f64;
    let reason = match decision.verdict {
        Verdict::Inconclusive => format!("{name}: no order speaks to it"),
        _ => says(bound),
    };
    let mut judged = Judged {
        part: Part {
            name,
            verdict: decision.verdict,
            beyond: None,
            low: Some(share),
            high: Some(if refuted { share } else { bound }),
            unit: "share".into(),
            cells: vec![cell.cell.id.clone()],
            reason,
        },
        // A counter-example is no matter of chance.
        p: Some(if refuted { 0.0 } else { 1.0 }),
    };
    // What few blocks did not see, the others may have.
    if judged.part.verdict == Verdict::Holds && !cell.has_headline() {
        short_of_blocks(&mut judged, cell);
    }
    judged
}

/// Takes a verdict back that rests on too few blocks.
fn short_of_blocks(judged: &mut Judged, cell: &CellTrials<'_>) {
    let (kept, of) = (cell.kept().count(), cell.of);
    let few = format!(", but `{}` kept {kept} of {of} blocks", cell.cell.id);
    judged.part.reason.push_str(&few);
    judged.part.verdict = Verdict::Inconclusive;
}

/// A part judged by a share of orders: it holds where its interval over blocks lies inside `expected`, and is refuted where it
/// lies outside of it.
pub fn share(
    cell: &CellTrials<'_>,
    name: String,
    found: &Shares,
    expected: std::ops::RangeInclusive<f64>,
    says: impl Fn(&str) -> String,
) -> Judged {
    let (hits, of) = found.total();
    let Some((low, high)) = found.interval(LEVEL) else {
        return not_measured(name, format!("no block of `{}` counts", cell.cell.id));
    };
    let verdict = if *expected.start() <= low && high <= *expected.end() {
        Verdict::Holds
    } else if high < *expected.start() || low > *expected.end() {
        Verdict::Refuted
    } else {
        Verdict::Inconclusive
    };
    let alone = match found.blocks() {
        1 => " in one block",
        _ => "",
    };
    let percent = format!(
        "{hits} of {of}, {} % [{}, {}]{alone}",
        number(100.0 * hits as f64 / of as f64),
        number(100.0 * low),
        number(100.0 * high)
    );
    let mut judged = Judged {
        part: Part {
            name,
            verdict,
            beyond: None,
            low: Some(low),
            high: Some(high),
            unit: "share".into(),
            cells: vec![cell.cell.id.clone()],
            reason: says(&percent),
        },
        p: Some(match verdict {
            // Of the nearer end of what was expected.
            Verdict::Refuted => {
                let nearer = if high < *expected.start() {
                    expected.start()
                } else {
                    expected.end()
                };
                found.p_value(*nearer).unwrap_or(0.0)
            }
            _ => 1.0,
        }),
    };
    if !cell.has_headline() {
        short_of_blocks(&mut judged, cell);
    }
    judged
}

/// A share of orders with its interval, percent, for a table.
pub fn share_in_percent(found: &Shares) -> Value {
    let (hits, of) = found.total();
    if of == 0 {
        return Value::missing("no block that counts");
    }
    let percent = |share: f64| 100.0 * share;
    Value::interval(
        percent(hits as f64 / of as f64),
        found
            .interval(LEVEL)
            .map(|(low, high)| (percent(low), percent(high))),
    )
}
