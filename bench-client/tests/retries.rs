//! The experiment `retries` as a tiny plan on real services: attempts, effects and ledgers by policy, counted on both sides;
//! never a time.

use assert_cmd::Command;
use serde_json::Value;

const RETRIES: u64 = 3;

fn list<'v>(value: &'v Value, name: &str) -> &'v Vec<Value> {
    value[name]
        .as_array()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn count(value: &Value, name: &str) -> u64 {
    value[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no count {name} in {value}"))
}

fn hop<'v>(trial: &'v Value, service: &str) -> &'v Value {
    let mut hops = list(trial, "hops").iter();
    hops.find(|hop| hop["service"] == service)
        .unwrap_or_else(|| panic!("no {service} in {trial}"))
}

/// One block at its quick size, over sync transports alone: no broker is needed.
fn run() -> Value {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::cargo_bin("bench-client")
        .expect("the program under test is built")
        .timeout(std::time::Duration::from_secs(240))
        .args(["run", "retries", "--blocks", "1"])
        .args(["--transport", "rest,grpc"])
        .args(["--warm-up", "0s", "--reruns", "0"])
        .args(["--json", "--quiet", "--out"])
        .arg(folder.path().join("run"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    // The machine may be too busy for a headline (3); everything else must have worked.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}; it said: {said}"))
}

/// Every order has one end and belongs to one phase, and none that was acknowledged is lost.
fn balances(trial: &Value) {
    let ledger = &trial["ledger"];
    let ends = ["acknowledged", "refused", "failed", "timed_out", "open"];
    let ended: u64 = ends.map(|end| count(ledger, end)).iter().sum();
    assert_eq!(count(ledger, "attempted"), ended, "{ledger}");
    assert_eq!(
        (&ledger["lost"], &ledger["unexpected"]),
        (&0.into(), &0.into())
    );
    let phases = list(trial, "phases");
    let names: Vec<&str> = phases.iter().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(names, ["before", "slow", "after", "later"]);
    let planned: u64 = phases.iter().map(|phase| count(phase, "planned")).sum();
    assert_eq!(count(ledger, "attempted"), planned);
}

/// What checkout counts of its calls, against what its policy allows.
fn attempts_are_those_of(policy: &str, trial: &Value) {
    let calls = &hop(trial, "checkout")["calls"]["inventory"];
    let (made, attempts, retried) = (
        count(calls, "calls"),
        count(calls, "attempts"),
        count(calls, "retried"),
    );
    assert!(made > 0, "{trial}");
    assert_eq!(attempts, made + retried, "{policy}: {calls}");
    match policy {
        "none" => assert_eq!(retried, 0, "{calls}"),
        // What a budget lets through is a tenth of the first attempts, and never nothing where so many fail.
        "budget" => assert!(0 < retried && retried * 10 <= made, "{calls}"),
        _ => assert!(made / 10 < retried && retried <= RETRIES * made, "{calls}"),
    }
}

/// What was done twice, and what was not begun.
fn effects_are_those_of(policy: &str, trial: &Value) {
    let retried = count(&hop(trial, "checkout")["calls"]["inventory"], "retried");
    let inventory = hop(trial, "inventory");
    let (effects, expired) = (&inventory["effects"], count(inventory, "expired"));
    let (applied, repeated) = (count(effects, "applied"), count(effects, "repeated"));
    assert!(applied > 0 && repeated <= retried, "{policy}: {inventory}");
    assert_eq!(
        count(&inventory["ledger"], "delivered"),
        applied,
        "each order that came had its effect: {inventory}"
    );
    match policy {
        "none" | "idempotent" => assert_eq!(repeated, 0, "{inventory}"),
        // Which of an order's attempts find a worker in time is the queue's matter.
        "deadline" => {}
        _ => assert!(repeated > 0, "{policy}: {inventory}"),
    }
    assert_eq!(expired > 0, policy == "deadline", "{policy}: {inventory}");
    let sent = &inventory["from"]["checkout"];
    assert_eq!(
        (&sent["lost"], &sent["unknown_to_caller"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn each_policy_makes_the_attempts_and_has_the_effects_that_it_is_made_of() {
    let run = run();
    assert!(list(&run, "skipped").is_empty(), "{}", run["skipped"]);
    let mut ran: Vec<(&str, &str)> = Vec::new();
    for trial in list(&run, "trials") {
        let cell = &trial["cell"];
        let policy = cell["factors"]["topology"]
            .as_str()
            .and_then(|name| name.strip_prefix("retries-"))
            .unwrap_or_else(|| panic!("no policy in {cell}"));
        ran.push((cell["transport"].as_str().unwrap(), policy));
        balances(trial);
        attempts_are_those_of(policy, trial);
        effects_are_those_of(policy, trial);
        let edge = trial["topology"].as_str().unwrap();
        assert_eq!(edge.contains("no deadline"), policy != "deadline", "{edge}");
    }
    ran.sort_unstable();
    let expected = [
        ("grpc", "immediate"),
        ("grpc", "none"),
        ("rest", "backoff"),
        ("rest", "budget"),
        ("rest", "deadline"),
        ("rest", "idempotent"),
        ("rest", "immediate"),
        ("rest", "none"),
    ];
    assert_eq!(ran, expected);
    // On a busy machine lateness can make a trial INVALID: then no table has it.
    let usable = list(&run, "trials")
        .iter()
        .filter(|trial| trial["validity"]["state"] != "INVALID")
        .count();
    for table in list(&run, "tables") {
        assert_eq!(list(table, "rows").len(), usable, "{table}");
        for row in list(table, "rows") {
            let values = row.as_array().map(Vec::len);
            assert_eq!(values, Some(list(table, "columns").len()), "{table}");
        }
    }
    assert_eq!(list(&run, "tables").len(), 2);
    let storm = list(&run, "verdicts")
        .iter()
        .find(|row| row["claim"] == "retry-storm")
        .expect("every claim has a row");
    assert_eq!(list(storm, "parts").len(), 3, "{storm}");
}
