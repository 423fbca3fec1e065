//! Bounds are met at the bound and missed beyond it; nothing is met without a figure.

use super::super::result::EffectRound;
use super::*;
use crate::results::Latency;

fn late(p99_ns: &[u64], callee: &str) -> Check {
    lateness(&Lateness {
        callee: callee.into(),
        rate_per_s: 5_000.0,
        p99_ns: p99_ns.to_vec(),
        p99_median_ns: median(p99_ns),
        merged: Latency::default(),
        merged_p999_ns: None,
        core_share: None,
    })
}

#[test]
fn the_median_of_runs_is_judged_and_not_the_worst() {
    assert_eq!(
        late(&[90_000, 80_000, 100_000, 900_000, 2_000_000], "null").outcome,
        Outcome::Met
    );
    assert_eq!(
        late(&[90_000, 80_000, 100_001, 900_000, 2_000_000], "null").outcome,
        Outcome::Missed
    );
    assert_eq!(late(&[150_000], "grpc").outcome, Outcome::Met);
    assert_eq!(late(&[200_001], "grpc").outcome, Outcome::Missed);
}

#[test]
fn without_a_figure_nothing_is_met_and_nothing_missed() {
    let check = late(&[], "null");
    assert_eq!(
        (check.outcome, check.figure.as_str(), check.meaning),
        (Outcome::NotMeasured, "–", None)
    );
}

#[test]
fn only_a_miss_has_a_meaning() {
    assert!(late(&[1], "null").meaning.is_none());
    assert!(late(&[1_000_000], "null").meaning.is_some());
}

#[test]
fn the_middle_block_speaks_for_all_and_a_missing_one_silences_them() {
    let block = |accept_ns| Some(returned(accept_ns, 10, 100, 110, P50_SHARE, P50_NS));
    let of = |accepts: [u64; 3]| middle(&accepts.map(block)).map(|returned| returned.error_ns);
    assert_eq!(of([900, 120, 50]), Some(10));
    assert_eq!(middle(&[block(900), None, block(50)]), None);
    assert_eq!(middle(&[]), None);
}

#[test]
fn a_planted_latency_is_what_is_over_or_under_the_expected_sum() {
    let over = returned(1_120_000, 60_000, 1_030_000, 1_090_000, P50_SHARE, P50_NS);
    assert_eq!((over.error_ns, over.allowed_ns), (30_000, 20_000));
    let under = returned(
        50_040_000, 60_000, 50_020_000, 50_080_000, P50_SHARE, P50_NS,
    );
    assert_eq!((under.error_ns, under.allowed_ns), (-40_000, 500_200));
    let row = |p50, p99| PlantedLatency {
        planted_ns: 1_000_000,
        rate_per_s: 1_000.0,
        p50,
        p99,
    };
    let [p50, p99] = planted_latency(&row(Some(over), Some(under)));
    assert_eq!((p50.outcome, p99.outcome), (Outcome::Missed, Outcome::Met));
    assert!(p50.figure.starts_with('+') && p99.figure.starts_with('−'));
    let [_, p99] = planted_latency(&row(Some(over), None));
    assert_eq!(p99.outcome, Outcome::NotMeasured);
}

fn metric(ratios: [f64; 4]) -> PairedMetric {
    paired("p50", ratios.to_vec(), FOUND_LEVEL)
}

#[test]
fn an_effect_is_found_where_the_interval_lies_above_one() {
    assert!(found(&metric([1.05, 1.06, 1.04, 1.05])));
    assert!(!found(&metric([1.05, 0.95, 1.2, 0.9])));
    assert!(!found(&metric([0.95, 0.94, 0.96, 0.95])));
    assert!(differs(&metric([0.95, 0.94, 0.96, 0.95])));
    assert!(!differs(&metric([1.01, 0.99, 1.02, 0.98])));
    // One block shows neither an effect nor its absence.
    let alone = paired("p50", vec![1.05], FOUND_LEVEL);
    assert!(!found(&alone) && differs(&alone));
}

#[test]
fn a_round_counts_only_if_both_metrics_agree_and_four_in_five_must() {
    let (up, flat) = (
        metric([1.05, 1.06, 1.04, 1.05]),
        metric([1.01, 0.99, 1.02, 0.98]),
    );
    let round = |planted: [&PairedMetric; 2], nothing: [&PairedMetric; 2]| EffectRound {
        planted: planted.map(Clone::clone).to_vec(),
        nothing: nothing.map(Clone::clone).to_vec(),
    };
    let good = round([&up, &up], [&flat, &flat]);
    let mut effect = PlantedEffect {
        rounds: vec![
            good.clone(),
            good.clone(),
            good.clone(),
            good,
            round([&up, &flat], [&flat, &up]),
        ],
        ..PlantedEffect::default()
    };
    count_rounds(&mut effect);
    assert_eq!((effect.found, effect.nothing), (4, 4));
    assert!(
        planted_effect(&effect)
            .iter()
            .all(|check| check.outcome == Outcome::Met)
    );
    effect.found = 3;
    assert_eq!(planted_effect(&effect)[0].outcome, Outcome::Missed);
}

fn stop(accept: u64, service: u64, balanced: bool) -> StoppedService {
    let at = |ns| Latency {
        p50: Some(ns),
        p99: Some(ns),
        ..Latency::default()
    };
    StoppedService {
        max_in_flight: 8,
        stopped_ns: 1_400_000_000,
        attempted: 10,
        acknowledged: 10,
        delivered: 10,
        balanced,
        accept_ns: at(accept),
        service_ns: at(service),
        lateness_ns: at(60_000),
    }
}

fn outcomes(checks: &[Check]) -> Vec<Outcome> {
    checks.iter().map(|check| check.outcome).collect()
}

#[test]
fn a_stop_must_show_from_the_planned_instant_and_not_in_service_time() {
    use Outcome::{Met, Missed};
    let of = |row: StoppedService| outcomes(&stopped(&row, true));
    assert_eq!(of(stop(1_390_000_000, 80_000, true)), [Met, Met, Met]);
    assert_eq!(of(stop(80_000, 80_000, true)), [Missed, Met, Met]);
    assert_eq!(
        of(stop(1_390_000_000, 1_390_000_000, false)),
        [Met, Missed, Missed]
    );
}

#[test]
fn unbounded_the_two_clocks_agree_within_lateness_and_two_readings() {
    use Outcome::{Met, Missed};
    let of = |row: StoppedService| outcomes(&stopped(&row, false));
    assert_eq!(of(stop(130_000, 80_000, true)), [Met, Met, Met]);
    assert_eq!(
        of(stop(1_380_000_000, 1_377_500_000, true)),
        [Met, Met, Met]
    );
    assert_eq!(of(stop(1_380_000_000, 80_000, true)), [Missed, Missed, Met]);
}

#[test]
fn one_unbalanced_trial_is_a_miss() {
    let of = |balanced| {
        trials(&Trials {
            run: 9,
            balanced,
            ..Trials::default()
        })
        .outcome
    };
    assert_eq!((of(9), of(8)), (Outcome::Met, Outcome::Missed));
    assert_eq!(trials(&Trials::default()).outcome, Outcome::NotMeasured);
}
