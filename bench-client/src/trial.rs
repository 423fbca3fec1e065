//! One timed run of one cell: fresh service, fresh connections, fresh queue or topic; warm up, measure, drain,
//! account, judge. Repeats inside it are not observations.

use crate::account;
use crate::cell::Cell;
use crate::durable::Disk;
use crate::fault::Fault;
use crate::generator::{Assignment, Generator, Signal};
use crate::load::series::Series;
use crate::load::{Record, Share};
use crate::meters::Meters;
use crate::results;
use crate::service::{Control, Launch, RelayProcess, ServiceProcess};
use crate::stack::Brokers;
use crate::tls;
use anyhow::{Context, bail};
use bench_host::place::Placement;
use bench_proto::burden::Burden;
use bench_proto::control::{Reset, Span};
use bench_transport::{Settings, Tls, Transport, queue, stream};
use std::collections::BTreeMap;
use std::time::Duration;

/// Between everything being ready and the first planned instant: the reset and the wake-up fit into it.
const LEAD: Duration = Duration::from_millis(30);

/// The service's journal among the settings in force.
const JOURNAL: &str = "service.service.journal";

/// How often the drain is looked at.
const POLL: Duration = Duration::from_millis(20);

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
    let scope = format!("run-{run:016x}");
    let launch = Launch {
        program: surroundings.program.clone(),
        cpus: surroundings
            .placement
            .service
            .as_ref()
            .map(|cpus| cpus.iter().collect())
            .unwrap_or_default(),
        broker: surroundings.brokers.address_for(cell)?.map(str::to_string),
        scope: scope.clone(),
        seed: surroundings.seed,
        plant: surroundings.plant.clone(),
        tls: tls_of(cell, surroundings)?,
    };
    let settings = |target: &str| Settings {
        tls: launch.tls.clone(),
        ..cell.settings(target, &scope)
    };
    let broker_settings = launch.broker.as_deref().map(settings);
    if let Some(settings) = &broker_settings {
        leftovers().push((cell.transport, settings.clone()));
        prepare(cell.transport, settings).await?;
    }
    let outcome = async {
        let service = ServiceProcess::start(cell, &launch).await?;
        let relay = match cell.relay {
            Some(delay) => Some(RelayProcess::start(&service.target, delay, &launch).await?),
            None => None,
        };
        let target = relay
            .as_ref()
            .map_or(&service.target, |relay| &relay.target);
        let disk = match Disk::for_power(cell.durability, cell.transport, &service.journal) {
            Ok(disk) => disk,
            Err(error) => {
                service.kill().await;
                return Err(error);
            }
        };
        let subject = Subject {
            settings: settings(target),
            control: Some(&service.control),
            pid: Some(service.pid()),
            relay_pid: relay.as_ref().map(RelayProcess::pid),
            in_force: &service.in_force,
            disk,
        };
        let trial = measure(cell, run, subject, surroundings).await;
        if let Some(relay) = relay {
            relay.stop().await;
        }
        match &trial {
            Ok(_) if !cell.fault.is_some_and(Fault::ends_service) => service.stop().await?,
            // Failed, or killed by the cell's own fault: then this takes it off the process table.
            _ => service.kill().await,
        }
        trial
    }
    .await;
    // Whatever happened: nothing of the run stays on the broker.
    if let Some(settings) = &broker_settings {
        let removed = remove(cell.transport, settings).await;
        leftovers().retain(|(_, left)| left.scope != settings.scope);
        if outcome.is_ok() {
            removed?;
        }
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
    let settings = Settings {
        tls: elsewhere.tls.clone(),
        ..cell.settings(&elsewhere.target, &elsewhere.scope)
    };
    let subject = Subject {
        settings,
        control: elsewhere.control.as_ref(),
        pid: None,
        relay_pid: None,
        in_force: &serde_json::Value::Null,
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

async fn prepare(transport: Transport, settings: &Settings) -> anyhow::Result<()> {
    match transport {
        Transport::Queue => queue::prepare(settings).await,
        Transport::Stream => stream::prepare(settings).await,
        _ => Ok(()),
    }
}

async fn remove(transport: Transport, settings: &Settings) -> anyhow::Result<()> {
    match transport {
        Transport::Queue => queue::remove(settings).await,
        Transport::Stream => stream::remove(settings).await,
        _ => Ok(()),
    }
}

/// What is measured.
struct Subject<'a> {
    settings: Settings,
    control: Option<&'a Control>,
    pid: Option<u32>,
    relay_pid: Option<u32>,
    in_force: &'a serde_json::Value,
    disk: Option<Disk>,
}

async fn measure(
    cell: &Cell,
    run: u64,
    subject: Subject<'_>,
    surroundings: &Surroundings,
) -> anyhow::Result<results::Trial> {
    // Warm-up operations belong to a run of their own: they are balanced too, and then forgotten.
    let warmup_run = run ^ 1 << 63;
    if let Some(control) = subject.control {
        control
            .reset(&reset_for(
                cell,
                warmup_run,
                bench_host::clock::now_ns(),
                Duration::MAX,
            ))
            .await?;
    }
    let mut generators = (0..cell.threads)
        .map(|index| {
            Generator::start(Assignment {
                cell: cell.clone(),
                settings: subject.settings.clone(),
                warmup_run,
                run,
                seed: surroundings.seed,
                share: Share {
                    index,
                    of: cell.threads,
                },
                cpus: surroundings.placement.client.clone(),
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let result = drive(cell, run, &subject, surroundings, &mut generators).await;
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
    subject: &Subject<'_>,
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
    if let Some(control) = subject.control {
        drained(control, &warmup, cell).await?;
    }
    let window = cell.stop.time.unwrap_or(Duration::MAX);
    let meters = Meters::new(
        subject.pid,
        &surroundings.brokers,
        cell.transport,
        surroundings.idle.get(&cell.transport).copied(),
    )
    .with_relay(subject.relay_pid);
    // Before the start is set: connections that are being closed may take 200 ms over it.
    let sockets = meters.sockets(cell.transport, &subject.settings.target);
    let start_ns = bench_host::clock::now_ns() + LEAD.as_nanos() as u64;
    if let Some(control) = subject.control {
        control
            .reset(&reset_for(cell, run, start_ns, window))
            .await?;
    }
    for generator in generators.iter_mut() {
        generator.go(start_ns);
    }
    tokio::time::sleep(Duration::from_nanos(
        start_ns.saturating_sub(bench_host::clock::now_ns()),
    ))
    .await;
    let flushes = || subject.disk.as_ref().and_then(Disk::flushes);
    let flushes_before = flushes();
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
        match (cell.stall, subject.pid) {
            (Some(stall), Some(pid)) => crate::service::stall(pid, start_ns, stall).await,
            (Some(_), None) => bail!("a service that is not ours is not ours to stop"),
            (None, _) => Ok(()),
        }
    };
    let faulted = async {
        match (cell.fault, subject.pid) {
            (Some(fault), Some(pid)) => fault.inject(pid, start_ns).await.map(Some),
            (Some(_), None) => bail!("a service that is not ours is not ours to harm"),
            (None, _) => Ok(None),
        }
    };
    let ((), (), faulted_ns) = tokio::try_join!(windows, stalled, faulted)?;
    let usage = meters.read().since(&before);
    let flushes = flushes()
        .zip(flushes_before)
        .map(|(now, before)| now - before);

    let mut record: Option<Record> = None;
    let mut observed = account::Observed::default();
    for generator in generators.iter_mut() {
        let Signal::Finished {
            record: part,
            counters,
            wrong,
            failures,
            seen,
        } = generator.signal().await?
        else {
            bail!("a generator spoke out of turn");
        };
        merge(&mut record, *part);
        observed.add(counters, wrong, failures, seen);
    }
    let record = record.context("a trial needs at least one generator")?;
    // A service that was killed took its side of the ledger with it.
    let control = subject
        .control
        .filter(|_| !cell.fault.is_some_and(Fault::ends_service));
    let account = match control {
        Some(control) => {
            drained(control, &record, cell).await?;
            Some(control.account().await?)
        }
        None => None,
    };
    let (wire, wire_records_lost) = sockets.since(record.ended());
    in_force.extend(account::flatten("service", subject.in_force));
    // Where the journal lies says nothing about a figure, and a path of this machine is nobody's business.
    if let Some(journal) = in_force.get_mut(JOURNAL)
        && journal.starts_with('/')
    {
        *journal = "kept".into();
    }
    Ok(account::assemble(account::Material {
        cell,
        record,
        account,
        observed,
        usage,
        flushes,
        wire,
        wire_records_lost,
        in_force,
        pinned: surroundings.placement.is_pinned(),
        planted: surroundings.plant.is_some(),
        faulted_ns,
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

/// Waits until everything that was acknowledged has been delivered and nothing is being worked on, or the grace is over.
async fn drained(control: &Control, record: &Record, cell: &Cell) -> anyhow::Result<()> {
    let acknowledged: u64 = record
        .ledgers
        .iter()
        .map(|ledger| ledger.acknowledged.len())
        .sum();
    let unknown: u64 = record
        .ledgers
        .iter()
        .map(|ledger| ledger.timed_out + ledger.open)
        .sum();
    let deadline = tokio::time::Instant::now() + cell.grace;
    let mut last = None;
    loop {
        let progress = control.progress().await?;
        // Without a Stamp nothing is delivered by name: then it is what was handled that counts.
        let delivered = if cell.stamped {
            progress.delivered
        } else {
            progress.completed
        };
        let settled = delivered >= acknowledged && progress.in_service == 0;
        // Operations of unknown outcome may still arrive: then it must also stand still between two looks.
        if settled && (unknown == 0 || last == Some(delivered))
            || tokio::time::Instant::now() >= deadline
        {
            return Ok(());
        }
        last = Some(delivered);
        tokio::time::sleep(POLL).await;
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
    let attempt = async {
        prepare(transport, &settings).await?;
        remove(transport, &settings).await
    };
    tokio::time::timeout(PROBE_PATIENCE, attempt)
        .await
        .map_err(|_| anyhow::anyhow!("no answer within {} s", PROBE_PATIENCE.as_secs()))?
}

/// What trials have declared on brokers and not yet taken away; an interruption clears it.
static LEFTOVERS: std::sync::Mutex<Vec<(Transport, Settings)>> = std::sync::Mutex::new(Vec::new());

fn leftovers() -> std::sync::MutexGuard<'static, Vec<(Transport, Settings)>> {
    LEFTOVERS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Takes away what an interrupted trial left on a broker, as far as the broker answers.
pub async fn clear_leftovers() {
    let left = std::mem::take(&mut *leftovers());
    for (transport, settings) in left {
        let _ = tokio::time::timeout(PROBE_PATIENCE, remove(transport, &settings)).await;
    }
}
