//! The experiment `guards` as a tiny plan: every order and every request of the probe accounted for, and each guard's calls
//! by its own count; never a time.

use super::support::{count, hop, judged, list, planned, rows, sound, texts};
use serde_json::Value;

/// The probe's requests have one end each, by phase and in all, and the service knows of every answer.
fn probe_is_accounted_for(trial: &Value) {
    let probe = &trial["probe"];
    let ends = ["acknowledged", "refused", "failed", "timed_out"];
    let names = texts(probe, "phases", "name");
    assert_eq!(names, ["before", "slow", "after"], "{probe}");
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

/// Checkout's calls to inventory have one end each, and only a guard that is there turns one away.
fn calls_are_those_of_the_guards(trial: &Value, guard: &str) {
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
    assert_eq!(calls["breaker_s"].is_object(), has("breaker"), "{calls}");
    // 200/s meet a service that does 40/s: by arithmetic something gives way, and in each guard it is this.
    match guard {
        "timeout" => assert!(late > 0, "{calls}"),
        "bulkhead" | "all" => assert!(shed > 0, "{calls}"),
        "breaker-timeout" => assert!(late > 0 && refused > 0, "{calls}"),
        // A slow answer is no failure: alone it has nothing to count.
        "breaker" => assert_eq!((failed, refused), (0, 0), "{calls}"),
        _ => assert_eq!(guard, "none"),
    }
}

#[test]
fn each_guard_turns_away_its_own_and_the_catalogue_is_asked_for_beside_the_orders() {
    // Over sync transports alone: no broker is needed.
    let run = sound("guards", "rest,grpc", 2);
    let trials = list(&run, "trials");
    assert_eq!(trials.len(), 12, "six guards over each of two transports");
    for trial in trials {
        let name = trial["cell"]["factors"]["topology"].as_str().unwrap();
        let guard = name.splitn(3, '-').nth(2).unwrap();
        let ledger = &trial["ledger"];
        assert_eq!(trial["cell"]["factors"]["probe"], "500/s", "{name}");
        // The probe is in no ledger.
        assert_eq!(count(ledger, "attempted"), planned(trial), "{name}");
        probe_is_accounted_for(trial);
        calls_are_those_of_the_guards(trial, guard);
    }
    assert_eq!([0, 1].map(|at| rows(&run, at)), [12, 12]);
    for (claim, parts) in [("breaker", 8), ("cascade", 2)] {
        judged(&run, claim, parts);
    }
}
