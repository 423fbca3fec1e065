//! The scope that every verdict's sentence carries: language, network, cores, payload, load, durability, brokers, suite.

use crate::results::{Cell, Run};

/// The scope of a run, as far as the given cells reach:
/// `Rust, loopback, 2 cores, O3, 2000/s, durability process, RabbitMQ 3.10.8, quick suite`.
pub fn scope(run: &Run, cells: &[String]) -> String {
    let m = &run.manifest;
    let network = if m.network.is_empty() {
        "loopback"
    } else {
        &m.network
    };
    let mut words = vec!["Rust".to_string(), network.to_string()];
    if let Some(cores) = m.cores() {
        words.push(format!("{cores} cores"));
    }
    let used = || {
        run.trials
            .iter()
            .map(|t| &t.cell)
            .filter(|cell| cells.contains(&cell.id))
    };
    words.extend(distinct(used().map(|cell| cell.payload.clone())));
    words.extend(distinct(used().filter_map(load)));
    words.extend(distinct(
        used().map(|cell| format!("durability {}", cell.durability)),
    ));
    let brokers = m
        .brokers
        .iter()
        .filter(|(transport, _)| used().any(|cell| goes_over(cell, transport)));
    for (transport, broker) in brokers {
        words.push(if several_instances(run, transport) {
            broker.clone()
        } else {
            format!("{broker} (this instance)")
        });
    }
    if !m.suite.is_empty() {
        words.push(format!("{} suite", m.suite));
    }
    words.join(", ")
}

/// Four instances and three restarts, each steady before it was measured: else a figure is one instance's
/// (docs/METHOD.md, CPU).
const INSTANCES: usize = 4;

fn several_instances(run: &Run, transport: &str) -> bool {
    let of_it = || {
        run.manifest
            .warm_ups
            .iter()
            .filter(|warm_up| warm_up.transport == transport)
    };
    of_it().count() >= INSTANCES && of_it().all(|warm_up| warm_up.steady)
}

/// Whether its user, or one of its services, calls over this transport.
fn goes_over(cell: &Cell, transport: &str) -> bool {
    let calls = cell.factors.get("calls").map_or("", String::as_str);
    let mut words = calls.split([',', ' ']);
    cell.transport == transport || words.any(|word| word == transport)
}

fn load(cell: &Cell) -> Option<String> {
    match (cell.in_flight, cell.rate_per_s) {
        (Some(n), _) => Some(format!("{n} in flight")),
        _ if cell.factors.contains_key("rate") => Some(format!("{}/s", cell.factors["rate"])),
        (_, Some(rate)) => Some(format!("{rate:.0}/s")),
        _ => None,
    }
}

/// Each once, in the order of first appearance, as one phrase.
fn distinct(values: impl Iterator<Item = String>) -> Option<String> {
    let mut seen: Vec<String> = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    (!seen.is_empty()).then(|| seen.join(" and "))
}
