//! The rows of a forest: each named by its metric and load, and told apart from the others where that is not enough.

use super::{experiment, is_claimed, other};
use crate::report::charts::style;
use crate::report::format::{interval, metric};
use crate::results::{Arrival, Cell, Ratio, Run};
use std::collections::{BTreeMap, BTreeSet};

/// A ratio, ready to draw.
pub(super) struct Row {
    pub(super) name: String,
    /// What else is known of its cells.
    traits: Traits,
    pub(super) figures: String,
    pub(super) colour: &'static str,
    pub(super) point: f64,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    pub(super) blocks: Vec<f64>,
}

/// What tells cells apart that a row's name does not say: by its place (the most telling first) and what it is of.
type Traits = BTreeMap<(usize, String), String>;

/// A row of each ratio, no two of one name.
pub(super) fn rows(run: &Run, ratios: &[&Ratio]) -> Vec<Row> {
    let trials = run.trials.iter();
    let cells: BTreeMap<&str, &Cell> = trials.map(|t| (t.cell.id.as_str(), &t.cell)).collect();
    let mut rows: Vec<Row> = ratios.iter().map(|ratio| Row::new(ratio, &cells)).collect();
    tell_apart(&mut rows);
    rows
}

impl Row {
    fn new(ratio: &Ratio, cells: &BTreeMap<&str, &Cell>) -> Self {
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
            traits: traits(ratio, cells),
            figures,
            colour: style::transport(other(ratio)),
            point: ratio.point.unwrap_or(1.0),
            low: ratio.low,
            high: ratio.high,
            blocks: ratio.per_block.clone(),
        }
    }
}

/// Adds to names that several rows share what these rows differ in, and no more than it takes.
fn tell_apart(rows: &mut [Row]) {
    let keys: BTreeSet<(usize, String)> = rows
        .iter()
        .flat_map(|row| row.traits.keys().cloned())
        .collect();
    for key in keys {
        let added: Vec<Option<String>> = rows
            .iter()
            .map(|row| {
                let mine = row.traits.get(&key);
                let differs =
                    |other: &Row| other.name == row.name && other.traits.get(&key) != mine;
                mine.filter(|_| rows.iter().any(differs)).cloned()
            })
            .collect();
        for (row, words) in rows.iter_mut().zip(added) {
            if let Some(words) = words {
                row.name.push_str(&format!(", {words}"));
            }
        }
    }
}

fn traits(ratio: &Ratio, cells: &BTreeMap<&str, &Cell>) -> Traits {
    let ids = [ratio.numerator.as_str(), ratio.denominator.as_str()];
    let sides: Vec<&Cell> = ids.iter().filter_map(|id| cells.get(id).copied()).collect();
    let factors: BTreeSet<&str> = sides
        .iter()
        .flat_map(|cell| cell.factors.keys().map(String::as_str))
        .collect();
    let mut traits = Traits::new();
    let mut add = |place: usize, name: &str, words: Option<String>| {
        if let Some(words) = words {
            traits.insert((place, name.to_string()), words);
        }
    };
    let class = |cell: &Cell| Some(format!("class {}", cell.durability));
    add(0, "durability", of_both(&sides, class));
    let connections = |cell: &Cell| Some(count(cell.connections?, "connection"));
    add(1, "connections", of_both(&sides, connections));
    for name in factors {
        let place = match name {
            "tls" => 2,
            "topology" => 3,
            "fault" => 4,
            _ => 5,
        };
        let factor = |cell: &Cell| {
            let value = cell.factors.get(name)?;
            Some(match name {
                "tls" => format!("TLS {value}"),
                "topology" | "fault" => value.clone(),
                _ => format!("{name} {value}"),
            })
        };
        add(place, name, of_both(&sides, factor));
    }
    add(6, "arrival", of_both(&sides, arrival));
    let workers = |cell: &Cell| Some(count(cell.workers?, "worker"));
    add(6, "workers", of_both(&sides, workers));
    add(7, "experiment", experiment(ratio).map(String::from));
    // Cells of a name differ in something.
    add(8, "cells", Some(ids.join(" ÷ ")));
    traits
}

fn arrival(cell: &Cell) -> Option<String> {
    let spacing = match cell.arrival {
        Arrival::Closed => return None,
        Arrival::Constant => "evenly spaced",
        Arrival::Poisson => "Poisson",
        Arrival::Planned => "planned",
    };
    Some(spacing.into())
}

/// What both sides say alike, once; else what each says, under its name.
fn of_both(sides: &[&Cell], read: impl Fn(&Cell) -> Option<String>) -> Option<String> {
    let said: Vec<(&str, String)> = sides
        .iter()
        .copied()
        .filter_map(|cell| Some((cell.transport.as_str(), read(cell)?)))
        .collect();
    match said.as_slice() {
        [] => None,
        [(_, one), (_, other)] if one == other => Some(one.clone()),
        apart => {
            let apart = apart.iter().map(|(side, words)| format!("{side} {words}"));
            Some(apart.collect::<Vec<_>>().join(", "))
        }
    }
}

pub(super) fn count(n: u32, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Trial;

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
