//! chain-fail, chain-p99, chain-floor and async-hop-free, from the experiment `chain`: chains of services that are all
//! alike, each a topology whose name says how long it is and what its services do.

mod failures;
mod floor;
mod named;
mod tables;
mod tails;
#[cfg(test)]
mod tests;

pub use failures::{failing, level_of_each};
pub use named::{Chain, Kind};
pub use tables::tables;

use super::combine::Judged;
use super::part::not_measured;
use super::samples::{CellTrials, is_base};
use super::{Combine, Judge, nothing_beside};
use crate::results::Run;

/// What is judged here.
pub const JUDGES: &[Judge] = &[
    Judge {
        claim: "chain-fail",
        parts: |run, _| failures::parts(run),
        combine: Combine::Cells("transport and length"),
        beside: nothing_beside,
    },
    Judge {
        claim: "chain-p99",
        parts: |run, _| tails::parts(run),
        combine: Combine::Cells("what each hop does"),
        beside: nothing_beside,
    },
    Judge {
        claim: "chain-floor",
        parts: |run, _| floor::parts(run),
        combine: Combine::AllOf,
        beside: nothing_beside,
    },
    Judge {
        claim: "async-hop-free",
        parts: |run, rules| tails::published(run, rules[0]),
        combine: Combine::Cells("transport and broker"),
        beside: nothing_beside,
    },
];

/// The experiment.
pub const EXPERIMENT: &str = "chain";
/// Transports of whole chains.
pub const SYNC: [&str; 2] = ["rest", "grpc"];
/// Over what a last hop is published.
pub const BROKERS: [&str; 2] = ["queue", "stream"];
/// The longest chain.
pub const LONGEST: usize = 5;
/// The chain that a published hop is added to.
pub const BASE: usize = 2;
/// The cell of a chain over a transport.
fn find<'a, 'r>(
    all: &'a [CellTrials<'r>],
    transport: &str,
    chain: Chain,
) -> Option<&'a CellTrials<'r>> {
    all.iter().find(|trials| {
        is_base(trials.cell)
            && trials.cell.transport == transport
            && Chain::in_cell(trials.cell) == Some(chain)
    })
}

fn missing(run: &Run, name: String, transports: &[&str], what: &str) -> Judged {
    let skipped = run
        .skipped
        .iter()
        .find(|skipped| transports.contains(&skipped.transport.as_str()));
    let reason = match skipped {
        Some(skipped) => format!("{} was skipped: {}", skipped.transport, skipped.reason),
        None => format!("`{EXPERIMENT}` was not run with {what}"),
    };
    not_measured(name, reason)
}
