//! The paired ratios of a run: every transport against REST where the durability class is equal, and the A/A pairs.

use super::part::twins;
use super::samples::{CellTrials, Metric, Paired, cells, experiments, is_base};
use crate::results::{Arrival, Cell, Ratio, Run};
use bench_stats::estimate::{AA_LEVEL, LEVEL};
use bench_stats::{Estimate, aa};

/// Metrics of a closed loop: its latency is its throughput (Little), so none is compared.
const CLOSED: [Metric; 2] = [Metric::Throughput, Metric::CpuPerOp];
/// Metrics of an open loop: its throughput is its rate.
const OPEN: [Metric; 5] = [
    Metric::AcceptP50,
    Metric::AcceptP99,
    Metric::CompletionP50,
    Metric::CompletionP99,
    Metric::CpuPerOp,
];

/// All ratios, experiment by experiment, A/A pairs last in each. Trials with phases or faults are compared in the claims,
/// not here: their latency as a whole is a mixture.
pub fn ratios(run: &Run) -> Vec<Ratio> {
    let mut rows = Vec::new();
    for experiment in experiments(run) {
        let mut all = cells(run, experiment);
        all.retain(|c| c.cell.is_timed());
        let plain = |c: &CellTrials<'_>| {
            c.blocks
                .values()
                .all(|t| t.phases.is_empty() && t.faults.is_empty())
        };
        for base in all
            .iter()
            .filter(|c| is_plain(c.cell) && c.cell.transport == "rest" && plain(c))
        {
            for other in all
                .iter()
                .filter(|c| is_plain(c.cell) && plain(c) && comparable(base.cell, c.cell))
            {
                for metric in metrics(base.cell) {
                    // Latency of gRPC is stated the way its claim is: how many times lower.
                    let lower = other.cell.transport == "grpc"
                        && !matches!(metric, Metric::Throughput | Metric::CpuPerOp);
                    let (above, below) = if lower { (base, other) } else { (other, base) };
                    rows.extend(row(experiment, above, below, *metric, LEVEL));
                }
            }
        }
        for (first, second) in twins(&all) {
            rows.extend(
                metrics(first.cell)
                    .iter()
                    .filter_map(|metric| row(experiment, second, first, *metric, AA_LEVEL)),
            );
        }
    }
    rows
}

/// Whether a ratio is that of an A/A pair, also where it could not be tested: no other has an interval at that level.
pub fn is_aa(ratio: &Ratio) -> bool {
    ratio.level == AA_LEVEL
}

/// The A/A pairs that did not pass, a sentence per pair. One without an interval was not tested.
pub fn failed_aa(ratios: &[Ratio]) -> Vec<String> {
    let mut pairs: Vec<(&str, Vec<String>)> = Vec::new();
    for r in ratios.iter().filter(|r| r.aa_passed == Some(false)) {
        let (Some(low), Some(high)) = (r.low, r.high) else {
            continue;
        };
        let found = format!("{} [{low:.2}, {high:.2}]", r.metric);
        match pairs.iter_mut().find(|(cell, _)| *cell == r.denominator) {
            Some((_, metrics)) => metrics.push(found),
            None => pairs.push((&r.denominator, vec![found])),
        }
    }
    let sentence = |(cell, metrics): (&str, Vec<String>)| {
        format!(
            "The A/A pair of `{cell}` did not pass, so verdicts stand only where so much would not turn them: {}.",
            metrics.join(", ")
        )
    };
    pairs.into_iter().map(sentence).collect()
}

/// The transport, with the way of its reply where there is one to name.
fn name(cell: &Cell) -> String {
    match cell.factors.get("reply") {
        Some(via) => format!("{} reply {via}", cell.transport),
        None => cell.transport.clone(),
    }
}

/// What a cell is compared by: of a closed loop throughput, of an open one latency, and CPU of both.
pub fn metrics(cell: &Cell) -> &'static [Metric] {
    if cell.arrival == Arrival::Closed {
        &CLOSED
    } else {
        &OPEN
    }
}

/// As a transport is plainest: its own format, HTTP/1.1, no second arm. What else there is stands in the tables of its
/// experiment.
fn is_plain(cell: &Cell) -> bool {
    let own = if cell.transport == "rest" {
        "json"
    } else {
        "protobuf"
    };
    is_base(cell) && cell.format == own && cell.http.as_deref() != Some("h2")
}

/// Another transport with the same order, load and durability class; rows of different classes are never set against each other.
fn comparable(rest: &Cell, other: &Cell) -> bool {
    other.transport != "rest"
        && other.payload == rest.payload
        && other.durability == rest.durability
        // A broker is reached over one connection, whatever the callers.
        && (matches!(other.transport.as_str(), "queue" | "stream")
            || other.connections == rest.connections)
        && other.arrival == rest.arrival
        && other.in_flight == rest.in_flight
        && other.rate_per_s == rest.rate_per_s
        && other.slow == rest.slow
        && other.workers == rest.workers
        // A call of another kind does another thing: those ratios are its experiment's own.
        && other.factors.get("kind") == rest.factors.get("kind")
        && other.factors.get("tls") == rest.factors.get("tls")
        // As many services, as slow and as likely to fail.
        && other.factors.get("topology") == rest.factors.get("topology")
}

fn row(
    experiment: &str,
    above: &CellTrials<'_>,
    below: &CellTrials<'_>,
    metric: Metric,
    level: f64,
) -> Option<Ratio> {
    let paired = Paired::of(above, below, |t| metric.of(t), |t| metric.of(t));
    let is_aa = level == AA_LEVEL;
    let per_block = paired.ratios(true);
    let estimate = Estimate::of_ratios(&per_block);
    if estimate.is_none() && paired.excluded.is_empty() {
        return None;
    }
    let measured = paired.measured(true, None);
    let ends = |e: &Estimate| e.interval(level);
    let interval = estimate.as_ref().and_then(ends);
    // A pair is compared as observed: what limits one arm limits the other.
    let open = measured
        .filter(|_| !is_aa)
        .map(|m| (m.open_low, m.open_high))
        .unwrap_or_default();
    let clean = if paired.suspect() > 0 {
        Estimate::of_ratios(&paired.ratios(false))
    } else {
        None
    };
    let cell = above.cell;
    let sides = if is_aa {
        format!("A/A {}", cell.transport)
    } else {
        format!("{} ÷ {}", name(cell), name(below.cell))
    };
    let load = match (cell.in_flight, cell.rate_per_s) {
        (Some(n), _) => format!("{n} in flight"),
        (_, Some(rate)) => format!("{rate:.0}/s"),
        _ => "planned load".into(),
    };
    let load = match &cell.slow {
        Some(slow) => format!("{load}, service {slow}"),
        None => load,
    };
    Some(Ratio {
        name: format!("{experiment}, {}, {load}: {sides}", cell.payload),
        numerator: cell.id.clone(),
        denominator: below.cell.id.clone(),
        metric: metric.name().into(),
        point: estimate.map(|e| e.point()),
        low: interval.map(|(low, _)| low).filter(|_| !open.0),
        high: interval.map(|(_, high)| high).filter(|_| !open.1),
        level,
        p: estimate.and_then(|e| e.p_differs(1.0)),
        blocks: per_block.len() as u32,
        per_block,
        excluded: paired.excluded,
        mde: estimate.and_then(|e| e.minimum_detectable()),
        without_suspect: clean.as_ref().and_then(ends).map(|(low, high)| [low, high]),
        aa_passed: estimate
            .as_ref()
            .filter(|_| is_aa)
            .and_then(aa::outcome)
            .map(|outcome| outcome == aa::Outcome::Passed),
    })
}
