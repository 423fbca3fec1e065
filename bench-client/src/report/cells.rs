//! Every cell of a run with its settings, its validity and its blocks in run order: as data for the page, and as a
//! table for Markdown.

use super::document::{self, Document, names};
use super::format::{grouped, ns};
use super::places::Places;
use crate::claims::samples::Metric;
use crate::results::{Arrival, Cell, Percentile, Run, State, Trial};
use std::collections::BTreeMap;

/// One cell with all its trials, repetitions included, in run order.
pub(super) struct Ran<'r> {
    pub(super) cell: &'r Cell,
    /// Experiments that read it.
    pub(super) experiments: Vec<&'r str>,
    pub(super) trials: Vec<&'r Trial>,
}

/// Every cell, in the order in which they first ran.
pub(super) fn ran(run: &Run) -> Vec<Ran<'_>> {
    let mut cells: Vec<Ran<'_>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for trial in &run.trials {
        let at = *places.entry(&trial.cell.id).or_insert_with(|| {
            cells.push(Ran {
                cell: &trial.cell,
                experiments: Vec::new(),
                trials: Vec::new(),
            });
            cells.len() - 1
        });
        for name in std::iter::once(&trial.experiment).chain(&trial.shared_with) {
            if !cells[at].experiments.contains(&name.as_str()) {
                cells[at].experiments.push(name);
            }
        }
        cells[at].trials.push(trial);
    }
    cells
}

impl<'r> Ran<'r> {
    /// The cell's.
    pub(super) fn id(&self) -> &'r str {
        &self.cell.id
    }

    /// The attempts that count, block by block.
    pub(super) fn counted(&self) -> Vec<&'r Trial> {
        let mut of_blocks: BTreeMap<u32, &Trial> = BTreeMap::new();
        for trial in &self.trials {
            let counted = of_blocks.entry(trial.block).or_insert(trial);
            if trial.standing() >= counted.standing() {
                *counted = trial;
            }
        }
        of_blocks.into_values().collect()
    }

    /// Attempts that another one of the same block replaced.
    pub(super) fn repeated(&self) -> usize {
        self.trials.len() - self.counted().len()
    }

    /// `6 blocks: 4 VALID, 2 SUSPECT; 1 run again`.
    pub(super) fn validity(&self) -> String {
        let counted = self.counted();
        let states: Vec<String> = [State::Valid, State::Suspect, State::Invalid]
            .iter()
            .map(|state| {
                (
                    counted
                        .iter()
                        .filter(|t| t.validity.state == *state)
                        .count(),
                    state,
                )
            })
            .filter(|(n, _)| *n > 0)
            .map(|(n, state)| format!("{n} {state}"))
            .collect();
        let plural = if counted.len() == 1 { "" } else { "s" };
        let mut text = format!("{} block{plural}: {}", counted.len(), states.join(", "));
        if self.repeated() > 0 {
            text.push_str(&format!("; {} run again", self.repeated()));
        }
        text
    }

    /// Why its counted trials are not VALID, and what was found: each kind once, with how often.
    pub(super) fn reasons(&self) -> Vec<String> {
        let mut kinds: BTreeMap<String, (String, usize)> = BTreeMap::new();
        for trial in self.counted() {
            for reason in trial.validity.reasons.iter().chain(&trial.overloaded) {
                // Reasons that differ in their figures only are one kind.
                let kind = reason
                    .chars()
                    .filter(|c| !c.is_ascii_digit() && *c != '.')
                    .collect();
                kinds.entry(kind).or_insert((reason.clone(), 0)).1 += 1;
            }
        }
        let line = |(first, n): (String, usize)| match n {
            1 => first,
            n => format!("{first} (and {} more like it)", n - 1),
        };
        kinds.into_values().map(line).collect()
    }

    /// What its blocks are compared by.
    pub(super) fn figure(&self) -> Figure {
        let phased = self
            .trials
            .iter()
            .any(|t| t.phases.iter().any(|p| p.name == "slow"));
        match self.cell.arrival {
            Arrival::Closed => Figure::Throughput,
            _ if phased => Figure::SlowAcceptP50,
            _ => Figure::AcceptP50,
        }
    }
}

/// The figure that stands for one trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    Throughput,
    AcceptP50,
    SlowAcceptP50,
}

impl Figure {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Throughput => "orders/s",
            Self::AcceptP50 => "accept p50",
            Self::SlowAcceptP50 => "accept p50 while slow",
        }
    }

    pub(super) fn of(self, trial: &Trial) -> Option<f64> {
        let sample = match self {
            Self::Throughput => Metric::Throughput.of(trial),
            Self::AcceptP50 => Metric::AcceptP50.of(trial),
            Self::SlowAcceptP50 => {
                let slow = trial.phases.iter().find(|p| p.name == "slow")?;
                crate::claims::samples::percentile(&slow.accept_ns, Percentile::P50)
            }
        };
        sample.map(|s| s.value).filter(|v| *v > 0.0)
    }

    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Throughput => grouped(value),
            Self::AcceptP50 | Self::SlowAcceptP50 => ns(value),
        }
    }
}

/// JSON over REST, protobuf over everything else.
pub(super) fn is_default_format(cell: &Cell) -> bool {
    let plain = if cell.transport == "rest" {
        "json"
    } else {
        "protobuf"
    };
    cell.format == plain
}

/// What sets a cell apart, name and value.
pub(super) fn settings(cell: &Cell) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            out.push((name.to_string(), value));
        }
    };
    add("transport", Some(cell.transport.clone()));
    add("HTTP", cell.http.clone());
    add("format", Some(cell.format.clone()));
    add("payload", Some(cell.payload.clone()));
    add("durability", Some(cell.durability.clone()));
    add("in flight", cell.in_flight.map(|n| n.to_string()));
    add("rate", cell.rate_per_s.map(|rate| format!("{rate}/s")));
    let spacing = match cell.arrival {
        Arrival::Closed => "closed loop",
        Arrival::Constant => "open loop, even",
        Arrival::Poisson => "open loop, Poisson",
        Arrival::Planned => "open loop, planned",
    };
    add("arrival", Some(spacing.into()));
    add(
        "at most in flight",
        cell.max_in_flight.map(|n| n.to_string()),
    );
    add("connections", cell.connections.map(|n| n.to_string()));
    add("slowness", cell.slow.clone());
    add("workers", cell.workers.map(|n| n.to_string()));
    add("deadline", cell.timeout_ms.map(|ms| format!("{ms} ms")));
    add("arm", cell.arm.clone());
    for (name, value) in &cell.factors {
        add(name, Some(value.clone()));
    }
    out
}

/// Every cell, for Markdown, each under the anchor that verdicts link to.
pub(super) fn table(document: &mut Document, run: &Run) {
    let cells = ran(run);
    if cells.is_empty() {
        return;
    }
    document.heading("Every cell, with its blocks in run order");
    document.text(format!(
        "A block in (brackets) is SUSPECT, a struck one INVALID; attempts that another one stands in for are counted and left out. Seed {}.",
        run.manifest.seed
    ));
    let places = Places::of(cells.iter().map(Ran::id));
    let row = |ran: &Ran<'_>| -> Vec<document::Cell> {
        let words: Vec<String> = settings(ran.cell)
            .into_iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        let figure = ran.figure();
        let anchor = places.anchor(&ran.cell.id).unwrap_or_default();
        let blocks: Vec<String> = ran
            .counted()
            .into_iter()
            .map(|t| {
                let value = figure.of(t).map_or("–".into(), |v| figure.show(v));
                match t.validity.state {
                    State::Valid => value,
                    State::Suspect => format!("({value})"),
                    State::Invalid => format!("~~{value}~~"),
                }
            })
            .collect();
        vec![
            format!("<a id=\"{anchor}\"></a>`{}`", ran.cell.id).into(),
            ran.experiments.join(", ").into(),
            words.join(", ").into(),
            ran.validity().into(),
            format!("{}: {}", figure.name(), blocks.join(" · ")).into(),
        ]
    };
    document.table(document::Table {
        header: names(["cell", "experiments", "settings", "validity", "blocks"]),
        numbers_from: 5,
        rows: cells.iter().map(row).collect(),
    });
}
