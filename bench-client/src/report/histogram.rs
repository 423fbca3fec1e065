//! A latency histogram in text, a bar per line: for the summary of `load` and its live view.

use super::document::{Cell, Document, Table, names};
use crate::results::Latency;
use crate::units;
use bench_stats::{Spectrum, histogram};

/// Lines of the summary's histogram, and characters of its longest bar.
const SUMMARY: (usize, usize) = (12, 40);

/// One line: from which latency on, which share of the samples, and a bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// `1.05 ms`.
    pub(crate) from: String,
    /// `12.3 %`.
    pub(crate) share: String,
    /// As long as the share is large; the largest takes all the room.
    pub(crate) bar: String,
}

/// At most so many lines, with bars of at most so many characters.
pub(crate) fn lines(spectrum: &Spectrum, rows: usize, room: usize) -> Vec<Line> {
    let bars = spectrum.bars(rows);
    let total = spectrum.len().max(1) as f64;
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0).max(1);
    bars.into_iter()
        .map(|bar| {
            // What is there is seen, however little it is.
            let length = (bar.count * room as u64).div_ceil(most) as usize;
            Line {
                from: units::show_ns(bar.from_ns as f64),
                share: format!("{:.1} %", bar.count as f64 * 100.0 / total),
                bar: "█".repeat(length),
            }
        })
        .collect()
}

/// The accept histogram of one trial; nothing where it holds no histogram.
pub(super) fn accept(document: &mut Document, latency: &Latency) {
    let kept = latency.histogram.as_deref().map(histogram::decode);
    let Some(Ok(samples)) = kept else {
        return;
    };
    let (rows, room) = SUMMARY;
    let row =
        |line: Line| -> Vec<Cell> { vec![line.from.into(), line.share.into(), line.bar.into()] };
    let rows: Vec<Vec<Cell>> = lines(&Spectrum::of(&samples), rows, room)
        .into_iter()
        .map(row)
        .collect();
    if !rows.is_empty() {
        document.table(Table {
            header: names(["accept from", "share", "of those answered"]),
            numbers_from: 3,
            rows,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_its_room_and_a_single_answer_is_seen() {
        let mut samples = histogram::new();
        samples.record_n(1_000_000, 10_000).unwrap();
        samples.record(900_000_000).unwrap();
        let shown = lines(&Spectrum::of(&samples), 10, 20);
        let lengths: Vec<usize> = shown.iter().map(|line| line.bar.chars().count()).collect();
        assert_eq!(lengths.first(), Some(&20));
        assert_eq!(lengths.last(), Some(&1));
        // Nothing between the two is nothing, and is shown as that.
        assert!(
            lengths[1..lengths.len() - 1]
                .iter()
                .all(|length| *length == 0)
        );
        assert_eq!(shown[0].share, "100.0 %");
        assert!(lines(&Spectrum::default(), 10, 20).is_empty());
    }
}
