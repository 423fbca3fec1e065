//! Two runs side by side: what forbids it, what changed, and how sharply it was looked at.

use super::document::{Cell, Document, Table, Tone, names};
use super::format::{NOTHING, grouped, interval, metric, ns};
use crate::claims::part::number;
use crate::compare::{Comparison, Row, Side, Verdict};
use bench_stats::estimate::LEVEL;

/// Sentences of a kind that are listed before the rest is only counted.
const SHOWN: usize = 12;

pub(super) fn comparison(document: &mut Document, comparison: &Comparison) {
    let Comparison {
        first,
        second,
        differences,
        notes,
        rows,
        left_out,
        unmatched,
    } = comparison;
    document.heading(format!("{} against {}", second.name, first.name));
    document.text(format!("First: {}. Second: {}.", side(first), side(second)));
    if !differences.is_empty() {
        document.text("NOT COMPARABLE: whatever differs below may come from what differs here.");
        document.items(differences.iter().map(ToString::to_string).collect());
    }
    document.text(summary(rows));
    if !rows.is_empty() {
        document.table(Table {
            header: names([
                "cell",
                "metric",
                "verdict",
                "first",
                "second",
                "second ÷ first",
                "95 % interval",
                "finds",
                "trials",
            ]),
            numbers_from: 3,
            rows: rows.iter().map(line).collect(),
        });
        document.text("“finds” is the smallest change that so many trials find in 80 % of cases: a smaller one may be there and was not seen. Trials with a + are paired by block.");
    }
    let undecided = rows
        .iter()
        .filter(|row| row.verdict == Verdict::Undecided)
        .filter_map(|row| {
            let why = row.why.as_ref()?;
            Some(format!("{}, {}: {why}", row.cell, metric(&row.metric)))
        });
    document.items(some_of(undecided.collect()));
    document.items(some_of(left_out.clone()));
    if *unmatched > 0 {
        document.text(format!(
            "{unmatched} cells are in one of the two runs only."
        ));
    }
    document.items(notes.clone());
}

fn side(side: &Side) -> String {
    let commit = side.commit.as_deref().unwrap_or("an unknown commit");
    let dirty = match side.dirty {
        Some(true) => ", with changes",
        _ => "",
    };
    format!("{}, {}, commit {commit}{dirty}", side.name, side.time)
}

fn summary(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "The two runs have no cell that can be compared.".into();
    }
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let found: Vec<String> = [
        Verdict::Faster,
        Verdict::Slower,
        Verdict::Cheaper,
        Verdict::Dearer,
        Verdict::NoDifference,
        Verdict::Undecided,
    ]
    .into_iter()
    .filter(|verdict| count(*verdict) > 0)
    .map(|verdict| format!("{} {verdict}", count(verdict)))
    .collect();
    let by_chance = rows.len() as f64 * (1.0 - LEVEL);
    let chance = match rows.len() {
        // One in twenty of so few is none to be expected.
        0..=9 => String::new(),
        _ => format!(
            " Where nothing changed, about {} of so many would be called different by chance alone.",
            number(by_chance)
        ),
    };
    format!("{} comparisons: {}.{chance}", rows.len(), found.join(", "))
}

fn line(row: &Row) -> Vec<Cell> {
    let show = |value: f64| match row.metric.as_str() {
        "throughput_per_s" => grouped(value),
        "cpu_us_per_op" => format!("{} µs", number(value)),
        _ => ns(value),
    };
    let tone = match row.verdict {
        Verdict::Faster | Verdict::Cheaper => Tone::Good,
        Verdict::Slower | Verdict::Dearer => Tone::Bad,
        Verdict::Undecided => Tone::Doubtful,
        Verdict::NoDifference => Tone::Plain,
    };
    let finds = row.mde.map_or(NOTHING.into(), |mde| {
        format!("{} %", number((mde - 1.0) * 100.0))
    });
    let [first, second] = row.trials;
    let trials = match row.paired {
        true => format!("{first}+"),
        false => format!("{first}, {second}"),
    };
    vec![
        row.cell.as_str().into(),
        metric(&row.metric).into(),
        Cell {
            text: row.verdict.to_string(),
            tone,
        },
        show(row.first).into(),
        show(row.second).into(),
        format!("{}×", number(row.ratio)).into(),
        interval(row.low, row.high, "×").into(),
        finds.into(),
        trials.into(),
    ]
}

fn some_of(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if more > 0 {
        lines.push(format!("… and {more} more (--json has all)"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::document::Style;
    use super::*;
    use crate::claims::fixture::planted;
    use crate::compare::compare;

    fn shown(change: impl Fn(&mut crate::results::Run)) -> (String, String) {
        let mut second = planted();
        change(&mut second);
        let found = compare(("before", &planted()), ("after", &second));
        let mut document = Document::default();
        comparison(&mut document, &found);
        let style = Style {
            colour: false,
            width: None,
        };
        (document.terminal(style), document.markdown())
    }

    #[test]
    fn what_changed_stands_with_both_figures_its_interval_and_what_would_have_been_found() {
        let (text, markdown) = shown(|run| {
            for trial in &mut run.trials {
                if trial.cell.id == "grpc-O3-c32" {
                    trial.throughput_per_s *= 0.5;
                }
            }
        });
        let row = text
            .lines()
            .find(|line| line.contains("grpc-O3-c32") && line.contains("orders/s"))
            .unwrap();
        for word in ["slower", "20 2", "10 1", "0.50×", "6+"] {
            assert!(row.contains(word), "{word}: {row}");
        }
        assert!(text.contains("1 slower") && text.contains("by chance alone"));
        assert!(!text.contains("NOT COMPARABLE"));
        assert!(
            markdown.contains("| cell | metric | verdict |"),
            "{markdown}"
        );
    }

    #[test]
    fn a_comparison_that_is_none_is_marked_with_what_differs() {
        let (text, _) = shown(|run| run.manifest.placement = "anywhere".into());
        assert!(
            text.contains("NOT COMPARABLE") && text.contains("placement: "),
            "{text}"
        );
    }
}
