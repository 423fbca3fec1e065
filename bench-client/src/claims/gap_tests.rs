//! Gaps of planted size along planted factors, and which metric the slopes and tops of their lines are judged on.

use super::super::{fixture, judge};
use super::*;
use crate::results::{Trial, Verdict, VerdictRow};

/// REST at 10,000/s and 50 µs everywhere; gRPC so many times as good at `depth`.
fn at(depth: u32, ratio: f64, block: u32) -> [Trial; 2] {
    let one = |transport: &str, times: f64| {
        let cpu = [25.0 / times, 25.0 / times, 0.0];
        let cell = fixture::cell(transport, "O3");
        let mut trial = fixture::closed(cell, 0, block, 10_000.0 * times, cpu);
        trial.cell.in_flight = Some(depth);
        trial.cell.connections = Some(depth);
        trial.cell.id = format!("{transport}-O3-c{depth}");
        trial
    };
    [one("rest", 1.0), one("grpc", ratio)]
}

fn run(ratio: impl Fn(f64) -> f64) -> Run {
    let trials = (0..fixture::BLOCKS)
        .flat_map(|block| [1, 8, 32, 128, 256].map(|depth| at(depth, ratio(depth.into()), block)));
    Run {
        trials: trials.flatten().collect(),
        ..fixture::planted()
    }
}

fn verdict(run: &Run, claim: &str) -> VerdictRow {
    let mut rows = judge(run);
    rows.retain(|row| row.claim == claim);
    rows.remove(0)
}

fn part(row: &VerdictRow, name: &str) -> Verdict {
    row.parts.iter().find(|p| p.name == name).unwrap().verdict
}

/// Both lines: in orders per second gRPC ÷ REST is x^0.1, in orders per CPU-second it is 1 everywhere.
fn two_lines() -> Run {
    let mut run = run(|x| x.powf(0.1));
    for trial in &mut run.trials {
        trial.cpu_us_per_op.client = Some(25.0);
        trial.cpu_us_per_op.service = Some(25.0);
    }
    let mut large = run.trials.clone();
    for trial in &mut large {
        trial.cell.payload = "O100".into();
        trial.cell.id = trial.cell.id.replace("O3", "O100");
    }
    run.trials.extend(large);
    run
}

/// Has the caller be the limit in one block of a cell.
fn bind(run: &mut Run, cell: &str) {
    let wanted = |t: &&mut Trial| t.cell.id == cell && t.block == 2;
    let trial = run.trials.iter_mut().find(wanted).unwrap();
    trial.throughput_is_lower_bound = true;
}

/// Every part's reason has its words, by the part's kind.
fn say(row: &VerdictRow, slope: [&str; 2], top: [&str; 2]) {
    assert_eq!(row.parts.len(), 4, "{row:?}");
    for part in &row.parts {
        let words = if part.name.starts_with("slope") {
            slope
        } else {
            top
        };
        let reason = &part.reason;
        assert!(words.iter().all(|w| reason.contains(w)), "{reason}");
    }
}

#[test]
fn slopes_and_tops_of_all_lines_are_judged_per_second_where_no_caller_was_the_limit() {
    // x^0.1 is ×1.26 per decade, and 1.74 at 256.
    let row = verdict(&two_lines(), "gap-concurrency");
    assert_eq!(row.verdict, Verdict::Holds, "{}", row.reason);
    say(
        &row,
        [
            "in orders per second changes by 1.26×",
            "(orders per CPU-second 1.00×)",
        ],
        [
            "has 1.74×",
            "the orders per second of REST (orders per CPU-second 1.00×)",
        ],
    );
}

#[test]
fn one_caller_at_its_limit_has_slopes_and_tops_of_all_lines_judged_per_cpu_second() {
    // Neither a top nor on the other line.
    let mut run = two_lines();
    bind(&mut run, "rest-O3-c8");
    let row = verdict(&run, "gap-concurrency");
    assert_eq!(row.verdict, Verdict::Refuted, "{}", row.reason);
    for slope in ["slope, O3", "slope, O100"] {
        assert_eq!(part(&row, slope), Verdict::Refuted, "{}", row.reason);
    }
    say(
        &row,
        [
            "in orders per CPU-second changes by 1.00×",
            "(orders per second 1.26×)",
        ],
        [
            "has 1.00×",
            "the orders per CPU-second of REST (orders per second 1.74×; the limit: not the callers)",
        ],
    );
}

#[test]
fn a_line_too_short_for_a_slope_has_no_say_in_what_the_other_is_judged_on() {
    let mut run = two_lines();
    bind(&mut run, "grpc-O100-c8");
    run.trials
        .retain(|t| t.cell.payload == "O3" || t.cell.in_flight <= Some(8));
    let row = verdict(&run, "gap-concurrency");
    assert_eq!(part(&row, "slope, O100"), Verdict::NotMeasured);
    assert_eq!(part(&row, "slope, O3"), Verdict::Holds, "{}", row.reason);
}

#[test]
fn a_gap_that_grows_and_ends_above_one_widens() {
    // x^0.1 is ×1.26 per decade, and 1.74 at 256.
    let row = verdict(&run(|x| x.powf(0.1)), "gap-concurrency");
    assert_eq!(part(&row, "slope, O3"), Verdict::Holds, "{}", row.reason);
    assert_eq!(part(&row, "above 1 at the top, O3"), Verdict::Holds);
    // O100 was not run: what is not measured keeps the whole from holding.
    assert_eq!(row.verdict, Verdict::Inconclusive);
}

#[test]
fn a_gap_that_grows_and_stays_below_one_is_no_lead() {
    let row = verdict(&run(|x| 0.5 * x.powf(0.1)), "gap-concurrency");
    assert_eq!(part(&row, "slope, O3"), Verdict::Holds);
    assert_eq!(part(&row, "above 1 at the top, O3"), Verdict::Refuted);
    assert_eq!(row.verdict, Verdict::Refuted, "{}", row.reason);
}

#[test]
fn a_gap_that_stays_as_it_is_does_not_widen() {
    let row = verdict(&run(|_| 1.5), "gap-concurrency");
    assert_eq!(part(&row, "slope, O3"), Verdict::Refuted, "{}", row.reason);
    assert_eq!(row.verdict, Verdict::Refuted);
}

#[test]
fn a_block_without_every_point_has_no_slope() {
    let mut run = run(|x| x.powf(0.1));
    run.trials
        .retain(|t| !(t.block == 0 && t.cell.in_flight == Some(128)));
    let all = cells(&run, "capacity");
    let line = line(&all, &CONCURRENCY, "O3");
    assert_eq!(slopes(&line, Metric::Throughput).blocks.len(), 5);
}

#[test]
fn the_payload_gap_runs_over_the_lines_of_an_order() {
    let mut run = run(|_| 1.0);
    run.trials.clear();
    for block in 0..fixture::BLOCKS {
        for lines in [1u32, 10, 100, 1_000] {
            for mut trial in at(32, f64::from(lines).powf(0.2), block) {
                trial.cell.payload = format!("O{lines}");
                trial.cell.id = format!("{}-O{lines}-c32", trial.cell.transport);
                trial.experiment = "payload".into();
                run.trials.push(trial);
            }
        }
    }
    let row = verdict(&run, "gap-payload");
    assert_eq!(row.verdict, Verdict::Holds, "{}", row.reason);
    let table = table(&run, &PAYLOAD);
    assert_eq!(table.rows.len(), 1);
    let Value::Interval { point, .. } = table.rows[0][3] else {
        panic!("{table:?}");
    };
    assert!((point - 10f64.powf(0.2)).abs() < 1e-6, "{point}");
}
