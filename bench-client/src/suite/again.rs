//! What is run again since something outside disturbed it: of a block, all that is compared with a disturbed trial.

use crate::plan::{Plan, Planned};
use crate::results::{Run, Trial};

/// The parts of blocks that were disturbed in this attempt; the most disturbed first, so that what time is left mends what
/// needs it most, however long it takes. What came out of a trial has no say.
pub(super) fn disturbed<'a>(plan: &'a Plan, run: &Run, attempt: u32) -> Vec<&'a [Planned]> {
    let mut parts: Vec<&[Planned]> = plan
        .parts()
        .filter(|part| {
            part.iter()
                .any(|planned| was_disturbed(run, planned, attempt))
        })
        .collect();
    let worst = |part: &[Planned]| {
        let trials = part
            .iter()
            .flat_map(|planned| trials(run, planned, attempt));
        trials.map(taken).fold(0.0, f64::max)
    };
    parts.sort_by(|a, b| worst(b).total_cmp(&worst(a)));
    parts
}

/// CPU that others had of a trial's, share of a core.
fn taken(trial: &Trial) -> f64 {
    [trial.stolen_share, trial.foreign_share]
        .into_iter()
        .flatten()
        .sum()
}

fn was_disturbed(run: &Run, planned: &Planned, attempt: u32) -> bool {
    trials(run, planned, attempt).any(|trial| trial.validity.external)
}

fn trials<'r>(run: &'r Run, planned: &Planned, attempt: u32) -> impl Iterator<Item = &'r Trial> {
    let (id, at) = (planned.cell.id(), (planned.block, attempt));
    run.trials
        .iter()
        .filter(move |trial| (trial.block, trial.attempt) == at && trial.cell.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;
    use bench_transport::Transport;

    fn planned(transport: Transport, part: usize) -> Planned {
        Planned {
            cell: Cell::new(transport),
            experiment: "planted".into(),
            shared_with: vec![],
            block: 0,
            part,
        }
    }

    /// A trial of which the hypervisor took so much.
    fn outcome(planned: &Planned, attempt: u32, stolen: f64) -> Trial {
        let mut trial = Trial {
            cell: planned.cell.describe(),
            block: planned.block,
            attempt,
            stolen_share: Some(stolen),
            ..Trial::default()
        };
        trial.validity.external = stolen > 0.05;
        trial
    }

    #[test]
    fn all_that_is_compared_with_a_disturbed_trial_is_run_again_the_most_disturbed_part_first() {
        let [little, calm] = [Transport::Rest, Transport::Grpc].map(|t| planned(t, 0));
        let alone = planned(Transport::Tcp, 1);
        let much = planned(Transport::Queue, 2);
        let plan = Plan {
            blocks: vec![vec![
                little.clone(),
                calm.clone(),
                alone.clone(),
                much.clone(),
            ]],
        };
        let mut run = Run::default();
        let first = [(&little, 0.06), (&calm, 0.0), (&alone, 0.04), (&much, 0.9)];
        run.trials = first
            .map(|(planned, stolen)| outcome(planned, 0, stolen))
            .into();
        assert_eq!(
            disturbed(&plan, &run, 0),
            [&[much.clone()][..], &[little.clone(), calm.clone()][..]]
        );
        // Only what was disturbed again has a third go.
        let second = [(&much, 0.0), (&little, 0.0), (&calm, 0.2)];
        run.trials
            .extend(second.map(|(planned, stolen)| outcome(planned, 1, stolen)));
        assert_eq!(disturbed(&plan, &run, 1), [&[little, calm][..]]);
    }
}
