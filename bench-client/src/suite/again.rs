//! What is run again since something outside disturbed it: of a block, all that is compared with a disturbed trial.

use crate::plan::{Plan, Planned};
use crate::results::{Run, Trial};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The parts of blocks that were disturbed in this attempt; the most disturbed first, so that what time is left mends what
/// needs it most, however long it takes. What came out of a trial has no say.
pub(super) fn disturbed<'a>(plan: &'a Plan, run: &Run, attempt: u32) -> Vec<&'a [Planned]> {
    let mut parts: Vec<(Disturbance, &[Planned])> = plan
        .parts()
        .filter_map(|part| Some((Disturbance::of(part, &run.trials, attempt)?, part)))
        .filter(|(disturbance, _)| disturbance.external)
        .collect();
    parts.sort_by(|(a, _), (b, _)| b.taken.total_cmp(&a.taken));
    parts.into_iter().map(|(_, part)| part).collect()
}

/// Says which trial of the plan this is. Another attempt stands in for nothing until its part of the block is whole, and
/// then [`settle`] decides: whatever ends a run, what counts of it is whole parts.
pub(super) fn place(trial: &mut Trial, planned: &Planned, attempt: u32) {
    trial.experiment = planned.experiment.clone();
    trial.shared_with = planned.shared_with.clone();
    trial.block = planned.block;
    trial.attempt = attempt;
    trial.replaced = attempt > 0;
}

/// Of the attempts at a part of a block the one that was disturbed least counts, whatever came out of it; the later one of
/// two alike. All its trials come from that attempt: what is compared ran side by side.
pub(super) fn settle(plan: &Plan, trials: &mut [Trial]) {
    let mut counts: BTreeMap<(u32, String), u32> = BTreeMap::new();
    for part in plan.parts() {
        let attempts: Vec<Disturbance> = (0..)
            .map_while(|attempt| Disturbance::of(part, trials, attempt))
            .collect();
        let later_first = attempts.iter().enumerate().rev();
        if let Some((attempt, _)) = later_first.min_by(|(_, a), (_, b)| a.cmp(b)) {
            counts.extend(
                part.iter()
                    .map(|p| ((p.block, p.cell.id()), attempt as u32)),
            );
        }
    }
    for trial in trials {
        let one = (trial.block, trial.cell.id.clone());
        trial.replaced = counts.get(&one).is_some_and(|n| *n != trial.attempt);
    }
}

/// What others did to one attempt at a part of a block.
struct Disturbance {
    /// Enough for another attempt.
    external: bool,
    /// The largest share of a core that they had of any of its trials.
    taken: f64,
}

impl Disturbance {
    /// None where the attempt was not made, or not to its end.
    fn of(part: &[Planned], trials: &[Trial], attempt: u32) -> Option<Self> {
        let trial_of = |planned: &Planned| {
            let id = planned.cell.id();
            trials
                .iter()
                .find(|t| (t.block, t.attempt) == (planned.block, attempt) && t.cell.id == id)
        };
        let whole: Vec<&Trial> = part.iter().map(trial_of).collect::<Option<_>>()?;
        Some(Self {
            external: whole.iter().any(|trial| trial.validity.external),
            taken: whole.into_iter().map(taken).fold(0.0, f64::max),
        })
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let by_need = self.external.cmp(&other.external);
        by_need.then(self.taken.total_cmp(&other.taken))
    }
}

/// Share of a core that others had of a trial; what is not known is not taken for nothing.
fn taken(trial: &Trial) -> f64 {
    match (trial.stolen_share, trial.foreign_share) {
        (None, None) => f64::INFINITY,
        (stolen, foreign) => stolen.unwrap_or(0.0) + foreign.unwrap_or(0.0),
    }
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
            stolen_share: Some(stolen),
            ..Trial::default()
        };
        place(&mut trial, planned, attempt);
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

    #[test]
    fn of_the_attempts_at_a_part_the_least_disturbed_counts_as_a_whole() {
        let [one, other] = [Transport::Rest, Transport::Grpc].map(|t| planned(t, 0));
        let alone = planned(Transport::Tcp, 1);
        let plan = Plan {
            blocks: vec![vec![one.clone(), other.clone(), alone.clone()]],
        };
        let mut run = Run::default();
        // The second is quiet for one trial and worst for the other; the third is the best of three, though not quiet.
        let attempts = [[0.3, 0.1], [0.0, 0.9], [0.2, 0.2]];
        for (attempt, stolen) in attempts.iter().enumerate() {
            for (planned, stolen) in [&one, &other].into_iter().zip(stolen) {
                run.trials.push(outcome(planned, attempt as u32, *stolen));
            }
        }
        // Alike: the later one.
        run.trials
            .extend([0, 1].map(|attempt| outcome(&alone, attempt, 0.1)));
        settle(&plan, &mut run.trials);
        let counts = |planned: &Planned| -> Vec<u32> {
            let own = run.trials.iter().filter(|t| t.cell.id == planned.cell.id());
            own.filter(|t| !t.replaced).map(|t| t.attempt).collect()
        };
        assert_eq!(
            [counts(&one), counts(&other), counts(&alone)],
            [[2], [2], [1]]
        );
        // A fourth attempt that is quiet takes its place, once it is whole.
        let standing = |run: &Run| -> Vec<u32> {
            let cells = [&one, &other].map(|planned| planned.cell.id());
            let own = |id| run.trials.iter().filter(move |t| t.cell.id == id);
            let counts = cells.map(|id| own(id).max_by_key(|t| t.standing()).unwrap());
            counts.map(|trial| trial.attempt).into()
        };
        for (planned, whole) in [(&one, false), (&other, true)] {
            run.trials.push(outcome(planned, 3, 0.01));
            assert_eq!(standing(&run), [2, 2], "before it is settled");
            settle(&plan, &mut run.trials);
            let counts = if whole { [3, 3] } else { [2, 2] };
            assert_eq!(standing(&run), counts);
        }
    }
}
