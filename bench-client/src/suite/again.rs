//! What is run again since something outside disturbed it: of a block, all that is compared with a disturbed trial.

use crate::plan::{Plan, Planned};
use crate::results::Run;
use std::time::Duration;

/// The parts of blocks that were disturbed in this attempt; the shortest first, so that what time is left mends as many
/// as it can. What came out of a trial has no say.
pub(super) fn disturbed<'a>(plan: &'a Plan, run: &Run, attempt: u32) -> Vec<&'a [Planned]> {
    let mut parts: Vec<&[Planned]> = plan
        .parts()
        .filter(|part| {
            part.iter()
                .any(|planned| was_disturbed(run, planned, attempt))
        })
        .collect();
    parts.sort_by_key(|part| -> Duration {
        part.iter()
            .map(|planned| planned.cell.expected_time())
            .sum()
    });
    parts
}

fn was_disturbed(run: &Run, planned: &Planned, attempt: u32) -> bool {
    let id = planned.cell.id();
    run.trials.iter().any(|trial| {
        (trial.block, trial.attempt) == (planned.block, attempt)
            && trial.validity.external
            && trial.cell.id == id
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;
    use crate::load::Stop;
    use crate::results::Trial;
    use bench_transport::Transport;

    /// A trial of so many seconds.
    fn planned(transport: Transport, seconds: u64, part: usize) -> Planned {
        Planned {
            cell: Cell {
                stop: Stop::after(Duration::from_secs(seconds)),
                ..Cell::new(transport)
            },
            experiment: "planted".into(),
            shared_with: vec![],
            block: 0,
            part,
        }
    }

    fn outcome(planned: &Planned, attempt: u32, external: bool) -> Trial {
        let mut trial = Trial {
            cell: planned.cell.describe(),
            block: planned.block,
            attempt,
            ..Trial::default()
        };
        trial.validity.external = external;
        trial
    }

    #[test]
    fn all_that_is_compared_with_a_disturbed_trial_is_run_again_the_shortest_part_first() {
        let [long, calm] =
            [(Transport::Rest, 9), (Transport::Grpc, 8)].map(|(t, s)| planned(t, s, 0));
        let alone = planned(Transport::Tcp, 2, 1);
        let short = planned(Transport::Queue, 1, 2);
        let plan = Plan {
            blocks: vec![vec![
                long.clone(),
                calm.clone(),
                alone.clone(),
                short.clone(),
            ]],
        };
        let mut run = Run::default();
        let first = [
            (&long, true),
            (&calm, false),
            (&alone, false),
            (&short, true),
        ];
        run.trials = first
            .map(|(planned, external)| outcome(planned, 0, external))
            .into();
        assert_eq!(
            disturbed(&plan, &run, 0),
            [&[short.clone()][..], &[long.clone(), calm.clone()][..]]
        );
        // Only what was disturbed again has a third go.
        let second = [(&short, false), (&long, false), (&calm, true)];
        run.trials
            .extend(second.map(|(planned, external)| outcome(planned, 1, external)));
        assert_eq!(disturbed(&plan, &run, 1), [&[long, calm][..]]);
    }
}
