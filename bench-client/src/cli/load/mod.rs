//! `bench-client load`: one ad-hoc load run. Its flags; what they ask for is in [`cell`], the run itself in [`execute`].

mod cell;
mod execute;

use super::after::After;
use super::own::OwnArgs;
use super::run::Pin;
use crate::fault::Fault;
use crate::load::Profile;
use crate::units;
use bench_proto::slowness::Slowness;
use bench_proto::{Durability, Format, PayloadClass};
use bench_transport::{CallKind, Connecting, HttpVersion, ReplyVia, Transport};
use bench_usage::whole;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Beyond this a count is a slip of the hand: at a million a second it would take twelve days.
const MOST_OPERATIONS: u64 = 1_000_000_000_000;

/// Flags of `load`.
#[derive(Debug, Args)]
#[command(after_help = "\
RATE is per second: 2000; steps 500:10s,1000:10s; a ramp 500..5000:30s; a spike 200:10s,2000:5s,200:10s.

EXPR is a figure, a comparison and a value: p50, p90, p99, p99.9, max or mean of accept, or completion.p99, service.p99,
lateness.p99 and so on, against a time; errors, failed, refused, timeouts, lost, duplicated, reordered, recovered,
unexpected against a count or a share (%); rate against 1000/s; cpu, cpu.client, cpu.service, cpu.broker per operation.
What was not measured counts as crossed, and so does a percentile that is only known to be above its bound.

A baseline is a run in results/baselines/NAME. One trial is one observation: save it some times under the same name, and
--baseline judges a new one by their spread (`compare` sets two baselines against each other).

Exit status: 0 done; 1 failed; 2 bad usage; 3 the trial was INVALID; 4 a threshold was crossed.

Examples:
  bench-client load --transport rest --in-flight 32 --duration 5s --payload O3
  bench-client load --transport grpc --kind bidi --in-flight 64 --connections 1
  bench-client load --transport rest --rate 500 --payload-file orders.jsonl
  bench-client load --transport grpc --proto cart.proto --message shop.v1.Cart --payload-file carts.jsonl
  bench-client load --transport queue --rate 200 --duration 30s --slow '0s..10s 1ms; 10s..20s 200ms; 20s.. 1ms workers=8'
  bench-client load --transport rest --rate 500 --duration 30s --fail-if 'p99>20ms' --fail-if 'errors>0.1%' --fail-if 'lost>0'
  bench-client load --transport queue --rate 500 --save main
  bench-client load --transport queue --rate 500 --baseline main
  bench-client load --transport grpc --rate 1000 --target 127.0.0.1:50051 --control 127.0.0.1:9000 --token-file token")]
pub(super) struct LoadArgs {
    /// tcp, rest, grpc, queue (RabbitMQ) or stream (Kafka)
    #[arg(long)]
    transport: Transport,
    /// Payload class: O1 … O10000, E0, E64, E1K, E64K, N-int, N-dbl, N-whole, B64K
    #[arg(long, default_value = "O3", conflicts_with = "payload_file")]
    payload: PayloadClass,
    #[command(flatten)]
    own: OwnArgs,
    /// json or protobuf [default: json for rest, else protobuf]
    #[arg(long)]
    format: Option<Format>,
    /// h1 or h2 (prior knowledge), rest only
    #[arg(long)]
    http: Option<HttpVersion>,
    /// How orders are spread over requests: unary, client, server, bidi (grpc), list (rest); one order stays one operation
    #[arg(long, default_value = "unary")]
    kind: CallKind,
    /// Orders per stream or list of --kind client, server and list [default: 32]
    #[arg(long, value_name = "N", value_parser = whole(1..=10_000_u32))]
    batch: Option<u32>,
    /// Open loop: operations per second, planned before the run
    #[arg(long, conflicts_with = "in_flight")]
    rate: Option<Profile>,
    /// Open loop: how operations lie within the rate
    #[arg(long, value_enum, default_value_t = Arrivals::Even)]
    arrival: Arrivals,
    /// Closed loop: so many in flight at any time [default: 32, without --rate]
    #[arg(long, value_name = "N", value_parser = whole(1..=100_000_u32))]
    in_flight: Option<u32>,
    /// Closed loop: pause between an answer and the caller's next operation
    #[arg(long, value_parser = units::parse_duration, default_value = "0s")]
    think: Duration,
    /// Length of the measured window [default: 10s, without --count]
    #[arg(long, value_parser = units::parse_duration)]
    duration: Option<Duration>,
    /// Stop after so many operations
    #[arg(long, value_name = "N", value_parser = whole(1..=MOST_OPERATIONS))]
    count: Option<u64>,
    /// Load before the window, not recorded
    #[arg(long, value_parser = units::parse_duration, default_value = "1s")]
    warmup: Duration,
    /// How long answers and completions are awaited after the window
    #[arg(long, value_parser = units::parse_duration, default_value = "10s")]
    grace: Duration,
    /// Connections or channels (rest h1: at most so many) [default: 32; brokers 1]
    #[arg(long, value_name = "N", value_parser = whole(1..=60_000_u32))]
    connections: Option<u32>,
    /// What becomes of a connection after its call: kept, per-call, or as-written (as the sources' samples do it)
    #[arg(long, value_name = "WAY", default_value_t = Connecting::Kept)]
    connecting: Connecting,
    /// Each library's own defaults on both sides, as people deploy it, instead of matched settings
    #[arg(long, conflicts_with = "target")]
    library_defaults: bool,
    /// Put a relay before the service that delays every byte by so much each way, such as 500us
    #[arg(long, value_name = "DELAY", value_parser = units::parse_duration, conflicts_with = "target")]
    relay: Option<Duration>,
    /// Deadline of one operation; past it the outcome is unknown
    #[arg(long, value_parser = units::parse_duration, default_value = "5s")]
    timeout: Duration,
    /// Open loop: beyond so many in flight, operations wait in order and keep their planned instant
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = whole(1..=1_000_000_u32))]
    max_in_flight: u32,
    /// What an accepted order survives: none, memory, process, power [default: none; brokers process]
    #[arg(long)]
    durability: Option<Durability>,
    /// Slowness of the service, such as 5ms, exp(20ms), or phases over time
    #[arg(long, conflicts_with = "target")]
    slow: Option<Slowness>,
    /// Orders that the service works on at once
    #[arg(long, conflicts_with = "target", value_name = "N", value_parser = whole(1..=1_000_000_u32))]
    workers: Option<u32>,
    /// Orders that may wait for a worker; the service turns one more away at once (503, ResourceExhausted)
    #[arg(long, value_name = "N", conflicts_with = "target", value_parser = whole(0..=1_000_000_u32))]
    max_waiting: Option<u32>,
    /// Messages that may wait in RabbitMQ's queue; it refuses one more
    #[arg(long, value_name = "N", value_parser = whole(1..=u32::MAX))]
    queue_limit: Option<u32>,
    /// RabbitMQ's prefetch, and how many Kafka records are worked on at once
    #[arg(long, value_name = "N", value_parser = whole(1..=u16::MAX))]
    prefetch: Option<u16>,
    /// Kafka's partitions
    #[arg(long, value_name = "N", value_parser = whole(1..=1_000_i32))]
    partitions: Option<i32>,
    /// The caller waits for the service's reply over the broker: direct (RabbitMQ's direct reply-to), queue (an exclusive
    /// reply queue) or topic (Kafka) [default: for the broker's confirm alone]
    #[arg(long, value_name = "WAY")]
    reply: Option<ReplyVia>,
    /// What is done in the window, such as 'at 2s kill service' (or start, pause, resume, 'slow service 200ms'; a service
    /// of --topology by its name; pause and resume of rabbitmq and kafka, alarm and clear of rabbitmq's memory alarm); give
    /// it again for a schedule
    #[arg(long, conflicts_with = "target")]
    fault: Vec<Fault>,
    /// Services that call each other, as JSON: name, services, edges; the one that nobody calls is the one that is loaded
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "slow", "workers", "tls"])]
    topology: Option<PathBuf>,
    /// Generator threads
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = whole(1..=64_u32))]
    threads: u32,
    /// A service that runs already: host:port, an AMQP URL or Kafka bootstrap servers
    #[arg(long)]
    target: Option<String>,
    /// Names the exchange, queues and topics of --target
    #[arg(long, default_value = "orders", requires = "target")]
    scope: String,
    /// Control port of --target; without it the service's side of the ledger is unknown
    #[arg(long, requires_all = ["target", "token_file"])]
    control: Option<String>,
    /// File with the control port's token
    #[arg(long, requires = "control")]
    token_file: Option<PathBuf>,
    /// TLS 1.3 on every connection; the service gets a certificate made on the spot, a --target shows its own
    #[arg(long)]
    tls: bool,
    /// The CAs that --target's certificate is checked against, PEM [default: those that this machine believes]
    #[arg(long, value_name = "FILE", requires_all = ["tls", "target"])]
    ca: Option<PathBuf>,
    /// Seed of corpus and arrivals
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0..=u64::MAX))]
    seed: u64,
    /// Which process runs on which core
    #[arg(long, value_enum, default_value_t = Pin::Auto)]
    pin: Pin,
    /// Print the trial as JSON, alone, on stdout
    #[arg(long)]
    json: bool,
    /// No live view; without a terminal, and with --json, there is none anyhow
    #[arg(long)]
    no_tui: bool,
    /// Plant faults into the service's ledger: drop=1/1000,double=1/1000,swap=1/1000; or a slower codec into both ends:
    /// codec=protobuf:10000
    #[arg(long, hide = true, conflicts_with = "target")]
    plant: Option<String>,
    #[command(flatten)]
    after: After,
}

/// Spacing on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Arrivals {
    /// Evenly spaced.
    Even,
    /// A Poisson process.
    Poisson,
}
