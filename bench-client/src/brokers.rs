//! Looks after the brokers of a run: which of them can be used, on which cores they run, resting while nothing needs
//! them, and a fresh instance now and then. It measures nothing.

use crate::results::Skipped;
use crate::service::Stopped;
use crate::stack::{self, Broker, Brokers};
use crate::{tls, trial};
use anyhow::{Context, ensure};
use bench_host::place::Placement;
use bench_transport::Transport;

/// Which of the wanted transports can be used. The broker of another one is marked as missing, with the reason.
pub async fn usable(
    wanted: &[Transport],
    brokers: &mut Brokers,
    note: impl Fn(&str),
) -> (Vec<Transport>, Vec<Skipped>) {
    let (mut usable, mut skipped) = (Vec::new(), Vec::new());
    for transport in wanted {
        match missing(*transport, brokers).await {
            Some(reason) => {
                note(&format!("{transport} is skipped: {reason}"));
                brokers.lose(*transport, reason.clone());
                skipped.push(Skipped {
                    transport: transport.to_string(),
                    reason,
                });
            }
            None => usable.push(*transport),
        }
    }
    (usable, skipped)
}

/// Which of the transports cannot be used over TLS, though they can without. Their TLS listener is marked as missing.
pub async fn without_tls(
    transports: &[Transport],
    brokers: &mut Brokers,
    note: impl Fn(&str),
) -> Vec<Skipped> {
    let mut skipped = Vec::new();
    for transport in transports {
        let Some(reason) = missing_over_tls(*transport, brokers).await else {
            continue;
        };
        let name = format!("{transport} over TLS");
        note(&format!("{name} is skipped: {reason}"));
        brokers.lose_encrypted(*transport, reason.clone());
        skipped.push(Skipped {
            transport: name,
            reason,
        });
    }
    skipped
}

async fn missing_over_tls(transport: Transport, brokers: &Brokers) -> Option<String> {
    let address = match brokers.encrypted(transport)? {
        Broker::Missing(reason) => return Some(reason.clone()),
        Broker::At { address, .. } => address,
    };
    let probing = async {
        let tls = tls::believing(brokers.ca.as_deref())?;
        trial::probe(transport, address, Some(tls)).await
    };
    let error = probing.await.err()?;
    Some(format!("its broker does not answer over TLS: {error:#}"))
}

/// Why a transport's broker cannot be used, if it cannot.
async fn missing(transport: Transport, brokers: &Brokers) -> Option<String> {
    match brokers.of(transport)? {
        Broker::Missing(reason) => Some(reason.clone()),
        Broker::At { address, .. } => {
            trial::probe(transport, address, None)
                .await
                .err()
                .map(|error| {
                    format!("its broker does not answer: {error:#}; start one with `make up`")
                })
        }
    }
}

/// Pins the brokers of the transports, with all their processes, to the cores that are theirs.
pub fn pin(
    transports: &[Transport],
    brokers: &Brokers,
    placement: &Placement,
) -> anyhow::Result<()> {
    let Some(cpus) = &placement.brokers else {
        return Ok(());
    };
    for transport in transports {
        for pid in bench_host::cpu::with_descendants(&brokers.pids(*transport))? {
            bench_host::place::pin_process(pid, cpus)
                .with_context(|| format!("the broker of {transport} could not be pinned"))?;
        }
    }
    Ok(())
}

/// Stops every broker process that can be seen, until what is returned is dropped.
pub fn pause(transports: &[Transport], brokers: &Brokers) -> anyhow::Result<Stopped> {
    let mut pids = Vec::new();
    for transport in transports {
        pids.extend(bench_host::cpu::with_descendants(
            &brokers.pids(*transport),
        )?);
    }
    Stopped::stop(&pids)
}

/// Stops the stack's brokers and starts them afresh, without their data. Brokers that are not the stack's are refused.
pub async fn restart(transports: &[Transport], brokers: &Brokers) -> anyhow::Result<Brokers> {
    for transport in transports.iter().filter(|t| t.needs_broker()) {
        ensure!(
            !brokers.pids(*transport).is_empty(),
            "the broker of {transport} is not one that this checkout's stack started, so it is not ours to restart; leave \
             --broker-restarts out, or use brokers of `make up`"
        );
    }
    let output = tokio::process::Command::from(stack::command(&["restart"])?)
        .output()
        .await
        .context("stack/stack could not be started")?;
    ensure!(
        output.status.success(),
        "the brokers did not come back after a restart ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(Brokers::find())
}
