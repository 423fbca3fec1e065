//! Each experiment as a tiny plan over real brokers: how many trials, their ledgers, and the shape of what the analysis
//! made of them; never a time.

use assert_cmd::Command;
use serde_json::Value;

fn client() -> Command {
    let mut command = Command::cargo_bin("bench-client").expect("the program under test is built");
    command.timeout(std::time::Duration::from_secs(240));
    command
}

/// Told to do without brokers, it does; otherwise a missing broker fails the test.
fn transports() -> &'static str {
    if std::env::var_os("HOPBENCH_SKIP_BROKERS").is_some_and(|value| value == "1") {
        eprintln!("queue and stream skipped: HOPBENCH_SKIP_BROKERS=1");
        "tcp,rest,grpc"
    } else {
        "tcp,rest,grpc,queue,stream"
    }
}

/// Runs one block of an experiment at its quick size; what was planned and what came of it.
fn run(experiment: &str) -> (Vec<String>, Value) {
    run_with(experiment, &[])
}

fn run_with(experiment: &str, more: &[&str]) -> (Vec<String>, Value) {
    let arguments = [
        "run",
        experiment,
        "--blocks",
        "1",
        "--transport",
        transports(),
    ];
    let plan = client()
        .args(arguments)
        .arg("--dry-run")
        .output()
        .expect("it runs");
    let planned: Vec<String> = String::from_utf8_lossy(&plan.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| Some(line.trim_start().split_once(' ')?.1.trim().to_string()))
        .collect();
    assert!(!planned.is_empty(), "{experiment} plans nothing");
    let folder = tempfile::tempdir().unwrap();
    let output = client()
        .args(arguments)
        .args(["--warm-up", "0s", "--reruns", "0"])
        .args(more)
        .args(["--json", "--quiet", "--out"])
        .arg(folder.path().join("run"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    // The machine may be too busy for a headline (3); everything else must have worked.
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{experiment}: {said}"
    );
    let run = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{experiment}: {error}; it said: {said}"));
    (planned, run)
}

fn list<'v>(value: &'v Value, name: &str) -> &'v Vec<Value> {
    value[name]
        .as_array()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// What holds of every experiment: each planned cell ran, each order that was acknowledged was delivered once, and each
/// row of each table has a value per column.
fn sound(experiment: &str, tables: usize) -> Value {
    let (mut planned, run) = run(experiment);
    for skipped in list(&run, "skipped") {
        // A disk that does not flush has no class `power`; a broker that was asked for must be there.
        let name = skipped["transport"].as_str().unwrap();
        let transport = name
            .strip_suffix(" in class power")
            .unwrap_or_else(|| panic!("{skipped}"));
        planned.retain(|id| !(id.starts_with(transport) && id.contains("-power")));
    }
    let first: Vec<&Value> = list(&run, "trials")
        .iter()
        .filter(|trial| trial["attempt"] == 0)
        .collect();
    let mut ran: Vec<&str> = first
        .iter()
        .map(|trial| trial["cell"]["id"].as_str().unwrap())
        .collect();
    ran.sort_unstable();
    planned.sort();
    assert_eq!(ran, planned, "{experiment}");
    for trial in first {
        assert_eq!(trial["experiment"], experiment);
        let ledger = &trial["ledger"];
        let count = |name: &str| {
            ledger[name]
                .as_u64()
                .unwrap_or_else(|| panic!("{name}: {trial}"))
        };
        assert!(count("attempted") > 0, "{trial}");
        assert_eq!(
            count("attempted"),
            ["acknowledged", "refused", "failed", "timed_out", "open"]
                .map(count)
                .iter()
                .sum::<u64>(),
            "{experiment}: {ledger}"
        );
        assert_eq!((count("lost"), count("unexpected")), (0, 0), "{ledger}");
    }
    let made = list(&run, "tables");
    assert_eq!(made.len(), tables, "{experiment}");
    for table in made {
        assert_eq!(table["experiment"], experiment);
        for row in list(table, "rows") {
            assert_eq!(
                row.as_array().map(Vec::len),
                Some(list(table, "columns").len()),
                "{table}"
            );
        }
    }
    run
}

fn rows(run: &Value, table: usize) -> usize {
    list(&list(run, "tables")[table], "rows").len()
}

fn with_brokers() -> bool {
    transports().contains("queue")
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
    let run = sound("payload", 2);
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
fn the_ablation_has_its_terms_for_both_orders_and_they_add_up() {
    let run = sound("ablation", 2);
    let table = &list(&run, "tables")[0];
    assert_eq!(rows(&run, 0), 12);
    for terms in list(table, "rows").chunks(6) {
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
    // Hundreds of µs per encoding and decoding: far above what a busy machine adds to the CPU of an order.
    let (_, run) = run_with("ablation", &["--plant", "codec=protobuf:100000"]);
    let table = &list(&run, "tables")[0];
    for terms in list(table, "rows").chunks(6) {
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
            assert!(cost(other).abs() < format / 4.0, "{other}: {terms:?}");
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
    let transports = if with_brokers() { 4 } else { 2 };
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
