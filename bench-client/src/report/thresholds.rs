//! Thresholds with what was found of each, and why one counts as crossed where its figure does not say so.

use super::document::{Cell, Document, Table, Tone, names};
use crate::threshold::Judged;

pub(super) fn table(document: &mut Document, judged: &[Judged]) {
    let crossed = judged.iter().filter(|one| one.crossed).count();
    document.heading(match crossed {
        0 => "Thresholds: all of them held".to_string(),
        crossed => format!("Thresholds: {crossed} of {} crossed", judged.len()),
    });
    let row = |one: &Judged| -> Vec<Cell> {
        let (text, tone) = match one.crossed {
            true => ("CROSSED", Tone::Bad),
            false => ("held", Tone::Good),
        };
        let verdict = Cell {
            text: text.into(),
            tone,
        };
        vec![
            one.threshold.as_str().into(),
            one.found.as_str().into(),
            verdict,
        ]
    };
    document.table(Table {
        header: names(["fail if", "found", ""]),
        numbers_from: 3,
        rows: judged.iter().map(row).collect(),
    });
    let why = |one: &Judged| Some(format!("{}: {}", one.threshold, one.why.as_ref()?));
    document.items(judged.iter().filter_map(why).collect());
}

#[cfg(test)]
mod tests {
    use super::super::document::Style;
    use super::*;

    #[test]
    fn each_threshold_stands_with_what_was_found_and_whether_it_held() {
        let one = |threshold: &str, found: &str, crossed, why: Option<&str>| Judged {
            threshold: threshold.into(),
            found: found.into(),
            crossed,
            why: why.map(str::to_string),
        };
        let mut document = Document::default();
        let judged = [
            one("p99>20ms", "8.00 ms", false, None),
            one("errors>0.1%", "0.60 %", true, None),
            one("p99.9>1s", "–", true, Some("it was not measured")),
        ];
        table(&mut document, &judged);
        let text = document.terminal(Style {
            colour: false,
            width: None,
        });
        let line = |word: &str| text.lines().find(|line| line.contains(word)).unwrap();
        assert!(text.contains("2 of 3 crossed"), "{text}");
        assert!(line("p99>20ms").contains("8.00 ms") && line("p99>20ms").contains("held"));
        assert!(line("errors>").contains("0.60 %") && line("errors>").contains("CROSSED"));
        assert!(text.contains("p99.9>1s: it was not measured"), "{text}");
    }
}
