//! The service turns slow and recovers: who waits, and for how long, on each transport? And does what waits follow from
//! arithmetic? In the suite of faults and the wide one it stands behind checkout, which the user calls, and also slows
//! tenfold, slows with workers without bound, and is stopped: what does checkout's catalogue feel, which needs nothing of
//! it, and which alarm tells first?

use super::phases::Lengths;
use super::{Experiment, Group, Suite, against_theory};
use crate::cell::Cell;
use crate::claims;
use crate::claims::behind::seen;
use crate::claims::canary;
use crate::claims::outage::{BEHIND, CHECKOUT};
use crate::fault::{Action, Target};
use crate::load::{Arrival, Mode, Stop};
use crate::results::{Run, Table};
use crate::topology::{Edge, Service, Topology, Way};
use bench_proto::Durability;
use bench_proto::slowness::Slowness;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: claims::behind::EXPERIMENT,
    question: "The service slows to 200 ms (in faults it stands behind checkout, slows tenfold and with workers without bound too, and is stopped) and recovers: what does the caller feel, when is the work done, and which alarm tells first?",
    claims: &["producer-free", "slow-200ms", "depth-canary"],
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

/// Orders that checkout holds at once, where workers are bounded: a sync call holds one until it is answered, a publish
/// until it is confirmed. Whatever else wants one stands behind the orders.
const HOLDS: usize = 64;
/// Catalogues a second beside the orders: a p50 takes few, and they leave the orders alone.
const PROBE: f64 = 50.0;

/// What befalls the service between two good phases.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// An order takes so many ms there.
    Takes(u64),
    /// SIGSTOP. Then it has no planned handler time: an order that was in the handler at that instant takes as long as
    /// the service stands still, which no plan knows.
    Stopped,
}

/// A bad phase between two good ones.
#[derive(Clone, Copy)]
struct Case {
    well_ms: u64,
    trouble: Trouble,
    workers: Option<usize>,
    /// At most 160/s × 5 s wait, or 200/s × 2.5 s where it is stopped: under the in-flight bound and, in time, within the
    /// deadline of 5 s. Before it, a p99 takes the 1,000 orders of five seconds; an alarm's threshold takes some bins.
    lengths: Lengths,
}

/// What the quick suite has time for.
const QUICK: Case = Case {
    well_ms: 1,
    trouble: Trouble::Takes(200),
    workers: Some(WORKERS),
    lengths: Lengths::ms(1_500, 2_500, 1_500),
};

/// Whether the service stands behind checkout, where the user, checkout's catalogue and a broker between the two can be
/// told apart, and meets every trouble: the suites that are about faults. In the others the user calls it, and it meets the
/// one that decides.
fn is_behind(suite: Suite) -> bool {
    matches!(suite, Suite::Faults | Suite::Wide)
}

fn cases(suite: Suite) -> Vec<Case> {
    if suite == Suite::Quick {
        return vec![QUICK];
    }
    let full = Case {
        well_ms: 5,
        trouble: Trouble::Takes(200),
        workers: Some(WORKERS),
        lengths: Lengths::ms(5_000, 5_000, 1_500),
    };
    if !is_behind(suite) {
        return vec![full];
    }
    let short = Case {
        lengths: Lengths::ms(500, 2_500, 1_000),
        ..full
    };
    let tenfold = Case {
        trouble: Trouble::Takes(50),
        ..short
    };
    let unbounded = Case {
        workers: None,
        ..short
    };
    let stopped = Case {
        trouble: Trouble::Stopped,
        lengths: Lengths::ms(1_000, 2_500, 1_000),
        ..full
    };
    vec![full, tenfold, unbounded, stopped]
}

fn groups(suite: Suite) -> Vec<Group> {
    let cell = if is_behind(suite) { behind } else { alone };
    let transports = [
        Transport::Rest,
        Transport::Grpc,
        Transport::Queue,
        Transport::Stream,
    ];
    let group = |case: Case| -> Group { transports.map(|transport| cell(transport, case)).into() };
    cases(suite).into_iter().map(group).collect()
}

/// The user calls the service.
fn alone(transport: Transport, case: Case) -> Cell {
    Cell {
        workers: case.workers,
        slow: slowness(case),
        ..cell(transport, case, Target::the_service())
    }
}

/// The user calls checkout, and checkout calls the service over this; checkout's catalogue is asked for beside the orders.
fn behind(over: Transport, case: Case) -> Cell {
    let way = match over.needs_broker() {
        true => Way::Publish,
        false => Way::Awaited,
    };
    let topology = Topology {
        name: claims::behind::topology(over.name()),
        services: vec![
            Service {
                workers: case.workers.map(|_| HOLDS),
                ..Service::named(CHECKOUT)
            },
            Service {
                workers: case.workers,
                slow: slowness(case),
                ..Service::named(BEHIND)
            },
        ],
        edges: vec![Edge {
            way,
            connections: way.waits().then_some(HOLDS as u32),
            ..Edge::new(CHECKOUT, BEHIND, over)
        }],
    };
    // Whoever publishes is called over REST itself.
    let user = match over {
        Transport::Grpc => Transport::Grpc,
        _ => Transport::Rest,
    };
    Cell {
        topology: Some(topology),
        probe: Some(PROBE),
        ..cell(user, case, Target::Service(BEHIND.into()))
    }
}

fn slowness(case: Case) -> Option<Slowness> {
    let Trouble::Takes(slow_ms) = case.trouble else {
        return None;
    };
    let [well, slow] = [case.well_ms, slow_ms].map(Duration::from_millis);
    Some(case.lengths.slowness(well, slow))
}

fn cell(transport: Transport, case: Case, stopped: Target) -> Cell {
    let lengths = case.lengths;
    Cell {
        mode: Mode::Open(Arrival::constant(RATE)),
        durability: Durability::Process,
        stop: Stop::after(lengths.over()),
        warmup: Duration::from_millis(300),
        grace: Duration::from_secs(15),
        timeout: Duration::from_secs(5),
        prefetch: case.workers.map_or(UNBOUNDED, |workers| workers as u16),
        partitions: WORKERS as i32,
        faults: match case.trouble {
            Trouble::Takes(_) => Vec::new(),
            Trouble::Stopped => lengths.pair([Action::Pause, Action::Resume], stopped),
        },
        phases: lengths.spans("slow"),
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
    let seen = seen(run, EXPERIMENT.name);
    vec![
        against_theory::table(&seen, EXPERIMENT.name, "slow"),
        canary::table(&against_theory::in_order(&seen, EXPERIMENT.name)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::overload::{is_primary, is_stopped};
    use crate::topology::check_cell;
    use std::collections::BTreeSet;

    #[test]
    fn every_cell_can_run_and_the_suites_of_faults_have_the_service_behind_checkout() {
        for (suite, cells_of, stopped_of) in [
            (Suite::Quick, 4, 0),
            (Suite::Full, 4, 0),
            (Suite::Faults, 16, 4),
            (Suite::Wide, 16, 4),
        ] {
            let cells: Vec<Cell> = groups(suite).into_iter().flatten().collect();
            let names: BTreeSet<String> = cells.iter().map(Cell::id).collect();
            assert_eq!(names.len(), cells_of, "{suite:?}");
            let stopped = cells.iter().filter(|cell| !cell.faults.is_empty());
            assert_eq!(stopped.count(), stopped_of, "{suite:?}");
            for cell in &cells {
                assert_eq!(check_cell(cell), Ok(()), "{}", cell.id());
                assert_eq!(cell.check_schedule(), Ok(()), "{}", cell.id());
                assert_eq!(cell.check_probe(), Ok(()), "{}", cell.id());
                assert_eq!(cell.topology.is_some(), is_behind(suite));
                assert_eq!(cell.probe.is_some(), is_behind(suite));
                // It is slow by its plan, or stands still; never both.
                let slow = match &cell.topology {
                    Some(topology) => topology.service(BEHIND).unwrap().slow.is_some(),
                    None => cell.slow.is_some(),
                };
                assert_ne!(slow, !cell.faults.is_empty());
            }
        }
    }

    #[test]
    fn it_stands_still_in_the_slow_phase_and_all_that_waits_has_time_to_end() {
        let stopped = *cases(Suite::Faults).last().unwrap();
        assert_eq!(stopped.trouble, Trouble::Stopped);
        for transport in [Transport::Rest, Transport::Stream] {
            let cell = behind(transport, stopped);
            let slow = &cell.phases[1];
            assert_eq!(slow.name, "slow");
            let at: Vec<Duration> = cell.faults.iter().map(|fault| fault.after).collect();
            assert_eq!(at, [slow.start, slow.end]);
            assert!(slow.end - slow.start < cell.timeout);
            assert!(is_stopped(&cell.describe()) && !is_primary(&cell.describe()));
        }
    }

    #[test]
    fn slow_is_overload_by_arithmetic_and_who_waits_is_in_time() {
        for case in cases(Suite::Faults) {
            let (Trouble::Takes(ms), Some(workers)) = (case.trouble, case.workers) else {
                continue;
            };
            let does = |ms: u64| workers as f64 * 1e3 / ms as f64;
            assert!(does(ms) <= 0.8 * RATE && RATE < 0.25 * does(case.well_ms));
            let lasts = case.lengths.during.as_secs_f64();
            let longest = lasts * (1.0 - does(ms) / RATE) + ms as f64 / 1e3;
            assert!(longest < 4.5, "{longest} s of a deadline of 5 s");
            // Checkout is full meanwhile, so its catalogue can be seen to wait.
            assert!((RATE - does(ms)) * lasts > HOLDS as f64 || ms < 200);
        }
    }
}
