//! size-3-10x: by count over the corpora, plain bodies of orders of 1 … 1,000 lines. Nothing is timed, so the ratio of
//! means is its own interval.

use super::combine::Judged;
use super::measured::Measured;
use super::part::{not_measured, number};
use super::rules::Rule;
use super::{Combine, Judge, nothing_beside};
use crate::results::{Part, Run};
use crate::stats::Estimate;

/// The primary cells.
pub const CLASSES: [&str; 5] = ["O1", "O3", "O10", "O100", "O1000"];

/// What is judged here.
pub const JUDGES: &[Judge] = &[Judge {
    claim: "size-3-10x",
    parts: |run, rules| parts(run, rules[0]),
    combine: Combine::Cells("the number of order lines"),
    beside: nothing_beside,
}];

/// One part per class.
pub fn parts(run: &Run, rule: Rule) -> Vec<Judged> {
    CLASSES.iter().map(|class| part(run, class, rule)).collect()
}

/// Mean plain body of a class in a format, bytes.
pub fn mean_bytes(run: &Run, payload: &str, format: &str) -> Option<f64> {
    let row = run
        .sizes
        .iter()
        .find(|s| s.payload == payload && s.format == format && s.compression.is_none())?;
    Some(row.mean_bytes)
}

fn part(run: &Run, class: &str, rule: Rule) -> Judged {
    let (Some(json), Some(protobuf)) = (
        mean_bytes(run, class, "json"),
        mean_bytes(run, class, "protobuf"),
    ) else {
        return not_measured(
            class,
            format!("the sizes of {class} were not counted; run the experiment `size`"),
        );
    };
    let Some(ratio) = Estimate::exact_ratio(json / protobuf) else {
        return not_measured(
            class,
            format!("the sizes of {class} have no ratio: {json} and {protobuf} bytes"),
        );
    };
    let measured = Measured {
        ratio,
        difference_ms: None,
        open_low: false,
        open_high: false,
    };
    let Some((decision, p)) = measured.judge(rule) else {
        return not_measured(class, "a size is judged by a band only");
    };
    Judged {
        part: Part {
            name: class.into(),
            verdict: decision.verdict,
            beyond: decision.beyond.map(|b| b.to_string()),
            low: Some(ratio.point()),
            high: Some(ratio.point()),
            unit: "×".into(),
            cells: vec![],
            reason: format!(
                "{class}: {} ÷ {} bytes = {}×",
                number(json),
                number(protobuf),
                number(ratio.point())
            ),
        },
        p: Some(p),
    }
}
