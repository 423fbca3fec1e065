//! Consumers after an outage, and what may block a producer, as tiny plans over real brokers: counts, ledgers and rows;
//! never a time.

use super::support::{self, count, list, rows, texts, with_brokers};
use serde_json::Value;

fn sound(experiment: &str) -> Value {
    let run = support::sound(experiment, "queue,stream", 1);
    assert!(list(&run, "skipped").is_empty(), "{run}");
    run
}

#[test]
fn whatever_their_number_the_consumers_drain_what_waited_and_lose_nothing() {
    if !with_brokers() {
        eprintln!("skipped: HOPBENCH_SKIP_BROKERS=1 leaves no consumer");
        return;
    }
    let run = sound("consumers");
    let trials = list(&run, "trials");
    // One and eight on each broker, and eight on two partitions.
    assert_eq!(trials.len(), 5);
    for trial in trials {
        let count = |name: &str| count(&trial["ledger"], name);
        let all = count("attempted");
        // 10 before, 150 while the service is away, and those after it.
        assert!(all > 160, "{trial}");
        assert_eq!(count("acknowledged"), all, "{trial}");
        assert_eq!(count("delivered"), all, "{trial}");
        let wrong = ["lost", "duplicated", "unexpected"].map(count);
        assert_eq!(wrong, [0, 0, 0], "{trial}");
        let faults = texts(trial, "faults", "what");
        assert_eq!(
            faults,
            ["at 475ms pause service", "at 1s resume service"],
            "{trial}"
        );
        let away = &list(trial, "phases")[1];
        assert_eq!(away["name"], "away");
        assert_eq!(away["planned"], 150, "{trial}");
        assert_eq!(away["acknowledged"], 150, "{trial}");
        let broker = trial["cell"]["transport"].as_str().unwrap();
        let factors = &trial["cell"]["factors"];
        let consumers = factors["consumers"].as_str().unwrap_or("1");
        assert_eq!(
            trial["in_force"][format!("service.{broker}.consumers")],
            consumers,
            "{trial}"
        );
        assert_eq!(factors["prefetch"], "1", "{trial}");
    }
    let tables = list(&run, "tables");
    let busy = |row: &Value| (row[1]["number"].as_f64(), row[2]["number"].as_f64());
    let rows: Vec<_> = list(&tables[0], "rows").iter().map(busy).collect();
    let of = |consumers: f64, busy: f64| (Some(consumers), Some(busy));
    assert_eq!(
        rows,
        [
            of(1.0, 1.0),
            of(8.0, 8.0),
            of(1.0, 1.0),
            of(8.0, 8.0),
            of(8.0, 2.0)
        ]
    );
}

#[test]
fn a_stopped_consumer_blocks_nobody_a_full_queue_refuses_an_alarm_and_a_full_buffer_make_wait() {
    if !with_brokers() {
        eprintln!("skipped: HOPBENCH_SKIP_BROKERS=1 leaves no broker that could block");
        return;
    }
    let run = sound("blocked");
    let trials = list(&run, "trials");
    assert_eq!(trials.len(), 5);
    let (mut queues, mut alarms, mut buffers) = (0, 0, 0);
    for trial in trials {
        let count = |name: &str| count(&trial["ledger"], name);
        let (all, well) = (count("attempted"), count("acknowledged"));
        assert_eq!(
            count("delivered"),
            well + count("recovered"),
            "what was not confirmed is delivered as recovered or not at all: {trial}"
        );
        let faults = texts(trial, "faults", "what");
        let blocked = &list(trial, "phases")[1];
        assert_eq!(blocked["name"], "blocked");
        assert_eq!(blocked["planned"], 250, "{trial}");
        let factors = &trial["cell"]["factors"];
        let nacked = trial["counters"]["failed: nack"].as_u64().unwrap_or(0);
        if factors["queue_limit"].is_string() {
            queues += 1;
            // 50 in the queue and 8 at the consumer: the rest of 250 found no room.
            assert!(nacked > 0, "{trial}");
            assert_eq!(well + nacked, all, "{trial}");
        } else if factors["fault"].as_str().unwrap().contains("alarm") {
            alarms += 1;
            assert!(count("timed_out") > 0, "{trial}");
            assert_eq!((well + count("timed_out"), nacked), (all, 0), "{trial}");
            assert!(count("recovered") > 0, "what waited went out: {trial}");
            assert_eq!(
                faults,
                ["at 300ms alarm rabbitmq", "at 1.8s clear rabbitmq"]
            );
            continue;
        } else if factors["client_buffer"].is_string() {
            buffers += 1;
            assert!(well < all, "{trial}");
            assert_eq!(
                trial["in_force"]["queue.buffering.max.messages"], "50",
                "{trial}"
            );
            assert_eq!(faults, ["at 300ms pause kafka", "at 800ms resume kafka"]);
            continue;
        } else {
            assert_eq!((well, nacked), (all, 0), "{trial}");
        }
        assert_eq!(
            faults,
            ["at 300ms pause service", "at 800ms resume service"]
        );
    }
    assert_eq!((queues, alarms, buffers), (1, 1, 1));
    assert_eq!(rows(&run, 0), 5);
}
