//! grpc-thr-3-10x and grpc-lat-3-10x: gRPC against REST, the same order, the same connections, equal durability.

use super::combine::Judged;
use super::part::{self, Question, not_measured, number};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Paired, cells, is_base};
use super::{Combine, Judge, nothing_beside};
use crate::results::{Arrival, Cell, Run};

/// The orders of both claims.
pub const PAYLOADS: [&str; 2] = ["O3", "O100"];
/// Operations in flight of the throughput claim.
pub const IN_FLIGHT: u32 = 32;

/// What is judged here.
pub const JUDGES: &[Judge] = &[
    Judge {
        claim: "grpc-thr-3-10x",
        parts: |run, rules| throughput_parts(run, rules[0]),
        combine: Combine::Cells("the payload"),
        beside: cpu_beside,
    },
    Judge {
        claim: "grpc-lat-3-10x",
        parts: |run, rules| latency_parts(run, rules[0]),
        combine: Combine::Cells("percentile and payload"),
        beside: nothing_beside,
    },
];

/// grpc-thr-3-10x: completed orders per second, grpc ÷ rest, at [`IN_FLIGHT`] in flight.
pub fn throughput_parts(run: &Run, rule: Rule) -> Vec<Judged> {
    let all = cells(run, "capacity");
    let wanted = |c: &Cell| c.arrival == Arrival::Closed && c.in_flight == Some(IN_FLIGHT);
    let mut parts = Vec::new();
    for payload in PAYLOADS {
        let name = format!("throughput {payload}");
        let Some((rest, grpc)) = pair(&all, payload, wanted) else {
            parts.push(missing(run, name, "capacity", payload));
            continue;
        };
        let value = |t: &_| Metric::Throughput.of(t);
        let says =
            |ratio: &str| format!("{payload}: gRPC carries {ratio} the orders per second of REST");
        let question = Question {
            name,
            rule,
            metric: Metric::Throughput,
            above: &value,
            below: &value,
            says: &says,
        };
        parts.push(part::judge(run, &question, grpc, rest));
    }
    parts
}

/// grpc-lat-3-10x: accept latency at an equal rate, rest ÷ grpc, p50 and p99; the lowest rate that both ran.
pub fn latency_parts(run: &Run, rule: Rule) -> Vec<Judged> {
    let all = cells(run, "ladder");
    let mut parts = Vec::new();
    for payload in PAYLOADS {
        for (metric, percentile) in [(Metric::AcceptP50, "p50"), (Metric::AcceptP99, "p99")] {
            let name = format!("{percentile} {payload}");
            let Some((rest, grpc)) = pair(&all, payload, |c| c.arrival != Arrival::Closed) else {
                parts.push(missing(run, name, "ladder", payload));
                continue;
            };
            let value = |t: &_| metric.of(t);
            let rate = grpc.cell.rate_per_s.unwrap_or_default();
            let says = |ratio: &str| {
                format!(
                    "{payload} at {rate:.0}/s: REST's accept {percentile} is {ratio} that of gRPC"
                )
            };
            let question = Question {
                name,
                rule,
                metric,
                above: &value,
                below: &value,
                says: &says,
            };
            parts.push(part::judge(run, &question, rest, grpc));
        }
    }
    parts
}

/// What stands beside the throughput claim and never decides it: CPU per order, gRPC ÷ REST.
pub fn cpu_beside(run: &Run) -> String {
    let all = cells(run, "capacity");
    let wanted = |c: &Cell| c.arrival == Arrival::Closed && c.in_flight == Some(IN_FLIGHT);
    let found: Vec<String> = PAYLOADS
        .iter()
        .filter_map(|payload| {
            let (rest, grpc) = pair(&all, payload, wanted)?;
            let value = |t: &_| Metric::CpuPerOp.of(t);
            let measured = Paired::of(grpc, rest, value, value).measured(true, None)?;
            let interval = measured.interval()?;
            Some(format!(
                "{}× [{}, {}] with {payload}",
                number(measured.ratio.point()),
                number(interval.low),
                number(interval.high)
            ))
        })
        .collect();
    if found.is_empty() {
        return String::new();
    }
    format!(
        " Beside it, CPU per order of client and service together, gRPC ÷ REST: {}.",
        found.join(", ")
    )
}

/// The plain cell of each: REST over HTTP/1.1 with JSON against gRPC over as many connections, nothing slow behind
/// them, everything else equal; the lowest rate where there are several.
fn pair<'a, 'r>(
    all: &'a [CellTrials<'r>],
    payload: &str,
    wanted: impl Fn(&Cell) -> bool,
) -> Option<(&'a CellTrials<'r>, &'a CellTrials<'r>)> {
    let plain = |c: &Cell| is_base(c) && c.payload == payload && c.slow.is_none() && wanted(c);
    let rests = all.iter().filter(|t| {
        let c = t.cell;
        plain(c) && c.transport == "rest" && c.format == "json" && c.http.as_deref() != Some("h2")
    });
    let partner = |rest: &Cell| {
        let like_rest = Cell {
            id: String::new(),
            transport: "grpc".into(),
            format: "protobuf".into(),
            http: None,
            arm: None,
            ..rest.clone()
        };
        all.iter().find(|t| {
            plain(t.cell)
                && Cell {
                    id: String::new(),
                    arm: None,
                    http: None,
                    ..t.cell.clone()
                } == like_rest
        })
    };
    let mut pairs: Vec<_> = rests
        .filter_map(|rest| Some((rest, partner(rest.cell)?)))
        .collect();
    let rate = |c: &Cell| c.rate_per_s.unwrap_or_default();
    pairs.sort_by(|(a, _), (b, _)| rate(a.cell).total_cmp(&rate(b.cell)));
    pairs.into_iter().next()
}

fn missing(run: &Run, name: String, experiment: &str, payload: &str) -> Judged {
    let skipped = run
        .skipped
        .iter()
        .find(|s| s.transport == "rest" || s.transport == "grpc");
    not_measured(
        name,
        match skipped {
            Some(s) => format!("{} was skipped: {}", s.transport, s.reason),
            None => format!(
                "`{experiment}` has no matching pair of REST and gRPC cells with {payload} in this run"
            ),
        },
    )
}
