//! The tables of figures: sizes, capacity, latency, phases. Percentiles are merged from histograms over the
//! blocks that count; throughput and CPU are geometric means over them.

mod phases;
mod sizes;

pub(super) use phases::phases;
pub(super) use sizes::sizes;

use super::document::{Cell, Document, Table, Tone};
use super::format::{NOTHING, grouped, maybe, percentile};
use crate::claims::samples::{CellTrials, cells, experiments, is_base};
use crate::latency::{self, Minimum};
use crate::results::{Arrival, CpuPerOp, Latency, Percentile, Run, Trial};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;

/// Order in which transports and classes are listed.
pub(super) const TRANSPORTS: [&str; 5] = ["tcp", "rest", "grpc", "queue", "stream"];
const CLASSES: [&str; 5] = ["none", "memory", "process", "power", "replica"];

/// What the payload's own column names already.
const OF_PAYLOAD: [&str; 2] = ["payload_file", "payload_sha256"];

/// Factors of the brokers' cells as they are matched; only others are said.
const MATCHED: [(&str, &str); 3] = [("linger_ms", "0"), ("partitions", "4"), ("prefetch", "100")];

/// Closed loops: throughput and its cost. Saturated latency is no latency, so none is printed.
pub(super) fn capacity(document: &mut Document, run: &Run) {
    let header = vec![
        "transport",
        "call",
        "payload",
        "in flight",
        "orders/s",
        "95 % interval",
        "CPU µs\nclient",
        "\nservice",
        "\nbroker",
        "\nsum",
        "body bytes\nout",
        "\nback",
        "wire\nbytes",
        "blocks",
    ];
    per_class(
        document,
        run,
        |t| t.cell.arrival == Arrival::Closed && t.cell.is_timed(),
        "Capacity",
        (&header, 3),
        |cell| {
            let mut row = vec![name(cell, &["kind", "batch"]), call(cell)];
            row.push(cell.cell.payload.as_str().into());
            row.push(
                cell.cell
                    .in_flight
                    .map_or(NOTHING.into(), |n| n.to_string())
                    .into(),
            );
            let estimate = mean(cell, |t| Some(t.throughput_per_s));
            let bound = if cell.kept().any(|t| t.throughput_is_lower_bound) {
                "≥ "
            } else {
                ""
            };
            let ends = estimate.and_then(|e| e.interval(LEVEL));
            if !cell.has_headline() || cell.kept().any(|t| t.overloaded.is_some()) {
                let why = if cell.has_headline() {
                    "not sustained"
                } else {
                    "no headline"
                };
                row.extend([
                    Cell {
                        text: why.into(),
                        tone: Tone::Doubtful,
                    },
                    NOTHING.into(),
                ]);
            } else {
                row.push(
                    estimate
                        .map_or(NOTHING.into(), |e| format!("{bound}{}", grouped(e.point())))
                        .into(),
                );
                row.push(
                    ends.map_or(NOTHING.into(), |(a, b)| {
                        format!("[{}, {}]", grouped(a), grouped(b))
                    })
                    .into(),
                );
            }
            row.extend(cost(cell));
            row
        },
    );
}

/// Open loops without phases: both clocks.
pub(super) fn latency(document: &mut Document, run: &Run) {
    let header = vec![
        "transport",
        "payload",
        "rate",
        "accept\np50",
        "\np99",
        "completion\np50",
        "\np99",
        "lateness\np99",
        "CPU µs\nclient",
        "\nservice",
        "\nbroker",
        "\nsum",
        "body bytes\nout",
        "\nback",
        "wire\nbytes",
        "blocks",
    ];
    let wanted = |t: &CellTrials<'_>| t.cell.arrival != Arrival::Closed && !has_phases(t);
    per_class(document, run, wanted, "Latency", (&header, 2), |cell| {
        let mut row = vec![name(cell, &[]), cell.cell.payload.as_str().into()];
        row.push(
            cell.cell
                .rate_per_s
                .map_or(NOTHING.into(), |rate| format!("{}/s", grouped(rate)))
                .into(),
        );
        let over = cell.kept().any(|t| t.overloaded.is_some());
        let accept = merged(cell, |t| Some(&t.accept_ns));
        let completion = merged(cell, |t| t.completion_ns.as_ref());
        let lateness = merged(cell, |t| Some(&t.lateness_ns));
        let show = |latency: &Option<Latency>, p| {
            let text = if !cell.has_headline() {
                "no headline".into()
            } else if !cell.is_sustained() {
                "not sustained".into()
            } else {
                percentile(latency.as_ref(), p)
            };
            Cell {
                text,
                tone: if over { Tone::Doubtful } else { Tone::Plain },
            }
        };
        row.extend([
            show(&accept, Percentile::P50),
            show(&accept, Percentile::P99),
        ]);
        row.extend([
            show(&completion, Percentile::P50),
            show(&completion, Percentile::P99),
        ]);
        row.push(percentile(lateness.as_ref(), Percentile::P99).into());
        row.extend(cost(cell));
        row
    });
}

/// One table per experiment and durability class, so that classes are not set against each other; `numbers_from` is its
/// first column of figures.
fn per_class(
    document: &mut Document,
    run: &Run,
    wanted: impl Fn(&CellTrials<'_>) -> bool,
    title: &str,
    (header, numbers_from): (&[&'static str], usize),
    row: impl Fn(&CellTrials<'_>) -> Vec<Cell>,
) {
    for experiment in experiments(run) {
        let all: Vec<_> = cells(run, experiment)
            .into_iter()
            // What a fault leaves is a mixture: the experiment's own table takes it apart.
            .filter(|c| wanted(c) && is_base(c.cell) && !c.cell.factors.contains_key("fault"))
            .collect();
        for class in CLASSES {
            let mut of_class: Vec<_> = all
                .iter()
                .filter(|c| c.cell.durability == class)
                .cloned()
                .collect();
            if of_class.is_empty() {
                continue;
            }
            sort(&mut of_class);
            document.heading(format!("{title}, `{experiment}`, durability `{class}`"));
            document.table(Table {
                header: header.iter().map(ToString::to_string).collect(),
                numbers_from,
                rows: of_class.iter().map(&row).collect(),
            });
        }
    }
}

fn sort(cells: &mut [CellTrials<'_>]) {
    let place = |t: &CellTrials<'_>| {
        TRANSPORTS
            .iter()
            .position(|name| *name == t.cell.transport)
            .unwrap_or(TRANSPORTS.len())
    };
    // Stable: payloads and rates keep the order in which they were declared.
    cells.sort_by_key(place);
}

fn has_phases(cell: &CellTrials<'_>) -> bool {
    cell.blocks.values().any(|t| !t.phases.is_empty())
}

/// How orders share requests, or that a broker's confirm is all that comes back.
fn call(cell: &CellTrials<'_>) -> Cell {
    let factor = |name: &str| cell.cell.factors.get(name);
    let broker = matches!(cell.cell.transport.as_str(), "queue" | "stream");
    match (factor("kind"), factor("batch")) {
        (Some(kind), Some(batch)) => format!("{kind}, {batch} each").into(),
        (Some(kind), None) => kind.as_str().into(),
        (None, _) if broker && factor("reply").is_none() => "publish".into(),
        (None, _) => "unary".into(),
    }
}

/// The transport, with what sets the cell apart from the plain one, but for what stands in a column of its own.
fn name(cell: &CellTrials<'_>, elsewhere: &[&str]) -> Cell {
    let c = cell.cell;
    let mut text = c.transport.clone();
    if c.http.as_deref() == Some("h2") {
        text.push_str(" h2");
    }
    let plain = if c.transport == "rest" {
        "json"
    } else {
        "protobuf"
    };
    if c.format != plain {
        text.push_str(&format!(" {}", c.format));
    }
    let broker = matches!(c.transport.as_str(), "queue" | "stream");
    if let (Some(n), Some(callers)) = (c.connections, c.in_flight)
        && !broker
        && n != callers
    {
        text.push_str(&format!(", {n} conn."));
    }
    if let Some(slow) = &c.slow {
        text.push_str(&format!(", service {slow}"));
    }
    for (name, value) in &c.factors {
        if !MATCHED.contains(&(name.as_str(), value.as_str()))
            && !elsewhere.contains(&name.as_str())
            && !OF_PAYLOAD.contains(&name.as_str())
        {
            text.push_str(&format!(", {name} {value}"));
        }
    }
    text.into()
}

fn merged<'r>(
    cell: &CellTrials<'r>,
    read: impl Fn(&'r Trial) -> Option<&'r Latency>,
) -> Option<Latency> {
    latency::merge(cell.kept().filter_map(read), Minimum::Merged)
}

/// Geometric mean over the blocks that count.
fn mean(cell: &CellTrials<'_>, read: impl Fn(&Trial) -> Option<f64>) -> Option<Estimate> {
    let values: Option<Vec<f64>> = cell.kept().map(read).collect();
    Estimate::of_ratios(&values?)
}

/// CPU, bytes and blocks: the right-hand side of both tables.
fn cost(cell: &CellTrials<'_>) -> Vec<Cell> {
    let cpu = |read: fn(&CpuPerOp) -> Option<f64>| {
        maybe(mean(cell, |t| read(&t.cpu_us_per_op)).map(|e| e.point()))
    };
    let point = |e: Option<Estimate>| maybe(e.map(|e| e.point()));
    let wire = |t: &Trial| {
        (!t.bytes.wire.is_empty()).then(|| {
            t.bytes
                .wire
                .values()
                .map(|leg| leg.sent + leg.received)
                .sum::<f64>()
        })
    };
    [
        cpu(|c| c.client),
        cpu(|c| c.service),
        cpu(|c| c.broker),
        point(mean(cell, Trial::cpu_us_per_op_total)),
        point(mean(cell, |t| t.bytes.body_out)),
        point(mean(cell, |t| t.bytes.body_in)),
        point(mean(cell, wire)),
        format!("{}/{}", cell.kept().count(), cell.of),
    ]
    .map(Cell::from)
    .to_vec()
}
