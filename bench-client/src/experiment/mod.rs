//! Experiments: one file each, with its question, its cells as data, and the claims it decides. None contains a load
//! loop, none times anything itself, and none branches on a transport. Two have work of their own beside trials: `size`
//! counts bodies, and `codec` hands codecs to [`crate::micro`].

mod ablation;
mod against_theory;
mod as_written;
mod blocked;
mod capacity;
mod cells;
mod chain;
pub mod codec;
mod connections;
mod consumers;
mod deployed;
mod durability;
mod fanout;
mod guards;
mod hybrid;
mod ladder;
mod outage;
mod payload;
mod phases;
mod retries;
mod rpc;
mod rpc_kill;
mod side_by_side;
pub mod size;
mod slow;
mod spike;
mod streaming;
mod tls;
mod tuning;

use crate::cell::Cell;
use crate::results::{self, Table};

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// A true first table in five minutes.
    Quick,
    /// Enough blocks and time to publish.
    Full,
    /// What slowness and failure behind the call do to the caller.
    Faults,
    /// More cells and longer windows, for experiments named one by one.
    Wide,
}

impl Suite {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
            Self::Faults => "faults",
            Self::Wide => "wide",
        }
    }

    /// What it may take, process starts included.
    pub fn budget(self) -> std::time::Duration {
        std::time::Duration::from_secs(
            60 * match self {
                Self::Quick => 5,
                Self::Full | Self::Faults => 45,
                Self::Wide => 4 * 60,
            },
        )
    }
}

/// Arms that are compared with each other: they run next to each other, in shuffled order, in every block.
pub type Group = Vec<Cell>;

/// One experiment.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// Its name on the command line and in results.
    pub name: &'static str,
    /// What it asks.
    pub question: &'static str,
    /// The claims it decides.
    pub claims: &'static [&'static str],
    /// Its cells.
    pub groups: fn(Suite) -> Vec<Group>,
    /// In how many blocks they run.
    pub blocks: fn(Suite) -> u32,
    /// What its trials say, beside the ratios that every run has: a pure function of results. [`no_tables`] where the
    /// report's own tables say it all.
    pub analysis: fn(&results::Run) -> Vec<Table>,
}

/// The analysis of an experiment without tables of its own.
pub fn no_tables(_: &results::Run) -> Vec<Table> {
    Vec::new()
}

/// All of them, in the order they are listed.
pub static ALL: &[Experiment] = &[
    capacity::EXPERIMENT,
    ladder::EXPERIMENT,
    size::EXPERIMENT,
    codec::EXPERIMENT,
    payload::EXPERIMENT,
    ablation::EXPERIMENT,
    durability::EXPERIMENT,
    tuning::EXPERIMENT,
    slow::EXPERIMENT,
    spike::EXPERIMENT,
    streaming::EXPERIMENT,
    connections::EXPERIMENT,
    deployed::EXPERIMENT,
    as_written::EXPERIMENT,
    rpc::EXPERIMENT,
    rpc_kill::EXPERIMENT,
    tls::EXPERIMENT,
    chain::EXPERIMENT,
    outage::EXPERIMENT,
    hybrid::EXPERIMENT,
    retries::EXPERIMENT,
    guards::EXPERIMENT,
    fanout::EXPERIMENT,
    consumers::EXPERIMENT,
    blocked::EXPERIMENT,
];

/// What the quick suite runs when no experiment is named; a named one runs at its quick size, if it has blocks there.
pub const QUICK: [&str; 5] = ["capacity", "ladder", "size", "codec", "slow"];

/// What the suite `faults` runs when no experiment is named.
// One line each, so that lines added side by side meet in no conflict.
#[rustfmt::skip]
pub const FAULTS: &[&str] = &[
    "slow",
    "spike",
    "chain",
    "outage",
    "hybrid",
    "retries",
    "guards",
    "fanout",
    "consumers",
    "blocked",
];

/// What of [`FAULTS`] the full suite runs too; the rest has a suite, and a budget, of its own.
const FULL_TOO: [&str; 1] = ["slow"];

/// The experiments that a suite runs when none is named. The wide one has no such list: it would take a day.
pub fn of_suite(suite: Suite) -> Result<Vec<&'static Experiment>, String> {
    let all = ALL.iter().map(|experiment| experiment.name);
    let in_full = |name: &&str| !FAULTS.contains(name) || FULL_TOO.contains(name);
    match suite {
        Suite::Quick => QUICK.into_iter().map(find).collect(),
        Suite::Full => all.filter(in_full).map(find).collect(),
        Suite::Faults => FAULTS.iter().copied().map(find).collect(),
        Suite::Wide => Err(
            "expected experiments beside --suite wide, got none; it is for experiments named one by one (see `bench-client list`)"
                .into(),
        ),
    }
}

/// The experiment of a name.
pub fn find(name: &str) -> Result<&'static Experiment, String> {
    ALL.iter()
        .find(|experiment| experiment.name == name)
        .ok_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|experiment| experiment.name).collect();
            format!(
                "'{name}' is not an experiment; expected one of {} (see `bench-client list`)",
                names.join(", ")
            )
        })
}

/// Ten blocks make a published ratio, six a quick one (docs/METHOD.md, Statistics: simulated coverage at both).
fn blocks(suite: Suite) -> u32 {
    match suite {
        Suite::Quick => 6,
        Suite::Full | Suite::Faults | Suite::Wide => 10,
    }
}

/// The same cell twice, told apart by name alone: what differs between them is noise.
fn a_a(cell: &Cell) -> [Cell; 2] {
    ["A1", "A2"].map(|arm| Cell {
        arm: Some(arm.into()),
        ..cell.clone()
    })
}
