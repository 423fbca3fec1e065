//! `load --fail-if` as a script meets it: exit status, and what is printed where. Counts decide, never a time.

use assert_cmd::Command;
use predicates::prelude::*;

/// A few hundred orders over tcp: no broker, and a second.
fn load(more: &[&str]) -> Command {
    let mut command = Command::cargo_bin("bench-client").expect("the program under test is built");
    command
        .timeout(std::time::Duration::from_secs(120))
        .args(["load", "--transport", "tcp", "--count", "300"])
        .args(["--in-flight", "4", "--warmup", "0s"])
        .args(more);
    command
}

#[test]
fn thresholds_that_hold_end_with_0_and_each_is_printed_with_its_figure() {
    let _turn = crate::turn();
    load(&["--fail-if", "lost>0", "--fail-if", "errors>0.1%"])
        .assert()
        .code(0)
        .stdout(
            predicate::str::contains("Thresholds: all of them held")
                .and(predicate::str::is_match("lost>0 +0 +held").unwrap())
                .and(predicate::str::is_match("errors>0.1% +0.00 % +held").unwrap()),
        );
}

#[test]
fn one_that_is_crossed_ends_with_4_and_says_which() {
    let _turn = crate::turn();
    // Every order of a slow service takes 20 ms at least, whatever the machine does.
    load(&[
        "--slow",
        "20ms",
        "--fail-if",
        "p50>19ms",
        "--fail-if",
        "lost>0",
    ])
    .assert()
    .code(4)
    .stdout(
        predicate::str::contains("1 of 2 crossed")
            .and(predicate::str::is_match("p50>19ms .* CROSSED").unwrap())
            .and(predicate::str::is_match("lost>0 +0 +held").unwrap()),
    );
}

#[test]
fn what_was_not_measured_is_crossed_and_says_why() {
    let _turn = crate::turn();
    load(&["--fail-if", "p99>1s"]).assert().code(4).stdout(
        predicate::str::contains("300 operations are too few, it takes 1000")
            .and(predicate::str::is_match("p99>1s +– +CROSSED").unwrap()),
    );
}

#[test]
fn orders_that_were_never_delivered_are_found_by_their_threshold() {
    let _turn = crate::turn();
    // A loss without a fault makes the trial INVALID (3): the threshold is printed, and the stronger word is the exit.
    load(&["--plant", "drop=1/100", "--grace", "1s"])
        .args(["--fail-if", "lost>2"])
        .assert()
        .code(3)
        .stdout(predicate::str::is_match("lost>2 +3 +CROSSED").unwrap());
}

#[test]
fn beside_json_the_thresholds_are_told_on_standard_error() {
    let _turn = crate::turn();
    let output = load(&["--json", "--fail-if", "errors>=0"])
        .assert()
        .code(4)
        .stderr(predicate::str::contains("errors>=0"))
        .get_output()
        .stdout
        .clone();
    let trial: serde_json::Value = serde_json::from_slice(&output).expect("the trial alone");
    assert_eq!(trial["ledger"]["acknowledged"], 300);
}

#[test]
fn what_cannot_be_meant_ends_with_2_before_anything_starts() {
    for (arguments, words) in [
        (vec!["--fail-if", "p98>5ms"], "not a figure"),
        (vec!["--fail-if", "p99>5"], "no unit"),
        (vec!["--fail-if", "lateness.p99>1ms"], "closed loop"),
        (
            vec!["--fail-if", "lost>0", "--target", "127.0.0.1:9"],
            "--control",
        ),
    ] {
        load(&arguments)
            .assert()
            .code(2)
            .stdout("")
            .stderr(predicate::str::contains(words));
    }
}
