//! A topology as data: which services there are, how slow each is, and who calls whom over what. It can be written in a
//! file, drawn in lines, and turned into the arguments of `bench-server serve`. Pure: it starts nothing.

mod arguments;
mod check;
mod diagram;
mod guards;
mod of_cell;
mod text;

pub use arguments::Places;
pub use check::check_cell;
pub use guards::{Backoff, Breaker, Guards, Percent};

use bench_proto::Durability;
use bench_proto::slowness::Slowness;
use bench_transport::{ReplyVia, Transport};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Services and the calls between them. The one that nobody calls is the entry: the user calls it, over the cell's transport.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Names it in results.
    pub name: String,
    /// Its services, in the order in which they are listed and drawn.
    pub services: Vec<Service>,
    /// Who calls whom; the calls of one service in the order in which it makes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Edge>,
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name, by which edges and faults know it.
    pub name: String,
    /// Orders that it works on at once; unbounded if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// Its slowness, in the slowness language; phases count from the window's start.
    #[serde(
        default,
        with = "text::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub slow: Option<Slowness>,
    /// What an order that it answered survives; the trial's class if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
    /// It makes its calls all at once; else one after the other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub side_by_side: bool,
    /// A second delivery of an order has no second effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
    /// It is not there from the start: a start among the trial's faults says when it joins. What was published before is
    /// not its.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joins_later: bool,
}

/// One service calls another, once per order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Who calls.
    pub from: String,
    /// Whom.
    pub to: String,
    /// Over what.
    pub transport: Transport,
    /// What is waited for.
    #[serde(default, with = "text::plain", skip_serializing_if = "Way::is_awaited")]
    pub way: Way,
    /// Edges that share this name are one message: published once, and each callee gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fanout: Option<String>,
    /// Deadline of each attempt; without one the caller waits as long as it takes.
    #[serde(
        default,
        with = "text::duration",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<Duration>,
    /// Connections to the callee, over REST at most so many; the server's own number where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// The callee is not told how long it is waited for, and so works on what nobody waits for any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_deadline: bool,
    /// What keeps the callee's troubles from the caller.
    #[serde(default, skip_serializing_if = "Guards::is_none")]
    pub guards: Guards,
}

/// What the caller of an edge waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// The reply of a sync transport.
    #[default]
    Awaited,
    /// The broker's confirm, and no more.
    Publish,
    /// The callee's reply, over the broker.
    Reply(ReplyVia),
}

impl Way {
    fn is_awaited(&self) -> bool {
        *self == Self::Awaited
    }

    /// Whether the caller waits until the callee has worked.
    pub fn waits(self) -> bool {
        self != Self::Publish
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Awaited => f.write_str("awaited"),
            Self::Publish => f.write_str("publish"),
            Self::Reply(via) => write!(f, "reply={via}"),
        }
    }
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "awaited" => Ok(Self::Awaited),
            "publish" => Ok(Self::Publish),
            _ => match text.strip_prefix("reply=") {
                Some(via) => via.parse().map(Self::Reply),
                None => Err(format!(
                    "'{text}' is nothing that a call waits for; expected awaited, publish (the broker's confirm alone), or \
                     reply=direct, reply=queue or reply=topic"
                )),
            },
        }
    }
}

impl Service {
    /// A service of this name, unbounded and not slow.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
}

impl Edge {
    /// An awaited call without guards.
    pub fn new(from: impl Into<String>, to: impl Into<String>, transport: Transport) -> Self {
        Self {
            from: from.into(),
            to: to.into(),
            transport,
            way: Way::Awaited,
            fanout: None,
            timeout: None,
            connections: None,
            no_deadline: false,
            guards: Guards::default(),
        }
    }

    /// Whether a deadline can travel on it: TCP's frames have no room for one, and what is published is not waited for.
    fn carries_deadlines(&self) -> bool {
        self.way.waits() && self.transport != Transport::Tcp
    }

    /// What the caller calls, and counts its calls under: the callee, or the fan-out that it shares with others.
    pub fn called(&self) -> &str {
        self.fanout.as_deref().unwrap_or(&self.to)
    }
}

impl Topology {
    /// A chain of `length` services `s1`, `s2`, …, each as slow as said and calling the next over one transport.
    pub fn chain(
        name: impl Into<String>,
        length: usize,
        transport: Transport,
        slow: &Slowness,
    ) -> Self {
        let service = |number: usize| format!("s{number}");
        Self {
            name: name.into(),
            services: (1..=length)
                .map(|number| Service {
                    slow: Some(slow.clone()),
                    ..Service::named(service(number))
                })
                .collect(),
            edges: (1..length)
                .map(|number| Edge::new(service(number), service(number + 1), transport))
                .collect(),
        }
    }

    /// Reads a topology from JSON.
    ///
    /// # Errors
    /// What is written there is no topology, or one that cannot run.
    pub fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| {
            format!(
                "expected a topology such as {{\"name\": \"pair\", \"services\": [{{\"name\": \"checkout\"}}, {{\"name\": \
                 \"inventory\", \"slow\": \"5ms\"}}], \"edges\": [{{\"from\": \"checkout\", \"to\": \"inventory\", \
                 \"transport\": \"grpc\"}}]}}; {error}"
            )
        })
    }

    /// The service that the user calls; none in a topology that fails its check.
    pub fn entry(&self) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| self.edges.iter().all(|edge| edge.to != service.name))
    }

    /// The service of a name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// The calls that a service makes.
    pub fn calls_of<'t>(&'t self, name: &'t str) -> impl Iterator<Item = &'t Edge> {
        self.edges.iter().filter(move |edge| edge.from == name)
    }

    /// The calls that a service gets from others.
    pub fn calls_to<'t>(&'t self, name: &'t str) -> impl Iterator<Item = &'t Edge> {
        self.edges.iter().filter(move |edge| edge.to == name)
    }

    /// The fan-out that a service reads from; none where it is called by itself.
    pub fn fanout_to<'t>(&'t self, name: &'t str) -> Option<&'t str> {
        self.calls_to(name).find_map(|edge| edge.fanout.as_deref())
    }

    /// Every service after all that call it, the entry first: the order in which they are read. Backwards it is the
    /// order in which they are started. Services of a cycle are left out; the check refuses one.
    pub fn callers_first(&self) -> Vec<&Service> {
        let mut placed: Vec<&Service> = Vec::new();
        loop {
            let is_placed = |name: &str| placed.iter().any(|service| service.name == name);
            let next = self.services.iter().find(|service| {
                !is_placed(&service.name)
                    && self
                        .calls_to(&service.name)
                        .all(|edge| is_placed(&edge.from))
            });
            match next {
                Some(service) => placed.push(service),
                None => return placed,
            }
        }
    }

    /// Over what its services call each other.
    pub fn transports(&self) -> BTreeSet<Transport> {
        self.edges.iter().map(|edge| edge.transport).collect()
    }

    /// What the orders of a service survive, where its class is the trial's if it names none.
    pub fn durability_of(&self, service: &Service, of_trial: Durability) -> Durability {
        service.durability.unwrap_or(of_trial)
    }

    /// Its name and a mark of everything else in it: equal for equal topologies alone.
    pub fn label(&self) -> String {
        let whole = serde_json::to_string(self).expect("a topology is plain data");
        format!("{}-{:06x}", self.name, fingerprint(&whole) & 0xff_ffff)
    }

    /// What a service's slowness is drawn from: services of one seed would fail, and be slow, in step on every order.
    pub fn seed_of(&self, name: &str, seed: u64) -> u64 {
        seed ^ fingerprint(name)
    }
}

/// FNV-1a with 64 bits: the same in every build, which a hash of the standard library does not promise.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
pub(crate) mod tests;
