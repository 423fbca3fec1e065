//! The experiments in which more arrives than is done, or a service is away, as tiny plans over real brokers: counts,
//! ledgers, and a row for each figure of theory; never a time.

use super::support::{
    self, and_brokers, count, hop, judged_with_reasons, list, planned, rows, sound_in, texts,
    usable, with_brokers,
};
use serde_json::Value;

fn sound(experiment: &str, tables: usize) -> Value {
    let run = support::sound_beside_another(experiment, &and_brokers("rest,grpc"), tables);
    assert!(list(&run, "skipped").is_empty(), "{run}");
    run
}

/// Every order is planned in one phase, and the row of each figure says how it stands to its formula.
fn beside_theory(run: &Value, table: usize, phases: [&str; 3]) {
    for trial in list(run, "trials") {
        assert_eq!(texts(trial, "phases", "name"), phases, "{trial}");
        assert_eq!(trial["ledger"]["attempted"], planned(trial), "{trial}");
    }
    for row in list(&list(run, "tables")[table], "rows") {
        let they = row[4]["text"].as_str().unwrap();
        // Whether they agree is a finding, and no matter of a test on a busy machine.
        let known = [
            "agrees",
            "measured above",
            "measured below",
            "cannot be compared",
        ];
        assert!(known.contains(&they), "{row}");
        assert!(row[5]["interval"]["point"].is_number(), "{row}");
        // Overload by plan, and how busy the machine was: a figure each, or why there is none.
        let offered = row[7]["number"].as_f64();
        assert!(
            offered.map_or(row[7]["missing"].is_string(), |times| times > 1.0),
            "{row}"
        );
        let busiest = &row[8];
        let told = busiest["interval"]["point"].is_number() || busiest["missing"].is_string();
        assert!(told, "{row}");
    }
}

#[test]
fn the_slow_phase_stands_beside_its_theory() {
    let run = sound("slow", 2);
    beside_theory(&run, 0, ["before", "slow", "after"]);
    // Backlog, drain, longest completion; and of a synchronous caller the calls in flight.
    let figures = |trial: &&Value| match trial["cell"]["transport"].as_str() {
        Some("rest" | "grpc") => 4,
        _ => 3,
    };
    let expected: usize = usable(&run).iter().map(figures).sum();
    assert_eq!(rows(&run, 0), expected);
    // An alarm has a row for each cell, and two parts of the claim for each transport, run or not.
    assert_eq!(rows(&run, 1), list(&run, "trials").len());
    judged_with_reasons(&run, "depth-canary", 8);
}

/// Of a service that stands still nothing ends, and what ended tells how long it took.
fn stands_still(trial: &Value) {
    let what = texts(trial, "faults", "what");
    assert_eq!(what, ["at 1s pause inventory", "at 3.5s resume inventory"]);
    let instant = |fault: usize, name: &str| list(trial, "faults")[fault][name].as_f64().unwrap();
    let (stopped, goes_on) = (instant(0, "actual_s"), instant(1, "planned_s"));
    let done = list(hop(trial, "inventory"), "completed_by_bin");
    let mut inside = 0;
    for (bin, done) in list(trial, "series").iter().zip(done) {
        let start = bin["start_s"].as_f64().unwrap();
        let end = start + bin["width_s"].as_f64().unwrap();
        if stopped <= start && end <= goes_on {
            assert_eq!(done, 0, "{bin}");
            inside += 1;
        }
        if count(bin, "accepted") > 0 {
            assert!(bin["longest_ns"].is_u64(), "{bin}");
        }
    }
    assert!(inside > 0, "{trial}");
}

#[test]
fn behind_checkout_the_service_slows_and_stops_and_the_catalogue_is_asked_for_meanwhile() {
    let transports = if with_brokers() { "rest,queue" } else { "rest" };
    let run = sound_in("faults", "slow", transports, 2);
    beside_theory(&run, 0, ["before", "slow", "after"]);
    let trials = list(&run, "trials");
    let arms = transports.split(',').count();
    assert_eq!(trials.len(), 4 * arms);
    let mut stopped = 0;
    for trial in trials {
        let names = texts(&trial["probe"], "phases", "name");
        assert_eq!(names, ["before", "slow", "after"], "{trial}");
        // Each order that was due meanwhile reached inventory in the end, and none was lost.
        let inventory = hop(trial, "inventory");
        let behind = gone_well(trial, "inventory");
        assert!(behind >= count(&trial["ledger"], "acknowledged"), "{trial}");
        let done = list(inventory, "completed_by_bin").iter();
        let done: u64 = done.map(|bin| bin.as_u64().unwrap()).sum();
        assert!(done <= count(&inventory["ledger"], "delivered"), "{trial}");
        assert!(done > 0, "{trial}");
        if trial["cell"]["factors"]["fault"].is_string() {
            stands_still(trial);
            stopped += 1;
        }
    }
    assert_eq!(stopped, arms);
    // A row of each figure of theory, told of inventory and of no other service.
    let told = list(&list(&run, "tables")[0], "rows");
    for transport in transports.split(',') {
        let rows = told.iter().filter(|row| row[0]["text"] == transport);
        // Backlog, drain, longest, and of a synchronous caller the calls in flight: bounded twice; Little's law once.
        let of_usable = usable(&run).len() == trials.len();
        let expected = if transport == "rest" { 9 } else { 7 };
        assert!(!of_usable || rows.count() == expected, "{told:?}");
    }
    assert_eq!(rows(&run, 1), trials.len());
    judged_with_reasons(&run, "depth-canary", 8 + 2 * arms);
}

#[test]
fn a_spike_is_shed_by_a_full_service_refused_by_a_full_queue_and_taken_by_the_rest() {
    let run = sound("spike", 2);
    beside_theory(&run, 1, ["before", "spike", "after"]);
    assert_eq!(
        list(&run, "trials").len(),
        if with_brokers() { 7 } else { 4 }
    );
    assert_eq!(rows(&run, 0), usable(&run).len());
    let mut limits = 0;
    for trial in list(&run, "trials") {
        let counter = |name: &str| trial["counters"][name].as_u64().unwrap_or(0);
        let ledger = |name: &str| count(&trial["ledger"], name);
        let named = match trial["cell"]["transport"].as_str().unwrap() {
            "rest" => counter("failed: status-503"),
            "grpc" => counter("failed: ResourceExhausted"),
            _ => 0,
        };
        let (shed, nacked) = (counter("shed"), counter("failed: nack"));
        let factors = &trial["cell"]["factors"];
        // What was turned away is counted alike on both sides, and reached no handler.
        assert_eq!(shed, named, "{trial}");
        assert_eq!(shed > 0, factors["max_waiting"].is_string(), "{trial}");
        assert_eq!(nacked > 0, factors["queue_limit"].is_string(), "{trial}");
        limits += u32::from(shed + nacked > 0);
        assert_eq!(
            ledger("delivered"),
            ledger("acknowledged") + ledger("recovered"),
            "{trial}"
        );
        assert!(ledger("delivered") + shed + nacked <= ledger("attempted"));
    }
    assert_eq!(limits, if with_brokers() { 3 } else { 2 });
}

/// What checkout counts as gone well at a service, which must have been delivered there, all of it.
fn gone_well(trial: &Value, to: &str) -> u64 {
    let hop = hop(trial, to);
    let sent = &hop["from"]["checkout"];
    assert_eq!(sent["lost"], 0, "{to}: {hop}");
    let well = count(sent, "succeeded");
    assert!(hop["ledger"]["delivered"].as_u64() >= Some(well), "{hop}");
    well
}

/// Orders planned while a service was away, and how many of them the user was told are done.
fn in_the_outage(trial: &Value) -> (u64, u64) {
    let what = texts(trial, "faults", "what");
    assert!(
        matches!(what[..], [kill, start] if kill.ends_with("kill inventory") && start.ends_with("start inventory")),
        "{what:?}"
    );
    let phase = &list(trial, "phases")[1];
    assert_eq!(phase["name"], "outage");
    (count(phase, "planned"), count(phase, "acknowledged"))
}

fn topology(trial: &Value) -> &str {
    trial["cell"]["factors"]["topology"].as_str().unwrap()
}

#[test]
fn in_an_outage_nobody_checks_out_over_a_sync_hop_and_over_a_broker_nothing_is_lost() {
    let run = sound("outage", 2);
    let trials = list(&run, "trials");
    assert_eq!(trials.len(), if with_brokers() { 4 } else { 2 });
    for trial in trials {
        let (planned, well) = in_the_outage(trial);
        let behind = gone_well(trial, "inventory");
        let published = ["outage-queue", "outage-stream"].contains(&topology(trial));
        if published {
            let all = count(&trial["ledger"], "acknowledged");
            assert!(behind >= all && well > 0, "{trial}");
        } else {
            // An order at either end of it may find the service there.
            assert!(well < planned / 2, "{well} of {planned}: {trial}");
        }
    }
    assert_eq!(rows(&run, 0), trials.len());
    assert_eq!(rows(&run, 1), trials.len());
}

#[test]
fn a_hybrid_checkout_has_all_its_messages_delivered_and_the_other_one_fails() {
    let run = sound("hybrid", 2);
    let trials = list(&run, "trials");
    assert_eq!(trials.len(), if with_brokers() { 3 } else { 1 });
    for trial in trials {
        let (planned, well) = in_the_outage(trial);
        assert_eq!(list(trial, "hops").len(), 5, "{trial}");
        for to in ["payment", "inventory", "email", "analytics"] {
            gone_well(trial, to);
        }
        if topology(trial) == "all-sync" {
            assert!(well < planned / 2, "{well} of {planned}: {trial}");
        } else {
            assert!(well > 0, "{trial}");
        }
    }
    assert_eq!(rows(&run, 1), trials.len());
}
