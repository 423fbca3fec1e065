//! Projections whose figures can be worked out by hand, what they rest on, and what is refused.

use super::lines::WELL;
use super::*;
use crate::claims::fixture::planted;
use crate::results::{Run, WireLeg};

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// 1,000/s over 8 workers of 5 ms, which do 1,600/s.
fn ask() -> Ask {
    Ask {
        rate: PerSecond(1_000.0),
        service_time: s(0.005),
        workers: 8,
        outage: Some(s(60.0)),
        slow: Some((s(0.2), s(30.0))),
        deadline: s(5.0),
    }
}

fn of(ask: &Ask) -> Projection {
    project(ask, Vec::new(), "no run was named").unwrap()
}

fn amount<'p>(projection: &'p Projection, when: &str, what: &str) -> &'p Amount {
    let line = projection
        .figures
        .iter()
        .find(|line| line.when.starts_with(when) && line.what.starts_with(what));
    &line
        .unwrap_or_else(|| panic!("no {what} for {when}: {projection:?}"))
        .amount
}

fn number(amount: &Amount) -> f64 {
    match amount {
        Amount::Orders(v)
        | Amount::OrdersPerSecond(v)
        | Amount::Seconds(v)
        | Amount::Share(v)
        | Amount::Cores(v)
        | Amount::BitsPerSecond(v)
        | Amount::Bytes(v) => *v,
        other => panic!("{other:?} is no number"),
    }
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{a} is not {b}");
}

#[test]
fn an_outage_and_a_slow_phase_are_what_arithmetic_says() {
    let projection = of(&ask());
    let figure = |when, what| number(amount(&projection, when, what));
    near(figure(WELL, "capacity"), 1_600.0);
    near(figure(WELL, "load"), 0.625);
    near(figure(WELL, "in flight"), 5.0);
    assert_eq!(
        *amount(&projection, WELL, "workers that keep up"),
        Amount::Workers(6)
    );
    let outage = "an outage";
    near(figure(outage, "backlog"), 60_000.0);
    near(figure(outage, "age"), 60.0);
    near(figure(outage, "time to drain"), 100.0);
    near(figure(outage, "calls that find nobody"), 60_000.0);
    // Whoever waits gives up at the deadline: 5 s of arrivals wait at any time.
    near(figure(outage, "callers"), 5_000.0);
    // 2,000/s at 5 ms each keep ten workers busy, and one more drains.
    assert_eq!(
        *amount(&projection, outage, "workers that drain"),
        Amount::Workers(11)
    );
    let slow = "200 ms per order for 30 s";
    near(figure(slow, "done"), 40.0);
    near(figure(slow, "backlog"), 28_800.0);
    near(figure(slow, "age"), 28.8);
    near(figure(slow, "time to drain"), 48.0);
    near(figure(slow, "callers"), 5_000.0);
}

#[test]
fn every_line_says_that_it_is_projected_and_on_what_it_rests() {
    let projection = of(&ask());
    assert_eq!(projection.kind, MARK);
    assert!(projection.courses.iter().all(|course| course.kind == MARK));
    for line in &projection.figures {
        assert_eq!(line.kind, MARK);
        assert!(!line.rests_on.is_empty() && !line.formula.is_empty());
    }
    // Nothing measured is in reach: then no figure is made up.
    for what in ["CPU", "bandwidth"] {
        let Amount::NotMeasured(why) = amount(&projection, WELL, what) else {
            panic!("{what}: {projection:?}");
        };
        assert_eq!(why, "no run was named");
    }
}

#[test]
fn millions_per_second_over_a_few_workers_never_drain_and_it_says_how_many_would() {
    let projection = of(&Ask {
        rate: PerSecond(2e6),
        workers: 64,
        outage: Some(s(600.0)),
        slow: None,
        ..ask()
    });
    near(
        number(amount(&projection, "an outage of 10 min", "backlog")),
        1.2e9,
    );
    for (when, what) in [("an outage", "time to drain"), (WELL, "mean wait")] {
        let Amount::Never(why) = amount(&projection, when, what) else {
            panic!("{what}: {projection:?}");
        };
        assert!(
            why.contains("12800/s") && why.contains("at least 10001"),
            "{why}"
        );
    }
    near(number(amount(&projection, WELL, "orders that find")), 1.0);
    let course = &projection.courses[0];
    // Back to work the backlog goes on growing; it is drawn for as long again as the outage.
    let (at, waiting) = *course.corners.last().unwrap();
    near(at, 60.0 + 600.0 + 600.0);
    near(waiting, 1.2e9 + (2e6 - 12_800.0) * 600.0);
}

#[test]
fn a_course_begins_and_ends_with_nothing_waiting_where_it_drains() {
    let course = &of(&ask()).courses[0];
    assert_eq!(course.event_s, (6.0, 66.0));
    let found: Vec<(f64, f64)> = course.corners.clone();
    assert_eq!(found[0], (0.0, 0.0));
    assert_eq!(found[1], (6.0, 0.0));
    near(found[2].1, 60_000.0);
    near(found[3].0, 166.0);
    assert_eq!(found[3].1, 0.0);
}

#[test]
fn what_cannot_be_meant_is_refused_with_a_sentence() {
    type Change = fn(&mut Ask);
    let cases: [(Change, &str); 8] = [
        (|ask| ask.rate = PerSecond(0.0), "--rate 0"),
        (|ask| ask.rate = PerSecond(f64::NAN), "--rate NaN"),
        (|ask| ask.workers = 0, "--workers 0"),
        (|ask| ask.service_time = Duration::ZERO, "--service-time 0"),
        (|ask| ask.outage = Some(Duration::ZERO), "--outage 0"),
        (|ask| ask.deadline = Duration::ZERO, "--timeout 0"),
        (
            |ask| ask.slow = Some((ask.service_time, Duration::from_secs(1))),
            "not slower than",
        ),
        (
            |ask| (ask.outage, ask.slow) = (None, None),
            "nothing happens",
        ),
    ];
    for (change, words) in cases {
        let mut ask = ask();
        change(&mut ask);
        let refused = project(&ask, Vec::new(), "").unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
}

/// The planted run with the bytes of a broker's legs.
fn with_wire() -> Run {
    let mut run = planted();
    for trial in &mut run.trials {
        let leg = |sent| WireLeg {
            sent,
            received: 20.0,
            headers_computed: None,
        };
        if matches!(trial.cell.transport.as_str(), "queue" | "stream") {
            trial.bytes.wire.insert("client_broker".into(), leg(480.0));
            trial.bytes.wire.insert("broker_service".into(), leg(500.0));
        } else {
            trial.bytes.wire.insert("client_service".into(), leg(380.0));
        }
    }
    run
}

#[test]
fn costs_rest_on_the_cell_that_carried_most_and_name_it() {
    let measured = of_run(&with_wire(), "O3").unwrap();
    let names: Vec<&str> = measured.iter().map(|of| of.transport.as_str()).collect();
    assert_eq!(names, ["rest", "grpc", "queue", "stream"]);
    // Planted: the closed loop carried 10,000/s over the queue, the open one 2,000/s.
    let queue = &measured[2];
    assert_eq!(queue.cell, "queue-O3-c32");
    near(queue.wire_bytes.unwrap(), 1_020.0);
    let projection = project(&ask(), measured, "").unwrap();
    let figure = |when, what| number(amount(&projection, when, what));
    // Planted: 20 µs of the service, 60 µs of the broker per order, at 1,000/s.
    near(figure(WELL, "CPU of the service, queue"), 0.02);
    near(figure(WELL, "CPU of the broker, queue"), 0.06);
    near(figure(WELL, "bandwidth, queue"), 8.0 * 1_020.0 * 1_000.0);
    near(
        figure("an outage", "broker's disk, queue"),
        480.0 * 60_000.0,
    );
    let line = projection
        .figures
        .iter()
        .find(|line| line.what.starts_with("broker's disk, queue"))
        .unwrap();
    assert!(line.rests_on.contains("queue-O3-c32"), "{line:?}");
    // A synchronous transport has no broker to keep anything.
    assert!(
        !projection
            .figures
            .iter()
            .any(|line| line.what.starts_with("broker's disk, rest")
                || line.what == "CPU of the broker, rest")
    );
}

#[test]
fn a_payload_that_nobody_ran_is_no_zero() {
    let refused = of_run(&planted(), "O10").unwrap_err();
    assert!(refused.contains("--payload"), "{refused}");
    // Without wire bytes the figure is missing, with the cell that did not count them.
    let mut run = planted();
    run.trials.retain(|trial| trial.cell.transport == "rest");
    let projection = project(&ask(), of_run(&run, "O3").unwrap(), "").unwrap();
    let Amount::NotMeasured(why) = amount(&projection, WELL, "bandwidth, rest") else {
        panic!("{projection:?}");
    };
    assert!(why.contains("counted no wire bytes"), "{why}");
    let Amount::NotMeasured(why) = amount(&projection, "an outage", "broker's disk") else {
        panic!("{projection:?}");
    };
    assert!(why.contains("no cell over a broker"), "{why}");
}
