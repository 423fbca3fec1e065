//! Services and brokers that are killed, started, paused and resumed on a schedule, and what is left behind: nothing.

use super::*;

#[test]
fn a_killed_service_fails_its_callers_and_comes_back_when_it_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let trial = load(
        &pair(folder.path(), "1ms"),
        &[
            "--rate",
            "100",
            "--duration",
            "3s",
            "--warmup",
            "100ms",
            "--timeout",
            "4s",
            "--fault",
            "at 1s kill stock",
            "--fault",
            "at 1500ms start stock",
            "--fault",
            "at 500ms slow stock 5ms",
        ],
    );
    let faults = list(&trial["faults"]);
    let what: Vec<&str> = faults
        .iter()
        .map(|fault| fault["what"].as_str().unwrap())
        .collect();
    assert_eq!(
        what,
        [
            "at 500ms slow stock 5ms",
            "at 1s kill stock",
            "at 1.5s start stock"
        ]
    );
    for fault in faults {
        assert!(
            fault["actual_s"].as_f64() >= fault["planned_s"].as_f64(),
            "{fault}"
        );
    }
    let ledger = &trial["ledger"];
    assert_eq!(ledger["attempted"], 300, "{ledger}");
    assert!(count(&ledger["failed"]) > 0, "the stock was away: {ledger}");
    assert_eq!(ledger["open"], 0, "{ledger}");
    let (front, stock) = (&trial["hops"][0], &trial["hops"][1]);
    assert_eq!(ledger["delivered"], 300, "the front lived: {ledger}");
    assert_eq!(stock["died"], true);
    assert!(
        stock["ledger"]["delivered"].is_null(),
        "{}",
        stock["ledger"]
    );
    assert!(
        count(&stock["completed"]) > 0,
        "its second life worked: {stock}"
    );
    assert!(
        trial["reached"].is_null(),
        "a part of its ledger is gone: {}",
        trial["reached"]
    );
    let calls = &front["calls"]["stock"];
    assert_eq!(calls["calls"], 300, "{calls}");
    assert_eq!(
        count(&calls["succeeded"]),
        count(&ledger["acknowledged"]),
        "{calls} {ledger}"
    );
    let said = reasons(&trial);
    assert!(
        !said.contains("never delivered"),
        "a fault explains it: {said}"
    );
}

#[test]
fn a_killed_service_that_keeps_a_journal_comes_back_with_its_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let trial = load(
        &pair(folder.path(), "1ms"),
        &[
            "--rate",
            "100",
            "--duration",
            "2s",
            "--warmup",
            "100ms",
            "--durability",
            "process",
            "--fault",
            "at 500ms kill stock",
            "--fault",
            "at 800ms start stock",
        ],
    );
    let stock = &trial["hops"][1];
    let ledger = &stock["ledger"];
    assert_eq!(stock["died"], true);
    assert!(
        count(&stock["recovered"]) > 0,
        "its first life answered some: {stock}"
    );
    assert_eq!(
        ledger["lost"], 0,
        "what the user was told is done is in the journal: {ledger}"
    );
    assert_eq!(ledger["unexpected"], 0, "{ledger}");
    assert!(
        count(&ledger["delivered"]) >= count(&ledger["acknowledged"]),
        "{ledger}"
    );
    let all: u64 = list(&trial["reached"])
        .iter()
        .map(|one| count(&one["orders"]))
        .sum();
    assert_eq!(all, 200, "every ledger is known: {}", trial["reached"]);
    assert!(reached(&trial, &["front", "stock"]) >= count(&ledger["acknowledged"]));
}

/// The state of a process (`T`: stopped), none if it is gone.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn family(transport: Transport) -> Vec<u32> {
    let pids = Brokers::find().pids(transport);
    with_descendants(&pids).expect("/proc can be read")
}

#[test]
fn a_paused_broker_goes_on_and_keeps_every_order() {
    if without_brokers() {
        return;
    }
    let output = Command::cargo_bin("bench-client")
        .unwrap()
        .timeout(Duration::from_secs(120))
        .args(["load", "--json", "--transport", "queue", "--rate", "100"])
        .args(["--duration", "2s", "--warmup", "100ms", "--timeout", "8s"])
        .args(["--fault", "at 500ms pause rabbitmq"])
        .args(["--fault", "at 1s resume rabbitmq"])
        .output()
        .expect("it runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    if family(Transport::Queue).is_empty() {
        assert!(
            complaint.contains("cannot be seen from here"),
            "{complaint}"
        );
        return;
    }
    let trial: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}; it said: {complaint}"));
    assert_eq!(list(&trial["faults"]).len(), 2, "{}", trial["faults"]);
    let ledger = &trial["ledger"];
    assert_eq!(
        (&ledger["attempted"], &ledger["acknowledged"]),
        (&200.into(), &200.into()),
        "{ledger}"
    );
    assert_eq!(
        (&ledger["delivered"], &ledger["lost"]),
        (&200.into(), &0.into()),
        "{ledger}"
    );
    for pid in family(Transport::Queue) {
        assert_ne!(state(pid), Some('T'), "{pid} is still stopped");
    }
}

#[test]
fn a_broker_in_alarm_makes_its_publishers_wait_until_the_window_ends_and_keeps_every_order() {
    if without_brokers() {
        return;
    }
    let output = Command::cargo_bin("bench-client")
        .unwrap()
        .timeout(Duration::from_secs(120))
        .args(["load", "--json", "--transport", "queue", "--rate", "100"])
        .args(["--duration", "1500ms", "--warmup", "100ms"])
        .args(["--timeout", "8s", "--fault", "at 1s alarm rabbitmq"])
        .output()
        .expect("it runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    if family(Transport::Queue).is_empty() {
        assert!(
            complaint.contains("cannot be seen from here"),
            "{complaint}"
        );
        return;
    }
    let trial: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}; it said: {complaint}"));
    let faults = list(&trial["faults"]);
    assert_eq!(faults.len(), 1, "{}", trial["faults"]);
    assert_eq!(faults[0]["what"], "at 1s alarm rabbitmq");
    keeps_all(&trial["ledger"], 150);
}

/// Each of so many orders was confirmed and delivered.
fn keeps_all(ledger: &Value, orders: u64) {
    for name in ["attempted", "acknowledged", "delivered"] {
        assert_eq!(count(&ledger[name]), orders, "{name}: {ledger}");
    }
    assert_eq!(count(&ledger["lost"]), 0, "{ledger}");
}

/// The word behind a flag on the command line of a process.
fn flag(pid: u32, flag: &str) -> Option<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let mut words = line.split('\0');
    words.find(|word| *word == flag)?;
    words.next().map(str::to_string)
}

/// Looks until it finds something, for at most a minute.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_200 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}: not within a minute")
}

#[tokio::test]
async fn an_interruption_leaves_no_process_no_queue_no_topic_and_no_broker_stopped_or_in_alarm() {
    if without_brokers()
        || family(Transport::Stream).is_empty()
        || family(Transport::Queue).is_empty()
    {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let topology = serde_json::json!({
        "name": "three",
        "services": [{"name": "front"}, {"name": "stock"}, {"name": "mailer"}],
        "edges": [
            {"from": "front", "to": "stock", "transport": "stream", "way": "publish"},
            {"from": "stock", "to": "mailer", "transport": "queue", "way": "publish"},
        ],
    });
    let file = folder.path().join("three.json");
    std::fs::write(&file, topology.to_string()).unwrap();
    let mut client = std::process::Command::new(env!("CARGO_BIN_EXE_bench-client"))
        .args([
            "load",
            "--transport",
            "rest",
            "--rate",
            "50",
            "--duration",
            "60s",
        ])
        .args(["--warmup", "100ms", "--durability", "process", "--topology"])
        .arg(&file)
        // One after the other: while Kafka stands still, RabbitMQ is in alarm.
        .args(["--fault", "at 100ms alarm rabbitmq"])
        .args(["--fault", "at 300ms pause kafka"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let services = eventually("three services", || {
        let all = with_descendants(&[client.id()]).ok()?;
        let scopes: Vec<(u32, String)> = all
            .into_iter()
            .filter_map(|pid| Some((pid, flag(pid, "--scope")?)))
            .collect();
        (scopes.len() == 3).then_some(scopes)
    });
    eventually("a paused broker", || {
        let stopped = |pid: &u32| state(*pid) == Some('T');
        family(Transport::Stream).iter().all(stopped).then_some(())
    });
    let pid = nix::unistd::Pid::from_raw(client.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = tokio::task::spawn_blocking(move || {
        let status = client.wait();
        let mut said = String::new();
        if let Some(mut stderr) = client.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut stderr, &mut said);
        }
        (status, said)
    });
    let (status, said) = tokio::time::timeout(Duration::from_secs(60), output)
        .await
        .expect("it ends")
        .unwrap();
    assert_eq!(status.unwrap().code(), Some(1), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    for transport in [Transport::Queue, Transport::Stream] {
        for pid in family(transport) {
            assert_ne!(state(pid), Some('T'), "{transport}: {pid} is still stopped");
        }
    }
    for (pid, _) in &services {
        // A zombie is gone: nobody reaped it yet.
        let gone = || matches!(state(*pid), None | Some('Z')).then_some(());
        eventually("a service that ends", gone);
    }
    let brokers = Brokers::find();
    let settings = |transport: Transport, scope: &str| Settings {
        target: brokers
            .address(transport)
            .expect("the stack is up")
            .to_string(),
        scope: scope.to_string(),
        ..Settings::default()
    };
    for (_, scope) in &services {
        let left = queue::backlog(&settings(Transport::Queue, scope)).await;
        assert!(left.is_err(), "the queue of {scope} is still there");
        let left = stream::backlog(&settings(Transport::Stream, scope)).await;
        assert!(left.is_err(), "the topic of {scope} is still there");
    }
    let after = Command::cargo_bin("bench-client")
        .unwrap()
        .timeout(Duration::from_secs(120))
        .args(["load", "--json", "--transport", "queue", "--rate", "100"])
        .args(["--duration", "500ms", "--warmup", "100ms"])
        .output()
        .expect("it runs");
    let trial: Value = serde_json::from_slice(&after.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&after.stderr)));
    keeps_all(&trial["ledger"], 50);
}
