//! How late the pacer releases, against a callee that returns at once and over a real transport, and what its spin buys.

use super::result::{Lateness, Spin};
use super::{Bench, judge};
use crate::cell::Cell;
use crate::latency::Minimum;
use crate::latency::{self, Beside};
use crate::load::{Arrival, Mode, Record, Stop};
use crate::results;
use anyhow::Context;
use bench_stats::histogram;
use bench_transport::Transport;
use std::time::Duration;

/// The rate at which it is judged over a real transport.
const GRPC_RATE: f64 = 5_000.0;

fn core_share(record: &Record) -> f64 {
    record.thread_cpu_ns as f64 / (record.end_ns - record.start_ns).max(1) as f64
}

/// A p99 needs 1,000 samples; a few more, since the last one may fall on the window's end.
const SAMPLES: f64 = 1_050.0;

fn window(rate: f64, bench: &Bench<'_>) -> Duration {
    let needed = Duration::from_secs_f64(SAMPLES / rate);
    bench.form.lateness_window.max(needed)
}

/// Several runs at one rate with the spin, one without.
pub(super) async fn null(rate: f64, bench: &Bench<'_>) -> anyhow::Result<(Lateness, Spin)> {
    let form = bench.form;
    let mut runs = Vec::new();
    for _ in 0..form.lateness_runs {
        runs.push(super::null::open(rate, window(rate, bench), true, bench.client()).await?);
    }
    let without = super::null::open(rate, window(rate, bench), false, bench.client()).await?;
    let parts: Vec<results::Latency> = runs
        .iter()
        .map(|run| latency::summarise(&run.lateness, Beside::default(), Minimum::Trial))
        .collect();
    let shares: Vec<f64> = runs.iter().map(core_share).collect();
    let lateness = late("null", rate, &parts, judge::median(&shares))?;
    let spin = Spin {
        rate_per_s: rate,
        with_p99_ns: lateness.p99_median_ns,
        without_p99_ns: latency::summarise(&without.lateness, Beside::default(), Minimum::Trial)
            .p99,
        with_core_share: lateness.core_share.unwrap_or(0.0),
        without_core_share: core_share(&without),
    };
    Ok((lateness, spin))
}

pub(super) async fn grpc(bench: &mut Bench<'_>) -> anyhow::Result<Lateness> {
    let cell = Cell {
        mode: Mode::Open(Arrival::constant(GRPC_RATE)),
        stop: Stop::after(window(GRPC_RATE, bench)),
        warmup: bench.form.warmup,
        ..Cell::new(Transport::Grpc)
    };
    let mut parts = Vec::new();
    for _ in 0..bench.form.lateness_runs {
        parts.push(bench.trial(&cell).await?.lateness_ns);
    }
    late("grpc", GRPC_RATE, &parts, None)
}

fn late(
    callee: &str,
    rate_per_s: f64,
    runs: &[results::Latency],
    core_share: Option<f64>,
) -> anyhow::Result<Lateness> {
    let merged = latency::merge(runs, Minimum::Trial).context("no run to merge")?;
    let samples = histogram::decode(merged.histogram.as_deref().unwrap_or_default())
        .map_err(anyhow::Error::msg)?;
    let p99_ns: Vec<u64> = runs.iter().filter_map(|run| run.p99).collect();
    Ok(Lateness {
        callee: callee.into(),
        rate_per_s,
        // A run without a p99 leaves the row without a verdict.
        p99_median_ns: (p99_ns.len() == runs.len())
            .then(|| judge::median(&p99_ns))
            .flatten(),
        p99_ns,
        merged_p999_ns: histogram::quantile(&samples, 0, 0, 0.999).map(|q| q.value()),
        merged,
        core_share,
    })
}
