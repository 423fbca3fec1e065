//! Goes through a trial's schedule of faults: each at its time, to services that this trial started and to brokers whose
//! processes can be seen. What is paused goes on when the trial is over, on whatever way it ends.

use super::Fleet;
use super::stall::{Stopped, sleep_until};
use crate::fault::{Action, Fault, Target};
use crate::stack::Brokers;
use anyhow::{Context, ensure};
use bench_host::cpu::with_descendants;
use std::collections::BTreeMap;

/// A fault with the instant at which it was done, CLOCK_MONOTONIC ns.
#[derive(Clone, Debug, PartialEq)]
pub struct Injected {
    /// What was done.
    pub fault: Fault,
    /// When; of a start, when the service was ready.
    pub at_ns: u64,
}

/// What is paused now; it goes on when this is dropped.
pub type Paused = BTreeMap<Target, Stopped>;

/// Refuses a schedule that these brokers cannot go through.
///
/// # Errors
/// A broker is to be paused whose processes cannot be seen from here.
pub fn check(schedule: &[Fault], brokers: &Brokers) -> anyhow::Result<()> {
    for fault in schedule {
        if let Target::Broker(transport) = fault.target {
            ensure!(
                !brokers.pids(transport).is_empty(),
                "'{fault}' cannot be done: the processes of that broker cannot be seen from here (it is external, or in a \
                 container); use brokers that `make up` started natively"
            );
        }
    }
    Ok(())
}

/// Goes through the schedule, in the order of its times, and says when each fault was done. What is paused without an
/// end is left in `paused`.
///
/// # Errors
/// A fault could not be done; the sentence names it.
pub async fn inject(
    schedule: &[Fault],
    start_ns: u64,
    fleet: &mut Fleet,
    brokers: &Brokers,
    paused: &mut Paused,
) -> anyhow::Result<Vec<Injected>> {
    let mut schedule: Vec<&Fault> = schedule.iter().collect();
    schedule.sort_by_key(|fault| fault.after);
    let mut injected = Vec::new();
    for fault in schedule {
        sleep_until(bench_host::clock::after(start_ns, fault.after)).await;
        let at_ns = apply(fault, fleet, brokers, paused)
            .await
            .with_context(|| format!("'{fault}' could not be done"))?;
        injected.push(Injected {
            fault: fault.clone(),
            at_ns,
        });
    }
    Ok(injected)
}

async fn apply(
    fault: &Fault,
    fleet: &mut Fleet,
    brokers: &Brokers,
    paused: &mut Paused,
) -> anyhow::Result<u64> {
    match (&fault.action, &fault.target) {
        (Action::Pause, target) => {
            let pids = match target {
                Target::Service(name) => vec![fleet.pid_of(name)?],
                Target::Broker(transport) => with_descendants(&brokers.pids(*transport))?,
            };
            let now_ns = bench_host::clock::now_ns();
            paused.insert(target.clone(), Stopped::stop(&pids)?);
            Ok(now_ns)
        }
        (Action::Resume, target) => {
            let now_ns = bench_host::clock::now_ns();
            let stopped = paused.remove(target);
            stopped.with_context(|| format!("'{target}' is not paused"))?;
            Ok(now_ns)
        }
        (Action::Kill, Target::Service(name)) => {
            let killed = fleet.kill(name).await;
            // Dead, it needs no waking.
            paused.remove(&fault.target);
            killed
        }
        (Action::Start, Target::Service(name)) => fleet.start_one(name).await,
        (Action::Slow(slowness), Target::Service(name)) => fleet.slow(name, slowness).await,
        (_, Target::Broker(_)) => anyhow::bail!("a broker can be paused and resumed, no more"),
    }
}
