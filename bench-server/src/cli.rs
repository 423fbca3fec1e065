//! The command line: what the user may say, and the refusal of what can't be meant, before anything starts. It opens
//! nothing and listens nowhere.

use crate::token::{self, Token};
use crate::{hops, plant};
use bench_host::place::Cpus;
use bench_proto::slowness::Slowness;
use bench_proto::{Durability, Format};
use bench_transport::Transport;
use bench_usage::whole;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

/// The service under measurement: one order handler over bare TCP, REST, gRPC, RabbitMQ and Kafka.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Listen, and print one JSON line once everything is ready.
    Serve(Box<Serve>),
    /// Stand between a caller and a service, and delay every byte by a fixed time each way.
    Relay(Relay),
}

/// Flags of `bench-server serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
SPEC is a mix of delays (1ms; 5ms:90,200ms:10; exp(20ms); lognormal(5ms,0.5)), and may add fail=1% and workers=8;
phases go by the time since the run's start: 0s..10s 1ms; 10s..20s 200ms; 20s.. 1ms

HOP is NAME=TRANSPORT:TARGET[,OPTION…], such as inventory=grpc:127.0.0.1:50052,timeout=500ms,retries=3. An order's worker is
held until the hop has answered; its failure fails the order. Over queue and stream (TARGET may be env) it answers by reply=WAY
(direct or queue; topic), or with publish only the broker's confirm is awaited; fanout publishes to every --reader of the scope.
Options: scope=NAME, format=json|protobuf, http=h1|h2, connections=N; guards, none by default: timeout=500ms (each attempt),
retries=3, backoff=10ms..1s, budget=10%, breaker=50%/20/1s (failures among the last 20 attempts, open for 1 s),
bulkhead=8 (calls at once); no-deadline

The service stops on SIGTERM and SIGINT after finishing what it accepted; a second one ends it at once.
Logs go to stderr (RUST_LOG=info shows more). Exit status: 0 stopped as asked, 1 failed, 2 bad usage.

Examples:
  bench-server serve --rest 127.0.0.1:8080 --grpc 127.0.0.1:50051
  bench-server serve --queue env --slow '5ms:90,200ms:10' --workers 8")]
pub struct Serve {
    /// Listen for length-prefixed orders, host:port (port 0: any free one; so everywhere)
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub tcp: Option<Address>,
    /// Listen for HTTP/1.1 and HTTP/2 (prior knowledge), JSON and protobuf
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub rest: Option<Address>,
    /// Listen for gRPC
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub grpc: Option<Address>,
    /// Consume from RabbitMQ; `env` takes the URL from HOPBENCH_AMQP_URL, so that no password is on the command line
    #[arg(long, value_name = "AMQP_URL")]
    pub queue: Option<String>,
    /// Consume from Kafka, host:port,…; `env` takes it from HOPBENCH_KAFKA_BROKERS
    #[arg(long, value_name = "BROKERS", value_parser = brokers)]
    pub stream: Option<String>,
    /// Where instrument and service talk, behind a token; `off` for nowhere
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = address_or_off)]
    pub control: ControlAt,
    /// Write the control port's token here, mode 0600 [default: a temporary file; HOPBENCH_TOKEN gives a token instead]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// TLS 1.3 on every listener (with --certificate and --key) and to the brokers (believing --ca)
    #[arg(long)]
    pub tls: bool,
    /// What the listeners show, PEM, the chain behind it included
    #[arg(long, value_name = "FILE", requires_all = ["tls", "key"])]
    pub certificate: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires_all = ["tls", "certificate"])]
    pub key: Option<PathBuf>,
    /// The CAs that a broker's certificate is checked against, PEM [default: those that this machine believes]
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub ca: Option<PathBuf>,
    /// Names the exchange, queues and topics: hopbench.NAME…
    #[arg(long, value_name = "NAME", default_value = "orders", value_parser = scope)]
    pub scope: String,
    /// Get every message of the scope under this name, from a queue or with a group of its own [default: consumers share them]
    #[arg(long, value_name = "NAME", value_parser = scope)]
    pub reader: Option<String>,
    /// Begin with what is published from now on, where this reader is new to the scope [default: Kafka's oldest record]
    #[arg(long, requires = "reader")]
    pub from_latest: bool,
    /// How slow the handler is [default: not at all]
    #[arg(long, value_name = "SPEC")]
    pub slow: Option<Slowness>,
    /// Orders worked on at once over all listeners, where SPEC doesn't say [default: unbounded]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub workers: Option<usize>,
    /// Call this service for each order; may be repeated, and is called in this order
    #[arg(long, value_name = "HOP")]
    pub next: Vec<String>,
    /// Call the next services all at once [default: in sequence, up to the first that fails]
    #[arg(long, requires = "next")]
    pub next_side_by_side: bool,
    /// Answer a second delivery of a stamped order with its receipt, without working on it again
    #[arg(long)]
    pub idempotent: bool,
    /// Orders that may wait for a worker over all listeners; one more is turned away at once: 503, ResourceExhausted [default: unbounded]
    #[arg(long, value_name = "N", value_parser = whole(0..=1_000_000_u32))]
    pub max_waiting: Option<u32>,
    /// What an answered order survives: none, memory, process (kill -9), power (power cut)
    #[arg(long, value_name = "CLASS", default_value = "none")]
    pub durability: Durability,
    /// Folder of the journal that `process` and `power` keep
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
    /// Encoding of answers and dead letters on the brokers: protobuf or json
    #[arg(long, value_name = "FORMAT", default_value = "protobuf")]
    pub format: Format,
    /// Messages that a broker transport takes before it has finished earlier ones
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = whole(1..=u16::MAX))]
    pub prefetch: u16,
    /// Consumers of each broker transport, with that many messages each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1..=256_u16))]
    pub consumers: u16,
    /// Messages that may wait in the RabbitMQ queue; a publish beyond them is refused [default: unbounded]
    #[arg(long, value_name = "N", value_parser = whole(1..=u32::MAX))]
    pub queue_limit: Option<u32>,
    /// Partitions of the Kafka topic
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = whole(1..=1_000_i32))]
    pub partitions: i32,
    /// Leave to each library what is matched otherwise (Nagle, HTTP/2 windows, prefetch, fetch back-off)
    #[arg(long)]
    pub library_defaults: bool,
    /// Largest body that a listener takes, such as 64KiB or 4MiB
    #[arg(long, value_name = "SIZE", default_value = "4MiB", value_parser = size)]
    pub max_body: usize,
    /// Threads that work [default: as many as the CPUs it may use]
    #[arg(long, value_name = "N", value_parser = whole(1..=1_024_u16))]
    pub threads: Option<u16>,
    /// What the slowness is drawn from: equal seeds give equal delays on every transport
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0..=u64::MAX))]
    pub seed: u64,
    /// Run on these CPUs only, such as 0 or 0,2-3
    #[arg(long, value_name = "CPUS", value_parser = cpus)]
    pub pin: Option<Cpus>,
    /// Stop when the process that started this one ends
    #[arg(long)]
    pub with_parent: bool,
    /// Go on with a run that an earlier process of this service began: the control port's reset, as JSON. What the journal
    /// says was answered in it is in the ledger
    #[arg(long, value_name = "FILE", hide = true)]
    pub go_on: Option<PathBuf>,
    /// Plant faults into the ledger: drop=1/1000,double=1/1000,swap=1/1000; or a slower codec: codec=protobuf:10000
    #[arg(long, value_name = "SPEC", hide = true)]
    pub plant: Option<plant::Spec>,
}

/// Flags of `bench-server relay`.
#[derive(Debug, Args)]
#[command(after_help = "\
It prints a JSON line once it listens, and on SIGTERM or SIGINT one with the connections and bytes that it passed on.
A new connection's handshake is waited for too: its first bytes come two delays later than on an open one.

Examples:
  bench-server relay --to 127.0.0.1:8080 --delay-us 500")]
pub struct Relay {
    /// Listen here, host:port (port 0: any free one)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = resolved)]
    pub listen: Resolved,
    /// Pass everything on to here
    #[arg(long, value_name = "HOST:PORT", value_parser = some_address)]
    pub to: String,
    /// Delay of every byte, each way, in microseconds
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = whole(0..=10_000_000_u64))]
    pub delay_us: u64,
    /// Run on these CPUs only, such as 0 or 0,2-3
    #[arg(long, value_name = "CPUS", value_parser = cpus)]
    pub pin: Option<Cpus>,
    /// Stop when the process that started this one ends
    #[arg(long)]
    pub with_parent: bool,
}

/// An address as resolved. (A type of its own: clap takes a bare list for a flag that may be given many times.)
pub type Resolved = std::sync::Arc<[SocketAddr]>;

/// Addresses as people write them.
pub fn written(addresses: &[SocketAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// An address to listen on: what the user wrote, and what it resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// As written.
    pub text: String,
    /// As resolved, at least one.
    pub resolved: Vec<SocketAddr>,
}

/// Where the control port listens, if it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlAt {
    /// There.
    Address(Address),
    /// Nowhere.
    Off,
}

impl Address {
    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.resolved
            .iter()
            .all(|address| address.ip().is_loopback())
    }
}

impl Serve {
    /// Refuses combinations that can't be meant, and takes the AMQP URL from the environment if it is there.
    pub fn check(&mut self) -> Result<(), clap::Error> {
        let refuse = |kind, sentence: String| Err(Cli::command().error(kind, sentence));
        // Here and not in a value parser: clap repeats a refused value, and this one may hold a password.
        if let Some(url) = &self.queue {
            match amqp_url(url) {
                Ok(url) => self.queue = Some(url),
                Err(sentence) => {
                    return refuse(ErrorKind::ValueValidation, format!("--queue: {sentence}"));
                }
            }
        }
        // Here too: a hop's target may hold a password.
        match hops::read_all(&self.next) {
            Ok(next) => {
                if let Some(own) = next.iter().find(|next| self.consumes(next)) {
                    return refuse(
                        ErrorKind::ArgumentConflict,
                        format!(
                            "--next: expected a hop that is another service, got `{}`, this one's own {} in scope `{}`, so each order would come back to it; give one of them another scope",
                            own.name, own.transport, own.scope
                        ),
                    );
                }
            }
            Err(sentence) => {
                return refuse(ErrorKind::ValueValidation, format!("--next: {sentence}"));
            }
        }
        let listens = self.tcp.is_some() || self.rest.is_some() || self.grpc.is_some();
        if !(listens || self.queue.is_some() || self.stream.is_some()) {
            return refuse(
                ErrorKind::MissingRequiredArgument,
                "expected at least one listener, got none; give --tcp, --rest, --grpc, --queue or --stream, for example `bench-server serve --rest 127.0.0.1:8080`".into(),
            );
        }
        if self.reader.is_some() && self.queue.is_none() && self.stream.is_none() {
            return refuse(
                ErrorKind::MissingRequiredArgument,
                "expected a broker that --reader reads from, got none; give --queue or --stream, or leave it out".into(),
            );
        }
        if self.tls && listens && self.certificate.is_none() {
            return refuse(
                ErrorKind::MissingRequiredArgument,
                "expected what a listener with --tls shows, got none; give --certificate FILE and --key FILE"
                    .into(),
            );
        }
        if let Some(url) = &self.queue
            && url.starts_with("amqps://") != self.tls
        {
            return refuse(
                ErrorKind::ArgumentConflict,
                "expected --tls with an amqps:// address, and none with an amqp:// one; got one without the other".into(),
            );
        }
        if matches!(self.durability, Durability::Process | Durability::Power)
            && self.journal.is_none()
        {
            let class = self.durability;
            return refuse(
                ErrorKind::MissingRequiredArgument,
                format!(
                    "expected a folder for the journal that --durability {class} keeps; name one with --journal DIR"
                ),
            );
        }
        let token_file = self.token_file.as_deref();
        if token_file.is_some() && self.control == ControlAt::Off {
            return refuse(
                ErrorKind::ArgumentConflict,
                "expected --token-file or --control off, got both; the file is for the control port, so drop one of the two".into(),
            );
        }
        let given = std::env::var(token::ENVIRONMENT).ok();
        let given = given.map_or(Ok(()), |text| Token::given(&text).map(drop));
        let token = given.and_then(|()| token_file.map_or(Ok(()), token::check_replaceable));
        if let Err(sentence) = token {
            return refuse(ErrorKind::ValueValidation, sentence);
        }
        if let (Some(wanted), Ok(allowed)) = (&self.pin, Cpus::allowed())
            && wanted
                .iter()
                .any(|cpu| allowed.iter().all(|other| other != cpu))
        {
            // The kernel would pin to those that there are, and say nothing.
            return refuse(
                ErrorKind::ValueValidation,
                format!(
                    "--pin: expected CPUs out of {allowed}, which this process may use; got {wanted}"
                ),
            );
        }
        Ok(())
    }

    /// Whether this service takes its own orders from where a hop sends them.
    fn consumes(&self, next: &hops::Next) -> bool {
        let own = match next.transport {
            Transport::Queue => &self.queue,
            Transport::Stream => &self.stream,
            Transport::Tcp | Transport::Rest | Transport::Grpc => return false,
        };
        own.as_ref() == Some(&next.target) && self.scope == next.scope
    }
}

fn address(text: &str) -> Result<Address, String> {
    let expected = "expected an address such as 127.0.0.1:8080 or 127.0.0.1:0";
    let resolved: Vec<SocketAddr> = text
        .to_socket_addrs()
        .map_err(|error| format!("{expected}; {error}"))?
        .collect();
    if resolved.is_empty() {
        return Err(format!("{expected}; this name has no address"));
    }
    Ok(Address {
        text: text.to_owned(),
        resolved,
    })
}

fn resolved(text: &str) -> Result<Resolved, String> {
    address(text).map(|address| address.resolved.into())
}

fn some_address(text: &str) -> Result<String, String> {
    address(text).map(|address| address.text)
}

fn address_or_off(text: &str) -> Result<ControlAt, String> {
    match text {
        "off" => Ok(ControlAt::Off),
        _ => address(text).map(ControlAt::Address),
    }
}

/// The value itself, or for `env` what the variable holds.
fn or_environment(text: &str, variable: &str) -> Result<String, String> {
    match text {
        "env" => std::env::var(variable)
            .ok()
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                format!("expected a value in {variable}, where `env` takes it from; it is not set")
            }),
        _ => Ok(text.to_owned()),
    }
}

pub(crate) fn amqp_url(text: &str) -> Result<String, String> {
    let url = or_environment(text, "HOPBENCH_AMQP_URL")?;
    let rest = url.strip_prefix("amqp://").or(url.strip_prefix("amqps://"));
    match rest {
        Some(rest) if !rest.is_empty() => Ok(url),
        // What came may hold a password: it is not repeated.
        _ => Err("expected a URL such as amqp://user:password@127.0.0.1:5672/%2f, or env".into()),
    }
}

pub(crate) fn brokers(text: &str) -> Result<String, String> {
    let list = or_environment(text, "HOPBENCH_KAFKA_BROKERS")?;
    let well_formed = |broker: &str| {
        broker.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0)
        })
    };
    if list.split(',').all(|broker| well_formed(broker.trim())) {
        return Ok(list);
    }
    Err(format!(
        "expected brokers such as 127.0.0.1:9092,127.0.0.1:9093, or env; got `{list}`"
    ))
}

pub(crate) fn scope(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=100).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 100 letters, digits, dots, dashes or underscores, as Kafka's topic names allow".into())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        // More than a million would only be a mistyped "unbounded".
        Ok(count @ 1..=1_000_000) => Ok(count),
        _ => Err("expected a number from 1 to 1000000; leave the flag out for no bound".into()),
    }
}

fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "kB" => 1_000,
        "MB" => 1_000_000,
        _ => 0,
    };
    // A GiB is beyond what any of the transports carries in one message.
    match digits
        .parse::<usize>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
    {
        Some(bytes) if (1..=1 << 30).contains(&bytes) => Ok(bytes),
        _ => Err("expected a size from 1B to 1024MiB, such as 64KiB, 4MiB or 4000000".into()),
    }
}

fn cpus(text: &str) -> Result<Cpus, String> {
    let wrong = || format!("expected CPUs such as 0 or 0,2-3; got `{text}`");
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| wrong())?;
        let last: usize = last.trim().parse().map_err(|_| wrong())?;
        // The kernel's own limit on CPU numbers in common builds.
        if first > last || last >= 8_192 {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    Ok(cpus.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("1", 1),
            ("64KiB", 65_536),
            ("4MiB", 4 << 20),
            ("3kB", 3_000),
        ] {
            assert_eq!(size(text), Ok(bytes));
        }
        for text in [
            "",
            "0",
            "MiB",
            "4 MiB",
            "4GiB",
            "2000MiB",
            "-1",
            "99999999999999999999MiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cpus_are_read_as_lists_and_ranges() {
        assert_eq!(cpus("0").unwrap().to_string(), "0");
        assert_eq!(cpus("4,0,2-3").unwrap().to_string(), "0,2-4");
        for text in ["", "a", "3-1", "0,", "9999999"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_needs_its_port_and_says_whether_others_can_reach_it() {
        assert!(address("127.0.0.1:0").unwrap().is_loopback());
        assert!(address("[::1]:80").unwrap().is_loopback());
        assert!(!address("0.0.0.0:80").unwrap().is_loopback());
        for text in ["", "127.0.0.1", "127.0.0.1:99999", ":80:"] {
            assert!(address(text).unwrap_err().contains("expected an address"));
        }
    }

    #[test]
    fn a_refused_url_never_shows_its_password() {
        let error = amqp_url("http://me:secret@host").unwrap_err();
        assert!(!error.contains("secret"));
    }

    #[test]
    fn brokers_are_host_and_port_each() {
        assert!(brokers("127.0.0.1:9092,[::1]:9093").is_ok());
        for text in ["", "localhost", "a:0", "a:1,", ":9092"] {
            assert!(brokers(text).is_err(), "{text}");
        }
    }
}
