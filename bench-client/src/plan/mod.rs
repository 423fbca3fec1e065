//! The plan: the union of the experiments' cells, each distinct cell once per block, blocks and arms shuffled from a
//! seed, arms that are compared next to each other. Pure: it starts nothing.

mod order;
#[cfg(test)]
mod tests;

use crate::cell::Cell;
use crate::experiment::{Experiment, Group, Suite};
use crate::own::Own;
use bench_proto::Durability;
use bench_transport::Transport;
use order::Arms;
use rand::SeedableRng;
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
    /// Which of the block's parts it belongs to: nothing is compared across two of them.
    pub part: usize,
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

/// The parts of a block: trials that are compared with each other.
pub fn parts(block: &[Planned]) -> impl Iterator<Item = &[Planned]> {
    block.chunk_by(|one, next| one.part == next.part)
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
                order::add(&mut groups, wanted, experiment.name, times);
            }
        }
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let blocks = (0..order::blocks(&groups))
            .map(|block| order::of_block(&groups, block, &mut random))
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

    /// The parts of all blocks in order: what belongs together runs together.
    pub fn parts(&self) -> impl Iterator<Item = &[Planned]> {
        self.blocks.iter().flat_map(|trials| parts(trials))
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
