//! Why a phase of overload is one, and whether it is the workers that are short: what is offered against what they do, by
//! formula, and how busy the machine was meanwhile, by what the trial recorded. It decides nothing.

use super::overload::{EDGE_S, Overload};
use crate::results::{SeriesBin, Trial};

/// λ × what an order takes ÷ workers: above 1 the phase is overload. None where workers are unbounded.
pub fn offered(plan: &Overload) -> Option<f64> {
    Some(plan.arrivals.0 / plan.done()?.0)
}

/// The client's core, or that of service and broker, whichever was busier in a phase, percent of a core. The window's CPU is
/// spread evenly: the client's over what it sent, the others' over what was accepted or worked on, whichever were more in the
/// phase, so that a broker which takes in more than it gives out is not made to look idle. None where the trial does not
/// know its CPU or what was completed.
pub fn busiest_core(trial: &Trial, during: &str) -> Option<f64> {
    let phase = trial.phases.iter().find(|phase| phase.name == during)?;
    let (window, lasting) = ((0.0, trial.window_s), (phase.start_s, phase.end_s));
    let sent = |bin: &SeriesBin| Some(bin.sent);
    let accepted = |bin: &SeriesBin| Some(bin.accepted);
    let cpu = &trial.cpu_us_per_op;
    // It is stored by accepts, and who was never answered was sent all the same.
    let sent_in_window = count(trial, window, sent).filter(|sent| *sent > 0.0)?;
    let of_each = cpu.client? * count(trial, window, accepted)? / sent_in_window;
    let client = of_each * count(trial, lasting, sent)?;
    let broker = match trial.cell.transport.as_str() {
        "queue" | "stream" => cpu.broker?,
        _ => cpu.broker.unwrap_or(0.0),
    };
    let done = count(trial, lasting, |bin| bin.completed)?;
    let others = (cpu.service? + broker) * count(trial, lasting, accepted)?.max(done);
    let us_per_s = client.max(others) / (phase.end_s - phase.start_s);
    us_per_s.is_finite().then_some(us_per_s / 1e4)
}

/// What the bins between two instants counted; none where one of them does not say.
fn count(
    trial: &Trial,
    (from, to): (f64, f64),
    read: impl Fn(&SeriesBin) -> Option<u64>,
) -> Option<f64> {
    let inside =
        |bin: &&SeriesBin| bin.start_s >= from - EDGE_S && bin.start_s + bin.width_s <= to + EDGE_S;
    let counted: Option<u64> = trial.series.iter().filter(inside).map(read).sum();
    counted.map(|counted| counted as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Cell, CpuPerOp, Phase};
    use crate::theory::{Arrivals, PerSecond};
    use std::time::Duration;

    /// A second well, two of a spike of 1,000/s of which 400/s are done, and a second after; the rest is done later.
    fn trial(transport: &str) -> Trial {
        let bins = [(100, 100), (1_000, 400), (1_000, 400), (100, 400), (0, 900)];
        let bin = |(at, (sent, done))| SeriesBin {
            start_s: at,
            width_s: 1.0,
            sent,
            accepted: sent,
            completed: Some(done),
            ..SeriesBin::default()
        };
        Trial {
            cell: Cell {
                transport: transport.into(),
                ..Cell::default()
            },
            window_s: 4.0,
            cpu_us_per_op: CpuPerOp {
                client: Some(100.0),
                service: Some(200.0),
                broker: (transport == "queue").then_some(300.0),
                ..CpuPerOp::default()
            },
            phases: vec![Phase {
                name: "spike".into(),
                start_s: 1.0,
                end_s: 3.0,
                ..Phase::default()
            }],
            series: [0.0, 1.0, 2.0, 3.0, 4.0]
                .into_iter()
                .zip(bins)
                .map(bin)
                .collect(),
            ..Trial::default()
        }
    }

    fn is(found: Option<f64>, percent: f64) -> bool {
        found.is_some_and(|found| (found - percent).abs() < 1e-9)
    }

    #[test]
    fn the_busier_core_is_that_of_the_phase_and_a_broker_shares_the_services() {
        // 1,000/s of 200 µs are a fifth of a core, and half of one with the broker's 300 µs.
        for (transport, percent) in [("rest", 20.0), ("queue", 50.0)] {
            let found = busiest_core(&trial(transport), "spike");
            assert!(is(found, percent), "{transport}: {found:?}");
        }
        let mut dear = trial("rest");
        dear.cpu_us_per_op.client = Some(600.0);
        assert!(is(busiest_core(&dear, "spike"), 60.0));
    }

    #[test]
    fn a_call_that_was_never_answered_cost_its_client_as_much() {
        let mut trial = trial("rest");
        trial.cpu_us_per_op.client = Some(1_100.0);
        for bin in &mut trial.series[1..3] {
            bin.accepted = 500;
        }
        // 1,100 µs × 1,200 accepted are 600 µs for each of 2,200 sent, 1,000 of them a second.
        assert!(is(busiest_core(&trial, "spike"), 60.0));
    }

    #[test]
    fn what_a_trial_does_not_know_is_no_figure() {
        assert_eq!(busiest_core(&trial("rest"), "slow"), None);
        let spoilt = |transport: &str, change: &dyn Fn(&mut Trial)| {
            let mut trial = trial(transport);
            change(&mut trial);
            busiest_core(&trial, "spike")
        };
        assert_eq!(spoilt("rest", &|t| t.cpu_us_per_op.client = None), None);
        assert_eq!(spoilt("rest", &|t| t.cpu_us_per_op.service = None), None);
        assert_eq!(spoilt("queue", &|t| t.cpu_us_per_op.broker = None), None);
        assert_eq!(spoilt("rest", &|t| t.series[1].completed = None), None);
        assert_eq!(spoilt("rest", &|t| t.series.clear()), None);
    }

    #[test]
    fn what_is_offered_stands_against_what_the_workers_do() {
        let mut plan = Overload {
            arrivals: PerSecond(200.0),
            later: PerSecond(200.0),
            time: Duration::from_millis(200),
            later_time: Duration::from_millis(5),
            lasting: Duration::from_secs(5),
            workers: Some(8),
            spacing: Arrivals::Even,
            room: None,
            bin: Duration::from_millis(100),
        };
        assert!(is(offered(&plan), 5.0));
        plan.workers = None;
        assert_eq!(offered(&plan), None);
    }
}
