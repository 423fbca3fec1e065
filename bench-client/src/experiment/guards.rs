//! The service behind checkout turns slow, hangs, or crashes: does that reach what needs nothing of it, and which guard of
//! the call keeps it away? Asked of checkout's catalogue, which shares its workers with the orders and calls nobody.

use super::phases::Lengths;
use super::{Experiment, Group, Suite};
use crate::cell::Cell;
use crate::claims::guards::{self, Guard, SLOW_AFTER, TAKES, Trouble};
use crate::claims::outage::{BEHIND, CHECKOUT};
use crate::fault::{Action, Fault, Target};
use crate::load::{Arrival, Mode, Stop};
use crate::topology::{Breaker, Edge, Guards, Percent, Service, Topology};
use bench_proto::Durability;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: guards::EXPERIMENT,
    question: "The service behind checkout turns slow, hangs or crashes: does checkout's catalogue, which needs nothing of it, turn slow too, and what do timeout, breaker and bulkhead change?",
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

/// The 8 workers of the service behind do 1,000/s at 8 ms and 40/s at 200 ms: slow, it is overloaded by arithmetic.
const RATE: f64 = 200.0;
const WORKERS: usize = 8;
/// By 10 % of this a handler's mean may miss its plan. A core that is away for 70 ms holds up the 1.6 orders in work: of the
/// 160 before the trouble that is 0.7 ms of the mean, and of 120 orders of 5 ms it was more than they may be off.
const WELL: Duration = Duration::from_millis(8);
/// Orders that checkout holds at once, each until the service behind has answered. Unguarded they are all taken 0.4 s after
/// that turned slow (λ − μ = 160/s), or 0.32 s after it stood still, and whatever else wants one stands behind the orders.
const HOLDS: usize = 64;
/// More than an order takes at the slow service when it is worked on at once. With it checkout holds λ · 250 ms = 50 orders
/// at most, and has workers left; with a longer one it would not.
const PATIENCE: Duration = Duration::from_millis(250);
/// As many as the service behind works on at once: more would only wait there.
const BULKHEAD: u32 = WORKERS as u32;
/// Opens when half of the last 20 calls failed, or were slow where it counts those.
const BREAKER: Breaker = Breaker {
    failures: Percent(50.0),
    calls: 20,
    open: Duration::from_millis(500),
};
/// Catalogues a second: a p99 takes the 1,050 of the phase of trouble.
const PROBE: f64 = 500.0;
/// Of the user, for an order as for the catalogue.
const DEADLINE: Duration = Duration::from_millis(500);
/// From user to checkout: HTTP/1.1 has one for each order that waits, and they are λ · 500 ms.
const CONNECTIONS: usize = 128;

/// Lengths of before, the trouble and after.
fn lengths(suite: Suite) -> Lengths {
    match suite {
        // Enough to see who is told what.
        Suite::Quick => Lengths::ms(300, 1_200, 500),
        _ => Lengths::ms(800, 2_100, 400),
    }
}

/// What stands between checkout and the service behind, its timeout aside.
fn between(guard: Guard) -> Guards {
    Guards {
        breaker: guard.has_breaker().then_some(BREAKER),
        slow_after: guard.counts_slow_calls().then_some(SLOW_AFTER),
        bulkhead: guard.has_bulkhead().then_some(BULKHEAD),
        ..Guards::default()
    }
}

/// Under which guards a suite looks at a trouble.
fn guards_of(suite: Suite, trouble: Trouble) -> &'static [Guard] {
    match (suite, trouble) {
        // For a look: the breaker that a crash opens at once and a hang when it is over, and all that turn away in both.
        (Suite::Quick, Trouble::Hang) => &[Guard::Breaker, Guard::All],
        (Suite::Quick, Trouble::Crash) => &[Guard::None, Guard::Breaker, Guard::All],
        _ => trouble.guards(),
    }
}

fn cell(trouble: Trouble, over: Transport, guard: Guard, lengths: Lengths) -> Cell {
    let topology = Topology {
        name: guards::topology(trouble, over.name(), guard),
        services: vec![
            Service {
                workers: Some(HOLDS),
                ..Service::named(CHECKOUT)
            },
            Service {
                workers: Some(WORKERS),
                // One that is stopped or killed has no time of its own: an order in work would take longer than planned.
                slow: (trouble == Trouble::Slow).then(|| lengths.slowness(WELL, TAKES)),
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
        // What was answered before a kill is read back from the journal: the ledger stays whole.
        durability: Durability::Process,
        stop: Stop::after(lengths.over()),
        warmup: Duration::from_millis(200),
        grace: Duration::from_secs(15),
        timeout: DEADLINE,
        connections: CONNECTIONS,
        faults: faults(trouble, lengths),
        phases: lengths.spans(trouble.name()),
        topology: Some(topology),
        ..Cell::new(over)
    }
}

/// What is done to the service behind, and undone; its slowness is its own.
fn faults(trouble: Trouble, lengths: Lengths) -> Vec<Fault> {
    let actions = match trouble {
        Trouble::Slow => return Vec::new(),
        Trouble::Hang => [Action::Pause, Action::Resume],
        Trouble::Crash => [Action::Kill, Action::Start],
    };
    lengths.pair(actions, Target::Service(BEHIND.into()))
}

fn groups(suite: Suite) -> Vec<Group> {
    let lengths = lengths(suite);
    let mut groups = Vec::new();
    for trouble in Trouble::ALL {
        for over in [Transport::Rest, Transport::Grpc] {
            let guards = guards_of(suite, trouble).iter();
            let cells = guards.map(|guard| cell(trouble, over, *guard, lengths));
            groups.push(cells.collect());
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::check_cell;
    use std::collections::BTreeSet;

    const SUITES: [Suite; 3] = [Suite::Quick, Suite::Faults, Suite::Wide];

    /// Every cell of a suite beside what it stands for, which its name must say.
    fn named(suite: Suite) -> Vec<(Trouble, Guard, Cell)> {
        let cells = groups(suite).into_iter().flatten();
        let meant = |cell: Cell| {
            let name = &cell.topology.as_ref().unwrap().name;
            let over = cell.transport.name();
            let found = Trouble::ALL
                .into_iter()
                .flat_map(|trouble| Guard::ALL.map(|guard| (trouble, guard)))
                .find(|(trouble, guard)| *name == guards::topology(*trouble, over, *guard));
            let (trouble, guard) =
                found.expect("its name says what befalls it and how it is guarded");
            (trouble, guard, cell)
        };
        cells.map(meant).collect()
    }

    #[test]
    fn every_cell_can_run_and_tells_its_guards_by_name() {
        for suite in SUITES {
            let cells = named(suite);
            let ids: BTreeSet<String> = cells.iter().map(|(.., cell)| cell.id()).collect();
            assert_eq!(ids.len(), cells.len());
            for (_, guard, cell) in cells {
                assert_eq!(check_cell(&cell), Ok(()), "{}", cell.id());
                assert_eq!(cell.check_schedule(), Ok(()), "{}", cell.id());
                assert_eq!(cell.check_probe(), Ok(()), "{}", cell.id());
                let edge = &cell.topology.as_ref().unwrap().edges[0];
                assert_eq!(edge.timeout.is_some(), guard.has_timeout());
                assert_eq!(edge.guards.breaker.is_some(), guard.has_breaker());
                let slow_after = edge.guards.slow_after.is_some();
                assert_eq!(slow_after, guard.counts_slow_calls());
                assert_eq!(edge.guards.bulkhead.is_some(), guard.has_bulkhead());
            }
        }
    }

    #[test]
    fn the_service_behind_is_in_trouble_in_the_phase_of_that_name_and_in_no_other_way() {
        for suite in SUITES {
            for (trouble, _, cell) in named(suite) {
                let [before, lasts, _] = &cell.phases[..] else {
                    panic!("three phases")
                };
                assert_eq!(before.name, guards::BEFORE);
                assert_eq!(lasts.name, trouble.name());
                let faults: Vec<String> = cell.faults.iter().map(ToString::to_string).collect();
                let at = |instant: Duration, what: &str| format!("at {instant:?} {what} {BEHIND}");
                let done = match trouble {
                    Trouble::Slow => vec![],
                    Trouble::Hang => vec![at(lasts.start, "pause"), at(lasts.end, "resume")],
                    Trouble::Crash => vec![at(lasts.start, "kill"), at(lasts.end, "start")],
                };
                assert_eq!(faults, done);
                let behind = cell.topology.as_ref().unwrap().service(BEHIND).unwrap();
                assert_eq!(behind.slow.is_some(), trouble == Trouble::Slow);
            }
        }
    }

    #[test]
    fn the_quick_suite_leaves_out_guards_of_a_hang_and_of_a_crash_alone() {
        let counts = |suite: Suite| Trouble::ALL.map(|trouble| guards_of(suite, trouble).len());
        assert_eq!(counts(Suite::Quick), [7, 2, 3]);
        for suite in [Suite::Faults, Suite::Wide] {
            assert_eq!(counts(suite), [7, 5, 5]);
        }
        for trouble in Trouble::ALL {
            let all = trouble.guards();
            let mut quick = guards_of(Suite::Quick, trouble).iter();
            assert!(quick.all(|guard| all.contains(guard)));
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
        let slow = lengths(Suite::Faults).during;
        assert!((RATE - does(TAKES)) * slow.as_secs_f64() > 4.0 * HOLDS as f64);
        assert!(PROBE * slow.as_secs_f64() > 1_000.0);
    }

    #[test]
    fn slow_calls_open_a_breaker_before_a_catalogue_that_finds_checkout_full_is_late() {
        assert!(5 * WELL < SLOW_AFTER && 2 * SLOW_AFTER <= TAKES);
        // So many slow calls have ended after whole rounds of the workers behind.
        let opens = f64::from(BREAKER.calls) * BREAKER.failures.0 / 100.0;
        let rounds = (opens / WORKERS as f64).ceil();
        let full = HOLDS as f64 / (RATE - WORKERS as f64 / TAKES.as_secs_f64());
        let waits = rounds * TAKES.as_secs_f64() - full;
        assert!(waits < 0.5 * guards::PROMPT.as_secs_f64(), "{waits} s");
        // One that tries again while all that were let out are still there is slow too.
        assert!(
            HOLDS as f64 / WORKERS as f64 * TAKES.as_secs_f64() > 2.0 * BREAKER.open.as_secs_f64()
        );
    }

    #[test]
    fn a_hang_takes_all_that_checkout_holds_and_leaves_enough_failures_to_open_a_breaker() {
        for suite in SUITES {
            let lasts = lengths(suite).during.as_secs_f64();
            assert!(RATE * lasts > 3.0 * HOLDS as f64);
            // With all three no more calls fail than the bulkhead lets out, each after its timeout.
            let rounds = (lasts / PATIENCE.as_secs_f64()).floor();
            let opens = f64::from(BREAKER.calls) * BREAKER.failures.0 / 100.0;
            assert!(rounds * f64::from(BULKHEAD) > 2.0 * opens);
            // A crash fails every call, and some remain for the open breaker to refuse.
            assert!(RATE * lasts > 4.0 * f64::from(BREAKER.calls));
            // Of those that hang enough are slow to open one that counts slow calls, once they have ended.
            assert!(HOLDS as f64 > 2.0 * opens);
            let held = HOLDS as f64 / RATE;
            assert!(lasts - held > 2.0 * SLOW_AFTER.as_secs_f64());
        }
    }
}
