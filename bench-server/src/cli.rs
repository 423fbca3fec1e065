//! The command line: what the user may say. `values` reads what one flag may be, `check` refuses what can't be meant
//! together, before anything starts. It opens nothing and listens nowhere.

mod check;
mod values;

pub(crate) use values::{amqp_url, brokers, scope};

use crate::plant;
use bench_host::place::Cpus;
use bench_proto::slowness::Slowness;
use bench_proto::{Durability, Format};
use bench_usage::whole;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use values::{address, address_or_off, at_least_one, cpus, resolved, size, some_address};

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
slow-after=100ms (the breaker counts what took longer, too), bulkhead=8 (calls at once); no-deadline

The service stops on SIGTERM and SIGINT after finishing what it accepted; a second one ends it at once.
Logs go to stderr (RUST_LOG=info shows more, and what libraries log). Exit status: 0 stopped as asked, 1 failed, 2 bad usage.

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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
