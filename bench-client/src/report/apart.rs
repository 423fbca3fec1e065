//! Tells ratios apart whose names are one: by what else is known of their cells, and by no more of it than it takes.

use super::format::count;
use crate::results::{Arrival, Cell, Ratio, Run};
use std::collections::{BTreeMap, BTreeSet};

/// What tells cells apart that a row's name does not say: by its place (the most telling first) and what it is of.
type Traits = BTreeMap<(usize, String), String>;

/// Adds to names that several ratios share what these differ in. A name may stand for the metrics of one pair of cells.
pub(super) fn tell_apart(run: &Run, ratios: &[&Ratio], names: &mut [String]) {
    let trials = run.trials.iter();
    let cells: BTreeMap<&str, &Cell> = trials.map(|t| (t.cell.id.as_str(), &t.cell)).collect();
    let traits: Vec<Traits> = ratios.iter().map(|ratio| traits(ratio, &cells)).collect();
    let keys: BTreeSet<&(usize, String)> = traits.iter().flat_map(BTreeMap::keys).collect();
    for key in keys {
        let of_name = values_of_names(names, &traits, key);
        let added: Vec<bool> = names.iter().map(|name| of_name[name].len() > 1).collect();
        for ((name, traits), added) in names.iter_mut().zip(&traits).zip(added) {
            if let Some(words) = traits.get(key).filter(|_| added) {
                name.push_str(&format!(", {words}"));
            }
        }
    }
}

/// What the ratios of each name say of one trait.
fn values_of_names<'t>(
    names: &[String],
    traits: &'t [Traits],
    key: &(usize, String),
) -> BTreeMap<String, BTreeSet<Option<&'t String>>> {
    let mut values: BTreeMap<String, BTreeSet<Option<&String>>> = BTreeMap::new();
    for (name, traits) in names.iter().zip(traits) {
        values
            .entry(name.clone())
            .or_default()
            .insert(traits.get(key));
    }
    values
}

/// The run's ratios, no two pairs of cells under one name.
pub(super) fn told_apart(run: &Run) -> Vec<Ratio> {
    let ratios: Vec<&Ratio> = run.ratios.iter().collect();
    let mut names: Vec<String> = ratios.iter().map(|ratio| ratio.name.clone()).collect();
    tell_apart(run, &ratios, &mut names);
    let named = |(ratio, name): (&&Ratio, String)| Ratio {
        name,
        ..(*ratio).clone()
    };
    ratios.iter().zip(names).map(named).collect()
}

/// The experiment that a ratio is of.
pub(super) fn experiment(ratio: &Ratio) -> Option<&str> {
    ratio
        .name
        .split_once(", ")
        .map(|(experiment, _)| experiment)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Trial;

    #[test]
    fn pairs_of_cells_differ_in_name_and_metrics_of_one_pair_do_not() {
        let mut run = Run::default();
        for class in ["none", "process"] {
            let ids = ["queue", "rest"].map(|transport| format!("{transport}-{class}"));
            run.trials.extend(ids.iter().map(|id| Trial {
                cell: Cell {
                    id: id.clone(),
                    transport: id.split('-').next().unwrap_or_default().into(),
                    durability: class.into(),
                    ..Cell::default()
                },
                ..Trial::default()
            }));
            let [numerator, denominator] = ids;
            run.ratios
                .extend(["accept_p50", "accept_p99"].map(|metric| Ratio {
                    name: "durability, O3, 1000/s: queue ÷ rest".into(),
                    numerator: numerator.clone(),
                    denominator: denominator.clone(),
                    metric: metric.into(),
                    ..Ratio::default()
                }));
        }
        let names: Vec<String> = told_apart(&run).into_iter().map(|r| r.name).collect();
        let of = |class| format!("durability, O3, 1000/s: queue ÷ rest, class {class}");
        assert_eq!(names, ["none", "none", "process", "process"].map(of));
        run.ratios.truncate(2);
        assert_eq!(told_apart(&run), run.ratios, "one pair needs no more");
    }
}
