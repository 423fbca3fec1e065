//! The kinds of call as their users meet them: ad-hoc loads of each, and a tiny run of the experiment. Counts, ledgers
//! and structure, never a time.

use assert_cmd::Command;
use predicates::prelude::*;
use serde_json::Value;

/// Every kind that shares requests.
const KINDS: [(&str, &str); 4] = [
    ("grpc", "client"),
    ("grpc", "server"),
    ("grpc", "bidi"),
    ("rest", "list"),
];

fn client(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("bench-client").expect("the program under test is built");
    command
        .timeout(std::time::Duration::from_secs(120))
        .args(arguments);
    command
}

/// Runs `load --json` with a kind and returns the trial.
fn load((transport, kind): (&str, &str), arguments: &[&str]) -> Value {
    let named = ["load", "--json", "--transport", transport, "--kind", kind];
    let output = client(&named).args(arguments).output().expect("it runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{transport} {kind}: {error}; it said: {complaint}"))
}

#[test]
fn every_kind_delivers_and_answers_every_order_exactly_once() {
    for kind in KINDS {
        // Not a multiple of the batch: the last request is closed before it is full.
        let trial = load(
            kind,
            &[
                "--count",
                "5001",
                "--in-flight",
                "64",
                "--warmup",
                "200ms",
                "--connections",
                "2",
            ],
        );
        let ledger = &trial["ledger"];
        for (name, expected) in [
            ("attempted", 5_001),
            ("acknowledged", 5_001),
            ("delivered", 5_001),
            ("lost", 0),
            ("duplicated", 0),
            ("recovered", 0),
            ("unexpected", 0),
            ("open", 0),
        ] {
            assert_eq!(ledger[name], expected, "{kind:?} {name}: {ledger}");
        }
        assert_eq!(trial["accept_ns"]["count"], 5_001, "{kind:?}");
        assert_eq!(trial["completion_ns"]["count"], 5_001, "{kind:?}");
        assert_eq!(trial["cell"]["factors"]["kind"], kind.1);
        assert_eq!(trial["in_force"]["kind"], kind.1);
        let requests = trial["counters"]["shared_requests"].as_u64();
        if kind.1 == "bidi" {
            assert_eq!(requests, None, "its streams were open before the window");
        } else {
            let requests = requests.expect("requests are counted");
            assert!(
                (5_001_u64.div_ceil(32)..5_001).contains(&requests),
                "{kind:?}: {requests}"
            );
        }
        let id = trial["cell"]["id"].as_str().unwrap();
        assert!(id.contains(kind.1), "{id}");
    }
}

#[test]
fn faults_planted_into_the_ledger_are_found_to_the_exact_count_in_every_kind() {
    for kind in KINDS {
        let trial = load(
            kind,
            &[
                "--count",
                "3000",
                "--in-flight",
                "32",
                "--warmup",
                "0s",
                "--grace",
                "1s",
                "--plant",
                "drop=1/100,double=1/100",
            ],
        );
        let (ledger, counters) = (&trial["ledger"], &trial["counters"]);
        assert_eq!(counters["planted: dropped"], 30, "{kind:?}: {counters}");
        assert_eq!(
            ledger["lost"], counters["planted: dropped"],
            "{kind:?}: {ledger}"
        );
        assert_eq!(
            ledger["duplicated"], counters["planted: doubled"],
            "{kind:?}: {ledger}"
        );
        assert_eq!(ledger["unexpected"], 0);
        assert_eq!(trial["validity"]["state"], "INVALID", "{kind:?}");
    }
}

#[test]
fn failures_of_the_service_fail_their_own_orders_in_every_kind() {
    for kind in KINDS {
        let trial = load(
            kind,
            &[
                "--count",
                "2000",
                "--in-flight",
                "64",
                "--warmup",
                "0s",
                "--slow",
                "0ms fail=10%",
            ],
        );
        let (ledger, counters) = (&trial["ledger"], &trial["counters"]);
        assert_eq!(
            ledger["failed"], counters["failures planned"],
            "{kind:?}: {counters}"
        );
        let failed = ledger["failed"].as_u64().unwrap();
        assert!(
            failed > 100 && failed < 300,
            "{kind:?}: a tenth of 2,000, got {failed}"
        );
        assert_eq!(ledger["acknowledged"], 2_000 - failed, "{kind:?}: {ledger}");
        assert_eq!(ledger["delivered"], 2_000, "{kind:?}: {ledger}");
        assert_eq!(ledger["lost"], 0);
    }
}

#[test]
fn a_tiny_run_of_the_experiment_judges_its_claim_and_sets_each_kind_beside_unary() {
    let folder = tempfile::tempdir().unwrap();
    let output = client(&[
        "run",
        "streaming",
        "--blocks",
        "1",
        "--warm-up",
        "0s",
        "--reruns",
        "0",
        "--json",
        "--quiet",
        "--out",
    ])
    .arg(folder.path().join("run"))
    .assert()
    // The machine may be too busy for a headline (3); everything else must have worked.
    .code(predicate::in_iter([0, 3]))
    .get_output()
    .stdout
    .clone();
    let run: Value = serde_json::from_slice(&output).expect("run.json alone on stdout");
    let trials: Vec<&Value> = run["trials"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|trial| trial["attempt"] == 0)
        .collect();
    assert_eq!(
        trials.len(),
        12,
        "six kinds, in a closed loop and at a rate"
    );
    for trial in &trials {
        let (id, ledger) = (&trial["cell"]["id"], &trial["ledger"]);
        assert!(ledger["attempted"].as_u64().unwrap() > 0, "{id}");
        assert_eq!(
            ledger["attempted"], ledger["acknowledged"],
            "{id}: {ledger}"
        );
        assert_eq!(ledger["attempted"], ledger["delivered"], "{id}: {ledger}");
        assert_eq!(
            (&ledger["lost"], &ledger["duplicated"]),
            (&0.into(), &0.into()),
            "{id}"
        );
    }
    let verdicts = run["verdicts"].as_array().unwrap();
    let verdict = verdicts.iter().find(|row| row["claim"] == "grpc-streaming");
    let verdict = verdict.expect("every claim has a row");
    assert_eq!(verdict["parts"].as_array().unwrap().len(), 4);
    // By count, so one block decides.
    assert_eq!(verdict["verdict"], "holds", "{verdict}");
    let table = run["tables"]
        .as_array()
        .unwrap()
        .iter()
        .find(|table| table["experiment"] == "streaming")
        .expect("the analysis made a table");
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 12, "{table}");
    for row in rows {
        let row = row.as_array().unwrap();
        assert_eq!(row.len(), table["columns"].as_array().unwrap().len());
    }
    let mut calls: Vec<&str> = rows
        .iter()
        .map(|row| row[0]["text"].as_str().unwrap())
        .collect();
    calls.sort();
    assert_eq!(
        calls,
        [
            "grpc bidi",
            "grpc bidi",
            "grpc client of 32",
            "grpc client of 32",
            "grpc server of 32",
            "grpc server of 32",
            "grpc unary",
            "grpc unary",
            "rest list of 32",
            "rest list of 32",
            "rest unary",
            "rest unary",
        ]
    );
    // Rows stand in the order in which their cells first ran. On a busy machine a trial may be INVALID, and then has
    // no figure; whoever was valid at the first attempt has one.
    for (trial, row) in trials.iter().zip(rows) {
        let alone = |other: &&Value| other["cell"]["id"] == trial["cell"]["id"];
        let attempts = run["trials"].as_array().unwrap().iter();
        if attempts.filter(alone).count() == 1 && trial["validity"]["state"] != "INVALID" {
            assert!(row[3].get("interval").is_some(), "CPU per message: {row}");
        }
    }
}
