//! Which cells a chart sets side by side: equal in everything but the transport, as many transports as there are.

use super::style::place;
use crate::claims::samples::{CellTrials, cells, experiments, is_base};
use crate::report::cells::is_default_format;
use crate::results::{Arrival, Run, Trial};

/// Cells of one experiment that differ in the transport alone.
pub(super) struct Side<'r> {
    pub(super) experiment: String,
    pub(super) cells: Vec<CellTrials<'r>>,
}

/// Groups of an experiment's cells that may stand side by side, of at least two transports.
pub(super) fn sides<'r>(run: &'r Run, wanted: impl Fn(&CellTrials<'r>) -> bool) -> Vec<Side<'r>> {
    let mut sides: Vec<Side<'r>> = Vec::new();
    for experiment in experiments(run) {
        let mut own: Vec<Side<'r>> = Vec::new();
        for cell in cells(run, experiment) {
            if !plain(&cell) || cell.kept().next().is_none() || !wanted(&cell) {
                continue;
            }
            match own.iter_mut().find(|side| alike(&side.cells[0], &cell)) {
                // A second cell of the transport differs in a factor that this picture does not show.
                Some(side) if side.has(&cell.cell.transport) => {}
                Some(side) => side.cells.push(cell),
                None => own.push(Side {
                    experiment: experiment.into(),
                    cells: vec![cell],
                }),
            }
        }
        sides.extend(own.into_iter().filter(|side| side.cells.len() > 1));
    }
    for side in &mut sides {
        side.cells.sort_by_key(|cell| place(&cell.cell.transport));
    }
    sides
}

/// The group with the most transports; of those the one with the highest `rank`.
pub(super) fn widest<'r>(
    sides: Vec<Side<'r>>,
    rank: impl Fn(&Side<'r>) -> f64,
) -> Option<Side<'r>> {
    sides.into_iter().reduce(|best, side| {
        let better = match side.cells.len().cmp(&best.cells.len()) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => rank(&side) > rank(&best),
            std::cmp::Ordering::Less => false,
        };
        if better { side } else { best }
    })
}

impl Side<'_> {
    fn has(&self, transport: &str) -> bool {
        self.cells.iter().any(|c| c.cell.transport == transport)
    }

    /// Payload and load, for titles: `O3 at 2000/s`, `O3 with 32 in flight`.
    pub(super) fn load(&self) -> String {
        load(&self.cells[0])
    }
}

/// Payload and load of a cell.
pub(super) fn load(cell: &CellTrials<'_>) -> String {
    let c = cell.cell;
    match (c.in_flight, c.rate_per_s) {
        (Some(n), _) => format!("{} with {n} in flight", c.payload),
        (_, Some(rate)) => format!("{} at {rate:.0}/s", c.payload),
        _ => c.payload.clone(),
    }
}

/// Open loop at one steady rate, kept up with.
pub(super) fn steady(cell: &CellTrials<'_>) -> bool {
    matches!(cell.cell.arrival, Arrival::Constant | Arrival::Poisson)
        && cell.kept().all(|t| t.overloaded.is_none())
}

/// Trials without phases, slowness, stall or TLS, in the transport's own format: nothing but transport and load.
fn plain(cell: &CellTrials<'_>) -> bool {
    let c = cell.cell;
    is_base(c)
        && c.slow.is_none()
        && is_default_format(c)
        && c.http.as_deref() != Some("h2")
        && cell.blocks.values().all(|t: &&Trial| t.phases.is_empty())
}

fn alike(a: &CellTrials<'_>, b: &CellTrials<'_>) -> bool {
    let (a, b) = (a.cell, b.cell);
    a.payload == b.payload
        && a.durability == b.durability
        && a.arrival == b.arrival
        && a.in_flight == b.in_flight
        && a.rate_per_s == b.rate_per_s
        && a.workers == b.workers
        && a.factors.get("tls") == b.factors.get("tls")
        && a.factors.get("stamped") == b.factors.get("stamped")
}
