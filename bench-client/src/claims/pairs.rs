//! REST and gRPC cells that are equal in everything else, and what claims on their throughput are judged on.

use super::part::number;
use super::samples::{CellTrials, Metric, Paired, is_base};
use crate::results::{Arrival, Cell, Value};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;

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

/// What a claim on throughput is judged on in a run: one metric for all of its parts, from who was the limit, never from a
/// ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Decides every part.
    pub decides: Metric,
    /// Stands beside in every part and never decides.
    pub other: Metric,
}

impl Measure {
    /// `cells` are all that the claim's parts compare, both sides. Where no caller was the limit in a block of theirs:
    /// orders per second. Where one was, those say what an order costs the *caller*; then orders per CPU-second of all
    /// processes together.
    pub fn of(cells: &[&CellTrials<'_>]) -> Self {
        let (per_s, per_cpu_s) = (Metric::Throughput, Metric::OrdersPerCpuSecond);
        let (decides, other) = if cells.iter().any(|cell| is_bound(cell)) {
            (per_cpu_s, per_s)
        } else {
            (per_s, per_cpu_s)
        };
        Self { decides, other }
    }

    /// The other metric's ratio of two cells, for the sentence; orders per second with whose limit they were.
    pub fn beside(self, above: &CellTrials<'_>, below: &CellTrials<'_>) -> String {
        let read = |t: &_| self.other.of(t);
        let seen = seen(self.other, &Paired::of(above, below, read, read));
        match self.other {
            Metric::Throughput => format!("{seen}; the limit: {}", limit(&[above, below])),
            _ => seen,
        }
    }
}

/// What a metric came to as it was observed, bounds or not: `orders per second 0.76×`.
pub fn seen(metric: Metric, paired: &Paired) -> String {
    match paired.measured(true, None) {
        Some(seen) => format!("{} {}×", words(metric), number(seen.ratio.point())),
        None => format!("{} unknown", words(metric)),
    }
}

/// The two metrics of [`Measure`] in words.
pub fn words(metric: Metric) -> &'static str {
    match metric {
        Metric::OrdersPerCpuSecond => "orders per CPU-second",
        _ => "orders per second",
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

#[cfg(test)]
mod tests {
    use super::super::fixture::planted;
    use super::super::samples::cells;
    use super::*;
    use crate::results::{Run, State, Trial};

    const PER_SECOND: Measure = Measure {
        decides: Metric::Throughput,
        other: Metric::OrdersPerCpuSecond,
    };
    const PER_CPU_SECOND: Measure = Measure {
        decides: Metric::OrdersPerCpuSecond,
        other: Metric::Throughput,
    };

    /// Of every pair in `capacity`, as if one claim compared them all.
    fn measure(run: &Run) -> Measure {
        let all = cells(run, "capacity");
        let compared: Vec<_> = pairs(&all, is_plain_rest)
            .into_iter()
            .flat_map(|(rest, grpc)| [rest, grpc])
            .collect();
        assert_eq!(compared.len(), 4, "O3 and O100");
        Measure::of(&compared)
    }

    /// Has the caller be the limit in one block of a cell.
    fn bind<'r>(run: &'r mut Run, cell: &str, block: u32) -> &'r mut Trial {
        let wanted = |t: &&mut Trial| t.cell.id == cell && t.block == block;
        let trial = run.trials.iter_mut().find(wanted).unwrap();
        trial.throughput_is_lower_bound = true;
        trial
    }

    #[test]
    fn orders_per_second_decide_where_no_caller_was_the_limit() {
        assert_eq!(measure(&planted()), PER_SECOND);
        assert_eq!(Measure::of(&[]), PER_SECOND);
    }

    #[test]
    fn one_caller_at_its_limit_in_one_block_of_either_side_has_cpu_seconds_decide() {
        for cell in [
            "rest-O3-c32",
            "grpc-O3-c32",
            "rest-O100-c32",
            "grpc-O100-c32",
        ] {
            for block in [0, 5] {
                let mut run = planted();
                bind(&mut run, cell, block);
                assert_eq!(measure(&run), PER_CPU_SECOND, "{cell}, block {block}");
            }
        }
    }

    #[test]
    fn what_does_not_count_or_is_not_compared_has_no_say() {
        let mut run = planted();
        bind(&mut run, "grpc-O3-c32", 2).validity.state = State::Invalid;
        for not_compared in ["rest-O3-c32-A2", "tcp-O3-c32", "stream-O3-c32"] {
            bind(&mut run, not_compared, 2);
        }
        let mut again = bind(&mut run, "rest-O100-c32", 3).clone();
        again.attempt = 1;
        again.throughput_is_lower_bound = false;
        run.trials.push(again);
        assert_eq!(measure(&run), PER_SECOND);
    }
}
