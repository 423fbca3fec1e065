//! The generator's own thread set-up (pinned, minimal timer slack, its own runtime) around a callee that returns at
//! once: what is measured then is the instrument alone.

use crate::load::{
    self, Arrival, Clock, Ending, HostClock, Load, Mode, Outcome, Record, Share, Stop,
};
use anyhow::Context;
use bench_host::place::Cpus;
use std::time::Duration;

/// Load before the window: the first operations pay for cold caches and page faults.
const WARMUP: Duration = Duration::from_millis(200);

/// An open loop at a constant rate, with or without the spin before each release.
pub(super) async fn open(
    rate: f64,
    window: Duration,
    spin: bool,
    cpus: Option<Cpus>,
) -> anyhow::Result<Record> {
    let arrival = Arrival::constant(rate);
    let period = spin.then(|| arrival.first_period());
    drive(
        Mode::Open(arrival),
        Stop::after(window),
        Stop::after(WARMUP),
        period,
        cpus,
    )
    .await
}

/// A closed loop of so many operations.
pub(super) async fn closed(
    callers: usize,
    operations: u64,
    cpus: Option<Cpus>,
) -> anyhow::Result<Record> {
    let mode = Mode::Closed {
        callers,
        think: Duration::ZERO,
    };
    let warmup = Stop::count(operations.div_ceil(10));
    drive(mode, Stop::count(operations), warmup, None, cpus).await
}

async fn drive(
    mode: Mode,
    stop: Stop,
    warmup: Stop,
    spin_for: Option<Duration>,
    cpus: Option<Cpus>,
) -> anyhow::Result<Record> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("generator-null".into())
        .spawn(move || {
            let _ = tell.send(on_thread(mode, stop, warmup, spin_for, cpus));
        })
        .context("no thread for the generator")?;
    told.await.context("the generator thread panicked")?
}

fn on_thread(
    mode: Mode,
    stop: Stop,
    warmup: Stop,
    spin_for: Option<Duration>,
    cpus: Option<Cpus>,
) -> anyhow::Result<Record> {
    if let Some(cpus) = &cpus {
        bench_host::place::pin_thread(cpus)?;
    }
    bench_host::timer::minimal_timer_slack()?;
    bench_host::scheduling::hasten()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    let load = Load {
        mode,
        stop,
        max_in_flight: 10_000,
        grace: Duration::from_secs(1),
        spans: Vec::new(),
        share: Share::WHOLE,
    };
    runtime.block_on(async {
        let mut clock = match spin_for {
            Some(period) => HostClock::for_period(period)?,
            None => HostClock::without_spin()?,
        };
        let warmup = Load {
            stop: warmup,
            ..load.clone()
        };
        let null = |_| async {
            Outcome {
                sent_ns: Some(HostClock::now_ns()),
                ending: Ending::Acknowledged,
                body_out: 0,
                body_in: 0,
            }
        };
        load::run(&warmup, &mut clock, HostClock::now_ns(), null, || ()).await;
        Ok(load::run(&load, &mut clock, HostClock::now_ns(), null, || ()).await)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_planned_operation_reaches_the_null_callee_once() {
        let open = open(1_000.0, Duration::from_millis(50), true, None)
            .await
            .unwrap();
        assert_eq!(
            (open.window().planned, open.window().accept.len()),
            (50, 50)
        );
        assert_eq!(open.lateness.len(), 50);
        let closed = closed(4, 1_000, None).await.unwrap();
        assert_eq!(closed.window().accept.len(), 1_000);
        assert!(closed.thread_cpu_ns > 0);
    }
}
