//! How much of the folk gap is configuration? Each transport as matched as can be, and as people deploy it: every
//! library's defaults on both sides; gRPC then over tonic's own channel. These cells stop by time: with Nagle left on, a
//! call may wait 40 ms for an ACK.

use super::{Experiment, Group, Suite, side_by_side};
use crate::cell::Cell;
use crate::load::Stop;
use crate::results::{Run, Table};
use bench_transport::{HttpVersion, Transport};
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "deployed",
    question: "What becomes of each transport with its libraries' own defaults on both sides, beside matched settings?",
    claims: &[],
    groups,
    blocks: |suite| match suite {
        Suite::Quick => 0,
        Suite::Full | Suite::Faults | Suite::Wide => 10,
    },
    analysis,
};

/// The common HTTP client's pool has no bound: more than anything here has in flight.
const UNBOUNDED: usize = 10_000;

fn groups(_: Suite) -> Vec<Group> {
    let cell = |transport| Cell {
        stop: Stop::after(Duration::from_millis(500)),
        warmup: Duration::from_millis(150),
        ..Cell::new(transport)
    };
    let pair = |matched: Cell, connections| -> Group {
        let deployed = Cell {
            library_defaults: true,
            connections,
            ..matched.clone()
        };
        vec![matched, deployed]
    };
    let one_h2 = Cell {
        http: HttpVersion::H2,
        connections: 1,
        ..cell(Transport::Rest)
    };
    vec![
        pair(cell(Transport::Rest), UNBOUNDED),
        pair(one_h2, 1),
        // One channel, as nearly everybody has it.
        pair(cell(Transport::Grpc), 1),
        pair(cell(Transport::Queue), 1),
        pair(cell(Transport::Stream), 1),
    ]
}

fn analysis(run: &Run) -> Vec<Table> {
    let title = "Matched settings and each library's defaults, 32 in flight";
    let left: Vec<String> = run
        .trials
        .iter()
        .filter(|trial| trial.belongs_to(EXPERIMENT.name))
        .filter_map(|trial| {
            let factors = &trial.cell.factors;
            let caller = factors.get("unset by the caller")?;
            let service = factors.get("unset by the service")?;
            Some(format!(
                "{}: the caller leaves unset {caller}; the service {service}",
                trial.cell.transport
            ))
        })
        .collect();
    let mut once: Vec<String> = Vec::new();
    for sentence in left {
        if !once.contains(&sentence) {
            once.push(sentence);
        }
    }
    side_by_side::table(run, EXPERIMENT.name, title, |_| true)
        .map(|table| table.with_note(format!("{}.", once.join(". "))))
        .into_iter()
        .collect()
}
