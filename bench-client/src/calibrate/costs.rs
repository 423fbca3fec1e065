//! What measuring costs: the clock, the recorder, the disk, idle brokers, and the generator's CPU per operation.

use super::result::{ClockCost, Disk, GeneratorCpu, IdleBroker, Recording};
use super::{Bench, Form, null};
use crate::cell::Cell;
use crate::load::{Mode, Stop};
use crate::meters::Meters;
use bench_transport::Transport;
use std::path::Path;
use std::time::Duration;

/// In flight where the generator's CPU per operation is read, as in the side-by-side with other tools.
const SATURATING: usize = 32;

pub(super) fn clock() -> ClockCost {
    let cost = bench_host::clock::measure();
    ClockCost {
        resolution_ns: cost.resolution_ns,
        smallest_step_ns: cost.smallest_step_ns,
        read_ns: cost.read_ps as f64 / 1e3,
    }
}

pub(super) async fn recording(bench: &Bench<'_>) -> anyhow::Result<Recording> {
    let record = null::closed(1, bench.form.recorded, bench.client()).await?;
    let operations = record.window().accept.len();
    Ok(Recording {
        operations,
        cpu_ns_per_op: record.thread_cpu_ns as f64 / operations.max(1) as f64,
    })
}

pub(super) fn disk(folder: &Path, form: &Form) -> anyhow::Result<Disk> {
    let flushes = || bench_host::disk::flush_requests(folder).ok();
    let before = flushes();
    let cost = bench_host::disk::SyncCost::measure(folder, form.syncs)?;
    let flushes = flushes()
        .zip(before)
        .map(|(now, before)| now.saturating_sub(before));
    Ok(Disk {
        count: cost.count as u64,
        fdatasync_p50_ns: cost.p50_ns,
        fdatasync_max_ns: cost.max_ns,
        flushes,
        // Where the kernel counts flushes and counted none, quick or slow, there was none.
        believable: cost.may_flush() && flushes != Some(0),
    })
}

pub(super) async fn idle(usable: &[Transport], bench: &Bench<'_>) -> Vec<IdleBroker> {
    let brokers = usable.iter().filter(|transport| transport.needs_broker());
    let meters: Vec<(Transport, Meters)> = brokers
        .map(|transport| {
            let brokers = &bench.surroundings.brokers;
            (*transport, Meters::new(&[], brokers, &[*transport], None))
        })
        .collect();
    let before: Vec<_> = meters.iter().map(|(_, meters)| meters.read()).collect();
    if !meters.is_empty() {
        tokio::time::sleep(bench.form.idle_window).await;
    }
    let row = |((transport, meters), before): (&(Transport, Meters), _)| IdleBroker {
        transport: transport.to_string(),
        cpu_ms_per_s: meters
            .read()
            .since(before)
            .broker
            .map(|usage| usage.cpu_ns as f64 / 1e6 / (usage.elapsed_ns as f64 / 1e9)),
    };
    meters.iter().zip(&before).map(row).collect()
}

pub(super) async fn generator_cpu(
    usable: &[Transport],
    bench: &mut Bench<'_>,
) -> anyhow::Result<Vec<GeneratorCpu>> {
    let record = null::closed(SATURATING, bench.form.recorded, bench.client()).await?;
    let operations = record.window().accept.len() as f64;
    let mut rows = vec![GeneratorCpu {
        callee: "null".into(),
        cpu_us_per_op: (operations > 0.0).then(|| record.thread_cpu_ns as f64 / 1e3 / operations),
        throughput_per_s: operations * 1e9 / (record.end_ns - record.start_ns).max(1) as f64,
    }];
    for transport in usable {
        let cell = Cell {
            mode: Mode::Closed {
                callers: SATURATING,
                think: Duration::ZERO,
            },
            stop: Stop::after(bench.form.cpu_window),
            warmup: bench.form.warmup,
            ..Cell::new(*transport)
        };
        let trial = bench.trial(&cell).await?;
        rows.push(GeneratorCpu {
            callee: transport.to_string(),
            cpu_us_per_op: trial.cpu_us_per_op.client,
            throughput_per_s: trial.throughput_per_s,
        });
    }
    Ok(rows)
}
