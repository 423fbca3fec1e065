//! The instrument calibrates itself from end to end: every section is there, the result fits its schema, and what must
//! hold on any machine holds. No timing is asserted but what a stop of 1.4 s forces.

use assert_cmd::Command;
use predicates::prelude::*;
use serde_json::Value;

fn client() -> Command {
    let mut command = Command::cargo_bin("bench-client").expect("the program under test is built");
    command.timeout(std::time::Duration::from_secs(400));
    command
}

#[test]
fn a_quick_calibration_has_every_section_and_sees_a_stopped_service_from_the_planned_instant() {
    let _turn = crate::turn();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("calibration");
    let output = client()
        .args(["calibrate", "--quick", "--json", "--out"])
        .arg(&out)
        .assert()
        .code(0)
        .get_output()
        .stdout
        .clone();
    let result: Value = serde_json::from_slice(&output).expect("calibrate.json alone on stdout");
    let written = std::fs::read_to_string(out.join("calibrate.json")).unwrap();
    assert_eq!(result, serde_json::from_str::<Value>(&written).unwrap());
    let schema = client()
        .args(["schema", "--calibration"])
        .assert()
        .code(0)
        .get_output()
        .stdout
        .clone();
    let validator = jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap()).unwrap();
    let problems: Vec<String> = validator
        .iter_errors(&result)
        .map(|error| error.to_string())
        .collect();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(result["schema"], "hopbench-calibration/1");
    every_section_is_there(&result);
    every_miss_says_what_it_means(&result);
    a_stop_is_seen(&result);

    // A folder that holds a calibration is not written over.
    client()
        .args(["calibrate", "--quick", "--quiet", "--out"])
        .arg(&out)
        .assert()
        .code(1)
        .stderr(predicate::str::contains("already holds a calibration"));
}

fn length(result: &Value, section: &str) -> usize {
    result[section].as_array().map_or(0, Vec::len)
}

fn every_section_is_there(result: &Value) {
    for section in ["clock", "recording", "disk", "planted_effect"] {
        assert!(result[section].is_object(), "{section} is missing");
    }
    // Four rates against the null callee, one over gRPC.
    assert_eq!(length(result, "lateness"), 5);
    assert_eq!(length(result, "spin"), 4);
    assert_eq!(length(result, "a_a"), 3);
    assert_eq!(length(result, "planted_latency"), 5);
    assert_eq!(length(result, "planted_effect"), 0);
    assert_eq!(length(&result["planted_effect"], "rounds"), 1);
    assert_eq!(length(result, "stopped_service"), 2);
    // The null callee and every transport that could be reached; a missing broker is named with its reason.
    assert_eq!(
        length(result, "generator_cpu") + length(result, "skipped"),
        6
    );
    assert_eq!(
        length(result, "idle_brokers") + length(result, "skipped"),
        2
    );
    let judged = result["checks"].as_array().unwrap();
    for section in [
        "lateness",
        "disk",
        "a_a",
        "planted_latency",
        "planted_effect",
        "stopped_service",
        "trials",
    ] {
        assert!(
            judged.iter().any(|check| check["section"] == section),
            "nothing of {section} was judged"
        );
    }
}

fn every_miss_says_what_it_means(result: &Value) {
    for check in result["checks"].as_array().unwrap() {
        assert_eq!(
            check["outcome"] == "missed",
            check["meaning"].is_string(),
            "{check}"
        );
    }
}

/// The stop lasts 1.4 s of a 2.9 s window, so half of all operations wait through a part of it.
fn a_stop_is_seen(result: &Value) {
    let rows = result["stopped_service"].as_array().unwrap();
    for row in rows {
        assert_eq!(row["balanced"], true, "{row}");
        assert_eq!(row["attempted"], 5_800, "{row}");
        let p99 = row["accept_ns"]["p99"].as_u64().unwrap();
        assert!(p99 >= 1_000_000_000, "{p99}");
    }
    assert_eq!(rows[0]["max_in_flight"], 8);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for arguments in [
        ["calibrate", "--repeat", "0"],
        ["calibrate", "--pin", "here"],
        ["calibrate", "--repeat", "many"],
    ] {
        client().args(arguments).assert().code(2).stdout("");
    }
    client()
        .args(["calibrate", "--quick", "--out", "/proc/nowhere"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("--out"));
}
