//! The language of `--next`: which service is called for each order, over what, and with which guards. Pure: it reads,
//! refuses with a sentence, and prints; it connects nowhere. No sentence repeats a target, which may hold a password.
//!
//! ```text
//! hop    = name "=" transport ":" target { "," option }
//! target = "host:port" | amqp URL | brokers "," … | "env"
//! option = "publish" | "reply=" ("direct" | "queue" | "topic")          queue and stream; awaited by a reply where neither is said
//!        | "scope=" name                                               queue and stream: whose queue or topic
//!        | "format=" ("json" | "protobuf") | "http=" ("h1" | "h2") | "connections=" count
//!        | "timeout=" duration                                         of each attempt
//!        | "retries=" count | "backoff=" duration ".." duration        exponential with full jitter; immediate without it
//!        | "budget=" percent "%"                                       retries to first attempts
//!        | "breaker=" percent "%/" window "/" duration                 failures among the last attempts, how long open
//!        | "bulkhead=" count                                           calls at once; more are shed
//!        | "no-deadline"                                               the hop isn't told how long it is waited for
//! ```

use super::breaker::Trip;
use crate::cli;
use bench_proto::Format;
use bench_proto::slowness::{read_duration, show_duration};
use bench_transport::{HttpVersion, ReplyVia, Transport};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Nothing here is longer: a guard that takes an hour is a mistyped one.
const LONGEST: Duration = Duration::from_secs(3_600);
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

/// What stands between a hop and the orders; nothing unless it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Guards {
    /// Of each attempt.
    pub timeout: Option<Duration>,
    /// Attempts beyond the first of a call, at most.
    pub retries: u32,
    /// The longest pause before the first retry, and before any; the pause itself is drawn below it.
    pub backoff: Option<(Duration, Duration)>,
    /// Retries to first attempts, percent.
    pub budget: Option<f64>,
    /// When it is not called for a while.
    pub breaker: Option<Trip>,
    /// Calls at once.
    pub bulkhead: Option<usize>,
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
        let given = |expected: &str| {
            value.ok_or_else(|| format!("`{key}` needs a value, such as {key}={expected}"))
        };
        let guards = &mut self.guards;
        match key {
            "publish" | "no-deadline" if value.is_some() => {
                return Err(format!("`{key}` takes no value; drop what follows the ="));
            }
            "publish" => self.way = Way::Published,
            "no-deadline" => self.deadline_travels = false,
            "reply" => self.way = Way::Reply(given("direct")?.parse()?),
            "scope" => self.scope = cli::scope(given("orders")?)?,
            "format" => self.format = given("json")?.parse()?,
            "http" => self.http = given("h2")?.parse()?,
            "connections" => self.connections = count(key, given("64")?, 10_000)?,
            "timeout" => guards.timeout = Some(duration(key, given("500ms")?)?),
            "retries" => guards.retries = count(key, given("3")?, 100)? as u32,
            "backoff" => guards.backoff = Some(backoff(given("10ms..1s")?)?),
            "budget" => guards.budget = Some(percent(key, given("10%")?)?),
            "breaker" => guards.breaker = Some(breaker(given("50%/20/1s")?)?),
            "bulkhead" => guards.bulkhead = Some(count(key, given("8")?, 1_000_000)?),
            _ => {
                // Behind an AMQP URL an unknown option may be the rest of a password.
                let came = match self.transport {
                    Transport::Queue => "an option that is none of these".to_owned(),
                    _ => format!("`{key}`"),
                };
                return Err(format!(
                    "expected the options publish, reply=, scope=, format=, http=, connections=, timeout=, retries=, backoff=, budget=, breaker=, bulkhead= and no-deadline; got {came}"
                ));
            }
        }
        Ok(())
    }

    /// Refuses options that don't go together, and fills in what depends on them.
    fn check(&mut self, said: &BTreeSet<&str>) -> Result<(), String> {
        let transport = self.transport;
        if !transport.needs_broker() {
            for option in ["publish", "reply", "scope"] {
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
        for option in ["backoff", "budget"] {
            if said.contains(option) && self.guards.retries == 0 {
                return Err(format!(
                    "`{option}` is about retries; say how many with retries=3"
                ));
            }
        }
        if self.connections == 0 {
            let one_call_each = transport == Transport::Tcp
                || (transport == Transport::Rest && self.http == HttpVersion::H1);
            self.connections = if one_call_each { CONNECTIONS } else { 1 };
        }
        Ok(())
    }

    /// What is in force, by name, its target left out.
    pub fn in_force(&self) -> BTreeMap<String, String> {
        let Guards {
            timeout,
            retries,
            backoff,
            budget,
            breaker,
            bulkhead,
        } = self.guards;
        let none = || "none".to_owned();
        let way = match self.way {
            Way::Awaited => "awaited".to_owned(),
            Way::Reply(via) => format!("awaited, reply by {via}"),
            Way::Published => "published".to_owned(),
        };
        [
            ("hop.transport", self.transport.to_string()),
            ("hop.way", way),
            ("hop.scope", self.scope.clone()),
            ("hop.format", self.format.to_string()),
            ("hop.deadline_travels", self.deadline_travels.to_string()),
            ("guard.timeout", timeout.map_or_else(none, show_duration)),
            ("guard.retries", retries.to_string()),
            (
                "guard.backoff",
                backoff.map_or_else(none, |(first, most)| {
                    format!("{}..{}", show_duration(first), show_duration(most))
                }),
            ),
            (
                "guard.budget",
                budget.map_or_else(none, |percent| format!("{percent}%")),
            ),
            (
                "guard.breaker",
                breaker.map_or_else(none, |trip| {
                    format!(
                        "{}%/{}/{}",
                        trip.percent,
                        trip.window,
                        show_duration(trip.open)
                    )
                }),
            ),
            (
                "guard.bulkhead",
                bulkhead.map_or_else(none, |calls| calls.to_string()),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

fn count(key: &str, text: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        _ => Err(format!(
            "expected {key}= with a number from 1 to {most}, got `{text}`"
        )),
    }
}

fn duration(key: &str, text: &str) -> Result<Duration, String> {
    let duration = read_duration(text, LONGEST).map_err(|why| format!("{key}=: {why}"))?;
    if duration.is_zero() {
        return Err(format!("expected {key}= above 0, got `{text}`"));
    }
    Ok(duration)
}

fn percent(key: &str, text: &str) -> Result<f64, String> {
    text.strip_suffix('%')
        .filter(|number| number.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        .and_then(|number| number.parse().ok())
        .filter(|percent| (0.001..=100.0).contains(percent))
        .ok_or_else(|| {
            format!("expected {key}= with a share such as 10%, up to 100%; got `{text}`")
        })
}

fn backoff(text: &str) -> Result<(Duration, Duration), String> {
    let (first, most) = text.split_once("..").ok_or_else(|| {
        format!(
            "expected backoff= with its first and its longest pause, such as 10ms..1s, got `{text}`"
        )
    })?;
    let (first, most) = (duration("backoff", first)?, duration("backoff", most)?);
    if first > most {
        return Err(format!(
            "expected backoff='s first pause not to be longer than its longest, got `{text}`"
        ));
    }
    Ok((first, most))
}

fn breaker(text: &str) -> Result<Trip, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let [share, window, open] = parts[..] else {
        return Err(format!(
            "expected breaker= with a share, how many attempts are looked at, and how long it is open, such as 50%/20/1s, got `{text}`"
        ));
    };
    Ok(Trip {
        percent: percent("breaker", share)?,
        window: count("breaker", window, 10_000)?,
        open: duration("breaker", open)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Next {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn a_hop_is_awaited_and_unguarded_unless_it_is_said_otherwise() {
        for (text, transport, way, format, connections) in [
            (
                "a=tcp:h:1",
                Transport::Tcp,
                Way::Awaited,
                Format::Protobuf,
                64,
            ),
            (
                "a=rest:h:1",
                Transport::Rest,
                Way::Awaited,
                Format::Json,
                64,
            ),
            (
                "a=rest:h:1,http=h2",
                Transport::Rest,
                Way::Awaited,
                Format::Json,
                1,
            ),
            (
                "a=grpc:[::1]:1",
                Transport::Grpc,
                Way::Awaited,
                Format::Protobuf,
                1,
            ),
            (
                "a=queue:amqp://u:p@h:1/%2f",
                Transport::Queue,
                Way::Reply(ReplyVia::Direct),
                Format::Protobuf,
                1,
            ),
            (
                "a=stream:h:1,i:2",
                Transport::Stream,
                Way::Reply(ReplyVia::Topic),
                Format::Protobuf,
                1,
            ),
        ] {
            let next = read(text);
            assert_eq!((next.transport, next.way), (transport, way), "{text}");
            assert_eq!(
                (next.format, next.connections),
                (format, connections),
                "{text}"
            );
            assert_eq!((next.name.as_str(), next.scope.as_str()), ("a", "orders"));
            assert!(next.deadline_travels);
            assert_eq!(next.guards, Guards::default(), "{text}");
        }
    }

    #[test]
    fn every_option_is_read() {
        let next = read(
            "inventory=queue:amqp://u:p@h:1/%2f,reply=queue,scope=stock,format=json,connections=3,timeout=500ms,retries=3,backoff=10ms..1s,budget=12.5%,breaker=50%/20/1s,bulkhead=8,no-deadline",
        );
        assert_eq!(next.name, "inventory");
        assert_eq!(next.target, "amqp://u:p@h:1/%2f");
        assert_eq!(next.way, Way::Reply(ReplyVia::Queue));
        assert_eq!((next.scope.as_str(), next.format), ("stock", Format::Json));
        assert_eq!((next.connections, next.deadline_travels), (3, false));
        let ms = Duration::from_millis;
        assert_eq!(
            next.guards,
            Guards {
                timeout: Some(ms(500)),
                retries: 3,
                backoff: Some((ms(10), ms(1_000))),
                budget: Some(12.5),
                breaker: Some(Trip {
                    percent: 50.0,
                    window: 20,
                    open: ms(1_000),
                }),
                bulkhead: Some(8),
            }
        );
        assert_eq!(read("a=stream:h:1,publish").way, Way::Published);
        let several = read("a=stream:h:1,i:2,j:3,scope=x,publish");
        assert_eq!(several.target, "h:1,i:2,j:3");
    }

    #[test]
    fn what_can_not_be_meant_is_refused_with_what_to_write() {
        for (text, says) in [
            ("", "NAME=TRANSPORT:TARGET"),
            ("inventory", "NAME=TRANSPORT:TARGET"),
            ("a=rest", "NAME=TRANSPORT:TARGET"),
            ("=rest:h:1", "1 to 40 letters"),
            ("a b=rest:h:1", "1 to 40 letters"),
            ("a=soap:h:1", "not a transport"),
            ("a=rest:h", "host:port"),
            ("a=rest:h:0", "host:port"),
            ("a=grpc::1", "host:port"),
            ("a=queue:http://u:secret@h", "amqp://"),
            ("a=queue:amqp://u:secret,x@h:1", "none of these"),
            ("a=stream:localhost", "expected brokers"),
            ("a=rest:h:1,", "expected the options"),
            ("a=rest:h:1,patience=1s", "got `patience`"),
            ("a=rest:h:1,publish", "for queue and stream"),
            ("a=grpc:h:1,reply=direct", "for queue and stream"),
            ("a=tcp:h:1,scope=x", "for queue and stream"),
            ("a=stream:h:1,publish=yes", "takes no value"),
            ("a=stream:h:1,publish,reply=topic", "one of them"),
            ("a=stream:h:1,reply=direct", "reply=topic"),
            ("a=queue:amqp://h,reply=topic", "reply=direct"),
            ("a=queue:amqp://h,reply=pigeon", "no way for a reply"),
            ("a=stream:h:1,scope=a/b", "letters, digits"),
            ("a=rest:h:1,format=xml", "json or protobuf"),
            ("a=grpc:h:1,format=json", "protobuf"),
            ("a=rest:h:1,http=h3", "h1 or h2"),
            ("a=grpc:h:1,http=h2", "for rest"),
            ("a=rest:h:1,connections=0", "from 1 to 10000"),
            ("a=rest:h:1,timeout", "needs a value"),
            ("a=rest:h:1,timeout=0", "above 0"),
            ("a=rest:h:1,timeout=soon", "expected a duration"),
            ("a=rest:h:1,timeout=90m", "at most"),
            ("a=rest:h:1,timeout=1s,timeout=2s", "comes twice"),
            ("a=rest:h:1,retries=0", "from 1 to 100"),
            ("a=rest:h:1,retries=many", "from 1 to 100"),
            ("a=rest:h:1,backoff=10ms..1s", "retries=3"),
            ("a=rest:h:1,retries=1,backoff=10ms", "10ms..1s"),
            ("a=rest:h:1,retries=1,backoff=2s..1s", "not to be longer"),
            ("a=rest:h:1,budget=10%", "retries=3"),
            ("a=rest:h:1,retries=1,budget=10", "such as 10%"),
            ("a=rest:h:1,retries=1,budget=101%", "up to 100%"),
            ("a=rest:h:1,breaker=50%", "50%/20/1s"),
            ("a=rest:h:1,breaker=0%/20/1s", "such as 10%"),
            ("a=rest:h:1,breaker=50%/0/1s", "from 1 to 10000"),
            ("a=rest:h:1,breaker=50%/20/0", "above 0"),
            ("a=rest:h:1,bulkhead=0", "from 1 to 1000000"),
        ] {
            let why = text.parse::<Next>().expect_err(text);
            assert!(why.contains(says), "{text}: {why}");
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn hops_are_kept_in_order_and_their_names_are_their_own() {
        let texts = ["b=tcp:h:1", "a=tcp:h:2"].map(String::from);
        let names: Vec<_> = read_all(&texts)
            .unwrap()
            .into_iter()
            .map(|next| next.name)
            .collect();
        assert_eq!(names, ["b", "a"]);
        let texts = ["a=tcp:h:1", "a=rest:h:2"].map(String::from);
        assert!(read_all(&texts).unwrap_err().contains("named `a`"));
    }

    #[test]
    fn what_is_in_force_and_what_is_debugged_hold_no_password() {
        let next = read("a=queue:amqp://u:secret@h:1,timeout=1500us,breaker=7.5%/100/2s");
        let in_force = next.in_force();
        assert_eq!(in_force["guard.timeout"], "1500us");
        assert_eq!(in_force["guard.breaker"], "7.5%/100/2s");
        assert_eq!(in_force["hop.way"], "awaited, reply by direct");
        assert_eq!(in_force["guard.bulkhead"], "none");
        assert!(!format!("{in_force:?} {next:?}").contains("secret"));
    }
}
