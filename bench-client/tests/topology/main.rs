//! Services that call services, over the real brokers, through the program: every ledger joined, faults on a schedule,
//! and nothing left behind. Counts, ledgers and structure, never a time.

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod ledgers;

use assert_cmd::Command;
use bench_client::stack::Brokers;
use bench_host::cpu::with_descendants;
use bench_transport::{Settings, Transport, queue, stream};
use common::{json, without_brokers};
use predicates::prelude::*;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A front that awaits the stock over gRPC and then publishes to the mailer over a broker.
fn shop(folder: &Path, broker: &str, stock: &str) -> PathBuf {
    let topology = serde_json::json!({
        "name": "shop",
        "services": [
            {"name": "front"},
            {"name": "stock", "slow": stock},
            {"name": "mailer", "slow": "1ms"},
        ],
        "edges": [
            {"from": "front", "to": "stock", "transport": "grpc"},
            {"from": "front", "to": "mailer", "transport": broker, "way": "publish"},
        ],
    });
    let file = folder.join(format!("shop-{broker}.json"));
    std::fs::write(&file, topology.to_string()).unwrap();
    file
}

/// A front that awaits the stock over gRPC, and no more.
fn pair(folder: &Path, stock: &str) -> PathBuf {
    let topology = serde_json::json!({
        "name": "pair",
        "services": [{"name": "front"}, {"name": "stock", "slow": stock}],
        "edges": [{"from": "front", "to": "stock", "transport": "grpc", "timeout": "2s"}],
    });
    let file = folder.join("pair.json");
    std::fs::write(&file, topology.to_string()).unwrap();
    file
}

/// Runs `load --json` on a topology and returns the trial.
fn load(topology: &Path, arguments: &[&str]) -> Value {
    let file = topology
        .to_str()
        .expect("a temporary folder has a plain name");
    let what = ["load", "--json", "--transport", "rest", "--topology", file];
    let (trial, _) = json(&[&what[..], arguments].concat());
    trial
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a count: {value}"))
}

fn list(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("a list: {value}"))
}

/// How many orders reached exactly these services.
fn reached(trial: &Value, services: &[&str]) -> u64 {
    let of = list(&trial["reached"])
        .iter()
        .find(|one| one["services"] == serde_json::json!(services));
    of.map_or(0, |one| count(&one["orders"]))
}

fn reasons(trial: &Value) -> String {
    trial["validity"]["reasons"].to_string()
}
