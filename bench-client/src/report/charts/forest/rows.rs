//! The rows of a forest: each named by its metric and load, and told apart from the others where that is not enough.

use super::{is_claimed, other};
use crate::report::apart::tell_apart;
use crate::report::charts::style;
use crate::report::format::{interval, metric};
use crate::results::{Ratio, Run};

/// A ratio, ready to draw.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) figures: String,
    pub(super) colour: &'static str,
    pub(super) point: f64,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    pub(super) blocks: Vec<f64>,
}

/// A row of each ratio, no two of one name.
pub(super) fn rows(run: &Run, ratios: &[&Ratio]) -> Vec<Row> {
    let mut rows: Vec<Row> = ratios.iter().map(|ratio| Row::new(ratio)).collect();
    let mut names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    tell_apart(run, ratios, &mut names);
    for (row, name) in rows.iter_mut().zip(names) {
        row.name = name;
    }
    rows
}

impl Row {
    fn new(ratio: &Ratio) -> Self {
        let (load, _) = ratio.name.split_once(": ").unwrap_or((&ratio.name, ""));
        let load = load.split_once(", ").map_or(load, |(_, load)| load);
        let what = metric(&ratio.metric);
        // Where all rows are gRPC's, the axis says so.
        let who = if is_claimed(ratio) {
            String::new()
        } else {
            format!("{} ", other(ratio))
        };
        let figures = match (ratio.low, ratio.high) {
            (None, None) => "no bound".into(),
            _ => interval(ratio.low, ratio.high, ""),
        };
        Self {
            name: format!("{who}{what}, {load}"),
            figures,
            colour: style::transport(other(ratio)),
            point: ratio.point.unwrap_or(1.0),
            low: ratio.low,
            high: ratio.high,
            blocks: ratio.per_block.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Arrival, Cell, Trial};

    fn cell(id: &str, change: impl FnOnce(&mut Cell)) -> Cell {
        let mut cell = Cell {
            id: id.into(),
            transport: id.split('-').next().unwrap_or_default().into(),
            durability: "none".into(),
            arrival: Arrival::Constant,
            connections: Some(32),
            ..Cell::default()
        };
        change(&mut cell);
        cell
    }

    fn ratio(experiment: &str, numerator: &str, denominator: &str) -> Ratio {
        Ratio {
            name: format!("{experiment}, O3, 1000/s: rest ÷ grpc"),
            numerator: numerator.into(),
            denominator: denominator.into(),
            metric: "accept_p50".into(),
            point: Some(1.0),
            ..Ratio::default()
        }
    }

    /// The rows of such pairs of cells, by name.
    fn named(pairs: Vec<(&str, [Cell; 2])>) -> Vec<String> {
        let mut run = Run::default();
        for (experiment, [rest, grpc]) in pairs {
            run.ratios.push(ratio(experiment, &rest.id, &grpc.id));
            run.trials.extend([rest, grpc].map(|cell| Trial {
                cell,
                ..Trial::default()
            }));
        }
        let ratios: Vec<&Ratio> = run.ratios.iter().collect();
        let rows = rows(&run, &ratios).into_iter();
        rows.map(|row| row.name).collect()
    }

    fn pair(suffix: &str, change: impl Fn(&mut Cell)) -> [Cell; 2] {
        ["rest", "grpc"].map(|transport| cell(&format!("{transport}-{suffix}"), &change))
    }

    #[test]
    fn a_row_that_is_alone_says_no_more_than_its_load() {
        let found = named(vec![("ladder", pair("plain", |_| ()))]);
        assert_eq!(found, ["accept p50, O3, 1000/s"]);
    }

    #[test]
    fn rows_of_one_load_say_what_they_differ_in_and_no_more() {
        let found = named(vec![
            ("durability", pair("none", |_| ())),
            (
                "durability",
                pair("process", |c| c.durability = "process".into()),
            ),
            ("connections", pair("one", |c| c.connections = Some(1))),
            (
                "tls",
                pair("tls", |c| {
                    c.factors.insert("tls".into(), "1.3".into());
                }),
            ),
        ]);
        assert_eq!(
            found,
            [
                "accept p50, O3, 1000/s, class none, 32 connections",
                "accept p50, O3, 1000/s, class process",
                "accept p50, O3, 1000/s, class none, 1 connection",
                "accept p50, O3, 1000/s, class none, 32 connections, TLS 1.3",
            ]
        );
        let found = named(vec![
            (
                "chain",
                pair("fail", |c| {
                    c.factors.insert("topology".into(), "chain-5-fail".into());
                }),
            ),
            (
                "chain",
                pair("smooth", |c| {
                    c.factors.insert("topology".into(), "chain-5-smooth".into());
                }),
            ),
        ]);
        assert_eq!(
            found,
            [
                "accept p50, O3, 1000/s, chain-5-fail",
                "accept p50, O3, 1000/s, chain-5-smooth"
            ]
        );
    }

    #[test]
    fn what_only_one_side_has_is_said_of_that_side() {
        let [rest, grpc] = pair("kept", |_| ());
        let per_call = cell("rest-per-call", |c| {
            c.factors.insert("connecting".into(), "per-call".into());
        });
        let found = named(vec![
            ("connections", [rest, grpc.clone()]),
            ("connections", [per_call, grpc]),
        ]);
        assert_eq!(
            found,
            [
                "accept p50, O3, 1000/s",
                "accept p50, O3, 1000/s, rest connecting per-call"
            ]
        );
    }

    #[test]
    fn rows_that_differ_in_nothing_else_name_their_experiments_or_their_cells() {
        let found = named(vec![
            ("ladder", pair("a", |_| ())),
            ("rpc", pair("b", |_| ())),
            ("rpc", pair("c", |_| ())),
        ]);
        assert_eq!(
            found,
            [
                "accept p50, O3, 1000/s, ladder",
                "accept p50, O3, 1000/s, rpc, rest-b ÷ grpc-b",
                "accept p50, O3, 1000/s, rpc, rest-c ÷ grpc-c",
            ]
        );
    }
}
