//! Consumers after an outage as a tiny plan over real brokers: counts, ledgers and rows; never a time.

use assert_cmd::Command;
use serde_json::Value;

/// Told to do without brokers, it does; otherwise a missing broker fails the test.
fn with_brokers() -> bool {
    std::env::var_os("HOPBENCH_SKIP_BROKERS").is_none_or(|value| value != "1")
}

fn list<'v>(value: &'v Value, name: &str) -> &'v Vec<Value> {
    value[name]
        .as_array()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// One block of an experiment at its quick size.
fn run(experiment: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::cargo_bin("bench-client")
        .expect("the program under test is built")
        .timeout(std::time::Duration::from_secs(240))
        .args(["run", experiment, "--blocks", "1"])
        .args(["--transport", "queue,stream"])
        .args(["--warm-up", "0s", "--reruns", "0", "--json", "--quiet"])
        .arg("--out")
        .arg(folder.path().join("run"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    // The machine may be too busy for a headline (3); everything else must have worked.
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{experiment}: {said}"
    );
    let run: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{experiment}: {error}; it said: {said}"));
    assert!(list(&run, "skipped").is_empty(), "{run}");
    run
}

#[test]
fn whatever_their_number_the_consumers_drain_what_waited_and_lose_nothing() {
    if !with_brokers() {
        eprintln!("skipped: HOPBENCH_SKIP_BROKERS=1 leaves no consumer");
        return;
    }
    let run = run("consumers");
    let trials = list(&run, "trials");
    // One and eight on each broker, and eight on two partitions.
    assert_eq!(trials.len(), 5);
    for trial in trials {
        let count = |name: &str| trial["ledger"][name].as_u64().unwrap();
        let all = count("attempted");
        // 10 before, 150 while the service is away, and those after it.
        assert!(all > 160, "{trial}");
        assert_eq!(count("acknowledged"), all, "{trial}");
        assert_eq!(count("delivered"), all, "{trial}");
        let wrong = ["lost", "duplicated", "unexpected"].map(count);
        assert_eq!(wrong, [0, 0, 0], "{trial}");
        let faults: Vec<&str> = list(trial, "faults")
            .iter()
            .map(|fault| fault["what"].as_str().unwrap())
            .collect();
        assert_eq!(
            faults,
            ["at 475ms pause service", "at 1s resume service"],
            "{trial}"
        );
        let away = &list(trial, "phases")[1];
        assert_eq!(away["name"], "away");
        assert_eq!(away["planned"], 150, "{trial}");
        assert_eq!(away["acknowledged"], 150, "{trial}");
        let broker = trial["cell"]["transport"].as_str().unwrap();
        let factors = &trial["cell"]["factors"];
        let consumers = factors["consumers"].as_str().unwrap_or("1");
        assert_eq!(
            trial["in_force"][format!("service.{broker}.consumers")],
            consumers,
            "{trial}"
        );
        assert_eq!(factors["prefetch"], "1", "{trial}");
    }
    let tables = list(&run, "tables");
    assert_eq!(tables.len(), 1);
    let busy = |row: &Value| (row[1]["number"].as_f64(), row[2]["number"].as_f64());
    let rows: Vec<_> = list(&tables[0], "rows").iter().map(busy).collect();
    let of = |consumers: f64, busy: f64| (Some(consumers), Some(busy));
    assert_eq!(
        rows,
        [
            of(1.0, 1.0),
            of(8.0, 8.0),
            of(1.0, 1.0),
            of(8.0, 8.0),
            of(8.0, 2.0)
        ]
    );
}
