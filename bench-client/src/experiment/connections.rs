//! What does a connection cost, and who pays for it: a new one per request, a pool that is kept, one that is shared?

use super::{Experiment, Group, Suite, side_by_side};
use crate::cell::Cell;
use crate::load::{Arrival, Mode, Stop};
use crate::results::{Arrival as Arrived, Run, Table};
use bench_transport::{Connecting, HttpVersion, Transport};
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "connections",
    question: "What does a connection cost: a new one per request, a kept pool, one that all calls share; on loopback and 0.5 ms away, with and without TLS?",
    claims: &["conn-cost"],
    groups,
    blocks: |suite| match suite {
        Suite::Quick => 0,
        Suite::Full | Suite::Faults | Suite::Wide => 10,
    },
    analysis,
};

/// A moderate rate that each way of connecting holds, also over the relay.
const RATE: f64 = 1_000.0;
/// On loopback a handshake is all but free; half a millisecond each way is a network inside one site.
const AWAY: Duration = Duration::from_micros(500);
/// Closed loops that open a connection per request stop here at the latest: 28,000 ports of one peer are all that
/// Linux hands out, and each rests for a minute after its use.
const MOST: u64 = 10_000;

fn groups(_: Suite) -> Vec<Group> {
    let rest = Cell {
        stop: Stop::after(Duration::from_millis(350)),
        warmup: Duration::from_millis(100),
        ..Cell::new(Transport::Rest)
    };
    let grpc = Cell {
        stop: rest.stop,
        warmup: rest.warmup,
        ..Cell::new(Transport::Grpc)
    };
    let kept = |cell: &Cell, connections| Cell {
        connections,
        ..cell.clone()
    };
    let per_call = Cell {
        connecting: Connecting::PerCall,
        stop: Stop {
            count: Some(MOST),
            ..rest.stop
        },
        ..rest.clone()
    };
    let one_h2 = Cell {
        http: HttpVersion::H2,
        ..kept(&rest, 1)
    };
    let paced = |cells: &[&Cell], relay, tls| -> Group {
        let one = |cell: &&Cell| Cell {
            // Some 300 operations: enough for a median, which is all that is judged.
            stop: Stop::after(Duration::from_millis(300)),
            warmup: Duration::from_millis(50),
            mode: Mode::Open(Arrival::constant(RATE)),
            relay,
            tls,
            ..Cell::clone(cell)
        };
        cells.iter().map(one).collect()
    };
    let pool = kept(&rest, 32);
    let ways = [&per_call, &pool, &one_h2, &kept(&grpc, 1)];
    let mut saturated: Group = vec![per_call.clone(), one_h2.clone()];
    for connections in [1, 8, 32] {
        saturated.push(kept(&rest, connections));
        saturated.push(kept(&grpc, connections));
    }
    vec![
        paced(&ways, None, false),
        paced(&ways, Some(AWAY), false),
        paced(&ways, None, true),
        paced(&ways, Some(AWAY), true),
        saturated,
    ]
}

fn analysis(run: &Run) -> Vec<Table> {
    let name = EXPERIMENT.name;
    let open = |away: bool| {
        move |cell: &crate::results::Cell| {
            cell.arrival != Arrived::Closed && cell.factors.contains_key("relay_us") == away
        }
    };
    [
        side_by_side::table(
            run,
            name,
            "At 1,000 orders per second, on loopback",
            open(false),
        ),
        side_by_side::table(
            run,
            name,
            "At 1,000 orders per second, 0.5 ms away each way",
            open(true),
        ),
        side_by_side::table(run, name, "With 32 in flight, on loopback", |cell| {
            cell.arrival == Arrived::Closed
        }),
    ]
    .into_iter()
    .flatten()
    .map(|table| {
        table.with_note(
            "A new connection's handshake counts as part of its call. Over the relay it takes a round trip, as on a network; the relay's own CPU is nobody's and is left out.",
        )
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_way_of_connecting_is_paced_bare_and_over_the_relay_in_the_clear_and_over_tls() {
        let paced: Vec<Cell> = groups(Suite::Full)
            .into_iter()
            .flatten()
            .filter(|cell| matches!(cell.mode, Mode::Open(_)))
            .collect();
        let ids: BTreeSet<String> = paced.iter().map(Cell::id).collect();
        assert_eq!((paced.len(), ids.len()), (16, 16), "{ids:?}");
        for (relay, tls) in [
            (None, false),
            (Some(AWAY), false),
            (None, true),
            (Some(AWAY), true),
        ] {
            let there = |cell: &&Cell| (cell.relay, cell.tls) == (relay, tls);
            let ways: Vec<Transport> = paced.iter().filter(there).map(|c| c.transport).collect();
            let rest = Transport::Rest;
            assert_eq!(ways, [rest, rest, rest, Transport::Grpc], "{relay:?} {tls}");
        }
    }
}
