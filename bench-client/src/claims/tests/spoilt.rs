//! What keeps a run's blocks, or all of it, from deciding: A/A pairs that fail, SUSPECT and INVALID blocks, too few.

use super::*;
use crate::results::State;

#[test]
fn a_biased_aa_pair_makes_what_rests_on_its_metric_inconclusive() {
    let mut run = planted();
    spoil(
        &mut run,
        |t| t.cell.arm.is_some() && t.experiment == "capacity",
        |t| t.throughput_per_s *= 1.3,
    );
    let row = of(&run, "grpc-thr-3-10x");
    assert_eq!(row.verdict, Verdict::Inconclusive);
    assert!(
        row.reason
            .contains("arms of the A/A pair of `rest-O3-c32` are not alike in throughput_per_s"),
        "{}",
        row.reason
    );
    assert_eq!(
        of(&run, "grpc-lat-3-10x").verdict,
        Verdict::Refuted,
        "its metrics' pairs passed"
    );
    assert_eq!(
        of(&run, "size-3-10x").verdict,
        Verdict::Depends,
        "counting needs no A/A"
    );
    let failed = ratios::failed_aa(&ratios::ratios(&run));
    assert_eq!(failed.len(), 1, "{failed:?}");
}

#[test]
fn an_aa_pair_without_an_interval_is_not_tested_and_did_not_fail() {
    // Too few samples in every block but so many.
    for blocks in [0, 1] {
        let mut run = planted();
        spoil(
            &mut run,
            |t| t.cell.arm.is_some() && t.experiment == "ladder" && t.block >= blocks,
            |t| t.accept_ns.p99 = None,
        );
        let found = ratios::ratios(&run);
        let pair: Vec<&crate::results::Ratio> = found
            .iter()
            .filter(|r| ratios::is_aa(r) && r.metric == "accept_p99")
            .collect();
        assert_eq!(pair.len(), 1, "{pair:?}");
        assert_eq!((pair[0].blocks, pair[0].aa_passed), (blocks, None));
        assert!(ratios::failed_aa(&found).is_empty());
    }
}

/// The arms of `capacity`'s pair apart by a factor, up in one block and down in the next.
fn scattered(by: f64) -> Run {
    let mut run = planted();
    spoil(
        &mut run,
        |t| t.cell.arm.is_some() && t.experiment == "capacity",
        |t| {
            let up = t.block % 2 == 0;
            t.throughput_per_s *= if up { by } else { 1.0 / by };
        },
    );
    run
}

#[test]
fn a_noisy_aa_pair_takes_the_verdicts_that_so_much_noise_would_turn_and_no_others() {
    // gRPC carries 0.5× with O3 and 5× with O100, of claimed 3–10×.
    let some = of(&scattered(1.15), "grpc-thr-3-10x");
    assert_eq!(some.verdict, Verdict::Depends, "{}", some.reason);
    assert!(
        some.reason.contains("(an A/A pair: up to 1.29×)"),
        "{}",
        some.reason
    );
    let small = part(&some, "throughput O3");
    assert_eq!(small.beyond.as_deref(), Some("reversed"));
    // 5 ÷ 2.08 is no longer inside the band; 0.5 × 2.08 is below it still, but no longer below 1.
    let much = of(&scattered(1.5), "grpc-thr-3-10x");
    let (small, large) = (part(&much, "throughput O3"), part(&much, "throughput O100"));
    assert_eq!(
        (small.verdict, small.beyond.as_deref()),
        (Verdict::Refuted, None)
    );
    assert_eq!(large.verdict, Verdict::Inconclusive);
    assert!(
        large
            .reason
            .contains("scattered by up to 2.08× in throughput_per_s, too much"),
        "{}",
        large.reason
    );
}

#[test]
fn a_closed_loops_pair_says_nothing_of_an_open_loops_latency() {
    let mut run = planted();
    spoil(
        &mut run,
        |t| t.cell.arm.is_some() && t.experiment == "capacity",
        |t| t.accept_ns.p50 = t.accept_ns.p50.map(|p50| p50 * 3),
    );
    assert_eq!(of(&run, "grpc-lat-3-10x").verdict, Verdict::Refuted);
}

#[test]
fn a_verdict_that_undisturbed_blocks_contradict_is_inconclusive() {
    let mut run = planted();
    let small = |t: &Trial| t.cell.id == "grpc-O3-c32" && t.block < 5;
    spoil(&mut run, small, |t| t.validity.state = State::Suspect);
    let last = |t: &Trial| t.cell.id == "grpc-O3-c32" && t.block == 5;
    spoil(&mut run, last, |t| t.throughput_per_s *= 8.0);
    let found = part(&of(&run, "grpc-thr-3-10x"), "throughput O3").clone();
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(
        found.reason.contains("what was undisturbed says holds, at"),
        "{}",
        found.reason
    );
}

#[test]
fn few_undisturbed_blocks_that_point_the_same_way_contradict_nothing() {
    let mut run = planted();
    let small = |t: &Trial| t.cell.id == "grpc-O3-c32" && t.block < 5;
    spoil(&mut run, small, |t| t.validity.state = State::Suspect);
    let found = part(&of(&run, "grpc-thr-3-10x"), "throughput O3").clone();
    assert_eq!(found.verdict, Verdict::Refuted);
    assert!(
        found.reason.contains("over 6 blocks, 5 of them SUSPECT"),
        "{}",
        found.reason
    );
    // But one at least has to be there.
    let small = |t: &Trial| t.cell.id == "grpc-O3-c32";
    spoil(&mut run, small, |t| t.validity.state = State::Suspect);
    let found = part(&of(&run, "grpc-thr-3-10x"), "throughput O3").clone();
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(
        found.reason.contains("no block of it was undisturbed"),
        "{}",
        found.reason
    );
}

#[test]
fn suspect_blocks_that_change_nothing_change_nothing() {
    let mut run = planted();
    spoil(
        &mut run,
        |t| t.cell.id == "grpc-O3-c32" && t.block == 2,
        |t| t.validity.state = State::Suspect,
    );
    assert_eq!(of(&run, "grpc-thr-3-10x").verdict, Verdict::Depends);
    let rows = ratios::ratios(&run);
    let row = rows
        .iter()
        .find(|r| r.numerator == "grpc-O3-c32" && r.metric == "throughput_per_s")
        .unwrap();
    assert!(row.without_suspect.is_some() && row.blocks == 6);
}

#[test]
fn a_cell_that_kept_too_few_blocks_has_no_headline() {
    let mut run = planted();
    spoil(
        &mut run,
        |t| t.cell.id == "grpc-O100-c32" && t.block < 3,
        |t| t.validity.state = State::Invalid,
    );
    let row = of(&run, "grpc-thr-3-10x");
    assert!(
        part(&row, "throughput O100")
            .reason
            .contains("kept 3 of 6 blocks"),
        "{}",
        row.reason
    );
    assert_eq!(without_headline(&run), ["grpc-O100-c32"]);
    assert!(without_headline(&planted()).is_empty());
}

#[test]
fn an_invalid_block_leaves_the_ratio_and_is_named() {
    let mut run = planted();
    let spoilt = |t: &mut Trial| {
        t.validity.state = State::Invalid;
        t.validity.reasons = vec!["the accounts do not balance".into()];
        t.throughput_per_s = 1.0;
    };
    spoil(
        &mut run,
        |t| t.cell.id == "grpc-O3-c32" && t.block == 5,
        spoilt,
    );
    let rows = ratios::ratios(&run);
    let row = rows
        .iter()
        .find(|r| r.numerator == "grpc-O3-c32" && r.metric == "throughput_per_s")
        .unwrap();
    assert_eq!((row.blocks, row.excluded.len()), (5, 1));
    assert!(row.excluded[0].contains("block 5") && row.excluded[0].contains("do not balance"));
    assert!(row.high.unwrap() < 0.55);
}

#[test]
fn only_the_last_attempt_of_a_block_counts() {
    let mut run = planted();
    let mut again = run
        .trials
        .iter()
        .find(|t| t.cell.id == "grpc-O3-c32" && t.block == 0)
        .unwrap()
        .clone();
    spoil(
        &mut run,
        |t| t.cell.id == "grpc-O3-c32" && t.block == 0,
        |t| t.throughput_per_s = 1.0,
    );
    again.attempt = 1;
    run.trials.push(again);
    assert_eq!(
        of(&run, "grpc-thr-3-10x").parts,
        of(&planted(), "grpc-thr-3-10x").parts
    );
}
