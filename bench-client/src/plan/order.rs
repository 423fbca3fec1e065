//! In which order the cells of a block run: which of them belong together, and what is shuffled.

use super::Planned;
use crate::cell::Cell;
use crate::experiment::Group;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// Arms that are compared, with who asked for each. What one experiment compares stays in a bunch: two trials next to each
/// other share what disturbs them (in a published run the CPU per order of neighbours went together with ρ = 0.5, of
/// trials ten apart with 0.2), so their ratio scatters least.
#[derive(Default)]
pub(super) struct Arms {
    bunches: Vec<Vec<(Cell, Vec<Asked>)>>,
}

/// An experiment that wants a cell, and in how many blocks.
#[derive(Clone, Copy)]
struct Asked {
    experiment: &'static str,
    blocks: u32,
}

/// Adds a group. A cell that is planned already is shared where it stands; the others join the first group that shares
/// one, so that what is compared runs close together.
pub(super) fn add(groups: &mut Vec<Arms>, wanted: Group, experiment: &'static str, blocks: u32) {
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

/// In how many blocks there is anything to run: as many as the one that asked for most.
pub(super) fn blocks(groups: &[Arms]) -> u32 {
    groups
        .iter()
        .flat_map(|arms| arms.bunches.iter().flatten())
        .flat_map(|(_, asked)| asked)
        .map(|asked| asked.blocks)
        .max()
        .unwrap_or(0)
}

/// The trials of a block: groups, the bunches of a group and the arms of a bunch, each shuffled.
pub(super) fn of_block(groups: &[Arms], block: u32, random: &mut StdRng) -> Vec<Planned> {
    let mut here: Vec<(usize, &Arms)> = groups.iter().enumerate().collect();
    here.shuffle(random);
    let mut trials = Vec::new();
    for (part, arms) in here {
        let mut bunches: Vec<_> = arms.bunches.iter().collect();
        bunches.shuffle(random);
        let mut planned: Vec<Planned> = Vec::new();
        for bunch in bunches {
            let mut here: Vec<Planned> = bunch
                .iter()
                .filter_map(|(cell, asked)| in_block(cell, asked, block, part))
                .collect();
            here.shuffle(random);
            planned.extend(here);
        }
        // A share comes after the capacity that it is of.
        planned.sort_by_key(|planned| planned.cell.share.is_some());
        trials.extend(planned);
    }
    trials
}

/// The trial of a cell in a block, for those who want it there.
fn in_block(cell: &Cell, asked: &[Asked], block: u32, part: usize) -> Option<Planned> {
    let mut names = asked
        .iter()
        .filter(|asked| block < asked.blocks)
        .map(|asked| asked.experiment.to_string());
    Some(Planned {
        cell: cell.clone(),
        experiment: names.next()?,
        shared_with: names.collect(),
        block,
        part,
    })
}
