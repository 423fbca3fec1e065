//! The experiments that compare transports on one matched configuration.

use super::support::{self, and_brokers, count, list, rows, sound_with, with_brokers};
use serde_json::Value;
use std::collections::BTreeMap;

const SYNC: &str = "tcp,rest,grpc";

fn sound(experiment: &str, tables: usize) -> Value {
    support::sound_beside_another(experiment, &and_brokers(SYNC), tables)
}

/// For figures that a disturbed trial does not have.
fn sound_alone(experiment: &str, tables: usize) -> Value {
    support::sound(experiment, &and_brokers(SYNC), tables)
}

#[test]
fn capacity_sets_grpc_beside_rest_for_each_order() {
    let run = sound("capacity", 2);
    assert_eq!(rows(&run, 0), 2, "O3 and O100");
}

#[test]
fn the_ladder_keeps_a_row_per_transport() {
    let run = sound("ladder", 4);
    let transports = if with_brokers() { 4 } else { 2 };
    assert_eq!(rows(&run, 0), transports, "one knee each");
    assert_eq!(rows(&run, 1), transports, "nothing slow behind");
    assert_eq!(rows(&run, 3), 0, "one rate makes no line");
}

#[test]
fn the_payloads_have_a_row_each_and_their_bytes() {
    let run = sound_alone("payload", 2);
    let table = &list(&run, "tables")[0];
    assert_eq!(rows(&run, 0), 4);
    for row in list(table, "rows") {
        let bytes = |at: usize| {
            row[at]["number"]
                .as_f64()
                .unwrap_or_else(|| panic!("{row}"))
        };
        let name = row[0]["text"].as_str().unwrap();
        assert_eq!(
            bytes(1) > bytes(2),
            name != "N-whole",
            "whole-number doubles alone are smaller as JSON: {row}"
        );
    }
    assert_eq!(rows(&run, 1), 1, "one slope");
}

#[test]
fn in_full_the_larger_orders_go_over_the_floor_and_the_brokers_too() {
    let run = support::sound_in("full", "payload", &and_brokers("tcp"), 2);
    let trials = list(&run, "trials");
    let transports = if with_brokers() { 3 } else { 1 };
    for payload in ["O3", "O100", "O1000"] {
        let carried = trials.iter().filter(|t| t["cell"]["payload"] == payload);
        assert_eq!(carried.count(), transports, "{payload}");
    }
    assert_eq!(trials.len(), 3 * transports);
    assert_eq!(rows(&run, 0), 0, "without REST and gRPC there is no pair");
}

/// The ablation's terms of each order that has all of them. A busy machine may leave no block in which every variant
/// counts (a closed loop of which Little's law is off), and then that is why a term is missing.
fn terms(run: &Value) -> Vec<&[Value]> {
    let rows = list(&list(run, "tables")[0], "rows");
    assert_eq!(rows.len(), 12);
    let is_whole = |terms: &&[Value]| terms.iter().all(|row| row[2]["missing"].is_null());
    let (whole, lacking): (Vec<&[Value]>, Vec<&[Value]>) = rows.chunks(6).partition(is_whole);
    for terms in lacking {
        let own = |t: &&Value| t["cell"]["payload"] == terms[0][1]["text"];
        let mut spoilt: BTreeMap<u64, bool> = BTreeMap::new();
        for trial in list(run, "trials").iter().filter(own) {
            let block = trial["block"].as_u64().unwrap();
            *spoilt.entry(block).or_default() |= trial["validity"]["state"] == "INVALID";
        }
        assert!(
            !spoilt.is_empty() && spoilt.values().all(|it| *it),
            "{terms:?}"
        );
    }
    whole
}

#[test]
fn the_ablation_has_its_terms_for_both_orders_and_they_add_up() {
    let run = sound_alone("ablation", 2);
    for terms in terms(&run) {
        let cost = |at: usize| {
            terms[at][2]["interval"]["point"]
                .as_f64()
                .unwrap_or_else(|| panic!("{}", terms[at]))
        };
        let steps: f64 = (1..5).map(cost).sum();
        assert!((steps - cost(5)).abs() < 1e-6, "{terms:?}");
    }
}

#[test]
fn a_planted_slower_codec_shows_in_the_format_term_alone() {
    let plant = ["--plant", "codec=protobuf:500000"];
    let run = sound_with("ablation", &and_brokers(SYNC), 2, &plant);
    // Exactly: the service decodes and encodes each order once where it speaks protobuf, and never where it does not.
    for trial in list(&run, "trials") {
        let id = trial["cell"]["id"].as_str().unwrap();
        let is_protobuf = id.starts_with("grpc") || id.contains("protobuf");
        let delivered = count(&trial["ledger"], "delivered");
        let borne = trial["counters"]["planted: codec"].as_u64().unwrap_or(0);
        assert_eq!(borne, 2 * delivered * u64::from(is_protobuf), "{id}");
    }
    // And milliseconds of CPU per order, far above what a busy machine adds to any other term.
    for terms in terms(&run) {
        let cost = |name: &str| {
            let row = terms
                .iter()
                .find(|row| row[0]["text"].as_str().unwrap().starts_with(name))
                .unwrap_or_else(|| panic!("no term '{name}…' in {terms:?}"));
            row[2]["interval"]["point"].as_f64().unwrap()
        };
        let format = cost("format:");
        assert!(format > 100.0, "µs of CPU per order: {terms:?}");
        for other in ["HTTP/1.1 →", "interaction", "HTTP/2 + protobuf →"] {
            assert!(cost(other).abs() < format, "{other}: {terms:?}");
        }
    }
}

#[test]
fn durability_keeps_its_classes_apart() {
    let run = sound("durability", 1);
    let classes: Vec<&str> = list(&list(&run, "tables")[0], "rows")
        .iter()
        .map(|row| row[0]["text"].as_str().unwrap())
        .collect();
    let count = |class: &str| classes.iter().filter(|c| **c == class).count();
    let transports = if with_brokers() { 5 } else { 3 };
    assert_eq!((count("none"), count("process")), (transports, transports));
    assert_eq!(count("memory"), usize::from(with_brokers()));
}

#[test]
fn tuning_sets_each_setting_beside_the_matched_one() {
    if !with_brokers() {
        // Nothing of it is left without a broker.
        return;
    }
    let run = sound("tuning", 1);
    let what: Vec<&str> = list(&list(&run, "tables")[0], "rows")
        .iter()
        .map(|row| row[1]["text"].as_str().unwrap())
        .collect();
    for expected in ["as matched", "linger 5 ms", "prefetch 1", "partitions 1"] {
        assert!(what.contains(&expected), "{expected} is not in {what:?}");
    }
}
