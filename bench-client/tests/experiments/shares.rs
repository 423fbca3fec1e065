//! A rate that is a share of a capacity: the wide ladder over tcp alone, which is that and the bare rungs, on a real service.

use super::support::{list, program};
use serde_json::Value;
use std::path::Path;

/// Runs the program; what it wrote to `folder`.
fn run(folder: &Path, arguments: &[&str]) -> Value {
    program(&[arguments, &[folder.to_str().unwrap(), "--quiet"]].concat());
    written(folder)
}

fn written(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("run.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn trials(run: &Value) -> &Vec<Value> {
    list(run, "trials")
}

/// Percent → rate of each trial that ran at a share.
fn rates(run: &Value) -> Vec<(String, f64)> {
    let share = |trial: &Value| {
        let cell = &trial["cell"];
        let (percent, _) = cell["factors"]["share_of_capacity"]
            .as_str()?
            .split_once(" % of what tcp-O3-c32-process carried")?;
        Some((percent.to_string(), cell["rate_per_s"].as_f64()?))
    };
    let mut rates: Vec<_> = trials(run).iter().filter_map(share).collect();
    rates.sort_by(|a, b| a.0.cmp(&b.0));
    rates
}

#[test]
fn shares_follow_the_capacity_that_was_found_and_a_resumed_run_keeps_their_rates() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let first = run(
        &out,
        &[
            "run",
            "ladder",
            "--suite",
            "wide",
            "--blocks",
            "1",
            "--transport",
            "tcp",
            "--warm-up",
            "0s",
            "--reruns",
            "0",
            "--out",
        ],
    );
    let ran = trials(&first);
    // Eight rungs, a capacity and three shares of it; which of them come first is shuffled.
    assert_eq!(ran.len(), 12);
    let at = ran
        .iter()
        .position(|trial| trial["cell"]["id"] == "tcp-O3-c32-process")
        .expect("the capacity ran");
    let capacity = &ran[at];
    assert_ne!(capacity["validity"]["state"], "INVALID", "{capacity}");
    let carried = capacity["throughput_per_s"].as_f64().unwrap();
    let expected: Vec<_> = [50.0, 70.0, 90.0]
        .map(|percent| (percent.to_string(), (carried * percent / 100.0).floor()))
        .into();
    assert_eq!(rates(&first), expected);
    for trial in ran {
        let ledger = &trial["ledger"];
        assert!(ledger["attempted"].as_u64() > Some(0), "{trial}");
        assert_eq!(
            (&ledger["lost"], &ledger["unexpected"]),
            (&0.into(), &0.into())
        );
    }
    let shares = list(&first, "tables").last().unwrap();
    assert_eq!(list(shares, "rows").len(), 3, "{shares}");

    // As if it had been interrupted after the first share.
    let mut interrupted = first.clone();
    let kept = interrupted["trials"].as_array_mut().unwrap();
    kept.truncate(at + 2);
    std::fs::write(out.join("run.json"), interrupted.to_string()).unwrap();
    let resumed = run(&out, &["run", "--resume"]);
    assert_eq!(trials(&resumed).len(), 12);
    assert_eq!(rates(&resumed), expected);
}
