//! Does gRPC's lead over REST grow with the order? And does it hold where protobuf has little to save: one long string,
//! doubles, whole-number doubles, bytes?

use super::cells::{IN_FLIGHT, closed, open};
use super::{Experiment, Group, Suite, blocks};
use crate::cell::Cell;
use crate::claims::samples::{self, Metric};
use crate::claims::{gap, pairs};
use crate::results::{self, Arrival, Run, Table, Value};
use crate::stats::Estimate;
use bench_proto::PayloadClass;
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

fn groups(suite: Suite) -> Vec<Group> {
    let sync: &[Transport] = &[Transport::Rest, Transport::Grpc];
    let [least, _, _, many, most, .., whole_doubles, _] = CLASSES;
    let (transports, saturated, at_rate) = match suite {
        Suite::Quick => (sync, vec![least, many, most, whole_doubles], vec![]),
        Suite::Full | Suite::Faults => (sync, CLASSES.to_vec(), AT_RATE.to_vec()),
        Suite::Wide => (&Transport::ALL[..], CLASSES.to_vec(), CLASSES.to_vec()),
    };
    let over = |cell: &dyn Fn(Transport) -> Cell| -> Group {
        transports
            .iter()
            .map(|transport| cell(*transport))
            .collect()
    };
    let closed = |class| over(&|transport| closed(suite, transport, class, IN_FLIGHT));
    let open = |class| over(&|transport| open(suite, transport, class, RATE));
    saturated
        .into_iter()
        .map(closed)
        .chain(at_rate.into_iter().map(open))
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
