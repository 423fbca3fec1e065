//! One's own payload as its users meet it: files that are carried, and files that are refused before anything starts.
//! Counts, bytes and ledgers, never a time.

mod types;

use assert_cmd::Command;
use predicates::prelude::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Told to do without brokers, it does; otherwise a missing broker fails the test.
fn transports() -> Vec<&'static str> {
    let without = std::env::var_os("HOPBENCH_SKIP_BROKERS").is_some_and(|value| value == "1");
    if without {
        eprintln!("queue and stream skipped: HOPBENCH_SKIP_BROKERS=1");
        return vec!["tcp", "rest", "grpc"];
    }
    vec!["tcp", "rest", "grpc", "queue", "stream"]
}

fn client() -> Command {
    let mut command = Command::cargo_bin("bench-client").expect("the program under test is built");
    command.timeout(std::time::Duration::from_secs(240));
    command
}

/// So many orders of a class, as `bench-client payload` prints them, with ids of their own.
fn orders(class: &str, count: usize) -> Vec<Value> {
    let output = client()
        .args(["payload", class, "--lines", &count.to_string()])
        .output()
        .expect("it runs");
    String::from_utf8(output.stdout)
        .expect("JSON is text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("an order a line"))
        .collect()
}

fn file(name: &str, text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    (folder, path)
}

fn lines(orders: &[Value]) -> String {
    orders.iter().map(|order| format!("{order}\n")).collect()
}

/// Runs `load --json` and returns the trial.
fn load(transport: &str, arguments: &[&str], path: &Path) -> Value {
    let output = client()
        .args([
            "load",
            "--json",
            "--transport",
            transport,
            "--warmup",
            "100ms",
        ])
        .args(arguments)
        .arg("--payload-file")
        .arg(path)
        .output()
        .expect("it runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{transport}: {error}; it said: {complaint}"))
}

/// Every operation was delivered once and answered as it must be: a receipt of another order would be a failure.
fn whole(trial: &Value, count: u64) {
    let ledger = &trial["ledger"];
    for (name, expected) in [
        ("attempted", count),
        ("acknowledged", count),
        ("delivered", count),
        ("lost", 0),
        ("duplicated", 0),
        ("unexpected", 0),
    ] {
        assert_eq!(ledger[name], expected, "{name}: {trial}");
    }
}

#[test]
fn every_transport_carries_the_orders_of_a_file_in_turn() {
    // Orders of one, two and five lines: what is sent on average is the mean of the three.
    let mixed: Vec<Value> = ["O1", "O2", "O5"]
        .iter()
        .flat_map(|class| orders(class, 1))
        .collect();
    let (_folder, path) = file("orders.jsonl", &lines(&mixed));
    for transport in transports() {
        let trial = load(transport, &["--count", "600", "--in-flight", "8"], &path);
        whole(&trial, 600);
        let cell = &trial["cell"];
        let name = cell["payload"].as_str().expect("a payload");
        assert!(name.starts_with("file:orders.jsonl#"), "{name}");
        assert!(cell["id"].as_str().unwrap().contains(name), "{cell}");
        let told = cell["factors"]["payload_file"]
            .as_str()
            .expect("what it is");
        assert!(
            told.starts_with("file orders.jsonl, 3 orders, mean "),
            "{told}"
        );
        let digest = cell["factors"]["payload_sha256"].as_str().unwrap();
        assert!(
            digest.len() == 64 && name.ends_with(&digest[..8]),
            "{digest}"
        );
        // 600 operations go over the three orders 200 times: the mean is exact.
        let body = trial["bytes"]["body_out"].as_f64().unwrap();
        let said = format!("{body:.0} ");
        assert!(
            told.contains(&said),
            "{transport} sent {body} bytes: {told}"
        );
    }
}

#[test]
fn the_first_thing_a_load_of_ones_own_prints_is_what_it_weighs_and_costs() {
    let (_folder, path) = file(
        "one.json",
        &serde_json::to_string_pretty(&orders("O3", 1)[0]).unwrap(),
    );
    client()
        .args([
            "load",
            "--transport",
            "tcp",
            "--count",
            "200",
            "--payload-file",
        ])
        .arg(path)
        .assert()
        .stdout(
            predicate::str::contains("mean body by count")
                .and(predicate::str::contains("CPU time per message"))
                .and(predicate::str::contains(
                    "Payload: file one.json, 1 order, mean ",
                )),
        );
}

#[test]
fn a_run_puts_the_file_in_the_place_of_every_class_and_counts_and_times_it() {
    let (_folder, path) = file("orders.jsonl", &lines(&orders("O4", 7)));
    let out = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let mut command = client();
        command
            .args([
                "run",
                "capacity",
                "size",
                "codec",
                "--blocks",
                "1",
                "--transport",
                "tcp,rest,grpc",
            ])
            .args(["--reruns", "0", "--json", "--quiet", "--payload-file"])
            .arg(&path)
            .args(more);
        command
    };
    let folder = out.path().join("run");
    let output = run(&["--out", folder.to_str().unwrap()])
        .output()
        .expect("it runs");
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let run: Value = serde_json::from_slice(&output.stdout).expect("run.json");
    let settings = &run["manifest"]["settings"];
    let told = settings["payload"].as_str().expect("what was carried");
    assert!(
        told.starts_with("file orders.jsonl, 7 orders, mean "),
        "{told}"
    );
    let name = format!(
        "file:orders.jsonl#{}",
        &settings["payload_sha256"].as_str().unwrap()[..8]
    );
    let trials = run["trials"].as_array().unwrap();
    // tcp, rest with its twin, grpc; the wires of tcp, grpc and rest in both formats.
    assert_eq!(trials.len(), 8);
    for trial in trials {
        assert_eq!(trial["cell"]["payload"], name.as_str());
        assert_eq!(
            trial["ledger"]["attempted"],
            trial["ledger"]["acknowledged"]
        );
    }
    let rows = |list: &str| {
        let list = run[list].as_array().unwrap();
        list.iter()
            .filter(|row| row["payload"] == name.as_str())
            .count()
    };
    assert_eq!((rows("sizes"), rows("codecs")), (9, 4));
    // What was not carried is not judged.
    let verdict = |claim: &str| {
        let all = run["verdicts"].as_array().unwrap();
        let row = all.iter().find(|row| row["claim"] == claim).unwrap();
        row["verdict"].clone()
    };
    assert_eq!(verdict("grpc-thr-3-10x"), "not_measured");
    // The results hold no order: to go on with a run takes its file.
    client()
        .args(["run", "--quiet", "--resume"])
        .arg(&folder)
        .assert()
        .code(1)
        .stderr(predicate::str::contains("give the same --payload-file"));
}

#[test]
fn a_file_with_mistakes_is_refused_before_anything_starts_each_with_line_and_field() {
    let mut all = orders("O2", 3);
    all[0]["items"][1]["quantity"] = json!(0);
    all[1]["total"]["units"] = json!("7");
    all[1]["note"] = json!("x");
    let bad = format!("{}not json\n", lines(&all));
    let (_folder, path) = file("bad.jsonl", &bad);
    for command in [["load", "--transport=tcp"], ["run", "capacity"]] {
        client()
            .args(command)
            .arg("--payload-file")
            .arg(&path)
            .assert()
            .code(2)
            .stdout("")
            .stderr(
                predicate::str::contains("bad.jsonl has 4 problems, and nothing was started")
                    .and(predicate::str::contains(
                        "line 1, items[1].quantity: expected a quantity above 0",
                    ))
                    .and(predicate::str::contains(
                        "line 2, total.units: expected a whole number of 64 bits",
                    ))
                    .and(predicate::str::contains(
                        "line 2, note: expected one of `order_id`",
                    ))
                    .and(predicate::str::contains("line 4: expected a JSON object")),
            );
    }
    client()
        .args([
            "load",
            "--transport",
            "tcp",
            "--payload",
            "O1",
            "--payload-file",
            "x.jsonl",
        ])
        .assert()
        .code(2)
        .stderr(predicate::str::contains("cannot be used with"));
    client()
        .args([
            "load",
            "--transport",
            "tcp",
            "--payload-file",
            "no/such.jsonl",
        ])
        .assert()
        .code(2)
        .stderr(predicate::str::contains("could not be read"));
}
