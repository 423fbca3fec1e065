//! The real program: what it prints, how it stops, and what it refuses before anything starts.

use crate::common::{Orders, Program, RUN, command, http, origin, reset};
use bench_proto::{Format, Message, Stamp};
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Places one order over HTTP and JSON; the status.
async fn place(address: &str, sequence: u64) -> u16 {
    let Message::Order(order) = Orders::new().next(sequence) else {
        panic!("an order was expected");
    };
    let stamp = origin(sequence).stamp.unwrap().to_text();
    let headers = [
        ("content-type", "application/json".to_owned()),
        (Stamp::HEADER, String::from_utf8(stamp.to_vec()).unwrap()),
    ];
    let body = Format::Json.encode(&order);
    http(address, "POST", "/v1/orders", &headers, body).await.0
}

#[tokio::test]
async fn the_ready_line_names_every_address_and_what_is_in_force() {
    let program = Program::start(&[
        "--tcp",
        "127.0.0.1:0",
        "--rest",
        "localhost:0",
        "--grpc",
        "127.0.0.1:0",
        "--slow",
        "fail=0% workers=8",
        "--threads",
        "1",
        "--seed",
        "5",
        "--max-body",
        "64KiB",
    ]);
    let ready = &program.ready;
    assert!(ready.ready);
    assert_eq!(ready.pid, program.child.id());
    let names: Vec<_> = ready.listeners.keys().map(String::as_str).collect();
    assert_eq!(names, ["grpc", "rest", "tcp"]);
    for address in ready.listeners.values().chain(&ready.control) {
        let address: std::net::SocketAddr = address.parse().unwrap();
        assert_ne!(address.port(), 0);
        tokio::net::TcpStream::connect(address).await.unwrap();
    }
    let service = &ready.in_force["service"];
    for (name, value) in [
        ("workers", "8"),
        ("threads", "1"),
        ("seed", "5"),
        ("max_body", "65536"),
    ] {
        assert_eq!(service[name], value);
    }
    for name in ["tcp", "rest", "grpc"] {
        assert!(!ready.in_force[name].is_empty(), "{name}");
    }
}

#[tokio::test]
async fn orders_that_come_over_a_port_are_in_the_account_of_the_control_port() {
    let program = Program::start(&["--rest", "127.0.0.1:0"]);
    let control = program.control();
    control.reset(&reset()).await;
    for sequence in 0..10 {
        assert_eq!(place(program.rest(), sequence).await, 200);
    }
    let account = control.account().await;
    assert_eq!((account.run, account.progress.delivered), (RUN, 10));
}

#[tokio::test]
async fn a_stopped_service_finishes_what_it_accepted_and_leaves_nothing_behind() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let program = Program::start(&["--rest", "127.0.0.1:0", "--slow", "300ms"]);
        let control = program.control();
        let token_file = program.ready.token_file.clone().unwrap();
        let address = program.rest().to_owned();
        let placed = tokio::spawn(async move { place(&address, 0).await });
        while control.call("GET", "/v1/progress", "").await.1["in_service"] != 1 {
            tokio::task::yield_now().await;
        }
        program.signal(signal);
        assert_eq!(placed.await.unwrap(), 200);
        let (code, out, err) = tokio::task::spawn_blocking(|| program.end()).await.unwrap();
        assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "", ""));
        assert!(!token_file.exists());
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_service_at_once() {
    let program = Program::start(&["--rest", "127.0.0.1:0", "--slow", "60m"]);
    let control = program.control();
    let address = program.rest().to_owned();
    let cut = tokio::spawn(async move { place(&address, 0).await });
    while control.call("GET", "/v1/progress", "").await.1["in_service"] != 1 {
        tokio::task::yield_now().await;
    }
    program.signal(Signal::SIGTERM);
    // The first signal is taken once the port no longer accepts.
    while tokio::net::TcpStream::connect(program.rest()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    program.signal(Signal::SIGTERM);
    let (code, _, err) = tokio::task::spawn_blocking(|| program.end()).await.unwrap();
    assert_eq!(code, Some(1));
    assert!(err.contains("asked twice"), "{err}");
    assert!(cut.await.is_err());
}

/// Whether a process still runs; one that has ended and was not yet fetched by its parent doesn't.
fn runs(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit_once(") ").unwrap().1.starts_with(['Z', 'X']),
        Err(_) => false,
    }
}

#[test]
fn a_service_with_its_parent_goes_when_the_parent_is_killed() {
    let program = env!("CARGO_BIN_EXE_bench-server");
    let mut parent = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "'{program}' serve --rest 127.0.0.1:0 --with-parent & wait"
        ))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(parent.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let ready: bench_server::ready::Ready = serde_json::from_str(&line).unwrap();
    assert!(runs(ready.pid));
    parent.kill().unwrap();
    parent.wait().unwrap();
    // Its end closes the pipe; nothing but its end does.
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    while runs(ready.pid) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(!ready.token_file.unwrap().exists());
}

#[test]
fn a_service_with_its_parent_outlives_the_thread_that_started_it() {
    let program =
        std::thread::spawn(|| Program::start(&["--rest", "127.0.0.1:0", "--with-parent"]))
            .join()
            .unwrap();
    // The signal of the thread's death, if it is taken for the parent's, ends the program before this answer.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for sequence in 0..20 {
        assert_eq!(runtime.block_on(place(program.rest(), sequence)), 200);
    }
    program.signal(Signal::SIGTERM);
    assert_eq!(program.end().0, Some(0));
}

/// Traces of a crash, and how a compiler writes values: nothing for a person.
const NOISE: [&str; 9] = [
    "panicked",
    "Some(",
    "None)",
    "Err(",
    "Os {",
    "kind:",
    "ParseIntError",
    "Error {",
    "src/",
];

/// Checks that a refused command line says what came and what was expected, that nothing was started, and shows no
/// password.
fn is_refused(mut command: Command, arguments: &[&str], says: &str) {
    let folder = tempfile::tempdir().unwrap();
    let command = command
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("HOPBENCH_KAFKA_BROKERS");
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?} says it is ready");
    assert!(stderr.contains(says), "{arguments:?}: {says}: {stderr}");
    assert!(
        stderr
            .split(|c: char| !c.is_alphabetic())
            .any(|word| word == "expected"),
        "{arguments:?}: {stderr}"
    );
    for noise in NOISE.iter().chain(&["secret"]) {
        assert!(!stderr.contains(noise), "{arguments:?}: {noise}: {stderr}");
    }
    assert_eq!(
        folder.path().read_dir().unwrap().count(),
        0,
        "{arguments:?}"
    );
}

#[test]
fn bad_usage_is_refused_before_anything_starts_with_a_sentence_that_says_what_to_give() {
    let taken = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(taken.path(), "not a token").unwrap();
    let taken = taken.path().to_str().unwrap();
    let listener = ["--tcp", "127.0.0.1:0"];
    let own_queue = ["--queue", "amqp://me:secret@host"];
    let bounded = ["--queue-limit", "5"];
    let reads = [&own_queue[..], &["--reader", "a"], &bounded].concat();
    let fans_out = ["--next", "a=queue:amqp://me:secret@host,publish,fanout"];
    let fans_out = [&fans_out[..], &bounded].concat();
    let own_queue = [&own_queue[..], &["--next", "a=queue:amqp://me:secret@host"]].concat();
    let cases: &[(&[&str], &str)] = &[
        (&[], "give --tcp, --rest, --grpc, --queue or --stream"),
        (&["--rest"], "--rest"),
        (&["--rest", ""], "expected an address"),
        (&["--rest", "here"], "here"),
        (&["--rest", "127.0.0.1:70000"], "expected an address"),
        (&["--grpc", "[::1"], "[::1"),
        (&["--control", "nowhere"], "nowhere"),
        (&["--queue", "http://me:secret@host"], "amqp://"),
        (&["--queue", "env"], "HOPBENCH_AMQP_URL"),
        (&["--stream", "env"], "HOPBENCH_KAFKA_BROKERS"),
        (&["--stream", "localhost"], "expected brokers"),
        (&["--stream", "a:0"], "a:0"),
        (&["--slow", "sometimes"], "sometimes"),
        (&["--slow", "1ms fail=2"], "fail=2"),
        (&["--workers", "0"], "1 to 1000000"),
        (&["--workers", "many"], "many"),
        (&["--durability", "forever"], "durability class"),
        (&["--durability", "process"], "--journal DIR"),
        (&["--durability", "power"], "--journal DIR"),
        (&["--format", "xml"], "protobuf"),
        (&["--prefetch", "0"], "from 1 to 65535"),
        (&["--prefetch", "65536"], "65536"),
        (&["--consumers", "0"], "from 1 to 256"),
        (&["--consumers", "257"], "257"),
        (&["--partitions", "0"], "from 1 to 1000"),
        (&["--partitions", "1001"], "1001"),
        (&["--max-body", "4GiB"], "expected a size"),
        (&["--max-body", "0"], "expected a size"),
        (&["--threads", "0"], "from 1 to 1024"),
        (&["--threads", "1.5"], "1.5"),
        (&["--seed", "x"], "'x'"),
        (&["--pin", "8000"], "which this process may use"),
        (&["--pin", "3-1"], "3-1"),
        (&["--scope", "a/b"], "letters, digits"),
        (&["--scope", ""], "letters, digits"),
        (&["--control", "off", "--token-file", "t"], "control off"),
        (&["--token-file", taken], "is no token"),
        (&["--tls"], "--certificate FILE and --key FILE"),
        (&["--tls", "--certificate", "c.pem"], "--key <FILE>"),
        (&["--certificate", "c.pem"], "--tls"),
        (&["--ca", "ca.pem"], "--tls"),
        (&["--queue", "amqps://me:secret@host"], "expected --tls"),
        (&["--next", "inventory"], "NAME=TRANSPORT:TARGET"),
        (&["--next", "a=queue:env"], "HOPBENCH_AMQP_URL"),
        (&["--next", "a=queue:http://me:secret@h"], "amqp://"),
        (&["--next-side-by-side"], "--next"),
        (&["--reader", "a"], "--queue or --stream"),
        (&["--reader", "a b"], "letters, digits"),
        (&["--from-latest"], "--reader"),
        (&own_queue, "come back to it"),
        (&reads, "expected --queue-limit or a fan-out"),
        (&fans_out, "expected --queue-limit or a fan-out"),
        (&["--plant", "lose=1/2"], "lose=1/2"),
        (&["--plant", "drop=1/0"], "drop=1/0"),
        (&["--liston", "127.0.0.1:0"], "--liston"),
        (&["--seed", "1", "--seed", "2"], "--seed"),
    ];
    for (flags, says) in cases {
        let command = command(if flags.is_empty() { &[] } else { &listener });
        is_refused(command, flags, says);
    }
    let other: &[(&[&str], &str)] = &[
        (&[], "commands"),
        (&["sevre"], "sevre"),
        (&["relay"], "--to"),
        (&["relay", "--to", "nowhere"], "nowhere"),
        (&["relay", "--to", "127.0.0.1:9", "--listen", "x"], "'x'"),
        (
            &["relay", "--to", "127.0.0.1:9", "--delay-us", "99999999"],
            "99999999",
        ),
        (&["relay", "--to", "127.0.0.1:9", "--pin", "9-8"], "9-8"),
    ];
    for (arguments, says) in other {
        let program = Command::new(env!("CARGO_BIN_EXE_bench-server"));
        is_refused(program, arguments, says);
    }
}

#[test]
fn a_port_that_is_taken_is_a_failure_with_a_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flags in [
        ["--rest", &address],
        ["--tcp", &address],
        ["--grpc", &address],
    ] {
        let output = command(&flags).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(&address), "{stderr}");
    }
}

#[test]
fn what_a_library_logs_about_a_lost_broker_is_not_shown_unless_asked_for() {
    // It hears the protocol's name and hangs up.
    let broker = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("amqp://{}/%2f", broker.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in broker.incoming() {
            let _ = stream.unwrap().read_exact(&mut [0; 8]);
        }
    });
    let said = |log: Option<&str>| {
        let mut command = command(&["--queue", &url]);
        if let Some(log) = log {
            command.env("RUST_LOG", log);
        }
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("no usable RabbitMQ"), "{stderr}");
        stderr
    };
    let ours = said(None);
    assert_eq!(ours.lines().count(), 1, "{ours}");
    let everybodys = said(Some("error"));
    assert!(everybodys.contains("lapin"), "{everybodys}");
}

#[tokio::test]
async fn a_token_from_the_environment_leaves_no_file_and_a_weak_one_is_refused() {
    let mut with_token = command(&["--rest", "127.0.0.1:0"]);
    with_token.env("HOPBENCH_TOKEN", "x".repeat(40));
    let program = Program::started(with_token);
    assert_eq!(program.ready.token_file, None);
    let control = crate::common::Control {
        address: program.ready.control.clone().unwrap(),
        token: "x".repeat(40),
    };
    assert_eq!(control.call("GET", "/v1/progress", "").await.0, 200);
    let mut weak = command(&["--rest", "127.0.0.1:0"]);
    let output = weak.env("HOPBENCH_TOKEN", "short").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn every_listener_that_others_can_reach_is_announced_and_none_that_they_cannot() {
    let everywhere = "0.0.0.0:0";
    let program = Program::start(&[
        "--tcp",
        everywhere,
        "--rest",
        everywhere,
        "--grpc",
        everywhere,
        "--control",
        everywhere,
    ]);
    program.signal(Signal::SIGTERM);
    let (code, _, err) = program.end();
    assert_eq!(code, Some(0), "{err}");
    for flag in ["--tcp", "--rest", "--grpc", "--control"] {
        let warning = format!("WARNING: {flag} {everywhere} can be reached from other machines");
        assert!(err.contains(&warning), "{flag}: {err}");
    }
    let own = "127.0.0.1:0";
    let program = Program::start(&["--tcp", own, "--rest", own, "--grpc", own]);
    program.signal(Signal::SIGTERM);
    assert_eq!(program.end(), (Some(0), String::new(), String::new()));
}

#[test]
fn a_relay_that_others_can_reach_is_announced_too() {
    let mut relay = Command::new(env!("CARGO_BIN_EXE_bench-server"))
        .args(["relay", "--listen", "0.0.0.0:0", "--to", "127.0.0.1:9"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(relay.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("relay"), "{line}");
    let pid = nix::unistd::Pid::from_raw(relay.id() as i32);
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    let mut err = String::new();
    let stderr = relay.stderr.as_mut().unwrap();
    stderr.read_to_string(&mut err).unwrap();
    assert!(relay.wait().unwrap().success(), "{err}");
    assert!(
        err.contains("WARNING: --listen 0.0.0.0:0 can be reached from other machines"),
        "{err}"
    );
}

#[test]
fn a_listener_that_others_can_reach_is_announced_loudly() {
    let program = Program::start(&["--rest", "0.0.0.0:0", "--control", "off"]);
    assert_eq!(
        (&program.ready.control, &program.ready.token_file),
        (&None, &None)
    );
    program.signal(Signal::SIGTERM);
    let (code, _, err) = program.end();
    assert_eq!(code, Some(0));
    assert!(
        err.contains("WARNING: --rest 0.0.0.0:0 can be reached from other machines"),
        "{err}"
    );
}
