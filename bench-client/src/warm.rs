//! Brings the brokers to a steady state before anything is measured, and learns what they burn when idle. A cold JVM
//! costs three times what a warm one does.

use crate::cell::Cell;
use crate::load::Stop;
use crate::meters::Meters;
use crate::trial::{self, Surroundings};
use bench_transport::Transport;
use std::collections::BTreeMap;
use std::time::Duration;

/// A broker is warm when its CPU per operation changes by less than this between two windows …
const STEADY: f64 = 0.05;
/// … of this length …
const WINDOW: Duration = Duration::from_secs(2);
/// … and not before it has worked for this long.
const LEAST: Duration = Duration::from_secs(10);

/// How long the idle brokers are watched.
const IDLE: Duration = Duration::from_secs(2);

/// What the warm-up found, in words, per broker.
pub type Report = BTreeMap<String, String>;

/// Warms the brokers of the given transports side by side until each is steady, or `longest` is over.
pub async fn warm(
    transports: &[Transport],
    longest: Duration,
    surroundings: &mut Surroundings,
) -> anyhow::Result<Report> {
    let began = tokio::time::Instant::now();
    let mut costs: BTreeMap<Transport, Vec<f64>> = BTreeMap::new();
    let cell = |transport| Cell {
        stop: Stop::after(WINDOW),
        warmup: Duration::from_millis(100),
        ..Cell::new(transport)
    };
    let steady =
        |costs: &[f64]| matches!(costs, [.., before, now] if (now / before - 1.0).abs() < STEADY);
    while !transports.is_empty() {
        let here = &*surroundings;
        let rounds = transports.iter().map(|transport| async move {
            (
                *transport,
                trial::run(&cell(*transport), trial::fresh_run_id(), here).await,
            )
        });
        for (transport, trial) in futures_util::future::join_all(rounds).await {
            let cost = trial?.cpu_us_per_op.broker.unwrap_or(f64::NAN);
            costs.entry(transport).or_default().push(cost);
        }
        let spent = began.elapsed();
        // Without visible processes there is no cost to compare: time alone has to do.
        let done = costs
            .values()
            .all(|costs| steady(costs) || costs.iter().any(|cost| cost.is_nan()));
        if spent >= longest || (spent >= LEAST && done) {
            break;
        }
    }
    for transport in transports {
        let pids = surroundings.brokers.pids(*transport);
        if !pids.is_empty() {
            surroundings.idle.insert(*transport, 0.0);
        }
    }
    let meters: Vec<(Transport, Meters)> = surroundings
        .idle
        .keys()
        .map(|transport| {
            (
                *transport,
                Meters::new(None, &surroundings.brokers.pids(*transport), None),
            )
        })
        .collect();
    let before: Vec<_> = meters.iter().map(|(_, meters)| meters.read()).collect();
    if !meters.is_empty() {
        tokio::time::sleep(IDLE).await;
    }
    for ((transport, meters), before) in meters.iter().zip(&before) {
        if let Some(usage) = meters.read().since(before).broker {
            surroundings.idle.insert(
                *transport,
                usage.cpu_ns as f64 * 1e9 / usage.elapsed_ns as f64,
            );
        }
    }
    Ok(costs
        .iter()
        .map(|(transport, costs)| {
            let rounds: Vec<String> = costs.iter().map(|cost| format!("{cost:.0}")).collect();
            let idle = surroundings
                .idle
                .get(transport)
                .map_or_else(|| "unknown".into(), |ns| format!("{:.1} ms/s", ns / 1e6));
            let word = if steady(costs) {
                "steady"
            } else {
                "not steady"
            };
            let text = format!(
                "{word} after {} windows of 2 s (broker CPU per order, µs: {}); idle CPU {idle}",
                costs.len(),
                rounds.join(", ")
            );
            (transport.to_string(), text)
        })
        .collect())
}
