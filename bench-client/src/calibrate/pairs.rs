//! A/A: arms that differ in nothing, compared as any others.

use super::result::PairedMetric;
use super::{Bench, judge, planted};
use crate::cell::Cell;
use crate::load::{Arrival, Mode, Stop};
use crate::results;
use anyhow::Context;
use bench_transport::Transport;

/// Rate of the open loop: moderate, so that latency is not the loop's own.
const PAIR_RATE: f64 = 2_000.0;

/// Pairs on rest: throughput in a closed loop, p50 and CPU per operation at a fixed rate.
pub(super) async fn a_a(bench: &mut Bench<'_>) -> anyhow::Result<Vec<PairedMetric>> {
    let plain = Cell {
        stop: Stop::after(bench.form.pair_window),
        warmup: bench.form.warmup,
        ..Cell::new(Transport::Rest)
    };
    let paced = Cell {
        mode: Mode::Open(Arrival::constant(PAIR_RATE)),
        ..plain.clone()
    };
    let throughput = |trial: &results::Trial| Some(trial.throughput_per_s);
    let metrics: [(&str, usize, planted::Metric); 3] = [
        ("throughput", 0, throughput),
        ("p50", 1, planted::p50),
        ("cpu_per_op", 1, planted::cpu_per_op),
    ];
    let mut ratios = [Vec::new(), Vec::new(), Vec::new()];
    for pair in 0..bench.form.pairs {
        let mut trials = [Vec::new(), Vec::new()];
        for (kind, cell) in [&plain, &paced].into_iter().enumerate() {
            for arm in ["A1", "A2"] {
                let cell = Cell {
                    arm: Some(arm.into()),
                    ..cell.clone()
                };
                trials[kind].push(bench.trial(&cell).await?);
            }
            // ABBA: neither arm is always the first.
            if pair % 2 == 1 {
                trials[kind].reverse();
            }
        }
        for (into, (name, kind, metric)) in ratios.iter_mut().zip(metrics) {
            let [first, second] = &trials[kind][..] else {
                unreachable!("a pair has two arms")
            };
            into.push(
                planted::ratio(first, second, metric)
                    .with_context(|| format!("a trial of the A/A pairs has no {name}"))?,
            );
        }
    }
    let rows = metrics.iter().zip(ratios);
    Ok(rows
        .map(|((name, ..), ratios)| judge::paired(name, ratios, bench_stats::estimate::AA_LEVEL))
        .collect())
}
