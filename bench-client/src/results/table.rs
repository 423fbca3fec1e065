//! A table that an experiment's analysis made: plain data, stored in the run and printed as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One table of an analysis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// The experiment whose analysis made it.
    pub experiment: String,
    /// What it shows, in words.
    pub title: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// As many values in each row as there are columns.
    pub rows: Vec<Vec<Value>>,
    /// How to read it, and what it rests on; empty where nothing needs saying.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// One column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    /// What is in it.
    pub name: String,
    /// Unit of its numbers (`µs`, `×`, `1/s`); empty for text and for counts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A name or a sentence.
    Text(String),
    /// A figure without an interval: a count, a setting, something computed.
    Number(f64),
    /// A figure with its interval; an end that is not known is absent.
    Interval {
        /// The point.
        point: f64,
        /// Lower end.
        low: Option<f64>,
        /// Upper end.
        high: Option<f64>,
    },
    /// There is none, and why.
    Missing(String),
}

impl Table {
    /// An empty table; `columns` are names with units (empty for none).
    pub fn new(experiment: &str, title: impl Into<String>, columns: &[(&str, &str)]) -> Self {
        let column = |(name, unit): &(&str, &str)| Column {
            name: (*name).into(),
            unit: (*unit).into(),
        };
        Self {
            experiment: experiment.into(),
            title: title.into(),
            columns: columns.iter().map(column).collect(),
            rows: Vec::new(),
            note: String::new(),
        }
    }

    /// The table with a note.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Adds a row of as many values as there are columns.
    pub fn push(&mut self, row: Vec<Value>) {
        debug_assert_eq!(row.len(), self.columns.len(), "a row of `{}`", self.title);
        self.rows.push(row);
    }
}

impl Value {
    /// A figure; missing where it is not finite, which JSON cannot hold.
    pub fn number(value: f64) -> Self {
        if value.is_finite() {
            Self::Number(value)
        } else {
            Self::Missing("not a finite number".into())
        }
    }

    /// A figure that may be missing, for this reason.
    pub fn maybe(value: Option<f64>, why_not: &str) -> Self {
        value.map_or_else(|| Self::missing(why_not), Self::number)
    }

    /// A point with its interval; ends that are not finite stay open.
    pub fn interval(point: f64, ends: Option<(f64, f64)>) -> Self {
        if !point.is_finite() {
            return Self::number(point);
        }
        let end = |end: Option<f64>| end.filter(|end| end.is_finite());
        Self::Interval {
            point,
            low: end(ends.map(|(low, _)| low)),
            high: end(ends.map(|(_, high)| high)),
        }
    }

    /// There is none, and why.
    pub fn missing(why: impl Into<String>) -> Self {
        Self::Missing(why.into())
    }
}

impl<T: Into<String>> From<T> for Value {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_comes_back_from_json() {
        let mut table = Table::new("capacity", "t", &[("name", ""), ("cost", "µs")]).with_note("n");
        for value in [
            Value::from("x"),
            Value::number(1.5),
            Value::interval(2.0, Some((1.0, f64::INFINITY))),
            Value::interval(2.0, None),
            Value::number(f64::NAN),
            Value::maybe(None, "too few samples"),
        ] {
            table.push(vec!["row".into(), value]);
        }
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<Table>(&json).unwrap(), table);
    }
}
