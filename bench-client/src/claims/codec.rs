//! json-1-5ms: what decoding a JSON body of at most 16 kB costs, and the body sizes at which it costs 1 ms and 5 ms. From CPU
//! time per message over blocks; the same decoding once more is the A/A pair.

use super::combine::Judged;
use super::measured::Measured;
use super::part::{not_measured, number};
use super::rules::Rule;
use super::{Combine, Judge};
use crate::results::{CodecRow, Part, Run, Verdict};
use crate::units::{show_bytes, show_ns};
use bench_stats::aa::{self, Outcome};
use bench_stats::estimate::LEVEL;
use bench_stats::{Estimate, crossing};

/// The primary cells: every class with something in it whose JSON body is at most 16 kB.
pub const CLASSES: [&str; 8] = ["O1", "O3", "O10", "O100", "E64", "E1K", "N-int", "N-whole"];

/// The levels of the claim, ns.
pub const LEVELS: [f64; 2] = [1e6, 5e6];

/// What is judged here.
pub const JUDGES: &[Judge] = &[Judge {
    claim: "json-1-5ms",
    parts: |run, rules| parts(run, rules[0]),
    combine: Combine::Cells("the payload"),
    beside,
}];

/// The row of a class; `arm` as in [`CodecRow::arm`].
pub fn find<'r>(
    run: &'r Run,
    payload: &str,
    format: &str,
    operation: &str,
    arm: Option<&str>,
) -> Option<&'r CodecRow> {
    run.codecs.iter().find(|row| {
        (row.payload.as_str(), row.format.as_str()) == (payload, format)
            && (row.operation.as_str(), row.arm.as_deref()) == (operation, arm)
    })
}

/// Block by block, one row over another.
pub fn ratios(above: &CodecRow, below: &CodecRow) -> Vec<f64> {
    let pairs = above.ns_per_message.iter().zip(&below.ns_per_message);
    pairs.map(|(a, b)| a / b).collect()
}

/// The worst that the A/A pairs of an operation came to; none where there is none with two blocks.
pub fn alike(run: &Run, operation: &str) -> Option<Outcome> {
    let seconds = run
        .codecs
        .iter()
        .filter(|row| row.operation == operation && row.arm.is_some());
    let outcomes = seconds.filter_map(|second| {
        let first = find(run, &second.payload, &second.format, operation, None)?;
        aa::outcome(&Estimate::of_ratios(&ratios(second, first))?)
    });
    outcomes.reduce(Outcome::worse)
}

/// One part per class.
pub fn parts(run: &Run, rule: Rule) -> Vec<Judged> {
    CLASSES.iter().map(|class| part(run, class, rule)).collect()
}

fn part(run: &Run, class: &str, rule: Rule) -> Judged {
    let Some(row) = find(run, class, "json", "decode", None) else {
        return not_measured(
            class,
            format!("decoding {class} was not measured; run the experiment `codec`"),
        );
    };
    let times = |by: f64| -> Option<Estimate> {
        let ms: Vec<f64> = row.ns_per_message.iter().map(|ns| by * ns / 1e6).collect();
        Estimate::of_ratios(&ms)
    };
    let Some(time) = times(1.0) else {
        return not_measured(
            class,
            format!("decoding {class} has a block without a time"),
        );
    };
    let measured = |ratio| Measured {
        ratio,
        difference_ms: None,
        open_low: false,
        open_high: false,
    };
    let finding = |interval: &str| {
        format!(
            "{class}, {}: {}{interval}",
            show_bytes(row.mean_bytes),
            show_ns(time.point() * 1e6)
        )
    };
    let blank = |reason| Judged {
        part: Part {
            name: class.into(),
            verdict: Verdict::Inconclusive,
            beyond: None,
            low: None,
            high: None,
            unit: "ms".into(),
            cells: vec![],
            reason,
        },
        p: None,
    };
    let found = measured(time);
    let (Some((decision, p)), Some(interval)) = (found.judge(rule), found.interval()) else {
        return blank(finding(" (one block gives no interval)"));
    };
    let mut judged = blank(finding(&format!(
        " [{}, {}]",
        show_ns(interval.low * 1e6),
        show_ns(interval.high * 1e6)
    )));
    (judged.part.low, judged.part.high) = (Some(interval.low), Some(interval.high));
    let doubt = match alike(run, "decode") {
        None | Some(Outcome::Passed) => None,
        Some(Outcome::Biased) => Some("was not alike, by more than chance".to_string()),
        Some(Outcome::Noisy(by)) => {
            judged.part.reason += &format!(" (an A/A pair: up to {}×)", number(by));
            // It stands if it is the same with so much made of the time by chance, either way.
            let stands = [by, 1.0 / by].into_iter().all(|by| {
                let there = times(by).and_then(|time| measured(time).judge(rule));
                there.is_some_and(|(other, _)| other.verdict == decision.verdict)
            });
            (!stands).then(|| "scattered too much for a verdict here".to_string())
        }
    };
    if let Some(doubt) = doubt {
        judged.part.reason += &format!(", but the A/A pair of decoding {doubt}");
        judged.p = Some(1.0);
    } else {
        judged.part.verdict = decision.verdict;
        judged.part.beyond = decision.beyond.map(|b| b.to_string());
        judged.p = Some(p);
    }
    judged
}

/// Where a format's decoding of orders reaches a level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Crossing {
    /// At this body size, bytes, with its interval.
    At(Estimate),
    /// Not up to this body size.
    Above(f64),
}

/// The body size at which decoding an order costs `level_ns`, block by block; none without orders of two sizes.
pub fn crossing(run: &Run, format: &str, level_ns: f64) -> Option<Crossing> {
    let mut rows: Vec<&CodecRow> = run
        .codecs
        .iter()
        .filter(|row| row.payload.starts_with('O') && row.arm.is_none())
        .filter(|row| row.format == format && row.operation == "decode")
        .collect();
    rows.sort_by(|a, b| a.mean_bytes.total_cmp(&b.mean_bytes));
    let (_, largest) = (rows.get(1)?, rows.last()?.mean_bytes);
    let blocks = rows.iter().map(|row| row.ns_per_message.len()).min()?;
    let sizes: Option<Vec<f64>> = (0..blocks)
        .map(|block| {
            let points = rows
                .iter()
                .map(|row| (row.mean_bytes, row.ns_per_message[block]));
            crossing::at_level(&points.collect::<Vec<_>>(), level_ns)
        })
        .collect();
    Some(match sizes.and_then(|sizes| Estimate::of_ratios(&sizes)) {
        Some(estimate) => Crossing::At(estimate),
        None => Crossing::Above(largest),
    })
}

/// `412 kB [400 kB, 425 kB]`, or what is known of it.
pub fn show_crossing(crossing: Crossing) -> String {
    match crossing {
        Crossing::At(size) => {
            let interval = size.interval(LEVEL).map_or(String::new(), |(low, high)| {
                format!(" [{}, {}]", show_bytes(low), show_bytes(high))
            });
            format!("{}{interval}", show_bytes(size.point()))
        }
        Crossing::Above(largest) => {
            format!("more than {}, the largest measured", show_bytes(largest))
        }
    }
}

/// What stands beside the verdict: the crossings, and protobuf's share.
pub fn beside(run: &Run) -> String {
    let at = |level| crossing(run, "json", level).map(show_crossing);
    let Some((one, five)) = at(LEVELS[0]).zip(at(LEVELS[1])) else {
        return String::new();
    };
    let mut text = format!(
        " Decoding an order from JSON costs 1 ms of CPU at a body of {one}, and 5 ms at {five}."
    );
    let rows = |class| {
        let of = |format| find(run, class, format, "decode", None);
        of("json").zip(of("protobuf"))
    };
    if let Some((json, protobuf)) = rows("O100")
        && let Some(ratio) = Estimate::of_ratios(&ratios(json, protobuf))
    {
        text += &format!(
            " Protobuf decodes the same O100 in 1/{} of the time.",
            number(ratio.point())
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::{fixture, judge};

    /// JSON decodes at 2 ns per byte and protobuf at 1, over the sizes of round orders, with a spread that cancels out.
    fn codecs(ns_per_byte: f64) -> Run {
        let mut run = fixture::planted();
        let spread = [0.98, 1.02, 1.0, 0.99, 1.0 / 0.99, 1.0];
        let classes = [
            ("E64", 80.0),
            ("E1K", 1_000.0),
            ("N-int", 3_000.0),
            ("N-whole", 4_000.0),
            ("O1", 500.0),
            ("O3", 700.0),
            ("O10", 1_500.0),
            ("O100", 10_000.0),
            ("O1000", 100_000.0),
            ("O10000", 1_000_000.0),
            ("O38000", 4_000_000.0),
        ];
        for (payload, bytes) in classes {
            for (format, factor) in [("json", 1.0), ("protobuf", 0.5)] {
                let row = CodecRow {
                    payload: payload.into(),
                    format: format.into(),
                    operation: "decode".into(),
                    messages: 10,
                    mean_bytes: bytes,
                    passes: 1,
                    ns_per_message: spread.map(|s| s * bytes * ns_per_byte * factor).to_vec(),
                    ..CodecRow::default()
                };
                if payload == "O3" {
                    run.codecs.push(CodecRow {
                        arm: Some("A2".into()),
                        ..row.clone()
                    });
                }
                run.codecs.push(row);
            }
        }
        run
    }

    fn verdict(run: &Run) -> crate::results::VerdictRow {
        let mut rows = judge(run).into_iter();
        rows.find(|row| row.claim == "json-1-5ms").unwrap()
    }

    #[test]
    fn microseconds_refute_the_claim_and_the_crossings_are_those_of_arithmetic() {
        let run = codecs(2.0);
        let row = verdict(&run);
        assert_eq!((row.verdict, row.unit.as_str()), (Verdict::Refuted, "ms"));
        assert_eq!(row.parts.len(), CLASSES.len());
        // 10 kB × 2 ns = 20 µs is the most that a primary cell costs.
        assert!(
            row.high.unwrap() < 0.021 && row.low.unwrap() > 0.0001,
            "{row:?}"
        );
        for (level, expected) in [(LEVELS[0], 500_000.0), (LEVELS[1], 2_500_000.0)] {
            let Some(Crossing::At(size)) = crossing(&run, "json", level) else {
                panic!("inside what was measured");
            };
            assert!(
                (size.point() / expected - 1.0).abs() < 1e-3,
                "{}",
                size.point()
            );
            let (low, high) = size.interval(LEVEL).unwrap();
            assert!(low < expected && expected < high && high / low < 1.05);
        }
        assert!(
            row.reason.contains("1 ms of CPU at a body of 500 kB ["),
            "{}",
            row.reason
        );
        assert!(row.reason.contains("5 ms at 2.50 MB ["), "{}", row.reason);
        assert!(row.reason.contains("1/2.00 of the time"), "{}", row.reason);
    }

    #[test]
    fn what_was_not_reached_is_said_and_not_extrapolated() {
        let run = codecs(1.0);
        assert_eq!(
            crossing(&run, "json", LEVELS[1]),
            Some(Crossing::Above(4e6))
        );
        assert!(
            verdict(&run)
                .reason
                .contains("5 ms at more than 4.00 MB, the largest measured")
        );
        assert_eq!(crossing(&fixture::planted(), "json", LEVELS[0]), None);
    }

    #[test]
    fn milliseconds_hold_and_a_mixture_depends() {
        // 200 to 4,000 ns per byte put every primary cell at 2 ms.
        let mut run = codecs(2.0);
        for row in &mut run.codecs {
            let bytes = row.mean_bytes;
            row.ns_per_message
                .iter_mut()
                .for_each(|ns| *ns *= 1e6 / bytes);
        }
        assert_eq!(verdict(&run).verdict, Verdict::Holds);
        for row in run
            .codecs
            .iter_mut()
            .filter(|row| row.payload.starts_with('E'))
        {
            row.ns_per_message.iter_mut().for_each(|ns| *ns /= 1e3);
        }
        assert_eq!(verdict(&run).verdict, Verdict::Depends);
    }

    #[test]
    fn a_failed_a_a_pair_takes_the_verdict_along() {
        let mut run = codecs(2.0);
        assert_eq!(alike(&run, "decode"), Some(Outcome::Passed));
        assert_eq!(alike(&run, "encode"), None);
        for row in run.codecs.iter_mut().filter(|row| row.arm.is_some()) {
            row.ns_per_message.iter_mut().for_each(|ns| *ns *= 1.2);
        }
        let row = verdict(&run);
        assert_eq!(row.verdict, Verdict::Inconclusive);
        let reason = &row.parts[0].reason;
        assert!(reason.contains("A/A pair of decoding was not alike"));
    }

    /// The second arm of every block by turns above and below the first.
    fn scattered(ns_per_byte: f64, by: f64) -> Run {
        let mut run = codecs(ns_per_byte);
        for row in run.codecs.iter_mut().filter(|row| row.arm.is_some()) {
            for (block, ns) in row.ns_per_message.iter_mut().enumerate() {
                *ns *= if block % 2 == 0 { by } else { 1.0 / by };
            }
        }
        run
    }

    #[test]
    fn a_noisy_a_a_pair_leaves_what_so_much_noise_would_not_turn() {
        // 2 ns a byte are microseconds: no noise of a fifth makes a millisecond of them.
        let far = scattered(2.0, 1.2);
        assert!(matches!(alike(&far, "decode"), Some(Outcome::Noisy(_))));
        let row = verdict(&far);
        assert_eq!(row.verdict, Verdict::Refuted, "{}", row.reason);
        assert!(row.parts[0].reason.contains("(an A/A pair: up to "));
        // 1.1 ms each is a millisecond only just.
        let mut near = scattered(2.0, 1.2);
        for row in &mut near.codecs {
            let bytes = row.mean_bytes;
            row.ns_per_message
                .iter_mut()
                .for_each(|ns| *ns *= 0.55e6 / bytes);
        }
        let row = verdict(&near);
        assert_eq!(row.verdict, Verdict::Inconclusive, "{}", row.reason);
        let reason = &row.parts[0].reason;
        assert!(reason.contains("scattered too much"), "{reason}");
    }

    #[test]
    fn one_block_decides_nothing_and_no_row_is_not_measured() {
        let mut run = codecs(2.0);
        run.codecs
            .iter_mut()
            .for_each(|row| row.ns_per_message.truncate(1));
        assert_eq!(verdict(&run).verdict, Verdict::Inconclusive);
        run.codecs.clear();
        let row = verdict(&run);
        assert_eq!(row.verdict, Verdict::NotMeasured);
        assert!(
            row.reason.contains("run the experiment `codec`"),
            "{}",
            row.reason
        );
    }
}
