//! The experiment `chain` as a tiny plan over real brokers: every ledger joined, and the shape of its tables and verdicts;
//! never a time.

use assert_cmd::Command;
use serde_json::Value;

fn list<'v>(value: &'v Value, name: &str) -> &'v Vec<Value> {
    value[name]
        .as_array()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn a_chain_joins_the_ledgers_of_all_its_services_and_its_claims_are_judged() {
    // Told to do without brokers, it does; otherwise a missing broker fails the test.
    let with_brokers = std::env::var_os("HOPBENCH_SKIP_BROKERS").is_none_or(|value| value != "1");
    let transports = if with_brokers {
        "rest,grpc,queue,stream"
    } else {
        "rest,grpc"
    };
    let folder = tempfile::tempdir().unwrap();
    let output = Command::cargo_bin("bench-client")
        .expect("the program under test is built")
        .timeout(std::time::Duration::from_secs(240))
        .args(["run", "chain", "--blocks", "1", "--transport", transports])
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
    let rows: Vec<usize> = list(&run, "tables")
        .iter()
        .map(|table| list(table, "rows").len())
        .collect();
    // N = 1 … 5 twice; 1, 2 and 5 smooth hops and 1 and 5 with spikes twice; a floor each; each broker behind each chain.
    assert_eq!(rows, [10, 10, 2, if with_brokers { 4 } else { 0 }]);
    for trial in list(&run, "trials") {
        let (id, ledger) = (&trial["cell"]["id"], &trial["ledger"]);
        let services: usize = trial["cell"]["factors"]["services"]
            .as_str()
            .and_then(|count| count.parse().ok())
            .unwrap_or_else(|| panic!("{id} says how many services it has"));
        assert_eq!(list(trial, "hops").len(), services, "{id}");
        assert_eq!(
            (&ledger["lost"], &ledger["unexpected"]),
            (&0.into(), &0.into()),
            "{id}: {ledger}"
        );
        let reached: u64 = list(trial, "reached")
            .iter()
            .map(|one| one["orders"].as_u64().unwrap())
            .sum();
        assert_eq!(
            ledger["attempted"], reached,
            "{id}: every order is in one set"
        );
        let fails = id.as_str().unwrap().contains("-fail");
        for hop in list(trial, "hops") {
            assert!(
                fails || hop["ledger"]["delivered"] == reached,
                "{id}: {}",
                hop["ledger"]
            );
        }
    }
    for (claim, parts) in [
        ("chain-fail", 10),
        ("chain-p99", 4),
        ("chain-floor", 2),
        ("async-hop-free", 4),
    ] {
        let row = list(&run, "verdicts")
            .iter()
            .find(|row| row["claim"] == claim)
            .expect("every claim has a row");
        assert_eq!(list(row, "parts").len(), parts, "{row}");
        assert!(
            list(row, "parts").iter().all(|part| part["reason"] != ""),
            "{row}"
        );
    }
}
