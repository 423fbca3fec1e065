//! What makes a topology one that can run, and a cell one that can run it. Every refusal is a sentence.

use super::{Edge, Service, Topology, Way};
use crate::cell::Cell;
use bench_proto::Durability;
use bench_transport::{ReplyVia, Transport};
use std::collections::BTreeSet;

/// More processes than this on one machine measure its scheduler.
const MOST_SERVICES: usize = 16;
/// Connections of one edge: more are a slip.
const MOST_CONNECTIONS: u32 = 10_000;
/// Names become parts of queues' and topics' names, which are bounded.
const LONGEST_NAME: usize = 40;
/// Names that mean something else to a fault or a diagram.
const RESERVED: [&str; 4] = ["service", "rabbitmq", "kafka", "user"];

impl Topology {
    /// Refuses what cannot run: unknown or doubled names, a cycle, several entries, an edge that its transport lacks.
    ///
    /// # Errors
    /// A sentence that says what was expected, what came, and what to do.
    pub fn check(&self) -> Result<(), String> {
        let of = |what: String| format!("topology '{}': {what}", self.name);
        well_named(&self.name).map_err(|why| format!("a topology's name {why}"))?;
        self.check_services().map_err(of)?;
        for edge in &self.edges {
            self.check_edge(edge).map_err(of)?;
            self.check_fanout(edge).map_err(of)?;
        }
        for service in &self.services {
            self.check_joining(service).map_err(of)?;
        }
        self.check_shape().map_err(of)
    }

    fn check_services(&self) -> Result<(), String> {
        let count = self.services.len();
        if !(1..=MOST_SERVICES).contains(&count) {
            return Err(format!(
                "expected 1 to {MOST_SERVICES} services, got {count}"
            ));
        }
        let mut names = BTreeSet::new();
        for service in &self.services {
            let name = service.name.as_str();
            well_named(name).map_err(|why| format!("a service's name {why}"))?;
            if RESERVED.contains(&name) {
                return Err(format!(
                    "a service cannot be called '{name}', which means something else here; give it another name"
                ));
            }
            if !names.insert(name) {
                return Err(format!(
                    "two services are called '{name}'; give each a name of its own"
                ));
            }
            if service.workers == Some(0) {
                return Err(format!(
                    "'{name}' has no workers; expected at least one, or none named for no bound"
                ));
            }
            // `memory` is RabbitMQ's alone, and the evidence for `power` is taken of one service.
            if let Some(class @ (Durability::Memory | Durability::Power)) = service.durability {
                return Err(format!(
                    "'{name}' has durability {class}; a topology's services are of class none or process"
                ));
            }
        }
        Ok(())
    }

    fn check_edge(&self, edge: &Edge) -> Result<(), String> {
        let Edge {
            from,
            to,
            transport,
            way,
            ..
        } = edge;
        for name in [from, to] {
            if self.service(name).is_none() {
                let known: Vec<&str> = self.services.iter().map(|s| s.name.as_str()).collect();
                return Err(format!(
                    "the edge {from} → {to} names '{name}', which is no service of it; expected one of {}",
                    known.join(", ")
                ));
            }
        }
        if from == to {
            return Err(format!("'{from}' calls itself; leave that edge out"));
        }
        let alike = |other: &&Edge| (&other.from, &other.to) == (from, to);
        if self.edges.iter().filter(alike).count() > 1 {
            return Err(format!(
                "there are two edges {from} → {to}; a service calls another once per order: keep one"
            ));
        }
        let possible = match (way, transport) {
            (Way::Awaited, transport) => !transport.needs_broker(),
            (Way::Publish, transport) => transport.needs_broker(),
            (Way::Reply(ReplyVia::Topic), transport) => *transport == Transport::Stream,
            (Way::Reply(_), transport) => *transport == Transport::Queue,
        };
        if !possible {
            let expected = match transport {
                Transport::Queue => "publish, reply=direct or reply=queue",
                Transport::Stream => "publish or reply=topic",
                _ => "awaited",
            };
            return Err(format!(
                "the edge {from} → {to} over {transport} cannot be '{way}'; expected {expected}"
            ));
        }
        if edge.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(format!(
                "the timeout 0 of the edge {from} → {to} lets no call end; expected one such as 500ms"
            ));
        }
        if let Some(count) = edge.connections
            && !(1..=MOST_CONNECTIONS).contains(&count)
        {
            return Err(format!(
                "the edge {from} → {to} has {count} connections; expected 1 to {MOST_CONNECTIONS}"
            ));
        }
        if edge.no_deadline && !edge.carries_deadlines() {
            return Err(format!(
                "no deadline travels on the edge {from} → {to} over {transport} ({way}); leave no_deadline out"
            ));
        }
        edge.guards
            .check()
            .map_err(|why| format!("the edge {from} → {to}: {why}"))
    }

    /// The edges of a fan-out are one call, and those who read it are called by nothing else.
    fn check_fanout(&self, edge: &Edge) -> Result<(), String> {
        let Edge { from, to, .. } = edge;
        let Some(name) = &edge.fanout else {
            return Ok(());
        };
        let about = |what: &str| {
            Err(format!(
                "the fan-out '{name}' of the edge {from} → {to} {what}"
            ))
        };
        if let Err(why) = well_named(name) {
            return about(&why);
        }
        if RESERVED.contains(&name.as_str()) || self.service(name).is_some() {
            return about("is called like something else here; give it a name of its own");
        }
        if edge.way != Way::Publish {
            return about("goes to many services, none of which answers; expected the way publish");
        }
        let one_call = |other: &Edge| Edge {
            to: to.clone(),
            ..other.clone()
        };
        let mut shared = self
            .edges
            .iter()
            .filter(|other| other.fanout == edge.fanout);
        if shared.any(|other| one_call(other) != *edge) {
            return about(
                "is published once, and its edges differ in caller, transport, timeout, connections or guards; give them the same",
            );
        }
        if self.calls_to(to).count() > 1 {
            return about(&format!(
                "is not the only call of '{to}'; a service that reads a fan-out gets nothing else"
            ));
        }
        Ok(())
    }

    /// Nobody waits for a service that is not there yet, and others have what is published meanwhile.
    fn check_joining(&self, service: &Service) -> Result<(), String> {
        let name = service.name.as_str();
        let read = self.fanout_to(name);
        let there = |name: &str| self.service(name).is_some_and(|other| !other.joins_later);
        let with_others = read.is_some()
            && self
                .edges
                .iter()
                .any(|edge| edge.fanout.as_deref() == read && there(&edge.to));
        if !service.joins_later || with_others {
            return Ok(());
        }
        Err(format!(
            "'{name}' joins later, so it must read a fan-out that another service reads from the start; publish to both \
             under one fanout, or leave joins_later out"
        ))
    }

    fn check_shape(&self) -> Result<(), String> {
        let reached = self.callers_first();
        if reached.len() < self.services.len() {
            let left: Vec<&str> = self
                .services
                .iter()
                .map(|service| service.name.as_str())
                .filter(|name| reached.iter().all(|service| service.name != *name))
                .collect();
            return Err(format!(
                "the calls go in a circle among {}, so no order would ever end; take an edge out",
                left.join(", ")
            ));
        }
        let entries: Vec<&str> = self
            .services
            .iter()
            .map(|service| service.name.as_str())
            .filter(|name| self.calls_to(name).next().is_none())
            .collect();
        match entries[..] {
            [_] => Ok(()),
            _ => Err(format!(
                "the user calls one service, and {} are called by no other: {}; let one of them call the rest",
                entries.len(),
                entries.join(", ")
            )),
        }
    }
}

/// Refuses a cell that asks for something else than its topology does.
///
/// # Errors
/// The topology's own check, or a sentence about the two together.
pub fn check_cell(cell: &Cell) -> Result<(), String> {
    let Some(topology) = &cell.topology else {
        return Ok(());
    };
    topology.check()?;
    let of = |what: &str| Err(format!("topology '{}': {what}", topology.name));
    if cell.slow.is_some() || cell.workers.is_some() {
        return of("slowness and workers belong to its services; name them there, not beside it");
    }
    if cell.tls {
        return of("its services call each other without TLS; leave TLS out");
    }
    let fans_out = |edge: &Edge| edge.transport == Transport::Queue && edge.fanout.is_some();
    if cell.queue_limit.is_some() && topology.edges.iter().any(fans_out) {
        return of(
            "expected a queue limit or a fan-out over RabbitMQ, got both; one reader's full queue would refuse what the others get, so leave one of the two out",
        );
    }
    let class = |name: &str| {
        topology
            .service(name)
            .map(|service| topology.durability_of(service, cell.durability))
    };
    let entry = topology.entry().map(|service| service.name.as_str());
    if cell.transport.needs_broker()
        && let Some(entry) = entry
        && class(entry) != Some(cell.durability)
    {
        return of(&format!(
            "the user reaches '{entry}' over a broker, whose queue has one class of durability; leave that of '{entry}' out"
        ));
    }
    for edge in &topology.edges {
        if edge.transport.needs_broker() && class(&edge.from) != class(&edge.to) {
            return of(&format!(
                "'{}' and '{}' share a broker's queue, which has one class of durability; give both the same",
                edge.from, edge.to
            ));
        }
    }
    Ok(())
}

/// What a name of this topology may be.
fn well_named(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(format!(
        "has 1 to {LONGEST_NAME} small letters, digits and dashes, as brokers allow; got '{name}'"
    ))
}
