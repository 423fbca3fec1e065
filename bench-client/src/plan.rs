//! The plan: the union of the experiments' cells, each distinct cell once per block, blocks and arms shuffled from a
//! seed, arms that are compared next to each other. Pure: it starts nothing.

use crate::cell::Cell;
use crate::experiment::{Experiment, Group, Suite};
use bench_transport::Transport;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// One trial to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// What.
    pub cell: Cell,
    /// The experiment that asked for it first.
    pub experiment: String,
    /// Others that read it too.
    pub shared_with: Vec<String>,
    /// In which block.
    pub block: u32,
}

/// All trials of a run in order, block by block.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The blocks.
    pub blocks: Vec<Vec<Planned>>,
}

/// Arms that are compared, with who asked for each.
struct Arms {
    cells: Vec<(Cell, Vec<&'static str>)>,
    blocks: u32,
}

impl Plan {
    /// Plans experiments over the given transports; `blocks` overrides each experiment's own number.
    pub fn new(
        experiments: &[&Experiment],
        suite: Suite,
        transports: &[Transport],
        blocks: Option<u32>,
        seed: u64,
    ) -> Self {
        let mut groups: Vec<Arms> = Vec::new();
        for experiment in experiments {
            let times = blocks.unwrap_or_else(|| (experiment.blocks)(suite));
            for group in (experiment.groups)(suite) {
                let wanted: Group = group
                    .into_iter()
                    .filter(|cell| transports.contains(&cell.transport))
                    .collect();
                add(&mut groups, wanted, experiment.name, times);
            }
        }
        let most = groups.iter().map(|arms| arms.blocks).max().unwrap_or(0);
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let blocks = (0..most)
            .map(|block| {
                let mut here: Vec<&Arms> =
                    groups.iter().filter(|arms| block < arms.blocks).collect();
                here.shuffle(&mut random);
                let mut trials = Vec::new();
                for arms in here {
                    let mut cells: Vec<_> = arms.cells.iter().collect();
                    cells.shuffle(&mut random);
                    trials.extend(cells.into_iter().map(|(cell, asked)| Planned {
                        cell: cell.clone(),
                        experiment: asked[0].into(),
                        shared_with: asked[1..].iter().map(ToString::to_string).collect(),
                        block,
                    }));
                }
                trials
            })
            .collect();
        Self { blocks }
    }

    /// All trials in order.
    pub fn trials(&self) -> impl Iterator<Item = &Planned> {
        self.blocks.iter().flatten()
    }

    /// What the trials take, process starts included.
    pub fn expected_time(&self) -> Duration {
        self.trials()
            .map(|planned| planned.cell.expected_time())
            .sum()
    }

    /// Equal for equal plans of one build: which cells, in which blocks, in which order.
    pub fn fingerprint(&self) -> String {
        let mut hasher = std::hash::DefaultHasher::new();
        for planned in self.trials() {
            (planned.block, &planned.experiment, planned.cell.id()).hash(&mut hasher);
        }
        format!("{} trials, {:016x}", self.trials().count(), hasher.finish())
    }

    /// Transports that occur in it.
    pub fn transports(&self) -> Vec<Transport> {
        Transport::ALL
            .into_iter()
            .filter(|transport| {
                self.trials()
                    .any(|planned| planned.cell.transport == *transport)
            })
            .collect()
    }
}

/// Adds a group; a cell that is planned already is shared, and then the two groups become one.
fn add(groups: &mut Vec<Arms>, wanted: Group, experiment: &'static str, blocks: u32) {
    if wanted.is_empty() || blocks == 0 {
        return;
    }
    let ids: Vec<String> = wanted.iter().map(Cell::id).collect();
    let shared = groups
        .iter()
        .position(|arms| arms.cells.iter().any(|(cell, _)| ids.contains(&cell.id())));
    let index = shared.unwrap_or_else(|| {
        groups.push(Arms {
            cells: Vec::new(),
            blocks: 0,
        });
        groups.len() - 1
    });
    let arms = &mut groups[index];
    arms.blocks = arms.blocks.max(blocks);
    for cell in wanted {
        match arms
            .cells
            .iter_mut()
            .find(|(there, _)| there.id() == cell.id())
        {
            Some((_, asked)) if !asked.contains(&experiment) => asked.push(experiment),
            Some(_) => {}
            None => arms.cells.push((cell, vec![experiment])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{find, of};
    use std::collections::BTreeSet;

    fn quick() -> Plan {
        Plan::new(&of(Suite::Quick), Suite::Quick, &Transport::ALL, None, 1)
    }

    #[test]
    fn each_distinct_cell_runs_once_per_block() {
        for block in &quick().blocks {
            let ids: Vec<String> = block.iter().map(|planned| planned.cell.id()).collect();
            assert_eq!(
                ids.len(),
                ids.iter().collect::<BTreeSet<_>>().len(),
                "{ids:?}"
            );
        }
        assert!(quick().blocks.len() >= 6);
    }

    #[test]
    fn the_order_differs_between_blocks_and_comes_from_the_seed() {
        let (plan, again) = (quick(), quick());
        assert_eq!(plan, again);
        let ids = |block: &[Planned]| {
            block
                .iter()
                .map(|planned| planned.cell.id())
                .collect::<Vec<_>>()
        };
        assert_ne!(ids(&plan.blocks[0]), ids(&plan.blocks[1]));
        let other = Plan::new(&of(Suite::Quick), Suite::Quick, &Transport::ALL, None, 2);
        assert_ne!(plan, other);
    }

    #[test]
    fn arms_that_are_compared_run_next_to_each_other() {
        for block in &quick().blocks {
            let names: Vec<(String, String)> = block
                .iter()
                .map(|planned| (planned.experiment.clone(), planned.cell.payload.to_string()))
                .collect();
            let mut runs = names.clone();
            runs.dedup();
            assert_eq!(
                runs.len(),
                names.iter().collect::<BTreeSet<_>>().len(),
                "{names:?}"
            );
        }
    }

    #[test]
    fn a_cell_that_two_experiments_want_runs_once_for_both() {
        let capacity = find("capacity").unwrap();
        let twin = Experiment {
            name: "twin",
            ..*capacity
        };
        let both = Plan::new(
            &[capacity, &twin],
            Suite::Quick,
            &Transport::ALL,
            Some(1),
            1,
        );
        let alone = Plan::new(&[capacity], Suite::Quick, &Transport::ALL, Some(1), 1);
        assert_eq!(both.trials().count(), alone.trials().count());
        assert!(both.trials().all(|planned| planned.shared_with == ["twin"]));
    }

    #[test]
    fn the_quick_suite_fits_its_budget_with_half_a_minute_to_warm_the_brokers() {
        let time = quick().expected_time();
        assert!(
            time + Duration::from_secs(30) <= Suite::Quick.budget(),
            "{time:?}"
        );
    }
}
