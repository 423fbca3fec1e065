//! The command line as its users meet it: exit codes, JSON, and sentences for what cannot be meant.

use assert_cmd::Command;
use predicates::prelude::*;
use serde_json::Value;

fn client() -> Command {
    let mut command = Command::cargo_bin("bench-client").expect("the program under test is built");
    command.timeout(std::time::Duration::from_secs(240));
    command
}

#[test]
fn help_lists_and_schema_need_no_broker() {
    client().arg("list").assert().code(0).stdout(
        predicate::str::contains("capacity")
            .and(predicate::str::contains("slow-200ms"))
            .and(predicate::str::contains("cells × blocks"))
            .and(predicate::str::contains("--suite full: ")),
    );
    client()
        .args(["list", "--cells"])
        .assert()
        .code(0)
        .stdout(predicate::str::contains("rest-O3-h2-c32-x1-none"));
    client()
        .arg("claims")
        .assert()
        .code(0)
        .stdout(predicate::str::contains("grpc-thr-3-10x"));
    let schema = client()
        .arg("schema")
        .assert()
        .code(0)
        .get_output()
        .stdout
        .clone();
    let schema: Value = serde_json::from_slice(&schema).expect("a JSON Schema");
    assert!(jsonschema::validator_for(&schema).is_ok());
    client()
        .args(["run", "--dry-run"])
        .assert()
        .code(0)
        .stdout(predicate::str::contains("block 6").and(predicate::str::contains("trials, about")));
}

#[test]
fn a_folder_without_a_run_is_a_failure_with_a_sentence() {
    let empty = tempfile::tempdir().unwrap();
    client()
        .arg("report")
        .arg(empty.path())
        .assert()
        .code(1)
        .stderr(predicate::str::contains("bench-client run"));
    std::fs::write(
        empty.path().join("run.json"),
        "{\"schema\":\"hopbench/999\"}",
    )
    .unwrap();
    client()
        .arg("report")
        .arg(empty.path())
        .assert()
        .code(1)
        .stderr(predicate::str::contains("hopbench/999"));
}

#[test]
fn a_small_run_keeps_every_trial_validates_against_the_schema_and_reports() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let output = client()
        .args([
            "run",
            "capacity",
            "size",
            "--blocks",
            "2",
            "--transport",
            "tcp,rest,grpc",
            "--reruns",
            "0",
            "--json",
            "--quiet",
            "--out",
        ])
        .arg(&out)
        .assert()
        // The machine may be too busy for a headline (3); everything else must have worked.
        .code(predicate::in_iter([0, 3]))
        .get_output()
        .stdout
        .clone();
    let run: Value = serde_json::from_slice(&output).expect("run.json alone on stdout");
    let schema = client().arg("schema").assert().get_output().stdout.clone();
    let validator = jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap()).unwrap();
    let problems: Vec<String> = validator
        .iter_errors(&run)
        .map(|error| error.to_string())
        .collect();
    assert!(problems.is_empty(), "{problems:?}");
    let written: Value =
        serde_json::from_str(&std::fs::read_to_string(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(run, written);
    let trials = run["trials"].as_array().unwrap();
    let (stamped, unstamped): (Vec<&Value>, Vec<&Value>) = trials
        .iter()
        .partition(|trial| trial["cell"]["factors"]["stamped"] != "no");
    let first = |trials: &[&Value]| trials.iter().filter(|trial| trial["attempt"] == 0).count();
    // tcp, rest, its A/A twin and grpc with O3, rest and grpc with O100, twice.
    assert_eq!(first(&stamped), 12);
    // The wires of tcp, grpc and rest in both formats, twice: a Stamp would be more bytes than the order's.
    assert_eq!(first(&unstamped), 8);
    for trial in trials {
        let ledger = &trial["ledger"];
        assert_eq!(ledger["attempted"], ledger["acknowledged"], "{trial}");
    }
    for trial in stamped {
        let ledger = &trial["ledger"];
        assert_eq!(ledger["attempted"], ledger["delivered"]);
        assert_eq!(
            (&ledger["lost"], &ledger["duplicated"]),
            (&0.into(), &0.into())
        );
    }
    let verdicts = run["verdicts"].as_array().unwrap();
    assert!(
        verdicts
            .iter()
            .any(|row| row["claim"] == "size-3-10x" && row["verdict"] != "not_measured")
    );
    assert!(verdicts.iter().any(|row| row["claim"] == "outbox"
        && row["verdict"] == "not_measured"
        && row["reason"] != ""));
    let files = [
        "report.html",
        "report.md",
        "trials.csv",
        "charts/forest.svg",
    ];
    for file in files {
        assert!(out.join(file).is_file(), "{file}");
        std::fs::remove_file(out.join(file)).unwrap();
    }
    client()
        .arg("report")
        .arg(&out)
        .assert()
        .code(0)
        .stdout(predicate::str::contains("size-3-10x"));
    for file in files {
        assert!(out.join(file).is_file(), "{file}");
    }
    // A folder that holds a run is not written over.
    client()
        .args(["run", "size", "--quiet", "--out"])
        .arg(&out)
        .assert()
        .code(1)
        .stderr(predicate::str::contains("already holds a run"));
}

#[test]
fn a_broker_that_does_not_answer_is_skipped_with_its_reason_and_the_rest_runs() {
    let folder = tempfile::tempdir().unwrap();
    let output = client()
        .env("HOPBENCH_AMQP_URL", "amqp://someone:secret@127.0.0.1:9/%2f")
        .args([
            "run",
            "capacity",
            "--blocks",
            "1",
            "--warm-up",
            "0s",
            "--reruns",
            "0",
            "--transport",
            "tcp,queue",
            "--json",
            "--out",
        ])
        .arg(folder.path().join("run"))
        .assert()
        .code(predicate::in_iter([0, 3]))
        .get_output()
        .clone();
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(run["skipped"][0]["transport"], "queue");
    assert!(
        run["skipped"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("make up")
    );
    assert!(
        run["trials"]
            .as_array()
            .unwrap()
            .iter()
            .all(|trial| trial["cell"]["transport"] == "tcp")
    );
    for stream in [output.stdout, output.stderr] {
        assert!(
            !String::from_utf8_lossy(&stream).contains("secret"),
            "a password was printed"
        );
    }
}
