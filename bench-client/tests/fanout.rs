//! The experiment `fanout` as a tiny plan over real brokers: every consumer gets every order exactly once, and what is
//! published is published once; never a time.

use assert_cmd::Command;
use serde_json::Value;

fn list<'v>(value: &'v Value, name: &str) -> &'v Vec<Value> {
    value[name]
        .as_array()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn each_of_k_consumers_gets_every_order_exactly_once() {
    // Told to do without brokers, it does; otherwise a missing broker fails the test.
    let with_brokers = std::env::var_os("HOPBENCH_SKIP_BROKERS").is_none_or(|value| value != "1");
    let transports = if with_brokers {
        "grpc,queue,stream"
    } else {
        "grpc"
    };
    let folder = tempfile::tempdir().unwrap();
    let output = Command::cargo_bin("bench-client")
        .expect("the program under test is built")
        .timeout(std::time::Duration::from_secs(240))
        .args(["run", "fanout", "--blocks", "1", "--transport", transports])
        .args(["--warm-up", "0s", "--reruns", "0"])
        .args(["--json", "--quiet", "--out"])
        .arg(folder.path().join("run"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    // The machine may be too busy for a headline (3); everything else must have worked.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
    let run: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}; it said: {said}"));
    assert_eq!(list(&run, "skipped").len(), 0, "{}", run["skipped"]);
    let ways = if with_brokers { 4 } else { 2 };
    // K = 1 and 8, and 4 with a slow one among them, which has a row of its own among the consumers; and a twin.
    assert_eq!(list(&run, "trials").len(), 3 * ways + 1);
    let rows: Vec<usize> = list(&run, "tables")
        .iter()
        .map(|table| list(table, "rows").len())
        .collect();
    assert_eq!(rows, [3 * ways, 4 * ways]);
    for trial in list(&run, "trials") {
        let id = &trial["cell"]["id"];
        let attempted = &trial["ledger"]["attempted"];
        assert!(attempted.as_u64() > Some(0), "{id}");
        let hops = list(trial, "hops");
        let (caller, consumers) = hops.split_first().expect("services");
        let of_caller = caller["calls"].as_object().expect("its calls");
        let published = id.as_str().unwrap().contains("fanout-queue")
            || id.as_str().unwrap().contains("fanout-stream");
        if published {
            assert!(of_caller.keys().eq(["placed"]), "{id}: {of_caller:?}");
        } else {
            assert_eq!(of_caller.len(), consumers.len(), "{id}");
        }
        for calls in of_caller.values() {
            let counts = (&calls["attempts"], &calls["succeeded"]);
            assert_eq!(counts, (attempted, attempted), "{id}");
        }
        for hop in consumers {
            let ledger = &hop["ledger"];
            assert_eq!(&ledger["delivered"], attempted, "{id}: {ledger}");
            for fault in ["lost", "duplicated", "unexpected"] {
                assert_eq!(ledger[fault], 0, "{id}, {fault}: {ledger}");
            }
            let sent = &hop["from"]["checkout"];
            assert_eq!(&sent["succeeded"], attempted, "{id}: {sent}");
            assert_eq!(sent["lost"], 0, "{id}: {sent}");
        }
        // All of them went everywhere.
        let reached = list(trial, "reached");
        assert_eq!(reached.len(), 1, "{id}: {reached:?}");
        assert_eq!(list(&reached[0], "services").len(), hops.len(), "{id}");
    }
    let row = list(&run, "verdicts")
        .iter()
        .find(|row| row["claim"] == "fanout-sync")
        .expect("every claim has a row");
    assert_eq!(list(row, "parts").len(), 4, "{row}");
    assert!(
        list(row, "parts").iter().all(|part| part["reason"] != ""),
        "{row}"
    );
}
