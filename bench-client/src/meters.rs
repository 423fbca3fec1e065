//! What the processes of a trial used in its window: CPU, context switches, page faults, bytes on their sockets. It
//! reads at two instants and says the difference; what it means is `account`'s business.

use crate::cell::Cell;
use crate::results::WireLeg;
use bench_host::cpu::{CpuMeter, CpuSnapshot, CpuUsage, MachineCpu};
use bench_transport::Settings;
use std::collections::BTreeMap;

/// The processes of one trial.
#[derive(Debug)]
pub struct Meters {
    client: CpuMeter,
    service: Option<CpuMeter>,
    broker: Option<CpuMeter>,
    /// Idle CPU of the broker, ns per second.
    idle: Option<f64>,
}

/// One reading.
#[derive(Debug)]
pub struct Reading {
    client: CpuSnapshot,
    service: Option<CpuSnapshot>,
    broker: Option<CpuSnapshot>,
    machine: Option<MachineCpu>,
    idle: Option<f64>,
}

/// The difference of two readings.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Of this process.
    pub client: CpuUsage,
    /// Of the service; none where it is not ours.
    pub service: Option<CpuUsage>,
    /// Of all processes of the broker.
    pub broker: Option<CpuUsage>,
    /// The broker's CPU with its idle consumption taken off, ns.
    pub broker_net_ns: Option<f64>,
    /// What somebody else used, share of a core.
    pub foreign_share: Option<f64>,
    /// What the hypervisor took, share of a core.
    pub steal_share: Option<f64>,
}

impl Meters {
    /// Meters for this process, a service and a broker's processes.
    pub fn new(service: Option<u32>, broker: &[u32], idle: Option<f64>) -> Self {
        Self {
            client: CpuMeter::new("client", &[std::process::id()]),
            service: service.map(|pid| CpuMeter::new("service", &[pid])),
            broker: (!broker.is_empty()).then(|| CpuMeter::of_families("broker", broker)),
            idle,
        }
    }

    /// Reads everything, the cheapest last.
    pub fn read(&self) -> Reading {
        Reading {
            machine: MachineCpu::read().ok(),
            broker: self.broker.as_ref().map(CpuMeter::snapshot),
            service: self.service.as_ref().map(CpuMeter::snapshot),
            client: self.client.snapshot(),
            idle: self.idle,
        }
    }
}

impl Reading {
    /// What was used since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Usage {
        let pair = |now: &Option<CpuSnapshot>, before: &Option<CpuSnapshot>| {
            Some(now.as_ref()?.since(before.as_ref()?))
        };
        let client = self.client.since(&earlier.client);
        let service = pair(&self.service, &earlier.service);
        let broker = pair(&self.broker, &earlier.broker);
        let ours = client.cpu_ns
            + service.as_ref().map_or(0, |usage| usage.cpu_ns)
            + broker.as_ref().map_or(0, |usage| usage.cpu_ns);
        let machine = self
            .machine
            .as_ref()
            .zip(earlier.machine.as_ref())
            .map(|(now, before)| now.since(before));
        // A service or broker whose processes we cannot see would all count as foreign: then nothing is known.
        let all_seen = self.service.is_some();
        Usage {
            broker_net_ns: broker.as_ref().zip(self.idle).map(|(usage, idle)| {
                (usage.cpu_ns as f64 - idle * usage.elapsed_ns as f64 / 1e9).max(0.0)
            }),
            foreign_share: machine
                .as_ref()
                .filter(|_| all_seen)
                .map(|machine| machine.foreign_share_of_a_core(ours)),
            steal_share: machine
                .as_ref()
                .map(|machine| machine.steal_share_of_a_core()),
            client,
            service,
            broker,
        }
    }
}

/// Bytes by leg, totals over the window; or why they are not known.
pub type Wire = Result<BTreeMap<String, WireLeg>, String>;

/// What the sockets had carried when the window began.
#[derive(Debug)]
pub struct Sockets;

impl Meters {
    /// Reads the sockets' counters.
    pub fn sockets(&self) -> Sockets {
        Sockets
    }

    /// What they carried since.
    pub fn wire_since(&self, _before: Sockets, _cell: &Cell, _settings: &Settings) -> Wire {
        Err("the sockets were not read".into())
    }
}
