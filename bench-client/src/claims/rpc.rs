//! queue-rpc, from the experiments `rpc` and `rpc-kill`: latency and CPU of a call over a broker against gRPC, and what
//! its caller sees when the worker dies. Also the tables of the two experiments.

use super::combine::Judged;
use super::part::{self, Question, not_measured};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Sample, cells, is_base};
use super::{Combine, Judge, nothing_beside};
use crate::fault::TIMEOUT;
use crate::latency::{self, Minimum};
use crate::results::{
    Arrival, Cell, Percentile, Run, SeenError, Table, Trial, Value, Verdict, When,
};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;
use std::collections::BTreeMap;

/// The experiment of latency and CPU.
const COST: &str = "rpc";
/// The experiment in which the worker dies.
const KILL: &str = "rpc-kill";

pub(super) const JUDGES: &[Judge] = &[Judge {
    claim: "queue-rpc",
    parts: |run, _| parts(run),
    combine: Combine::AllOf,
    beside: nothing_beside,
}];

/// A call over a broker: transport, way of the reply, and its name in words.
const OVER_BROKER: [(&str, &str, &str); 3] = [
    ("queue", "direct", "RabbitMQ direct reply-to"),
    ("queue", "queue", "RabbitMQ reply queue"),
    ("stream", "topic", "Kafka reply topic"),
];

/// Dearer, later, and worse told when the worker dies: each against gRPC.
fn parts(run: &Run) -> Vec<Judged> {
    let (cost, kill) = (cells(run, COST), cells(run, KILL));
    let mut parts = Vec::new();
    for (transport, via, name) in OVER_BROKER {
        let way = |c: &Cell| reply(c) == Some(via) && c.transport == transport;
        let grpc = |c: &Cell| c.transport == "grpc";
        let find = |all: &'_ [CellTrials<'_>], of: &dyn Fn(&Cell) -> bool, open: bool| {
            all.iter()
                .position(|t| is_base(t.cell) && of(t.cell) && is_open(t.cell) == open)
        };
        let pair =
            |all: &[CellTrials<'_>], open| Some((find(all, &way, open)?, find(all, &grpc, open)?));
        for (metric, open, what) in [
            (Metric::AcceptP50, true, "latency"),
            (Metric::CpuPerOp, false, "CPU"),
        ] {
            let label = format!("{name}: {what}");
            let Some((above, below)) = pair(&cost, open) else {
                parts.push(missing(run, label, COST, transport));
                continue;
            };
            let value = |t: &_| metric.of(t);
            let says = |ratio: &str| match metric {
                Metric::AcceptP50 => format!(
                    "{name}: at {:.0}/s its reply takes {ratio} the time of gRPC's (p50)",
                    cost[above].cell.rate_per_s.unwrap_or_default()
                ),
                _ => format!("{name}: with 32 in flight an order costs {ratio} the CPU of gRPC's"),
            };
            let question = Question {
                name: label,
                rule: Rule::Effect(1.0),
                metric,
                above: &value,
                below: &value,
                says: &says,
            };
            parts.push(part::judge(run, &question, &cost[above], &cost[below]));
        }
        let label = format!("{name}: error when the worker dies");
        parts.push(match pair(&kill, true) {
            Some((above, below)) => error(run, label, name, &kill[above], &kill[below]),
            None => missing(run, label, KILL, transport),
        });
    }
    parts
}

/// Later: the time from the kill to the error, for the calls in flight. Vaguer: a deadline where gRPC names an error.
fn error(
    run: &Run,
    label: String,
    name: &str,
    broker: &CellTrials<'_>,
    grpc: &CellTrials<'_>,
) -> Judged {
    let after = |t: &Trial| usual(t).map(|seen| Sample::exact(seen.median_s * 1e9));
    let (here, there) = (names(broker), names(grpc));
    let says = |ratio: &str| {
        format!(
            "{name}: the worker's death reaches the calls in flight {ratio} as late as over gRPC, as {here} (gRPC: {there})"
        )
    };
    let question = Question {
        name: label,
        rule: Rule::Effect(1.0),
        metric: Metric::AcceptP50,
        above: &after,
        below: &after,
        says: &says,
    };
    let mut judged = part::judge(run, &question, broker, grpc);
    let timed_out = |t: &Trial| usual(t).is_some_and(|seen| seen.error == TIMEOUT);
    if judged.part.verdict != Verdict::NotMeasured && broker.kept().any(timed_out) {
        let deadline = (broker.cell.timeout_ms).map_or(String::new(), |ms| format!(" of {ms} ms"));
        let why = format!("; how late is the set-up's, a call's timeout{deadline}");
        judged.part.reason.push_str(&why);
    }
    let only = |c: &CellTrials<'_>, wanted: bool| {
        c.kept().count() >= 2
            && c.kept()
                .all(|t| usual(t).is_some_and(|seen| (seen.error == TIMEOUT) == wanted))
    };
    if judged.part.verdict != Verdict::Holds && only(broker, true) && only(grpc, false) {
        judged.part.verdict = Verdict::Holds;
        judged.part.reason = format!(
            "{name}: the worker's death is {here} over the broker and {there} over gRPC, in every block"
        );
        // Counted, not estimated.
        judged.p = Some(0.0);
    }
    judged
}

/// What most calls in flight saw.
fn usual(trial: &Trial) -> Option<&SeenError> {
    let in_flight = trial
        .seen
        .iter()
        .filter(|seen| seen.calls == When::InFlight);
    in_flight.max_by_key(|seen| seen.count)
}

fn names(cell: &CellTrials<'_>) -> String {
    let mut names: Vec<&str> = cell
        .kept()
        .filter_map(|t| usual(t).map(|seen| seen.error.as_str()))
        .collect();
    names.sort_unstable();
    names.dedup();
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(" or ")
}

fn is_open(cell: &Cell) -> bool {
    cell.arrival != Arrival::Closed
}

fn reply(cell: &Cell) -> Option<&str> {
    cell.factors.get("reply").map(String::as_str)
}

fn missing(run: &Run, name: String, experiment: &str, transport: &str) -> Judged {
    let skipped = run
        .skipped
        .iter()
        .find(|s| s.transport == transport || s.transport == "grpc");
    not_measured(
        name,
        match skipped {
            Some(s) => format!("{} was skipped: {}", s.transport, s.reason),
            None => format!("`{experiment}` was not run over {transport} and gRPC"),
        },
    )
}

/// The way of a call, in words.
fn way(cell: &Cell) -> String {
    let over = OVER_BROKER
        .iter()
        .find(|(transport, via, _)| cell.transport == *transport && reply(cell) == Some(via));
    over.map_or_else(|| cell.transport.clone(), |(.., name)| (*name).into())
}

/// Latency at one rate, CPU per order and throughput with 32 in flight, and bytes, a row per way of a call.
pub fn cost_table(run: &Run) -> Vec<Table> {
    let all = cells(run, COST);
    let ways: Vec<&CellTrials<'_>> = all
        .iter()
        .filter(|c| is_base(c.cell) && is_open(c.cell))
        .collect();
    let mut table = Table::new(
        COST,
        "A call and its reply: directly, and over a broker",
        &[
            ("way", ""),
            ("reply p50", "µs"),
            ("reply p99", "µs"),
            ("CPU per order", "µs"),
            ("of it client", "µs"),
            ("service", "µs"),
            ("broker", "µs"),
            ("orders with 32 in flight", "1/s"),
            ("bytes on the wire per order", "B"),
        ],
    )
    .with_note(
        "Latency at an equal rate in an open loop, from the planned instant to the verified reply; p99 over the merged \
         histograms. CPU, throughput and bytes (both directions, every leg, payload of TCP) with 32 in flight. \
         Durability class none everywhere. Direct reply-to is at-most-once: a reply is lost with its caller's \
         connection.",
    );
    for open in ways {
        let closed = all.iter().find(|c| {
            is_base(c.cell)
                && !is_open(c.cell)
                && c.cell.in_flight == Some(32)
                && c.cell.transport == open.cell.transport
                && reply(c.cell) == reply(open.cell)
        });
        let no_closed = "no closed-loop cell of this way in this run";
        let of_closed = |value: fn(&Trial) -> Option<f64>| {
            closed.map_or_else(|| Value::missing(no_closed), |c| geometric(c, value))
        };
        table.push(vec![
            way(open.cell).into(),
            geometric(open, |t| t.accept_ns.p50.map(|ns| ns as f64 / 1e3)),
            merged_p99(open),
            of_closed(Trial::cpu_us_per_op_total),
            of_closed(|t| t.cpu_us_per_op.client),
            of_closed(|t| t.cpu_us_per_op.service),
            of_closed(|t| t.cpu_us_per_op.broker),
            of_closed(|t| Some(t.throughput_per_s)),
            of_closed(wire),
        ]);
    }
    if table.rows.is_empty() {
        return Vec::new();
    }
    vec![table]
}

fn wire(trial: &Trial) -> Option<f64> {
    let legs = &trial.bytes.wire;
    (!legs.is_empty()).then(|| legs.values().map(|leg| leg.sent + leg.received).sum())
}

fn geometric(cell: &CellTrials<'_>, value: impl Fn(&Trial) -> Option<f64>) -> Value {
    let values: Vec<f64> = cell.kept().filter_map(value).filter(|v| *v > 0.0).collect();
    match Estimate::of_ratios(&values) {
        Some(estimate) => Value::interval(estimate.point(), estimate.interval(LEVEL)),
        None => Value::missing("not measured in any block that counts"),
    }
}

fn merged_p99(cell: &CellTrials<'_>) -> Value {
    let blocks: Vec<_> = cell.kept().map(|t| &t.accept_ns).collect();
    let merged = latency::merge(blocks, Minimum::Merged);
    let p99 = merged.as_ref().and_then(|merged| merged.p99);
    match (
        p99,
        merged.map(|merged| merged.at_least.contains(&Percentile::P99)),
    ) {
        (Some(ns), Some(false)) => Value::number(ns as f64 / 1e3),
        (Some(_), _) => Value::missing("among the calls without a reply"),
        (None, _) => Value::missing("fewer than 10,000 samples"),
    }
}

/// What callers saw after the kill, a row per way, kind of call and error; times are medians over the blocks.
pub fn error_table(run: &Run) -> Vec<Table> {
    let mut table = Table::new(
        KILL,
        "The worker is killed: what its callers see, and after how long",
        &[
            ("way", ""),
            ("calls", ""),
            ("error", ""),
            ("count over the blocks", ""),
            ("kill to first", "ms"),
            ("kill to median", "ms"),
            ("waited, median", "ms"),
            ("waited, longest", "ms"),
        ],
    );
    let mut deadline = None;
    for cell in cells(run, KILL) {
        deadline = deadline.or(cell.cell.timeout_ms);
        let mut groups: BTreeMap<(When, &str), Vec<&SeenError>> = BTreeMap::new();
        for seen in cell.kept().flat_map(|t| &t.seen) {
            groups
                .entry((seen.calls, &seen.error))
                .or_default()
                .push(seen);
        }
        for ((calls, error), seen) in groups {
            let middle = |of: fn(&SeenError) -> f64| {
                let mut all: Vec<f64> = seen.iter().map(|seen| of(seen) * 1e3).collect();
                all.sort_by(f64::total_cmp);
                Value::number(all[all.len() / 2])
            };
            let calls = match calls {
                When::InFlight => "in flight at the kill",
                When::After => "made after it",
            };
            table.push(vec![
                way(cell.cell).into(),
                calls.into(),
                error.into(),
                Value::number(seen.iter().map(|seen| seen.count).sum::<u64>() as f64),
                middle(|seen| seen.first_s),
                middle(|seen| seen.median_s),
                middle(|seen| seen.waited_median_s),
                middle(|seen| seen.waited_most_s),
            ]);
        }
    }
    if table.rows.is_empty() {
        return Vec::new();
    }
    let deadline = deadline.map_or("unknown".into(), |ms| format!("{ms} ms"));
    vec![table.with_note(format!(
        "SIGKILL to the service's process while calls are in its handler; the deadline of a call is {deadline}, and \
         `timeout` means that it passed and nothing was heard. Nobody starts the service again. Times are medians over \
         the blocks."
    ))]
}

#[cfg(test)]
#[path = "rpc_tests.rs"]
mod tests;
