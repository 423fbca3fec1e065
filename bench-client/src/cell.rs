//! A cell: everything that decides what one trial does, as data. Experiments declare cells; a trial runs one.

use crate::fault::Fault;
use crate::load::{Arrival, Mode, Spacing, SpanPlan, Stop};
use crate::own::Own;
use crate::results;
use crate::topology::Topology;
use bench_proto::slowness::Slowness;
use bench_proto::{Corpus, Durability, Format, PayloadClass};
use bench_transport::{
    CallKind, Connecting, DEFAULT_BATCH, HttpVersion, ReplyVia, Settings, Transport,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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
    /// The service's slowness, in the slowness language; phases count from the window's start.
    pub slow: Option<Slowness>,
    /// Named spans of the window.
    pub phases: Vec<SpanPlan>,
    /// RabbitMQ's prefetch and Kafka's concurrent records.
    pub prefetch: u16,
    /// Kafka's partitions.
    pub partitions: i32,
    /// Kafka's linger.
    pub linger: Duration,
    /// Queue and stream: the caller waits for the service's reply on this way, not for the broker's confirm.
    pub reply: Option<ReplyVia>,
    /// Whether operations carry a Stamp (without one the service's side of the ledger is unknown).
    pub stamped: bool,
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
            stop: Stop::after(Duration::from_secs(1)),
            warmup: Duration::from_millis(500),
            grace: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            max_in_flight: 10_000,
            workers: None,
            max_waiting: None,
            queue_limit: None,
            slow: None,
            phases: Vec::new(),
            prefetch: 100,
            partitions: 4,
            linger: Duration::ZERO,
            reply: None,
            stamped: true,
            threads: 1,
            stall: None,
            tls: false,
            faults: Vec::new(),
            topology: None,
            arm: None,
        }
    }

    /// Names the cell: equal in every block, distinct for distinct cells. Defaults are left out.
    pub fn id(&self) -> String {
        let plain = Self::new(self.transport);
        let mut id = format!("{}-{}", self.transport, self.payload_name());
        let mut add = |text: String| {
            id.push('-');
            id.push_str(&text);
        };
        if self.http != plain.http {
            add("h2".into());
        }
        if self.format != plain.format {
            add(self.format.to_string());
        }
        match self.kind {
            CallKind::Unary => {}
            kind if kind.gathers() => add(format!("{kind}{}", self.batch)),
            kind => add(kind.to_string()),
        }
        match &self.mode {
            Mode::Closed { callers, think } if think.is_zero() => add(format!("c{callers}")),
            Mode::Closed { callers, think } => add(format!("c{callers}+{}ms", think.as_millis())),
            Mode::Open(arrival) => {
                add(format!("{}{}", show_arrival(arrival).0, show_rate(arrival)))
            }
        }
        if self.connections != plain.connections {
            add(format!("x{}", self.connections));
        }
        if self.connecting != plain.connecting {
            add(self.connecting.to_string());
        }
        if self.library_defaults {
            add("defaults".into());
        }
        if let Some(delay) = self.relay {
            add(format!("relay{}us", delay.as_micros()));
        }
        add(self.durability.to_string());
        if let Some(slow) = &self.slow {
            add(format!("slow[{slow}]"));
        }
        if let Some(workers) = self.workers {
            add(format!("w{workers}"));
        }
        if let Some(most) = self.max_waiting {
            add(format!("wait{most}"));
        }
        if let Some(limit) = self.queue_limit {
            add(format!("limit{limit}"));
        }
        for (name, mine, default) in [
            (
                "prefetch",
                u64::from(self.prefetch),
                u64::from(plain.prefetch),
            ),
            (
                "partitions",
                self.partitions as u64,
                plain.partitions as u64,
            ),
            ("linger_us", self.linger.as_micros() as u64, 0),
            ("mif", self.max_in_flight as u64, plain.max_in_flight as u64),
            ("threads", u64::from(self.threads), 1),
        ] {
            if mine != default {
                add(format!("{name}{mine}"));
            }
        }
        if let Some(via) = self.reply {
            add(format!("reply-{via}"));
        }
        if !self.stamped {
            add("unstamped".into());
        }
        if self.tls {
            add("tls".into());
        }
        if let Some(stall) = self.stall {
            add(format!("stall{}ms", stall.lasting.as_millis()));
        }
        for fault in &self.faults {
            add(format!("fault[{fault}]"));
        }
        if let Some(topology) = &self.topology {
            add(topology.label());
        }
        if let Some(arm) = &self.arm {
            add(arm.clone());
        }
        id
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
            partitions: self.partitions,
            linger: self.linger,
            queue_limit: self.queue_limit,
            reply: self.reply,
            ..Settings::default()
        }
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

    /// The cell as results keep it.
    pub fn describe(&self) -> results::Cell {
        let (in_flight, rate, arrival) = match &self.mode {
            Mode::Closed { callers, .. } => (Some(*callers as u32), None, results::Arrival::Closed),
            Mode::Open(arrival) => {
                let name = show_arrival(arrival).1;
                (None, open_rate(arrival), name)
            }
        };
        let open = rate.is_some() || arrival != results::Arrival::Closed;
        let mut factors = BTreeMap::new();
        let mut factor = |name: &str, value: String| {
            factors.insert(name.to_string(), value);
        };
        match self.transport {
            // The library's own values: said below as what was left unset.
            _ if self.library_defaults => {}
            Transport::Queue => factor("prefetch", self.prefetch.to_string()),
            Transport::Stream => {
                factor("prefetch", self.prefetch.to_string());
                factor("partitions", self.partitions.to_string());
                let linger = self.linger.as_secs_f64() * 1e3;
                factor("linger_ms", linger.to_string());
            }
            _ => {}
        }
        if let Some(own) = &self.own {
            factor("payload_file", own.to_string());
            factor("payload_sha256", own.digest().into());
        }
        if self.kind != CallKind::Unary {
            factor("kind", self.kind.to_string());
        }
        if self.kind.gathers() {
            factor("batch", self.batch.to_string());
        }
        if self.connecting != Connecting::Kept {
            factor("connecting", self.connecting.to_string());
        }
        if self.library_defaults {
            let left = self.transport.left_unset();
            factor("settings", "library defaults".into());
            factor("unset by the caller", left.caller.into());
            factor("unset by the service", left.service.into());
        }
        if let Some(delay) = self.relay {
            factor("relay_us", delay.as_micros().to_string());
        }
        if let Some(most) = self.max_waiting {
            factor("max_waiting", most.to_string());
        }
        if let Some(limit) = self.queue_limit {
            factor("queue_limit", limit.to_string());
        }
        if let Mode::Open(Arrival::Rate { profile, .. }) = &self.mode
            && !profile.is_constant()
        {
            factor("rate", profile.to_string());
        }
        if let Some(via) = self.reply {
            factor("reply", via.to_string());
        }
        if !self.stamped {
            factor("stamped", "no".into());
        }
        if self.tls {
            factor("tls", "1.3".into());
        }
        if self.threads != 1 {
            factor("threads", self.threads.to_string());
        }
        if let Some(stall) = self.stall {
            factor(
                "stall",
                format!("{:?} after {:?}", stall.lasting, stall.after),
            );
        }
        if !self.faults.is_empty() {
            let all: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
            factor("fault", all.join("; "));
        }
        for (name, value) in self.topology_factors() {
            factor(name, value);
        }
        results::Cell {
            id: self.id(),
            transport: self.transport.to_string(),
            format: self.format.to_string(),
            payload: self.payload_name(),
            durability: self.durability.to_string(),
            arrival,
            in_flight,
            rate_per_s: rate,
            max_in_flight: open.then_some(self.max_in_flight as u32),
            http: (self.transport == Transport::Rest).then(|| match self.http {
                HttpVersion::H1 => "h1".to_string(),
                HttpVersion::H2 => "h2".to_string(),
            }),
            connections: Some(self.connections as u32),
            slow: self.slow.as_ref().map(ToString::to_string),
            workers: self.workers.map(|workers| workers as u32),
            timeout_ms: Some(self.timeout.as_millis() as u64),
            arm: self.arm.clone(),
            factors,
        }
    }
}

fn show_arrival(arrival: &Arrival) -> (&'static str, results::Arrival) {
    match arrival {
        Arrival::Rate {
            spacing: Spacing::Even,
            profile,
        } if profile.is_constant() => ("r", results::Arrival::Constant),
        Arrival::Rate {
            spacing: Spacing::Poisson { .. },
            profile,
        } if profile.is_constant() => ("p", results::Arrival::Poisson),
        _ => ("plan", results::Arrival::Planned),
    }
}

fn open_rate(arrival: &Arrival) -> Option<f64> {
    match arrival {
        Arrival::Rate { profile, .. } => Some(profile.rate_at(Duration::ZERO)),
        Arrival::Trace(_) => None,
    }
}

fn show_rate(arrival: &Arrival) -> String {
    match arrival {
        // A plan is told by its whole course.
        Arrival::Rate { profile, .. } => profile.to_string(),
        Arrival::Trace(_) => "trace".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_cells_have_distinct_names() {
        let rest = Cell::new(Transport::Rest);
        // One name for all: what differs in them must show.
        let chain = |length, slow: &str| {
            Topology::chain("chain", length, Transport::Rest, &slow.parse().unwrap())
        };
        let cells = [
            rest.clone(),
            Cell {
                payload: PayloadClass::Order(100),
                ..rest.clone()
            },
            Cell {
                http: HttpVersion::H2,
                ..rest.clone()
            },
            Cell {
                format: Format::Protobuf,
                ..rest.clone()
            },
            Cell {
                connections: 1,
                ..rest.clone()
            },
            Cell {
                durability: Durability::Process,
                ..rest.clone()
            },
            Cell {
                mode: Mode::Open(Arrival::constant(2_000.0)),
                ..rest.clone()
            },
            Cell {
                mode: Mode::Open(Arrival::poisson(2_000.0, 1)),
                ..rest.clone()
            },
            Cell {
                slow: Some("1ms".parse().unwrap()),
                ..rest.clone()
            },
            Cell {
                workers: Some(8),
                ..rest.clone()
            },
            Cell {
                max_waiting: Some(8),
                ..rest.clone()
            },
            Cell {
                queue_limit: Some(8),
                ..rest.clone()
            },
            Cell {
                mode: Mode::Open(Arrival::even("200:1s,2000:5s,200".parse().unwrap())),
                ..rest.clone()
            },
            Cell {
                mode: Mode::Open(Arrival::even("200:1s,2000:4s,200".parse().unwrap())),
                ..rest.clone()
            },
            Cell {
                arm: Some("A1".into()),
                ..rest.clone()
            },
            Cell {
                stamped: false,
                ..rest.clone()
            },
            Cell {
                tls: true,
                ..rest.clone()
            },
            Cell {
                connecting: Connecting::PerCall,
                ..rest.clone()
            },
            Cell {
                connecting: Connecting::AsWritten,
                ..rest.clone()
            },
            Cell {
                library_defaults: true,
                ..rest.clone()
            },
            Cell {
                relay: Some(Duration::from_micros(500)),
                ..rest.clone()
            },
            Cell {
                stall: Some(Stall {
                    after: Duration::ZERO,
                    lasting: Duration::from_secs(1),
                }),
                ..rest.clone()
            },
            Cell {
                kind: CallKind::List,
                ..rest.clone()
            },
            Cell {
                kind: CallKind::List,
                batch: 100,
                ..rest.clone()
            },
            Cell {
                kind: CallKind::Bidi,
                ..Cell::new(Transport::Grpc)
            },
            Cell {
                kind: CallKind::Client,
                ..Cell::new(Transport::Grpc)
            },
            Cell {
                reply: Some(ReplyVia::Direct),
                ..rest.clone()
            },
            Cell {
                reply: Some(ReplyVia::Queue),
                ..rest.clone()
            },
            Cell {
                faults: vec!["at 1s kill service".parse().unwrap()],
                ..rest.clone()
            },
            Cell {
                faults: vec!["at 2s kill service".parse().unwrap()],
                ..rest.clone()
            },
            Cell {
                faults: vec![
                    "at 1s kill service".parse().unwrap(),
                    "at 2s start service".parse().unwrap(),
                ],
                ..rest.clone()
            },
            Cell {
                topology: Some(chain(2, "1ms")),
                ..rest.clone()
            },
            Cell {
                topology: Some(chain(3, "1ms")),
                ..rest.clone()
            },
            Cell {
                topology: Some(chain(3, "2ms")),
                ..rest.clone()
            },
            Cell {
                own: Some(Arc::new(Own::example("orders.jsonl", 1))),
                ..rest.clone()
            },
            Cell {
                own: Some(Arc::new(Own::example("orders.jsonl", 2))),
                ..rest.clone()
            },
            Cell::new(Transport::Grpc),
        ];
        let mut names: Vec<String> = cells.iter().map(Cell::id).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), cells.len(), "{names:?}");
    }
}
