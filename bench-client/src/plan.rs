//! The plan: the union of the experiments' cells, each distinct cell once per block, blocks and arms shuffled from a
//! seed, arms that are compared next to each other. Pure: it starts nothing.

use crate::cell::Cell;
use crate::experiment::{Experiment, Group, Suite};
use crate::own::Own;
use bench_proto::Durability;
use bench_transport::Transport;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
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

impl Planned {
    /// Runs for those too who asked for an equal cell.
    fn share(&mut self, other: Self) {
        for name in std::iter::once(other.experiment).chain(other.shared_with) {
            if name != self.experiment && !self.shared_with.contains(&name) {
                self.shared_with.push(name);
            }
        }
    }
}

/// Arms that are compared, with who asked for each. What one experiment compares stays in a bunch: two trials next to each
/// other share what disturbs them (in a published run the CPU per order of neighbours went together with ρ = 0.5, of
/// trials ten apart with 0.2), so their ratio scatters least.
#[derive(Default)]
struct Arms {
    bunches: Vec<Vec<(Cell, Vec<Asked>)>>,
}

impl Arms {
    fn cells(&self) -> impl Iterator<Item = &(Cell, Vec<Asked>)> {
        self.bunches.iter().flatten()
    }
}

/// An experiment that wants a cell, and in how many blocks.
#[derive(Clone, Copy)]
struct Asked {
    experiment: &'static str,
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
                    .filter(|cell| cell.transports().iter().all(|t| transports.contains(t)))
                    .collect();
                add(&mut groups, wanted, experiment.name, times);
            }
        }
        let asked = |arms: &Arms| -> Vec<Asked> {
            arms.cells().flat_map(|(_, asked)| asked.clone()).collect()
        };
        let most = groups.iter().flat_map(asked).map(|a| a.blocks).max();
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let blocks = (0..most.unwrap_or(0))
            .map(|block| {
                let mut here: Vec<&Arms> = groups.iter().collect();
                here.shuffle(&mut random);
                let mut trials = Vec::new();
                for arms in here {
                    let mut bunches: Vec<_> = arms.bunches.iter().collect();
                    bunches.shuffle(&mut random);
                    let mut planned: Vec<Planned> = Vec::new();
                    for bunch in bunches {
                        let mut here: Vec<Planned> = bunch
                            .iter()
                            .filter_map(|(cell, asked)| in_block(cell, asked, block))
                            .collect();
                        here.shuffle(&mut random);
                        planned.extend(here);
                    }
                    // A share comes after the capacity that it is of.
                    planned.sort_by_key(|planned| planned.cell.share.is_some());
                    trials.extend(planned);
                }
                trials
            })
            .collect();
        Self { blocks }
    }

    /// Whether a cell like this is in it.
    pub fn has(&self, like: impl Fn(&Cell) -> bool) -> bool {
        self.trials().any(|planned| like(&planned.cell))
    }

    /// Leaves out what cannot be run; the order of the rest stays.
    pub fn retain(&mut self, can_run: impl Fn(&Cell) -> bool) {
        for trials in &mut self.blocks {
            trials.retain(|planned| can_run(&planned.cell));
        }
    }

    /// One's own payload in the place of every payload class: cells that differed in nothing else run once, for all who
    /// asked for one of them.
    pub fn carry(&mut self, own: &Arc<Own>) {
        for trials in &mut self.blocks {
            let mut kept: Vec<Planned> = Vec::new();
            for mut planned in std::mem::take(trials) {
                planned.cell.own = Some(own.clone());
                let id = planned.cell.id();
                match kept.iter_mut().find(|there| there.cell.id() == id) {
                    Some(there) => there.share(planned),
                    None => kept.push(planned),
                }
            }
            *trials = kept;
        }
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

    /// Transports over which an order has to survive a power cut.
    pub fn with_power(&self) -> Vec<Transport> {
        Transport::ALL
            .into_iter()
            .filter(|transport| {
                self.trials()
                    .any(|planned| is_power(&planned.cell, *transport))
            })
            .collect()
    }

    /// The plan without those cells of a transport, for a disk that does not flush.
    pub fn without_power(&mut self, transport: Transport) {
        for block in &mut self.blocks {
            block.retain(|planned| !is_power(&planned.cell, transport));
        }
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
                    .any(|planned| planned.cell.transports().contains(transport))
            })
            .collect()
    }
}

fn is_power(cell: &Cell, transport: Transport) -> bool {
    cell.transport == transport && cell.durability == Durability::Power
}

/// The trial of a cell in a block, for those who want it there.
fn in_block(cell: &Cell, asked: &[Asked], block: u32) -> Option<Planned> {
    let mut names = asked
        .iter()
        .filter(|asked| block < asked.blocks)
        .map(|asked| asked.experiment.to_string());
    Some(Planned {
        cell: cell.clone(),
        experiment: names.next()?,
        shared_with: names.collect(),
        block,
    })
}

/// Adds a group. A cell that is planned already is shared where it stands; the others join the first group that shares
/// one, so that what is compared runs close together.
fn add(groups: &mut Vec<Arms>, wanted: Group, experiment: &'static str, blocks: u32) {
    if wanted.is_empty() || blocks == 0 {
        return;
    }
    let asked = Asked { experiment, blocks };
    let mut home = None;
    let mut fresh = Vec::new();
    for cell in wanted {
        let id = cell.id();
        let found = groups.iter_mut().enumerate().find_map(|(at, arms)| {
            let mut there = arms.bunches.iter_mut().flatten();
            let (_, asking) = there.find(|(there, _)| there.id() == id)?;
            Some((at, asking))
        });
        match found {
            Some((at, asking)) => {
                home = home.or(Some(at));
                if asking.iter().all(|asked| asked.experiment != experiment) {
                    asking.push(asked);
                }
            }
            None => fresh.push((cell, vec![asked])),
        }
    }
    let home = home.unwrap_or_else(|| {
        groups.push(Arms::default());
        groups.len() - 1
    });
    let mut bunch: Vec<(Cell, Vec<Asked>)> = Vec::new();
    for (cell, asked) in fresh {
        // The same cell twice in one group is one cell.
        if bunch.iter().all(|(there, _)| there.id() != cell.id()) {
            bunch.push((cell, asked));
        }
    }
    if !bunch.is_empty() {
        groups[home].bunches.push(bunch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{find, of_suite};
    use std::collections::BTreeSet;

    fn whole(suite: Suite) -> Plan {
        let experiments = of_suite(suite).unwrap();
        Plan::new(&experiments, suite, &Transport::ALL, None, 1)
    }

    fn quick() -> Plan {
        Plan::new(
            &of_suite(Suite::Quick).unwrap(),
            Suite::Quick,
            &Transport::ALL,
            None,
            1,
        )
    }

    #[test]
    fn each_distinct_cell_runs_once_per_block() {
        let blocks = [whole(Suite::Quick).blocks, whole(Suite::Full).blocks].concat();
        for block in &blocks {
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
        let other = Plan::new(
            &of_suite(Suite::Quick).unwrap(),
            Suite::Quick,
            &Transport::ALL,
            None,
            2,
        );
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
    fn an_a_a_pair_stays_as_close_as_what_it_stands_for_however_many_experiments_share_its_cell() {
        for block in &whole(Suite::Full).blocks {
            let at = |id: &str| block.iter().position(|planned| planned.cell.id() == id);
            let base = "rest-O3-c32-none";
            let (first, second) = (at(base).unwrap(), at(&format!("{base}-A2")).unwrap());
            let compared = at("grpc-O3-c32-none").unwrap();
            // The bunch holds what `capacity` sets against each other at this depth, and no more.
            for other in [second, compared] {
                assert!(first.abs_diff(other) < 9, "{first} and {other}");
            }
        }
    }

    #[test]
    fn a_share_of_a_capacity_runs_after_it_in_its_block() {
        let both = ["capacity", "ladder"].map(|name| find(name).unwrap());
        for experiments in [&both[..], &both[1..]] {
            let plan = Plan::new(experiments, Suite::Wide, &Transport::ALL, Some(3), 1);
            for block in &plan.blocks {
                let ids: Vec<String> = block.iter().map(|planned| planned.cell.id()).collect();
                let mut shares = 0;
                for (at, planned) in block.iter().enumerate() {
                    if let Some(id) = planned.cell.capacity_id() {
                        assert!(ids[..at].contains(&id), "{id} before {}", ids[at]);
                        shares += 1;
                    }
                }
                // Three of each transport.
                assert_eq!(shares, 15);
            }
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
    fn a_shared_cell_runs_for_each_experiment_in_as_many_blocks_as_that_one_asked_for() {
        let capacity = find("capacity").unwrap();
        let twin = Experiment {
            name: "twin",
            blocks: |_| 2,
            ..*capacity
        };
        let both = Plan::new(&[capacity, &twin], Suite::Quick, &Transport::ALL, None, 1);
        let shares: Vec<bool> = both
            .blocks
            .iter()
            .map(|block| block.iter().all(|planned| planned.shared_with == ["twin"]))
            .collect();
        assert_eq!(shares, [true, true, false, false, false, false]);
        assert!(
            both.trials()
                .all(|planned| planned.experiment == "capacity")
        );
    }

    #[test]
    fn ones_own_payload_stands_for_every_class_and_equal_cells_run_once_for_all_who_asked() {
        let experiments = ["capacity", "payload"].map(|name| find(name).unwrap());
        let all = [Transport::Rest, Transport::Grpc];
        let plan =
            |experiments: &[&Experiment]| Plan::new(experiments, Suite::Quick, &all, Some(2), 1);
        let mut both = plan(&experiments);
        both.carry(&Arc::new(Own::example("orders.jsonl", 3)));
        for block in &both.blocks {
            let ids: BTreeSet<String> = block.iter().map(|planned| planned.cell.id()).collect();
            assert_eq!(ids.len(), block.len(), "{ids:?}");
            assert!(
                ids.iter().all(|id| id.contains("file:orders.jsonl#")),
                "{ids:?}"
            );
            // REST and gRPC with 32 in flight for both, and the twin that capacity alone has.
            let asked = |name: &str| {
                let wants = |p: &&Planned| {
                    p.experiment == name || p.shared_with.iter().any(|other| other == name)
                };
                block.iter().filter(wants).count()
            };
            assert_eq!((asked("capacity"), asked("payload")), (3, 2));
        }
    }

    #[test]
    fn on_a_disk_that_does_not_flush_only_class_power_is_left_out() {
        let durability = find("durability").unwrap();
        let mut plan = Plan::new(&[durability], Suite::Quick, &Transport::ALL, Some(1), 1);
        let all = plan.trials().count();
        assert_eq!(plan.with_power().len(), 4);
        plan.without_power(Transport::Rest);
        assert_eq!(
            plan.with_power(),
            [Transport::Grpc, Transport::Queue, Transport::Stream]
        );
        assert_eq!(plan.trials().count(), all - 1);
    }

    #[test]
    fn the_full_suite_fits_its_budget_with_a_minute_to_warm_the_brokers() {
        let time = whole(Suite::Full).expected_time();
        assert!(
            time + Duration::from_secs(60) <= Suite::Full.budget(),
            "{time:?}"
        );
    }

    #[test]
    fn the_faults_suite_fits_its_budget_with_a_minute_to_warm_the_brokers() {
        let time = whole(Suite::Faults).expected_time();
        assert!(
            time + Duration::from_secs(60) <= Suite::Faults.budget(),
            "{time:?}"
        );
    }

    #[test]
    fn a_cell_runs_only_where_all_that_its_services_call_each_other_over_is_wanted() {
        let chain = find("chain").unwrap();
        let over = |transports: &[Transport]| {
            let plan = Plan::new(&[chain], Suite::Full, transports, Some(1), 1);
            plan.trials().count()
        };
        let (without, with_queue) = (
            over(&[Transport::Rest]),
            over(&[Transport::Rest, Transport::Queue]),
        );
        assert_eq!(with_queue, without + 1);
        let plan = Plan::new(&[chain], Suite::Full, &Transport::ALL, Some(1), 1);
        assert!(plan.transports().contains(&Transport::Stream));
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
