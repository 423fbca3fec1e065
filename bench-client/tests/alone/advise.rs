//! Advice from a run that was just made: what fits points to its cells, and what was not measured is unknown.

use assert_cmd::Command;
use predicates::prelude::*;
use serde_json::Value;
use std::path::Path;

fn client() -> Command {
    let mut command = Command::cargo_bin("bench-client").expect("the program under test is built");
    command.timeout(std::time::Duration::from_secs(240));
    command
}

/// Told to do without brokers, it does; otherwise a missing broker fails the test.
fn with_brokers() -> bool {
    let without = std::env::var_os("HOPBENCH_SKIP_BROKERS").is_some_and(|value| value == "1");
    if without {
        eprintln!("queue and stream skipped: HOPBENCH_SKIP_BROKERS=1");
    }
    !without
}

fn advise(from: &Path, arguments: &[&str]) -> Value {
    let output = client()
        .args(["advise", "--json"])
        .args(arguments)
        .arg("--from")
        .arg(from)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn ways(advice: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_string();
    let list = advice["ways"].as_array().expect("ways");
    list.iter()
        .map(|way| (text(&way["name"]), text(&way["fit"])))
        .collect()
}

#[test]
fn a_tiny_run_advises_within_what_it_measured_and_no_further() {
    let _turn = crate::turn();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let (transports, expected) = if with_brokers() {
        ("rest,grpc,queue,stream", 4)
    } else {
        ("rest,grpc", 2)
    };
    let output = client()
        .args([
            "run",
            "ladder",
            "--blocks",
            "2",
            "--warm-up",
            "0s",
            "--reruns",
            "0",
        ])
        .args(["--transport", transports, "--json", "--quiet", "--out"])
        .arg(&out)
        .output()
        .expect("it runs");
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let run: Value = serde_json::from_slice(&output.stdout).expect("run.json");
    let cells: Vec<&str> = run["trials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trial| trial["cell"]["id"].as_str().unwrap())
        .collect();

    let within = advise(
        &out,
        &["--rate", "2000", "--payload", "O3", "--needs-reply", "no"],
    );
    let found = ways(&within);
    assert_eq!(found.len(), 4, "{found:?}");
    // A busy machine may not have sustained 2,000/s or kept its blocks; whoever ran is judged by its own cells.
    let mut pointed = 0;
    for way in within["ways"].as_array().unwrap() {
        for reason in way["reasons"].as_array().unwrap() {
            let figure = &reason["basis"]["measured"];
            if let Some(cell) = figure["cell"].as_str() {
                assert!(cells.contains(&cell), "{reason}");
                pointed += 1;
            }
        }
    }
    assert!(pointed > 0, "{within}");
    let unmeasured = found.iter().filter(|(_, fit)| fit == "unknown").count();
    assert!(unmeasured >= 4 - expected, "{found:?}");

    for arguments in [
        ["--rate", "50000", "--payload", "O3"],
        ["--rate", "2000", "--payload", "E64K"],
        ["--rate", "2000", "--durability", "power"],
    ] {
        let beyond = advise(
            &out,
            &[&arguments[..], &["--needs-reply", "no"][..]].concat(),
        );
        let fitting: Vec<_> = ways(&beyond)
            .into_iter()
            .filter(|(_, fit)| fit == "fits")
            .collect();
        assert!(fitting.is_empty(), "{arguments:?}: {fitting:?}");
    }
    client()
        .args([
            "advise",
            "--rate",
            "2000",
            "--needs-reply",
            "no",
            "--outage",
            "10m",
            "--from",
        ])
        .arg(&out)
        .assert()
        .code(0)
        .stdout(
            predicate::str::contains("rest: does not fit")
                .and(predicate::str::contains("1200000 orders come in 10.0 min"))
                .and(predicate::str::contains("Read it with care")),
        );
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let refused = |arguments: &[&str], words: &str| {
        client()
            .arg("advise")
            .args(arguments)
            .assert()
            .code(2)
            .stdout("")
            .stderr(predicate::str::contains(words));
    };
    refused(&["--rate", "5000"], "--needs-reply");
    refused(&["--rate", "fast", "--needs-reply", "no"], "such as 5000");
    refused(&["--rate", "0", "--needs-reply", "no"], "above 0");
    refused(&["--rate", "1", "--needs-reply", "perhaps"], "perhaps");
    refused(
        &[
            "--rate",
            "1",
            "--needs-reply",
            "no",
            "--durability",
            "eternal",
        ],
        "eternal",
    );
    refused(
        &["--rate", "1", "--needs-reply", "no", "--max-p99", "0ms"],
        "met by nothing",
    );
    refused(
        &["--rate", "1", "--needs-reply", "no", "--outage", "10"],
        "no unit",
    );
    refused(
        &["--rate", "1", "--needs-reply", "no", "--consumers", "0"],
        "from 1 to 1000",
    );
    let empty = tempfile::tempdir().unwrap();
    client()
        .current_dir(empty.path())
        .args(["advise", "--rate", "1", "--needs-reply", "no"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("make bench"));
}
