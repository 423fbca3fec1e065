//! The ladder's claims and tables over planted trials whose answers can be worked out by hand.

use super::super::{fixture, judge};
use super::*;
use crate::results::{State, Trial, Value, Verdict, VerdictRow};

const US: f64 = 1_000.0;

/// One trial per block: p50s in µs (p99 three times that), CPU = idle + per-order · rate.
fn rung(
    transport: &str,
    rate: f64,
    accept_us: f64,
    completion_us: f64,
    cpu: (f64, f64),
) -> Vec<Trial> {
    (0..fixture::BLOCKS)
        .map(|block| {
            let total = cpu.0 * 1e6 / rate + cpu.1;
            let broker = matches!(transport, "queue" | "stream");
            let split = if broker {
                [total / 4.0, total / 4.0, total / 2.0]
            } else {
                [total / 2.0, total / 2.0, 0.0]
            };
            let both = |us: f64| (us * US, 3.0 * us * US);
            let mut trial = fixture::open(
                fixture::cell(transport, "O3"),
                0,
                block,
                both(accept_us),
                both(completion_us),
                split,
            );
            trial.cell.rate_per_s = Some(rate);
            trial.cell.id = format!("{transport}-O3-p{rate}");
            trial.throughput_per_s = rate;
            trial
        })
        .collect()
}

fn run(rungs: Vec<Vec<Trial>>) -> Run {
    Run {
        trials: rungs.into_iter().flatten().collect(),
        ..fixture::planted()
    }
}

fn verdict(run: &Run, claim: &str) -> VerdictRow {
    let mut rows = judge(run);
    rows.retain(|row| row.claim == claim);
    rows.remove(0)
}

fn part<'r>(row: &'r VerdictRow, name: &str) -> &'r crate::results::Part {
    row.parts
        .iter()
        .find(|p| p.name == name)
        .unwrap_or_else(|| panic!("no part {name} in {row:?}"))
}

fn point(value: &Value) -> f64 {
    match value {
        Value::Number(point) | Value::Interval { point, .. } => *point,
        other => panic!("{other:?}"),
    }
}

/// gRPC: 100 µs an order and nothing idle; queue: twice that and 0.02 cores idle; stream: half of it.
fn whole() -> Run {
    let mut rungs = Vec::new();
    for rate in [1_000.0, 4_000.0, 10_000.0] {
        rungs.push(rung("rest", rate, 150.0, 100.0, (0.0, 80.0)));
        rungs.push(rung("grpc", rate, 200.0, 150.0, (0.0, 100.0)));
        rungs.push(rung("queue", rate, 900.0, 450.0, (0.02, 200.0)));
        rungs.push(rung("stream", rate, 500.0, 2_000.0, (0.02, 50.0)));
    }
    run(rungs)
}

#[test]
fn a_bare_call_of_a_fifth_of_a_millisecond_is_not_fifty() {
    let row = verdict(&whole(), "rest-50-200ms");
    assert_eq!(row.verdict, Verdict::Refuted, "{}", row.reason);
    let rest = part(&row, "rest accept p50");
    assert_eq!(rest.unit, "ms");
    assert!(
        rest.low.unwrap() > 0.13 && rest.high.unwrap() < 0.17,
        "{rest:?}"
    );
    assert!(
        rest.reason
            .contains("rest at 1000/s: accept p50 is 0.15 ms"),
        "{}",
        rest.reason
    );
}

#[test]
fn calls_as_slow_as_they_are_said_to_be_confirm_it() {
    let run = run(vec![
        rung("rest", 1_000.0, 60_000.0, 60_000.0, (0.0, 80.0)),
        rung("grpc", 1_000.0, 6_000.0, 6_000.0, (0.0, 80.0)),
    ]);
    let row = verdict(&run, "rest-50-200ms");
    assert_eq!(row.verdict, Verdict::Holds, "{}", row.reason);
}

#[test]
fn a_queue_of_milliseconds_and_one_of_less_depend_on_the_broker() {
    let row = verdict(&whole(), "queue-ms-minutes");
    assert_eq!(row.verdict, Verdict::Depends, "{}", row.reason);
    assert_eq!(part(&row, "queue completion p50").verdict, Verdict::Refuted);
    assert_eq!(part(&row, "stream completion p50").verdict, Verdict::Holds);
}

#[test]
fn a_broker_that_needs_fewer_cores_is_no_dead_loss() {
    let row = verdict(&whole(), "grpc-50k");
    assert_eq!(
        part(&row, "queue adds accept p50 at 4000/s").verdict,
        Verdict::Holds
    );
    // (0.02 + 10) ÷ 5 and (0.02 + 2.5) ÷ 5.
    let queue = part(&row, "queue needs more cores at 50,000/s, projected");
    assert_eq!(queue.verdict, Verdict::Holds);
    assert!((queue.low.unwrap() - 2.004).abs() < 1e-6, "{queue:?}");
    let stream = part(&row, "stream needs more cores at 50,000/s, projected");
    assert_eq!(stream.verdict, Verdict::Refuted);
    assert_eq!(row.verdict, Verdict::Refuted, "{}", row.reason);
    assert!(row.reason.contains("*projected*"), "{}", row.reason);
}

#[test]
fn only_rates_that_both_sustain_are_compared() {
    let mut run = whole();
    for trial in &mut run.trials {
        if trial.cell.id == "queue-O3-p10000" {
            trial.overloaded = Some("planted".into());
        }
    }
    let row = verdict(&run, "grpc-50k");
    assert!(
        row.parts
            .iter()
            .all(|p| !p.name.starts_with("queue") || !p.name.contains("10000"))
    );
    assert!(
        row.parts
            .iter()
            .any(|p| p.name == "stream adds accept p50 at 10000/s")
    );
    let knees = knees(&run);
    let queue = knees
        .rows
        .iter()
        .find(|row| row[0] == "queue".into())
        .unwrap();
    assert_eq!((point(&queue[1]), point(&queue[2])), (4_000.0, 10_000.0));
    let stream = knees
        .rows
        .iter()
        .find(|row| row[0] == "stream".into())
        .unwrap();
    assert_eq!(point(&stream[1]), 10_000.0);
    assert!(matches!(stream[2], Value::Missing(_)));
}

#[test]
fn cpu_by_rate_gives_the_planted_line_back() {
    let table = cpu_by_rate(&whole());
    let queue = table
        .rows
        .iter()
        .find(|row| row[0] == "queue".into())
        .unwrap();
    let found: Vec<f64> = queue[1..4].iter().map(point).collect();
    for (found, planted) in found.iter().zip([0.02, 200.0, 10.02]) {
        assert!((found - planted).abs() < 1e-6, "{found} is not {planted}");
    }
    assert_eq!(queue[4], "1000, 4000, 10000".into());
}

/// gRPC's cores at each rate, on no line: an order costs less the more there are. A queue's are twice as many.
const BENT: [(f64, f64); 3] = [(1_000.0, 0.2), (4_000.0, 0.5), (10_000.0, 0.8)];

fn bent() -> Run {
    let mut rungs = Vec::new();
    for (rate, cores) in BENT {
        rungs.push(rung("grpc", rate, 200.0, 150.0, (cores, 0.0)));
        rungs.push(rung("queue", rate, 900.0, 450.0, (2.0 * cores, 0.0)));
    }
    run(rungs)
}

/// Queue's projection against gRPC's; each by its own rates it would be another.
fn twice(run: &Run) -> String {
    let row = verdict(run, "grpc-50k");
    let queue = part(&row, "queue needs more cores at 50,000/s, projected");
    for end in [queue.low, queue.high] {
        assert!((end.unwrap() - 2.0).abs() < 1e-6, "{queue:?}");
    }
    let all = cells(run, "ladder");
    let projected = |transport| {
        let fits = fits(&all, transport);
        fits.into_values().map(|fit| fit.projected()).sum::<f64>()
    };
    // Over all blocks: a line that ends earlier climbs higher.
    assert!(projected("queue") / projected("grpc") > 2.1);
    row.reason
}

#[test]
fn a_ratio_of_projections_takes_both_from_the_rates_that_both_sustained() {
    let mut run = bent();
    for trial in &mut run.trials {
        if trial.cell.id == "queue-O3-p10000" {
            trial.overloaded = Some("planted".into());
        }
    }
    let reason = twice(&run);
    for words in [
        "each by a line through two rates, 1000, 4000/s, without a residual",
        "over the rates that it sustained itself",
        // 0.17857 + 50,000 · 0.0000642857, and 0.1 + 5 twice over.
        "grpc 3.39 [3.39, 3.39] by a line through 1000, 4000, 10000/s",
        "queue 10.2 [10.2, 10.2] by a line through two rates",
    ] {
        assert!(reason.contains(words), "{words}: {reason}");
    }
}

#[test]
fn a_rate_that_one_lost_in_a_block_is_left_out_of_the_others_line_in_that_block_alone() {
    for overloaded in [true, false] {
        let mut run = bent();
        let lost = |t: &&mut Trial| t.cell.id == "queue-O3-p10000" && t.block == 2;
        for trial in run.trials.iter_mut().filter(lost) {
            if overloaded {
                trial.overloaded = Some("planted".into());
            } else {
                trial.validity.state = State::Invalid;
            }
        }
        let reason = twice(&run);
        for words in [
            "each by a line through 1000, 4000, 10000/s or a line through two rates, 1000, 4000/s",
            "over 6 blocks",
        ] {
            assert!(reason.contains(words), "{words}: {reason}");
        }
    }
}

#[test]
fn one_rate_makes_no_line_and_no_projection() {
    let run = run(vec![
        rung("grpc", 1_000.0, 200.0, 150.0, (0.0, 100.0)),
        rung("queue", 1_000.0, 900.0, 450.0, (0.0, 200.0)),
    ]);
    let row = verdict(&run, "grpc-50k");
    let cores = part(&row, "queue needs more cores at 50,000/s, projected");
    assert_eq!(cores.verdict, Verdict::NotMeasured);
    assert!(cores.reason.contains("two rates"), "{}", cores.reason);
}

#[test]
fn the_share_of_transport_is_what_the_handler_leaves() {
    let mut trials = rung("rest", 1_000.0, 2_000.0, 2_000.0, (0.0, 100.0));
    for trial in &mut trials {
        trial.cell.slow = Some("1ms".into());
        let p50 = trial.accept_ns.p50.unwrap() * 3 / 4;
        trial.handler_ns = Some(fixture::latency(1, p50, p50));
    }
    let table = transport_share(&run(vec![trials]));
    assert_eq!(table.rows[0][1], "1ms".into());
    let share = point(&table.rows[0][4]);
    // Histograms keep three digits.
    assert!((share - 25.0).abs() < 0.2, "{share}");
}

#[test]
fn what_a_broker_adds_is_a_difference() {
    let table = added_by_brokers(&whole());
    assert_eq!(table.rows.len(), 6);
    let queue = &table.rows[0];
    // 900 − 200 and 450 − 150 µs, the blocks' noise around both.
    assert!((point(&queue[2]) - 0.7).abs() < 0.02, "{queue:?}");
    assert!((point(&queue[4]) - 0.3).abs() < 0.02, "{queue:?}");
}

/// The whole and a floor of 60 µs under it, which carries one rate less.
fn with_floor() -> Run {
    let mut run = whole();
    for rate in [1_000.0, 4_000.0] {
        run.trials
            .extend(rung(FLOOR, rate, 60.0, 50.0, (0.0, 30.0)));
    }
    run
}

#[test]
fn latency_above_the_floor_is_a_difference_where_both_ran() {
    assert!(above_floor(&whole()).is_none());
    let table = above_floor(&with_floor()).unwrap();
    let rates: Vec<f64> = table.rows.iter().map(|row| point(&row[1])).collect();
    assert_eq!(rates, [1_000.0, 4_000.0].repeat(4));
    for (transport, planted) in [("rest", 150.0), ("grpc", 200.0), ("queue", 900.0)] {
        let mut rows = table.rows.iter().filter(|row| row[0] == transport.into());
        let row = rows.next().unwrap();
        for (found, planted) in row[2..].iter().zip([planted, 60.0, planted - 60.0]) {
            // The blocks' noise is around each.
            let off = point(found) / (planted / 1e3) - 1.0;
            assert!(off.abs() < 0.03, "{transport}: {found:?}, not {planted} µs");
        }
    }
}

#[test]
fn what_slows_both_in_a_block_is_not_in_the_latency_above_the_floor() {
    let mut run = with_floor();
    for trial in &mut run.trials {
        let p50 = trial.accept_ns.p50.unwrap() + u64::from(trial.block) * 200_000;
        trial.accept_ns = fixture::latency(5, p50, 3 * p50);
    }
    let table = above_floor(&run).unwrap();
    let width = |value: &Value| match value {
        Value::Interval {
            low: Some(low),
            high: Some(high),
            ..
        } => high - low,
        other => panic!("{other:?}"),
    };
    // REST drifts by 1 ms over the blocks, and so does the floor.
    let rest = &table.rows[0];
    assert!(width(&rest[2]) > 0.2, "{rest:?}");
    assert!(width(&rest[4]) < 0.02, "{rest:?}");
    assert!((point(&rest[4]) - 0.09).abs() < 0.01, "{rest:?}");
}

#[test]
fn the_floor_decides_no_claim_and_is_in_no_other_table() {
    let (without, with) = (whole(), with_floor());
    let told = |run: &Run| -> Vec<(String, Verdict, String)> {
        let rows = judge(run).into_iter();
        rows.map(|row| (row.claim, row.verdict, row.reason))
            .collect()
    };
    assert_eq!(told(&with), told(&without));
    for table in [knees, transport_share, added_by_brokers, cpu_by_rate] {
        assert_eq!(table(&with), table(&without));
    }
}

#[test]
fn a_share_of_ones_own_capacity_has_a_row_and_is_no_rung() {
    assert!(at_shares(&whole()).is_none());
    let mut half = rung("grpc", 500.0, 1_000.0, 1_000.0, (0.0, 100.0));
    for trial in &mut half {
        trial.cell.id = "grpc-O3-share50ofc32".into();
        let share = "50 % of what grpc-O3-c32 carried".to_string();
        trial.cell.factors.insert("share_of_capacity".into(), share);
    }
    let mut run = whole();
    run.trials.extend(half);
    let table = at_shares(&run).unwrap();
    let [row] = &table.rows[..] else {
        panic!("{table:?}");
    };
    assert_eq!(point(&row[2]), 500.0);
    assert!((point(&row[3]) - 1.0).abs() < 0.1, "{row:?}");
    assert_eq!(knees(&run), knees(&whole()));
}
