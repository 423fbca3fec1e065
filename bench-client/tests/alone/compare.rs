//! `compare` and the baselines of `load`, on tiny runs that were really made. What is asserted is structure: which cells,
//! how many trials, what is refused; never which of two was faster.

use assert_cmd::Command;
use predicates::prelude::*;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn client(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("bench-client").expect("the program under test is built");
    command
        .current_dir(folder)
        .timeout(std::time::Duration::from_secs(240));
    command
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path.join("run.json")).expect("a run is there");
    serde_json::from_str(&text).expect("it is JSON")
}

/// Changes a stored run; what a test changes is not what its build happens to be, so the build is said to be clean.
fn rewrite(from: &Path, to: &Path, change: impl Fn(&mut Value)) -> PathBuf {
    let mut run = read(from);
    run["manifest"]["dirty"] = false.into();
    change(&mut run);
    std::fs::create_dir_all(to).unwrap();
    std::fs::write(to.join("run.json"), run.to_string()).unwrap();
    to.to_path_buf()
}

#[test]
fn two_tiny_runs_of_one_plan_are_paired_and_what_differs_is_refused_with_its_list() {
    let _turn = crate::turn();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    client(folder.path())
        .args([
            "run",
            "capacity",
            "--blocks",
            "2",
            "--transport",
            "tcp,rest",
        ])
        .args(["--reruns", "0", "--quiet", "--out"])
        .arg(&out)
        .assert()
        // The machine may be too busy for a headline.
        .code(predicate::in_iter([0, 3]));
    // A second run of the same plan: its trials, all of them usable.
    let usable = |run: &mut Value| {
        for trial in run["trials"].as_array_mut().unwrap() {
            trial["validity"] = serde_json::json!({"state": "VALID", "reasons": []});
        }
    };
    let first = rewrite(&out, &folder.path().join("first"), usable);
    let second = rewrite(&out, &folder.path().join("second"), usable);
    let output = client(folder.path())
        .arg("compare")
        .args([&first, &second])
        .arg("--json")
        .assert()
        .code(0)
        .get_output()
        .stdout
        .clone();
    let comparison: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(comparison["differences"], serde_json::json!([]));
    assert_eq!(comparison["first"]["name"], "first");
    let rows = comparison["rows"].as_array().unwrap();
    // tcp O3, rest O3 and O100; throughput and CPU. The second arm of the A/A pair is none of them.
    assert_eq!(rows.len(), 6, "{rows:?}");
    for row in rows {
        assert_eq!(row["paired"], true, "{row}");
        assert_eq!(row["trials"], serde_json::json!([2, 2]), "{row}");
        assert_eq!(row["ratio"], 1.0, "a run is as fast as itself: {row}");
        // An A/A pair of two blocks seldom passes; then even this is undecided.
        let verdict = row["verdict"].as_str().unwrap();
        assert!(["no_difference", "undecided"].contains(&verdict), "{row}");
    }
    client(folder.path())
        .arg("compare")
        .args([&first, &second])
        .arg("--markdown")
        .assert()
        .code(0)
        .stdout(predicate::str::contains("| cell | metric | verdict |"));

    let other = rewrite(&out, &folder.path().join("other"), |run| {
        run["manifest"]["machine"]["cpu_model"] = "another".into();
        run["manifest"]["settings"]["pin"] = "none".into();
    });
    client(folder.path())
        .arg("compare")
        .args([&first, &other])
        .assert()
        .code(2)
        .stdout("")
        .stderr(
            predicate::str::contains("cpu_model: ")
                .and(predicate::str::contains("setting: pin: auto against none"))
                .and(predicate::str::contains("--anyway")),
        );
    client(folder.path())
        .arg("compare")
        .args([&first, &other])
        .arg("--anyway")
        .assert()
        .code(0)
        .stdout(predicate::str::contains("NOT COMPARABLE"));
    let dirty = rewrite(&out, &folder.path().join("dirty"), |run| {
        run["manifest"]["dirty"] = true.into();
    });
    client(folder.path())
        .arg("compare")
        .args([&first, &dirty])
        .assert()
        .code(2)
        .stderr(predicate::str::contains(
            "with changes that no commit holds",
        ));
    client(folder.path())
        .arg("compare")
        .arg(&first)
        .arg(folder.path().join("nowhere"))
        .assert()
        .code(1)
        .stderr(predicate::str::contains("bench-client run"));
}

/// A few hundred orders; a build under test may be dirty, which is refused without `--anyway`.
fn load(folder: &Path, more: &[&str]) -> Command {
    let mut command = client(folder);
    command
        .args(["load", "--transport", "tcp", "--count", "300"])
        .args(["--in-flight", "4", "--warmup", "0s"])
        .args(more);
    command
}

#[test]
fn a_baseline_grows_by_each_trial_and_a_later_one_is_set_against_it() {
    let _turn = crate::turn();
    let folder = tempfile::tempdir().unwrap();
    load(folder.path(), &["--baseline", "main"])
        .assert()
        .code(2)
        .stdout("")
        .stderr(
            predicate::str::contains("no baseline is called 'main'")
                .and(predicate::str::contains("--save main")),
        );
    load(folder.path(), &["--save", "main"])
        .assert()
        .code(0)
        .stdout(predicate::str::contains("1 trials of it now"));
    load(folder.path(), &["--save", "main", "--anyway"])
        .assert()
        .code(0)
        .stdout(predicate::str::contains("2 trials of it now"));
    let kept = folder.path().join("results/baselines/main");
    let run = read(&kept);
    assert_eq!(run["manifest"]["suite"], "load");
    let blocks: Vec<u64> = run["trials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trial| trial["block"].as_u64().unwrap())
        .collect();
    assert_eq!(blocks, [0, 1]);
    assert_eq!(
        std::fs::read_dir(&kept).unwrap().count(),
        1,
        "no temporary file is left"
    );
    load(folder.path(), &["--baseline", "main", "--anyway"])
        .assert()
        .code(0)
        .stdout(
            predicate::str::contains("this run against main")
                .and(predicate::str::contains("tcp-O3-c4-none"))
                .and(predicate::str::contains("2, 1")),
        );
    // The run before it: another load, another deadline, another cell.
    for (more, words) in [
        (["--count", "301"], "window: 300 operations against 301"),
        (["--timeout", "1s"], "timeout_ms: 5000 against 1000"),
        (["--payload", "O1"], "tcp-O3-c4-none against tcp-O1-c4-none"),
    ] {
        let mut command = client(folder.path());
        command.args([
            "load",
            "--transport",
            "tcp",
            "--in-flight",
            "4",
            "--warmup",
            "0s",
        ]);
        if more[0] != "--count" {
            command.args(["--count", "300"]);
        }
        command
            .args(more)
            .args(["--baseline", "main"])
            .assert()
            .code(2)
            .stdout("")
            .stderr(predicate::str::contains(words));
    }
    load(folder.path(), &["--save", "main", "--replace"])
        .assert()
        .code(0)
        .stdout(predicate::str::contains("1 trials of it now"));
    assert_eq!(read(&kept)["trials"].as_array().unwrap().len(), 1);
    // Two baselines are two runs.
    load(folder.path(), &["--save", "other"]).assert().code(0);
    client(folder.path())
        .args(["compare", "results/baselines/main"])
        .args(["results/baselines/other", "--anyway"])
        .assert()
        .code(0)
        .stdout(predicate::str::contains("other against main"));
}

#[test]
fn a_baselines_name_is_no_way_out_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["../main", "/main", "", "a b"] {
        load(folder.path(), &["--save", name])
            .assert()
            .code(2)
            .stdout("")
            .stderr(predicate::str::contains("no name for a baseline"));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
