//! The machine's own pace beside each trial: what a neighbour slows though the hypervisor takes nothing.

use crate::results::{Run, Trial};
use bench_host::place::Placement;

/// A step may take so much longer than at the run's best. Alone, on a machine where this was looked into, it took up to 1.15
/// times its best and beside a neighbour 1.3 to 2.2 times (docs/METHOD.md, CPU).
pub(super) const SLOWED: f64 = 0.25;

/// Time of one step on the client's and the service's cores, ns; none where the kernel refuses.
pub(super) async fn step_ns(placement: &Placement) -> Option<f64> {
    let cores = [placement.client.clone(), placement.service.clone()];
    let walking = tokio::task::spawn_blocking(move || bench_host::pace::step_ns(&cores));
    walking.await.ok()?.ok()
}

/// Runs something between two readings. What it does in between may change the pace, and then neither end alone tells.
pub(super) async fn beside<T>(
    placement: &Placement,
    work: impl Future<Output = T>,
) -> (T, Option<f64>) {
    let before = step_ns(placement).await;
    let done = work.await;
    let after = step_ns(placement).await;
    let mean = before
        .zip(after)
        .map(|(before, after)| f64::midpoint(before, after));
    (done, mean)
}

/// The best pace beside any of these trials.
pub(super) fn best(trials: &[Trial]) -> Option<f64> {
    let paces = trials.iter().filter_map(|trial| trial.step_ns);
    paces.min_by(f64::total_cmp)
}

/// By how much of its time a step took longer than at best; nothing where it was not read.
pub(super) fn slowdown(step_ns: Option<f64>, best: Option<f64>) -> f64 {
    step_ns
        .zip(best)
        .map_or(0.0, |(step, best)| step / best - 1.0)
}

/// Whether the run's last trial had a slower machine than the best of them.
pub(super) fn slowed_last(run: &Run) -> bool {
    let last = run.trials.last();
    slowdown(last.and_then(|trial| trial.step_ns), best(&run.trials)) > SLOWED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_held_against_the_best_of_its_run() {
        let trials = [None, Some(10.0), Some(8.0), Some(12.0)].map(|step_ns| Trial {
            step_ns,
            ..Trial::default()
        });
        let best = best(&trials);
        assert_eq!(best, Some(8.0));
        let slowdowns = trials
            .iter()
            .map(|trial| slowdown(trial.step_ns, best))
            .collect::<Vec<_>>();
        assert_eq!(slowdowns, [0.0, 0.25, 0.0, 0.5]);
        let run = |trials: &[Trial]| Run {
            trials: trials.to_vec(),
            ..Run::default()
        };
        assert!(slowed_last(&run(&trials)));
        assert!(!slowed_last(&run(&trials[..2])));
        assert!(!slowed_last(&run(&[])));
    }
}
