//! The tables that the experiments' analyses left in the run, as they are.

use super::document::{Cell, Document, Table, Tone};
use super::format::{NOTHING, interval};
use crate::claims::part::number;
use crate::results::{self, Run, Value};

/// Each table with its note; why a value is missing is said below it, each reason once.
pub(super) fn tables(document: &mut Document, run: &Run) {
    for table in run.tables.iter().filter(|table| !table.rows.is_empty()) {
        document.heading(format!("`{}`: {}", table.experiment, table.title));
        document.table(Table {
            header: table.columns.iter().map(heading).collect(),
            numbers_from: numbers_from(table),
            rows: table
                .rows
                .iter()
                .map(|row| row.iter().map(show).collect())
                .collect(),
        });
        if !table.note.is_empty() {
            document.text(table.note.as_str());
        }
        let mut reasons: Vec<&str> = Vec::new();
        for value in table.rows.iter().flatten() {
            match value {
                Value::Missing(why) if !reasons.contains(&why.as_str()) => reasons.push(why),
                _ => {}
            }
        }
        if !reasons.is_empty() {
            document.text(format!("{NOTHING}: {}.", reasons.join("; ")));
        }
    }
}

fn heading(column: &results::Column) -> String {
    if column.unit.is_empty() {
        column.name.clone()
    } else {
        format!("{}\n{}", column.name, column.unit)
    }
}

/// Leading columns of nothing but text name the row.
fn numbers_from(table: &results::Table) -> usize {
    let is_text = |at: usize| {
        table
            .rows
            .iter()
            .all(|row| matches!(row.get(at), Some(Value::Text(_)) | None))
    };
    (0..table.columns.len())
        .find(|at| !is_text(*at))
        .unwrap_or(table.columns.len())
}

fn show(value: &Value) -> Cell {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Number(value) => plain(*value).into(),
        Value::Interval { point, low, high } => match (low, high) {
            (None, None) => plain(*point).into(),
            _ => format!("{} {}", plain(*point), interval(*low, *high, "")).into(),
        },
        Value::Missing(_) => Cell {
            text: NOTHING.into(),
            tone: Tone::Doubtful,
        },
    }
}

/// Whole numbers stay whole; the rest has three digits.
fn plain(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        format!("{value:.0}")
    } else {
        number(value)
    }
}
