//! What a cell's topology and faults mean for the cell: its transports, its factors, the time that it takes.

use crate::cell::Cell;
use crate::fault::{self, Action, Fault, SERVICE, Target};
use bench_transport::Transport;
use std::collections::BTreeSet;
use std::time::Duration;

/// About what each further service adds to the start and end of a trial.
const PER_SERVICE: Duration = Duration::from_millis(120);
/// And for how long it is looked at, after warm-up and window, where something is published between services.
const STILL: Duration = Duration::from_millis(250);
/// Kafka keeps the place of a consumer that was killed for its session, and only then is its group removed.
const SESSION: Duration = Duration::from_secs(6);
/// The first of several consumers of Kafka has every partition, and learns that others came with its next heartbeat.
const JOINING: Duration = Duration::from_secs(2);

impl Cell {
    /// Everything that its orders go over: the user's transport and those between services.
    pub fn transports(&self) -> BTreeSet<Transport> {
        let between = self.topology.as_ref().map(|topology| topology.transports());
        let mut all = between.unwrap_or_default();
        all.insert(self.transport);
        all
    }

    /// The name of the service that the user calls.
    pub fn entry(&self) -> &str {
        let entry = self.topology.as_ref().and_then(|topology| topology.entry());
        entry.map_or(SERVICE, |service| service.name.as_str())
    }

    /// The names of its services, the entry first and each after all that call it.
    pub fn services(&self) -> Vec<&str> {
        match &self.topology {
            Some(topology) => {
                let order = topology.callers_first();
                order.iter().map(|service| service.name.as_str()).collect()
            }
            None => vec![SERVICE],
        }
    }

    /// Whether a service is not there from the start.
    pub(crate) fn joins_later(&self, name: &str) -> bool {
        let topology = self.topology.as_ref();
        let service = topology.and_then(|topology| topology.service(name));
        service.is_some_and(|service| service.joins_later)
    }

    /// Whether a fault is no harm: the start of a service that joins later.
    pub(crate) fn is_join(&self, fault: &Fault) -> bool {
        fault.action == Action::Start
            && matches!(&fault.target, Target::Service(name) if self.joins_later(name))
    }

    /// What its further services and their deaths add to the time of a trial.
    pub(crate) fn time_of_services(&self) -> Duration {
        let services = self.services();
        let consumes = |service: &str| match &self.topology {
            Some(topology) => topology.service(service).is_some_and(|s| {
                topology
                    .listens_on(s, self.transport)
                    .contains(&Transport::Stream)
            }),
            None => self.transport == Transport::Stream,
        };
        let killed = services
            .iter()
            .copied()
            .any(|service| fault::kills(&self.faults, service) && consumes(service));
        let further = services.len().saturating_sub(1) as u32;
        let published = self.topology.iter().flat_map(|topology| &topology.edges);
        let looks = published.map(|edge| edge.way).any(|way| !way.waits());
        let each = PER_SERVICE + if looks { STILL } else { Duration::ZERO };
        let joining = self.consumers > 1 && services.iter().copied().any(consumes);
        each * further
            + if killed { SESSION } else { Duration::ZERO }
            + if joining { JOINING } else { Duration::ZERO }
    }

    /// Its topology among the factors of results.
    pub(crate) fn topology_factors(&self) -> Vec<(String, String)> {
        let Some(topology) = &self.topology else {
            return Vec::new();
        };
        let mut factors = vec![
            ("topology".to_string(), topology.name.clone()),
            ("services".to_string(), topology.services.len().to_string()),
        ];
        for service in &topology.services {
            let name = &service.name;
            let workers = service.workers.map(|workers| workers.to_string());
            let slow = service.slow.as_ref().map(ToString::to_string);
            factors.extend(workers.map(|workers| (format!("{name} workers"), workers)));
            factors.extend(slow.map(|slow| (format!("{name} slow"), slow)));
        }
        let calls: Vec<String> = topology
            .edges
            .iter()
            .map(|edge| {
                let fanout = if edge.fanout.is_some() {
                    " fan-out"
                } else {
                    ""
                };
                let at_home = if edge.no_deadline { " no deadline" } else { "" };
                format!("{} {}{fanout}{at_home}", edge.transport, edge.way)
            })
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        if !calls.is_empty() {
            factors.push(("calls".to_string(), calls.join(", ")));
        }
        factors
    }
}
