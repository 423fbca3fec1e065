//! The experiment `fanout` as a tiny plan over real brokers: every consumer gets every order exactly once, and what is
//! published is published once; never a time.

use super::support::{and_brokers, judged_with_reasons, list, rows, sound, with_brokers};

#[test]
fn each_of_k_consumers_gets_every_order_exactly_once() {
    let run = sound("fanout", &and_brokers("grpc"), 2);
    assert_eq!(list(&run, "skipped").len(), 0, "{}", run["skipped"]);
    let ways = if with_brokers() { 4 } else { 2 };
    // K = 1 and 8, and 4 with a slow one among them, which has a row of its own among the consumers; and a twin.
    assert_eq!(list(&run, "trials").len(), 3 * ways + 1);
    assert_eq!([0, 1].map(|at| rows(&run, at)), [3 * ways, 4 * ways]);
    for trial in list(&run, "trials") {
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
    judged_with_reasons(&run, "fanout-sync", 4);
}
