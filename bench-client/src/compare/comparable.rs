//! Whether two runs may be set against each other: what differs between them beside what was measured. Another machine,
//! other brokers, other settings or a build that nobody can make again would be compared, and not the product.

use super::by_id;
use crate::account::flatten;
use crate::results::{Cell, Manifest, Run, Trial};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Something that differs between two runs and forbids to compare them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// What it is.
    pub what: String,
    /// In the first run.
    pub first: String,
    /// In the second.
    pub second: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} against {}", self.what, self.first, self.second)
    }
}

/// Facts of the machine that a figure depends on. What changes by the hour (load, free memory) is not among them.
const MACHINE: [&str; 10] = [
    "architecture",
    "clocksource",
    "cpu_model",
    "cpus_allowed",
    "cpus_online",
    "governor",
    "hardware_threads",
    "kernel",
    "turbo",
    "virtualisation",
];

/// Settings that say what was run and what became of it, not how: which cells both have is seen from the cells.
const OF_THE_PLAN: [&str; 11] = [
    "blocks",
    "broker restarts",
    "disturbed parts of blocks not run again for lack of time",
    "experiments",
    "longest warm-up",
    "patience",
    "plan",
    "re-runs of a disturbed part of a block at most",
    "transports",
    "trials run again",
    "waited for a quieter machine",
];

/// What stands for a run's own name in its settings.
const SCOPE: &str = "service.service.scope";

const UNKNOWN: &str = "unknown";

/// Everything that forbids to compare the two; empty where nothing does.
pub fn differences(first: &Run, second: &Run) -> Vec<Difference> {
    let mut found = Found::default();
    let manifests = [&first.manifest, &second.manifest];
    let [a, b] = manifests;
    for name in MACHINE {
        found.compare(name, a.machine.get(name), b.machine.get(name));
    }
    let memory = |m: &Manifest| m.machine.get("memory_bytes").map(|bytes| gib(bytes));
    found.compare("memory", memory(a).as_ref(), memory(b).as_ref());
    found.compare("placement", Some(&a.placement), Some(&b.placement));
    found.compare("network", Some(&a.network), Some(&b.network));
    found.compare("suite", Some(&a.suite), Some(&b.suite));
    if manifests.iter().any(|m| m.dirty == Some(true)) {
        found.push("build", build(a), build(b));
    }
    let shared = shared_cells(first, second);
    let over: BTreeSet<&str> = shared
        .iter()
        .map(|(cell, ..)| cell.transport.as_str())
        .collect();
    for broker in ["queue", "stream"] {
        if over.contains(broker) {
            let name = format!("broker of {broker}");
            found.compare(&name, a.brokers.get(broker), b.brokers.get(broker));
        }
    }
    let settings = manifests.map(|m| relevant(m, &over));
    found.compare_all("setting", &settings[0], &settings[1]);
    for (_, before, after) in shared {
        let cells = [before, after].map(|trial| described(&trial.cell));
        found.compare_all(&format!("cell {}", before.cell.id), &cells[0], &cells[1]);
        let in_force = [before, after].map(in_force);
        found.compare_all("in force", &in_force[0], &in_force[1]);
    }
    found.into_list()
}

/// What differs and is the very thing that one may want to compare, or only asks for care.
pub(super) fn notes(first: &Run, second: &Run) -> Vec<String> {
    let [a, b] = [&first.manifest, &second.manifest];
    let mut notes = Vec::new();
    if a.commit != b.commit || a.version != b.version {
        notes.push(format!("builds: {} against {}", build(a), build(b)));
    }
    let mut libraries = Found::default();
    libraries.compare_all("library", &a.libraries, &b.libraries);
    notes.extend(libraries.into_list().iter().map(ToString::to_string));
    if !super::plans_match([first, second]) {
        notes.push(
            "the plans or their seeds differ: trials are not paired, and the intervals are Welch's over unpaired trials"
                .into(),
        );
    }
    for (manifest, which) in [(a, "first"), (b, "second")] {
        // A lone `load` has nowhere to say so.
        if !manifest.exclusive && manifest.suite != "load" {
            notes.push(format!(
                "nobody said that nothing else ran during the {which} run (--exclusive)"
            ));
        }
    }
    notes
}

#[derive(Default)]
struct Found(BTreeSet<Difference>);

impl Found {
    fn push(&mut self, what: &str, first: String, second: String) {
        self.0.insert(Difference {
            what: what.into(),
            first,
            second,
        });
    }

    fn compare(&mut self, what: &str, first: Option<&String>, second: Option<&String>) {
        if first != second {
            let show = |value: Option<&String>| value.map_or(UNKNOWN.into(), Clone::clone);
            self.push(what, show(first), show(second));
        }
    }

    fn compare_all(
        &mut self,
        of: &str,
        first: &BTreeMap<String, String>,
        second: &BTreeMap<String, String>,
    ) {
        let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
        for name in names {
            self.compare(&format!("{of}: {name}"), first.get(name), second.get(name));
        }
    }

    fn into_list(self) -> Vec<Difference> {
        self.0.into_iter().collect()
    }
}

fn build(manifest: &Manifest) -> String {
    let commit = manifest.commit.as_deref().unwrap_or("an unknown commit");
    let short = commit.get(..12).unwrap_or(commit);
    match manifest.dirty {
        Some(true) => format!(
            "{} ({short}, with changes that no commit holds)",
            manifest.version
        ),
        _ => format!("{} ({short})", manifest.version),
    }
}

fn gib(bytes: &str) -> String {
    match bytes.parse::<f64>() {
        Ok(bytes) => format!("{:.0} GiB", bytes / 1024.0f64.powi(3)),
        Err(_) => bytes.into(),
    }
}

/// Every cell that both have, with a trial of each.
fn shared_cells<'r>(first: &'r Run, second: &'r Run) -> Vec<(&'r Cell, &'r Trial, &'r Trial)> {
    let theirs = by_id(second);
    by_id(first)
        .into_iter()
        .filter_map(|mine| {
            let other = theirs.iter().find(|c| c.cell.id == mine.cell.id)?;
            // What could not be run has nothing in force.
            let (before, after) = (mine.kept().next()?, other.kept().next()?);
            Some((mine.cell, before, after))
        })
        .collect()
}

/// The settings that bear on cells over these transports. Where a broker listens is no setting.
fn relevant(manifest: &Manifest, over: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let (queue, stream) = (over.contains("queue"), over.contains("stream"));
    let bears = |name: &str| match name {
        name if OF_THE_PLAN.contains(&name) => false,
        // How the brokers' warm-up went, in older runs.
        name if name.starts_with("warm-up ") => false,
        name if ["_brokers", "_state"].iter().any(|end| name.ends_with(end)) => false,
        // Native or in containers: it is the brokers that the stack starts.
        "stack" => queue || stream,
        name if name.starts_with("rabbitmq") => queue,
        name if name.starts_with("kafka") => stream,
        _ => true,
    };
    manifest
        .settings
        .iter()
        .filter(|(name, _)| bears(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn described(cell: &Cell) -> BTreeMap<String, String> {
    let mut cell = cell.clone();
    if cell.factors.contains_key("share_of_capacity") {
        // A share of what each run found for itself.
        cell.rate_per_s = None;
    }
    let value = serde_json::to_value(cell).unwrap_or_default();
    flatten("", &value)
        .into_iter()
        .map(|(name, value)| (name.trim_start_matches('.').to_string(), value))
        .collect()
}

/// What was in force in a trial, without what names the run: exchanges, queues and topics carry its scope.
fn in_force(trial: &Trial) -> BTreeMap<String, String> {
    let scope = trial
        .in_force
        .get(SCOPE)
        .filter(|scope| !scope.is_empty())
        .cloned();
    let neutral = |value: &String| match &scope {
        Some(scope) => value.replace(scope.as_str(), "SCOPE"),
        None => value.clone(),
    };
    trial
        .in_force
        .iter()
        // The seed decides pairing, the version and the cores stand in the manifest.
        .filter(|(name, _)| {
            ![".seed", ".version", ".cpus"]
                .iter()
                .any(|end| name.ends_with(end))
        })
        .map(|(name, value)| (name.clone(), neutral(value)))
        .collect()
}
