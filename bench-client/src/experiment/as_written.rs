//! What do the sources' own samples cost, done exactly as they are written, beside the same with matched settings?
//!
//! The samples: an HTTP client (and so a connection) per request; an AMQP connection per publish that declares its queue,
//! sends a persistent message without a confirm and says goodbye; a Kafka producer that is kept, asks the leader alone
//! (its library's default) and is flushed after each send. All three write JSON, and so do the cells beside them.

use super::{Experiment, Group, Suite, side_by_side};
use crate::cell::Cell;
use crate::load::Stop;
use crate::results::{Run, Table};
use bench_proto::Format;
use bench_transport::{Connecting, Transport};
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "as-written",
    question: "What do the sources' own samples cost: a client per request, an AMQP connection per publish, a Kafka flush per send?",
    claims: &["as-written"],
    groups,
    blocks: |suite| match suite {
        Suite::Quick => 0,
        Suite::Full | Suite::Faults | Suite::Wide => 10,
    },
    analysis,
};

/// A connection per request uses a port per request: see `connections`.
const MOST: u64 = 10_000;

fn groups(_: Suite) -> Vec<Group> {
    let pair = |transport| -> Group {
        let matched = Cell {
            format: Format::Json,
            stop: Stop::after(Duration::from_millis(600)),
            warmup: Duration::from_millis(150),
            ..Cell::new(transport)
        };
        let written = Cell {
            connecting: Connecting::AsWritten,
            stop: Stop {
                count: Some(MOST),
                ..matched.stop
            },
            ..matched.clone()
        };
        vec![matched, written]
    };
    [Transport::Rest, Transport::Queue, Transport::Stream]
        .map(pair)
        .into()
}

fn analysis(run: &Run) -> Vec<Table> {
    let title = "The sources' samples beside the same with matched settings, 32 callers";
    side_by_side::table(run, EXPERIMENT.name, title, |_| true)
        .map(|table| {
            table.with_note(
                "As written, RabbitMQ's publisher awaits no confirm and Kafka's asks the leader alone: they promise less than the cells beside them, and are not set against them as durable.",
            )
        })
        .into_iter()
        .collect()
}
