//! Services that call services: what do N of them in a row make of failures and tails, and what does a hop cost that is
//! published instead of awaited?

use super::{Experiment, Group, Suite, a_a};
use crate::cell::Cell;
use crate::claims::chain::{self, BASE, Chain, Kind, LONGEST};
use crate::load::{Arrival, Mode, Stop};
use crate::topology::{Edge, Service, Topology, Way};
use bench_proto::Durability;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: chain::EXPERIMENT,
    question: "N services in a row, all alike: what share fails, how long is the tail, and is a published hop free?",
    claims: &["chain-fail", "chain-p99", "chain-floor", "async-hop-free"],
    groups,
    // Shares come from all orders together and tails differ by factors: three blocks show them.
    blocks: |suite| match suite {
        Suite::Quick => 0,
        Suite::Full | Suite::Faults => 3,
        Suite::Wide => 10,
    },
    analysis: chain::tables,
};

/// Hops of the chains whose tail or floor is measured: the longest decides, and a shorter one shows the way to it.
const LENGTHS: [usize; 3] = [1, 3, LONGEST];
/// Whole chains go over these.
const CHAINS: [Transport; 2] = [Transport::Rest, Transport::Grpc];
/// The hop behind them is published over these.
const PUBLISHED: [Transport; 2] = [Transport::Queue, Transport::Stream];

/// Five services and a client at 500/s burn about 40 % of one core of two (an order costs each hop's two ends 60–80 µs
/// each), so that the machine is not what makes them slow.
const RATE: f64 = 500.0;
/// 50 ms each: at most 25 orders are in flight, and the rate does not matter.
const FLOOR_RATE: f64 = 100.0;
/// On every edge of a chain, the user's first one too: HTTP/1.1 has one for each order that waits. Five smooth hops hold 28
/// orders, and 35 more come while a core is away for 70 ms.
const CONNECTIONS: u32 = 128;

fn groups(suite: Suite) -> Vec<Group> {
    let size = Size::of(suite);
    let mut groups = Vec::new();
    for hops in 1..=LONGEST {
        let chain = Chain::of(hops, Kind::Fail);
        groups.push(CHAINS.map(|over| size.cell(over, chain)).into());
    }
    for kind in [Kind::Smooth, Kind::Spike, Kind::Floor] {
        let chains = LENGTHS.map(|hops| Chain::of(hops, kind));
        let cells = chains.map(|chain| CHAINS.map(|over| size.cell(over, chain)));
        groups.push(cells.concat());
    }
    for over in CHAINS {
        // With and without the published hop beside each other, and once the same twice.
        let base = size.cell(over, Chain::of(BASE, Kind::Smooth));
        let [first, twin] = a_a(&base);
        let mut group = if over == CHAINS[0] {
            vec![first, twin]
        } else {
            vec![base]
        };
        group.extend(PUBLISHED.map(|broker| size.cell_and(over, broker)));
        groups.push(group);
    }
    groups
}

/// How much of it a suite runs.
#[derive(Clone, Copy)]
struct Size {
    /// Orders of a window; a trial's p99 takes 1,000.
    orders: f64,
    /// Orders of the floor's.
    floor_orders: f64,
}

impl Size {
    fn of(suite: Suite) -> Self {
        let (orders, floor_orders) = match suite {
            // Enough to see that every order reached every service.
            Suite::Quick => (150.0, 20.0),
            Suite::Full | Suite::Faults => (1_050.0, 120.0),
            Suite::Wide => (5_000.0, 500.0),
        };
        Self {
            orders,
            floor_orders,
        }
    }

    fn cell(self, over: Transport, chain: Chain) -> Cell {
        let slow = chain.kind.slowness();
        self.of_topology(
            over,
            chain,
            Topology::chain(chain.name(), chain.hops, over, &slow),
        )
    }

    /// The base chain with one more service, published to over a broker.
    fn cell_and(self, over: Transport, broker: Transport) -> Cell {
        let chain = Chain {
            published: Some(broker.name()),
            ..Chain::of(BASE, Kind::Smooth)
        };
        let slow = chain.kind.slowness();
        let mut topology = Topology::chain(chain.name(), chain.hops, over, &slow);
        let (last, further) = (format!("s{BASE}"), format!("s{}", BASE + 1));
        topology.services.push(Service {
            slow: Some(slow),
            ..Service::named(&further)
        });
        topology.edges.push(Edge {
            way: Way::Publish,
            ..Edge::new(last, further, broker)
        });
        self.of_topology(over, chain, topology)
    }

    fn of_topology(self, over: Transport, chain: Chain, mut topology: Topology) -> Cell {
        let (rate, orders) = match chain.kind {
            Kind::Floor => (FLOOR_RATE, self.floor_orders),
            _ => (RATE, self.orders),
        };
        for edge in &mut topology.edges {
            if edge.way.waits() {
                edge.connections = Some(CONNECTIONS);
            }
        }
        Cell {
            mode: Mode::Open(Arrival::constant(rate)),
            // What stands beside a broker is of its class.
            durability: Durability::Process,
            stop: Stop::after(Duration::from_secs_f64(orders / rate)),
            warmup: Duration::from_millis(200),
            connections: CONNECTIONS as usize,
            topology: Some(topology),
            ..Cell::new(over)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::check_cell;

    #[test]
    fn every_chain_can_run_and_is_known_by_its_cell() {
        for suite in [Suite::Quick, Suite::Faults, Suite::Wide] {
            for cell in groups(suite).into_iter().flatten() {
                assert_eq!(check_cell(&cell), Ok(()), "{}", cell.id());
                let chain = Chain::in_cell(&cell.describe()).expect("a chain's name");
                let topology = cell.topology.as_ref().unwrap();
                assert_eq!(topology.name, chain.name());
                let further = usize::from(chain.published.is_some());
                assert_eq!(topology.services.len(), chain.hops + further);
            }
        }
    }

    #[test]
    fn a_trial_has_the_orders_that_a_p99_takes_and_its_workers_are_never_short() {
        for cell in groups(Suite::Faults).into_iter().flatten() {
            let chain = Chain::in_cell(&cell.describe()).unwrap();
            let window = cell.stop.time.unwrap().as_secs_f64();
            let Mode::Open(arrival) = &cell.mode else {
                panic!("an open loop")
            };
            let orders = arrival.first_period().as_secs_f64().recip() * window;
            assert!(chain.kind == Kind::Floor || orders >= 1_000.0, "{orders}");
            // L = λ·W on the way into the chain, with the hops' own times.
            let each = chain.kind.slowness().mean(Duration::ZERO).as_secs_f64();
            let in_flight = orders / window * each * chain.hops as f64;
            assert!(
                in_flight < cell.connections as f64 / 2.0,
                "{}: {in_flight}",
                cell.id()
            );
        }
    }
}
