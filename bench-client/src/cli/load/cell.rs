//! The cell that the flags of `load` ask for; what cannot be meant is refused with a sentence.

use super::{Arrivals, LoadArgs};
use crate::address;
use crate::cell::Cell;
use crate::cli::usage;
use crate::load::{Arrival, Mode, Spacing, Stop};
use crate::own::Own;
use crate::topology::{self, Topology};
use bench_proto::slowness::Slowness;
use bench_proto::{Durability, Format, Kind};
use bench_transport::{CallKind, DEFAULT_BATCH, ReplyVia, Transport};
use std::time::Duration;

/// Beyond this a delay is a slip of the unit, not a network.
const LONGEST_RELAY: Duration = Duration::from_secs(10);

impl LoadArgs {
    /// The cell, checked.
    pub(super) fn cell(&self) -> anyhow::Result<Cell> {
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
        cell.check_schedule().map_err(usage)?;
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
                "expected --payload O1 … O10000 or a file of orders beside --kind, got {came}; streams and lists carry orders"
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
}
