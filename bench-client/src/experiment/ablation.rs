//! Of what gRPC costs more or less than REST: how much is the format, how much HTTP/2, how much the two together, and
//! how much is left for gRPC itself? In CPU per order, so that the terms add up. And what of it is left to see once a
//! service takes its time?

use super::cells::{IN_FLIGHT, LARGE, SMALL, closed};
use super::{Experiment, Group, Suite, blocks};
use crate::cell::Cell;
use crate::claims::pairs;
use crate::claims::samples::{self, CellTrials, Metric, is_base};
use crate::results::{self, Run, State, Table, Value};
use bench_proto::{Format, PayloadClass};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;
use bench_transport::{HttpVersion, Transport};
use std::collections::BTreeMap;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "ablation",
    question: "Of the difference between REST and gRPC in CPU per order: what is format, what is HTTP/2, what is left?",
    claims: &[],
    groups,
    blocks,
    analysis,
};

/// The ways from REST to gRPC, one factor at a time, all over as many connections.
const VARIANTS: [Variant; 5] = [
    Variant::Rest(HttpVersion::H1, Format::Json),
    Variant::Rest(HttpVersion::H1, Format::Protobuf),
    Variant::Rest(HttpVersion::H2, Format::Json),
    Variant::Rest(HttpVersion::H2, Format::Protobuf),
    Variant::Grpc,
];
/// Services behind, ms.
const SERVICES: [u64; 2] = [1, 5];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Rest(HttpVersion, Format),
    Grpc,
}

impl Variant {
    fn cell(self, suite: Suite, payload: PayloadClass, service_ms: Option<u64>) -> Cell {
        let plain = |transport| closed(suite, transport, payload, IN_FLIGHT);
        let cell = match self {
            Self::Rest(http, format) => Cell {
                http,
                format,
                ..plain(Transport::Rest)
            },
            Self::Grpc => plain(Transport::Grpc),
        };
        Cell {
            slow: service_ms.map(|ms| format!("{ms}ms").parse().expect("a plain time parses")),
            ..cell
        }
    }

    fn is(self, cell: &results::Cell) -> bool {
        match self {
            Self::Grpc => cell.transport == "grpc",
            Self::Rest(http, format) => {
                let http = match http {
                    HttpVersion::H1 => "h1",
                    HttpVersion::H2 => "h2",
                };
                cell.transport == "rest"
                    && cell.http.as_deref() == Some(http)
                    && cell.format == format.to_string()
            }
        }
    }
}

fn groups(suite: Suite) -> Vec<Group> {
    let [rest, .., grpc] = VARIANTS;
    let ends = [rest, grpc];
    let mut groups: Vec<Group> = [SMALL, LARGE]
        .into_iter()
        .map(|payload| VARIANTS.map(|v| v.cell(suite, payload, None)).into())
        .collect();
    // In full only the two ends stand in front of a service: what dilutes their ratio dilutes every term.
    let (behind, payloads) = match suite {
        Suite::Quick => return groups,
        Suite::Full | Suite::Faults => (&ends[..], &[SMALL][..]),
        Suite::Wide => (&VARIANTS[..], &[SMALL, LARGE][..]),
    };
    for payload in payloads {
        for ms in SERVICES {
            groups.push(
                behind
                    .iter()
                    .map(|v| v.cell(suite, *payload, Some(ms)))
                    .collect(),
            );
        }
    }
    groups
}

/// What a term is made of: each variant with its sign.
type Term = (&'static str, &'static [(f64, usize)]);

/// Indices into [`VARIANTS`]. The first four terms add up to the last but one.
const TERMS: [Term; 5] = [
    (
        "format: JSON → protobuf, over HTTP/1.1",
        &[(1.0, 1), (-1.0, 0)],
    ),
    ("HTTP/1.1 → HTTP/2, with JSON", &[(1.0, 2), (-1.0, 0)]),
    (
        "interaction of the two",
        &[(1.0, 3), (-1.0, 2), (-1.0, 1), (1.0, 0)],
    ),
    (
        "HTTP/2 + protobuf → tonic (tonic vs axum + gRPC framing)",
        &[(1.0, 4), (-1.0, 3)],
    ),
    ("all of it: REST → gRPC", &[(1.0, 4), (-1.0, 0)]),
];

fn analysis(run: &Run) -> Vec<Table> {
    vec![terms(run), dilution(run)]
}

/// The cells of an experiment's payload and service, in the order of [`VARIANTS`]; none where one is not there.
fn variants<'a, 'r>(
    all: &'a [CellTrials<'r>],
    payload: &str,
    slow: Option<&str>,
) -> [Option<&'a CellTrials<'r>>; 5] {
    VARIANTS.map(|variant| {
        all.iter().find(|c| {
            is_base(c.cell)
                && c.cell.payload == payload
                && c.cell.slow.as_deref() == slow
                && c.cell.connections == c.cell.in_flight
                && variant.is(c.cell)
        })
    })
}

fn names_of(all: &[CellTrials<'_>], read: impl Fn(&results::Cell) -> String) -> Vec<String> {
    let mut names: Vec<String> = all.iter().map(|c| read(c.cell)).collect();
    names.sort_by_key(|name| (pairs::size_of(name), name.clone()));
    names.dedup();
    names
}

/// CPU per order, term by term.
fn terms(run: &Run) -> Table {
    let mut table = Table::new(
        "ablation",
        "from REST to gRPC in CPU of client and service per order, 32 in flight",
        &[("term", ""), ("payload", ""), ("CPU per order", "µs")],
    )
    .with_note(
        "Differences per block, with their interval: below zero the step saves CPU. The first line is what REST costs; \
         the four steps add up to the last. All over 32 connections, nothing slow behind.",
    );
    let all = samples::cells(run, "ablation");
    for payload in names_of(&all, |cell| cell.payload.clone()) {
        let cells = variants(&all, &payload, None);
        let per_block = cells.map(|cell| cell.map(costs).unwrap_or_default());
        let rest: Vec<f64> = per_block[0].values().copied().collect();
        table.push(vec![
            "REST: HTTP/1.1 + JSON".into(),
            payload.as_str().into(),
            interval(&rest),
        ]);
        for (name, of) in TERMS {
            let values: Vec<f64> = per_block[0]
                .keys()
                .filter_map(|block| {
                    of.iter()
                        .map(|(sign, variant)| Some(sign * per_block[*variant].get(block)?))
                        .sum()
                })
                .collect();
            table.push(vec![
                name.into(),
                payload.as_str().into(),
                interval(&values),
            ]);
        }
    }
    table
}

/// Block → CPU µs per order.
fn costs(cell: &CellTrials<'_>) -> BTreeMap<u32, f64> {
    cell.blocks
        .iter()
        .filter(|(_, trial)| trial.validity.state != State::Invalid)
        .filter_map(|(block, trial)| Some((*block, trial.cpu_us_per_op_total()?)))
        .collect()
}

fn interval(values: &[f64]) -> Value {
    match Estimate::of_values(values) {
        Some(e) => Value::interval(e.point(), e.interval(LEVEL)),
        None => Value::missing("no block has every variant of it"),
    }
}

/// The same two ends with a service behind: what of the ratio is left.
fn dilution(run: &Run) -> Table {
    let mut table = Table::new(
        "ablation",
        "gRPC against REST with a service behind, 32 in flight",
        &[
            ("service", ""),
            ("payload", ""),
            ("orders per CPU-second", "×"),
            ("orders per second", "×"),
        ],
    )
    .with_note("Above 1 gRPC is ahead. A service that takes its time holds the orders per second of both to 32 ÷ its time.");
    let all = samples::cells(run, "ablation");
    let payloads = names_of(&all, |cell| cell.payload.clone());
    let services = names_of(&all, |cell| cell.slow.clone().unwrap_or_default());
    for payload in &payloads {
        for service in &services {
            let slow = (!service.is_empty()).then_some(service.as_str());
            let [Some(rest), .., Some(grpc)] = variants(&all, payload, slow) else {
                continue;
            };
            table.push(vec![
                slow.unwrap_or("nothing slow").into(),
                payload.as_str().into(),
                pairs::ratio(grpc, rest, Metric::OrdersPerCpuSecond),
                pairs::ratio(grpc, rest, Metric::Throughput),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::fixture;

    /// 24, 20, 30, 25 and 48 µs: what the terms are made of.
    fn run() -> Run {
        let mut trials = Vec::new();
        for block in 0..fixture::BLOCKS {
            for (http, format, cost) in [
                ("h1", "json", 24.0),
                ("h1", "protobuf", 20.0),
                ("h2", "json", 30.0),
                ("h2", "protobuf", 25.0),
                ("", "", 48.0),
            ] {
                let transport = if http.is_empty() { "grpc" } else { "rest" };
                let mut trial = fixture::closed(
                    fixture::cell(transport, "O3"),
                    0,
                    block,
                    1e6 / cost,
                    [cost / 2.0, cost / 2.0, 0.0],
                );
                if transport == "rest" {
                    trial.cell.http = Some(http.into());
                    trial.cell.format = format.into();
                }
                trial.cell.id = format!("{transport}-{http}-{format}");
                trial.experiment = "ablation".into();
                trials.push(trial);
            }
        }
        Run {
            trials,
            ..Run::default()
        }
    }

    #[test]
    fn the_terms_are_those_that_were_planted_and_add_up() {
        let table = terms(&run());
        let found: Vec<f64> = table
            .rows
            .iter()
            .map(|row| match row[2] {
                Value::Interval { point, .. } => point,
                ref other => panic!("{other:?}"),
            })
            .collect();
        let planted = [24.0, -4.0, 6.0, -1.0, 23.0, 24.0];
        assert_eq!(found.len(), planted.len());
        for (found, planted) in found.iter().zip(planted) {
            assert!((found - planted).abs() < 1e-9, "{found} is not {planted}");
        }
        assert!((found[1..5].iter().sum::<f64>() - found[5]).abs() < 1e-9);
    }

    #[test]
    fn a_variant_that_did_not_run_leaves_its_terms_out() {
        let mut run = run();
        run.trials.retain(|trial| trial.cell.id != "rest-h2-json");
        let missing: Vec<bool> = terms(&run)
            .rows
            .iter()
            .map(|row| matches!(row[2], Value::Missing(_)))
            .collect();
        assert_eq!(missing, [false, false, true, true, false, false]);
    }

    #[test]
    fn every_variant_has_as_many_connections_as_callers() {
        for group in groups(Suite::Full) {
            for cell in group {
                assert_eq!(cell.connections, IN_FLIGHT, "{}", cell.id());
            }
        }
    }
}
