//! At equal rates that every transport is offered alike: how long until the caller may go on, and until the work is
//! done? Where does each stop keeping up, what of it is transport once a service takes its time, and what would it cost
//! at 50,000 orders per second? In full the bare rungs run over tcp too: the floor that the others stand on, which
//! decides no claim. The wide form also loads each to a share of its own capacity, found in the run.

use super::cells::{IN_FLIGHT, LARGE, SMALL, at_share, closed, open};
use super::{Experiment, Group, Suite, a_a, blocks};
use crate::cell::Cell;
use crate::claims::ladder;
use crate::results::{Run, Table};
use bench_proto::{Durability, PayloadClass};
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "ladder",
    question: "At an equal rate: how long until the caller may go on, and until the work is done?",
    claims: &[
        "grpc-lat-3-10x",
        "grpc-lat-5-10x",
        "rest-50-200ms",
        "grpc-50k",
        "queue-ms-minutes",
    ],
    groups,
    blocks,
    analysis,
};

/// What stands beside a synchronous call where its work is to be done later.
const FOUR: [Transport; 4] = [
    Transport::Rest,
    Transport::Grpc,
    Transport::Queue,
    Transport::Stream,
];
const SYNC: [Transport; 2] = [Transport::Rest, Transport::Grpc];
/// A rate that each transport holds on two cores without coming near its capacity.
const MODERATE: f64 = 2_000.0;
/// A decade, from light load to where two cores are busy, with a rung more where brokers begin to fall behind.
const RUNGS: [f64; 4] = [1_000.0, 4_000.0, 7_000.0, 10_000.0];
/// Percent of each one's own capacity, in the wide form.
const SHARES: [u32; 3] = [50, 70, 90];
/// The wide form's.
const WIDE: [f64; 8] = [
    500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0, 40_000.0, 80_000.0,
];

fn groups(suite: Suite) -> Vec<Group> {
    let bare = |transports: &[Transport], payload, rate| -> Group {
        transports
            .iter()
            .map(|transport| open(suite, *transport, payload, rate))
            .collect()
    };
    let with_twin = |mut group: Group, rate| {
        let [_, second] = a_a(&open(suite, Transport::Rest, SMALL, rate));
        group.push(second);
        group
    };
    match suite {
        Suite::Quick => vec![
            with_twin(bare(&FOUR, SMALL, MODERATE), MODERATE),
            bare(&SYNC, LARGE, MODERATE),
        ],
        Suite::Full | Suite::Faults => {
            let [light, middle, ..] = RUNGS;
            let mut groups: Vec<Group> = RUNGS
                .into_iter()
                .map(|rate| {
                    let group = bare(&Transport::ALL, SMALL, rate);
                    if rate == middle {
                        with_twin(group, rate)
                    } else {
                        group
                    }
                })
                .collect();
            groups.extend([light, middle].map(|rate| bare(&SYNC, LARGE, rate)));
            groups.push(SYNC.map(|t| behind(suite, t, SMALL, light, 1)).into());
            groups.push(FOUR.map(|t| behind(suite, t, SMALL, light, 5)).into());
            groups
        }
        Suite::Wide => {
            let mut groups: Vec<Group> = WIDE
                .into_iter()
                .map(|rate| {
                    let group = bare(&Transport::ALL, SMALL, rate);
                    if rate == MODERATE {
                        with_twin(group, rate)
                    } else {
                        group
                    }
                })
                .collect();
            groups.extend(
                WIDE.into_iter()
                    .take(5)
                    .map(|rate| bare(&SYNC, LARGE, rate)),
            );
            groups.extend(WIDE.into_iter().take(4).flat_map(|rate| {
                [1, 5, 50].map(|ms| FOUR.map(|t| behind(suite, t, SMALL, rate, ms)).into())
            }));
            groups.extend(Transport::ALL.map(|transport| shares(suite, transport)));
            groups
        }
    }
}

/// What a transport carries in a closed loop, and shares of that; tcp, the floor, beside the others.
fn shares(suite: Suite, transport: Transport) -> Group {
    let capacity = Cell {
        durability: Durability::Process,
        ..closed(suite, transport, SMALL, IN_FLIGHT)
    };
    let mut group = vec![capacity];
    group.extend(SHARES.map(|percent| at_share(suite, transport, SMALL, percent)));
    group
}

/// A service that takes `ms` for each order behind the transport.
fn behind(suite: Suite, transport: Transport, payload: PayloadClass, rate: f64, ms: u64) -> Cell {
    let cell = open(suite, transport, payload, rate);
    // Four times what is in work on average, so that a Poisson crowd finds room (HTTP/1.1 carries one order per
    // connection, a consumer works on as many as its prefetch).
    let room = 4.0 * rate * Duration::from_millis(ms).as_secs_f64();
    let widened = room > cell.connections as f64;
    Cell {
        slow: Some(format!("{ms}ms").parse().expect("a plain time parses")),
        connections: match transport {
            Transport::Rest | Transport::Grpc if widened => room as usize,
            _ => cell.connections,
        },
        prefetch: cell.prefetch.max(room as u16),
        ..cell
    }
}

fn analysis(run: &Run) -> Vec<Table> {
    let mut tables = vec![
        ladder::knees(run),
        ladder::transport_share(run),
        ladder::added_by_brokers(run),
        ladder::cpu_by_rate(run),
    ];
    tables.extend(ladder::above_floor(run));
    tables.extend(ladder::at_shares(run));
    tables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Mode;

    /// Whether a cell is a rung: the small order at a rate of its own, nothing slow behind, no second arm.
    fn is_rung(cell: &Cell) -> bool {
        cell.payload == SMALL && is_open(cell) && cell.slow.is_none() && cell.arm.is_none()
    }

    fn is_open(cell: &Cell) -> bool {
        matches!(cell.mode, Mode::Open(_))
    }

    #[test]
    fn the_floor_stands_on_every_bare_rung_of_the_small_order_and_nowhere_else() {
        for (suite, expected) in [
            (Suite::Quick, 0),
            (Suite::Full, RUNGS.len()),
            (Suite::Wide, WIDE.len()),
        ] {
            let mut on = 0;
            for group in groups(suite) {
                let rungs: Vec<&Cell> = group.iter().filter(|cell| is_rung(cell)).collect();
                let floor = |cell: &&Cell| cell.transport == Transport::Tcp && is_open(cell);
                let floors = group.iter().filter(floor).count();
                let wanted = suite != Suite::Quick && !rungs.is_empty();
                assert_eq!(floors, usize::from(wanted), "{group:?}");
                // Equal in what the difference must not be of.
                assert!(rungs.iter().all(|cell| cell.mode == rungs[0].mode));
                assert!(
                    rungs
                        .iter()
                        .all(|cell| cell.durability == Durability::Process)
                );
                on += floors;
            }
            assert_eq!(on, expected, "{}", suite.name());
        }
    }

    #[test]
    fn the_a_a_pair_runs_on_one_rung() {
        for (suite, rate) in [
            (Suite::Quick, MODERATE),
            (Suite::Full, 4_000.0),
            (Suite::Wide, MODERATE),
        ] {
            let all = groups(suite).concat();
            let twins: Vec<&Cell> = all.iter().filter(|cell| cell.arm.is_some()).collect();
            let [twin] = twins[..] else {
                panic!("{twins:?}");
            };
            let first = open(suite, Transport::Rest, SMALL, rate);
            assert_eq!((&twin.mode, twin.transport), (&first.mode, Transport::Rest));
        }
    }
}
