//! grpc-thr-3-10x, grpc-lat-3-10x and grpc-lat-5-10x: gRPC against REST, the same order, the same connections, equal durability.

use super::combine::Judged;
use super::pairs::{self, Measure};
use super::part::{self, Question, not_measured, number};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Paired, cells};
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
        combine: Combine::Cells("percentile, payload and rate"),
        beside: nothing_beside,
    },
    Judge {
        claim: "grpc-lat-5-10x",
        parts: |run, rules| latency_parts(run, rules[0]),
        combine: Combine::Cells("percentile, payload and rate"),
        beside: nothing_beside,
    },
];

/// grpc-thr-3-10x: gRPC ÷ REST at [`IN_FLIGHT`] in flight, every payload in orders per second, or per CPU-second if a caller
/// was the limit with any of them (see [`Measure`]).
pub fn throughput_parts(run: &Run, rule: Rule) -> Vec<Judged> {
    let all = cells(run, "capacity");
    let found = PAYLOADS.map(|payload| (payload, saturated(&all, payload)));
    let compared: Vec<&CellTrials<'_>> = found
        .iter()
        .filter_map(|(_, pair)| *pair)
        .flat_map(|(rest, grpc)| [rest, grpc])
        .collect();
    let measure = Measure::of(&compared);
    let metric = measure.decides;
    let mut parts = Vec::new();
    for (payload, pair) in found {
        let name = format!("throughput {payload}");
        let Some((rest, grpc)) = pair else {
            parts.push(missing(run, name, "capacity", payload));
            continue;
        };
        let value = |t: &_| metric.of(t);
        let beside = measure.beside(grpc, rest);
        let says = |ratio: &str| match metric {
            Metric::Throughput => {
                format!("{payload}: gRPC carries {ratio} the orders per second of REST ({beside})")
            }
            _ => format!(
                "{payload}: gRPC carries {ratio} the orders of REST per second of CPU, client and service together ({beside})"
            ),
        };
        let question = Question {
            name,
            rule,
            metric,
            above: &value,
            below: &value,
            says: &says,
        };
        parts.push(part::judge(run, &question, grpc, rest));
    }
    parts
}

/// Accept latency at an equal rate, rest ÷ grpc, p50 and p99, at every rate that both sustained.
pub fn latency_parts(run: &Run, rule: Rule) -> Vec<Judged> {
    let all = cells(run, "ladder");
    let mut parts = Vec::new();
    for payload in PAYLOADS {
        let found = pairs::pairs(&all, |c| {
            pairs::is_rest(c) && c.payload == payload && c.rate_per_s.is_some()
        });
        let (held, lost): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|(rest, grpc)| rest.is_sustained() && grpc.is_sustained());
        for (metric, percentile) in [(Metric::AcceptP50, "p50"), (Metric::AcceptP99, "p99")] {
            if held.is_empty() {
                let name = format!("{percentile} {payload}");
                parts.push(match lost.first() {
                    None => missing(run, name, "ladder", payload),
                    Some((rest, _)) => not_measured(
                        name,
                        format!(
                            "{payload}: not sustained, not even at {:.0}/s",
                            rate(rest.cell)
                        ),
                    ),
                });
            }
            for (rest, grpc) in &held {
                let rate = rate(grpc.cell);
                let value = |t: &_| metric.of(t);
                let says = |ratio: &str| {
                    format!(
                        "{payload} at {rate:.0}/s: REST's accept {percentile} is {ratio} that of gRPC"
                    )
                };
                let question = Question {
                    name: format!("{percentile} {payload} {rate:.0}/s"),
                    rule,
                    metric,
                    above: &value,
                    below: &value,
                    says: &says,
                };
                parts.push(part::judge(run, &question, rest, grpc));
            }
        }
    }
    parts
}

fn rate(cell: &Cell) -> f64 {
    cell.rate_per_s.unwrap_or_default()
}

/// The saturated pair of a payload.
fn saturated<'a, 'r>(
    all: &'a [CellTrials<'r>],
    payload: &str,
) -> Option<(&'a CellTrials<'r>, &'a CellTrials<'r>)> {
    let wanted = |c: &Cell| {
        pairs::is_rest(c)
            && c.arrival == Arrival::Closed
            && c.payload == payload
            && c.in_flight == Some(IN_FLIGHT)
    };
    pairs::pairs(all, wanted).into_iter().next()
}

/// What stands beside the throughput claim and never decides it: CPU per order, gRPC ÷ REST.
pub fn cpu_beside(run: &Run) -> String {
    let all = cells(run, "capacity");
    let found: Vec<String> = PAYLOADS
        .iter()
        .filter_map(|payload| {
            let (rest, grpc) = saturated(&all, payload)?;
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
