//! One timed run of one cell: fresh service, fresh connections, fresh queue or topic; warm up, measure, drain,
//! account, judge. Repeats inside it are not observations.

mod drain;
mod measure;
mod scopes;
mod services;

pub use scopes::clear_leftovers;

use crate::cell::Cell;
use crate::durable::Disk;
use crate::load::Watch;
use crate::results;
use crate::service::{self, Control, Fleet, Launch, RelayProcess};
use crate::stack::Brokers;
use crate::tls;
use crate::topology;
use anyhow::bail;
use bench_host::place::Placement;
use bench_proto::burden::Burden;
use bench_transport::{Settings, Tls, Transport};
use measure::{Subject, measure};
use services::Services;
use std::collections::BTreeMap;
use std::time::Duration;

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
