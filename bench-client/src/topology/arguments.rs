//! From an edge to what `bench-server serve` is told: its listeners, its scope, its next hops.

use super::text::exact;
use super::{Edge, Service, Topology, Way};
use bench_proto::Format;
use bench_transport::Transport;
use std::collections::{BTreeMap, BTreeSet};

/// Where the services of one trial can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Names the queues and topics of the trial.
    scope: String,
    /// What a service's listener said when it was started.
    targets: BTreeMap<(String, Transport), String>,
}

impl Places {
    /// Nothing has been started yet.
    pub fn new(scope: impl Into<String>) -> Self {
        Self {
            scope: scope.into(),
            targets: BTreeMap::new(),
        }
    }

    /// A service listens there.
    pub fn listens(&mut self, service: &str, transport: Transport, target: &str) {
        self.targets
            .insert((service.to_string(), transport), target.to_string());
    }

    /// Names the queues and topics that a service consumes: the trial's own for the one that the user calls.
    pub fn scope_of(&self, topology: &Topology, service: &str) -> String {
        let is_entry = topology.entry().is_some_and(|entry| entry.name == service);
        if is_entry {
            self.scope.clone()
        } else {
            // Those who read one fan-out share its name.
            let read = topology.fanout_to(service).unwrap_or(service);
            format!("{}-{read}", self.scope)
        }
    }
}

impl Topology {
    /// Over what a service is called: by the user as he does, by others as their edges say.
    pub fn listens_on(&self, service: &Service, user: Transport) -> BTreeSet<Transport> {
        let called: BTreeSet<Transport> = self
            .calls_to(&service.name)
            .map(|edge| edge.transport)
            .collect();
        if called.is_empty() {
            BTreeSet::from([user])
        } else {
            called
        }
    }

    /// Every queue and topic that services call each other over: the transport with its scope.
    pub fn broker_scopes(&self, places: &Places) -> BTreeSet<(Transport, String)> {
        self.edges
            .iter()
            .filter(|edge| edge.transport.needs_broker())
            .map(|edge| (edge.transport, places.scope_of(self, &edge.to)))
            .collect()
    }

    /// What `bench-server serve` is told about the calls of a service.
    ///
    /// # Errors
    /// One that it calls has not been started.
    pub fn arguments(&self, service: &Service, places: &Places) -> Result<Vec<String>, String> {
        let mut arguments = Vec::new();
        let mut called = BTreeSet::new();
        // A fan-out is called once, where its first edge stands.
        for edge in self
            .calls_of(&service.name)
            .filter(|edge| called.insert(edge.called()))
        {
            arguments.push("--next".to_string());
            arguments.push(self.next(edge, places)?);
        }
        if service.side_by_side && !arguments.is_empty() {
            arguments.push("--next-side-by-side".into());
        }
        if service.idempotent {
            arguments.push("--idempotent".into());
        }
        if self.fanout_to(&service.name).is_some() {
            arguments.extend(["--reader".to_string(), service.name.clone()]);
        }
        if service.joins_later {
            arguments.push("--from-latest".into());
        }
        Ok(arguments)
    }

    /// One edge as `NAME=TRANSPORT:TARGET,option…`.
    fn next(&self, edge: &Edge, places: &Places) -> Result<String, String> {
        let Edge { to, transport, .. } = edge;
        let target = if transport.needs_broker() {
            // By environment: a broker's address may hold a password.
            "env"
        } else {
            let place = (to.clone(), *transport);
            let started = places.targets.get(&place).ok_or_else(|| {
                format!(
                    "'{to}' was expected to run before '{}', which calls it over {transport}",
                    edge.from
                )
            });
            started?.as_str()
        };
        let mut parts = vec![format!("{}={transport}:{target}", edge.called())];
        match edge.way {
            Way::Awaited => {}
            way @ (Way::Publish | Way::Reply(_)) => parts.push(way.to_string()),
        }
        if edge.fanout.is_some() {
            parts.push("fanout".into());
        }
        if transport.needs_broker() {
            parts.push(format!("scope={}", places.scope_of(self, to)));
        }
        // Said even where it is the default: what is compared must not follow from somebody else's.
        let format = match transport {
            Transport::Rest => Format::Json,
            _ => Format::Protobuf,
        };
        parts.push(format!("format={format}"));
        parts.extend(edge.connections.map(|n| format!("connections={n}")));
        parts.extend(
            edge.timeout
                .map(|timeout| format!("timeout={}", exact(timeout))),
        );
        parts.extend(edge.guards.options());
        parts.extend(edge.no_deadline.then(|| "no-deadline".to_string()));
        Ok(parts.join(","))
    }
}
