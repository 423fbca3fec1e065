//! Ways of connecting, a relay in between, and the bytes of connections that live for one call: counts, ledgers and
//! bytes. Of times only what no machine can undercut: a delay that was asked for.

use assert_cmd::Command;
use bench_client::service::Launch;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

fn client() -> Command {
    let mut command = Command::cargo_bin("bench-client").expect("the program under test is built");
    command.timeout(Duration::from_secs(240));
    command
}

/// Runs `load --json` with no warm-up and returns the trial.
fn load(transport: &str, count: u64, arguments: &[&str]) -> Value {
    let output = client()
        .args(["load", "--json", "--warmup", "0s", "--transport", transport])
        .args(["--count", &count.to_string()])
        .args(arguments)
        .output()
        .expect("it runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    let trial: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{transport}: {error}; it said: {complaint}"));
    let ledger = &trial["ledger"];
    assert_eq!(ledger["acknowledged"], count, "{transport}: {trial}");
    trial
}

/// [`load`] against a service of our own: each order arrived, once.
fn carry(transport: &str, count: u64, arguments: &[&str]) -> Value {
    let trial = load(transport, count, arguments);
    let ledger = &trial["ledger"];
    for (name, expected) in [("delivered", count), ("lost", 0), ("duplicated", 0)] {
        assert_eq!(ledger[name], expected, "{transport} {name}: {ledger}");
    }
    trial
}

fn sent_and_received(trial: &Value) -> (f64, f64) {
    let leg = &trial["bytes"]["wire"]["client_service"];
    let of = |name: &str| {
        leg[name].as_f64().unwrap_or_else(|| {
            panic!(
                "no {name}: {}",
                trial["bytes"]["wire_missing"].as_str().unwrap_or("")
            )
        })
    };
    (of("sent"), of("received"))
}

fn connects(trial: &Value) -> u64 {
    trial["counters"]["connects"].as_u64().unwrap_or(0)
}

#[test]
fn the_bytes_of_connections_that_live_for_one_call_are_all_counted() {
    const COUNT: u64 = 2_000;
    for transport in ["tcp", "rest"] {
        let kept = carry(transport, COUNT, &["--in-flight", "8"]);
        let alone = carry(
            transport,
            COUNT,
            &["--in-flight", "8", "--connecting", "per-call"],
        );
        assert_eq!(connects(&kept), 0, "{transport}: opened before the window");
        assert_eq!(connects(&alone), COUNT, "{transport}");
        // A request is the same bytes on a connection of its own as on a kept one: one that was missed, or counted
        // twice, would show.
        assert_eq!(
            sent_and_received(&alone),
            sent_and_received(&kept),
            "{transport}"
        );
        assert_eq!(alone["in_force"]["connecting"], "per-call");
        assert_eq!(alone["cell"]["factors"]["connecting"], "per-call");
    }
    let trial = carry("tcp", COUNT, &["--connecting", "per-call"]);
    // Orders differ in length, so bodies are a mean; what surrounds one does not.
    let body = |name: &str| trial["bytes"][name].as_f64().unwrap();
    let frame = bench_transport::tcp::frame_len(0, true) as f64 + body("body_out");
    let answer = bench_transport::tcp::answer_len(0) as f64 + body("body_in");
    assert_eq!(sent_and_received(&trial), (frame, answer));
}

#[test]
fn a_channel_for_each_call_brings_its_settings_along_each_time() {
    let kept = carry("grpc", 300, &["--in-flight", "4"]);
    let alone = carry(
        "grpc",
        300,
        &["--in-flight", "4", "--connecting", "per-call"],
    );
    assert_eq!((connects(&kept), connects(&alone)), (0, 300));
    // Preface, SETTINGS and their acknowledgement at the very least.
    let more = sent_and_received(&alone).0 - sent_and_received(&kept).0;
    assert!(more >= 24.0 + 9.0 + 9.0, "only {more} bytes more per call");
}

#[test]
fn the_brokers_carry_orders_as_the_sources_write_it() {
    if std::env::var_os("HOPBENCH_SKIP_BROKERS").is_some_and(|value| value == "1") {
        eprintln!("brokers skipped: HOPBENCH_SKIP_BROKERS=1");
        return;
    }
    for way in ["per-call", "as-written"] {
        let trial = carry("queue", 60, &["--in-flight", "4", "--connecting", way]);
        assert_eq!(connects(&trial), 60, "{way}");
        let confirms = trial["in_force"]["confirms"].as_str().unwrap();
        assert_eq!(confirms == "true", way == "per-call", "{way}: {confirms}");
    }
    let trial = carry(
        "stream",
        500,
        &[
            "--in-flight",
            "4",
            "--connecting",
            "as-written",
            "--format",
            "json",
        ],
    );
    assert_eq!(trial["in_force"]["acks"], "1");
}

#[test]
fn a_relay_delays_every_call_and_twice_that_for_a_new_connection() {
    for transport in ["tcp", "rest", "grpc"] {
        let bare = carry(transport, 200, &["--in-flight", "1"]);
        let kept = carry(transport, 200, &["--in-flight", "1", "--relay", "2ms"]);
        let alone = carry(
            transport,
            200,
            &[
                "--in-flight",
                "1",
                "--relay",
                "2ms",
                "--connecting",
                "per-call",
            ],
        );
        let least = |trial: &Value| trial["accept_ns"]["p50"].as_u64().unwrap();
        assert!(least(&kept) >= 4_000_000, "{transport}: {}", least(&kept));
        assert!(least(&alone) >= 8_000_000, "{transport}: {}", least(&alone));
        if transport != "grpc" {
            assert_eq!(sent_and_received(&kept), sent_and_received(&bare));
            assert_eq!(sent_and_received(&alone), sent_and_received(&bare));
        }
        assert_eq!(kept["cell"]["factors"]["relay_us"], "2000");
    }
}

/// A program that says in its first line where it is.
struct Program {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Program {
    fn start(arguments: &[&str], name: &str) -> (Self, String) {
        let program = Launch::find_program().expect("bench-server is built");
        let mut child = std::process::Command::new(program)
            .args(arguments)
            .arg("--with-parent")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let address = ready[name].as_str().unwrap().to_string();
        (Self { child, lines }, address)
    }

    /// Stops it politely; its last line.
    fn stop(mut self) -> Value {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let last = self.lines.next().map_or("null".into(), Result::unwrap);
        assert!(self.child.wait().unwrap().success());
        serde_json::from_str(&last).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_kernels_wire_bytes_of_rest_are_to_the_byte_what_a_relay_counted() {
    const COUNT: u64 = 500;
    for (way, connections) in [("kept", 8), ("per-call", COUNT + 1)] {
        for http in ["h1", "h2"] {
            let (service, address) = Program::start(&["serve", "--rest", "127.0.0.1:0"], "rest");
            let (relay, target) =
                Program::start(&["relay", "--to", &address, "--delay-us", "0"], "relay");
            let trial = load(
                "rest",
                COUNT,
                &[
                    "--http",
                    http,
                    "--connecting",
                    way,
                    "--in-flight",
                    "8",
                    "--connections",
                    "8",
                    "--target",
                    &target,
                ],
            );
            let passed = relay.stop();
            service.stop();
            let whole = |per_op: f64| (per_op * COUNT as f64).round() as u64;
            let (sent, received) = sent_and_received(&trial);
            assert_eq!(passed["connections"], connections, "{http} {way}");
            let counted = |name: &str| passed[name].as_u64().unwrap();
            if http == "h1" {
                assert_eq!(whole(sent), counted("to_service"), "{way}");
                assert_eq!(whole(received), counted("to_caller"), "{way}");
            } else {
                // The prefaces of connections that were opened before the window are the relay's alone.
                assert!(whole(sent) < counted("to_service"), "{way}");
            }
        }
    }
}

#[test]
fn what_a_transport_cannot_do_is_refused_before_anything_starts() {
    for (arguments, words) in [
        (
            ["--transport", "stream", "--connecting", "per-call"],
            "as-written",
        ),
        (
            ["--transport", "grpc", "--connecting", "as-written"],
            "no sample",
        ),
        (
            ["--transport", "queue", "--relay", "500us"],
            "tcp, rest or grpc",
        ),
        (["--transport", "rest", "--relay", "11s"], "10 s"),
        (["--transport", "rest", "--connecting", "never"], "per-call"),
    ] {
        let output = client().arg("load").args(arguments).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {complaint}");
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
}

#[test]
fn the_experiments_on_connecting_run_and_say_what_they_found() {
    let skip = std::env::var_os("HOPBENCH_SKIP_BROKERS").is_some_and(|value| value == "1");
    let transports = if skip {
        "rest,grpc"
    } else {
        "rest,grpc,queue,stream"
    };
    let folder = tempfile::tempdir().unwrap();
    let output = client()
        .args([
            "run",
            "connections",
            "as-written",
            "deployed",
            "--blocks",
            "1",
            "--warm-up",
            "0s",
            "--reruns",
            "0",
        ])
        .args(["--transport", transports, "--json", "--quiet", "--out"])
        .arg(folder.path().join("run"))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    // The machine may be too busy for a headline (3); everything else must have worked.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{complaint}");
    let run: Value = serde_json::from_slice(&output.stdout).expect("run.json alone on stdout");
    let trials = run["trials"].as_array().unwrap();
    let mut ids: Vec<&str> = Vec::new();
    for trial in trials.iter().filter(|trial| trial["attempt"] == 0) {
        ids.push(trial["cell"]["id"].as_str().unwrap());
        let ledger = &trial["ledger"];
        assert_eq!(ledger["attempted"], ledger["acknowledged"], "{trial}");
        assert_eq!(
            (&ledger["lost"], &ledger["duplicated"]),
            (&0.into(), &0.into())
        );
        let per_call = trial["cell"]["factors"]["connecting"] == "per-call";
        if per_call {
            assert_eq!(
                trial["counters"]["connects"], ledger["attempted"],
                "{trial}"
            );
        }
    }
    let brokers = if skip { 0 } else { 8 };
    // Paced: 4 ways in the clear and over TLS, each bare and relayed. Saturated: 8. The sources' sample of REST beside its
    // matched cell, which is one of the 8; REST, HTTP/2 and gRPC deployed beside cells that are among them too.
    assert_eq!(ids.len(), 16 + 8 + 1 + 3 + brokers, "{ids:?}");
    let tables = run["tables"].as_array().unwrap();
    let of = |name: &str| tables.iter().filter(|t| t["experiment"] == name).count();
    assert_eq!(
        (of("connections"), of("as-written"), of("deployed")),
        (3, 1, 1)
    );
    let deployed = tables
        .iter()
        .find(|t| t["experiment"] == "deployed")
        .unwrap();
    let note = deployed["note"].as_str().unwrap();
    assert!(note.contains("axum::serve leaves it on"), "{note}");
    for claim in ["conn-cost", "as-written"] {
        let rows = run["verdicts"].as_array().unwrap();
        let row = rows.iter().find(|row| row["claim"] == claim).unwrap();
        // One block gives no interval, and so no decision.
        assert_eq!(row["verdict"], "inconclusive", "{row}");
    }
}
