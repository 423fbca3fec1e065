//! The slow service as it stands behind checkout: a trial of user → checkout → inventory, told as one of a single service
//! is. What the user waits for stays; the transport, the workers, the slowness, what is done and what waits are those of
//! the call to inventory. So one analysis reads both set-ups.

use super::outage::BEHIND;
use super::overload::EDGE_S;
use crate::results::{Hop, Phase, Run, SeriesBin, Trial};

/// The experiment whose service may stand behind another.
pub const EXPERIMENT: &str = "slow";

/// What the topology is called in which checkout calls inventory over this.
pub fn topology(over: &str) -> String {
    format!("{EXPERIMENT}-{over}")
}

/// An experiment's trials, and of the run what a claim needs beside them; a service behind checkout as if it were alone.
pub fn seen(run: &Run, experiment: &str) -> Run {
    let mine = run
        .trials
        .iter()
        .filter(|trial| trial.belongs_to(experiment));
    Run {
        manifest: run.manifest.clone(),
        skipped: run.skipped.clone(),
        trials: mine
            .map(|trial| alone(trial).unwrap_or_else(|| trial.clone()))
            .collect(),
        ..Run::default()
    }
}

/// None where nothing slow stands behind another service.
fn alone(trial: &Trial) -> Option<Trial> {
    let factors = &trial.cell.factors;
    let over = factors.get("topology")?.strip_prefix("slow-")?;
    let hop = trial.hops.iter().find(|hop| hop.service == BEHIND)?;
    let factor = |what: &str| factors.get(&format!("{BEHIND} {what}"));
    let mut seen = trial.clone();
    seen.cell.transport = over.into();
    seen.cell.slow = factor("slow").cloned();
    seen.cell.workers = factor("workers").and_then(|workers| workers.parse().ok());
    seen.cell.factors.remove("topology");
    seen.completion_ns = hop.completion_ns.clone();
    seen.handler_ns = hop.handler_ns.clone();
    seen.series = series(&trial.series, hop);
    for phase in &mut seen.phases {
        *phase = told_by(hop, phase, &seen.series);
    }
    Some(seen)
}

/// The user's side of the series, and what inventory completed.
fn series(user: &[SeriesBin], hop: &Hop) -> Vec<SeriesBin> {
    let width_s = user.first().map_or(0.0, |bin| bin.width_s);
    let bins = user.len().max(hop.completed_by_bin.len());
    let mut backlog = 0;
    (0..bins)
        .map(|index| {
            let bin = user.get(index).cloned().unwrap_or_else(|| SeriesBin {
                start_s: index as f64 * width_s,
                width_s,
                ..SeriesBin::default()
            });
            let completed = hop.completed_by_bin.get(index).copied().unwrap_or(0);
            backlog += bin.accepted as i64 - completed as i64;
            SeriesBin {
                completed: Some(completed),
                backlog: Some(backlog),
                ..bin
            }
        })
        .collect()
}

fn told_by(hop: &Hop, phase: &Phase, series: &[SeriesBin]) -> Phase {
    let there = hop.phases.iter().find(|there| there.name == phase.name);
    let ends = |bin: &&SeriesBin| bin.start_s + bin.width_s <= phase.end_s + EDGE_S;
    Phase {
        completed: there.map(|there| there.completed),
        completion_ns: there.map(|there| there.completion_ns.clone()),
        backlog_at_end: series.iter().rfind(ends).and_then(|bin| bin.backlog),
        drain_s: None,
        ..phase.clone()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::claims::fixture;
    use crate::results::{HopPhase, Latency};

    /// The planted trial of a single service, as the same one is told that stands behind checkout.
    pub(crate) fn behind(over: &str, trial: Trial) -> Trial {
        let mut trial = Trial {
            hops: vec![Hop {
                service: BEHIND.into(),
                completion_ns: trial.completion_ns.clone(),
                handler_ns: trial.handler_ns.clone(),
                phases: trial
                    .phases
                    .iter()
                    .map(|phase| HopPhase {
                        name: phase.name.clone(),
                        completed: phase.completed.unwrap_or(0),
                        completion_ns: phase.completion_ns.clone().unwrap_or_default(),
                        ..HopPhase::default()
                    })
                    .collect(),
                completed_by_bin: trial
                    .series
                    .iter()
                    .map(|bin| bin.completed.unwrap_or(0))
                    .collect(),
                ..Hop::default()
            }],
            ..trial
        };
        // Checkout is quick, and tells of itself.
        for phase in &mut trial.phases {
            phase.completion_ns = Some(Latency::default());
            phase.backlog_at_end = Some(0);
        }
        for bin in &mut trial.series {
            bin.completed = Some(bin.planned);
        }
        let cell = &mut trial.cell;
        cell.transport = if over == "grpc" { "grpc" } else { "rest" }.into();
        let (slow, workers) = (cell.slow.take(), cell.workers.take());
        let factors = [
            ("topology".to_string(), Some(topology(over))),
            (format!("{BEHIND} slow"), slow),
            (format!("{BEHIND} workers"), workers.map(|w| w.to_string())),
        ];
        for (name, value) in factors {
            cell.factors.extend(value.map(|value| (name, value)));
        }
        trial
    }

    #[test]
    fn a_service_behind_checkout_is_told_as_if_it_were_alone() {
        let mut plain = fixture::slow("queue", 0, 1_000_000, 2_000_000, 0);
        plain.series = [(20, 20, 10), (20, 20, 4), (20, 20, 46)]
            .into_iter()
            .enumerate()
            .map(|(index, (planned, accepted, done))| SeriesBin {
                start_s: 5.0 * index as f64,
                width_s: 5.0,
                planned,
                accepted,
                completed: Some(done),
                ..SeriesBin::default()
            })
            .collect();
        let run = Run {
            trials: vec![behind("queue", plain.clone())],
            ..Run::default()
        };
        let seen = seen(&run, EXPERIMENT);
        let [trial] = &seen.trials[..] else {
            panic!("one trial")
        };
        assert_eq!(trial.cell.transport, "queue");
        assert_eq!(trial.cell.slow, plain.cell.slow);
        assert_eq!(trial.cell.workers, plain.cell.workers);
        let done: Vec<Option<u64>> = trial.series.iter().map(|bin| bin.completed).collect();
        assert_eq!(done, [Some(10), Some(4), Some(46)]);
        let backlog: Vec<Option<i64>> = trial.phases.iter().map(|p| p.backlog_at_end).collect();
        assert_eq!(backlog, [Some(10), Some(26), Some(0)]);
        for (told, of) in trial.phases.iter().zip(&plain.phases) {
            assert_eq!(told.accept_ns, of.accept_ns);
            assert_eq!(told.completion_ns, of.completion_ns);
        }
    }

    #[test]
    fn what_it_does_after_the_last_bin_of_the_user_is_told_too() {
        let hop = Hop {
            completed_by_bin: vec![1, 0, 4],
            ..Hop::default()
        };
        let user = [SeriesBin {
            width_s: 0.1,
            accepted: 5,
            ..SeriesBin::default()
        }];
        let told = series(&user, &hop);
        let backlog: Vec<Option<i64>> = told.iter().map(|bin| bin.backlog).collect();
        assert_eq!(backlog, [Some(4), Some(4), Some(0)]);
        assert!((told[2].start_s - 0.2).abs() < 1e-9);
    }

    #[test]
    fn a_single_service_and_other_topologies_stay_as_they_are() {
        let planted = fixture::planted();
        let mut other = fixture::slow("rest", 0, 1, 1, 0);
        let factors = &mut other.cell.factors;
        factors.insert("topology".into(), "outage-rest".into());
        let run = Run {
            trials: planted.trials.into_iter().chain([other]).collect(),
            ..Run::default()
        };
        let mine: Vec<&Trial> = run
            .trials
            .iter()
            .filter(|trial| trial.belongs_to(EXPERIMENT))
            .collect();
        let seen = seen(&run, EXPERIMENT);
        assert!(seen.trials.iter().eq(mine));
    }
}
