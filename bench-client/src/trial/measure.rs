//! A trial's course once everything stands: warm-up, window, drain, accounts.

use super::Surroundings;
use super::drain::{accounts, drained};
use super::services::Services;
use crate::account;
use crate::cell::Cell;
use crate::durable::Disk;
use crate::footprint;
use crate::generator::{Assignment, Generator, Signal};
use crate::load::series::Series;
use crate::load::{Record, Share, Watch};
use crate::meters::Meters;
use crate::results;
use crate::service::{self, Held};
use anyhow::{Context, bail};
use bench_proto::control::{Reset, Span};
use bench_transport::{Settings, Transport};
use std::collections::BTreeMap;
use std::time::Duration;

/// Between everything being ready and the first planned instant: the reset and the wake-up fit into it.
const LEAD: Duration = Duration::from_millis(30);

/// Why a trial whose probe goes where its orders go has no bytes on the wire.
const PROBE_BYTES: &str =
    "the catalogue probe went to the same port, and its bytes cannot be told from those of orders";

/// What is measured.
pub(super) struct Subject<'a> {
    pub(super) settings: Settings,
    pub(super) probe: Option<Settings>,
    pub(super) services: Services<'a>,
    pub(super) relay_pid: Option<u32>,
    pub(super) disk: Option<Disk>,
}

/// Warms up, measures, drains, and makes a trial of it.
pub(super) async fn measure(
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
