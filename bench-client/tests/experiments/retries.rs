//! The experiment `retries` as a tiny plan on real services: attempts, effects and ledgers by policy, counted on both sides;
//! never a time.

use super::support::{
    count, hop, judged, list, planned, rows, sound_beside_another, texts, usable,
};
use serde_json::Value;

const RETRIES: u64 = 3;

/// Every order belongs to one phase.
fn phases_add_up(trial: &Value) {
    let names = texts(trial, "phases", "name");
    assert_eq!(names, ["before", "slow", "after", "later"]);
    assert_eq!(count(&trial["ledger"], "attempted"), planned(trial));
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
    // Over one sync transport: no broker is needed, and what a policy does knows no transport.
    let run = sound_beside_another("retries", "rest", 2);
    assert!(list(&run, "skipped").is_empty(), "{}", run["skipped"]);
    let mut ran: Vec<(&str, &str)> = Vec::new();
    for trial in list(&run, "trials") {
        let cell = &trial["cell"];
        let policy = cell["factors"]["topology"]
            .as_str()
            .and_then(|name| name.strip_prefix("retries-"))
            .unwrap_or_else(|| panic!("no policy in {cell}"));
        ran.push((cell["transport"].as_str().unwrap(), policy));
        phases_add_up(trial);
        attempts_are_those_of(policy, trial);
        effects_are_those_of(policy, trial);
        let edge = trial["topology"].as_str().unwrap();
        assert_eq!(edge.contains("no deadline"), policy != "deadline", "{edge}");
    }
    ran.sort_unstable();
    let expected = [
        ("rest", "backoff"),
        ("rest", "budget"),
        ("rest", "deadline"),
        ("rest", "idempotent"),
        ("rest", "immediate"),
        ("rest", "none"),
    ];
    assert_eq!(ran, expected);
    // On a busy machine lateness can make a trial INVALID: then no table has it.
    let usable = usable(&run).len();
    assert_eq!([0, 1].map(|at| rows(&run, at)), [usable, usable]);
    judged(&run, "retry-storm", 7);
}
