//! REST and gRPC cells that are equal in everything else, and what a saturated pair is compared by.

use super::samples::{CellTrials, Metric, Paired, is_base};
use crate::results::{Arrival, Cell, Value};
use crate::stats::Estimate;
use crate::stats::estimate::LEVEL;

/// REST as it is plainest: HTTP/1.1 and JSON, nothing slow behind it, in a closed loop with a connection per caller.
pub fn is_plain_rest(cell: &Cell) -> bool {
    is_rest(cell) && cell.arrival == Arrival::Closed && cell.connections == cell.in_flight
}

/// REST over HTTP/1.1 with JSON, not the second arm of an A/A pair, nothing slow behind it.
pub fn is_rest(cell: &Cell) -> bool {
    is_base(cell)
        && cell.transport == "rest"
        && cell.format == "json"
        && cell.http.as_deref() != Some("h2")
        && cell.slow.is_none()
}

/// Every cell that `wanted` names with its gRPC partner, equal in everything but transport and format: the same order,
/// connections, load and durability. By payload, then by load.
pub fn pairs<'a, 'r>(
    all: &'a [CellTrials<'r>],
    wanted: impl Fn(&Cell) -> bool,
) -> Vec<(&'a CellTrials<'r>, &'a CellTrials<'r>)> {
    let mut pairs: Vec<_> = all
        .iter()
        .filter(|rest| wanted(rest.cell))
        .filter_map(|rest| Some((rest, partner(all, rest.cell)?)))
        .collect();
    pairs.sort_by(|(a, _), (b, _)| {
        let load = |c: &Cell| c.rate_per_s.unwrap_or(c.in_flight.unwrap_or(0).into());
        let size = size_of(&a.cell.payload).cmp(&size_of(&b.cell.payload));
        size.then(load(a.cell).total_cmp(&load(b.cell)))
    });
    pairs
}

fn partner<'a, 'r>(all: &'a [CellTrials<'r>], rest: &Cell) -> Option<&'a CellTrials<'r>> {
    let alike = |cell: &Cell| Cell {
        id: String::new(),
        transport: String::new(),
        format: String::new(),
        http: None,
        arm: None,
        ..cell.clone()
    };
    all.iter().find(|other| {
        let c = other.cell;
        is_base(c) && c.transport == "grpc" && c.format == "protobuf" && alike(c) == alike(rest)
    })
}

/// Lines of an order (`O100` → 100); other classes come after all orders.
pub fn size_of(payload: &str) -> u64 {
    payload
        .strip_prefix('O')
        .and_then(|lines| lines.parse().ok())
        .unwrap_or(u64::MAX)
}

/// What a saturated comparison is judged by. Where no caller was the limit: orders per second. Where one was, they say
/// what an order costs the *caller*; then orders per CPU-second of all processes together.
pub fn measure(cells: &[&CellTrials<'_>]) -> Metric {
    if cells.iter().any(|cell| is_bound(cell)) {
        Metric::OrdersPerCpuSecond
    } else {
        Metric::Throughput
    }
}

fn is_bound(cell: &CellTrials<'_>) -> bool {
    cell.kept().any(|trial| trial.throughput_is_lower_bound)
}

/// Which side's caller was the limit, in words: numerator first.
pub fn limit(cells: &[&CellTrials<'_>; 2]) -> &'static str {
    match cells.map(is_bound) {
        [true, true] => "both callers",
        [true, false] => "the caller of the first",
        [false, true] => "the caller of REST",
        [false, false] => "not the callers",
    }
}

/// A ratio as observed, with its interval over blocks.
pub fn ratio(above: &CellTrials<'_>, below: &CellTrials<'_>, metric: Metric) -> Value {
    let paired = Paired::of(above, below, |t| metric.of(t), |t| metric.of(t));
    if !(above.has_headline() && below.has_headline()) {
        return Value::missing("fewer than two thirds of the blocks were kept");
    }
    if !(above.is_sustained() && below.is_sustained()) {
        return Value::missing("not sustained: completions did not keep up");
    }
    match paired.measured(true, None) {
        Some(measured) => Value::interval(measured.ratio.point(), measured.ratio.interval(LEVEL)),
        None => Value::missing("no block has both, or too few samples"),
    }
}

/// A figure of one cell over its blocks; `divisor` sets its unit.
pub fn figure(cell: &CellTrials<'_>, metric: Metric, divisor: f64) -> Value {
    if !cell.is_sustained() {
        return Value::missing("not sustained: completions did not keep up");
    }
    let mut bound = false;
    let values: Option<Vec<f64>> = cell
        .kept()
        .map(|t| {
            let sample = metric.of(t)?;
            bound |= sample.at_least;
            Some(sample.value / divisor)
        })
        .collect();
    let Some(estimate) = values.and_then(|values| Estimate::of_ratios(&values)) else {
        return Value::missing("too few samples in a trial");
    };
    match estimate.interval(LEVEL) {
        // A lower bound has no upper end.
        Some((low, _)) if bound => Value::interval(estimate.point(), Some((low, f64::INFINITY))),
        ends => Value::interval(estimate.point(), ends),
    }
}
