//! The service turns slow and recovers: who waits, and for how long, on each transport? And does what waits follow from
//! arithmetic?

use super::{Experiment, Group, Suite, against_theory};
use crate::cell::Cell;
use crate::load::{Arrival, Mode, SpanPlan, Stop};
use crate::results::{Run, Table};
use bench_proto::Durability;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "slow",
    question: "The service slows to 200 ms (in full also tenfold, and with workers without bound) and recovers: what does the caller feel, and when is the work done?",
    claims: &["producer-free", "slow-200ms"],
    groups,
    // Its effects are a hundredfold: three blocks show them, and ten would take a quarter of an hour.
    blocks: |suite| match suite {
        Suite::Wide => 10,
        _ => 3,
    },
    analysis,
};

const RATE: f64 = 200.0;
/// With these 8 do 40/s at 200 ms and 160/s at 50 ms, so the slow phase is overload by arithmetic, and what happens
/// before and after it (1,600/s at 5 ms) is none.
const WORKERS: usize = 8;
/// Where the service sets no bound, the brokers' clients need one: far above the 40 that 200/s keep in work at 200 ms.
const UNBOUNDED: u16 = 1_000;

/// A slow phase between two good ones.
#[derive(Clone, Copy)]
struct Case {
    well_ms: u64,
    slow_ms: u64,
    workers: Option<usize>,
    /// Lengths of before, slow and after, ms. At most 160/s × 5 s wait, under the in-flight bound and, in time, within
    /// the deadline of 5 s.
    lengths: (u64, u64, u64),
}

/// What the quick suite has time for.
const QUICK: Case = Case {
    well_ms: 1,
    slow_ms: 200,
    workers: Some(WORKERS),
    lengths: (1_500, 2_500, 1_500),
};

fn cases(suite: Suite) -> Vec<Case> {
    if suite == Suite::Quick {
        return vec![QUICK];
    }
    // A p99 takes the 1,000 orders of five seconds.
    let full = Case {
        well_ms: 5,
        slow_ms: 200,
        workers: Some(WORKERS),
        lengths: (5_000, 5_000, 1_500),
    };
    let short = Case {
        lengths: (500, 2_500, 1_000),
        ..full
    };
    let tenfold = Case {
        slow_ms: 50,
        ..short
    };
    let unbounded = Case {
        workers: None,
        ..short
    };
    vec![full, tenfold, unbounded]
}

fn groups(suite: Suite) -> Vec<Group> {
    let transports = [
        Transport::Rest,
        Transport::Grpc,
        Transport::Queue,
        Transport::Stream,
    ];
    let group = |case: Case| -> Group { transports.map(|transport| cell(transport, case)).into() };
    cases(suite).into_iter().map(group).collect()
}

fn cell(transport: Transport, case: Case) -> Cell {
    let Case {
        well_ms, slow_ms, ..
    } = case;
    let (before, slow, after) = case.lengths;
    let (begins, ends) = (before, before + slow);
    let at = Duration::from_millis;
    let span = |name: &str, start, end| SpanPlan {
        name: name.into(),
        start: at(start),
        end: at(end),
    };
    let slowness = format!(
        "0ms..{begins}ms {well_ms}ms; {begins}ms..{ends}ms {slow_ms}ms; {ends}ms.. {well_ms}ms"
    );
    Cell {
        mode: Mode::Open(Arrival::constant(RATE)),
        durability: Durability::Process,
        stop: Stop::after(at(ends + after)),
        warmup: at(300),
        grace: Duration::from_secs(15),
        timeout: Duration::from_secs(5),
        workers: case.workers,
        prefetch: case.workers.map_or(UNBOUNDED, |workers| workers as u16),
        partitions: WORKERS as i32,
        slow: Some(
            slowness
                .parse()
                .expect("the experiment's own slowness parses"),
        ),
        phases: vec![
            span("before", 0, begins),
            span("slow", begins, ends),
            span("after", ends, ends + after),
        ],
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
    vec![against_theory::table(run, "slow", "slow")]
}
