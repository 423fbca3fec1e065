//! What the tests of this crate share: valid orders, a plain HTTP client, and the real program as a child process.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part of this"
)]

use bench_proto::control::{Account, Reset, Span};
use bench_proto::slowness::Slowness;
use bench_proto::{Corpus, Durability, Message, PayloadClass, ServiceLedger, Stamp};
use bench_server::ready::Ready;
use bench_server::service::{Options, OrderService};
use bench_transport::{Origin, Service};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

pub const RUN: u64 = 42;

/// A service in this process, as slow as the specification says, otherwise with defaults.
pub fn service(slow: &str) -> OrderService {
    service_with(slow, |_| {})
}

pub fn service_with(slow: &str, change: impl FnOnce(&mut Options)) -> OrderService {
    let mut options = Options {
        slowness: match slow {
            "" => Slowness::none(),
            slow => slow.parse().unwrap(),
        },
        workers: None,
        max_waiting: None,
        seed: 7,
        durability: Durability::None,
        journal: std::env::temp_dir(),
        idempotent: false,
        hops: None,
        plant: None,
    };
    change(&mut options);
    OrderService::start(options).unwrap()
}

/// The reset of a run whose window is the whole of time.
pub fn reset() -> Reset {
    Reset {
        run: RUN,
        start_ns: bench_host::clock::now_ns(),
        spans: vec![Span {
            name: "measured".into(),
            start_ns: 0,
            end_ns: u64::MAX,
        }],
        slowness: None,
        bin_ns: 0,
    }
}

/// Valid orders of three lines, each with its own id.
pub struct Orders(Corpus);

impl Orders {
    pub fn new() -> Self {
        Self(Corpus::new(PayloadClass::Order(3), 1))
    }

    pub fn next(&mut self, sequence: u64) -> Message {
        self.0.message(RUN, 0, sequence).clone()
    }
}

/// The origin of operation `sequence`, planned for now.
pub fn origin(sequence: u64) -> Origin {
    Origin {
        stamp: Some(Stamp {
            run: RUN,
            producer: 0,
            sequence,
            planned_ns: bench_host::clock::now_ns(),
        }),
        ..Origin::default()
    }
}

/// Hands `count` orders to the service, one after the other.
pub async fn place(service: &OrderService, count: u64) {
    let mut orders = Orders::new();
    for sequence in 0..count {
        let handling = service.handle(orders.next(sequence), origin(sequence));
        handling.await;
    }
}

pub fn ledger(account: &Account) -> ServiceLedger {
    ServiceLedger::from_json(&account.ledger).unwrap()
}

/// Reads a histogram as the account carries it.
pub fn histogram(text: &str) -> hdrhistogram::Histogram<u64> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    hdrhistogram::serialization::Deserializer::new()
        .deserialize(&mut bytes.unwrap().as_slice())
        .unwrap()
}

/// One HTTP/1.1 exchange on a connection of its own: status and body.
pub async fn http(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: impl Into<Bytes>,
) -> (u16, Bytes) {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = hyper::Request::builder()
        .method(method)
        .uri(path)
        .header("host", address);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    (
        status,
        response.into_body().collect().await.unwrap().to_bytes(),
    )
}

/// The control port of a service, as the instrument sees it.
pub struct Control {
    pub address: String,
    pub token: String,
}

impl Control {
    pub async fn call(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let headers = [("authorization", format!("Bearer {}", self.token))];
        let (status, body) = http(&self.address, method, path, &headers, body.to_owned()).await;
        (status, serde_json::from_slice(&body).unwrap())
    }

    pub async fn account(&self) -> Account {
        let (status, body) = self.call("GET", "/v1/account", "").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_value(body).unwrap()
    }

    pub async fn reset(&self, reset: &Reset) {
        let body = serde_json::to_string(reset).unwrap();
        let (status, body) = self.call("POST", "/v1/reset", &body).await;
        assert_eq!(status, 200, "{body}");
    }
}

/// The real program, ready. Killed when dropped.
pub struct Program {
    pub child: Child,
    pub ready: Ready,
    pub stdout: BufReader<std::process::ChildStdout>,
}

pub fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench-server"));
    command
        .arg("serve")
        .args(flags)
        .env_remove("HOPBENCH_TOKEN")
        .env_remove("HOPBENCH_AMQP_URL")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Program {
    pub fn start(flags: &[&str]) -> Self {
        Self::started(command(flags))
    }

    pub fn started(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut stderr = String::new();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut stderr)
                .unwrap();
            panic!("the program ended before it was ready: {stderr}");
        }
        Self {
            child,
            ready: serde_json::from_str(&line).unwrap(),
            stdout,
        }
    }

    pub fn control(&self) -> Control {
        let file = self.ready.token_file.as_ref().unwrap();
        Control {
            address: self.ready.control.clone().unwrap(),
            token: std::fs::read_to_string(file).unwrap().trim().to_owned(),
        }
    }

    pub fn rest(&self) -> &str {
        &self.ready.listeners["rest"]
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Exit code, the rest of standard output, and standard error.
    pub fn end(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), out, err)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A killed program can't clean up behind itself.
        if let Some(token_file) = &self.ready.token_file {
            let _ = std::fs::remove_file(token_file);
        }
    }
}
