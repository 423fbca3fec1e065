//! The experiments `size` and `codec` as a user runs them, on every transport, real brokers included: counts, bytes and
//! structure, never a time.

use assert_cmd::Command;
use serde_json::Value;

/// Whether the tests were told to do without brokers; otherwise a missing broker fails them.
fn transports() -> &'static str {
    if std::env::var_os("HOPBENCH_SKIP_BROKERS").is_some_and(|value| value == "1") {
        eprintln!("queue and stream skipped: HOPBENCH_SKIP_BROKERS=1");
        "tcp,rest,grpc"
    } else {
        "tcp,rest,grpc,queue,stream"
    }
}

#[test]
fn size_and_codec_count_every_class_and_every_transport_and_judge_their_claims() {
    let _turn = crate::turn();
    let folder = tempfile::tempdir().unwrap();
    let output = Command::cargo_bin("bench-client")
        .expect("the program under test is built")
        .timeout(std::time::Duration::from_secs(240))
        .args([
            "run",
            "size",
            "codec",
            "--blocks",
            "2",
            "--warm-up",
            "0s",
            "--reruns",
            "0",
            "--json",
            "--quiet",
        ])
        .args(["--transport", transports(), "--out"])
        .arg(folder.path().join("run"))
        .output()
        .expect("it runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    let run: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}; it said: {complaint}"));
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    assert_eq!(
        run["skipped"],
        serde_json::json!([]),
        "a broker is missing: see `make up`"
    );
    let rows = |name: &str| run[name].as_array().expect("a list").clone();

    // 13 classes in 3 encodings, plain and compressed in 2 ways.
    assert_eq!(rows("sizes").len(), 13 * 3 * 3);
    // 13 classes and 4 large orders, 2 formats, 2 directions; and the A/A pair's second arm.
    assert_eq!(rows("codecs").len(), 17 * 4 + 4);
    for row in rows("codecs") {
        assert_eq!(
            row["ns_per_message"].as_array().map(Vec::len),
            Some(2),
            "{row}"
        );
    }
    wire(&rows("trials"));

    let verdict = |claim: &str| {
        let found = rows("verdicts")
            .into_iter()
            .find(|row| row["claim"] == claim);
        found.expect("a row for every claim")
    };
    assert_ne!(verdict("size-3-10x")["verdict"], "not_measured");
    let json = verdict("json-1-5ms");
    assert_eq!(json["parts"].as_array().map(Vec::len), Some(8), "{json}");
    assert_ne!(json["verdict"], "not_measured", "{json}");
    assert!(
        json["reason"]
            .as_str()
            .unwrap()
            .contains("costs 1 ms of CPU at a body of")
    );
    let tables = rows("tables");
    let of = |experiment: &str| {
        tables
            .iter()
            .filter(|table| table["experiment"] == experiment)
            .count()
    };
    assert_eq!((of("size"), of("codec")), (2, 2));
    assert!(
        run["ratios"].as_array().unwrap().is_empty(),
        "bytes are no timing"
    );
}

/// Two hundred orders per cell, all acknowledged, and on tcp exactly the bytes of arithmetic.
fn wire(trials: &[Value]) {
    let cells = 1 + transports().split(',').count();
    // Counts need no second block, but one was asked for.
    assert_eq!(trials.len(), 2 * cells);
    for trial in trials {
        let (cell, ledger) = (&trial["cell"], &trial["ledger"]);
        assert_eq!(cell["factors"]["stamped"], "no", "{cell}");
        assert_eq!(ledger["attempted"], 200, "{cell}: {ledger}");
        assert_eq!(ledger["acknowledged"], 200, "{cell}: {ledger}");
        // Without a Stamp nothing is known by name; the service counted what came.
        assert_eq!(ledger["delivered"], Value::Null, "{cell}: {ledger}");
        assert_eq!(
            trial["counters"]["unstamped"], 200,
            "{cell}: {}",
            trial["counters"]
        );
        let bytes = &trial["bytes"];
        let legs = bytes["wire"]
            .as_object()
            .unwrap_or_else(|| panic!("{cell}: {bytes}"));
        let sum: f64 = legs
            .values()
            .map(|leg| leg["sent"].as_f64().unwrap() + leg["received"].as_f64().unwrap())
            .sum();
        let body = |name: &str| bytes[name].as_f64().unwrap_or(0.0);
        assert!(sum > body("body_out") + body("body_in"), "{cell}: {bytes}");
        if cell["transport"] == "tcp" {
            let frame = bench_transport::tcp::frame_len(body("body_out") as usize, false);
            // The receipts' lengths differ, so their mean has a fraction; their frame does not.
            let around = bench_transport::tcp::answer_len(0) as f64;
            assert!(body("body_out") >= 280.0);
            let frame = frame as f64 + body("body_out").fract();
            let expected = frame + around + body("body_in");
            assert!(
                (sum - expected).abs() < 1e-6,
                "{sum} bytes, expected {expected}"
            );
        }
    }
}
