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
        // The longest decides, and the shorter ones show the way to it.
        let chains = (1..=LONGEST).map(|hops| Chain::of(hops, kind));
        // What a published hop is added to runs beside it, below.
        let here = chains.filter(|chain| *chain != Chain::of(BASE, Kind::Smooth));
        groups.push(
            here.flat_map(|chain| CHAINS.map(|over| size.cell(over, chain)))
                .collect(),
        );
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
    /// Orders of one whose failures are counted: over three blocks enough to tell N = 2 from services that fail in step.
    fail_orders: f64,
    /// Orders of the floor's: a median, and whether any is quicker. A core that is away for 70 ms holds up the five in work,
    /// which of 80 is 4.4 ms of a mean that may be 5 off its plan.
    floor_orders: f64,
}

impl Size {
    fn of(suite: Suite) -> Self {
        let (orders, fail_orders, floor_orders) = match suite {
            // Enough to see that every order reached every service.
            Suite::Quick => (150.0, 150.0, 20.0),
            Suite::Full | Suite::Faults => (1_020.0, 600.0, 80.0),
            Suite::Wide => (5_000.0, 5_000.0, 500.0),
        };
        Self {
            orders,
            fail_orders,
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
            Kind::Fail => (RATE, self.fail_orders),
            Kind::Smooth | Kind::Spike => (RATE, self.orders),
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
    use bench_stats::binomial;

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
    fn every_kind_of_chain_has_every_length_over_both_once_and_one_of_them_a_twin() {
        for suite in [Suite::Quick, Suite::Faults, Suite::Wide] {
            let cells: Vec<Cell> = groups(suite).into_iter().flatten().collect();
            let of = |over: Transport, chain: Chain| {
                let ran = |cell: &&Cell| {
                    cell.transport == over && Chain::in_cell(&cell.describe()) == Some(chain)
                };
                cells.iter().filter(ran).count()
            };
            for kind in [Kind::Fail, Kind::Smooth, Kind::Spike, Kind::Floor] {
                for hops in 1..=LONGEST {
                    let chain = Chain::of(hops, kind);
                    let twins = usize::from(chain == Chain::of(BASE, Kind::Smooth));
                    let found = CHAINS.map(|over| of(over, chain));
                    assert_eq!(found, [1 + twins, 1], "{}", chain.name());
                }
            }
        }
    }

    #[test]
    fn the_failures_counted_tell_two_services_from_one_and_from_two_in_step() {
        let orders = (3.0 * Size::of(Suite::Faults).fail_orders) as u64;
        // Services in step fail as a single one does.
        let in_step = (chain::failing(1) * orders as f64).round() as u64;
        let (_, high) = binomial::interval(in_step, orders, chain::level_of_each()).unwrap();
        assert!(high < chain::failing(2), "{high}");
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
            let tails = matches!(chain.kind, Kind::Smooth | Kind::Spike);
            assert!(!tails || orders >= 1_000.0, "{orders}");
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
