//! A cell: everything that decides what one trial does, as data. Experiments declare cells; a trial runs one.

mod describe;
mod id;
mod schedule;
mod share;

pub use share::Share;

use crate::fault::Fault;
use crate::load::{Mode, SpanPlan, Stop};
use crate::own::Own;
use crate::topology::Topology;
use bench_proto::slowness::Slowness;
use bench_proto::{Corpus, Durability, Format, PayloadClass};
use bench_transport::{
    CallKind, Connecting, DEFAULT_BATCH, HttpVersion, ReplyVia, Settings, Transport,
};
use std::sync::Arc;
use std::time::Duration;

/// More would be a load of its own, and no probe beside one.
const MOST_PROBES: f64 = 1_000.0;

/// A pause of the whole service process (SIGSTOP, SIGCONT), as offsets from the window's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// When it is stopped.
    pub after: Duration,
    /// For how long.
    pub lasting: Duration,
}

/// What one trial is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Over what.
    pub transport: Transport,
    /// Rest only.
    pub http: HttpVersion,
    /// How operations are spread over requests.
    pub kind: CallKind,
    /// Operations per stream or list, where the kind gathers them.
    pub batch: usize,
    /// How bodies are encoded.
    pub format: Format,
    /// What is sent.
    pub payload: PayloadClass,
    /// One's own messages, sent instead.
    pub own: Option<Arc<Own>>,
    /// What an accepted order survives.
    pub durability: Durability,
    /// Connections or channels (rest h1: at most so many).
    pub connections: usize,
    /// What becomes of a connection after its call.
    pub connecting: Connecting,
    /// Each library's own defaults on both sides, as people deploy it, instead of matched settings.
    pub library_defaults: bool,
    /// A relay of ours between caller and service delays every byte by so much each way.
    pub relay: Option<Duration>,
    /// Open or closed loop.
    pub mode: Mode,
    /// Its rate is a share of its own capacity: `mode` is the closed loop that shows it until [`Cell::at_share_of`].
    pub share: Option<Share>,
    /// Length of the measured window.
    pub stop: Stop,
    /// Load before it, discarded.
    pub warmup: Duration,
    /// How long answers and completions are awaited after it.
    pub grace: Duration,
    /// Deadline of one operation.
    pub timeout: Duration,
    /// Open loop: bound of what is in flight.
    pub max_in_flight: usize,
    /// How many orders the service works on at once; unbounded if none.
    pub workers: Option<usize>,
    /// How many orders may wait for a worker; the service turns away one more. Unbounded if none.
    pub max_waiting: Option<usize>,
    /// RabbitMQ: how many messages may wait in the queue; it refuses one more. Unbounded if none.
    pub queue_limit: Option<u32>,
    /// Kafka: how many records may wait in the caller's own buffer; its next call waits for room. 100,000 if none.
    pub client_buffer: Option<u32>,
    /// The service's slowness, in the slowness language; phases count from the window's start.
    pub slow: Option<Slowness>,
    /// Named spans of the window.
    pub phases: Vec<SpanPlan>,
    /// RabbitMQ's prefetch and Kafka's concurrent records.
    pub prefetch: u16,
    /// The service's consumers on a broker, with that prefetch each.
    pub consumers: u16,
    /// Kafka's partitions.
    pub partitions: i32,
    /// Kafka's linger.
    pub linger: Duration,
    /// Queue and stream: the caller waits for the service's reply on this way, not for the broker's confirm.
    pub reply: Option<ReplyVia>,
    /// Whether operations carry a Stamp (without one the service's side of the ledger is unknown).
    pub stamped: bool,
    /// So many requests a second, evenly spaced, to the catalogue of the service that the user calls, over a connection of
    /// their own beside the load: it shares that service's workers and calls nobody. None: no request.
    pub probe: Option<f64>,
    /// Generator threads.
    pub threads: u32,
    /// The service is stopped for a while.
    pub stall: Option<Stall>,
    /// TLS 1.3 on every connection of the hop.
    pub tls: bool,
    /// What is done to services and brokers in the window.
    pub faults: Vec<Fault>,
    /// The services behind the one that the user calls; a single service if none.
    pub topology: Option<Topology>,
    /// Tells arms apart that differ in nothing else (`A1`, `A2`).
    pub arm: Option<String>,
}

impl Cell {
    /// The matched defaults of a transport: class `none` on sync transports, `process` on brokers, one connection per
    /// 32 in flight's worth of HTTP/1.1, nothing slow.
    pub fn new(transport: Transport) -> Self {
        let broker = transport.needs_broker();
        Self {
            transport,
            http: HttpVersion::H1,
            kind: CallKind::Unary,
            batch: DEFAULT_BATCH,
            format: if transport == Transport::Rest {
                Format::Json
            } else {
                Format::Protobuf
            },
            payload: PayloadClass::Order(3),
            own: None,
            durability: if broker {
                Durability::Process
            } else {
                Durability::None
            },
            connections: if broker { 1 } else { 32 },
            connecting: Connecting::Kept,
            library_defaults: false,
            relay: None,
            mode: Mode::Closed {
                callers: 32,
                think: Duration::ZERO,
            },
            share: None,
            stop: Stop::after(Duration::from_secs(1)),
            warmup: Duration::from_millis(500),
            grace: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            max_in_flight: 10_000,
            workers: None,
            max_waiting: None,
            queue_limit: None,
            client_buffer: None,
            slow: None,
            phases: Vec::new(),
            prefetch: 100,
            consumers: 1,
            partitions: 4,
            linger: Duration::ZERO,
            reply: None,
            stamped: true,
            probe: None,
            threads: 1,
            stall: None,
            tls: false,
            faults: Vec::new(),
            topology: None,
            arm: None,
        }
    }

    /// What is sent, by its name in results.
    pub fn payload_name(&self) -> String {
        match &self.own {
            Some(own) => own.name().into(),
            None => self.payload.to_string(),
        }
    }

    /// The messages of the cell's operations, for a caller that wants bodies in `format`.
    pub fn corpus(&self, format: Format, seed: u64) -> Corpus {
        match &self.own {
            Some(own) => own.corpus(format),
            None => Corpus::new(self.payload, seed),
        }
    }

    /// The transport's settings for one run of the cell.
    pub fn settings(&self, target: &str, scope: &str) -> Settings {
        let in_flight = match self.mode {
            Mode::Closed { callers, .. } => callers,
            Mode::Open(_) => self.max_in_flight,
        };
        Settings {
            target: target.into(),
            scope: scope.into(),
            format: self.format,
            http: self.http,
            kind: self.kind,
            batch: self.batch,
            connections: self.connections,
            connecting: self.connecting,
            library_defaults: self.library_defaults,
            window: in_flight,
            deadline: self.timeout,
            durability: self.durability,
            prefetch: self.prefetch,
            consumers: self.consumers,
            partitions: self.partitions,
            linger: self.linger,
            queue_limit: self.queue_limit,
            client_buffer: self.client_buffer,
            reply: self.reply,
            ..Settings::default()
        }
    }

    /// Settings of the probe, for a service whose REST listener is there.
    pub fn probe_settings(&self, target: &str) -> Settings {
        Settings {
            target: target.into(),
            // One connection that carries all that wait.
            http: HttpVersion::H2,
            deadline: self.timeout,
            ..Settings::default()
        }
    }

    /// Refuses a probe that cannot be.
    ///
    /// # Errors
    /// A sentence that says what was expected, what came, and what to do.
    pub fn check_probe(&self) -> Result<(), String> {
        let Some(per_second) = self.probe else {
            return Ok(());
        };
        if !(per_second > 0.0 && per_second <= MOST_PROBES) {
            return Err(format!(
                "expected a catalogue probe of above 0 and at most {MOST_PROBES} requests a second, got {per_second}"
            ));
        }
        if self.stop.time.is_none() {
            return Err(
                "a catalogue probe lasts as long as the window, and this window ends by count alone; give it a time too"
                    .into(),
            );
        }
        if self.tls {
            return Err("a catalogue probe goes without TLS; leave one of the two out".into());
        }
        Ok(())
    }

    /// Wall time that a trial of the cell takes, process starts included (measured on two cores).
    pub fn expected_time(&self) -> Duration {
        let starts = if self.transports().iter().any(|t| t.needs_broker()) {
            900
        } else {
            350
        };
        // An operation at one in flight takes 1.3 ms at most (RabbitMQ's persistent confirm).
        let by_count = |count: u64| Duration::from_micros(1_300) * count as u32;
        let window = (self.stop.time)
            .or(self.stop.count.map(by_count))
            .unwrap_or(Duration::from_secs(5));
        self.warmup + window + Duration::from_millis(starts) + self.time_of_services()
    }
}

#[cfg(test)]
mod tests;
