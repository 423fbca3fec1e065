//! What does TLS 1.3 add to each transport, on connections that stay open: CPU per order, latency, bytes on the wire?

use super::{Experiment, Group, Suite, blocks};
use crate::cell::Cell;
use crate::claims::tls::{self, Added};
use crate::load::{Arrival, Mode, Stop};
use crate::results::{Run, Table, Value};
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "tls",
    question: "At an equal, moderate rate, on open connections: what does TLS 1.3 add to each transport?",
    claims: &["tls-cost"],
    groups,
    blocks,
    analysis,
};

/// A rate that each transport holds with and without TLS; the window has just over the 1,000 orders that a p99 needs.
const RATE: f64 = 3_000.0;
const WINDOW: Duration = Duration::from_millis(350);

/// A group per transport: the two arms run next to each other, so that only TLS differs between them.
fn groups(_: Suite) -> Vec<Group> {
    let cell = |transport, tls| Cell {
        mode: Mode::Open(Arrival::constant(RATE)),
        stop: Stop::after(WINDOW),
        warmup: Duration::from_millis(80),
        tls,
        ..Cell::new(transport)
    };
    Transport::ALL
        .map(|transport| [false, true].map(|tls| cell(transport, tls)).into())
        .into()
}

/// Per transport: each figure with TLS over the same without.
fn analysis(run: &Run) -> Vec<Table> {
    let rows = tls::added(run);
    if rows.is_empty() {
        return Vec::new();
    }
    let columns = [
        ("transport", ""),
        ("CPU, plain", "µs"),
        ("CPU, TLS", "µs"),
        ("CPU, TLS ÷ plain", "×"),
        ("accept p50, TLS ÷ plain", "×"),
        ("accept p99, TLS ÷ plain", "×"),
        ("wire, plain", "B"),
        ("wire, TLS", "B"),
        ("blocks", ""),
    ];
    let title = "What TLS 1.3 adds to one order of three lines";
    let mut table = Table::new("tls", title, &columns).with_note(
        "CPU is client, service and broker together, per order, in the mean over the blocks; ratios are paired by block, \
         with 95 % intervals. Wire is both directions over every leg, as the kernel counted it on the sockets, without \
         the handshakes: connections were open before the window. TLS_AES_256_GCM_SHA384 on both sides, no resumption; \
         rest, grpc, tcp and RabbitMQ's client encrypt with rustls, Kafka's client with OpenSSL, RabbitMQ with Erlang's, \
         Kafka with Java's own. The brokers are warmed without TLS, so a JVM's first blocks are its dearest.",
    );
    for row in rows {
        let Added {
            transport,
            cpu_us: [cpu_plain, cpu_tls],
            cpu,
            p50,
            p99,
            wire: [wire_plain, wire_tls],
            blocks,
        } = row;
        let ratio = |estimate: Option<bench_stats::Estimate>| match estimate {
            Some(estimate) => Value::interval(
                estimate.point(),
                estimate.interval(bench_stats::estimate::LEVEL),
            ),
            None => Value::missing("no block has both, with enough samples"),
        };
        table.push(vec![
            transport.into(),
            Value::maybe(cpu_plain, "not measured"),
            Value::maybe(cpu_tls, "not measured"),
            ratio(cpu),
            ratio(p50),
            ratio(p99),
            Value::maybe(wire_plain, "not counted"),
            Value::maybe(wire_tls, "not counted"),
            Value::number(blocks as f64),
        ]);
    }
    vec![table]
}
