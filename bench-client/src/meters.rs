//! What the processes of a trial used in its window: CPU, context switches, page faults, bytes on their sockets. It
//! reads at two instants and says the difference; what it means is `account`'s business.

use crate::results::WireLeg;
use crate::stack::Brokers;
use bench_host::cpu::{
    CpuMeter, CpuSnapshot, CpuUsage, Instructions, MachineCpu, process_cpu_ns, with_descendants,
};
use bench_host::wire::{ClosedSockets, DestroyListener, Leg, Snapshot, SocketBytes, headers_for};
use bench_transport::Transport;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The processes of one trial.
#[derive(Debug)]
pub struct Meters {
    client: CpuMeter,
    service: Option<CpuMeter>,
    service_pid: Option<u32>,
    relay_pid: Option<u32>,
    /// Whatever of ours runs beside the three roles, such as a broker that the trial does not use: no foreign work.
    beside: Vec<u32>,
    broker: Option<CpuMeter>,
    /// Idle CPU of the broker, ns per second.
    idle: Option<f64>,
    instructions: Counted<Counters>,
}

/// A figure for each role of a trial; or why there is none.
pub type Counted<T> = Result<Roles<T>, String>;

/// By role; none where a trial has no such process of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles<T> {
    /// This process.
    pub client: T,
    /// The service.
    pub service: Option<T>,
    /// All processes of the broker.
    pub broker: Option<T>,
}

type Counters = std::cell::RefCell<Instructions>;

impl<T> Roles<T> {
    fn map<U>(&self, each: impl Fn(&T) -> Result<U, String>) -> Counted<U> {
        Ok(Roles {
            client: each(&self.client)?,
            service: self.service.as_ref().map(&each).transpose()?,
            broker: self.broker.as_ref().map(&each).transpose()?,
        })
    }
}

/// One reading.
#[derive(Debug)]
pub struct Reading {
    instructions: Counted<u64>,
    client: CpuSnapshot,
    service: Option<CpuSnapshot>,
    beside_ns: u64,
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
    /// Instructions, user mode; or why they could not be counted.
    pub instructions: Option<Counted<u64>>,
    /// What somebody else used, share of a core.
    pub foreign_share: Option<f64>,
    /// What the hypervisor took, share of a core.
    pub steal_share: Option<f64>,
}

impl Usage {
    /// Without the services, of which one that no meter saw joined meanwhile: what they used, and what nobody of ours
    /// did, is then unknown.
    pub fn without_services(mut self) -> Self {
        self.service = None;
        self.foreign_share = None;
        if let Some(Ok(roles)) = &mut self.instructions {
            roles.service = None;
        }
        self
    }
}

impl Meters {
    /// Meters for this process, its services (the one that the user calls first; none of ours if empty) and the
    /// brokers of some transports, which together burn `idle` ns per second when idle.
    pub fn new(
        services: &[u32],
        brokers: &Brokers,
        transports: &[Transport],
        idle: Option<f64>,
    ) -> Self {
        let pids: Vec<u32> = transports
            .iter()
            .flat_map(|transport| brokers.pids(*transport))
            .collect();
        let idlers: Vec<u32> = Transport::ALL
            .into_iter()
            .filter(|transport| !transports.contains(transport))
            .flat_map(|transport| brokers.pids(transport))
            .collect();
        let mut cgroups = transports.iter().filter_map(|of| brokers.cgroup(*of));
        Self {
            client: CpuMeter::new("client", &[std::process::id()]),
            service: (!services.is_empty()).then(|| CpuMeter::new("service", services)),
            service_pid: services.first().copied(),
            relay_pid: None,
            beside: with_descendants(&idlers).unwrap_or(idlers),
            broker: if pids.is_empty() {
                let cgroup = cgroups.next();
                cgroup.map(|directory| CpuMeter::of_cgroup("broker", directory))
            } else {
                Some(CpuMeter::of_families("broker", &pids))
            },
            idle,
            instructions: counters(services, &pids),
        }
    }

    /// Counts a relay of ours, where there is one, as part of the path.
    pub fn with_relay(mut self, pid: Option<u32>) -> Self {
        self.relay_pid = pid;
        self.beside.extend(pid);
        self
    }

    /// Reads everything, the cheapest last.
    pub fn read(&self) -> Reading {
        Reading {
            instructions: self
                .instructions
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|roles| roles.map(|counters| counters.borrow_mut().read())),
            broker: self.broker.as_ref().map(CpuMeter::snapshot),
            beside_ns: self
                .beside
                .iter()
                .map(|pid| process_cpu_ns(*pid).unwrap_or(0))
                .sum(),
            service: self.service.as_ref().map(CpuMeter::snapshot),
            // Next to the client's own clock: what reading the others costs this process would else be a stranger's.
            machine: MachineCpu::read().ok(),
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
            + self.beside_ns.saturating_sub(earlier.beside_ns)
            + service.as_ref().map_or(0, |usage| usage.cpu_ns)
            + broker.as_ref().map_or(0, |usage| usage.cpu_ns);
        let machine = self
            .machine
            .as_ref()
            .zip(earlier.machine.as_ref())
            .map(|(now, before)| now.since(before));
        // A service or broker whose processes we cannot see, or one that was killed, would count as foreign: then nothing
        // is known.
        let all_seen = service
            .as_ref()
            .is_some_and(|usage| usage.errors.is_empty());
        Usage {
            instructions: Some(match (&self.instructions, &earlier.instructions) {
                (Ok(now), Ok(before)) => Ok(Roles {
                    client: now.client - before.client,
                    service: now
                        .service
                        .zip(before.service)
                        .map(|(now, before)| now - before),
                    broker: now
                        .broker
                        .zip(before.broker)
                        .map(|(now, before)| now - before),
                }),
                (Err(reason), _) | (_, Err(reason)) => Err(reason.clone()),
            }),
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

fn counters(services: &[u32], broker: &[u32]) -> Counted<Counters> {
    let of = |pids: &[u32]| Instructions::of(pids).map(Counters::new);
    let broker = with_descendants(broker).map_err(|error| error.to_string())?;
    Ok(Roles {
        client: of(&[std::process::id()])?,
        service: (!services.is_empty()).then(|| of(services)).transpose()?,
        broker: (!broker.is_empty()).then(|| of(&broker)).transpose()?,
    })
}

/// Bytes by leg, totals over the window; or why they are not known.
pub type Wire = Result<BTreeMap<String, WireLeg>, String>;

/// What the sockets had carried when the window began.
pub struct Sockets {
    before: Result<Snapshot, String>,
    /// Final counters of connections that close meanwhile, where the kernel lets us have them.
    closing: Option<DestroyListener>,
    legs: Vec<Leg>,
    pids: Vec<u32>,
    ports: Vec<u16>,
}

/// How long the kernel's reports of closed sockets are awaited: they come from a queue of its own.
const REPORTS: Duration = Duration::from_millis(20);

/// How long they are awaited at most where some are known to be missing: on a busy machine that queue has to wait.
const LATE_REPORTS: Duration = Duration::from_secs(2);

/// How long connections that are being closed may take over it: a relay's delay each way fits many times.
const HALF_CLOSED: Duration = Duration::from_millis(200);

impl Meters {
    /// Reads the sockets' counters, at a quiescent point.
    pub fn sockets(&self, transport: Transport, target: &str) -> Sockets {
        let service = self.service_pid;
        // A relay holds the far end of the client's connections: one that it held before is none that came meanwhile.
        let ours = [Some(std::process::id()), service, self.relay_pid];
        let pids: Vec<u32> = ours.into_iter().flatten().collect();
        let ports = ports(target);
        let leg = |name: &str, pid, port| Leg {
            name: name.into(),
            pid,
            remote_port: port,
        };
        let client = if transport.needs_broker() {
            CLIENT_BROKER
        } else {
            CLIENT_SERVICE
        };
        let mut legs: Vec<Leg> = ports
            .iter()
            .map(|port| leg(client, std::process::id(), *port))
            .collect();
        if let (true, Some(pid)) = (transport.needs_broker(), service) {
            legs.extend(ports.iter().map(|port| leg(BROKER_SERVICE, pid, *port)));
        }
        let closing = DestroyListener::start(&ports).ok();
        let mut before = settled(&pids, &ports);
        let until = Instant::now() + HALF_CLOSED;
        while let (Some(listener), Ok(snapshot)) = (&closing, &before) {
            listener.begin(snapshot);
            // One that closed between the two was reported too early to count: begin again without it.
            let again = settled(&pids, &ports);
            let gone = again.as_ref().is_ok_and(|now| {
                let mut open = snapshot.sockets.keys();
                open.any(|socket| !now.sockets.contains_key(socket))
            });
            if !gone || Instant::now() >= until {
                break;
            }
            before = again;
        }
        Sockets {
            before,
            closing,
            legs,
            pids,
            ports,
        }
    }
}

/// A snapshot at a moment when no connection to these ports is half closed: the kernel's report of its end would count
/// the connection once more, or not at all. One that stays so (a peer that never closes) is taken as it is.
fn settled(pids: &[u32], ports: &[u16]) -> Result<Snapshot, String> {
    let until = Instant::now() + HALF_CLOSED;
    loop {
        let snapshot = Snapshot::take(pids).map_err(|error| error.to_string())?;
        let half_closed =
            |socket: &SocketBytes| socket.inode == 0 && ports.contains(&socket.remote.port());
        if !snapshot.sockets.values().any(half_closed) || Instant::now() >= until {
            return Ok(snapshot);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Sockets {
    /// What they carried since, per operation; and whether records were lost. So many connections the callers themselves
    /// opened meanwhile: what the kernel tells of fewer is not whole.
    pub fn since(self, operations: u64, opened: u64) -> (Wire, bool) {
        let now = settled(&self.pids, &self.ports);
        let (before, now) = match (self.before, now) {
            (Ok(before), Ok(now)) => (before, now),
            (Err(error), _) | (_, Err(error)) => return (Err(error), false),
        };
        let is_new = |socket: &&SocketBytes| {
            self.ports.contains(&socket.remote.port())
                && !before.sockets.contains_key(&socket.cookie)
        };
        let open = now.sockets.values().filter(is_new).count() as u64;
        let known = |closed: &ClosedSockets| open + closed.ended();
        let closed = self.closing.as_ref().map(|listener| {
            listener.closed(|_| false, REPORTS);
            listener.closed(|closed| known(closed) >= opened, LATE_REPORTS);
            listener.closed(ClosedSockets::has_both_ends, HALF_CLOSED)
        });
        if let Some(told) = closed.as_ref().map(known).filter(|told| *told < opened) {
            let why = format!(
                "{opened} connections were opened in the window, but the kernel told of {told} of them: what the others carried is not counted"
            );
            return (Err(why), true);
        }
        let usage = now.since(&before, closed.as_ref(), &self.legs);
        let lost = closed.is_some_and(|closed| closed.incomplete);
        if let Some(error) = usage.errors.first() {
            return (Err(error.clone()), lost);
        }
        if operations == 0 {
            return (
                Err("no operation ended, so there is nothing to divide by".into()),
                lost,
            );
        }
        let per_op = |bytes: u64| bytes as f64 / operations as f64;
        let legs = usage.legs.iter().map(|(name, leg)| {
            // A leg is read at its connecting end; the service connects to the broker, but the leg is named along the
            // order's way, broker first.
            let (sent, received) = match name.as_str() {
                BROKER_SERVICE => (leg.carried.received, leg.carried.sent),
                _ => (leg.carried.sent, leg.carried.received),
            };
            let headers = headers_for(sent, operations) + headers_for(received, operations);
            (
                name.clone(),
                WireLeg {
                    sent: per_op(sent),
                    received: per_op(received),
                    headers_computed: Some(per_op(headers)),
                },
            )
        });
        (Ok(legs.collect()), lost)
    }
}

const CLIENT_SERVICE: &str = "client_service";
const CLIENT_BROKER: &str = "client_broker";
const BROKER_SERVICE: &str = "broker_service";

/// The ports of an address list or URL: `host:port,host:port`, `amqp://user:password@host:port/vhost`.
fn ports(target: &str) -> Vec<u16> {
    let without_scheme = target.split_once("://").map_or(target, |(_, rest)| rest);
    let authority = without_scheme.split('/').next().unwrap_or("");
    let hosts = authority
        .rsplit_once('@')
        .map_or(authority, |(_, hosts)| hosts);
    hosts
        .split(',')
        .filter_map(|host| host.rsplit_once(':')?.1.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_in_addresses_and_urls() {
        assert_eq!(ports("127.0.0.1:50051"), [50_051]);
        assert_eq!(ports("127.0.0.1:1,127.0.0.1:2"), [1, 2]);
        assert_eq!(ports("amqp://u:p4:5@127.0.0.1:5672/%2f"), [5_672]);
        assert_eq!(ports("amqp://localhost"), Vec::<u16>::new());
    }
}
