//! One ad-hoc load run on every transport, real brokers included: counts, ledgers and bytes, never a time.

use crate::common::{json, without_brokers};
use assert_cmd::Command;
use serde_json::Value;

const TRANSPORTS: [&str; 5] = ["tcp", "rest", "grpc", "queue", "stream"];

/// Whether there is no broker for it.
fn skipped(transport: &str) -> bool {
    matches!(transport, "queue" | "stream") && without_brokers()
}

/// Runs `load --json` and returns the trial and the exit status.
fn load(transport: &str, arguments: &[&str]) -> (Value, i32) {
    let what = ["load", "--json", "--transport", transport];
    json(&[&what[..], arguments].concat())
}

#[test]
fn every_transport_carries_every_order_and_the_trial_fits_its_schema() {
    let schema = Command::cargo_bin("bench-client")
        .unwrap()
        .args(["schema", "--trial"])
        .output()
        .unwrap()
        .stdout;
    let validator = jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap()).unwrap();
    for transport in TRANSPORTS
        .into_iter()
        .filter(|transport| !skipped(transport))
    {
        let (trial, _) = load(
            transport,
            &["--count", "10000", "--in-flight", "32", "--warmup", "200ms"],
        );
        let problems: Vec<String> = validator
            .iter_errors(&trial)
            .map(|error| error.to_string())
            .collect();
        assert!(problems.is_empty(), "{transport}: {problems:?}");
        let ledger = &trial["ledger"];
        for (name, expected) in [
            ("attempted", 10_000),
            ("acknowledged", 10_000),
            ("delivered", 10_000),
            ("lost", 0),
            ("duplicated", 0),
            ("recovered", 0),
            ("unexpected", 0),
            ("open", 0),
        ] {
            assert_eq!(ledger[name], expected, "{transport} {name}: {ledger}");
        }
        assert_eq!(trial["completion_ns"]["count"], 10_000, "{transport}");
        assert_eq!(trial["accept_ns"]["count"], 10_000, "{transport}");
        let completed: u64 = trial["series"]
            .as_array()
            .unwrap()
            .iter()
            .map(|bin| bin["completed"].as_u64().unwrap())
            .sum();
        assert_eq!(
            completed, 10_000,
            "{transport}: the series holds every completion"
        );
        assert_eq!(
            trial["counters"].as_object().map_or(0, |counters| counters
                .keys()
                .filter(|name| name.starts_with("failed"))
                .count()),
            0
        );
    }
}

#[test]
fn planted_faults_are_found_to_the_exact_count_on_every_transport() {
    for transport in TRANSPORTS
        .into_iter()
        .filter(|transport| !skipped(transport))
    {
        // What was dropped never comes, so the grace is waited out; on a busy machine a consumer group falls behind.
        let grace = if transport == "stream" { "8s" } else { "1s" };
        // One in flight: then nothing but the planted swaps is out of order.
        let (trial, exit) = load(
            transport,
            &[
                "--count",
                "3000",
                "--in-flight",
                "1",
                "--warmup",
                "0s",
                "--grace",
                grace,
                "--plant",
                "drop=1/100,double=1/100,swap=1/100",
            ],
        );
        let (ledger, counters) = (&trial["ledger"], &trial["counters"]);
        assert_eq!(counters["planted: dropped"], 30, "{transport}: {counters}");
        assert_eq!(
            ledger["lost"], counters["planted: dropped"],
            "{transport}: {ledger}"
        );
        assert_eq!(
            ledger["duplicated"], counters["planted: doubled"],
            "{transport}: {ledger}"
        );
        assert_eq!(
            ledger["reordered"], counters["planted: swapped"],
            "{transport}: {ledger}"
        );
        assert_eq!(ledger["unexpected"], 0);
        assert_eq!(
            trial["validity"]["state"], "INVALID",
            "a loss that no fault explains makes the trial INVALID"
        );
        assert_eq!(exit, 3);
    }
}

#[test]
fn a_planted_slower_codec_burdens_each_body_of_its_format_once_at_the_service_whatever_the_transport()
 {
    let borne = |transport: &str, format: &str| {
        let plant = format!("codec={format}:10");
        let arguments = [
            "--count",
            "500",
            "--in-flight",
            "4",
            "--warmup",
            "0s",
            "--plant",
            &plant,
        ];
        let (trial, _) = load(transport, &arguments);
        assert_eq!(trial["ledger"]["acknowledged"], 500, "{transport}");
        trial["counters"]["planted: codec"].as_u64()
    };
    // Each order is decoded and its receipt encoded.
    assert_eq!(borne("tcp", "protobuf"), Some(1_000));
    assert_eq!(borne("grpc", "protobuf"), Some(1_000));
    assert_eq!(borne("rest", "json"), Some(1_000));
    // The other format bears nothing, and a count of none is not listed.
    assert_eq!(borne("rest", "protobuf"), None);
    assert_eq!(borne("grpc", "json"), None);
}

#[test]
fn the_wire_bytes_of_tcp_are_exactly_what_arithmetic_says() {
    let (trial, _) = load(
        "tcp",
        &["--count", "5000", "--in-flight", "8", "--payload", "E1K"],
    );
    let leg = &trial["bytes"]["wire"]["client_service"];
    let body = trial["bytes"]["body_out"].as_f64().unwrap();
    let frame = bench_transport::tcp::frame_len(body as usize, true) as f64;
    assert_eq!(body, 1_027.0, "E1K is 1,027 bytes as protobuf");
    assert_eq!(leg["sent"].as_f64().unwrap(), frame, "{leg}");
    let answer =
        bench_transport::tcp::answer_len(trial["bytes"]["body_in"].as_f64().unwrap() as usize)
            as f64;
    assert_eq!(leg["received"].as_f64().unwrap(), answer, "{leg}");
}

#[test]
fn an_open_loop_with_a_slow_service_accounts_for_timeouts_as_unknown_and_recovers_them() {
    for transport in ["tcp", "rest", "grpc"] {
        // 4 workers at 100 ms do 40/s of the 100/s: callers give up after 300 ms, the service finishes what it took.
        let (trial, _) = load(
            transport,
            &[
                "--rate",
                "100",
                "--duration",
                "2s",
                "--slow",
                "100ms",
                "--workers",
                "4",
                "--timeout",
                "300ms",
                "--grace",
                "20s",
                "--warmup",
                "0s",
                "--connections",
                "256",
            ],
        );
        let ledger = &trial["ledger"];
        let of = |name: &str| {
            ledger[name]
                .as_u64()
                .unwrap_or_else(|| panic!("{transport}: {name} of {ledger}"))
        };
        assert_eq!(of("attempted"), 200, "{transport}");
        assert_eq!(
            of("attempted"),
            of("acknowledged") + of("refused") + of("failed") + of("timed_out") + of("open"),
            "{transport}: {ledger}"
        );
        assert!(
            of("timed_out") > 0,
            "{transport}: an overloaded service must miss deadlines: {ledger}"
        );
        assert_eq!(of("lost"), 0, "{transport}: {ledger}");
        assert_eq!(
            of("delivered"),
            of("acknowledged") + of("recovered"),
            "{transport}: {ledger}"
        );
        assert_eq!(
            trial["accept_ns"]["censored"],
            of("timed_out") + of("failed"),
            "{transport}"
        );
    }
}

#[test]
fn slowness_reaches_the_handler_on_every_transport() {
    for transport in TRANSPORTS
        .into_iter()
        .filter(|transport| !skipped(transport))
    {
        let (trial, _) = load(
            transport,
            &[
                "--count",
                "40",
                "--in-flight",
                "4",
                "--slow",
                "20ms",
                "--warmup",
                "0s",
            ],
        );
        assert_eq!(trial["ledger"]["delivered"], 40, "{transport}");
        // A sleep never ends early, so these hold on any machine; how much later it ends is not asserted.
        for latency in ["completion_ns", "handler_ns"] {
            let p50 = trial[latency]["p50"]
                .as_u64()
                .unwrap_or_else(|| panic!("{transport}: {latency}"));
            assert!(
                p50 >= 19_900_000,
                "{transport}: {latency} p50 is {p50} ns under 20 ms of slowness"
            );
        }
    }
}

#[test]
fn a_transport_without_its_broker_fails_with_a_sentence() {
    let output = Command::cargo_bin("bench-client")
        .unwrap()
        .env("HOPBENCH_AMQP_URL", "amqp://u:secret@127.0.0.1:9/%2f")
        .args(["load", "--transport", "queue", "--count", "1"])
        .timeout(std::time::Duration::from_secs(60))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(
        complaint.contains("127.0.0.1:9") && !complaint.contains("secret"),
        "{complaint}"
    );
}
