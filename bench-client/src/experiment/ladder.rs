//! How long does one order take at a moderate rate that every transport holds: until the caller may go on, and until
//! the work is done?

use super::{Experiment, Group, Suite, a_a, blocks, no_tables};
use crate::cell::Cell;
use crate::load::{Arrival, Mode, Stop};
use bench_proto::{Durability, PayloadClass};
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "ladder",
    question: "At an equal, moderate rate: how long until the caller may go on, and until the work is done?",
    claims: &["grpc-lat-3-10x"],
    groups,
    blocks,
    analysis: no_tables,
};

/// A rate that each transport holds on two cores without coming near its capacity.
const RATE: f64 = 2_000.0;

fn groups(suite: Suite) -> Vec<Group> {
    let window = match suite {
        Suite::Quick => 1_500,
        Suite::Full => 5_000,
    };
    // Class `process` on all four: a broker stands beside the sync transports here.
    let cell = |transport, payload| Cell {
        payload,
        mode: Mode::Open(Arrival::constant(RATE)),
        durability: Durability::Process,
        stop: Stop::after(Duration::from_millis(window)),
        warmup: Duration::from_millis(200),
        ..Cell::new(transport)
    };
    let (small, large) = (PayloadClass::Order(3), PayloadClass::Order(100));
    let mut of_small: Group = [
        Transport::Rest,
        Transport::Grpc,
        Transport::Queue,
        Transport::Stream,
    ]
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
