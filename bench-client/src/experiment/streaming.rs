//! What does an order cost when it shares a stream, or a list, with others: per message, beside a call of its own?

use super::{Experiment, Group, Suite};
use crate::cell::Cell;
use crate::claims::samples::{CellTrials, Metric, Paired, Sample, cells};
use crate::claims::streaming::{kind, unary_of};
use crate::load::{Arrival, Mode, Stop};
use crate::results::{self, Run, Table, Trial, Value};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;
use bench_transport::{CallKind, Transport};
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: NAME,
    question: "What does a message cost in a stream (client, server, bidirectional) or a list, beside a call of its own?",
    claims: &["grpc-streaming"],
    groups,
    blocks: |suite| match suite {
        Suite::Quick => 0,
        _ => 10,
    },
    analysis,
};

const NAME: &str = "streaming";

/// Every kind with what it is carried on: one channel for gRPC, as it is deployed, and enough HTTP/1.1 connections that
/// no call waits for one.
const KINDS: [(Transport, CallKind, usize); 6] = [
    (Transport::Grpc, CallKind::Unary, 1),
    (Transport::Grpc, CallKind::Client, 1),
    (Transport::Grpc, CallKind::Server, 1),
    (Transport::Grpc, CallKind::Bidi, 1),
    (Transport::Rest, CallKind::Unary, IN_FLIGHT),
    (Transport::Rest, CallKind::List, IN_FLIGHT),
];

/// Two batches of the default size: while one is worked on, the next fills up.
const IN_FLIGHT: usize = 64;

/// A moderate rate for the latency of a message. In the kinds that gather it includes the wait for company.
const RATE: f64 = 2_500.0;

fn groups(_: Suite) -> Vec<Group> {
    let cell = |(transport, kind, connections): (Transport, CallKind, usize)| Cell {
        kind,
        connections,
        mode: Mode::Closed {
            callers: IN_FLIGHT,
            think: Duration::ZERO,
        },
        stop: Stop::after(Duration::from_millis(400)),
        warmup: Duration::from_millis(100),
        ..Cell::new(transport)
    };
    let paced = |cell: Cell| Cell {
        mode: Mode::Open(Arrival::constant(RATE)),
        // 1,100 operations: a p99 asks for 1,000.
        stop: Stop::after(Duration::from_millis(440)),
        warmup: Duration::from_millis(100),
        ..cell
    };
    vec![
        KINDS.map(cell).into(),
        KINDS.map(|way| paced(cell(way))).into(),
    ]
}

/// Each kind beside the unary calls of its transport and load, every figure per message.
fn analysis(run: &Run) -> Vec<Table> {
    let all = cells(run, NAME);
    let mut table = Table::new(
        NAME,
        "what a message costs in a stream or a list",
        &[
            ("call", ""),
            ("load", ""),
            ("messages", "1/s"),
            ("CPU", "µs"),
            ("CPU beside unary", "×"),
            ("wire", "B"),
            ("wire beside unary", "×"),
            ("accept p50", "µs"),
            ("messages beside unary", "×"),
            ("accept p50 beside unary", "×"),
        ],
    )
    .with_note(
        "One order is one message is one operation, in every kind. Client, server and list gather orders into requests \
         of the size shown, which leave 5 ms after their first order at the latest: at a rate, the wait for company is in \
         their accept; in a closed loop accept is in flight ÷ throughput, as everywhere. CPU is of client and \
         service together, bytes are the kernel's in both directions; beside unary: the ratio to the same transport's \
         unary calls at the same load, paired by block.",
    );
    let microseconds = |t: &Trial| {
        Metric::AcceptP50.of(t).map(|sample| Sample {
            value: sample.value / 1e3,
            ..sample
        })
    };
    for cell in &all {
        let unary = unary_of(&all, cell.cell);
        let beside = |figure: &dyn Fn(&Trial) -> Option<Sample>| match unary {
            Some(unary) if unary.cell.id != cell.cell.id => ratio(cell, unary, figure),
            Some(_) => Value::number(1.0),
            None => Value::missing("the unary cell did not run"),
        };
        table.push(vec![
            call(cell.cell).into(),
            load(cell.cell).into(),
            over_blocks(cell, &|t| Metric::Throughput.of(t)),
            over_blocks(cell, &|t| Metric::CpuPerOp.of(t)),
            beside(&|t| Metric::CpuPerOp.of(t)),
            over_blocks(cell, &wire),
            beside(&wire),
            over_blocks(cell, &microseconds),
            match cell.cell.arrival {
                results::Arrival::Closed => beside(&|t| Metric::Throughput.of(t)),
                _ => Value::missing("an open loop's throughput is its rate"),
            },
            match cell.cell.arrival {
                results::Arrival::Closed => {
                    Value::missing("a closed loop's latency is its throughput")
                }
                _ => beside(&microseconds),
            },
        ]);
    }
    vec![table]
}

fn call(cell: &results::Cell) -> String {
    let batch = cell.factors.get("batch");
    let batch = batch.map_or(String::new(), |batch| format!(" of {batch}"));
    format!("{} {}{batch}", cell.transport, kind(cell))
}

fn load(cell: &results::Cell) -> String {
    match (cell.in_flight, cell.rate_per_s) {
        (Some(in_flight), _) => format!("{in_flight} in flight"),
        (_, rate) => format!("{:.0}/s", rate.unwrap_or_default()),
    }
}

fn wire(trial: &Trial) -> Option<Sample> {
    let legs = &trial.bytes.wire;
    (!legs.is_empty())
        .then(|| Sample::exact(legs.values().map(|leg| leg.sent + leg.received).sum()))
}

fn over_blocks(cell: &CellTrials<'_>, figure: &dyn Fn(&Trial) -> Option<Sample>) -> Value {
    let values: Vec<f64> = cell.kept().filter_map(figure).map(|s| s.value).collect();
    match Estimate::of_values(&values) {
        Some(mean) => Value::interval(mean.point(), mean.interval(LEVEL)),
        None => Value::missing("not measured, or too few samples"),
    }
}

fn ratio(
    cell: &CellTrials<'_>,
    unary: &CellTrials<'_>,
    figure: &dyn Fn(&Trial) -> Option<Sample>,
) -> Value {
    let paired = Paired::of(cell, unary, figure, figure);
    match Estimate::of_ratios(&paired.ratios(true)) {
        Some(ratio) => Value::interval(ratio.point(), ratio.interval(LEVEL)),
        None => Value::missing("no block has both"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::streaming::planted;

    #[test]
    fn the_full_suite_gives_it_less_than_two_minutes() {
        let block: Duration = groups(Suite::Full)
            .iter()
            .flatten()
            .map(Cell::expected_time)
            .sum();
        let whole = block * (EXPERIMENT.blocks)(Suite::Full);
        assert!(whole <= Duration::from_secs(110), "{whole:?}");
    }

    #[test]
    fn every_kind_of_every_transport_is_there_once_per_load_and_offered() {
        let cells: Vec<Cell> = groups(Suite::Full).into_iter().flatten().collect();
        for cell in &cells {
            assert!(cell.transport.offers(cell.kind).is_ok(), "{}", cell.id());
            let in_flight = match cell.mode {
                Mode::Closed { callers, .. } => callers,
                Mode::Open(_) => cell.batch,
            };
            assert!(in_flight >= cell.batch, "{} never fills up", cell.id());
        }
        for transport in [Transport::Grpc, Transport::Rest] {
            for kind in transport.kinds() {
                let own = |cell: &&Cell| cell.transport == transport && cell.kind == *kind;
                let is_open = |cell: &Cell| matches!(cell.mode, Mode::Open(_));
                let (open, closed): (Vec<&Cell>, _) =
                    cells.iter().filter(own).partition(|cell| is_open(cell));
                assert_eq!((open.len(), closed.len()), (1, 1), "{transport} {kind}");
            }
        }
    }

    #[test]
    fn each_kind_stands_beside_the_unary_calls_of_its_transport() {
        let run = planted(&[
            ("grpc", "unary", 40.0),
            ("grpc", "bidi", 10.0),
            ("rest", "unary", 24.0),
            ("rest", "list", 12.0),
        ]);
        let tables = analysis(&run);
        let [table] = &tables[..] else {
            panic!("expected one table, got {tables:?}");
        };
        let beside: Vec<(String, f64)> = table
            .rows
            .iter()
            .map(|row| match (&row[0], &row[4]) {
                (Value::Text(call), Value::Number(one)) => (call.clone(), *one),
                (Value::Text(call), Value::Interval { point, .. }) => (call.clone(), *point),
                other => panic!("expected a call with its CPU beside unary, got {other:?}"),
            })
            .collect();
        let expected = [
            ("grpc unary", 1.0),
            ("grpc bidi", 0.25),
            ("rest unary", 1.0),
            ("rest list of 32", 0.5),
        ];
        assert_eq!(beside.len(), expected.len());
        for ((call, ratio), (name, value)) in beside.iter().zip(expected) {
            assert_eq!(call, name);
            assert!((ratio - value).abs() < 1e-9, "{call}: {ratio}");
        }
    }
}
