//! The service turns slow and recovers: who waits, and for how long, on each transport?

use super::{Experiment, Group, Suite, no_tables};
use crate::cell::Cell;
use crate::load::{Arrival, Mode, SpanPlan, Stop};
use bench_proto::Durability;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "slow",
    question: "The service slows from 1 ms to 200 ms and recovers: what does the caller feel, and when is the work done?",
    claims: &["producer-free", "slow-200ms"],
    groups,
    // Its effects are a hundredfold: three blocks show them, and ten would take a quarter of an hour.
    blocks: |suite| match suite {
        Suite::Quick | Suite::Full | Suite::Faults => 3,
        Suite::Wide => 10,
    },
    analysis: no_tables,
};

/// 8 workers do 8,000/s at 1 ms and 40/s at 200 ms, so the slow phase is overload by arithmetic: 160/s pile up.
const WORKERS: usize = 8;
const RATE: f64 = 200.0;

fn groups(suite: Suite) -> Vec<Group> {
    // Lengths of before, slow and after, ms. At most 160/s × 6 s wait, under the in-flight bound and, in time, mostly
    // within the deadline of 5 s.
    let (before, slow, after) = match suite {
        Suite::Quick => (1_500, 2_500, 1_500),
        Suite::Full | Suite::Faults | Suite::Wide => (6_000, 6_000, 6_000),
    };
    let at = Duration::from_millis;
    let span = |name: &str, start, end| SpanPlan {
        name: name.into(),
        start: at(start),
        end: at(end),
    };
    let end = before + slow + after;
    let slowness = format!(
        "0ms..{before}ms 1ms; {before}ms..{}ms 200ms; {}ms.. 1ms",
        before + slow,
        before + slow
    );
    let cell = |transport: Transport| Cell {
        mode: Mode::Open(Arrival::constant(RATE)),
        durability: Durability::Process,
        stop: Stop::after(at(end)),
        warmup: at(300),
        grace: Duration::from_secs(15),
        timeout: Duration::from_secs(5),
        workers: Some(WORKERS),
        prefetch: WORKERS as u16,
        partitions: WORKERS as i32,
        slow: Some(
            slowness
                .parse()
                .expect("the experiment's own slowness parses"),
        ),
        phases: vec![
            span("before", 0, before),
            span("slow", before, before + slow),
            span("after", before + slow, end),
        ],
        // HTTP/1.1 carries one order per connection: enough of them for all that wait.
        connections: if transport == Transport::Rest {
            2_048
        } else {
            Cell::new(transport).connections
        },
        ..Cell::new(transport)
    };
    vec![
        [
            Transport::Rest,
            Transport::Grpc,
            Transport::Queue,
            Transport::Stream,
        ]
        .map(cell)
        .into(),
    ]
}
