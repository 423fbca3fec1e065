//! The tables of phases: what became of the operations that were planned in each.

use super::{has_phases, sort};
use crate::claims::behind;
use crate::claims::overload::variant;
use crate::claims::samples::{CellTrials, cells, experiments};
use crate::latency::{self, Minimum};
use crate::report::document::{Cell, Document, Table, Tone, names};
use crate::report::format::{NOTHING, grouped, percentile};
use crate::results::{Percentile, Phase, Run};
use bench_stats::Estimate;

/// Trials with phases, phase by phase.
pub(in crate::report) fn phases(document: &mut Document, run: &Run) {
    for experiment in experiments(run) {
        let seen = behind::seen(run, experiment);
        let mut with: Vec<_> = cells(&seen, experiment)
            .into_iter()
            .filter(has_phases)
            .collect();
        if with.is_empty() {
            continue;
        }
        sort(&mut with);
        let mut rows = Vec::new();
        for cell in &with {
            let names: Vec<&str> = cell
                .blocks
                .values()
                .next()
                .map(|t| t.phases.iter().map(|p| p.name.as_str()).collect())
                .unwrap_or_default();
            rows.extend(names.into_iter().map(|phase| phase_row(cell, phase)));
        }
        document.heading(format!(
            "Phases of `{experiment}`: operations by the phase in which they were planned"
        ));
        document.table(Table {
            header: names([
                "transport",
                "phase",
                "planned",
                "not\naccepted",
                "accept\np50",
                "\np99",
                "completion\np50",
                "\np99",
                "backlog\nat end",
            ]),
            numbers_from: 2,
            rows,
        });
    }
}

fn phase_row(cell: &CellTrials<'_>, name: &str) -> Vec<Cell> {
    let all: Vec<&Phase> = cell
        .kept()
        .filter_map(|t| t.phases.iter().find(|p| p.name == name))
        .collect();
    let planned: u64 = all.iter().map(|p| p.planned).sum();
    let unconfirmed: u64 = all
        .iter()
        .map(|p| p.planned.saturating_sub(p.acknowledged))
        .sum();
    let accept = latency::merge(all.iter().map(|p| &p.accept_ns), Minimum::Trial);
    let completion = latency::merge(
        all.iter().filter_map(|p| p.completion_ns.as_ref()),
        Minimum::Trial,
    );
    let backlog = all
        .iter()
        .map(|p| p.backlog_at_end.map(|n| n as f64))
        .collect::<Option<Vec<f64>>>();
    let backlog = backlog.and_then(|b| Estimate::of_values(&b));
    let tone = if unconfirmed > 0 {
        Tone::Bad
    } else {
        Tone::Plain
    };
    let transport = &cell.cell.transport;
    let of = match variant(cell.cell) {
        variant if variant.is_empty() => transport.clone(),
        variant => format!("{transport}, {variant}"),
    };
    vec![
        of.into(),
        name.into(),
        grouped(planned as f64).into(),
        Cell {
            text: grouped(unconfirmed as f64),
            tone,
        },
        percentile(accept.as_ref(), Percentile::P50).into(),
        percentile(accept.as_ref(), Percentile::P99).into(),
        percentile(completion.as_ref(), Percentile::P50).into(),
        percentile(completion.as_ref(), Percentile::P99).into(),
        backlog
            .map_or(NOTHING.into(), |e| grouped(e.point()))
            .into(),
    ]
}
