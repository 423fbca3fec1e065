//! The experiment `chain` as a tiny plan over real brokers: every ledger joined, and the shape of its tables and verdicts;
//! never a time.

use super::support::{and_brokers, judged_with_reasons, list, rows, sound, with_brokers};

#[test]
fn a_chain_joins_the_ledgers_of_all_its_services_and_its_claims_are_judged() {
    // One sync transport shows the shape; services that call each other over either have tests of their own.
    let run = sound("chain", &and_brokers("grpc"), 4);
    assert_eq!(list(&run, "skipped").len(), 0, "{}", run["skipped"]);
    // N = 1 … 5 that fail, smooth ones and ones with spikes, and the floor; each broker behind the chain.
    let behind = if with_brokers() { 2 } else { 0 };
    assert_eq!([0, 1, 2, 3].map(|at| rows(&run, at)), [5, 10, 5, behind]);
    for trial in list(&run, "trials") {
        let (id, ledger) = (&trial["cell"]["id"], &trial["ledger"]);
        let services: usize = trial["cell"]["factors"]["services"]
            .as_str()
            .and_then(|count| count.parse().ok())
            .unwrap_or_else(|| panic!("{id} says how many services it has"));
        assert_eq!(list(trial, "hops").len(), services, "{id}");
        assert_eq!(
            (&ledger["lost"], &ledger["unexpected"]),
            (&0.into(), &0.into()),
            "{id}: {ledger}"
        );
        let reached: u64 = list(trial, "reached")
            .iter()
            .map(|one| one["orders"].as_u64().unwrap())
            .sum();
        assert_eq!(
            ledger["attempted"], reached,
            "{id}: every order is in one set"
        );
        let fails = id.as_str().unwrap().contains("-fail");
        for hop in list(trial, "hops") {
            assert!(
                fails || hop["ledger"]["delivered"] == reached,
                "{id}: {}",
                hop["ledger"]
            );
        }
    }
    for (claim, parts) in [
        ("chain-fail", 10),
        ("chain-p99", 4),
        ("chain-floor", 2),
        ("async-hop-free", 4),
    ] {
        judged_with_reasons(&run, claim, parts);
    }
}
