//! The ladder's tables: how far each transport keeps up, what of a call is transport, what a broker adds, what each takes
//! above the tcp floor, CPU by rate.

use super::super::samples::{CellTrials, Metric, Paired, cells, percentile};
use super::lines::{Fit, fits, listed, rates};
use super::{BROKERS, FLOOR, PROJECTED_RATE, SHARE, both_sustain, rate, rungs, shares};
use crate::latency::{self, Minimum};
use crate::results::{Percentile, Run, Table, Value};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;

const TRANSPORTS: [&str; 4] = ["rest", "grpc", "queue", "stream"];

/// Why a cell that was not sustained has no figure.
const NOT_SUSTAINED: &str = "not sustained: the backlog grew by more than 1 % of the completions";

fn value(estimate: Option<Estimate>, why_not: &str) -> Value {
    match estimate {
        Some(e) => Value::interval(e.point(), e.interval(LEVEL)),
        None => Value::missing(why_not),
    }
}

/// Accept p50 over the blocks, ms.
fn p50(cell: &CellTrials<'_>) -> Value {
    if !cell.is_sustained() {
        return Value::missing(NOT_SUSTAINED);
    }
    let p50: Option<Vec<f64>> = cell
        .kept()
        .map(|t| Some(Metric::AcceptP50.of(t)?.value / 1e6))
        .collect();
    let p50 = p50.and_then(|p50| Estimate::of_ratios(&p50));
    value(p50, "too few samples")
}

/// A latency of one cell less another's, ms: a difference per block.
fn difference(cell: &CellTrials<'_>, less: &CellTrials<'_>, metric: Metric) -> Value {
    let read = |t: &_| metric.of(t);
    let paired = Paired::of(cell, less, read, read);
    let differences: Vec<f64> = paired
        .blocks
        .iter()
        .map(|(_, a, b, _)| (a - b) / 1e6)
        .collect();
    value(
        Estimate::of_values(&differences),
        "too few samples in a trial",
    )
}

/// How far each transport keeps up, and what its tail does on the way.
pub fn knees(run: &Run) -> Table {
    let mut table = Table::new(
        "ladder",
        "how far each keeps up, O3, nothing slow behind",
        &[
            ("transport", ""),
            ("highest rate held", "1/s"),
            ("first not held", "1/s"),
            ("accept p99 at the lowest", "ms"),
            ("at the highest held", "ms"),
        ],
    )
    .with_note(
        "Held: completions keep up with arrivals in two thirds of the blocks. A knee lies between the two rates; one that no rate showed lies above them all.",
    );
    let all = cells(run, "ladder");
    for transport in TRANSPORTS {
        let rungs = rungs(&all, transport, None);
        let Some(lowest) = rungs.first() else {
            continue;
        };
        let lost = rungs.iter().find(|c| !c.is_sustained());
        // Held up to the first that was not: a rate that was held above it is luck.
        let held = rungs.iter().take_while(|c| c.is_sustained()).last();
        table.push(vec![
            transport.into(),
            Value::maybe(held.map(|c| rate(c)), "not even the lowest rate was held"),
            Value::maybe(lost.map(|c| rate(c)), "every rate that ran was held"),
            p99(lowest),
            held.map_or_else(|| Value::missing(NOT_SUSTAINED), |c| p99(c)),
        ]);
    }
    table
}

/// Accept p99 over the blocks' merged histograms, ms.
fn p99(cell: &CellTrials<'_>) -> Value {
    if !cell.is_sustained() {
        return Value::missing(NOT_SUSTAINED);
    }
    let merged = latency::merge(cell.kept().map(|t| &t.accept_ns), Minimum::Merged);
    let found = merged.and_then(|latency| percentile(&latency, Percentile::P99));
    match found {
        Some(sample) if sample.at_least => Value::Interval {
            point: sample.value / 1e6,
            low: Some(sample.value / 1e6),
            high: None,
        },
        found => Value::maybe(
            found.map(|sample| sample.value / 1e6),
            "fewer than 10,000 samples in all blocks",
        ),
    }
}

/// Latency at a share of each one's own capacity; none where no such cell ran.
pub fn at_shares(run: &Run) -> Option<Table> {
    let mut table = Table::new(
        "ladder",
        "at a share of each one's own capacity, O3, nothing slow behind",
        &[
            ("transport", ""),
            ("share of capacity", ""),
            ("rate", "1/s"),
            ("accept p50", "ms"),
            ("accept p99", "ms"),
        ],
    )
    .with_note(
        "Capacity is what the first trial of the closed loop carried that was not INVALID; its rate holds for every block, also where something else used the machine meanwhile and a repetition carried more. Where the caller was that loop's limit, the share is of what one caller asks for.",
    );
    let all = cells(run, "ladder");
    for transport in [FLOOR].into_iter().chain(TRANSPORTS) {
        let mut mine: Vec<_> = all
            .iter()
            .filter(|c| c.cell.transport == transport)
            .filter_map(|c| Some((c.cell.factors.get(SHARE)?, c)))
            .collect();
        mine.sort_by_key(|(share, _)| *share);
        for (share, cell) in mine {
            // The cell of a block that found no capacity has none.
            let rate = cell.kept().find_map(|t| t.cell.rate_per_s);
            table.push(vec![
                transport.into(),
                share.as_str().into(),
                Value::maybe(rate, "no capacity was found"),
                p50(cell),
                p99(cell),
            ]);
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// What of a call is transport once the service takes its time.
pub fn transport_share(run: &Run) -> Table {
    let mut table = Table::new(
        "ladder",
        "what of accept p50 is transport, by the service behind",
        &[
            ("transport", ""),
            ("service", ""),
            ("rate", "1/s"),
            ("accept p50", "ms"),
            ("share of transport", "%"),
        ],
    )
    .with_note(
        "The share is what the handler's own p50 leaves of accept p50. On queue and stream accept does not wait for the handler, so there is none.",
    );
    let all = cells(run, "ladder");
    let mut services: Vec<Option<&str>> = Vec::new();
    for cell in &all {
        let slow = cell.cell.slow.as_deref();
        if !services.contains(&slow) {
            services.push(slow);
        }
    }
    let ms = |slow: &Option<&str>| {
        slow.and_then(|s| s.strip_suffix("ms")?.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    services.sort_by(|a, b| ms(a).total_cmp(&ms(b)));
    for transport in TRANSPORTS {
        for slow in &services {
            for cell in rungs(&all, transport, *slow) {
                let share = if !cell.is_sustained() {
                    Value::missing(NOT_SUSTAINED)
                } else if BROKERS.contains(&transport) {
                    Value::missing("accept does not wait for the handler")
                } else {
                    let share: Vec<f64> = shares(cell).iter().map(|s| 100.0 * s).collect();
                    value(
                        Estimate::of_values(&share),
                        "the handler's time is not known",
                    )
                };
                table.push(vec![
                    transport.into(),
                    slow.unwrap_or("nothing slow").into(),
                    Value::number(rate(cell)),
                    p50(cell),
                    share,
                ]);
            }
        }
    }
    table
}

/// What queue and stream add to gRPC's two clocks, at each rate that both sustain.
pub fn added_by_brokers(run: &Run) -> Table {
    let mut table = Table::new(
        "ladder",
        "latency that a broker adds to gRPC, O3, class `process` on both",
        &[
            ("broker", ""),
            ("rate", "1/s"),
            ("accept p50", "ms"),
            ("accept p99", "ms"),
            ("completion p50", "ms"),
            ("completion p99", "ms"),
        ],
    )
    .with_note("Differences, broker − gRPC, per block; below zero the broker is the quicker. Only rates that both sustain.");
    let all = cells(run, "ladder");
    for broker in BROKERS {
        for (theirs, grpc) in both_sustain(&all, broker, "grpc") {
            let added = |metric| difference(theirs, grpc, metric);
            table.push(vec![
                broker.into(),
                Value::number(rate(grpc)),
                added(Metric::AcceptP50),
                added(Metric::AcceptP99),
                added(Metric::CompletionP50),
                added(Metric::CompletionP99),
            ]);
        }
    }
    table
}

/// Accept p50 as it is, and less the tcp floor's at the same rate; none where no floor ran beside a transport.
pub fn above_floor(run: &Run) -> Option<Table> {
    let mut table = Table::new(
        "ladder",
        "accept latency less the tcp floor's at the same rate, O3, class `process` on both",
        &[
            ("transport", ""),
            ("rate", "1/s"),
            ("accept p50", "ms"),
            ("the floor's", "ms"),
            ("less the floor's", "ms"),
        ],
    )
    .with_note(
        "The floor is the order as protobuf behind a length prefix, with the same handler, journal and generator. Differences of \
         the two p50s, transport − floor, per block; what is left is what protocol, format and library take, or the way over a \
         broker, whose accept does not wait for the handler. Only rates that both sustain.",
    );
    let all = cells(run, "ladder");
    for transport in TRANSPORTS {
        for (cell, floor) in both_sustain(&all, transport, FLOOR) {
            table.push(vec![
                transport.into(),
                Value::number(rate(cell)),
                p50(cell),
                p50(floor),
                difference(cell, floor, Metric::AcceptP50),
            ]);
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// CPU = a + b·rate, and what that would be at the claim's rate.
pub fn cpu_by_rate(run: &Run) -> Table {
    let mut table = Table::new(
        "ladder",
        "CPU of client, service and broker = a + b·rate, O3",
        &[
            ("transport", ""),
            ("a", "cores"),
            ("b", "µs per order"),
            ("at 50,000/s, projected", "cores"),
            ("from the rates", "1/s"),
        ],
    )
    .with_note(format!(
        "A line per block through the rates that this transport sustained, so lines through other rates are not to be divided; a is what idles (a broker does), b what one order more costs. \
         At {PROJECTED_RATE:.0}/s nothing was measured: the projection assumes that an order goes on costing b, and that cores are there."
    ));
    let all = cells(run, "ladder");
    for transport in TRANSPORTS {
        let fits = fits(&all, transport);
        if fits.is_empty() {
            continue;
        }
        let column = |read: fn(&Fit) -> f64| {
            let values: Vec<f64> = fits.values().map(read).collect();
            value(Estimate::of_values(&values), "no block has two rates")
        };
        let sets: Vec<String> = rates(fits.values()).into_iter().map(listed).collect();
        table.push(vec![
            transport.into(),
            column(|fit| fit.idle),
            column(|fit| fit.per_order * 1e6),
            column(Fit::projected),
            sets.join(" or ").into(),
        ]);
    }
    table
}
