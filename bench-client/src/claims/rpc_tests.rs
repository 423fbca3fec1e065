//! queue-rpc over a planted run: round figures that no machine gave.

use super::super::fixture::{BLOCKS, cell, latency};
use super::super::judge;
use super::*;
use crate::results::{CpuPerOp, Skipped, VerdictRow};

const US: u64 = 1_000;

fn over(transport: &str, via: Option<&str>) -> Cell {
    let mut cell = Cell {
        durability: "none".into(),
        timeout_ms: Some(500),
        ..cell(transport, "O3")
    };
    if let Some(via) = via {
        cell.factors.insert("reply".into(), via.into());
    }
    cell.id = format!("{transport}-{}", via.unwrap_or("plain"));
    cell
}

fn trial(experiment: &str, cell: Cell, block: u32, p50_us: u64, cpu: f64) -> Trial {
    Trial {
        experiment: experiment.into(),
        block,
        window_s: 1.0,
        throughput_per_s: 1_000.0,
        accept_ns: latency(5, p50_us * US, 3 * p50_us * US),
        cpu_us_per_op: CpuPerOp {
            client: Some(cpu),
            service: Some(cpu),
            broker: Some(cpu),
            ..CpuPerOp::default()
        },
        cell,
        ..Trial::default()
    }
}

fn seen(error: &str, calls: When, median_s: f64) -> SeenError {
    SeenError {
        error: error.into(),
        calls,
        count: 10,
        first_s: median_s / 2.0,
        median_s,
        last_s: median_s * 2.0,
        waited_median_s: median_s,
        waited_most_s: median_s * 2.0,
    }
}

/// Over a broker a call takes four times as long and costs thrice as much; its worker's death is a timeout after 490 ms,
/// where gRPC's is `closed` after 1 ms.
fn planted() -> Run {
    let mut trials = Vec::new();
    for block in 0..BLOCKS {
        let noise = u64::from(block);
        for (transport, via) in [
            ("rest", None),
            ("grpc", None),
            ("queue", Some("direct")),
            ("queue", Some("queue")),
            ("stream", Some("topic")),
        ] {
            let broker = via.is_some();
            let (p50, cpu) = if broker { (800, 60.0) } else { (200, 20.0) };
            let open = Cell {
                arrival: Arrival::Constant,
                rate_per_s: Some(2_000.0),
                ..over(transport, via)
            };
            let closed = Cell {
                id: format!("{}-c32", open.id),
                arrival: Arrival::Closed,
                rate_per_s: None,
                in_flight: Some(32),
                ..open.clone()
            };
            let mut kill = Cell {
                id: format!("{}-kill", open.id),
                ..open.clone()
            };
            kill.factors
                .insert("fault".into(), "at 400ms kill service".into());
            trials.push(trial(COST, open, block, p50 + noise, cpu));
            trials.push(trial(
                COST,
                closed,
                block,
                p50 + noise,
                cpu + noise as f64 / 10.0,
            ));
            let (error, after_s) = if broker {
                ("timeout", 0.49)
            } else {
                ("closed", 0.001)
            };
            trials.push(Trial {
                seen: vec![
                    seen(error, When::InFlight, after_s + noise as f64 / 1e6),
                    seen("later", When::After, 1.0),
                ],
                ..trial(KILL, kill, block, p50, cpu)
            });
        }
    }
    Run {
        trials,
        ..Run::default()
    }
}

fn verdict(run: &Run) -> VerdictRow {
    let rows = judge(run);
    rows.into_iter()
        .find(|row| row.claim == "queue-rpc")
        .unwrap()
}

#[test]
fn dearer_slower_and_told_later_over_every_broker_holds() {
    let row = verdict(&planted());
    assert_eq!(row.verdict, Verdict::Holds, "{}", row.reason);
    assert_eq!(row.parts.len(), 9);
    let error = &row.parts[2];
    assert!(
        error.reason.contains("`timeout`") && error.reason.contains("`closed`"),
        "{}",
        error.reason
    );
    assert!(
        error
            .reason
            .contains("how late is the set-up's, a call's timeout of 500 ms"),
        "{}",
        error.reason
    );
    assert!(error.low.unwrap() > 400.0, "490 ms against 1 ms: {error:?}");
}

#[test]
fn one_cheaper_way_refutes_it() {
    let mut run = planted();
    for trial in &mut run.trials {
        if trial.cell.transport == "stream" && trial.cell.arrival == Arrival::Closed {
            trial.cpu_us_per_op.client = Some(1.0);
            trial.cpu_us_per_op.service = Some(1.0);
            trial.cpu_us_per_op.broker = Some(1.0 + f64::from(trial.block) / 10.0);
        }
    }
    let row = verdict(&run);
    assert_eq!(row.verdict, Verdict::Refuted, "{}", row.reason);
    let refuted: Vec<&str> = row
        .parts
        .iter()
        .filter(|part| part.verdict == Verdict::Refuted)
        .map(|part| part.name.as_str())
        .collect();
    assert_eq!(refuted, ["Kafka reply topic: CPU"]);
}

#[test]
fn an_error_as_early_but_without_a_name_is_vaguer() {
    let mut run = planted();
    for trial in &mut run.trials {
        let direct = trial.cell.transport == "grpc";
        // A tenth earlier in one block, a tenth later in the next.
        let factor = [0.9, 1.1][trial.block as usize % 2];
        for seen in &mut trial.seen {
            seen.median_s = if direct { 0.001 } else { 0.001 * factor };
        }
    }
    let row = verdict(&run);
    assert_eq!(row.verdict, Verdict::Holds, "{}", row.reason);
    assert!(
        row.parts[2].reason.contains("in every block"),
        "{}",
        row.parts[2].reason
    );
}

#[test]
fn what_did_not_run_keeps_it_from_holding_and_says_why() {
    let mut run = planted();
    run.trials.retain(|trial| trial.cell.transport != "stream");
    run.skipped.push(Skipped {
        transport: "stream".into(),
        reason: "no Kafka".into(),
    });
    let row = verdict(&run);
    assert_eq!(row.verdict, Verdict::Inconclusive);
    assert!(row.parts[8].reason.contains("no Kafka"));
}

#[test]
fn the_tables_have_a_row_per_way_and_per_error() {
    let run = planted();
    let cost = &cost_table(&run)[0];
    assert_eq!(cost.rows.len(), 5);
    assert_eq!(cost.rows[2][0], Value::from("RabbitMQ direct reply-to"));
    assert!(
        matches!(cost.rows[2][1], Value::Interval { point, .. } if (point - 802.0).abs() < 20.0)
    );
    assert!(
        matches!(cost.rows[2][2], Value::Number(_)),
        "30,000 samples have a p99"
    );
    let errors = &error_table(&run)[0];
    assert_eq!(errors.rows.len(), 10, "two errors per way");
    assert_eq!(
        errors.rows[0][3],
        Value::number(60.0),
        "counts are summed over the blocks"
    );
    assert!(errors.note.contains("500 ms"));
    assert!(cost_table(&Run::default()).is_empty() && error_table(&Run::default()).is_empty());
}
