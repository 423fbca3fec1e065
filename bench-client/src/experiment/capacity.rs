//! How many orders per second does each transport carry when 32 are always in flight, and what does each cost in CPU?

use super::{Experiment, Group, Suite, a_a, blocks, no_tables};
use crate::cell::Cell;
use crate::load::Stop;
use bench_proto::PayloadClass;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "capacity",
    question: "How many orders per second does each transport carry with 32 in flight, and at what CPU per order?",
    claims: &["grpc-thr-3-10x"],
    groups,
    blocks,
    analysis: no_tables,
};

fn groups(suite: Suite) -> Vec<Group> {
    let (window, warmup) = match suite {
        Suite::Quick => (1_000, 300),
        Suite::Full => (3_000, 1_000),
    };
    let cell = |transport, payload| Cell {
        payload,
        stop: Stop::after(Duration::from_millis(window)),
        warmup: Duration::from_millis(warmup),
        ..Cell::new(transport)
    };
    let (small, large) = (PayloadClass::Order(3), PayloadClass::Order(100));
    // Brokers in class `process`, sync transports in class `none`: the table keeps the classes apart.
    let mut of_small: Group = Transport::ALL
        .map(|transport| cell(transport, small))
        .into();
    of_small.extend(a_a(&cell(Transport::Rest, small)).into_iter().skip(1));
    vec![
        of_small,
        [Transport::Rest, Transport::Grpc]
            .map(|transport| cell(transport, large))
            .into(),
    ]
}
