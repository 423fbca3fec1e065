//! Load over TLS, as the user asks for it: the same orders, the same accounting, and bytes on the wire that arithmetic
//! accounts for.

use assert_cmd::Command;
use serde_json::Value;

/// What TLS 1.3 adds to a record with AES-GCM: header 5, content type 1, authentication tag 16.
const RECORD: f64 = 22.0;

fn client(arguments: &[&str]) -> std::process::Output {
    Command::cargo_bin("bench-client")
        .expect("the program under test is built")
        .timeout(std::time::Duration::from_secs(120))
        .args(arguments)
        .output()
        .expect("it runs")
}

/// Whether the tests were told to do without brokers; otherwise a missing broker fails them.
fn skipped(transport: &str) -> bool {
    let skip = matches!(transport, "queue" | "stream")
        && std::env::var_os("HOPBENCH_SKIP_BROKERS").is_some_and(|value| value == "1");
    if skip {
        eprintln!("{transport} skipped: HOPBENCH_SKIP_BROKERS=1");
    }
    skip
}

fn load(transport: &str, arguments: &[&str]) -> Value {
    let mut all = vec!["load", "--json", "--tls", "--transport", transport];
    all.extend(arguments);
    let output = client(&all);
    let complaint = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{transport}: {error}; it said: {complaint}"))
}

#[test]
fn every_order_is_accounted_for_and_the_negotiated_settings_are_in_the_trial() {
    let all = [
        ("tcp", None, "none"),
        ("rest", Some("h1"), "http/1.1"),
        ("rest", Some("h2"), "h2"),
        ("grpc", None, "h2"),
        ("queue", None, "none"),
        ("stream", None, "none"),
    ];
    for (transport, http, protocol) in all.into_iter().filter(|(name, ..)| !skipped(name)) {
        let mut arguments = vec!["--count", "2000", "--in-flight", "8", "--warmup", "100ms"];
        arguments.extend(http.iter().flat_map(|http| ["--http", *http]));
        let trial = load(transport, &arguments);
        let ledger = &trial["ledger"];
        for (name, expected) in [
            ("attempted", 2_000),
            ("acknowledged", 2_000),
            ("delivered", 2_000),
            ("lost", 0),
            ("duplicated", 0),
        ] {
            assert_eq!(ledger[name], expected, "{transport} {name}: {ledger}");
        }
        let in_force = &trial["in_force"];
        assert_eq!(in_force["tls"], "TLSv1_3", "{transport}");
        assert_eq!(in_force["tls.cipher"], "TLS13_AES_256_GCM_SHA384");
        assert_eq!(in_force["tls.alpn"], protocol, "{transport}");
        assert_eq!(trial["cell"]["factors"]["tls"], "1.3");
        assert!(trial["cell"]["id"].as_str().unwrap().contains("-tls"));
        // Every leg was counted, broker's or not, and none less than the body it carried.
        let legs = trial["bytes"]["wire"].as_object().unwrap();
        let expected = if ["queue", "stream"].contains(&transport) {
            2
        } else {
            1
        };
        assert_eq!(legs.len(), expected, "{transport}: {}", trial["bytes"]);
        let body = trial["bytes"]["body_out"].as_f64().unwrap();
        for (name, leg) in legs {
            assert!(
                leg["sent"].as_f64().unwrap() > body,
                "{transport} {name}: {leg}"
            );
        }
        let text = trial.to_string();
        assert!(!text.contains("ca.pem") && !text.contains("PRIVATE KEY"));
    }
}

#[test]
fn a_frame_of_tcp_is_one_record_and_takes_just_its_frame_more() {
    // One in flight: nothing gathers, so each frame is a record of its own, each way.
    let trial = load(
        "tcp",
        &["--count", "500", "--in-flight", "1", "--payload", "E1K"],
    );
    let (leg, bytes) = (&trial["bytes"]["wire"]["client_service"], &trial["bytes"]);
    let body = |name: &str| bytes[name].as_f64().unwrap() as usize;
    let frame = bench_transport::tcp::frame_len(body("body_out"), true) as f64;
    let answer = bench_transport::tcp::answer_len(body("body_in")) as f64;
    assert_eq!(leg["sent"].as_f64().unwrap(), frame + RECORD, "{leg}");
    assert_eq!(leg["received"].as_f64().unwrap(), answer + RECORD, "{leg}");
}

#[test]
fn a_ca_without_a_target_of_ones_own_is_bad_usage() {
    let output = client(&["load", "--transport", "rest", "--ca", "ca.pem"]);
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("--target"), "{complaint}");
}

#[test]
fn the_experiment_runs_each_transport_with_and_without_and_judges_what_tls_adds() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let out = out.to_str().unwrap();
    let output = client(&[
        "run",
        "tls",
        "--suite",
        "full",
        "--blocks",
        "2",
        "--warm-up",
        "0s",
        "--reruns",
        "0",
        "--out",
        out,
        "--pin",
        "none",
    ]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    let results = std::fs::read_to_string(folder.path().join("run/run.json"));
    let run: Value =
        serde_json::from_str(&results.unwrap_or_else(|error| panic!("{error}: {complaint}")))
            .unwrap();
    let transports: Vec<&str> = ["tcp", "rest", "grpc", "queue", "stream"]
        .into_iter()
        .filter(|name| !skipped(name))
        .collect();
    let trials = run["trials"].as_array().unwrap();
    let first: Vec<&Value> = trials
        .iter()
        .filter(|trial| trial["attempt"] == 0)
        .collect();
    assert_eq!(first.len(), 2 * 2 * transports.len(), "{complaint}");
    for trial in trials {
        let encrypted = trial["cell"]["factors"]["tls"] == "1.3";
        let said = if encrypted { "TLSv1_3" } else { "off" };
        assert_eq!(trial["in_force"]["tls"], said, "{}", trial["cell"]);
        let ledger = &trial["ledger"];
        assert_eq!(ledger["attempted"], 1_050, "{}", trial["cell"]);
        assert_eq!(ledger["acknowledged"], ledger["delivered"], "{ledger}");
        assert_eq!(ledger["lost"], 0, "{ledger}");
    }
    let tables = run["tables"].as_array().unwrap();
    let table = tables
        .iter()
        .find(|table| table["experiment"] == "tls")
        .unwrap();
    assert_eq!(table["rows"].as_array().unwrap().len(), transports.len());
    let verdicts = run["verdicts"].as_array().unwrap();
    let verdict = verdicts
        .iter()
        .find(|row| row["claim"] == "tls-cost")
        .unwrap();
    assert_eq!(verdict["parts"].as_array().unwrap().len(), transports.len());
}
