//! What the tests that run the program share: whether there are brokers, what it printed, and its JSON.

use assert_cmd::Command;
use serde_json::Value;
use std::process::Output;
use std::time::Duration;

/// Whether the tests were told to do without brokers; otherwise a missing broker fails them.
pub(super) fn without_brokers() -> bool {
    let skip = std::env::var_os("HOPBENCH_SKIP_BROKERS").is_some_and(|value| value == "1");
    if skip {
        eprintln!("brokers skipped: HOPBENCH_SKIP_BROKERS=1");
    }
    skip
}

/// Runs the program. What it complained of goes to the test's own output, which is shown where the test fails.
pub(super) fn program(arguments: &[&str]) -> Output {
    let output = Command::cargo_bin("bench-client")
        .expect("the program under test is built")
        .timeout(Duration::from_secs(240))
        .args(arguments)
        .output()
        .expect("it runs");
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs the program; the JSON that it prints, and its exit status.
pub(super) fn json(arguments: &[&str]) -> (Value, i32) {
    let output = program(arguments);
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    (value, output.status.code().expect("it was not killed"))
}
