//! The run on disk: every finished trial survives, what is foreign is refused, and the schema describes what is written.

use super::*;
use crate::claims;
use crate::claims::fixture::planted;
use std::fs;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn concluded() -> Run {
    let mut run = planted();
    claims::conclude(&mut run);
    let mut table = Table::new(
        "planted",
        "a planted table",
        &[("what", ""), ("cost", "µs")],
    );
    table.push(vec![
        "x".into(),
        Value::interval(2.0, Some((1.0, f64::INFINITY))),
    ]);
    run.tables.push(table);
    run.skipped.push(Skipped {
        transport: "stream".into(),
        reason: "no broker".into(),
    });
    run
}

#[test]
fn a_run_comes_back_as_it_was_written() {
    let (dir, run) = (folder(), concluded());
    Store::create(dir.path(), run.clone()).unwrap();
    assert_eq!(*Store::open(dir.path()).unwrap().run(), run);
    assert_eq!(
        *Store::open(dir.path().join("run.json")).unwrap().run(),
        run
    );
}

#[test]
fn every_trial_is_on_disk_as_soon_as_it_ended_and_stands_on_one_line() {
    let dir = folder();
    let mut run = planted();
    let trials = std::mem::take(&mut run.trials);
    let mut store = Store::create(dir.path().join("new/run"), run).unwrap();
    for (i, trial) in trials.into_iter().take(5).enumerate() {
        store.append_trial(trial).unwrap();
        assert_eq!(Store::open(store.dir()).unwrap().run().trials.len(), i + 1);
    }
    let text = fs::read_to_string(store.dir().join("run.json")).unwrap();
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("{\"experiment\""))
            .count(),
        5
    );
    assert_eq!(
        fs::read_dir(store.dir()).unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn what_is_said_of_a_finished_trial_may_change_and_is_on_disk() {
    let folder = folder();
    let dir = folder.path().join("run");
    let mut store = Store::create(&dir, concluded()).unwrap();
    store.append_trial(Trial::default()).unwrap();
    store
        .revise_trials(|trials| trials.last_mut().unwrap().replaced = true)
        .unwrap();
    let read = Store::open(&dir).unwrap();
    assert_eq!(read.run(), store.run());
    assert!(read.run().trials.last().unwrap().replaced);
}

#[test]
fn conclusions_are_written_beside_the_trials() {
    let dir = folder();
    let mut store = Store::create(dir.path(), planted()).unwrap();
    store.update(claims::conclude).unwrap();
    assert_eq!(*Store::open(dir.path()).unwrap().run(), *store.run());
    assert_eq!(store.run().verdicts.len(), claims::CLAIMS.len());
}

#[test]
fn another_run_is_not_overwritten() {
    let dir = folder();
    Store::create(dir.path(), planted()).unwrap();
    let error = Store::create(dir.path(), Run::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("already holds a run") && error.contains("--resume"),
        "{error}"
    );
    assert_eq!(
        Store::open(dir.path()).unwrap().run().trials.len(),
        planted().trials.len()
    );
}

#[test]
fn another_schema_is_refused_before_its_fields_are_looked_at() {
    let dir = folder();
    fs::write(
        dir.path().join("run.json"),
        r#"{"schema": "hopbench/9", "trials": "elsewhere"}"#,
    )
    .unwrap();
    let error = Store::open(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("expected the schema `hopbench/1`") && error.contains("got `hopbench/9`"),
        "{error}"
    );
}

#[test]
fn a_schema_that_is_not_read_is_told_by_who_wrote_it() {
    let dir = folder();
    for (schema, words) in [
        ("hopbench/0", "an older Hopbench wrote"),
        ("hopbench/2", "a newer Hopbench wrote"),
        ("hopbench/one", "no run of Hopbench has"),
        ("hopbench-calibration/1", "no run of Hopbench has"),
    ] {
        let text = format!("{{\"schema\": \"{schema}\"}}");
        fs::write(dir.path().join("run.json"), text).unwrap();
        let error = Store::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains(schema),
            "{schema}: {error}"
        );
    }
}

/// Fields are added over time, and a run that was made before stays readable.
#[test]
fn every_published_run_is_read_and_reported() {
    let published = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../results");
    let mut read = 0;
    for entry in fs::read_dir(published).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("run.json").is_file() {
            let store = Store::open(&folder).unwrap_or_else(|error| panic!("{error}"));
            assert!(!store.run().trials.is_empty(), "{}", folder.display());
            assert!(crate::report::markdown(store.run()).contains("verdict"));
            read += 1;
        }
    }
    assert!(read > 0, "nothing is published");
}

#[test]
fn what_is_no_run_is_refused_with_a_sentence() {
    let dir = folder();
    assert!(
        Store::open(dir.path())
            .unwrap_err()
            .to_string()
            .contains("expected a folder that `bench-client run --out` wrote")
    );
    for text in [
        "",
        "[]",
        "{\"schema\": 1}",
        "{\"schema\": \"hopbench/1\"}",
        "{\"schema\": \"hopbench/1\", \"manifest\": {",
    ] {
        fs::write(dir.path().join("run.json"), text).unwrap();
        let error = Store::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("is not a run of Hopbench"),
            "{text:?}: {error}"
        );
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_before_anything_is_measured() {
    let dir = folder();
    let file = dir.path().join("taken");
    fs::write(&file, "").unwrap();
    let error = Store::create(file.join("run"), planted())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("could not create") && error.contains("--out"),
        "{error}"
    );
}

#[test]
fn what_is_written_validates_against_the_schema() {
    let dir = folder();
    Store::create(dir.path(), concluded()).unwrap();
    let written: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join("run.json")).unwrap()).unwrap();
    let schema = json_schema();
    jsonschema::validate(&schema, &written).unwrap();
    jsonschema::validate(&trial_json_schema(), &written["trials"][0]).unwrap();
    // The schema is no rubber stamp.
    let mut broken = written.clone();
    broken["trials"][0]["validity"]["state"] = "FINE".into();
    assert!(!jsonschema::is_valid(&schema, &broken));
    let mut lacking = written;
    lacking["trials"][0]
        .as_object_mut()
        .unwrap()
        .remove("throughput_per_s");
    assert!(!jsonschema::is_valid(&schema, &lacking));
}

#[test]
fn the_names_that_stay_are_there() {
    let run = serde_json::to_value(concluded()).unwrap();
    let has = |value: &serde_json::Value, names: &[&str]| {
        for name in names {
            assert!(value.get(name).is_some(), "{name} is missing");
        }
    };
    has(
        &run,
        &[
            "schema", "manifest", "trials", "ratios", "verdicts", "skipped",
        ],
    );
    has(
        &run["manifest"],
        &[
            "time",
            "commit",
            "dirty",
            "machine",
            "brokers",
            "libraries",
            "settings",
        ],
    );
    let trial = &run["trials"][0];
    has(
        trial,
        &[
            "experiment",
            "cell",
            "block",
            "validity",
            "throughput_per_s",
            "accept_ns",
            "completion_ns",
            "service_ns",
        ],
    );
    has(trial, &["lateness_ns", "bytes", "cpu_us_per_op", "ledger"]);
    has(
        &trial["cell"],
        &["transport", "format", "payload", "in_flight", "durability"],
    );
    has(&trial["validity"], &["state", "reasons"]);
    has(
        &trial["accept_ns"],
        &["count", "p50", "p90", "p99", "p999", "max", "mean"],
    );
    has(&trial["bytes"], &["body_out", "body_in"]);
    has(&trial["cpu_us_per_op"], &["client", "service", "broker"]);
    has(
        &trial["ledger"],
        &[
            "attempted",
            "acknowledged",
            "delivered",
            "lost",
            "duplicated",
            "recovered",
        ],
    );
    has(
        &trial["ledger"],
        &[
            "unexpected",
            "reordered",
            "refused",
            "failed",
            "timed_out",
            "open",
        ],
    );
    has(
        &run["verdicts"][0],
        &["claim", "verdict", "low", "high", "unit", "cells", "reason"],
    );
}
