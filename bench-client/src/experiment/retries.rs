//! A service turns slow for a while under calls that are tried again: by which policy does the load multiply, and does
//! goodput come back once the cause is gone?

use super::phases::slow_between;
use super::{Experiment, Group, Suite};
use crate::cell::Cell;
use crate::claims::outage::{BEHIND, CHECKOUT};
use crate::claims::retries::{
    self, BUDGET, PHASES, Policy, RETRIES, SLOW_WORK, WORK, WORKERS, topology,
};
use crate::load::{Arrival, Mode, SpanPlan, Stop};
use crate::topology::{Backoff, Edge, Guards, Percent, Service, Topology};
use bench_proto::Durability;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: retries::EXPERIMENT,
    question: "A service is slow for a while under calls that are tried again: does goodput come back, by which policy, and what was done twice?",
    claims: &["retry-storm"],
    groups,
    // What it shows are thousands of orders: three blocks tell. It is no part of the quick suite.
    blocks: |suite| match suite {
        Suite::Quick => 0,
        Suite::Wide => 10,
        _ => 3,
    },
    analysis: retries::tables,
};

/// 4 workers do 800/s at 5 ms: 0.375 of it arrives without retries, 0.41 with a budget of 10 %, and 1.5 times as much with
/// four attempts of each order, so that a storm stays by formula. While slow they do 20/s. 1,200 attempts/s at 60–80 µs an
/// end (experiment `chain`) and as much again for their connections are under half a core of two: the workers are the limit.
const RATE: f64 = 300.0;
/// Of one attempt: far above a well service's 5 ms, far below what is waited for in a storm.
const PATIENCE: Duration = Duration::from_millis(250);
/// Of the user: above all attempts of a call with the longest pauses between them.
const DEADLINE: Duration = Duration::from_secs(2);
/// Bounds of the first pause and of any.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How the user calls checkout and checkout the service behind, over so many connections each: HTTP/1.1 takes one for
/// each order that waits, 400 at the most.
struct Way {
    over: Transport,
    connections: u32,
    policies: &'static [Policy],
}

/// Of a deadline that travels along no formula tells: it is looked at over one of them.
const WAYS: [Way; 2] = [
    Way {
        over: Transport::Rest,
        connections: 1_024,
        policies: &Policy::ALL,
    },
    Way {
        over: Transport::Grpc,
        connections: 16,
        policies: &[
            Policy::NoRetry,
            Policy::Immediate,
            Policy::Backoff,
            Policy::Budget,
            Policy::Idempotent,
        ],
    },
];

/// Lengths of the phases, ms. By formula the backlog of calls that are not multiplied is gone within the third.
fn lengths(suite: Suite) -> [u64; 4] {
    match suite {
        // Named by itself, for a look.
        Suite::Quick => [300, 1_000, 1_000, 500],
        Suite::Wide => [1_000, 5_000, 4_000, 4_000],
        // As long a slowness and as much time to come back; what is well before and later is cut short, to the hundreds of
        // orders that a share takes: a block of eleven cells takes two minutes.
        _ => [500, 5_000, 4_000, 1_200],
    }
}

/// The phases with their instants.
fn phases(suite: Suite) -> Vec<SpanPlan> {
    let mut start = Duration::ZERO;
    let phase = |(name, ms): (&str, u64)| {
        let end = start + Duration::from_millis(ms);
        let plan = SpanPlan {
            name: name.into(),
            start,
            end,
        };
        start = end;
        plan
    };
    PHASES.into_iter().zip(lengths(suite)).map(phase).collect()
}

fn groups(suite: Suite) -> Vec<Group> {
    let group = |way: &Way| -> Group {
        let policies = way.policies.iter();
        policies.map(|policy| cell(suite, way, *policy)).collect()
    };
    WAYS.iter().map(group).collect()
}

fn cell(suite: Suite, way: &Way, policy: Policy) -> Cell {
    let phases = phases(suite);
    let slow = &phases[1];
    let behind = Service {
        workers: Some(WORKERS),
        slow: Some(slow_between(slow.start, slow.end, WORK, SLOW_WORK)),
        idempotent: policy == Policy::Idempotent,
        ..Service::named(BEHIND)
    };
    let call = Edge {
        timeout: Some(PATIENCE),
        connections: Some(way.connections),
        no_deadline: policy != Policy::Deadline,
        guards: guards(policy),
        ..Edge::new(CHECKOUT, BEHIND, way.over)
    };
    Cell {
        mode: Mode::Open(Arrival::constant(RATE)),
        durability: Durability::Process,
        stop: Stop::after(phases[3].end),
        warmup: Duration::from_millis(200),
        // What a storm has piled up is worked off after the window, though nobody waits for it: twice as long as it takes.
        grace: Duration::from_secs(30),
        timeout: DEADLINE,
        connections: way.connections as usize,
        phases,
        topology: Some(Topology {
            name: topology(policy),
            services: vec![Service::named(CHECKOUT), behind],
            edges: vec![call],
        }),
        ..Cell::new(way.over)
    }
}

/// What checkout does about a call that failed.
fn guards(policy: Policy) -> Guards {
    let immediate = Guards {
        retries: Some(RETRIES),
        ..Guards::default()
    };
    match policy {
        Policy::NoRetry => Guards::default(),
        Policy::Immediate | Policy::Idempotent | Policy::Deadline => immediate,
        Policy::Backoff => Guards {
            backoff: Some(Backoff {
                first: PAUSES.0,
                most: PAUSES.1,
            }),
            ..immediate
        },
        Policy::Budget => Guards {
            budget: Some(Percent(BUDGET)),
            ..immediate
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::retries::{LATER, Outlook, SLOW};
    use crate::theory::PerSecond;
    use crate::topology::check_cell;
    use std::collections::BTreeSet;

    const SUITES: [Suite; 3] = [Suite::Quick, Suite::Faults, Suite::Wide];

    #[test]
    fn every_cell_can_run_and_differs_from_the_others() {
        for suite in SUITES {
            let cells: Vec<Cell> = groups(suite).into_iter().flatten().collect();
            let ids: BTreeSet<String> = cells.iter().map(Cell::id).collect();
            assert_eq!((cells.len(), ids.len()), (11, 11), "{ids:?}");
            for cell in &cells {
                assert_eq!(check_cell(cell), Ok(()), "{}", cell.id());
                let names: Vec<&str> = cell.phases.iter().map(|p| p.name.as_str()).collect();
                assert_eq!(names, PHASES);
                let topology = cell.topology.as_ref().unwrap();
                assert_eq!(topology.entry().unwrap().name, CHECKOUT);
            }
        }
    }

    #[test]
    fn the_service_is_slow_in_the_phase_of_that_name_alone() {
        for suite in SUITES {
            for cell in groups(suite).into_iter().flatten() {
                let behind = cell.topology.as_ref().unwrap().service(BEHIND).unwrap();
                let slowness = behind.slow.as_ref().unwrap();
                for phase in &cell.phases {
                    let work = if phase.name == SLOW { SLOW_WORK } else { WORK };
                    let middle = (phase.start + phase.end) / 2;
                    assert_eq!(slowness.mean(middle), work, "{}", phase.name);
                }
            }
        }
    }

    #[test]
    fn by_formula_a_storm_stays_and_everything_else_is_gone_before_the_last_phase() {
        for suite in SUITES {
            let phases = phases(suite);
            let slow = phases[1].end - phases[1].start;
            let given = phases[2].end - phases[2].start;
            assert_eq!(phases[3].name, LATER);
            for policy in Policy::ALL {
                match policy.outlook(PerSecond(RATE), slow) {
                    Outlook::ComesBack(after) => {
                        assert!(after < given, "{}: {after:?} of {given:?}", policy.name());
                    }
                    Outlook::StaysAway => assert_eq!(policy.work_per_order(), Some(4.0)),
                    Outlook::Unknown => assert_eq!(policy, Policy::Deadline),
                }
            }
        }
    }

    #[test]
    fn the_user_waits_for_every_attempt() {
        let pauses: Duration = (0..RETRIES)
            .map(|n| (PAUSES.0 * 2_u32.pow(n)).min(PAUSES.1))
            .sum();
        assert!(PATIENCE * (1 + RETRIES) + pauses < DEADLINE);
    }
}
