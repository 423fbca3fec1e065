//! The worker is killed in the middle of its calls: what does the caller see on each way of a call, and after how long?

use super::{Experiment, Group, Suite, rpc};
use crate::cell::Cell;
use crate::claims;
use crate::fault::{Action, Fault, Target};
use crate::load::{Arrival, Mode, Stop};
use bench_proto::Durability;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "rpc-kill",
    question: "The worker is killed in the middle of its calls: which error does the caller see, and after how long?",
    claims: &["queue-rpc"],
    groups,
    // Errors and deadlines differ by orders of magnitude: three blocks tell.
    blocks: |_| 3,
    analysis: claims::rpc::error_table,
};

/// 500/s at 20 ms each: ten calls are in flight whenever the worker dies.
const RATE: f64 = 500.0;
const WORK: &str = "20ms";

fn groups(_: Suite) -> Vec<Group> {
    let ways = rpc::WAYS.map(|(transport, reply)| Cell {
        reply,
        mode: Mode::Open(Arrival::constant(RATE)),
        durability: Durability::None,
        slow: Some(WORK.parse().expect("the experiment's own slowness parses")),
        faults: vec![Fault {
            after: Duration::from_millis(400),
            action: Action::Kill,
            target: Target::the_service(),
        }],
        timeout: Duration::from_millis(500),
        stop: Stop::after(Duration::from_millis(1_200)),
        warmup: Duration::from_millis(100),
        grace: Duration::from_secs(2),
        ..Cell::new(transport)
    });
    vec![ways.into()]
}
