//! The service behind checkout turns slow: does that reach what needs nothing of it, and which guard of the call keeps it
//! away? Asked of checkout's catalogue, which shares its workers with the orders and calls nobody.

use super::{Experiment, Group, Suite};
use crate::cell::Cell;
use crate::claims::guards::{self, BEFORE, Guard, SLOW, TAKES};
use crate::claims::outage::{BEHIND, CHECKOUT};
use crate::load::{Arrival, Mode, SpanPlan, Stop};
use crate::topology::{Breaker, Edge, Guards, Percent, Service, Topology};
use bench_proto::Durability;
use bench_proto::slowness::Slowness;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: guards::EXPERIMENT,
    question: "The service behind checkout turns slow: does its catalogue, which needs nothing of it, turn slow too, and what do timeout, breaker and bulkhead change?",
    claims: &["cascade", "breaker"],
    groups,
    // What it shows is a hundredfold: three blocks tell. It is no part of the quick suite.
    blocks: |suite| match suite {
        Suite::Quick => 0,
        Suite::Wide => 10,
        _ => 3,
    },
    analysis: guards::tables,
};

/// The 8 workers of the service behind do 1,600/s at 5 ms and 40/s at 200 ms: slow, it is overloaded by arithmetic.
const RATE: f64 = 200.0;
const WORKERS: usize = 8;
const WELL: Duration = Duration::from_millis(5);
/// Orders that checkout holds at once, each until the service behind has answered. Unguarded they are all taken 0.4 s after
/// that turned slow (λ − μ = 160/s), and whatever else wants one stands behind the orders.
const HOLDS: usize = 64;
/// More than an order takes at the slow service when it is worked on at once. With it checkout holds λ · 250 ms = 50 orders
/// at most, and has workers left; with a longer one it would not.
const PATIENCE: Duration = Duration::from_millis(250);
/// As many as the service behind works on at once: more would only wait there.
const BULKHEAD: u32 = WORKERS as u32;
/// Opens when half of the last 20 calls failed.
const BREAKER: Breaker = Breaker {
    failures: Percent(50.0),
    calls: 20,
    open: Duration::from_millis(500),
};
/// Catalogues a second: a p99 takes the 1,250 of the slow phase.
const PROBE: f64 = 500.0;
/// Of the user, for an order as for the catalogue.
const DEADLINE: Duration = Duration::from_millis(500);
/// From user to checkout: HTTP/1.1 has one for each order that waits, and they are λ · 500 ms.
const CONNECTIONS: usize = 128;

/// Lengths of before, slow and after.
fn lengths(suite: Suite) -> [Duration; 3] {
    let ms = match suite {
        // Enough to see who is told what.
        Suite::Quick => [300, 1_200, 500],
        _ => [600, 2_500, 400],
    };
    ms.map(Duration::from_millis)
}

/// What stands between checkout and the service behind, its timeout aside.
fn between(guard: Guard) -> Guards {
    Guards {
        breaker: guard.has_breaker().then_some(BREAKER),
        bulkhead: guard.has_bulkhead().then_some(BULKHEAD),
        ..Guards::default()
    }
}

fn cell(over: Transport, guard: Guard, [before, slow, after]: [Duration; 3]) -> Cell {
    let (begins, ends) = (before, before + slow);
    let over_at = ends + after;
    let span = |name: &str, start, end| SpanPlan {
        name: name.into(),
        start,
        end,
    };
    let topology = Topology {
        name: guards::topology(over.name(), guard),
        services: vec![
            Service {
                workers: Some(HOLDS),
                ..Service::named(CHECKOUT)
            },
            Service {
                workers: Some(WORKERS),
                slow: Some(slowness(begins, ends)),
                ..Service::named(BEHIND)
            },
        ],
        edges: vec![Edge {
            timeout: guard.has_timeout().then_some(PATIENCE),
            connections: Some(HOLDS as u32),
            guards: between(guard),
            ..Edge::new(CHECKOUT, BEHIND, over)
        }],
    };
    Cell {
        mode: Mode::Open(Arrival::constant(RATE)),
        probe: Some(PROBE),
        durability: Durability::Process,
        stop: Stop::after(over_at),
        warmup: Duration::from_millis(200),
        grace: Duration::from_secs(15),
        timeout: DEADLINE,
        connections: CONNECTIONS,
        phases: vec![
            span(BEFORE, Duration::ZERO, begins),
            span(SLOW, begins, ends),
            span("after", ends, over_at),
        ],
        topology: Some(topology),
        ..Cell::new(over)
    }
}

/// Slow between two instants.
fn slowness(begins: Duration, ends: Duration) -> Slowness {
    let ms = |time: Duration| time.as_millis();
    let (begins, ends, well, takes) = (ms(begins), ms(ends), ms(WELL), ms(TAKES));
    let text =
        format!("0ms..{begins}ms {well}ms; {begins}ms..{ends}ms {takes}ms; {ends}ms.. {well}ms");
    text.parse().expect("the experiment's own slowness parses")
}

fn groups(suite: Suite) -> Vec<Group> {
    let lengths = lengths(suite);
    let transports = [Transport::Rest, Transport::Grpc];
    let group =
        |over: Transport| -> Group { Guard::ALL.map(|guard| cell(over, guard, lengths)).into() };
    transports.map(group).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::check_cell;

    #[test]
    fn every_cell_can_run_and_tells_its_guards_by_name() {
        for suite in [Suite::Quick, Suite::Faults, Suite::Wide] {
            for cell in groups(suite).into_iter().flatten() {
                assert_eq!(check_cell(&cell), Ok(()), "{}", cell.id());
                assert_eq!(cell.check_probe(), Ok(()), "{}", cell.id());
                let topology = cell.topology.as_ref().unwrap();
                let edge = &topology.edges[0];
                let found = Guard::ALL
                    .into_iter()
                    .find(|guard| topology.name == guards::topology(cell.transport.name(), *guard));
                let guard = found.expect("its name says how it is guarded");
                assert_eq!(edge.timeout.is_some(), guard.has_timeout());
                assert_eq!(edge.guards.breaker.is_some(), guard.has_breaker());
                assert_eq!(edge.guards.bulkhead.is_some(), guard.has_bulkhead());
            }
        }
    }

    #[test]
    fn slow_is_overload_by_arithmetic_and_well_is_not() {
        let does = |takes: Duration| WORKERS as f64 / takes.as_secs_f64();
        assert!(RATE < 0.25 * does(WELL));
        assert!(RATE > 4.0 * does(TAKES));
        // The orders that a timeout lets wait fit into checkout, and one that is worked on at once is in time.
        assert!(RATE * PATIENCE.as_secs_f64() < 0.8 * HOLDS as f64);
        assert!(TAKES < PATIENCE && PATIENCE < DEADLINE);
        assert!(RATE * DEADLINE.as_secs_f64() < CONNECTIONS as f64);
        // And unguarded all are held long before the slow phase ends.
        let [_, slow, _] = lengths(Suite::Faults);
        assert!((RATE - does(TAKES)) * slow.as_secs_f64() > 4.0 * HOLDS as f64);
        assert!(PROBE * slow.as_secs_f64() > 1_000.0);
    }
}
