//! Comparisons over planted runs: an effect that is there is found, one that is not there is not, and what forbids a
//! comparison is listed.

use super::*;
use crate::claims::fixture::{latency, planted};
use crate::results::{State, Trial};

/// About 1 % of noise that no other trial shares; it adds up to nothing over the blocks of a cell.
const NOISE: [f64; 7] = [0.0, 0.011, -0.008, 0.004, -0.012, 0.006, -0.003];

/// Everything about a trial takes so many times as long.
fn slow_down(trial: &mut Trial, factor: f64) {
    let times = |ns: u64| (ns as f64 * factor) as u64;
    trial.throughput_per_s /= factor;
    for clock in [Some(&mut trial.accept_ns), trial.completion_ns.as_mut()]
        .into_iter()
        .flatten()
    {
        *clock = latency(5, times(clock.p50.unwrap()), times(clock.p99.unwrap()));
    }
    let cpu = &mut trial.cpu_us_per_op;
    for cpu in [&mut cpu.client, &mut cpu.service, &mut cpu.broker] {
        *cpu = cpu.map(|us| us * factor);
    }
}

/// The planted run once more, with noise of its own, and one transport slower by `effect`.
fn again(transport: &str, effect: f64) -> Run {
    let mut run = planted();
    for (i, trial) in run.trials.iter_mut().enumerate() {
        let is_slower = trial.cell.transport == transport;
        let effect = if is_slower { effect } else { 1.0 };
        slow_down(trial, NOISE[i * 5 % 7].exp() * effect);
    }
    run
}

fn compared(first: &Run, second: &Run) -> Comparison {
    compare(("before", first), ("after", second))
}

fn of<'c>(comparison: &'c Comparison, transport: &str) -> Vec<&'c Row> {
    let rows = comparison.rows.iter();
    let mine = rows.filter(|row| row.cell.starts_with(transport));
    mine.collect()
}

fn found(comparison: &Comparison, cell: &str, metric: &str) -> (Verdict, String) {
    let row = comparison
        .rows
        .iter()
        .find(|row| row.cell == cell && row.metric == metric)
        .unwrap_or_else(|| panic!("no row for {metric} of {cell}"));
    (row.verdict, row.why.clone().unwrap_or_default())
}

#[test]
fn five_percent_are_found_where_they_are_and_nowhere_else() {
    let comparison = compared(&planted(), &again("grpc", 1.05));
    assert!(comparison.differences.is_empty(), "{comparison:?}");
    let grpc = of(&comparison, "grpc");
    // Two closed cells by throughput and CPU, one open one by four latencies and CPU.
    assert_eq!(grpc.len(), 9);
    for row in &grpc {
        let expected = match row.metric.as_str() {
            "cpu_us_per_op" => Verdict::Dearer,
            _ => Verdict::Slower,
        };
        assert_eq!(row.verdict, expected, "{row:?}");
        assert!(row.paired && row.trials == [6, 6]);
        let effect = match row.metric.as_str() {
            "throughput_per_s" => 1.0 / row.ratio,
            _ => row.ratio,
        };
        assert!((1.03..1.07).contains(&effect), "{row:?}");
    }
    let others: Vec<&Row> = comparison
        .rows
        .iter()
        .filter(|row| !row.cell.starts_with("grpc"))
        .collect();
    assert!(others.len() > 15);
    for row in others {
        assert_eq!(row.verdict, Verdict::NoDifference, "{row:?}");
        // What it could have seen is said, and 5 % are among it.
        assert!(row.mde.unwrap() < 1.05, "{row:?}");
        assert!(row.why.as_ref().unwrap().contains("would have been seen"));
    }
}

#[test]
fn the_other_way_round_it_is_the_inverse() {
    let (first, second) = (planted(), again("grpc", 1.05));
    let (there, back) = (compared(&first, &second), compared(&second, &first));
    for (there, back) in there.rows.iter().zip(&back.rows) {
        assert_eq!((&there.cell, &there.metric), (&back.cell, &back.metric));
        assert!((there.ratio * back.ratio - 1.0).abs() < 1e-9);
    }
    for row in of(&back, "grpc") {
        let expected = match row.metric.as_str() {
            "cpu_us_per_op" => Verdict::Cheaper,
            _ => Verdict::Faster,
        };
        assert_eq!(row.verdict, expected, "{row:?}");
    }
}

#[test]
fn where_plans_differ_trials_are_not_paired_and_it_is_said() {
    let mut second = again("grpc", 1.05);
    second.manifest.seed = 2;
    let comparison = compared(&planted(), &second);
    assert!(comparison.notes.iter().any(|note| note.contains("Welch")));
    // The blocks' own ups and downs of 8 % no longer cancel: 5 % are not seen, and the row says so itself.
    let throughput = |comparison: &Comparison| {
        comparison
            .rows
            .iter()
            .find(|row| row.cell == "grpc-O3-c32" && row.metric == "throughput_per_s")
            .unwrap()
            .clone()
    };
    let small = throughput(&comparison);
    assert!(!small.paired && small.verdict == Verdict::NoDifference);
    assert!(small.mde.unwrap() > 1.05);
    let mut large = again("grpc", 1.3);
    large.manifest.seed = 2;
    assert_eq!(
        throughput(&compared(&planted(), &large)).verdict,
        Verdict::Slower
    );
}

#[test]
fn what_forbids_a_comparison_is_listed_and_what_does_not_is_not() {
    type Change = fn(&mut Run);
    let forbidding: [(&str, Change); 11] = [
        ("cpu_model", |run| {
            run.manifest
                .machine
                .insert("cpu_model".into(), "another".into());
        }),
        ("kernel", |run| {
            run.manifest.machine.insert("kernel".into(), "9.9".into());
        }),
        ("memory", |run| {
            run.manifest
                .machine
                .insert("memory_bytes".into(), "1073741824".into());
        }),
        ("placement", |run| {
            run.manifest.placement = "anywhere".into()
        }),
        ("suite", |run| run.manifest.suite = "full".into()),
        ("build", |run| run.manifest.dirty = Some(true)),
        ("broker of queue", |run| {
            run.manifest
                .brokers
                .insert("queue".into(), "RabbitMQ 9.9".into());
        }),
        ("setting: stack", |run| {
            run.manifest
                .settings
                .insert("stack".into(), "docker".into());
        }),
        ("setting: kafka_heap", |run| {
            run.manifest
                .settings
                .insert("kafka_heap".into(), "8g".into());
        }),
        ("cell rest-O3-c32: connections", |run| {
            for trial in &mut run.trials {
                if trial.cell.id == "rest-O3-c32" {
                    trial.cell.connections = Some(1);
                }
            }
        }),
        ("in force: nodelay", |run| {
            for trial in &mut run.trials {
                trial.in_force.insert("nodelay".into(), "false".into());
            }
        }),
    ];
    for (what, change) in forbidding {
        let mut second = planted();
        change(&mut second);
        let found = differences(&planted(), &second);
        assert_eq!(found.len(), 1, "{what}: {found:?}");
        assert_eq!(found[0].what, what);
        assert!(found[0].first != found[0].second && !found[0].to_string().is_empty());
        // Seen from the other side it is the same.
        assert_eq!(differences(&second, &planted()).len(), 1, "{what}");
    }
    let harmless: [(&str, Change); 5] = [
        ("a commit", |run| run.manifest.commit = Some("other".into())),
        ("a library", |run| {
            run.manifest.libraries.insert("hyper".into(), "9".into());
        }),
        ("load", |run| {
            run.manifest
                .machine
                .insert("load_average".into(), "[9.0]".into());
        }),
        ("a port", |run| {
            let port = "127.0.0.1:1".to_string();
            run.manifest.settings.insert("kafka_brokers".into(), port);
        }),
        ("the plan", |run| {
            run.manifest.settings.insert("plan".into(), "7".into());
        }),
    ];
    for (what, change) in harmless {
        let mut second = planted();
        change(&mut second);
        let found = differences(&planted(), &second);
        assert!(found.is_empty(), "{what}: {found:?}");
    }
}

#[test]
fn a_run_names_its_queues_and_that_is_no_difference() {
    let named = |name: &str| {
        let mut run = planted();
        for trial in &mut run.trials {
            let force = &mut trial.in_force;
            force.insert("service.service.scope".into(), name.into());
            force.insert("queue".into(), format!("hopbench.{name}.orders"));
        }
        run
    };
    let found = differences(&named("run-1"), &named("run-2"));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_broker_that_no_shared_cell_needs_is_not_asked_for() {
    let mut second = planted();
    second
        .trials
        .retain(|trial| trial.cell.transport != "stream");
    second.manifest.brokers.remove("stream");
    second
        .manifest
        .settings
        .insert("kafka_heap".into(), "8g".into());
    let comparison = compared(&planted(), &second);
    assert!(comparison.differences.is_empty(), "{comparison:?}");
    assert_eq!(comparison.unmatched, 3, "three cells of stream");
}

#[test]
fn trials_that_were_disturbed_decide_nothing_alone() {
    let mut second = planted();
    for trial in &mut second.trials {
        // Half as fast, and all but one block of it SUSPECT.
        if trial.cell.transport == "grpc" {
            slow_down(trial, if trial.block == 0 { 1.0 } else { 2.0 });
            if trial.block > 0 {
                trial.validity.state = State::Suspect;
            }
        }
    }
    let (verdict, why) = found(
        &compared(&planted(), &second),
        "grpc-O3-c32",
        "throughput_per_s",
    );
    assert_eq!(verdict, Verdict::Undecided);
    assert!(why.contains("SUSPECT"), "{why}");
}

#[test]
fn a_failed_a_a_pair_takes_its_metrics_verdicts_with_it() {
    let mut second = again("grpc", 1.5);
    for trial in &mut second.trials {
        if trial.cell.arm.is_some() {
            trial.throughput_per_s *= 1.5;
        }
    }
    let comparison = compared(&planted(), &second);
    let (verdict, why) = found(&comparison, "grpc-O3-c32", "throughput_per_s");
    assert_eq!(verdict, Verdict::Undecided);
    assert!(
        why.contains("second run's A/A pair") && why.contains("slower, but"),
        "{why}"
    );
    assert_eq!(
        found(&comparison, "grpc-O3-c32", "cpu_us_per_op").0,
        Verdict::Dearer,
        "its CPU has a pair of its own"
    );
    assert!(comparison.rows.iter().all(|row| !row.cell.contains("A2")));
}

/// Without A/A pairs, and only these blocks.
fn lone(mut run: Run, blocks: u32) -> Run {
    run.trials
        .retain(|trial| trial.cell.arm.is_none() && trial.block < blocks);
    run
}

#[test]
fn one_trial_against_one_has_a_ratio_and_no_verdict() {
    let comparison = compared(&lone(planted(), 1), &lone(again("grpc", 2.0), 1));
    let (verdict, why) = found(&comparison, "grpc-O3-c32", "cpu_us_per_op");
    assert_eq!(verdict, Verdict::Undecided);
    assert!(why.contains("1 against 1 trials"), "{why}");
}

#[test]
fn one_trial_against_several_is_judged_by_their_spread() {
    let comparison = compared(&lone(planted(), 6), &lone(again("grpc", 2.0), 1));
    let row = of(&comparison, "grpc-O3-c32")[0];
    assert_eq!((row.verdict, row.trials), (Verdict::Slower, [6, 1]));
    let (same, _) = found(&comparison, "rest-O3-c32", "throughput_per_s");
    assert_eq!(same, Verdict::NoDifference);
}

#[test]
fn a_rate_that_is_no_longer_sustained_is_said_and_not_averaged() {
    let mut second = planted();
    for trial in &mut second.trials {
        if trial.cell.id == "queue-O3-r2000" {
            trial.overloaded = Some("planted".into());
        }
    }
    let comparison = compared(&planted(), &second);
    assert!(
        comparison
            .rows
            .iter()
            .all(|row| row.cell != "queue-O3-r2000")
    );
    assert!(
        comparison
            .left_out
            .iter()
            .any(|line| line.contains("queue-O3-r2000") && line.contains("second did NOT"))
    );
    // Cells with phases are a mixture as a whole.
    assert!(
        comparison
            .left_out
            .iter()
            .any(|line| line.contains("phases"))
    );
}

#[test]
fn a_lower_bound_on_one_side_leaves_that_end_open() {
    let mut second = again("tcp", 0.5);
    for trial in &mut second.trials {
        trial.throughput_is_lower_bound = trial.cell.transport == "tcp";
    }
    let comparison = compared(&planted(), &second);
    let row = of(&comparison, "tcp")[0];
    assert_eq!(row.metric, "throughput_per_s");
    assert!(row.low.is_some() && row.high.is_none());
    assert_eq!(row.verdict, Verdict::Faster, "at least that much faster");
    let (verdict, why) = found(
        &compared(&second, &second),
        "tcp-O3-c32",
        "throughput_per_s",
    );
    assert_eq!(verdict, Verdict::Undecided);
    assert!(why.contains("lower bound"), "{why}");
}
