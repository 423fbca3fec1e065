//! Truths planted into the service and looked for from outside: a handler time, an effect of 5 %, and a stop.

use super::judge;
use super::result::{EffectRound, PairedMetric, PlantedLatency, Returned, StoppedService};
use super::{Bench, Form};
use crate::cell::{Cell, Stall};
use crate::load::{Arrival, Mode, Stop};
use crate::results::{Latency, Trial};
use anyhow::Context;
use bench_proto::slowness::Slowness;
use bench_stats::histogram;
use bench_transport::Transport;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use std::time::Duration;

fn slowness(text: &str) -> Slowness {
    text.parse().expect("a constant in the slowness language")
}

fn open(rate: f64, window: Duration, form: &Form) -> Cell {
    Cell {
        mode: Mode::Open(Arrival::constant(rate)),
        stop: Stop::after(window),
        warmup: form.warmup,
        ..Cell::new(Transport::Tcp)
    }
}

/// Each planted handler time at each rate, over the tcp floor of the same rate and block.
pub(super) async fn latencies(bench: &mut Bench<'_>) -> anyhow::Result<Vec<PlantedLatency>> {
    let form = bench.form;
    let mut rows = Vec::new();
    for (rate, planted) in form.planted {
        let base = open(*rate, form.planted_window, form);
        let mut blocks = vec![Vec::new(); planted.len()];
        for _ in 0..form.planted_blocks {
            let floor = bench.trial(&base).await?;
            for (text, blocks) in planted.iter().zip(&mut blocks) {
                let cell = Cell {
                    slow: Some(slowness(text)),
                    ..base.clone()
                };
                blocks.push(both(&bench.trial(&cell).await?, &floor)?);
            }
        }
        for (text, blocks) in planted.iter().zip(blocks) {
            let (p50, p99): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
            rows.push(PlantedLatency {
                planted_ns: slowness(text).mean(Duration::ZERO).as_nanos() as u64,
                rate_per_s: *rate,
                p50: judge::middle(&p50),
                p99: judge::middle(&p99),
            });
        }
    }
    Ok(rows)
}

/// What came back at p50 and p99. Floor and handler are independent, so what is expected is a percentile of their sum.
fn both(trial: &Trial, floor: &Trial) -> anyhow::Result<(Option<Returned>, Option<Returned>)> {
    let Some(handler) = &trial.handler_ns else {
        return Ok((None, None));
    };
    let sum = histogram::sum(&samples(&floor.accept_ns)?, &samples(handler)?);
    let at = |of: fn(&Latency) -> Option<u64>, q, share, least| {
        let expected = histogram::quantile(&sum, 0, 0, q)?.value();
        Some(judge::returned(
            of(&trial.accept_ns)?,
            of(&floor.accept_ns)?,
            of(handler)?,
            expected,
            share,
            least,
        ))
    };
    Ok((
        at(|of| of.p50, 0.5, judge::P50_SHARE, judge::P50_NS),
        at(|of| of.p99, 0.99, judge::P99_SHARE, judge::P99_NS),
    ))
}

fn samples(latency: &Latency) -> anyhow::Result<hdrhistogram::Histogram<u64>> {
    histogram::decode(latency.histogram.as_deref().unwrap_or_default()).map_err(anyhow::Error::msg)
}

/// A handler of 1 ms, its twin, and one that spins 5 % of it on top.
const ARMS: [(&str, &str); 3] = [
    ("plain", "1ms"),
    ("twin", "1ms"),
    ("planted", "1ms spin(50us)"),
];
/// Sparse enough that one spin never delays the next order.
const EFFECT_RATE: f64 = 1_000.0;

/// One round of interleaved blocks, the arms shuffled in each.
pub(super) async fn effect(bench: &mut Bench<'_>, seed: u64) -> anyhow::Result<EffectRound> {
    let form = bench.form;
    let mut order = rand::rngs::StdRng::seed_from_u64(seed);
    let mut blocks = Vec::new();
    for _ in 0..form.effect_blocks {
        let mut arms: Vec<usize> = (0..ARMS.len()).collect();
        arms.shuffle(&mut order);
        let mut trials: [Option<Trial>; 3] = [None, None, None];
        for arm in arms {
            let (name, slow) = ARMS[arm];
            let cell = Cell {
                slow: Some(slowness(slow)),
                arm: Some(name.into()),
                ..open(EFFECT_RATE, form.effect_window, form)
            };
            trials[arm] = Some(bench.trial(&cell).await?);
        }
        blocks.push(trials.map(|trial| trial.expect("every arm ran")));
    }
    let against_plain = |arm: usize| -> anyhow::Result<Vec<PairedMetric>> {
        [("p50", p50 as Metric), ("cpu_per_op", cpu_per_op)]
            .into_iter()
            .map(|(name, metric)| {
                let ratios = blocks
                    .iter()
                    .map(|block| ratio(&block[arm], &block[0], metric))
                    .collect::<Option<Vec<f64>>>()
                    .with_context(|| format!("a trial of the planted effect has no {name}"))?;
                Ok(judge::paired(name, ratios, judge::FOUND_LEVEL))
            })
            .collect()
    };
    Ok(EffectRound {
        planted: against_plain(2)?,
        nothing: against_plain(1)?,
    })
}

/// What a pair of trials is compared on.
pub(super) type Metric = fn(&Trial) -> Option<f64>;

pub(super) fn p50(trial: &Trial) -> Option<f64> {
    trial.accept_ns.p50.map(|ns| ns as f64)
}

pub(super) fn cpu_per_op(trial: &Trial) -> Option<f64> {
    trial.cpu_us_per_op_total()
}

pub(super) fn ratio(trial: &Trial, to: &Trial, metric: Metric) -> Option<f64> {
    Some(metric(trial)? / metric(to)?)
}

const STOPPED_FOR: Duration = Duration::from_millis(1_400);
const STOPPED_RATE: f64 = 2_000.0;

/// The service stopped under an open loop, with this many in flight at most.
pub(super) async fn stopped(
    bench: &mut Bench<'_>,
    max_in_flight: usize,
) -> anyhow::Result<StoppedService> {
    let form = bench.form;
    let cell = Cell {
        max_in_flight,
        stall: Some(Stall {
            after: form.stop_after,
            lasting: STOPPED_FOR,
        }),
        ..open(STOPPED_RATE, form.stop_window, form)
    };
    let trial = bench.trial(&cell).await?;
    Ok(StoppedService {
        max_in_flight: max_in_flight as u32,
        stopped_ns: STOPPED_FOR.as_nanos() as u64,
        attempted: trial.ledger.attempted,
        acknowledged: trial.ledger.acknowledged,
        delivered: trial.ledger.delivered.unwrap_or(0),
        balanced: super::balances(&trial.ledger),
        accept_ns: trial.accept_ns,
        service_ns: trial.service_ns,
        lateness_ns: trial.lateness_ns,
    })
}
