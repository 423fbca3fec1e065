//! rest-50-200ms, queue-ms-minutes and grpc-50k, from the experiment `ladder`: latencies as times, not ratios, what a
//! broker adds to gRPC at each rate that both sustain, and CPU as a function of the rate. The tcp floor stands beside
//! them and decides nothing.

mod lines;
mod tables;
#[cfg(test)]
mod tests;

pub use tables::{above_floor, added_by_brokers, at_shares, cpu_by_rate, knees, transport_share};

use super::combine::Judged;
use super::part::{self, Question, judge_paired, not_measured, number};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Paired, Sample, cells, is_base};
use super::{Combine, Judge, nothing_beside};
use crate::results::{Arrival, Run, Trial};
use bench_stats::{Estimate, estimate::LEVEL};
use lines::{Fit, fit_both, fits, sustained, through};

/// What is judged here.
pub const JUDGES: &[Judge] = &[
    Judge {
        claim: "rest-50-200ms",
        parts: |run, rules| typical_parts(run, rules[0], rules[1]),
        combine: Combine::Cells("transport and percentile"),
        beside: share_beside,
    },
    Judge {
        claim: "queue-ms-minutes",
        parts: |run, rules| minutes_parts(run, rules[0]),
        combine: Combine::Cells("the broker"),
        beside: nothing_beside,
    },
    Judge {
        claim: "grpc-50k",
        parts: |run, _| broker_parts(run),
        combine: Combine::AllOf,
        beside: projected_beside,
    },
];

/// The brokers.
const BROKERS: [&str; 2] = ["queue", "stream"];
/// What the others stand on: an order behind a length prefix. Nobody's choice, so no claim is decided on it.
pub const FLOOR: &str = "tcp";
/// Where grpc-50k is stated, orders per second.
pub const PROJECTED_RATE: f64 = 50_000.0;
/// The order that the transports are set beside each other with.
const PAYLOAD: &str = "O3";
/// The factor of a cell whose rate is a share of its own capacity: no rung, since no other transport ran at it.
const SHARE: &str = "share_of_capacity";

/// The cells of the ladder that a transport ran with the small order, by rate; `slow` is the service behind them.
fn rungs<'a, 'r>(
    all: &'a [CellTrials<'r>],
    transport: &str,
    slow: Option<&str>,
) -> Vec<&'a CellTrials<'r>> {
    let mut found: Vec<_> = all
        .iter()
        .filter(|c| {
            is_base(c.cell)
                && c.cell.arrival != Arrival::Closed
                && !c.cell.factors.contains_key(SHARE)
                && c.cell.transport == transport
                && c.cell.payload == PAYLOAD
                && c.cell.slow.as_deref() == slow
        })
        .collect();
    found.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
    found
}

fn rate(cell: &CellTrials<'_>) -> f64 {
    cell.cell.rate_per_s.unwrap_or_default()
}

fn missing(run: &Run, name: String, transport: &str) -> Judged {
    let skipped = run.skipped.iter().find(|s| s.transport == transport);
    not_measured(
        name,
        match skipped {
            Some(s) => format!("{transport} was skipped: {}", s.reason),
            None => {
                format!("`ladder` sustained no rate with {PAYLOAD} over {transport} in this run")
            }
        },
    )
}

/// A latency of one cell in ms, judged by a band.
fn time_part(run: &Run, cell: &CellTrials<'_>, metric: Metric, words: &str, rule: Rule) -> Judged {
    let transport = cell.cell.transport.as_str();
    let says = |time: &str| format!("{transport} at {:.0}/s: {words} is {time}", rate(cell));
    let ms = |t: &Trial| {
        let found = metric.of(t)?;
        Some(Sample {
            value: found.value / 1e6,
            ..found
        })
    };
    let question = Question {
        name: format!("{transport} {words}"),
        rule,
        metric,
        above: &ms,
        below: &|_| Some(Sample::exact(1.0)),
        says: &says,
    };
    part::judge(run, &question, cell, cell)
}

/// rest-50-200ms: accept latency at the lowest rate, nothing slow behind.
fn typical_parts(run: &Run, rest: Rule, grpc: Rule) -> Vec<Judged> {
    let all = cells(run, "ladder");
    let mut parts = Vec::new();
    for (transport, rule) in [("rest", rest), ("grpc", grpc)] {
        let lowest = rungs(&all, transport, None)
            .into_iter()
            .find(|c| c.is_sustained());
        for (metric, words) in [
            (Metric::AcceptP50, "accept p50"),
            (Metric::AcceptP99, "accept p99"),
        ] {
            parts.push(match lowest {
                Some(cell) => time_part(run, cell, metric, words, rule),
                None => missing(run, format!("{transport} {words}"), transport),
            });
        }
    }
    parts
}

/// queue-ms-minutes: completion p50 at the lowest rate.
fn minutes_parts(run: &Run, rule: Rule) -> Vec<Judged> {
    let all = cells(run, "ladder");
    BROKERS
        .iter()
        .map(|transport| {
            let lowest = rungs(&all, transport, None)
                .into_iter()
                .find(|c| c.is_sustained());
            match lowest {
                Some(cell) => time_part(run, cell, Metric::CompletionP50, "completion p50", rule),
                None => missing(run, format!("{transport} completion p50"), transport),
            }
        })
        .collect()
}

/// grpc-50k: at each rate that both sustain, a broker adds accept and completion latency to gRPC; and it needs more
/// cores at [`PROJECTED_RATE`].
fn broker_parts(run: &Run) -> Vec<Judged> {
    let all = cells(run, "ladder");
    let mut parts = Vec::new();
    for broker in BROKERS {
        let pairs = both_sustain(&all, broker, "grpc");
        if pairs.is_empty() {
            parts.push(missing(run, format!("{broker} latency"), broker));
        }
        for (broker_cell, grpc) in pairs {
            for (metric, words) in [
                (Metric::AcceptP50, "accept p50"),
                (Metric::CompletionP50, "completion p50"),
            ] {
                let at = rate(grpc);
                let says = |ratio: &str| {
                    format!("{broker} at {at:.0}/s: its {words} is {ratio} that of gRPC")
                };
                let read = |t: &Trial| metric.of(t);
                let question = Question {
                    name: format!("{broker} adds {words} at {at:.0}/s"),
                    rule: Rule::Effect(1.0),
                    metric,
                    above: &read,
                    below: &read,
                    says: &says,
                };
                parts.push(part::judge(run, &question, broker_cell, grpc));
            }
        }
        parts.push(cores_part(run, &all, broker));
    }
    parts
}

/// Two transports at each rate that both sustain.
fn both_sustain<'a, 'r>(
    all: &'a [CellTrials<'r>],
    one: &str,
    other: &str,
) -> Vec<(&'a CellTrials<'r>, &'a CellTrials<'r>)> {
    let others = rungs(all, other, None);
    rungs(all, one, None)
        .into_iter()
        .filter(|c| c.is_sustained())
        .filter_map(|c| {
            let beside = others
                .iter()
                .find(|o| rate(o) == rate(c) && o.is_sustained())?;
            Some((c, *beside))
        })
        .collect()
}

fn cores_part(run: &Run, all: &[CellTrials<'_>], broker: &str) -> Judged {
    let name = format!("{broker} needs more cores at 50,000/s, projected");
    let (theirs, grpc) = (sustained(all, broker), sustained(all, "grpc"));
    let mut paired = Paired::default();
    let mut lines = Vec::new();
    for (block, points) in &theirs {
        let beside = grpc.get(block).map_or(&[][..], Vec::as_slice);
        match fit_both(points, beside) {
            Some((fit, beside)) if fit.projected() > 0.0 && beside.projected() > 0.0 => {
                paired.blocks.push((
                    *block,
                    fit.projected(),
                    beside.projected(),
                    fit.suspect || beside.suspect,
                ));
                lines.push(fit);
            }
            _ => paired
                .excluded
                .push(format!("block {block}: no line through both")),
        }
    }
    if paired.blocks.is_empty() {
        return not_measured(
            name,
            format!("a line takes two rates that {broker} and grpc both sustain in a block"),
        );
    }
    let through = through(&lines);
    let says = |ratio: &str| {
        format!(
            "{broker}: projected to {PROJECTED_RATE:.0}/s, each by {through}, client, service and broker need {ratio} the cores of gRPC"
        )
    };
    let question = Question {
        name,
        rule: Rule::Effect(1.0),
        metric: Metric::CpuPerOp,
        above: &|_| None,
        below: &|_| None,
        says: &says,
    };
    let mut of = rungs(all, broker, None);
    of.extend(rungs(all, "grpc", None));
    of.retain(|c| c.is_sustained());
    judge_paired(run, &question, &paired, &of)
}

/// Per block, what of accept p50 is not the handler's time, as a share.
fn shares(cell: &CellTrials<'_>) -> Vec<f64> {
    cell.kept()
        .filter_map(|t| {
            let accept = Metric::AcceptP50.of(t)?.value;
            let handler = t.handler_ns.as_ref()?.p50? as f64;
            Some(1.0 - handler / accept)
        })
        .collect()
}

fn share_beside(run: &Run) -> String {
    let all = cells(run, "ladder");
    let mut found = Vec::new();
    for slow in ["1ms", "5ms", "50ms"] {
        for transport in ["rest", "grpc"] {
            let lowest = rungs(&all, transport, Some(slow))
                .into_iter()
                .find(|c| c.is_sustained());
            let share = lowest.and_then(|cell| Estimate::of_values(&shares(cell)));
            if let Some(share) = share {
                found.push(format!(
                    "{} % of {transport}'s p50 with a service of {slow}",
                    number(100.0 * share.point())
                ));
            }
        }
    }
    if found.is_empty() {
        return String::new();
    }
    format!(" Transport is {}.", found.join(", "))
}

fn projected_beside(run: &Run) -> String {
    let all = cells(run, "ladder");
    let found: Vec<String> = ["grpc", "queue", "stream", "rest"]
        .iter()
        .filter_map(|transport| {
            let fits = fits(&all, transport);
            let projected: Vec<f64> = fits.values().map(Fit::projected).collect();
            let estimate = Estimate::of_values(&projected)?;
            let (low, high) = estimate.interval(LEVEL)?;
            Some(format!(
                "{transport} {} [{}, {}] by {}",
                number(estimate.point()),
                number(low),
                number(high),
                through(fits.values())
            ))
        })
        .collect();
    if found.is_empty() {
        return String::new();
    }
    format!(
        " Cores at {PROJECTED_RATE:.0}/s, *projected* by CPU = a + b·rate, each transport over the rates that it sustained itself (no ratio is formed of these), which assumes that the cost of an order stays what it is there: {}.",
        found.join("; ")
    )
}
