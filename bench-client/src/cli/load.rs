//! `bench-client load`: one ad-hoc load run.

use super::after::After;
use super::live::{self, Live};
use super::own::{OwnArgs, weighed};
use super::run::Pin;
use super::{Exit, print, usage};
use crate::address;
use crate::baseline;
use crate::cell::Cell;
use crate::fault::{self, Fault};
use crate::load::{Arrival, Mode, Profile, Spacing, Stop, Watch};
use crate::own::Own;
use crate::results::{self, State};
use crate::service::{Control, Launch};
use crate::stack::Brokers;
use crate::topology::{self, Topology};
use crate::trial::{self, Elsewhere, Surroundings};
use crate::{report, tls, units};
use anyhow::Context;
use bench_host::place::Placement;
use bench_proto::slowness::Slowness;
use bench_proto::{Durability, Format, Kind, PayloadClass};
use bench_transport::{CallKind, Connecting, DEFAULT_BATCH, HttpVersion, ReplyVia, Transport};
use bench_usage::whole;
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Beyond this a count is a slip of the hand: at a million a second it would take twelve days.
const MOST_OPERATIONS: u64 = 1_000_000_000_000;

/// Beyond this a delay is a slip of the unit, not a network.
const LONGEST_RELAY: Duration = Duration::from_secs(10);

/// What takes longer says so.
const UNTOLD: Duration = Duration::from_secs(2);

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
    /// Payload class: O1 … O1000, E0, E64, E1K, E64K, N-int, N-dbl, N-whole, B64K
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

fn in_words(cell: &Cell) -> String {
    format!(
        "{} carries {} as {}, {}",
        cell.transport,
        cell.payload,
        cell.format,
        baseline::load(&cell.mode)
    )
}

/// Marks a trial whose window its user ended: the service still counted by the window that was planned.
fn cut_short(trial: &mut results::Trial) {
    trial.validity.state = trial.validity.state.max(State::Suspect);
    trial.validity.reasons.push(format!(
        "ended by hand after {:.1} s: what was completed in its drain counts as completed in the window; it is neither kept nor compared as a baseline",
        trial.window_s
    ));
}

/// Spacing on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Arrivals {
    /// Evenly spaced.
    Even,
    /// A Poisson process.
    Poisson,
}

impl LoadArgs {
    fn cell(&self) -> anyhow::Result<Cell> {
        let plain = Cell::new(self.transport);
        if self.http.is_some() && self.transport != Transport::Rest {
            return Err(usage(format!(
                "expected --http beside --transport rest alone, got --transport {}; the others have one wire protocol each",
                self.transport
            )));
        }
        if self.format == Some(Format::Json) && self.transport == Transport::Grpc {
            return Err(usage(
                "expected --format protobuf over gRPC, got json; leave --format out, or use --transport rest for JSON",
            ));
        }
        if self.durability == Some(Durability::Memory) && self.transport != Transport::Queue {
            return Err(usage(
                "expected durability none, process or power, got memory; that class exists on RabbitMQ alone",
            ));
        }
        let own = self.own.read()?;
        self.check_kind(own.as_deref())?;
        self.check_path()?;
        self.check_limits()?;
        if let Some(via) = self.reply {
            let of = match via {
                ReplyVia::Direct | ReplyVia::Queue => Transport::Queue,
                ReplyVia::Topic => Transport::Stream,
            };
            if self.transport != of {
                return Err(usage(format!(
                    "expected --reply {via} beside --transport {of}, got --transport {}; over it there is {}",
                    self.transport,
                    match self.transport {
                        Transport::Queue => "--reply direct or queue",
                        Transport::Stream => "--reply topic",
                        _ => "always a reply: leave it out",
                    }
                )));
            }
        }
        if self.rate.is_some() && !self.think.is_zero() {
            return Err(usage(
                "expected --think or --rate, got both; a pause is for a closed loop, and with --rate the arrivals alone \
                 decide when an operation is due",
            ));
        }
        if self.timeout.is_zero() {
            return Err(usage(
                "--timeout 0 lets no operation end; expected a duration such as 5s",
            ));
        }
        if self.duration.is_some_and(|duration| duration.is_zero()) {
            return Err(usage(
                "--duration 0 measures nothing; expected a duration such as 10s",
            ));
        }
        let mode = match &self.rate {
            Some(profile) => Mode::Open(Arrival::Rate {
                profile: profile.clone(),
                spacing: match self.arrival {
                    Arrivals::Even => Spacing::Even,
                    Arrivals::Poisson => Spacing::Poisson { seed: self.seed },
                },
            }),
            None => Mode::Closed {
                callers: self.in_flight() as usize,
                think: self.think,
            },
        };
        let time = self
            .duration
            .or(self.count.is_none().then_some(Duration::from_secs(10)));
        let cell = Cell {
            payload: self.payload,
            own,
            format: self.format.unwrap_or(plain.format),
            http: self.http.unwrap_or(plain.http),
            kind: self.kind,
            batch: self.batch.map_or(plain.batch, |batch| batch as usize),
            mode,
            stop: Stop {
                time,
                count: self.count,
            },
            warmup: self.warmup,
            grace: self.grace,
            connections: self
                .connections
                .map_or(plain.connections, |connections| connections as usize),
            connecting: self.connecting,
            library_defaults: self.library_defaults,
            relay: self.relay,
            timeout: self.timeout,
            max_in_flight: self.max_in_flight as usize,
            durability: self.durability.unwrap_or(plain.durability),
            slow: self.slow.clone(),
            workers: self.workers.map(|workers| workers as usize),
            max_waiting: self.max_waiting.map(|most| most as usize),
            queue_limit: self.queue_limit,
            prefetch: self.prefetch.unwrap_or(plain.prefetch),
            partitions: self.partitions.unwrap_or(plain.partitions),
            reply: self.reply,
            faults: self.fault.clone(),
            topology: self.topology()?,
            threads: self.threads,
            tls: self.tls,
            ..plain
        };
        topology::check_cell(&cell).map_err(usage)?;
        fault::check(&cell).map_err(usage)?;
        Ok(cell)
    }

    /// The topology in its file, if one was given.
    fn topology(&self) -> anyhow::Result<Option<Topology>> {
        let Some(path) = &self.topology else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(path).map_err(|error| {
            usage(format!(
                "--topology {} cannot be read: {error}",
                path.display()
            ))
        })?;
        let topology = Topology::from_json(&text)
            .map_err(|why| usage(format!("--topology {}: {why}", path.display())))?;
        Ok(Some(topology))
    }

    /// Refuses a kind of call that transport, payload or load do not go with.
    fn check_kind(&self, own: Option<&Own>) -> anyhow::Result<()> {
        self.transport.offers(self.kind).map_err(usage)?;
        if self.batch.is_some() && !self.kind.gathers() {
            return Err(usage(
                "expected --batch beside --kind client, server or list; the other kinds gather no orders",
            ));
        }
        let carried = own.map_or(self.payload.kind(), Own::kind);
        if self.kind != CallKind::Unary && carried != Kind::Order {
            let came = own.map_or(self.payload.to_string(), Own::to_string);
            return Err(usage(format!(
                "expected --payload O1 … O1000 or a file of orders beside --kind, got {came}; streams and lists carry orders"
            )));
        }
        let (batch, in_flight) = (self.batch.unwrap_or(DEFAULT_BATCH as u32), self.in_flight());
        if self.kind.gathers() && self.rate.is_none() && in_flight < batch {
            return Err(usage(format!(
                "{in_flight} in flight never fill a batch of {batch}: expected --in-flight of at least --batch"
            )));
        }
        Ok(())
    }

    /// Operations in flight of a closed loop.
    fn in_flight(&self) -> u32 {
        self.in_flight.unwrap_or(32)
    }

    /// Limits to what may wait.
    fn check_limits(&self) -> anyhow::Result<()> {
        if self.queue_limit.is_some() && self.transport != Transport::Queue {
            return Err(usage(
                "--queue-limit bounds a queue of RabbitMQ; expected --transport queue beside it (in the service, --max-waiting bounds what waits)",
            ));
        }
        let in_slowness = self.slow.as_ref().and_then(Slowness::workers);
        if self.max_waiting.is_some() && self.workers.is_none() && in_slowness.is_none() {
            return Err(usage(
                "--max-waiting bounds what waits for a worker, and without a bound on the workers nothing waits; expected --workers beside it",
            ));
        }
        Ok(())
    }

    /// How it connects, and over what.
    fn check_path(&self) -> anyhow::Result<()> {
        let possible = self.connecting.check(self.transport);
        possible.map_err(|why| usage(format!("--connecting {}: {why}", self.connecting)))?;
        if self.relay.is_some() && self.transport.needs_broker() {
            return Err(usage(
                "expected --relay beside --transport tcp, rest or grpc; between caller, service and a broker it would delay one leg of two",
            ));
        }
        if let Some(target) = &self.target {
            let well_formed = match self.transport {
                Transport::Queue => address::amqp_url(target),
                Transport::Stream => address::hosts(target),
                Transport::Tcp | Transport::Rest | Transport::Grpc => address::host(target),
            };
            well_formed.map_err(|why| usage(format!("--target: {why}")))?;
        }
        if let Some(control) = &self.control {
            address::host(control).map_err(|why| usage(format!("--control: {why}")))?;
        }
        if self.relay.is_some_and(|delay| delay > LONGEST_RELAY) {
            return Err(usage(
                "expected a --relay delay of at most 10 s each way, such as 500us; got a longer one",
            ));
        }
        Ok(())
    }

    pub(super) async fn execute(self, quiet: bool) -> anyhow::Result<Exit> {
        let cell = self.cell()?;
        self.check_thresholds()?;
        if let Some(own) = cell.own.as_deref().filter(|_| !self.json) {
            print(&report::own(&weighed(own, self.seed)))?;
        }
        trial::plant_codec(self.plant.as_deref()).map_err(usage)?;
        let brokers = Brokers::find();
        if self.target.is_none() {
            brokers.addresses_for(&cell)?;
        }
        let placement = match self.pin {
            Pin::Auto => Placement::for_this_machine(self.threads as usize)?,
            Pin::None => Placement::none("asked for with --pin none"),
        };
        let surroundings = Surroundings {
            program: if self.target.is_some() {
                PathBuf::new()
            } else {
                Launch::find_program()?
            },
            placement,
            brokers,
            idle: BTreeMap::new(),
            seed: self.seed,
            zero_ns: bench_host::clock::now_ns(),
            plant: self.plant.clone(),
            watch: (!(self.no_tui || self.json || quiet) && live::is_possible())
                .then(Watch::default),
        };
        let kept = self
            .after
            .open(&cell, &surroundings, self.target.is_none())?;
        // A terminal that cannot be drawn on is no reason not to run.
        let watch = surroundings.watch.clone();
        let live = watch
            .as_ref()
            .and_then(|watch| Live::start(in_words(&cell), cell.stop, watch.clone()).ok());
        let expected = cell.expected_time();
        if live.is_none() && !quiet && expected > UNTOLD {
            eprintln!("{}: about {} s", in_words(&cell), expected.as_secs());
        }
        let run = trial::fresh_run_id();
        let mut trial = match &self.target {
            None => trial::run(&cell, run, &surroundings).await?,
            Some(target) => {
                let control = match (&self.control, &self.token_file) {
                    (Some(address), Some(file)) => {
                        Some(Control::new(address, file).context("--control")?)
                    }
                    _ => None,
                };
                let elsewhere = Elsewhere {
                    target: target.clone(),
                    scope: self.scope.clone(),
                    control,
                    tls: match self.tls {
                        true => Some(tls::believing(self.ca.as_deref())?),
                        false => None,
                    },
                };
                trial::run_elsewhere(&cell, run, &elsewhere, &surroundings).await?
            }
        };
        drop(live);
        trial.experiment = "load".into();
        let is_cut_short = watch.is_some_and(|watch| watch.is_halted());
        if is_cut_short {
            cut_short(&mut trial);
        }
        self.show(&trial)?;
        let kept = kept.filter(|_| !is_cut_short);
        let crossed = self.after.conclude(kept, &trial, self.json)?;
        Ok(match trial.validity.state {
            // Of a trial that cannot be trusted no threshold says anything.
            State::Invalid => Exit::Invalid,
            _ if crossed => Exit::Threshold,
            _ => Exit::Done,
        })
    }

    /// Refuses a threshold on what this run cannot measure.
    fn check_thresholds(&self) -> anyhow::Result<()> {
        let is_known = self.target.is_none() || self.control.is_some();
        self.after.check(self.rate.is_some(), is_known)
    }

    fn show(&self, trial: &results::Trial) -> anyhow::Result<()> {
        if self.json {
            print(&(serde_json::to_string_pretty(trial)? + "\n"))?;
        } else {
            print(&report::trial(trial))?;
        }
        Ok(())
    }
}
