//! Request and reply over a broker, beside gRPC and REST: how long until the reply, and at what CPU per order? RabbitMQ
//! by direct reply-to and by a reply queue per caller, Kafka by a reply topic per caller.

use super::{Experiment, Group, Suite, blocks};
use crate::cell::Cell;
use crate::claims::rpc;
use crate::load::{Arrival, Mode, Stop};
use bench_proto::Durability;
use bench_transport::{ReplyVia, Transport};
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "rpc",
    question: "Called and answered over a broker instead of directly: how long until the reply, and at what CPU per order?",
    claims: &["queue-rpc"],
    groups,
    blocks,
    analysis: rpc::cost_table,
};

/// The ways of a call and its reply: two direct ones and three over a broker.
pub(super) const WAYS: [(Transport, Option<ReplyVia>); 5] = [
    (Transport::Rest, None),
    (Transport::Grpc, None),
    (Transport::Queue, Some(ReplyVia::Direct)),
    (Transport::Queue, Some(ReplyVia::Queue)),
    (Transport::Stream, Some(ReplyVia::Topic)),
];

/// A rate that each way holds on two cores without coming near its capacity.
const RATE: f64 = 2_000.0;

fn groups(_: Suite) -> Vec<Group> {
    // Class `none` everywhere: the reply is what the caller waits for, and it says that the work is done. Latency from
    // the open loop, CPU per order from the closed one with its 32 in flight.
    let cell = |(transport, reply), mode| Cell {
        reply,
        mode,
        durability: Durability::None,
        stop: Stop::after(Duration::from_millis(500)),
        warmup: Duration::from_millis(100),
        ..Cell::new(transport)
    };
    let open = || Mode::Open(Arrival::constant(RATE));
    let closed = || Cell::new(Transport::Rest).mode;
    let of = |mode: &dyn Fn() -> Mode| WAYS.map(|way| cell(way, mode()));
    vec![of(&open).into_iter().chain(of(&closed)).collect()]
}
