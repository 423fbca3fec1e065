//! Checkout needs the payment now, and inventory, email and analytics at some time: all of them called and waited for,
//! against the payment called and the rest published. Inventory is killed; who can still check out?

use super::outage::{call, without, working};
use super::{Experiment, Group, Suite};
use crate::claims::hybrid::{self, ALL_SYNC, AWAY, LATER, NOW, over};
use crate::claims::outage::CHECKOUT;
use crate::topology::{Service, Topology, Way};
use bench_transport::Transport;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: hybrid::EXPERIMENT,
    question: "Payment called and the rest published, against everything called: what does checkout do while inventory is away?",
    claims: &["hybrid"],
    groups,
    blocks: |suite| match suite {
        Suite::Quick => 0,
        Suite::Wide => 10,
        _ => 3,
    },
    analysis: hybrid::tables,
};

/// Five services and a client share two cores: an order costs each of four calls some 150 µs.
const RATE: f64 = 100.0;
/// What is waited for goes over this, and so does the user's call.
const SYNC: Transport = Transport::Grpc;
/// What is published goes over one of these.
const BROKERS: [Transport; 2] = [Transport::Queue, Transport::Stream];

fn groups(suite: Suite) -> Vec<Group> {
    let cell = |name: String, later: (Transport, Way)| {
        let mut services = vec![Service::named(CHECKOUT), working(NOW)];
        services.extend(LATER.map(working));
        let mut edges = vec![call(NOW, SYNC, Way::Awaited)];
        edges.extend(LATER.map(|to| call(to, later.0, later.1)));
        let topology = Topology {
            name,
            services,
            edges,
        };
        without(AWAY, suite, SYNC, RATE, topology)
    };
    let mut cells = vec![cell(ALL_SYNC.into(), (SYNC, Way::Awaited))];
    cells.extend(BROKERS.map(|broker| cell(over(broker.name()), (broker, Way::Publish))));
    vec![cells]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::check_cell;

    #[test]
    fn every_checkout_can_run_and_calls_the_same_services() {
        let cells: Vec<_> = groups(Suite::Faults).into_iter().flatten().collect();
        assert_eq!(cells.len(), 3);
        for cell in cells {
            assert_eq!(check_cell(&cell), Ok(()), "{}", cell.id());
            let topology = cell.topology.as_ref().unwrap();
            let called: Vec<&str> = topology
                .calls_of(CHECKOUT)
                .map(|edge| edge.to.as_str())
                .collect();
            assert_eq!(called, [&[NOW][..], &LATER].concat());
        }
    }
}
