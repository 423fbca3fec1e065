//! Brings the brokers to a steady state before anything is measured, and learns what they burn when idle. A cold JVM
//! costs three times what a warm one does.

use crate::cell::Cell;
use crate::load::Stop;
use crate::meters::Meters;
use crate::results::{SeriesBin, Trial, WarmUp};
use crate::stack::Brokers;
use crate::trial::{self, Surroundings};
use bench_stats::steady;
use bench_transport::Transport;
use std::collections::BTreeMap;
use std::time::Duration;

/// A broker is warm when its CPU per operation changes by less than this between two windows …
const STEADY: f64 = 0.05;
/// … of this length, in which its throughput is looked at in halves of a second …
const WINDOW: Duration = Duration::from_millis(500 * steady::WINDOWS as u64);
/// … and not before it has worked for this long.
const LEAST: Duration = Duration::from_secs(10);

/// How long the idle brokers are watched.
const IDLE: Duration = Duration::from_secs(2);

/// Warms the brokers of the given transports, each until it is steady or has worked for `longest`; then learns what they
/// burn when idle. One after the other: side by side on few cores, each would take the other's load for its own unrest.
pub async fn warm(
    transports: &[Transport],
    longest: Duration,
    surroundings: &mut Surroundings,
) -> anyhow::Result<Vec<WarmUp>> {
    let mut found = Vec::new();
    for transport in transports {
        let mut warm_up = WarmUp {
            transport: transport.to_string(),
            ..WarmUp::default()
        };
        let mut worked = Duration::ZERO;
        while worked < longest && !(worked >= LEAST && warm_up.steady) {
            let cell = Cell {
                stop: Stop::after(WINDOW),
                warmup: Duration::from_millis(100),
                ..Cell::new(*transport)
            };
            let trial = trial::run(&cell, trial::fresh_run_id(), surroundings).await?;
            add(&mut warm_up, &trial);
            worked += WINDOW;
        }
        found.push(warm_up);
    }
    surroundings.idle = idle(transports, &surroundings.brokers).await;
    for (transport, warm_up) in transports.iter().zip(&mut found) {
        warm_up.idle_ms_per_s = surroundings.idle.get(transport).map(|ns| ns / 1e6);
    }
    Ok(found)
}

/// What one more window says.
fn add(warm_up: &mut WarmUp, trial: &Trial) {
    warm_up.cpu_us_per_op.extend(trial.cpu_us_per_op.broker);
    warm_up.steady_cpu = match warm_up.cpu_us_per_op[..] {
        [.., before, now] => Some((now / before - 1.0).abs() < STEADY),
        [_] => Some(false),
        [] => None,
    };
    warm_up.throughput_cov = steady::coefficient_of_variation(&halves(&trial.series));
    warm_up.steady = warm_up.steady_cpu != Some(false)
        && warm_up
            .throughput_cov
            .is_some_and(|cov| cov < steady::LARGEST_COV);
}

/// Completions by half second of the window; none after it.
fn halves(series: &[SeriesBin]) -> Vec<f64> {
    let mut halves = vec![0.0; steady::WINDOWS];
    for bin in series {
        let half = (bin.start_s / 0.5) as usize;
        if let (Some(half), Some(completed)) = (halves.get_mut(half), bin.completed) {
            *half += completed as f64;
        }
    }
    halves
}

/// CPU of the idle brokers whose processes can be seen, ns per second.
async fn idle(transports: &[Transport], brokers: &Brokers) -> BTreeMap<Transport, f64> {
    let meters: Vec<(Transport, Meters)> = transports
        .iter()
        .map(|transport| (*transport, Meters::new(&[], brokers, &[*transport], None)))
        .collect();
    if meters.is_empty() {
        return BTreeMap::new();
    }
    let before: Vec<_> = meters.iter().map(|(_, meters)| meters.read()).collect();
    tokio::time::sleep(IDLE).await;
    meters
        .iter()
        .zip(&before)
        .filter_map(|((transport, meters), before)| {
            let usage = meters.read().since(before).broker?;
            let ns_per_s = usage.cpu_ns as f64 * 1e9 / usage.elapsed_ns as f64;
            Some((*transport, ns_per_s))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(broker: f64, completed: [u64; 5]) -> Trial {
        let mut trial = Trial::default();
        trial.cpu_us_per_op.broker = Some(broker);
        trial.series = (0..25)
            .map(|bin| SeriesBin {
                start_s: f64::from(bin) / 10.0,
                completed: Some(completed[bin as usize / 5] / 5),
                ..SeriesBin::default()
            })
            .collect();
        trial
    }

    #[test]
    fn a_broker_is_warm_when_cost_and_throughput_have_settled() {
        let mut warm_up = WarmUp::default();
        add(&mut warm_up, &window(300.0, [1_000; 5]));
        assert!(!warm_up.steady, "one window shows no change");
        add(&mut warm_up, &window(100.0, [1_000; 5]));
        assert!(!warm_up.steady, "its cost still falls");
        add(
            &mut warm_up,
            &window(98.0, [1_000, 1_000, 500, 1_000, 1_000]),
        );
        assert!(!warm_up.steady, "its throughput stumbles");
        add(
            &mut warm_up,
            &window(99.0, [1_000, 1_010, 990, 1_000, 1_005]),
        );
        assert!(warm_up.steady);
        assert_eq!(warm_up.cpu_us_per_op, [300.0, 100.0, 98.0, 99.0]);
    }

    #[test]
    fn where_no_process_can_be_seen_the_throughput_alone_decides() {
        let mut warm_up = WarmUp::default();
        let mut trial = window(0.0, [1_000; 5]);
        trial.cpu_us_per_op.broker = None;
        add(&mut warm_up, &trial);
        assert!(warm_up.steady);
    }
}
