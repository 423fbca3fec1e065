//! The experiment `fanout` as a tiny plan over real brokers: every consumer gets every order exactly once, and what is
//! published is published once; who joins later gets what is published from then on. Never a time.

use super::support::{
    and_brokers, count, hop, judged_with_reasons, list, rows, sound, with_brokers,
};
use serde_json::Value;

#[test]
fn each_of_k_consumers_gets_every_order_exactly_once() {
    let run = sound("fanout", &and_brokers("grpc"), 3);
    assert_eq!(list(&run, "skipped").len(), 0, "{}", run["skipped"]);
    let (ways, brokers) = if with_brokers() { (4, 2) } else { (2, 0) };
    // K = 1 and 8, and 4 with a slow one among them, which has a row of its own among the consumers; and a twin.
    // To two of each broker one more joins.
    assert_eq!(list(&run, "trials").len(), 3 * ways + 1 + brokers);
    assert_eq!(
        [0, 1, 2].map(|at| rows(&run, at)),
        [3 * ways, 4 * ways, brokers]
    );
    let (joining, all_there): (Vec<&Value>, Vec<&Value>) = list(&run, "trials")
        .iter()
        .partition(|trial| trial["faults"].is_array());
    assert_eq!(joining.len(), brokers);
    for trial in joining {
        gets_what_is_published_since(trial);
    }
    for trial in all_there {
        let id = &trial["cell"]["id"];
        let attempted = &trial["ledger"]["attempted"];
        assert!(attempted.as_u64() > Some(0), "{id}");
        let hops = list(trial, "hops");
        let (caller, consumers) = hops.split_first().expect("services");
        let of_caller = caller["calls"].as_object().expect("its calls");
        let published = id.as_str().unwrap().contains("fanout-queue")
            || id.as_str().unwrap().contains("fanout-stream");
        if published {
            assert!(of_caller.keys().eq(["placed"]), "{id}: {of_caller:?}");
        } else {
            assert_eq!(of_caller.len(), consumers.len(), "{id}");
        }
        for calls in of_caller.values() {
            let counts = (&calls["attempts"], &calls["succeeded"]);
            assert_eq!(counts, (attempted, attempted), "{id}");
        }
        for hop in consumers {
            let ledger = &hop["ledger"];
            assert_eq!(&ledger["delivered"], attempted, "{id}: {ledger}");
            for fault in ["lost", "duplicated", "unexpected"] {
                assert_eq!(ledger[fault], 0, "{id}, {fault}: {ledger}");
            }
            let sent = &hop["from"]["checkout"];
            assert_eq!(&sent["succeeded"], attempted, "{id}: {sent}");
            assert_eq!(sent["lost"], 0, "{id}: {sent}");
        }
        // All of them went everywhere.
        let reached = list(trial, "reached");
        assert_eq!(reached.len(), 1, "{id}: {reached:?}");
        assert_eq!(list(&reached[0], "services").len(), hops.len(), "{id}");
    }
    judged_with_reasons(&run, "fanout-sync", 6);
}

/// Two consumers get everything; the third nothing from before it joined, and everything since, exactly once.
fn gets_what_is_published_since(trial: &Value) {
    let id = &trial["cell"]["id"];
    let attempted = &trial["ledger"]["attempted"];
    assert_eq!(&trial["ledger"]["acknowledged"], attempted, "{id}");
    let [join] = &list(trial, "faults")[..] else {
        panic!("one fault: {trial}")
    };
    let what = join["what"].as_str().unwrap();
    assert!(what.ends_with("start consumer-3"), "{id}: {join}");
    for name in ["consumer-1", "consumer-2"] {
        assert_eq!(&hop(trial, name)["ledger"]["delivered"], attempted, "{id}");
    }
    let third = hop(trial, "consumer-3");
    for fault in ["lost", "duplicated", "unexpected"] {
        assert_eq!(third["ledger"][fault], 0, "{id}, {fault}: {third}");
    }
    assert!(third["died"].is_null() && third["recovered"].is_null());
    assert_eq!(third["from"]["checkout"]["lost"], 0, "{id}: {third}");
    let [before, after] = &list(third, "phases")[..] else {
        panic!("two phases: {third}")
    };
    let planned = count(&trial["phases"][1], "planned");
    assert!(planned > 0, "{id}");
    assert_eq!(
        (count(before, "completed"), count(after, "completed")),
        (0, planned),
        "{id}"
    );
    // Joined by their Stamps: all of it went to the two, and a part of it to the third as well.
    let reached = list(trial, "reached");
    assert_eq!(reached.len(), 2, "{id}: {reached:?}");
    let everywhere = reached
        .iter()
        .find(|one| list(one, "services").len() == 4)
        .unwrap_or_else(|| panic!("{id}: {reached:?}"));
    assert_eq!(everywhere["orders"], third["ledger"]["delivered"], "{id}");
    // What it used is in no meter that was there from the start.
    assert!(trial["cpu_us_per_op"]["service"].is_null(), "{id}");
}
