//! size-3-10x: by count over the corpora, plain bodies of orders of 1 … 1,000 lines. Nothing is timed, so the ratio of
//! means is its own interval.

use super::combine::Judged;
use super::measured::Measured;
use super::part::{not_measured, number};
use super::rules::Rule;
use super::{Combine, Judge};
use crate::results::{Part, Run};
use bench_stats::Estimate;

/// The primary cells.
pub const CLASSES: [&str; 5] = ["O1", "O3", "O10", "O100", "O1000"];

/// What is judged here.
pub const JUDGES: &[Judge] = &[Judge {
    claim: "size-3-10x",
    parts: |run, rules| parts(run, rules[0]),
    combine: Combine::Cells("the number of order lines"),
    beside,
}];

/// One part per class.
pub fn parts(run: &Run, rule: Rule) -> Vec<Judged> {
    CLASSES.iter().map(|class| part(run, class, rule)).collect()
}

/// Mean plain body of a class in a format, bytes.
pub fn mean_bytes(run: &Run, payload: &str, format: &str) -> Option<f64> {
    mean(run, payload, format, None)
}

fn mean(run: &Run, payload: &str, format: &str, compression: Option<&str>) -> Option<f64> {
    let row = run.sizes.iter().find(|s| {
        s.payload == payload && s.format == format && s.compression.as_deref() == compression
    })?;
    Some(row.mean_bytes)
}

/// What compression leaves of the ratios, and where JSON is the smaller one: shown, and never decides.
fn beside(run: &Run) -> String {
    let mut text = String::new();
    for compression in ["gzip", "zstd"] {
        let ratio = |class: &&str| {
            let of = |format| mean(run, class, format, Some(compression));
            Some(of("json")? / of("protobuf")?)
        };
        let Some(ratios) = CLASSES.iter().map(ratio).collect::<Option<Vec<f64>>>() else {
            continue;
        };
        let (low, high) = ratios
            .iter()
            .fold((f64::INFINITY, 0.0_f64), |(low, high), r| {
                (low.min(*r), high.max(*r))
            });
        text += &format!(
            " With {compression} the ratios are {} to {}×.",
            number(low),
            number(high)
        );
    }
    let mut smaller: Vec<&str> = Vec::new();
    for row in &run.sizes {
        let payload = row.payload.as_str();
        let json = mean_bytes(run, payload, "json");
        let protobuf = mean_bytes(run, payload, "protobuf");
        if json
            .zip(protobuf)
            .is_some_and(|(json, protobuf)| json < protobuf)
            && !smaller.contains(&payload)
        {
            smaller.push(payload);
        }
    }
    if !smaller.is_empty() {
        text += &format!(" JSON is the smaller one for {}.", smaller.join(", "));
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::{fixture, judge};
    use crate::results::SizeRow;

    #[test]
    fn compression_and_the_counter_example_stand_beside_the_verdict_and_do_not_change_it() {
        let mut run = fixture::planted();
        let verdict = |run: &Run| {
            let mut rows = judge(run).into_iter();
            rows.find(|row| row.claim == "size-3-10x").unwrap()
        };
        let before = verdict(&run);
        assert!(
            !before.reason.contains("gzip"),
            "nothing compressed was counted"
        );
        let mut add = |payload: &str, format: &str, compression: Option<&str>, mean_bytes| {
            run.sizes.push(SizeRow {
                payload: payload.into(),
                format: format.into(),
                compression: compression.map(Into::into),
                mean_bytes,
                ..SizeRow::default()
            });
        };
        for (class, ratio) in CLASSES.iter().zip([1.2, 1.3, 1.4, 1.5, 1.25]) {
            add(class, "protobuf", Some("gzip"), 100.0);
            add(class, "json", Some("gzip"), 100.0 * ratio);
        }
        add("N-whole", "protobuf", None, 8_003.0);
        add("N-whole", "json", None, 4_013.0);
        let after = verdict(&run);
        assert_eq!((after.verdict, after.low), (before.verdict, before.low));
        assert!(
            after
                .reason
                .contains("With gzip the ratios are 1.20 to 1.50×."),
            "{}",
            after.reason
        );
        assert!(
            after
                .reason
                .contains("JSON is the smaller one for N-whole.")
        );
        assert!(!after.reason.contains("zstd"));
    }
}
