//! One timed run of one cell: fresh service, fresh connections, fresh queue or topic; warm up, measure, drain,
//! account, judge. Repeats inside it are not observations.

mod drain;
mod scopes;
mod services;

pub use scopes::clear_leftovers;

use crate::account;
use crate::cell::Cell;
use crate::durable::Disk;
use crate::footprint;
use crate::generator::{Assignment, Generator, Signal};
use crate::load::series::Series;
use crate::load::{Record, Share, Watch};
use crate::meters::Meters;
use crate::results;
use crate::service::{self, Control, Fleet, Held, Launch, RelayProcess};
use crate::stack::Brokers;
use crate::tls;
use crate::topology;
use anyhow::{Context, bail};
use bench_host::place::Placement;
use bench_proto::burden::Burden;
use bench_proto::control::{Reset, Span};
use bench_transport::{Settings, Tls, Transport};
use drain::{accounts, drained};
use services::Services;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between everything being ready and the first planned instant: the reset and the wake-up fit into it.
const LEAD: Duration = Duration::from_millis(30);

/// Why a trial whose probe goes where its orders go has no bytes on the wire.
const PROBE_BYTES: &str =
    "the catalogue probe went to the same port, and its bytes cannot be told from those of orders";

/// A broker that takes longer than this to declare something is not there for a benchmark.
const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// What all trials of a run share.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The `bench-server` program.
    pub program: std::path::PathBuf,
    /// Who runs where.
    pub placement: Placement,
    /// The brokers.
    pub brokers: Brokers,
    /// Idle CPU of each broker, ns per second, where it was measured.
    pub idle: BTreeMap<Transport, f64>,
    /// Seed of corpora and slowness.
    pub seed: u64,
    /// The run's zero.
    pub zero_ns: u64,
    /// Faults planted into the service's ledger (tests of the accounting), or a slower codec into both ends.
    pub plant: Option<String>,
    /// Who looks on while it measures, if anybody does.
    pub watch: Option<Watch>,
}

/// Plants the slower codec that `plant` names, if it names one, into this process; the service gets the same text.
pub fn plant_codec(plant: Option<&str>) -> Result<(), String> {
    let burden = plant.map_or(Ok(None), Burden::within)?;
    bench_proto::burden::plant(burden);
    Ok(())
}

/// An already running service, not ours to start or stop.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    /// `host:port`, AMQP URL or bootstrap servers.
    pub target: String,
    /// Names its queues and topics.
    pub scope: String,
    /// Its control port, if we may use it.
    pub control: Option<Control>,
    /// What its callers believe, where the cell asks for TLS.
    pub tls: Option<Tls>,
}

/// Runs a cell against a fresh service of ours.
pub async fn run(
    cell: &Cell,
    run: u64,
    surroundings: &Surroundings,
) -> anyhow::Result<results::Trial> {
    topology::check_cell(cell)
        .and_then(|()| cell.check_schedule())
        .and_then(|()| cell.check_probe())
        .map_err(anyhow::Error::msg)?;
    service::check_faults(&cell.faults, &surroundings.brokers)?;
    let scope = format!("run-{run:016x}");
    let launch = Launch {
        program: surroundings.program.clone(),
        cpus: surroundings
            .placement
            .service
            .as_ref()
            .map(|cpus| cpus.iter().collect())
            .unwrap_or_default(),
        brokers: surroundings.brokers.addresses_for(cell)?,
        scope: scope.clone(),
        seed: surroundings.seed,
        plant: surroundings.plant.clone(),
        tls: tls_of(cell, surroundings)?,
    };
    let declared = scopes::of(cell, &launch);
    scopes::declare(&declared).await?;
    let outcome = async {
        let mut fleet = Fleet::start(cell, &launch).await?;
        let relay = match cell.relay {
            Some(delay) => Some(RelayProcess::start(&fleet.target(), delay, &launch).await?),
            None => None,
        };
        let target = match &relay {
            Some(relay) => relay.target.clone(),
            None => fleet.target(),
        };
        let disk = match Disk::for_power(cell.durability, cell.transport, fleet.journal()) {
            Ok(disk) => disk,
            Err(error) => {
                fleet.end().await;
                return Err(error);
            }
        };
        let subject = Subject {
            settings: Settings {
                tls: launch.tls.clone(),
                ..cell.settings(&target, &scope)
            },
            probe: fleet.catalogue().map(|target| cell.probe_settings(target)),
            services: Services::Ours(&mut fleet),
            relay_pid: relay.as_ref().map(RelayProcess::pid),
            disk,
        };
        let trial = measure(cell, run, subject, surroundings).await;
        if let Some(relay) = relay {
            relay.stop().await;
        }
        match &trial {
            Ok(_) => fleet.stop().await?,
            Err(_) => fleet.end().await,
        }
        trial
    }
    .await;
    // Whatever happened: nothing of the run stays on a broker.
    let removed = scopes::clear(&declared).await;
    if outcome.is_ok() {
        removed?;
    }
    outcome
}

/// Runs a cell against a service that runs already.
pub async fn run_elsewhere(
    cell: &Cell,
    run: u64,
    elsewhere: &Elsewhere,
    surroundings: &Surroundings,
) -> anyhow::Result<results::Trial> {
    if cell.probe.is_some() {
        bail!(
            "a catalogue probe is for a service that the run starts; leave it out for one that runs already"
        );
    }
    let settings = Settings {
        tls: elsewhere.tls.clone(),
        ..cell.settings(&elsewhere.target, &elsewhere.scope)
    };
    let subject = Subject {
        settings,
        probe: None,
        services: Services::Theirs(elsewhere.control.as_ref()),
        relay_pid: None,
        disk: None,
    };
    measure(cell, run, subject, surroundings).await
}

/// What both ends of a cell encrypt with.
fn tls_of(cell: &Cell, surroundings: &Surroundings) -> anyhow::Result<Option<Tls>> {
    let tls = match (cell.tls, cell.transport.needs_broker()) {
        (false, _) => return Ok(None),
        (true, false) => tls::own(),
        (true, true) => tls::believing(surroundings.brokers.ca.as_deref()),
    };
    tls.map(Some)
}

/// What is measured.
struct Subject<'a> {
    settings: Settings,
    probe: Option<Settings>,
    services: Services<'a>,
    relay_pid: Option<u32>,
    disk: Option<Disk>,
}

async fn measure(
    cell: &Cell,
    run: u64,
    mut subject: Subject<'_>,
    surroundings: &Surroundings,
) -> anyhow::Result<results::Trial> {
    // Warm-up operations belong to a run of their own: they are balanced too, and then forgotten.
    let warmup_run = run ^ 1 << 63;
    let now_ns = bench_host::clock::now_ns();
    let expected = reset_for(cell, warmup_run, now_ns, Duration::MAX);
    subject.services.reset(&expected).await?;
    let mut generators = (0..cell.threads)
        .map(|index| {
            Generator::start(Assignment {
                cell: cell.clone(),
                settings: subject.settings.clone(),
                probe: subject.probe.clone(),
                warmup_run,
                run,
                seed: surroundings.seed,
                share: Share {
                    index,
                    of: cell.threads,
                },
                cpus: surroundings.placement.client.clone(),
                watch: surroundings.watch.clone(),
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let result = drive(cell, run, &mut subject, surroundings, &mut generators).await;
    let mut ended = Ok(());
    for generator in generators {
        // A generator's own error says more than "it ended early".
        ended = ended.and(generator.end().await);
    }
    match (result, ended) {
        (Ok(trial), Ok(())) => Ok(trial),
        (_, Err(error)) => Err(error.context(format!("cell {}", cell.id()))),
        (Err(error), Ok(())) => Err(error.context(format!("cell {}", cell.id()))),
    }
}

async fn drive(
    cell: &Cell,
    run: u64,
    subject: &mut Subject<'_>,
    surroundings: &Surroundings,
    generators: &mut [Generator],
) -> anyhow::Result<results::Trial> {
    let mut in_force = BTreeMap::new();
    let mut warmup: Option<Record> = None;
    for generator in generators.iter_mut() {
        let Signal::Warm {
            in_force: settings,
            record,
        } = generator.signal().await?
        else {
            bail!("a generator spoke out of turn");
        };
        in_force = settings;
        merge(&mut warmup, *record);
    }
    let warmup = warmup.context("a trial needs at least one generator")?;
    drained(&subject.services, &warmup, cell).await?;
    let window = cell.stop.time.unwrap_or(Duration::MAX);
    let used: Vec<Transport> = cell.transports().into_iter().collect();
    let idle = used
        .iter()
        .filter(|transport| transport.needs_broker())
        .map(|transport| surroundings.idle.get(transport).copied())
        .sum::<Option<f64>>();
    let pids = subject.services.pids();
    let meters =
        Meters::new(&pids, &surroundings.brokers, &used, idle).with_relay(subject.relay_pid);
    // Before the start is set: connections that are being closed may take 200 ms over it.
    let sockets = meters.sockets(cell.transport, &subject.settings.target);
    let start_ns = bench_host::clock::now_ns() + LEAD.as_nanos() as u64;
    let expected = reset_for(cell, run, start_ns, window);
    subject.services.reset(&expected).await?;
    for generator in generators.iter_mut() {
        generator.go(start_ns);
    }
    tokio::time::sleep(Duration::from_nanos(
        start_ns.saturating_sub(bench_host::clock::now_ns()),
    ))
    .await;
    let flushes = || subject.disk.as_ref().and_then(Disk::flushes);
    let flushes_before = flushes();
    let looking = || surroundings.watch.as_ref().map_or(0, Watch::spent_ns);
    let looking_before = looking();
    let before = meters.read();
    let windows = async {
        for generator in generators.iter_mut() {
            let Signal::WindowEnded = generator.signal().await? else {
                bail!("a generator spoke out of turn")
            };
        }
        Ok(())
    };
    let stalled = async {
        match (cell.stall, pids.first()) {
            (Some(stall), Some(pid)) => service::stall(*pid, start_ns, stall).await,
            (Some(_), None) => bail!("a service that is not ours is not ours to stop"),
            (None, _) => Ok(()),
        }
    };
    // What has no end in the schedule lasts until the window ends.
    let mut held = Held::default();
    let faulted = subject
        .services
        .inject(&cell.faults, start_ns, &surroundings.brokers, &mut held);
    // Only where something builds up over phases: a look costs CPU that others' figures would carry.
    let watched = if cell.phases.is_empty() {
        Vec::new()
    } else {
        surroundings.brokers.pids(cell.transport)
    };
    let all = async { tokio::try_join!(windows, stalled, faulted) };
    let (ended, broker) = footprint::during(&watched, all).await;
    let ((), (), injected) = ended?;
    drop(held);
    let mut usage = meters.read().since(&before);
    // Drawing what goes on carries no order.
    usage.client.cpu_ns = (usage.client.cpu_ns).saturating_sub(looking() - looking_before);
    if cell.faults.iter().any(|fault| cell.is_join(fault)) {
        usage = usage.without_services();
    }
    let flushes = flushes()
        .zip(flushes_before)
        .map(|(now, before)| now - before);

    let mut record: Option<Record> = None;
    let mut probe: Option<Box<Record>> = None;
    let mut observed = account::Observed::default();
    for generator in generators.iter_mut() {
        let Signal::Finished {
            record: part,
            probe: of_probe,
            counters,
            wrong,
            failures,
            seen,
        } = generator.signal().await?
        else {
            bail!("a generator spoke out of turn");
        };
        merge(&mut record, *part);
        probe = probe.or(of_probe);
        observed.add(counters, wrong, failures, seen);
    }
    let record = record.context("a trial needs at least one generator")?;
    drained(&subject.services, &record, cell).await?;
    let services = accounts(&subject.services).await?;
    let opened = match cell.transport {
        // librdkafka tells of a connection up to a second late: of some that were opened before the window.
        Transport::Stream => 0,
        _ => observed.connects(),
    };
    let (wire, wire_records_lost) = sockets.since(record.ended(), opened);
    let same_port = |probe: &Settings| probe.target == subject.settings.target;
    let wire = match &subject.probe {
        Some(probe) if same_port(probe) => Err(PROBE_BYTES.into()),
        _ => wire,
    };
    in_force.extend(subject.services.in_force());
    Ok(account::assemble(account::Material {
        cell,
        record,
        probe: probe.map(|record| *record),
        services,
        observed,
        usage,
        flushes,
        wire,
        wire_records_lost,
        in_force,
        pinned: surroundings.placement.is_pinned(),
        planted: surroundings.plant.is_some(),
        injected,
        broker,
        zero_ns: surroundings.zero_ns,
    }))
}

fn merge(into: &mut Option<Record>, part: Record) {
    match into {
        Some(record) => record.merge(part),
        None => *into = Some(part),
    }
}

fn reset_for(cell: &Cell, run: u64, start_ns: u64, window: Duration) -> Reset {
    let at = |offset: Duration| {
        start_ns.saturating_add(u64::try_from(offset.as_nanos()).unwrap_or(u64::MAX))
    };
    let mut spans = vec![Span {
        name: "measured".into(),
        start_ns,
        end_ns: at(window),
    }];
    spans.extend(cell.phases.iter().map(|phase| Span {
        name: phase.name.clone(),
        start_ns: at(phase.start),
        end_ns: at(phase.end),
    }));
    Reset {
        run,
        start_ns,
        spans,
        slowness: None,
        bin_ns: Series::for_window(cell.stop.time).width().as_nanos() as u64,
    }
}

/// A fresh run id: nobody else's stamps carry it.
pub fn fresh_run_id() -> u64 {
    rand::random::<u64>() >> 1
}

/// Whether a transport's broker at this address can really be used: declares something and takes it away again.
pub async fn probe(transport: Transport, address: &str, tls: Option<Tls>) -> anyhow::Result<()> {
    let scope = format!("probe-{:016x}", fresh_run_id());
    let settings = Settings {
        target: address.into(),
        scope,
        tls,
        ..Settings::default()
    };
    let declared = [(transport, settings)];
    let attempt = async {
        scopes::declare(&declared).await?;
        scopes::clear(&declared).await
    };
    tokio::time::timeout(PROBE_PATIENCE, attempt)
        .await
        .map_err(|_| anyhow::anyhow!("no answer within {} s", PROBE_PATIENCE.as_secs()))?
}
