//! What a call costs its caller: CPU per operation at 32 in flight, per synchronous transport, encoding each order
//! and decoding each receipt included. The service is a process of its own; on two cores or more both are pinned.
//!
//! `cargo run --release -p bench-transport --example cost [HOP…]`

use bench_host::cpu::process_cpu_ns;
use bench_host::place::{Cpus, pin_self};
use bench_proto::format::Answer;
use bench_proto::validate::validate;
use bench_proto::{Corpus, Format, Message, PayloadClass, Stamp};
use bench_transport::{
    CallResult, Caller, HttpVersion, Origin, Reply, Service, Settings, grpc, rest, tcp,
};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Instant;
use tokio::runtime::{LocalOptions, LocalRuntime};

const IN_FLIGHT: usize = 32;
const WARM_UP: u64 = 20_000;
const CALLS: u64 = 200_000;

const HOPS: [&str; 9] = [
    "tcp-1",
    "tcp-json-1",
    "rest-h1-json-32",
    "rest-h1-protobuf-32",
    "rest-h2-json-1",
    "rest-h2-json-4",
    "grpc-1",
    "grpc-4",
    "grpc-32",
];

/// A service that validates and nothing else.
#[derive(Clone)]
struct Validating;

impl Service for Validating {
    fn handle(&self, message: Message, _: Origin) -> impl Future<Output = Reply> + Send + 'static {
        std::future::ready(match message {
            Message::Blob(blob) => Reply::Done(Answer::Blob(blob)),
            Message::Order(order) => match validate(&order) {
                Ok(receipt) => Reply::Done(Answer::Receipt(receipt)),
                Err(refusal) => Reply::Refused(refusal.to_string()),
            },
        })
    }

    fn rejected(&self, what: &str) {
        eprintln!("rejected: {what}");
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [serving, cores @ ..] = &arguments[..]
        && serving == "serve"
    {
        pin(cores.first().and_then(|core| core.parse().ok()));
        return runtime()?.block_on(serve());
    }
    let cores: Vec<usize> = Cpus::allowed()?.iter().take(2).collect();
    let (service_core, own_core) = match cores[..] {
        [first, second] => (Some(first), Some(second)),
        _ => (None, None),
    };
    pin(own_core);
    println!(
        "{:<22}{:>10}{:>14}{:>14}",
        "hop", "calls/s", "client µs/op", "service µs/op"
    );
    for hop in HOPS {
        if arguments.is_empty() || arguments.iter().any(|wanted| hop.starts_with(wanted)) {
            runtime()?.block_on(measure(hop, service_core))?;
        }
    }
    Ok(())
}

fn runtime() -> anyhow::Result<LocalRuntime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?)
}

fn pin(core: Option<usize>) {
    if let Some(core) = core {
        let _ = pin_self(&[core].into_iter().collect());
    }
}

/// Serves on three free ports, says where, and stays until its parent closes its input.
async fn serve() -> anyhow::Result<()> {
    let settings = Settings {
        target: "127.0.0.1:0".into(),
        ..Settings::default()
    };
    let tcp = tcp::serve(&settings, Validating).await?;
    let rest = rest::serve(&settings, Validating).await?;
    let grpc = grpc::serve(&settings, Validating).await?;
    println!("{} {} {}", tcp.address, rest.address, grpc.address);
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}

struct ServiceProcess {
    child: Child,
    addresses: Vec<String>,
}

impl ServiceProcess {
    fn start(core: Option<usize>) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .args(core.map(|core| core.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line)?;
        let addresses = line.split_whitespace().map(str::to_string).collect();
        Ok(Self { child, addresses })
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

async fn measure(hop: &str, service_core: Option<usize>) -> anyhow::Result<()> {
    let service = ServiceProcess::start(service_core)?;
    let (kind, connections) = hop.rsplit_once('-').expect("a hop ends in its connections");
    let settings = |address: usize| Settings {
        target: service.addresses[address].clone(),
        format: if kind.contains("json") {
            Format::Json
        } else {
            Format::Protobuf
        },
        http: if kind.contains("h2") {
            HttpVersion::H2
        } else {
            HttpVersion::H1
        },
        connections: connections.parse().expect("a number of connections"),
        ..Settings::default()
    };
    let pid = service.child.id();
    match kind.split('-').next() {
        Some("tcp") => drive(hop, pid, tcp::connect(&settings(0)).await?).await,
        Some("rest") => drive(hop, pid, rest::connect(&settings(1)).await?).await,
        _ => drive(hop, pid, grpc::connect(&settings(2)).await?).await,
    }
}

async fn drive<C: Caller>(hop: &str, service: u32, caller: C) -> anyhow::Result<()> {
    let own = std::process::id();
    let start = Rc::new(Cell::new(None));
    let corpus = Rc::new(RefCell::new(Corpus::new(PayloadClass::Order(3), 1)));
    let sequence = Rc::new(Cell::new(0));
    let workers: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (caller, corpus, sequence) = (caller.clone(), corpus.clone(), sequence.clone());
            let start = start.clone();
            tokio::task::spawn_local(async move {
                while sequence.get() < WARM_UP + CALLS {
                    let next = sequence.replace(sequence.get() + 1);
                    if next == WARM_UP {
                        start.set(Some(Reading::now(own, service)));
                    }
                    let call = {
                        let mut corpus = corpus.borrow_mut();
                        let message = corpus.message(1, 0, next);
                        let stamp = Stamp {
                            run: 1,
                            producer: 0,
                            sequence: next,
                            planned_ns: 0,
                        };
                        let body = message.encode(caller.format());
                        caller.call(message.kind(), "", body, Some(stamp))
                    };
                    let outcome = call.await;
                    let CallResult::Acknowledged(Some(_)) = outcome.result else {
                        panic!("expected an answer, got {outcome:?}");
                    };
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await?;
    }
    let (before, after) = (
        start.take().expect("past the warm-up"),
        Reading::now(own, service),
    );
    let per_call = |from: u64, to: u64| (to - from) as f64 / CALLS as f64 / 1_000.0;
    println!(
        "{hop:<22}{:>10.0}{:>14.2}{:>14.2}",
        CALLS as f64 / (after.at - before.at).as_secs_f64(),
        per_call(before.client_ns, after.client_ns),
        per_call(before.service_ns, after.service_ns),
    );
    Ok(())
}

/// The clocks at one instant.
struct Reading {
    at: Instant,
    client_ns: u64,
    service_ns: u64,
}

impl Reading {
    fn now(client: u32, service: u32) -> Self {
        let cpu = |pid| process_cpu_ns(pid).expect("both processes run");
        Self {
            at: Instant::now(),
            client_ns: cpu(client),
            service_ns: cpu(service),
        }
    }
}
