//! `cargo bench --bench round_trip`: one order at a time over each transport and format, the service on a thread of its own.
//! On a broker the caller waits for the confirm. Brokers that are not up are left out, and stderr says so.

use bench_client::stack::{Broker, Brokers};
use bench_host::place::{Cpus, Placement, pin_thread};
use bench_proto::slowness::Slowness;
use bench_proto::{Corpus, Durability, Format, Message, PayloadClass, Stamp};
use bench_server::OrderService;
use bench_server::service::Options;
use bench_transport::{
    CallResult, Caller, HttpVersion, Listener, Settings, Transport, grpc, queue, rest, stream, tcp,
};
use criterion::Criterion;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// A way for an order to go: transport, HTTP version, format.
const WAYS: [(Transport, HttpVersion, Format); 11] = [
    (Transport::Tcp, HttpVersion::H1, Format::Json),
    (Transport::Tcp, HttpVersion::H1, Format::Protobuf),
    (Transport::Rest, HttpVersion::H1, Format::Json),
    (Transport::Rest, HttpVersion::H1, Format::Protobuf),
    (Transport::Rest, HttpVersion::H2, Format::Json),
    (Transport::Rest, HttpVersion::H2, Format::Protobuf),
    (Transport::Grpc, HttpVersion::H2, Format::Protobuf),
    (Transport::Queue, HttpVersion::H1, Format::Json),
    (Transport::Queue, HttpVersion::H1, Format::Protobuf),
    (Transport::Stream, HttpVersion::H1, Format::Json),
    (Transport::Stream, HttpVersion::H1, Format::Protobuf),
];

const PAYLOADS: [PayloadClass; 2] = [PayloadClass::Order(3), PayloadClass::Order(100)];

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args();
    let (brokers, placement) = (Brokers::find(), Placement::for_this_machine(1)?);
    if let Some(cpus) = &placement.client {
        pin_thread(cpus)?;
    }
    for transport in Transport::ALL {
        let target = match brokers.of(transport) {
            Some(Broker::Missing(reason)) => {
                eprintln!("{transport} is left out: {reason}");
                continue;
            }
            Some(Broker::At { address, .. }) => address.clone(),
            None => "127.0.0.1:0".into(),
        };
        for (_, http, format) in WAYS.iter().filter(|way| way.0 == transport) {
            let settings = Settings {
                target: target.clone(),
                scope: format!("bench-{}", std::process::id()),
                format: *format,
                http: *http,
                durability: if transport.needs_broker() {
                    Durability::Process
                } else {
                    Durability::None
                },
                ..Settings::default()
            };
            way(
                &mut criterion,
                transport,
                settings,
                placement.service.clone(),
            )?;
        }
    }
    criterion.final_summary();
    Ok(())
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// Brings up one way, benches it and takes it down again.
fn way(
    criterion: &mut Criterion,
    transport: Transport,
    mut settings: Settings,
    cpus: Option<Cpus>,
) -> anyhow::Result<()> {
    let (runtime, local) = (runtime()?, LocalSet::new());
    let on_broker = settings.clone();
    match transport {
        Transport::Queue => runtime.block_on(queue::prepare(&on_broker))?,
        Transport::Stream => runtime.block_on(stream::prepare(&on_broker))?,
        _ => {}
    }
    let service = Service::start(transport, settings.clone(), cpus)?;
    if !transport.needs_broker() {
        settings.target = service.address.clone();
    }
    let name = match transport {
        Transport::Rest => format!("{transport}-{:?}/{}", settings.http, settings.format),
        _ => format!("{transport}/{}", settings.format),
    }
    .to_lowercase();
    let bench = Bench {
        criterion,
        runtime: &runtime,
        local: &local,
        name: &name,
    };
    match transport {
        Transport::Tcp => bench.run(local.block_on(&runtime, tcp::connect(&settings))?),
        Transport::Rest => bench.run(local.block_on(&runtime, rest::connect(&settings))?),
        Transport::Grpc => bench.run(local.block_on(&runtime, grpc::connect(&settings))?),
        Transport::Queue => bench.run(local.block_on(&runtime, queue::connect(&settings))?),
        Transport::Stream => bench.run(local.block_on(&runtime, stream::connect(&settings))?),
    }
    service.stop();
    match transport {
        Transport::Queue => runtime.block_on(queue::remove(&on_broker)),
        Transport::Stream => runtime.block_on(stream::remove(&on_broker)),
        _ => Ok(()),
    }
}

/// One way, ready to be called.
struct Bench<'a> {
    criterion: &'a mut Criterion,
    runtime: &'a Runtime,
    local: &'a LocalSet,
    name: &'a str,
}

impl Bench<'_> {
    fn run<C: Caller>(self, caller: C) {
        let mut group = self.criterion.benchmark_group("round_trip");
        for payload in PAYLOADS {
            let mut corpus = Corpus::first(payload, 1, 256);
            let mut sequence = 0;
            group.bench_function(format!("{}/{payload}", self.name), |bencher| {
                bencher.iter_custom(|calls| {
                    let calling = place(&caller, &mut corpus, &mut sequence, calls);
                    self.local.block_on(self.runtime, calling)
                });
            });
        }
        group.finish();
    }
}

/// So many orders one after the other, each encoded and its answer decoded inside the clock.
async fn place<C: Caller>(
    caller: &C,
    corpus: &mut Corpus,
    sequence: &mut u64,
    calls: u64,
) -> Duration {
    let began = Instant::now();
    for _ in 0..calls {
        *sequence += 1;
        let call = {
            let message = corpus.message(1, 0, *sequence);
            let key = match message {
                Message::Order(order) => order.user_id.as_str(),
                Message::Blob(_) => "",
            };
            let stamp = Stamp {
                run: 1,
                producer: 0,
                sequence: *sequence,
                planned_ns: 0,
            };
            let body = message.encode(caller.format());
            caller.call(message.kind(), key, body, Some(stamp))
        };
        let outcome = call.await;
        assert!(
            matches!(outcome.result, CallResult::Acknowledged(_)),
            "expected an answer, got {outcome:?}"
        );
    }
    began.elapsed()
}

/// The service on its own thread and runtime.
struct Service {
    address: String,
    stop: tokio::sync::oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Service {
    fn start(transport: Transport, settings: Settings, cpus: Option<Cpus>) -> anyhow::Result<Self> {
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let serving = || -> anyhow::Result<()> {
                if let Some(cpus) = &cpus {
                    pin_thread(cpus)?;
                }
                let journal = tempfile::tempdir()?;
                runtime()?.block_on(async {
                    let listener = serve(transport, &settings, journal.path().into()).await?;
                    let _ = tell.send(Ok(listener.address.clone()));
                    let _ = stopped.await;
                    listener.stop().await;
                    Ok(())
                })
            };
            if let Err(error) = serving() {
                let _ = tell.send(Err(error));
            }
        });
        Ok(Self {
            address: told.recv()??,
            stop,
            thread,
        })
    }

    fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

async fn serve(
    transport: Transport,
    settings: &Settings,
    journal: PathBuf,
) -> anyhow::Result<Listener> {
    let service = OrderService::start(Options {
        slowness: Slowness::none(),
        workers: None,
        max_waiting: None,
        seed: 1,
        durability: settings.durability,
        journal,
        idempotent: false,
        hops: None,
        plant: None,
    })?;
    match transport {
        Transport::Tcp => tcp::serve(settings, service).await,
        Transport::Rest => rest::serve(settings, service).await,
        Transport::Grpc => grpc::serve(settings, service).await,
        Transport::Queue => queue::serve(settings, service).await,
        Transport::Stream => stream::serve(settings, service).await,
    }
}
