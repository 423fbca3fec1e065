//! The language of `--next`: which service is called for each order, over what, and with which guards. Pure: it reads,
//! refuses with a sentence, and prints; it connects nowhere. No sentence repeats a target, which may hold a password.
//!
//! ```text
//! hop    = name "=" transport ":" target { "," option }
//! target = "host:port" | amqp URL | brokers "," … | "env"
//! option = "publish" | "reply=" ("direct" | "queue" | "topic")          queue and stream; awaited by a reply where neither is said
//!        | "fanout"                                                     published: every reader of the scope gets it
//!        | "scope=" name                                               queue and stream: whose queue or topic
//!        | "format=" ("json" | "protobuf") | "http=" ("h1" | "h2") | "connections=" count
//!        | "timeout=" duration                                         of each attempt
//!        | "retries=" count | "backoff=" duration ".." duration        exponential with full jitter; immediate without it
//!        | "budget=" percent "%"                                       retries to first attempts
//!        | "breaker=" percent "%/" window "/" duration                 failures among the last attempts, how long open
//!        | "slow-after=" duration                                      beside a breaker: it counts what took longer too
//!        | "bulkhead=" count                                           calls at once; more are shed
//!        | "no-deadline"                                               the hop isn't told how long it is waited for
//! ```

use super::guards::{Guards, count, given};
use crate::cli;
use bench_proto::Format;
use bench_transport::{HttpVersion, ReplyVia, Transport};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// Connections where nothing is said, on transports that answer one call at a time on each.
const CONNECTIONS: usize = 64;

/// One next hop, as the command line says it.
#[derive(Clone, PartialEq)]
pub struct Next {
    /// What it is called in accounts and sentences.
    pub name: String,
    /// Over what it is called.
    pub transport: Transport,
    /// Where it is; may hold a password.
    pub target: String,
    /// What of it is awaited.
    pub way: Way,
    /// What is published goes to every reader of the scope.
    pub fanout: bool,
    /// Whose queue or topic, over a broker.
    pub scope: String,
    /// How orders are encoded for it.
    pub format: Format,
    /// On rest.
    pub http: HttpVersion,
    /// Connections held to it.
    pub connections: usize,
    /// Whether it is told how long it is waited for.
    pub deadline_travels: bool,
    /// What stands between it and the orders.
    pub guards: Guards,
}

/// What of a hop an order waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Its answer.
    Awaited,
    /// Its answer, over a broker.
    Reply(ReplyVia),
    /// The broker's confirm and nothing more.
    Published,
}

/// Without its target.
impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Next");
        out.field("name", &self.name)
            .field("transport", &self.transport)
            .field("way", &self.way)
            .field("guards", &self.guards)
            .finish_non_exhaustive()
    }
}

/// Reads every hop, in order.
pub fn read_all(texts: &[String]) -> Result<Vec<Next>, String> {
    let mut names = BTreeSet::new();
    let mut hops = Vec::new();
    for text in texts {
        let next: Next = text.parse()?;
        if !names.insert(next.name.clone()) {
            return Err(format!(
                "two hops are named `{}`; give each its own name",
                next.name
            ));
        }
        hops.push(next);
    }
    Ok(hops)
}

impl FromStr for Next {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once('=').ok_or_else(shape)?;
        check_name(name)?;
        let (transport, rest) = rest.split_once(':').ok_or_else(shape)?;
        let transport: Transport = transport
            .parse()
            .map_err(|error| format!("hop `{name}`: {error}"))?;
        let (target, options) = split(transport, rest);
        let mut next = Self::new(name, transport);
        next.target = check_target(transport, &target).map_err(|why| next.about(why))?;
        let mut seen = BTreeSet::new();
        for option in options {
            let (key, value) = match option.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (option, None),
            };
            next.take(key, value).map_err(|why| next.about(why))?;
            if !seen.insert(key) {
                return Err(next.about(format!("`{key}` comes twice; give it once")));
            }
        }
        next.check(&seen).map_err(|why| next.about(why))?;
        Ok(next)
    }
}

fn shape() -> String {
    "expected NAME=TRANSPORT:TARGET[,OPTION…], such as inventory=grpc:127.0.0.1:50052,timeout=500ms"
        .into()
}

/// The target, and the options behind it. A list of brokers has commas of its own.
fn split(transport: Transport, rest: &str) -> (String, Vec<&str>) {
    let mut pieces = rest.split(',').peekable();
    let mut target = pieces.next().unwrap_or_default().to_owned();
    while let Some(piece) = pieces.next_if(|piece| {
        transport == Transport::Stream && piece.contains(':') && !piece.contains('=')
    }) {
        target.push(',');
        target.push_str(piece);
    }
    (target, pieces.collect())
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if (1..=40).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(format!(
        "expected a hop's name of 1 to 40 letters, digits, dashes or underscores; {}",
        shape()
    ))
}

fn check_target(transport: Transport, target: &str) -> Result<String, String> {
    match transport {
        Transport::Queue => cli::amqp_url(target),
        Transport::Stream => cli::brokers(target),
        Transport::Tcp | Transport::Rest | Transport::Grpc => {
            let well_formed = target.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if well_formed {
                return Ok(target.to_owned());
            }
            Err(format!(
                "expected where it listens as host:port, such as {transport}:127.0.0.1:8081"
            ))
        }
    }
}

impl Next {
    /// A hop with nothing said about it.
    fn new(name: &str, transport: Transport) -> Self {
        Self {
            name: name.to_owned(),
            transport,
            target: String::new(),
            way: match transport {
                Transport::Queue => Way::Reply(ReplyVia::Direct),
                Transport::Stream => Way::Reply(ReplyVia::Topic),
                _ => Way::Awaited,
            },
            fanout: false,
            scope: "orders".into(),
            format: match transport {
                Transport::Rest => Format::Json,
                _ => Format::Protobuf,
            },
            http: HttpVersion::H1,
            connections: 0,
            deadline_travels: true,
            guards: Guards::default(),
        }
    }

    fn about(&self, why: String) -> String {
        format!("hop `{}`: {why}", self.name)
    }

    /// Takes one option in.
    fn take(&mut self, key: &str, value: Option<&str>) -> Result<(), String> {
        let given = |example: &str| given(key, value, example);
        if self.guards.take(key, value)? {
            return Ok(());
        }
        match key {
            "publish" | "fanout" | "no-deadline" if value.is_some() => {
                return Err(format!("`{key}` takes no value; drop what follows the ="));
            }
            "publish" => self.way = Way::Published,
            "fanout" => self.fanout = true,
            "no-deadline" => self.deadline_travels = false,
            "reply" => self.way = Way::Reply(given("direct")?.parse()?),
            "scope" => self.scope = cli::scope(given("orders")?)?,
            "format" => self.format = given("json")?.parse()?,
            "http" => self.http = given("h2")?.parse()?,
            "connections" => self.connections = count(key, given("64")?, 10_000)?,
            _ => {
                // Behind an AMQP URL an unknown option may be the rest of a password.
                let came = match self.transport {
                    Transport::Queue => "an option that is none of these".to_owned(),
                    _ => format!("`{key}`"),
                };
                return Err(format!(
                    "expected the options publish, fanout, reply=, scope=, format=, http=, connections=, timeout=, retries=, backoff=, budget=, breaker=, slow-after=, bulkhead= and no-deadline; got {came}"
                ));
            }
        }
        Ok(())
    }

    /// Refuses options that don't go together, and fills in what depends on them.
    fn check(&mut self, said: &BTreeSet<&str>) -> Result<(), String> {
        let transport = self.transport;
        if !transport.needs_broker() {
            for option in ["publish", "fanout", "reply", "scope"] {
                if said.contains(option) {
                    return Err(format!(
                        "`{option}` is for queue and stream: a call over {transport} is answered on its own connection; drop it"
                    ));
                }
            }
        }
        if said.contains("publish") && said.contains("reply") {
            return Err("`publish` waits for no answer and `reply` does; give one of them".into());
        }
        if self.fanout && self.way != Way::Published {
            return Err(
                "`fanout` goes to many readers, none of which answers; give `publish` with it"
                    .into(),
            );
        }
        match (transport, self.way) {
            (Transport::Queue, Way::Reply(ReplyVia::Topic)) => {
                return Err(
                    "a reply by topic is Kafka's; expected reply=direct or reply=queue".into(),
                );
            }
            (Transport::Stream, Way::Reply(ReplyVia::Direct | ReplyVia::Queue)) => {
                return Err("RabbitMQ alone replies so; expected reply=topic".into());
            }
            _ => {}
        }
        if said.contains("http") && transport != Transport::Rest {
            return Err(format!(
                "`http` is for rest, got it on {transport}; drop it"
            ));
        }
        if transport == Transport::Grpc && self.format == Format::Json {
            return Err("gRPC is protobuf; drop format=json".into());
        }
        self.guards.check()?;
        if self.connections == 0 {
            let one_call_each = transport == Transport::Tcp
                || (transport == Transport::Rest && self.http == HttpVersion::H1);
            self.connections = if one_call_each { CONNECTIONS } else { 1 };
        }
        Ok(())
    }

    /// What is in force, by name, its target left out.
    pub fn in_force(&self) -> BTreeMap<String, String> {
        let way = match self.way {
            Way::Awaited => "awaited".to_owned(),
            Way::Reply(via) => format!("awaited, reply by {via}"),
            Way::Published if self.fanout => "published to every reader".to_owned(),
            Way::Published => "published".to_owned(),
        };
        let hop = [
            ("hop.transport", self.transport.to_string()),
            ("hop.way", way),
            ("hop.scope", self.scope.clone()),
            ("hop.format", self.format.to_string()),
            ("hop.deadline_travels", self.deadline_travels.to_string()),
        ];
        hop.into_iter()
            .chain(self.guards.in_force())
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

#[cfg(test)]
mod tests;
