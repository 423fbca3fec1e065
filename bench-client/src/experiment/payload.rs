//! Does gRPC's lead over REST grow with the order? And does it hold where protobuf has little to save: one long string,
//! doubles, whole-number doubles, bytes? Beside it, what larger orders cost the floor and the brokers.

use super::cells::{IN_FLIGHT, closed, open};
use super::{Experiment, Group, Suite, blocks};
use crate::cell::Cell;
use crate::claims::samples::{self, Metric};
use crate::claims::{gap, pairs};
use crate::results::{self, Arrival, Run, Table, Value};
use bench_proto::PayloadClass;
use bench_stats::Estimate;
use bench_transport::Transport;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "payload",
    question: "Does the gap between gRPC and REST grow with the payload, and which payloads turn it round?",
    claims: &["gap-payload"],
    groups,
    blocks,
    analysis,
};

/// The slope runs over the orders; the others are where the two formats differ most and least.
const CLASSES: [PayloadClass; 10] = [
    PayloadClass::Order(1),
    PayloadClass::Order(3),
    PayloadClass::Order(10),
    PayloadClass::Order(100),
    PayloadClass::Order(1_000),
    PayloadClass::Text(65_536),
    PayloadClass::Ints,
    PayloadClass::Doubles,
    PayloadClass::WholeDoubles,
    PayloadClass::Bytes(65_536),
];
/// Open loop: what each holds with a thousand lines to an order; in full, the sizes that the ladder has at this rate too.
const RATE: f64 = 1_000.0;
const AT_RATE: [PayloadClass; 4] = [
    PayloadClass::Order(1),
    PayloadClass::Order(3),
    PayloadClass::Order(100),
    PayloadClass::Order(1_000),
];
/// In full, over every transport with 32 in flight: two that `capacity` has there too, and the largest order.
const OVER_ALL: [PayloadClass; 3] = [
    PayloadClass::Order(3),
    PayloadClass::Order(100),
    PayloadClass::Order(1_000),
];

fn groups(suite: Suite) -> Vec<Group> {
    let sync: &[Transport] = &[Transport::Rest, Transport::Grpc];
    let [least, _, _, many, most, .., whole_doubles, _] = CLASSES;
    let (transports, saturated, at_rate) = match suite {
        Suite::Quick => (sync, vec![least, many, most, whole_doubles], vec![]),
        Suite::Full | Suite::Faults => (sync, CLASSES.to_vec(), AT_RATE.to_vec()),
        Suite::Wide => (&Transport::ALL[..], CLASSES.to_vec(), CLASSES.to_vec()),
    };
    let over = |transports: &[Transport], cell: &dyn Fn(Transport) -> Cell| -> Group {
        transports
            .iter()
            .map(|transport| cell(*transport))
            .collect()
    };
    let closed = |transports: &[Transport], class| {
        over(transports, &|transport| {
            closed(suite, transport, class, IN_FLIGHT)
        })
    };
    let open = |class| over(transports, &|transport| open(suite, transport, class, RATE));
    // Groups after those of REST and gRPC, whose cells they share: what joins them runs beside the two, not between them.
    let over_all: &[PayloadClass] = match suite {
        Suite::Full | Suite::Faults => &OVER_ALL,
        Suite::Quick | Suite::Wide => &[],
    };
    saturated
        .into_iter()
        .map(|class| closed(transports, class))
        .chain(at_rate.into_iter().map(open))
        .chain(over_all.iter().map(|class| closed(&Transport::ALL, *class)))
        .collect()
}

fn analysis(run: &Run) -> Vec<Table> {
    vec![by_class(run), gap::table(run, &gap::PAYLOAD)]
}

/// gRPC against REST, class by class.
fn by_class(run: &Run) -> Table {
    let mut table = Table::new(
        "payload",
        "gRPC against REST by payload, closed with 32 in flight and open at 1,000/s",
        &[
            ("payload", ""),
            ("JSON", "bytes"),
            ("protobuf", "bytes"),
            ("orders per CPU-second", "×"),
            ("orders per second", "×"),
            ("accept p50, REST ÷ gRPC", "×"),
            ("limited by", ""),
        ],
    )
    .with_note(
        "Above 1 gRPC is ahead in every ratio. Bytes are the encoded body, mean of what was sent.",
    );
    let all = samples::cells(run, "payload");
    let saturated = pairs::pairs(&all, pairs::is_plain_rest);
    for (rest, grpc) in saturated {
        let open = |c: &results::Cell| {
            pairs::is_rest(c) && c.arrival != Arrival::Closed && c.payload == rest.cell.payload
        };
        let latency = match pairs::pairs(&all, open).first() {
            Some((rest, grpc)) => pairs::ratio(rest, grpc, Metric::AcceptP50),
            None => Value::missing("no open loop with this payload in this suite"),
        };
        table.push(vec![
            rest.cell.payload.as_str().into(),
            bytes(rest),
            bytes(grpc),
            pairs::ratio(grpc, rest, Metric::OrdersPerCpuSecond),
            pairs::ratio(grpc, rest, Metric::Throughput),
            latency,
            pairs::limit(&[grpc, rest]).into(),
        ]);
    }
    table
}

fn bytes(cell: &samples::CellTrials<'_>) -> Value {
    let mean: Option<Vec<f64>> = cell.kept().map(|t| t.bytes.body_out).collect();
    let mean = mean.and_then(|values| Estimate::of_values(&values));
    Value::maybe(mean.map(|e| e.point().round()), "no block was kept")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::find;
    use crate::plan::Plan;

    fn in_full(names: &[&str]) -> Plan {
        let experiments: Vec<&Experiment> = names.iter().map(|name| find(name).unwrap()).collect();
        Plan::new(&experiments, Suite::Full, &Transport::ALL, Some(3), 1)
    }

    #[test]
    fn in_full_rest_and_grpc_run_next_to_each_other_and_the_others_in_the_same_part() {
        for block in &in_full(&["payload"]).blocks {
            for class in CLASSES {
                let at = |transport| {
                    let id = closed(Suite::Full, transport, class, IN_FLIGHT).id();
                    block.iter().position(|planned| planned.cell.id() == id)
                };
                let (rest, grpc) = (at(Transport::Rest).unwrap(), at(Transport::Grpc).unwrap());
                assert_eq!(rest.abs_diff(grpc), 1, "{class}");
                for other in [Transport::Tcp, Transport::Queue, Transport::Stream] {
                    let other = at(other);
                    assert_eq!(other.is_some(), OVER_ALL.contains(&class), "{class}");
                    let same_part = |at: usize| block[at].part == block[rest].part;
                    assert!(other.is_none_or(same_part), "{class}");
                }
            }
        }
    }

    #[test]
    fn beside_capacity_only_the_largest_order_adds_cells_of_the_other_transports() {
        let cells = |names: &[&str]| {
            let block = in_full(names).blocks.remove(0);
            block
                .into_iter()
                .filter(|planned| {
                    let others = [Transport::Tcp, Transport::Queue, Transport::Stream];
                    others.contains(&planned.cell.transport)
                })
                .count()
        };
        assert_eq!(cells(&["capacity", "payload"]), cells(&["capacity"]) + 3);
    }
}
