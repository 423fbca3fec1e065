//! Whole verdicts over a planted run, and what spoils them.

mod spoilt;

use super::fixture::{self, planted};
use super::*;
use crate::results::{Skipped, Trial};

fn of(run: &Run, claim: &str) -> VerdictRow {
    judge(run)
        .into_iter()
        .find(|row| row.claim == claim)
        .unwrap()
}

fn part<'r>(row: &'r VerdictRow, name: &str) -> &'r Part {
    row.parts
        .iter()
        .find(|p| p.name == name)
        .unwrap_or_else(|| panic!("no part {name} in {row:?}"))
}

fn spoil(run: &mut Run, mut wanted: impl FnMut(&Trial) -> bool, change: impl Fn(&mut Trial)) {
    let mut hit = 0;
    for trial in &mut run.trials {
        if wanted(trial) {
            change(trial);
            hit += 1;
        }
    }
    assert!(hit > 0, "nothing to spoil");
}

#[test]
fn every_claim_has_its_row_in_the_order_of_the_table() {
    let rows = judge(&planted());
    let ids: Vec<&str> = rows.iter().map(|r| r.claim.as_str()).collect();
    assert_eq!(ids, CLAIMS.iter().map(|c| c.id).collect::<Vec<_>>());
    assert!(rows.iter().all(|r| !r.reason.is_empty()));
    let judged: Vec<&str> = rows
        .iter()
        .filter(|r| r.verdict != Verdict::NotMeasured)
        .map(|r| r.claim.as_str())
        .collect();
    assert_eq!(
        judged,
        [
            "size-3-10x",
            "grpc-thr-3-10x",
            "grpc-lat-3-10x",
            "grpc-lat-5-10x",
            "rest-50-200ms",
            "grpc-50k",
            "queue-ms-minutes",
            "producer-free",
            "slow-200ms"
        ]
    );
}

#[test]
fn each_judge_has_its_claim_and_no_claim_has_two() {
    let mut ids: Vec<&str> = JUDGES
        .iter()
        .copied()
        .flatten()
        .map(|judge| judge.claim)
        .collect();
    assert!(ids.iter().all(|id| Claim::find(id).is_some()), "{ids:?}");
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn an_empty_run_measures_nothing_and_says_what_is_missing() {
    for row in judge(&Run::default()) {
        assert_eq!(row.verdict, Verdict::NotMeasured, "{}", row.claim);
        assert!(!row.reason.is_empty());
    }
}

#[test]
fn sizes_depend_on_the_number_of_order_lines() {
    // 400/200 = 2, 750/300 = 2.5, 1450/500 = 2.9, 10500/3000 = 3.5, 108000/30000 = 3.6.
    let row = of(&planted(), "size-3-10x");
    assert_eq!(row.verdict, Verdict::Depends);
    assert!(row.reason.contains(
        "Depends on the number of order lines: holds for O100, O1000, refuted for O1, O3, O10"
    ));
    assert!((row.low.unwrap() - 2.0).abs() < 1e-9 && (row.high.unwrap() - 3.6).abs() < 1e-9);
}

#[test]
fn throughput_depends_on_the_payload_when_one_order_gains_and_the_other_loses() {
    let row = of(&planted(), "grpc-thr-3-10x");
    assert_eq!(row.verdict, Verdict::Depends, "{}", row.reason);
    let small = part(&row, "throughput O3");
    assert_eq!(
        (small.verdict, small.beyond.as_deref()),
        (Verdict::Refuted, Some("reversed"))
    );
    let large = part(&row, "throughput O100");
    assert_eq!(large.verdict, Verdict::Holds);
    assert!(
        large.low.unwrap() > 4.8 && large.high.unwrap() < 5.2,
        "{large:?}"
    );
}

#[test]
fn latency_twice_as_high_reverses_the_claim_though_one_order_was_not_run() {
    let row = of(&planted(), "grpc-lat-3-10x");
    assert_eq!(
        (row.verdict, row.beyond.as_deref()),
        (Verdict::Refuted, Some("reversed")),
        "{}",
        row.reason
    );
    assert_eq!(part(&row, "p99 O100").verdict, Verdict::NotMeasured);
    assert!(
        row.reason.contains("Not measured: p50 O100, p99 O100"),
        "{}",
        row.reason
    );
}

#[test]
fn sync_callers_wait_and_async_callers_do_not() {
    let row = of(&planted(), "slow-200ms");
    assert_eq!(row.verdict, Verdict::Holds, "{}", row.reason);
    assert!(row.reason.contains("by construction"));
    assert!(part(&row, "rest accept p50").low.unwrap() > 100.0);
    assert!(part(&row, "queue accept p50").high.unwrap() < 1.25);
}

#[test]
fn the_producer_is_free_only_as_far_as_it_was_measured() {
    let row = of(&planted(), "producer-free");
    assert_eq!(row.verdict, Verdict::Inconclusive, "{}", row.reason);
    assert!(
        row.reason.contains(
            "Not measured: consumer stopped, full queue, memory alarm, full client buffer"
        )
    );
    assert_eq!(part(&row, "stream accept p99").verdict, Verdict::Holds);
    let never = part(&row, "queue publish never fails");
    assert_eq!(
        (never.verdict, never.high),
        (Verdict::Holds, Some(0.0005)),
        "3 ÷ 6,000"
    );
}

#[test]
fn one_publish_that_fails_refutes_the_free_producer() {
    let mut run = planted();
    spoil(
        &mut run,
        |t| t.cell.id == "queue-O3-r200-slow" && t.block == 3,
        |t| t.phases[1].acknowledged -= 1,
    );
    let row = of(&run, "producer-free");
    assert_eq!(row.verdict, Verdict::Refuted);
    assert!(
        row.reason
            .contains("1 of 6000 publishes were not confirmed"),
        "{}",
        row.reason
    );
}

#[test]
fn a_publisher_that_waits_refutes_both_claims() {
    let mut run = planted();
    run.trials.retain(|t| t.cell.id != "queue-O3-r200-slow");
    run.trials
        .extend((0..fixture::BLOCKS).map(|b| fixture::slow("queue", b, 800_000, 400_000_000, 0)));
    assert_eq!(of(&run, "slow-200ms").verdict, Verdict::Refuted);
    assert_eq!(of(&run, "producer-free").verdict, Verdict::Refuted);
}

#[test]
fn a_slow_phase_known_only_as_a_bound_still_shows_the_effect() {
    let mut run = planted();
    let bound = |t: &mut Trial| {
        t.phases[1]
            .accept_ns
            .at_least
            .push(crate::results::Percentile::P50)
    };
    spoil(&mut run, |t| t.cell.id == "rest-O3-r200-slow", bound);
    let row = of(&run, "slow-200ms");
    let rest = part(&row, "rest accept p50");
    assert_eq!((rest.verdict, rest.high), (Verdict::Holds, None));
    assert!(rest.reason.contains("at least"), "{}", rest.reason);
}

#[test]
fn a_skipped_transport_is_named_with_its_reason() {
    let mut run = planted();
    run.trials.retain(|t| t.cell.transport != "queue");
    run.skipped.push(Skipped {
        transport: "queue".into(),
        reason: "no broker answers; try `make up`".into(),
    });
    let row = of(&run, "slow-200ms");
    assert_eq!(row.verdict, Verdict::Inconclusive);
    assert!(
        part(&row, "queue accept p50")
            .reason
            .contains("queue was skipped: no broker answers; try `make up`")
    );
}

#[test]
fn a_ratio_between_durability_classes_is_never_made() {
    let rows = ratios::ratios(&planted());
    assert!(
        !rows.iter().any(|r| r.name.contains("capacity")
            && (r.name.contains("queue") || r.name.contains("stream")))
    );
    assert!(
        rows.iter()
            .any(|r| r.name.contains("ladder") && r.name.contains("queue ÷ rest"))
    );
}

#[test]
fn each_metric_has_its_aa_pair_and_every_ratio_its_smallest_detectable_effect() {
    let rows = ratios::ratios(&planted());
    let aa: Vec<&str> = rows
        .iter()
        .filter(|r| r.aa_passed == Some(true))
        .map(|r| r.metric.as_str())
        .collect();
    for metric in [
        "throughput_per_s",
        "cpu_us_per_op",
        "accept_p50",
        "accept_p99",
    ] {
        assert!(aa.contains(&metric), "{metric} not in {aa:?}");
    }
    assert!(rows.iter().all(|r| r.mde.is_some_and(|mde| mde >= 1.0)));
}

#[test]
fn a_verdict_carries_its_scope() {
    let scope = of(&planted(), "slow-200ms").reason;
    assert!(
        scope.ends_with("Scope: Rust, loopback, 2 cores, O3, 200/s, durability process, RabbitMQ 0.0 (this instance), Kafka 0.0 (this instance), quick suite."),
        "{scope}"
    );
    let sync_only = of(&planted(), "grpc-thr-3-10x").reason;
    assert!(
        sync_only.ends_with("Scope: Rust, loopback, 2 cores, O3 and O100, 32 in flight, durability none, quick suite."),
        "{sync_only}"
    );
}

#[test]
fn concluding_twice_changes_nothing() {
    let mut run = planted();
    conclude(&mut run);
    let once = run.clone();
    conclude(&mut run);
    assert_eq!(run, once);
}

#[test]
fn the_cpu_ratio_stands_beside_the_throughput_claim_and_does_not_decide_it() {
    // O3: (22 + 26) ÷ (11 + 13) = 2; O100: (8 + 10) ÷ (40 + 50) = 0.2.
    let row = of(&planted(), "grpc-thr-3-10x");
    assert!(
        row.reason
            .contains("gRPC ÷ REST: 2.00× [2.00, 2.00] with O3, 0.20× [0.20, 0.20] with O100"),
        "{}",
        row.reason
    );
    assert!(row.parts.iter().all(|p| p.name.starts_with("throughput")));
}

#[test]
fn parts_of_different_kinds_share_no_interval() {
    let row = of(&planted(), "slow-200ms");
    assert_eq!((row.low, row.high), (None, None));
    let mut run = planted();
    run.trials.retain(|t| t.cell.id != "queue-O3-r200-slow");
    run.trials
        .extend((0..fixture::BLOCKS).map(|b| fixture::slow("queue", b, 800_000, 400_000_000, 0)));
    assert!(
        of(&run, "slow-200ms").low.unwrap() > 100.0,
        "the part that refuted it"
    );
}

#[test]
fn without_an_aa_pair_the_finding_says_so() {
    let mut run = planted();
    run.trials.retain(|t| t.cell.arm.is_none());
    let row = of(&run, "grpc-thr-3-10x");
    assert_eq!(row.verdict, Verdict::Depends);
    assert!(
        row.reason.contains("no A/A pair tells of it"),
        "{}",
        row.reason
    );
}

#[test]
fn where_both_callers_were_the_limit_throughput_is_judged_per_cpu_second() {
    // Orders per CPU-second: O3 24 ÷ 48 = 0.5; O100 90 ÷ 18 = 5. Observed: 0.5 and 5 too, but only as bounds.
    let mut run = planted();
    spoil(
        &mut run,
        |t| t.experiment == "capacity",
        |t| t.throughput_is_lower_bound = true,
    );
    let row = of(&run, "grpc-thr-3-10x");
    assert_eq!(row.verdict, Verdict::Depends, "{}", row.reason);
    let small = part(&row, "throughput O3");
    assert_eq!(
        (small.verdict, small.beyond.as_deref()),
        (Verdict::Refuted, Some("reversed"))
    );
    assert!((small.low.unwrap() - 0.5).abs() < 1e-9, "{small:?}");
    assert!(
        small.reason.contains("per second of CPU") && small.reason.contains("both callers"),
        "{}",
        small.reason
    );
}

#[test]
fn one_caller_at_its_limit_has_every_payload_judged_per_cpu_second() {
    // With O3: 0.5 in orders per second, 24 ÷ 24 = 1 in orders per CPU-second.
    let mut run = planted();
    spoil(
        &mut run,
        |t| t.cell.id == "grpc-O3-c32",
        |t| {
            t.cpu_us_per_op.client = Some(11.0);
            t.cpu_us_per_op.service = Some(13.0);
        },
    );
    let found = |run: &Run| {
        let row = of(run, "grpc-thr-3-10x");
        ["throughput O3", "throughput O100"].map(|name| part(&row, name).clone())
    };
    let [small, large] = found(&run);
    assert!((small.low.unwrap() - 0.5).abs() < 0.02, "{small:?}");
    for (part, other) in [(&small, "1.00"), (&large, "5.00")] {
        let words =
            format!("the orders per second of REST (orders per CPU-second {other}×) over 6 blocks");
        assert!(part.reason.contains(&words), "{}", part.reason);
    }
    let is_large = |t: &Trial| t.cell.id == "grpc-O100-c32" && t.block == 2;
    spoil(&mut run, is_large, |t| t.throughput_is_lower_bound = true);
    let [small, large] = found(&run);
    assert!((small.low.unwrap() - 1.0).abs() < 1e-9, "{small:?}");
    assert!((large.low.unwrap() - 5.0).abs() < 1e-9, "{large:?}");
    for (part, other, limit) in [
        (&small, "0.50", "not the callers"),
        (&large, "5.00", "the caller of the first"),
    ] {
        let words = format!("together (orders per second {other}×; the limit: {limit})");
        assert!(part.reason.contains(&words), "{}", part.reason);
    }
}

#[test]
fn a_rate_that_was_not_sustained_decides_nothing() {
    let mut run = planted();
    spoil(
        &mut run,
        |t| t.cell.id == "grpc-O3-r2000" && t.block < 3,
        |t| t.overloaded = Some("planted".into()),
    );
    let row = of(&run, "grpc-lat-3-10x");
    assert_eq!(part(&row, "p50 O3").verdict, Verdict::NotMeasured);
    assert_eq!(row.verdict, Verdict::NotMeasured);
    assert!(
        row.reason.contains("not sustained, not even at 2000/s"),
        "{}",
        row.reason
    );
}
