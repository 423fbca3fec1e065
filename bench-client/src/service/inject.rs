//! Goes through a trial's schedule of faults: each at its time, to services that this trial started and to brokers whose
//! processes can be seen. What is paused goes on, and an alarm is over, when the trial is over, on whatever way it ends.

use super::stall::{Stopped, sleep_until};
use super::{Alarm, Fleet};
use crate::fault::{Action, Fault, Target};
use crate::stack::{self, Brokers};
use anyhow::{Context, bail, ensure};
use bench_host::cpu::with_descendants;
use std::collections::BTreeMap;

/// A fault with the instant at which it was done, CLOCK_MONOTONIC ns.
#[derive(Clone, Debug, PartialEq)]
pub struct Injected {
    /// What was done.
    pub fault: Fault,
    /// When; of a start, when the service was ready, and of an alarm, when it was in force or over.
    pub at_ns: u64,
}

/// What a fault does for as long as it lasts; it is over when this is dropped.
#[derive(Debug)]
pub enum Lasting {
    /// Processes are stopped.
    Pause(Stopped),
    /// A broker is in memory alarm.
    Alarm(Alarm),
}

/// What lasts now, by whom it is done to; all of it is over when this is dropped.
pub type Held = BTreeMap<Target, Lasting>;

/// Refuses a schedule that these brokers cannot go through.
///
/// # Errors
/// Something is to be done to a broker whose processes cannot be seen from here, or whose stack is not here.
pub fn check(schedule: &[Fault], brokers: &Brokers) -> anyhow::Result<()> {
    for fault in schedule {
        if let Target::Broker(transport) = fault.target {
            ensure!(
                !brokers.pids(transport).is_empty(),
                "'{fault}' cannot be done: the processes of that broker cannot be seen from here (it is external, or in a \
                 container); use brokers that `make up` started natively"
            );
            ensure!(
                fault.action != Action::Alarm || stack::program().is_some(),
                "'{fault}' cannot be done: expected stack/stack beside the .hopbench folder that names the brokers, which \
                 raises and ends the alarm; use brokers of `make up`"
            );
        }
    }
    Ok(())
}

/// Goes through the schedule, in the order of its times, and says when each fault was done. What has no end in it is left
/// in `held`.
///
/// # Errors
/// A fault could not be done; the sentence names it.
pub async fn inject(
    schedule: &[Fault],
    start_ns: u64,
    fleet: &mut Fleet,
    brokers: &Brokers,
    held: &mut Held,
) -> anyhow::Result<Vec<Injected>> {
    let mut schedule: Vec<&Fault> = schedule.iter().collect();
    schedule.sort_by_key(|fault| fault.after);
    let mut injected = Vec::new();
    for fault in schedule {
        sleep_until(bench_host::clock::after(start_ns, fault.after)).await;
        let at_ns = apply(fault, fleet, brokers, held)
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
    held: &mut Held,
) -> anyhow::Result<u64> {
    match (&fault.action, &fault.target) {
        (Action::Pause, target) => {
            let pids = match target {
                Target::Service(name) => vec![fleet.pid_of(name)?],
                Target::Broker(transport) => with_descendants(&brokers.pids(*transport))?,
            };
            let now_ns = bench_host::clock::now_ns();
            held.insert(target.clone(), Lasting::Pause(Stopped::stop(&pids)?));
            Ok(now_ns)
        }
        (Action::Resume, target) => {
            let now_ns = bench_host::clock::now_ns();
            match held.remove(target) {
                Some(Lasting::Pause(stopped)) => drop(stopped),
                _ => bail!("'{target}' is not paused"),
            }
            Ok(now_ns)
        }
        (Action::Alarm, Target::Broker(_)) => {
            let alarm = Alarm::raise().await?;
            held.insert(fault.target.clone(), Lasting::Alarm(alarm));
            Ok(bench_host::clock::now_ns())
        }
        (Action::Clear, Target::Broker(_)) => {
            match held.remove(&fault.target) {
                Some(Lasting::Alarm(alarm)) => alarm.clear().await?,
                _ => bail!("'{}' is not in alarm", fault.target),
            }
            Ok(bench_host::clock::now_ns())
        }
        (Action::Kill, Target::Service(name)) => {
            let killed = fleet.kill(name).await;
            // Dead, it needs no waking.
            held.remove(&fault.target);
            killed
        }
        (Action::Start, Target::Service(name)) => fleet.start_one(name).await,
        (Action::Slow(slowness), Target::Service(name)) => fleet.slow(name, slowness).await,
        (Action::Alarm | Action::Clear, Target::Service(_)) => {
            bail!("a memory alarm is a broker's, not a service's")
        }
        (Action::Kill | Action::Start | Action::Slow(_), Target::Broker(_)) => {
            bail!("a broker can be paused and resumed, and RabbitMQ be in alarm, no more")
        }
    }
}
