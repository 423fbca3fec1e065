//! Ten times the rate for five seconds over a worker of fixed capacity: does the queue buffer it and drain, and what does
//! a synchronous caller see, with a bounded queue in front of the worker and without?

use super::phases::Lengths;
use super::{Experiment, Group, Suite, against_theory};
use crate::cell::Cell;
use crate::claims;
use crate::load::{Arrival, Mode, Stop};
use crate::results::{Run, Table};
use bench_proto::Durability;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "spike",
    question: "Ten times the rate for five seconds over workers of fixed capacity: who is turned away, who waits, and how does it drain?",
    claims: &["spike"],
    groups,
    // What it shows are thousands of orders: three blocks tell. It is no part of the quick suite.
    blocks: |suite| match suite {
        Suite::Quick => 0,
        Suite::Wide => 10,
        _ => 3,
    },
    analysis,
};

/// Orders per second before and after, and ten times as many in the spike.
const RATE: u64 = 200;
const SPIKE: u64 = 10 * RATE;
/// What each worker takes over an order. Beside a saturated broker on its core that is 0.5 to 0.8 ms more in the mean, where
/// a handler of 10 ms may be 1 ms off its plan, and one of 5 ms half of that.
const WORK: &str = "10ms";
/// One order of a key at a time is worked on, and a backlog may come partition by partition: each has the keys of 16 of the
/// 64 customers, so that one alone can keep all workers busy.
const PARTITIONS: i32 = 4;
/// Orders that may wait where there is a limit: under 0.3 s of work, far inside the deadline.
const ROOM: u32 = 400;

/// How long and how much.
#[derive(Clone, Copy)]
struct Size {
    lengths: Lengths,
    workers: u16,
    deadline: Duration,
}

impl Size {
    fn of(suite: Suite) -> Self {
        match suite {
            // Named by itself, for a look: 8 workers do 800/s, so 1,200 wait after a second, and nobody's deadline passes.
            Suite::Quick => Self {
                lengths: Lengths::ms(300, 1_000, 2_700),
                workers: 8,
                deadline: Duration::from_secs(5),
            },
            // 14 workers do 1,400/s: 3,000 wait after five seconds, the last of them 1.5 s, past a deadline of 1 s. They
            // drain in 2.5 s; Kafka, which keeps a key on one worker, takes longer.
            _ => Self {
                lengths: Lengths::ms(300, 5_000, 4_000),
                workers: 14,
                deadline: Duration::from_secs(1),
            },
        }
    }
}

fn groups(suite: Suite) -> Vec<Group> {
    let size = Size::of(suite);
    let plain = |transport| cell(transport, size);
    let bounded = |transport| Cell {
        max_waiting: Some(ROOM as usize),
        ..plain(transport)
    };
    let limited = Cell {
        queue_limit: Some(ROOM),
        ..plain(Transport::Queue)
    };
    vec![vec![
        plain(Transport::Rest),
        bounded(Transport::Rest),
        plain(Transport::Grpc),
        bounded(Transport::Grpc),
        plain(Transport::Queue),
        limited,
        plain(Transport::Stream),
    ]]
}

fn cell(transport: Transport, size: Size) -> Cell {
    let lengths = size.lengths;
    let rate = format!(
        "{RATE}:{}ms,{SPIKE}:{}ms,{RATE}",
        lengths.before.as_millis(),
        lengths.during.as_millis()
    );
    Cell {
        mode: Mode::Open(Arrival::even(
            rate.parse().expect("the experiment's own rate parses"),
        )),
        durability: Durability::Process,
        stop: Stop::after(lengths.over()),
        warmup: Duration::from_millis(300),
        grace: Duration::from_secs(15),
        timeout: size.deadline,
        workers: Some(size.workers.into()),
        prefetch: size.workers,
        partitions: PARTITIONS,
        slow: Some(WORK.parse().expect("the experiment's own slowness parses")),
        phases: lengths.spans(claims::spike::SPIKE),
        // HTTP/1.1 carries one order per connection: enough of them for all that wait.
        connections: if transport == Transport::Rest {
            2_048
        } else {
            Cell::new(transport).connections
        },
        ..Cell::new(transport)
    }
}

fn analysis(run: &Run) -> Vec<Table> {
    vec![
        claims::spike::table(&against_theory::in_order(run, "spike")),
        against_theory::table(run, "spike", claims::spike::SPIKE),
    ]
}
