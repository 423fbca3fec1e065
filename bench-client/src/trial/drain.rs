//! The end of a run: waits until everything that was sent has been worked on, service by service, and reads their accounts.

use super::services::Services;
use crate::account::ServiceAccount;
use crate::cell::Cell;
use crate::load::Record;
use crate::service::Control;
use crate::topology::Edge;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How often the drain is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Where orders are published between services, one has drained when nothing of it changed over so many looks: a
/// message on its way through a broker is in nobody's count (its delivery takes ms).
const STILL: u32 = 5;

/// Waits until everything that was acknowledged has been delivered and no service works on anything, each after all
/// that call it, or until the grace is over.
pub(super) async fn drained(
    services: &Services<'_>,
    record: &Record,
    cell: &Cell,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + cell.grace;
    let unknown: u64 = record
        .ledgers
        .iter()
        .map(|ledger| ledger.timed_out + ledger.open)
        .sum();
    let published = cell.topology.iter().flat_map(|topology| &topology.edges);
    let in_between = published.map(|edge| edge.way).any(|way| !way.waits());
    let looks = if in_between || unknown > 0 || !cell.faults.is_empty() {
        STILL
    } else {
        0
    };
    // What was published to a service by those that call it: they are asked before it.
    let mut published: BTreeMap<String, u64> = BTreeMap::new();
    for (place, asked) in services.asked().into_iter().enumerate() {
        // One that joined later was not sent all of it: its standing still tells.
        if let (Some(control), Some(sent)) = (asked.control, published.get(asked.name))
            && !cell.joins_later(asked.name)
        {
            arrived(control, *sent, deadline).await?;
        }
        match asked.control {
            // One that was killed has lost count: then it is its standing still that tells.
            Some(control) if place == 0 && !asked.died => {
                entry_drained(control, record, unknown, cell, deadline).await?;
            }
            Some(control) => stands_still(control, looks, deadline).await?,
            None => {}
        }
        let calls = cell.topology.iter().flat_map(|t| t.calls_of(asked.name));
        let later: Vec<&Edge> = calls.filter(|edge| !edge.way.waits()).collect();
        if let (Some(control), false) = (asked.control, later.is_empty()) {
            let hops = control.account().await?.hops;
            for edge in later {
                let sent = hops.get(edge.called()).map_or(0, |hop| hop.succeeded);
                *published.entry(edge.to.clone()).or_default() += sent;
            }
        }
    }
    Ok(())
}

/// A service that others publish to: what the broker confirmed to them must arrive, after however long a pause (a
/// consumer of Kafka that was killed keeps its place for its session's 6 s).
async fn arrived(control: &Control, sent: u64, deadline: Instant) -> anyhow::Result<()> {
    while control.progress().await?.delivered < sent && Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The service that the user calls: here it is known how much must arrive.
async fn entry_drained(
    control: &Control,
    record: &Record,
    unknown: u64,
    cell: &Cell,
    deadline: Instant,
) -> anyhow::Result<()> {
    let acknowledged: u64 = record
        .ledgers
        .iter()
        .map(|ledger| ledger.acknowledged.len())
        .sum();
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
        if settled && (unknown == 0 || last == Some(delivered)) || Instant::now() >= deadline {
            return Ok(());
        }
        last = Some(delivered);
        tokio::time::sleep(POLL).await;
    }
}

async fn stands_still(control: &Control, looks: u32, deadline: Instant) -> anyhow::Result<()> {
    let (mut last, mut still) = (None, 0);
    loop {
        let progress = control.progress().await?;
        let now = (progress.delivered, progress.completed);
        still = match last {
            Some(last) if last == now && progress.in_service == 0 => still + 1,
            _ => 0,
        };
        let idle = progress.in_service == 0 && still >= looks;
        if idle || Instant::now() >= deadline {
            return Ok(());
        }
        last = Some(now);
        tokio::time::sleep(POLL).await;
    }
}

/// Every service's account, each after all that call it.
pub(super) async fn accounts(services: &Services<'_>) -> anyhow::Result<Vec<ServiceAccount>> {
    let mut accounts = Vec::new();
    for asked in services.asked() {
        accounts.push(ServiceAccount {
            name: asked.name.to_string(),
            account: match asked.control {
                Some(control) => Some(control.account().await?),
                None => None,
            },
            died: asked.died,
        });
    }
    Ok(accounts)
}
