//! `project` as its users meet it: every line marked, JSON that says the same, and sentences for what cannot be meant.

use assert_cmd::Command;
use predicates::prelude::*;
use serde_json::Value;

const MARK: &str = "projected, not measured";

/// Two million a second over enough workers, and an outage.
const ASKED: [&str; 9] = [
    "project",
    "--rate",
    "2000000",
    "--service-time",
    "5ms",
    "--workers",
    "12000",
    "--outage",
    "10m",
];

fn client() -> Command {
    let mut command = Command::cargo_bin("bench-client").expect("the program under test is built");
    command.timeout(std::time::Duration::from_secs(60));
    command
}

/// Expects exit status 2, nothing on stdout, and this on stderr.
fn refused(arguments: &[&str], words: &str) {
    client()
        .arg("project")
        .args(arguments)
        .assert()
        .code(2)
        .stdout("")
        .stderr(predicate::str::contains(words));
}

#[test]
fn a_projection_far_beyond_the_machine_marks_each_of_its_figures() {
    let output = client().args(ASKED).arg("--json").assert().code(0);
    let projection: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(projection["kind"], MARK);
    let figures = projection["figures"].as_array().unwrap();
    assert!(figures.iter().all(|figure| figure["kind"] == MARK));
    let backlog = figures
        .iter()
        .find(|figure| figure["what"].as_str().unwrap().starts_with("backlog"))
        .unwrap();
    assert_eq!(backlog["amount"]["orders"], 1.2e9);
    // 2,400,000/s leave 400,000/s over for the drain.
    let drain = figures
        .iter()
        .find(|figure| figure["what"] == "time to drain")
        .unwrap();
    assert_eq!(drain["amount"]["seconds"], 3_000.0);
    assert!(
        figures
            .iter()
            .any(|figure| figure["amount"]["not_measured"].is_string())
    );
}

#[test]
fn the_table_and_the_picture_carry_the_mark_too() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("backlog.svg");
    client()
        .args(ASKED)
        .args(["--slow-time", "200ms", "--slow-for", "30s", "--svg"])
        .arg(&picture)
        .assert()
        .code(0)
        .stdout(
            predicate::str::contains("1 200 000 000 orders")
                .and(predicate::str::contains("200 ms per order for 30 s"))
                .and(predicate::str::contains("name one with --from"))
                .and(predicate::str::contains('\u{1b}').not()),
        )
        .stdout(predicate::function(|text: &str| {
            text.matches(MARK).count() > 20
        }));
    let text = std::fs::read_to_string(&picture).unwrap();
    assert!(text.starts_with("<svg") && text.contains(MARK));
}

#[test]
fn what_cannot_be_meant_is_refused_with_a_sentence() {
    let with = |rest: &[&'static str]| {
        let mut all = vec!["--rate", "1000", "--service-time", "5ms", "--workers", "8"];
        all.extend(rest);
        all
    };
    refused(&[], "--rate");
    refused(&with(&[]), "nothing happens");
    refused(&with(&["--slow-time", "200ms"]), "--slow-for");
    refused(
        &with(&["--slow-time", "5ms", "--slow-for", "1s"]),
        "not slower than",
    );
    refused(&with(&["--outage", "0s"]), "--outage 0");
    refused(&with(&["--outage", "10"]), "no unit");
    refused(&with(&["--outage", "1s", "--payload", "O100"]), "--from");
    refused(
        &[
            "--rate",
            "0",
            "--service-time",
            "5ms",
            "--workers",
            "8",
            "--outage",
            "1s",
        ],
        "--rate 0",
    );
    client()
        .args(ASKED)
        .args(["--from", "no-such-folder"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("bench-client run --out"));
}
