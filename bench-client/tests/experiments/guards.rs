//! The experiment `guards` as a tiny plan: every order and every request of the probe accounted for, and each guard's calls
//! by its own count; never a time.

use super::support::{count, hop, judged, list, planned, rows, sound, texts};
use serde_json::Value;

/// The probe's requests have one end each, by phase and in all, and the service knows of every answer.
fn probe_is_accounted_for(trial: &Value, trouble: &str) {
    let probe = &trial["probe"];
    let ends = ["acknowledged", "refused", "failed", "timed_out"];
    let names = texts(probe, "phases", "name");
    assert_eq!(names, ["before", trouble, "after"], "{probe}");
    for phase in list(probe, "phases").iter().chain([&probe["window"]]) {
        let ended: u64 = ends.iter().map(|end| count(phase, end)).sum();
        assert_eq!(ended, count(phase, "planned"), "{phase}");
    }
    let window = &probe["window"];
    assert_eq!(planned(probe), count(window, "planned"), "{probe}");
    assert!(
        count(probe, "answered") >= count(window, "acknowledged"),
        "{probe}"
    );
    assert!(count(window, "acknowledged") > 0, "{probe}");
}

/// The trouble is what was done to inventory, and what checkout was told went well is in its ledger, a kill or not.
fn trouble_was_made(trial: &Value, trouble: &str) {
    let expected: &[&str] = match trouble {
        "hang" => &["pause inventory", "resume inventory"],
        "crash" => &["kill inventory", "start inventory"],
        _ => &[],
    };
    let done = trial["faults"].as_array().map_or(0, Vec::len);
    assert_eq!(done, expected.len(), "{trial}");
    if !expected.is_empty() {
        let what = texts(trial, "faults", "what");
        let mut pairs = what.iter().zip(expected);
        assert!(pairs.all(|(what, end)| what.ends_with(*end)), "{what:?}");
    }
    let inventory = hop(trial, "inventory");
    let died = inventory["died"].as_bool().unwrap_or_default();
    assert_eq!(died, trouble == "crash", "{inventory}");
    assert_eq!(inventory["from"]["checkout"]["lost"], 0, "{inventory}");
    let phase = &list(trial, "phases")[1];
    assert_eq!(phase["name"], trouble);
    let ends = ["acknowledged", "refused", "failed", "timed_out"];
    let ended: u64 = ends.iter().map(|end| count(phase, end)).sum();
    assert_eq!(ended, count(phase, "planned"), "{phase}");
}

/// Checkout's calls to inventory have one end each, and only a guard that is there turns one away.
fn calls_are_those_of_the_guards(trial: &Value, trouble: &str, guard: &str) {
    let calls = &hop(trial, "checkout")["calls"]["inventory"];
    let failed: u64 = calls["failed"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, count)| count.as_u64().unwrap())
        .sum();
    let of = |name: &str| count(calls, name);
    let (shed, refused, late) = (of("shed"), of("refused_by_breaker"), of("timed_out"));
    assert_eq!(
        of("calls"),
        of("succeeded") + failed + late + shed + refused,
        "{guard}: {calls}"
    );
    assert_eq!(of("attempts"), of("calls") - shed - refused, "{calls}");
    let has = |name: &str| guard == "all" || guard.split('-').any(|part| part == name);
    assert!(has("timeout") || late == 0, "{guard}: {calls}");
    assert!(has("bulkhead") || shed == 0, "{guard}: {calls}");
    assert!(has("breaker") || refused == 0, "{guard}: {calls}");
    let counts_slow = match guard {
        "breaker" | "all" => "100ms",
        _ => "none",
    };
    let slow_after = &trial["in_force"]["service.next inventory.guard.slow_after"];
    assert_eq!(slow_after, counts_slow, "{guard}");
    let states = &calls["breaker_s"];
    assert_eq!(states.is_object(), has("breaker"), "{calls}");
    let was = |state: &str| states[state].as_f64().is_some_and(|seconds| seconds > 0.0);
    assert!(!has("breaker") || was("closed"), "{calls}");
    assert!(refused == 0 || was("open"), "{calls}");
    // 200/s meet a service that does 40/s, or none: by arithmetic something gives way, and in each guard it is this.
    match (trouble, guard) {
        ("slow", "none") => {}
        ("slow", "timeout") => assert!(late > 0, "{calls}"),
        ("slow", "bulkhead") => assert!(shed > 0, "{calls}"),
        // As many are let out as are worked on at once, and each is slow.
        ("slow", "all") => assert!(shed > 0 && refused > 0, "{calls}"),
        // Nothing fails: it is opened by calls that are slow, those that hang once they have ended.
        ("slow" | "hang", "breaker") => {
            assert!(failed == 0 && refused > 0, "{calls}");
        }
        ("slow", "breaker-timeout") => assert!(late > 0 && refused > 0, "{calls}"),
        // A slow answer is no failure: it has nothing to count.
        ("slow", "breaker-errors-only") => {
            assert_eq!((failed, refused), (0, 0), "{calls}");
            assert!(!was("open") && !was("half open"), "{calls}");
        }
        ("hang", "all") => assert!(late > 0 && shed > 0 && refused > 0, "{calls}"),
        // A refused connection is a failure at once.
        ("crash", "none") => assert!(failed > 0, "{calls}"),
        ("crash", "breaker" | "all") => assert!(failed > 0 && refused > 0, "{calls}"),
        _ => panic!("no cell of the quick suite: {trouble}, {guard}"),
    }
}

#[test]
fn each_guard_turns_away_its_own_and_the_catalogue_is_asked_for_beside_the_orders() {
    // Over a sync transport alone: no broker is needed, and what a guard does knows no transport.
    let run = sound("guards", "rest", 2);
    let trials = list(&run, "trials");
    assert_eq!(
        trials.len(),
        12,
        "seven guards of a slow service, two of one that hangs, three of one that crashes"
    );
    for trial in trials {
        let name = trial["cell"]["factors"]["topology"].as_str().unwrap();
        let parts: Vec<&str> = name.splitn(4, '-').collect();
        let ["guards", trouble, _, guard] = parts[..] else {
            panic!("{name}")
        };
        let ledger = &trial["ledger"];
        assert_eq!(trial["cell"]["factors"]["probe"], "500/s", "{name}");
        // The probe is in no ledger.
        assert_eq!(count(ledger, "attempted"), planned(trial), "{name}");
        probe_is_accounted_for(trial, trouble);
        trouble_was_made(trial, trouble);
        calls_are_those_of_the_guards(trial, trouble, guard);
    }
    assert_eq!([0, 1].map(|at| rows(&run, at)), [12, 12]);
    for (claim, parts) in [("breaker", 16), ("cascade", 4)] {
        judged(&run, claim, parts);
    }
}
