//! What experiments that compare ways of connecting share: their cells side by side in one table, each figure with its
//! interval over the blocks. Pure.

use crate::claims::samples::{CellTrials, Metric, cells};
use crate::results::{Arrival, Cell, Run, Table, Trial, Value};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;

/// A table of the experiment's cells that `wanted` picks, all of one kind of loop, in the order they first ran.
/// A closed loop shows throughput, an open one the time until the caller may go on: the other figure follows from it.
pub(super) fn table(
    run: &Run,
    experiment: &str,
    title: &str,
    wanted: impl Fn(&Cell) -> bool,
) -> Option<Table> {
    let all = cells(run, experiment);
    let mut picked: Vec<&CellTrials<'_>> = all.iter().filter(|c| wanted(c.cell)).collect();
    picked.sort_by(|a, b| a.cell.id.cmp(&b.cell.id));
    let first = picked.first()?;
    let closed = first.cell.arrival == Arrival::Closed;
    let timing = if closed {
        ("orders", "1/s")
    } else {
        ("accept p50", "µs")
    };
    let columns = [
        ("cell", ""),
        ("way", ""),
        timing,
        ("CPU of all processes per order", "µs"),
        ("connections opened per order", ""),
        ("bytes on the wire per order", "B"),
    ];
    let mut table = Table::new(experiment, title, &columns);
    for cell in picked {
        let timed = |t: &Trial| match closed {
            true => Metric::Throughput.of(t).map(|s| s.value),
            false => Metric::AcceptP50.of(t).map(|s| s.value / 1e3),
        };
        table.push(vec![
            Value::Text(cell.cell.id.clone()),
            Value::Text(way(cell.cell)),
            over_blocks(cell, timed),
            over_blocks(cell, Trial::cpu_us_per_op_total),
            over_blocks(cell, opened),
            over_blocks(cell, wire),
        ]);
    }
    Some(table)
}

/// How a cell connects, in words.
fn way(cell: &Cell) -> String {
    let factor = |name: &str| cell.factors.get(name).map(String::as_str);
    let mut words = vec![match factor("connecting") {
        Some("per-call") => "a new connection per call".into(),
        Some("as-written") => "as the sources write it".into(),
        _ => match cell.connections {
            Some(1) => "one connection, kept".into(),
            Some(n) if factor("settings").is_none() => format!("{n} connections, kept"),
            _ => "as many connections as it takes, kept".to_string(),
        },
    }];
    words.extend(cell.http.clone());
    words.extend(factor("tls").map(|_| "TLS".into()));
    words.extend(factor("relay_us").map(|us| format!("relay of {us} µs each way")));
    words.extend(factor("settings").map(str::to_string));
    words.join(", ")
}

fn opened(trial: &Trial) -> Option<f64> {
    let attempted = trial.ledger.attempted;
    let opened = trial.counters.get("connects").copied().unwrap_or(0);
    (attempted > 0).then(|| opened as f64 / attempted as f64)
}

fn wire(trial: &Trial) -> Option<f64> {
    let legs = &trial.bytes.wire;
    (!legs.is_empty()).then(|| legs.values().map(|leg| leg.sent + leg.received).sum())
}

/// The mean of a figure over the blocks, with its interval; or why there is none.
fn over_blocks(cell: &CellTrials<'_>, figure: impl Fn(&Trial) -> Option<f64>) -> Value {
    let values: Vec<f64> = cell.kept().filter_map(figure).collect();
    let Some(estimate) = Estimate::of_values(&values) else {
        return Value::Missing("no block gives it".into());
    };
    let interval = estimate.interval(LEVEL);
    Value::Interval {
        point: estimate.point(),
        low: interval.map(|(low, _)| low),
        high: interval.map(|(_, high)| high),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::fixture;

    #[test]
    fn each_cell_is_a_row_with_its_mean_over_blocks_and_what_it_opened() {
        let mut run = Run::default();
        for (block, per_s, opened) in [(0, 100.0, 5_000), (1, 300.0, 2_500)] {
            let mut cell = fixture::cell("rest", "O3");
            cell.factors.insert("connecting".into(), "per-call".into());
            let mut trial = fixture::closed(cell, 0, block, per_s, [1.0, 2.0, 0.0]);
            trial.throughput_per_s = per_s;
            trial.counters.insert("connects".into(), opened);
            run.trials.push(trial);
        }
        let table = table(&run, "capacity", "ways", |_| true).unwrap();
        assert_eq!(table.rows.len(), 1);
        let row = &table.rows[0];
        assert_eq!(row[1], Value::Text("a new connection per call, h1".into()));
        let point = |value: &Value| match value {
            Value::Interval { point, .. } => *point,
            other => panic!("expected a figure, got {other:?}"),
        };
        assert_eq!(point(&row[2]), 200.0);
        assert_eq!(point(&row[3]), 3.0);
        assert_eq!(point(&row[4]), 0.75);
        assert!(matches!(row[5], Value::Missing(_)), "{:?}", row[5]);
        assert!(super::table(&run, "capacity", "none", |_| false).is_none());
    }
}
