//! How many orders does each transport carry when so many are always in flight, and what does each cost in CPU? Does
//! the gap between gRPC and REST widen with concurrency?
//!
//! In full: REST and gRPC at five depths with as many connections as callers (the slope), what HTTP/2 does on a single
//! connection, the floor and the brokers at both ends and in the middle; O100 where claims ask for it, and over every
//! transport in the middle. Wide: all of it.

use super::cells::{IN_FLIGHT, LARGE, SMALL, closed};
use super::{Experiment, Group, Suite, a_a, blocks};
use crate::cell::Cell;
use crate::claims::samples::{self, CellTrials, Metric};
use crate::claims::{gap, pairs};
use crate::results::{self, Arrival, Run, Table, Value};
use bench_proto::PayloadClass;
use bench_transport::{HttpVersion, Transport};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "capacity",
    question: "How many orders per second does each transport carry with so many in flight, and at what CPU per order?",
    claims: &["grpc-thr-3-10x", "gap-concurrency"],
    groups,
    blocks,
    analysis,
};

/// Operations in flight: a decade and more on either side of a usual pool.
const DEPTHS: [usize; 5] = [1, 8, 32, 128, 256];

fn groups(suite: Suite) -> Vec<Group> {
    let at = |transport, payload, callers| closed(suite, transport, payload, callers);
    let pair = |payload, callers| -> Group {
        [Transport::Rest, Transport::Grpc]
            .map(|transport| at(transport, payload, callers))
            .into()
    };
    // Brokers in class `process`, sync transports in class `none`: the tables keep the classes apart.
    let beside = |payload, callers| {
        [Transport::Tcp, Transport::Queue, Transport::Stream]
            .map(|transport| at(transport, payload, callers))
    };
    if suite == Suite::Quick {
        let mut small = pair(SMALL, IN_FLIGHT);
        small.extend(beside(SMALL, IN_FLIGHT));
        small.extend(twin(suite));
        return vec![small, pair(LARGE, IN_FLIGHT)];
    }
    let every = suite == Suite::Wide;
    let ends = [DEPTHS[0], IN_FLIGHT, DEPTHS[DEPTHS.len() - 1]];
    let mut groups = Vec::new();
    for (payload, callers) in [SMALL, LARGE]
        .into_iter()
        .flat_map(|payload| DEPTHS.map(|callers| (payload, callers)))
    {
        let is_end = ends.contains(&callers);
        if payload == LARGE && !(every || is_end) {
            continue;
        }
        let has_all = every || is_end && (payload == SMALL || callers == IN_FLIGHT);
        let mut group = pair(payload, callers);
        if has_all {
            group.extend(beside(payload, callers));
        }
        if has_all && callers > 1 {
            group.extend(one_connection(suite, payload, callers));
        }
        if payload == SMALL && callers == IN_FLIGHT {
            group.extend(twin(suite));
        }
        groups.push(group);
    }
    groups
}

/// HTTP/2 with everything multiplexed on one connection, bare and under gRPC.
fn one_connection(suite: Suite, payload: PayloadClass, callers: usize) -> [Cell; 2] {
    [Transport::Rest, Transport::Grpc].map(|transport| Cell {
        http: if transport == Transport::Rest {
            HttpVersion::H2
        } else {
            HttpVersion::H1
        },
        connections: 1,
        ..closed(suite, transport, payload, callers)
    })
}

/// The second arm of the A/A pair.
fn twin(suite: Suite) -> Option<Cell> {
    let [_, second] = a_a(&closed(suite, Transport::Rest, SMALL, IN_FLIGHT));
    Some(second)
}

fn analysis(run: &Run) -> Vec<Table> {
    vec![against_rest(run), gap::table(run, &gap::CONCURRENCY)]
}

/// What stands against REST over HTTP/1.1 with a connection per caller.
fn against_rest(run: &Run) -> Table {
    let mut table = Table::new(
        "capacity",
        "against REST over HTTP/1.1 with a connection per caller, closed loop",
        &[
            ("what", ""),
            ("payload", ""),
            ("in flight", ""),
            ("orders per CPU-second", "×"),
            ("orders per second", "×"),
            ("limited by", ""),
        ],
    )
    .with_note(
        "Orders per CPU-second count the CPU of client and service together: what a machine gets out of its cores. \
         Where a caller used its whole core, orders per second compare what an order costs the caller, and no more.",
    );
    let all = samples::cells(run, "capacity");
    let mut rests: Vec<&CellTrials<'_>> = all
        .iter()
        .filter(|c| pairs::is_plain_rest(c.cell))
        .collect();
    rests.sort_by_key(|c| (pairs::size_of(&c.cell.payload), c.cell.in_flight));
    for rest in rests {
        let mut others: Vec<_> = all
            .iter()
            .filter(|c| stands_beside(rest.cell, c.cell))
            .collect();
        others.sort_by_key(|c| name(c.cell));
        for other in others {
            table.push(vec![
                name(other.cell).into(),
                rest.cell.payload.as_str().into(),
                Value::maybe(rest.cell.in_flight.map(f64::from), "an open loop"),
                pairs::ratio(other, rest, Metric::OrdersPerCpuSecond),
                pairs::ratio(other, rest, Metric::Throughput),
                pairs::limit(&[other, rest]).into(),
            ]);
        }
    }
    table
}

fn stands_beside(rest: &results::Cell, other: &results::Cell) -> bool {
    samples::is_base(other)
        && (other.transport == "grpc" || other.http.as_deref() == Some("h2"))
        && other.arrival == Arrival::Closed
        && (&other.payload, other.in_flight, &other.durability)
            == (&rest.payload, rest.in_flight, &rest.durability)
}

fn name(cell: &results::Cell) -> String {
    let transport = match cell.http.as_deref() {
        Some("h2") => format!("{} h2", cell.transport),
        _ => cell.transport.clone(),
    };
    match cell.connections {
        Some(1) => format!("{transport}, 1 connection"),
        Some(n) => format!("{transport}, {n} connections"),
        None => transport,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn in_full_both_orders_are_carried_over_every_transport_and_over_one_connection() {
        let ids: Vec<BTreeSet<String>> = groups(Suite::Full)
            .iter()
            .map(|group| group.iter().map(Cell::id).collect())
            .collect();
        for payload in [SMALL, LARGE] {
            let beside = |transport| closed(Suite::Full, transport, payload, IN_FLIGHT).id();
            let all = Transport::ALL.map(beside);
            let group = ids.iter().find(|group| group.contains(&all[0]));
            let group = group.unwrap_or_else(|| panic!("no {} in {ids:?}", all[0]));
            let one = one_connection(Suite::Full, payload, IN_FLIGHT).map(|cell| cell.id());
            for id in all.iter().chain(&one) {
                assert!(group.contains(id), "{id} is not in {group:?}");
            }
        }
    }

    #[test]
    fn in_full_the_larger_order_has_the_brokers_at_one_depth_alone() {
        let brokers = groups(Suite::Full).into_iter().flatten();
        let brokers = brokers.filter(|cell| cell.payload == LARGE && cell.transport.needs_broker());
        assert_eq!(brokers.count(), 2);
    }
}
