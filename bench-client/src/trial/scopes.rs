//! What a trial declares on brokers, the user's queue or topic and those between its services, and that all of it is
//! taken away again: at the trial's end, and after an interruption.

use super::PROBE_PATIENCE;
use crate::cell::Cell;
use crate::generator;
use crate::service::Launch;
use crate::topology::Places;
use bench_transport::{Fanout, Settings, Transport, queue, stream};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A scope on a broker, as both ends of the hop are told about it.
pub(super) type Declared = (Transport, Settings);

/// Everything that a cell's orders go through on brokers.
pub(super) fn of(cell: &Cell, launch: &Launch) -> Vec<Declared> {
    let settings = |transport: Transport, scope: &str| {
        let address = launch.brokers.get(&transport)?;
        Some(Settings {
            tls: launch.tls.clone(),
            ..cell.settings(address, scope)
        })
    };
    let mut declared = Vec::new();
    if let Some(settings) = settings(cell.transport, &launch.scope) {
        declared.push((cell.transport, settings));
    }
    let Some(topology) = &cell.topology else {
        return declared;
    };
    let places = Places::new(&launch.scope);
    for edge in &topology.edges {
        let scope = places.scope_of(topology, &edge.to);
        let class = topology.service(&edge.to).map_or(cell.durability, |to| {
            topology.durability_of(to, cell.durability)
        });
        let fanout = edge
            .fanout
            .as_ref()
            .map(|_| Fanout::Reader(edge.to.clone()));
        let known = declared.iter().any(|(transport, there): &Declared| {
            *transport == edge.transport && there.scope == scope && there.fanout == fanout
        });
        if let (false, Some(settings)) = (known, settings(edge.transport, &scope)) {
            let settings = Settings {
                durability: class,
                fanout,
                from_latest: cell.joins_later(&edge.to),
                ..settings
            };
            declared.push((edge.transport, settings));
        }
    }
    declared
}

/// Declares them all, but for those who join later; if one cannot be, what was declared is taken away again.
pub(super) async fn declare(declared: &[Declared]) -> anyhow::Result<()> {
    for (place, (transport, settings)) in declared.iter().enumerate() {
        leftovers().push((*transport, settings.clone()));
        // Who joins later declares what is its then: a queue that is there already would keep what came before.
        if settings.from_latest {
            continue;
        }
        if let Err(error) = prepare(*transport, settings).await {
            let _ = clear(&declared[..place]).await;
            forget(&declared[place..]);
            return Err(error);
        }
    }
    Ok(())
}

/// Takes them all away; the first that could not be is the error.
pub(super) async fn clear(declared: &[Declared]) -> anyhow::Result<()> {
    let mut cleared = Ok(());
    for (transport, settings) in declared {
        cleared = cleared.and(remove(*transport, settings).await);
    }
    forget(declared);
    cleared
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

/// What trials and probes have declared on brokers and not yet taken away; an interruption clears it.
static LEFTOVERS: Mutex<Vec<Declared>> = Mutex::new(Vec::new());

fn leftovers() -> MutexGuard<'static, Vec<Declared>> {
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forget(declared: &[Declared]) {
    let is_one = |(transport, left): &Declared| {
        declared
            .iter()
            .any(|(of, settings)| of == transport && settings.scope == left.scope)
    };
    leftovers().retain(|left| !is_one(left));
}

/// Takes away what an interrupted trial or probe left on a broker, as far as the broker answers.
pub async fn clear_leftovers() {
    let mut left = std::mem::take(&mut *leftovers());
    // A generator that still connects, or finds its exchange gone, declares its own anew.
    let _ = tokio::time::timeout(PROBE_PATIENCE, generator::all_ended()).await;
    // Queues last, with the program's end right behind: where a generator did not end in time, it has least of it to do
    // so. And Kafka lets go of a killed consumer's group only after its session.
    left.sort_by_key(|(transport, _)| std::cmp::Reverse(*transport));
    for (transport, settings) in left {
        let _ = tokio::time::timeout(PROBE_PATIENCE, remove(transport, &settings)).await;
    }
}
