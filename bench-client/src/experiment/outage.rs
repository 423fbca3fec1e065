//! The service behind checkout is killed under load and started again: who can still check out meanwhile, what error
//! comes after how long, and is anything lost, or done twice?

use super::phases::Lengths;
use super::{Experiment, Group, Suite};
use crate::cell::Cell;
use crate::claims::outage::{self, BEHIND, CHECKOUT, DOWN};
use crate::fault::{Action, Target};
use crate::load::{Arrival, Mode, Stop};
use crate::topology::{Edge, Service, Topology, Way};
use bench_proto::Durability;
use bench_proto::slowness::Slowness;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: outage::EXPERIMENT,
    question: "The service behind checkout is killed and comes back ten seconds later: who can still check out, and is anything lost?",
    claims: &["down-sync", "down-async"],
    groups,
    // What it shows are thousands of orders: three blocks tell. It is no part of the quick suite.
    blocks: |suite| match suite {
        Suite::Quick => 0,
        Suite::Wide => 10,
        _ => 3,
    },
    analysis: outage::tables,
};

/// 16 workers do 1,600/s at 10 ms, eight times what arrives: what has waited is gone soon after the service is back. Beside
/// a broker on its core an order takes up to 0.6 ms more in the mean: a handler of 10 ms may be 1 ms off its plan, and one
/// of 5 ms half of that.
const RATE: f64 = 200.0;
const WORKERS: usize = 16;
const WORK: &str = "10ms";
/// One order of a key at a time is worked on, and what has waited in Kafka comes partition by partition: each has the keys
/// of 16 of the 64 customers, so that one alone can keep all workers busy.
const PARTITIONS: i32 = 4;
/// Of one call between two services.
const PATIENCE: Duration = Duration::from_millis(500);
/// On an awaited hop: HTTP/1.1 has one for each order that waits.
const CONNECTIONS: u32 = 64;

/// How the user calls checkout, and how checkout calls what is behind it.
const WAYS: [(Transport, Transport, Way); 4] = [
    (Transport::Rest, Transport::Rest, Way::Awaited),
    (Transport::Grpc, Transport::Grpc, Way::Awaited),
    (Transport::Rest, Transport::Queue, Way::Publish),
    (Transport::Rest, Transport::Stream, Way::Publish),
];

/// When the service goes and when it comes back.
fn lengths(suite: Suite) -> Lengths {
    match suite {
        // Enough to see who is told, and that it comes back.
        Suite::Quick => Lengths::ms(300, 1_000, 1_200),
        _ => Lengths::ms(1_000, 10_000, 3_000),
    }
}

/// A cell in which one service of a topology is away in the middle.
pub(super) fn without(
    away: &str,
    suite: Suite,
    user: Transport,
    rate: f64,
    topology: Topology,
) -> Cell {
    let lengths = lengths(suite);
    let away = Target::Service(away.into());
    Cell {
        mode: Mode::Open(Arrival::constant(rate)),
        // What was answered before the kill is read back from the journal: the ledger stays whole.
        durability: Durability::Process,
        stop: Stop::after(lengths.over()),
        warmup: Duration::from_millis(200),
        // Kafka keeps the place of a killed consumer for its session's 6 s.
        grace: Duration::from_secs(20),
        timeout: Duration::from_secs(2),
        connections: CONNECTIONS as usize,
        prefetch: WORKERS as u16,
        partitions: PARTITIONS,
        faults: lengths.pair([Action::Kill, Action::Start], away),
        phases: lengths.spans(DOWN),
        topology: Some(topology),
        ..Cell::new(user)
    }
}

/// A service that takes its time over an order.
pub(super) fn working(name: &str) -> Service {
    let slow: Slowness = WORK.parse().expect("a constant in the slowness language");
    Service {
        workers: Some(WORKERS),
        slow: Some(slow),
        ..Service::named(name)
    }
}

/// A call from checkout, with a bound on how long it waits.
pub(super) fn call(to: &str, over: Transport, way: Way) -> Edge {
    Edge {
        way,
        timeout: Some(PATIENCE),
        connections: way.waits().then_some(CONNECTIONS),
        ..Edge::new(CHECKOUT, to, over)
    }
}

fn groups(suite: Suite) -> Vec<Group> {
    let cells = WAYS.map(|(user, over, way)| {
        let topology = Topology {
            name: outage::topology(over.name()),
            services: vec![Service::named(CHECKOUT), working(BEHIND)],
            edges: vec![call(BEHIND, over, way)],
        };
        without(BEHIND, suite, user, RATE, topology)
    });
    vec![cells.into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::check_cell;

    #[test]
    fn every_cell_can_run_and_its_service_is_away_in_the_phase_of_that_name() {
        for suite in [Suite::Quick, Suite::Faults, Suite::Wide] {
            for cell in groups(suite).into_iter().flatten() {
                assert_eq!(check_cell(&cell), Ok(()), "{}", cell.id());
                let [_, down, _] = &cell.phases[..] else {
                    panic!("three phases")
                };
                assert_eq!(down.name, DOWN);
                let at: Vec<Duration> = cell.faults.iter().map(|fault| fault.after).collect();
                assert_eq!(at, [down.start, down.end]);
            }
        }
    }

    #[test]
    fn what_arrives_is_far_below_what_the_workers_can_do() {
        let each = working(BEHIND).slow.unwrap().mean(Duration::ZERO);
        assert!(RATE < 0.25 * WORKERS as f64 / each.as_secs_f64());
    }
}
