//! Calls over the real brokers, through the program: what a reply carries, what a dead worker looks like, and the two
//! experiments on it. Counts, ledgers, bytes and structure, never a time.

use crate::common::{json, without_brokers};
use serde_json::Value;

/// Way of the reply by transport.
const OVER_BROKER: [(&str, &str); 3] =
    [("queue", "direct"), ("queue", "queue"), ("stream", "topic")];

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a count: {value}"))
}

#[test]
fn a_call_over_a_broker_ends_with_the_verified_answer_of_its_own_order() {
    if without_brokers() {
        return;
    }
    let (direct, _) = json(&[
        "load",
        "--json",
        "--transport",
        "tcp",
        "--count",
        "2000",
        "--warmup",
        "0s",
    ]);
    for (transport, via) in OVER_BROKER {
        for durability in ["none", "process"] {
            let (trial, _) = json(&[
                "load",
                "--json",
                "--transport",
                transport,
                "--reply",
                via,
                "--durability",
                durability,
                "--count",
                "2000",
                "--in-flight",
                "16",
                "--warmup",
                "100ms",
            ]);
            let ledger = &trial["ledger"];
            for (name, expected) in [
                ("attempted", 2_000),
                ("acknowledged", 2_000),
                ("delivered", 2_000),
                ("lost", 0),
                ("duplicated", 0),
                ("unexpected", 0),
            ] {
                assert_eq!(
                    ledger[name], expected,
                    "{transport} {via} {durability} {name}: {ledger}"
                );
            }
            assert!(
                trial["counters"]["wrong answers"].is_null(),
                "every receipt was its order's"
            );
            assert_eq!(
                trial["bytes"]["body_in"], direct["bytes"]["body_in"],
                "the reply is as many bytes as over tcp"
            );
            assert_eq!(trial["cell"]["factors"]["reply"], via);
            assert_eq!(trial["in_force"]["reply"], via);
        }
    }
}

#[test]
fn replies_that_come_after_the_deadline_are_counted_and_their_orders_recovered() {
    if without_brokers() {
        return;
    }
    for (transport, via) in OVER_BROKER {
        let (trial, _) = json(&[
            "load",
            "--json",
            "--transport",
            transport,
            "--reply",
            via,
            "--count",
            "20",
            "--in-flight",
            "20",
            "--warmup",
            "0s",
            "--slow",
            "500ms",
            "--timeout",
            "200ms",
        ]);
        let ledger = &trial["ledger"];
        assert_eq!(ledger["timed_out"], 20, "{transport} {via}: {ledger}");
        assert_eq!(ledger["recovered"], 20, "{transport} {via}: {ledger}");
        assert_eq!(ledger["lost"], 0);
    }
}

/// What a dead worker leaves, whatever the transport.
fn check_kill(trial: &Value) {
    let id = &trial["cell"]["id"];
    let fault = &trial["faults"][0];
    assert!(
        fault["what"].as_str().unwrap().ends_with("kill service"),
        "{id}"
    );
    assert!(
        fault["actual_s"].as_f64() >= fault["planned_s"].as_f64(),
        "{id}: {fault}"
    );
    let ledger = &trial["ledger"];
    let ended: u64 = ["acknowledged", "refused", "failed", "timed_out", "open"]
        .map(|name| count(&ledger[name]))
        .iter()
        .sum();
    assert_eq!(ended, count(&ledger["attempted"]), "{id}: {ledger}");
    assert_eq!(ledger["open"], 0, "{id}: every call ended");
    assert!(
        ledger["delivered"].is_null(),
        "{id}: the service's ledger died with it"
    );
    let seen = trial["seen"].as_array().unwrap();
    let errors: u64 = seen.iter().map(|one| count(&one["count"])).sum();
    assert_eq!(
        errors,
        count(&ledger["failed"]) + count(&ledger["timed_out"]),
        "{id}: every error came after the kill and is in the table: {seen:?}"
    );
    assert!(
        seen.iter().any(|one| one["calls"] == "in_flight"),
        "{id}: calls were in the handler when it died: {seen:?}"
    );
    let reasons = trial["validity"]["reasons"].to_string();
    assert!(!reasons.contains("lost"), "{id}: {reasons}");
}

#[test]
fn a_killed_worker_is_an_error_at_once_where_it_is_called_directly() {
    for transport in ["tcp", "rest", "grpc"] {
        let (trial, _) = json(&[
            "load",
            "--json",
            "--transport",
            transport,
            "--rate",
            "200",
            "--duration",
            "1s",
            "--slow",
            "50ms",
            "--warmup",
            "100ms",
            "--timeout",
            "2s",
            "--fault",
            "at 500ms kill service",
        ]);
        check_kill(&trial);
        let seen = trial["seen"].as_array().unwrap();
        let in_flight = seen.iter().find(|one| one["calls"] == "in_flight").unwrap();
        assert_eq!(in_flight["error"], "closed", "{transport}: {seen:?}");
        assert_eq!(trial["ledger"]["timed_out"], 0, "{transport}");
    }
}

#[test]
fn both_experiments_run_on_every_way_and_their_claim_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let all = !without_brokers();
    let transports = if all {
        "rest,grpc,queue,stream"
    } else {
        "rest,grpc"
    };
    let ways = if all { 5 } else { 2 };
    let (run, _) = json(&[
        "run",
        "rpc",
        "rpc-kill",
        "--blocks",
        "1",
        "--warm-up",
        "0s",
        "--reruns",
        "0",
        "--transport",
        transports,
        "--json",
        "--quiet",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(
        run["skipped"].as_array().unwrap().len(),
        0,
        "{}",
        run["skipped"]
    );
    let first = |trial: &&Value| trial["attempt"] == 0;
    let trials: Vec<&Value> = run["trials"]
        .as_array()
        .unwrap()
        .iter()
        .filter(first)
        .collect();
    assert_eq!(trials.len(), 3 * ways, "open, closed and killed, per way");
    for trial in trials {
        if trial["experiment"] == "rpc-kill" {
            check_kill(trial);
        } else {
            let (ledger, id) = (&trial["ledger"], &trial["cell"]["id"]);
            assert!(count(&ledger["attempted"]) > 0, "{id}");
            assert_eq!(
                ledger["attempted"], ledger["acknowledged"],
                "{id}: {ledger}"
            );
            assert_eq!(ledger["attempted"], ledger["delivered"], "{id}: {ledger}");
        }
    }
    let tables = run["tables"].as_array().unwrap();
    let table = |name| {
        tables
            .iter()
            .find(|table| table["experiment"] == name)
            .unwrap()
    };
    assert_eq!(table("rpc")["rows"].as_array().unwrap().len(), ways);
    assert!(table("rpc-kill")["rows"].as_array().unwrap().len() >= ways);
    let verdicts = run["verdicts"].as_array().unwrap();
    let row = verdicts
        .iter()
        .find(|row| row["claim"] == "queue-rpc")
        .unwrap();
    let parts = row["parts"].as_array().unwrap();
    assert_eq!(
        parts.len(),
        9,
        "latency, CPU and error for three ways: {row}"
    );
    // On a busy machine a trial may be INVALID and its part not measured; without the brokers all of them are not.
    for part in parts {
        assert!(all || part["verdict"] == "not_measured", "{part}");
        assert_ne!(part["reason"], "", "{part}");
    }
}
