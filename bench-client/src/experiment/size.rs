//! How many bytes is each payload, as JSON, as canonical proto3 JSON and as protobuf, plain and compressed? By count over
//! the corpora, and on the wire of every transport by trials that stop by count: nothing here rests on a timing.

use super::{Experiment, Group, Suite};
use crate::cell::Cell;
use crate::claims::samples::cells;
use crate::load::{Mode, Stop};
use crate::own::Own;
use crate::results::{Run, SizeRow, Table, Trial, Value};
use bench_proto::{Corpus, Format, Message, PayloadClass, canonical};
use bench_transport::Transport;
use bytes::Bytes;
use flate2::write::GzEncoder;
use std::io::Write;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "size",
    question: "How many bytes is each payload in each format, plain, compressed, and on each transport's wire?",
    claims: &["size-3-10x"],
    groups,
    // Bytes are counted, not sampled: a second block would count the same.
    blocks: |_| 1,
    analysis,
};

/// Operations of a wire trial: enough that what a connection pays once no longer shows in the mean.
const OPERATIONS: u64 = 200;

/// Unstamped, so that the wire carries the order and its protocol alone; one in flight, so that no broker batches.
fn groups(suite: Suite) -> Vec<Group> {
    let classes: &[PayloadClass] = match suite {
        Suite::Quick => &[PayloadClass::Order(3)],
        Suite::Full | Suite::Faults | Suite::Wide => &PayloadClass::NAMED,
    };
    let cell = |transport, payload| Cell {
        payload,
        mode: Mode::Closed {
            callers: 1,
            think: Duration::ZERO,
        },
        connections: 1,
        stop: Stop::count(OPERATIONS),
        warmup: Duration::from_millis(50),
        stamped: false,
        ..Cell::new(transport)
    };
    let of_class = |payload| -> Group {
        let mut cells: Group = Transport::ALL
            .map(|transport| cell(transport, payload))
            .into();
        // HTTP with the other format: what of the difference to gRPC is JSON.
        cells.push(Cell {
            format: Format::Protobuf,
            ..cell(Transport::Rest, payload)
        });
        cells
    };
    classes.iter().copied().map(of_class).collect()
}

/// How bodies are encoded for the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// What transports carry.
    Carried(Format),
    /// The labelled second variant.
    CanonicalJson,
}

impl Encoding {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 3] = [
        Self::Carried(Format::Json),
        Self::CanonicalJson,
        Self::Carried(Format::Protobuf),
    ];

    /// Its name in results.
    pub fn name(self) -> String {
        match self {
            Self::Carried(format) => format.to_string(),
            Self::CanonicalJson => canonical::NAME.into(),
        }
    }

    fn encode(self, message: &Message) -> Bytes {
        match self {
            Self::Carried(format) => message.encode(format),
            Self::CanonicalJson => canonical::encode(message).into(),
        }
    }
}

/// How a body is compressed, each by itself as `Content-Encoding` would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// zlib's default level.
    Gzip,
    /// Zstandard's default level.
    Zstd,
}

impl Compression {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Gzip, Self::Zstd];

    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn length(self, body: &[u8]) -> u64 {
        const WRITES: &str = "a Vec takes every byte";
        let compressed = match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(body).expect(WRITES);
                encoder.finish().expect(WRITES)
            }
            Self::Zstd => {
                zstd::bulk::compress(body, zstd::DEFAULT_COMPRESSION_LEVEL).expect(WRITES)
            }
        };
        compressed.len() as u64
    }
}

/// Compressing takes time and its mean settles soon: a corpus is compressed up to so many bytes of plain body, …
const COMPRESSED_BYTES: usize = 1 << 20;
/// … and so many messages at the least.
const COMPRESSED_MESSAGES: usize = 8;

/// Counts the encoded sizes of every class: plain over the whole corpus, compressed over its first messages.
pub fn count(seed: u64, mut counted: impl FnMut(PayloadClass)) -> Vec<SizeRow> {
    let mut rows = Vec::new();
    for class in PayloadClass::NAMED {
        rows.extend(of_class(class, seed));
        counted(class);
    }
    rows
}

fn of_class(class: PayloadClass, seed: u64) -> Vec<SizeRow> {
    of_corpus(&class.to_string(), Corpus::new(class, seed))
}

/// The same of one's own orders, or of messages of one's own type, whose JSON is the proto3 mapping.
pub fn of_own(own: &Own) -> Vec<SizeRow> {
    let Some(typed) = own.as_typed() else {
        return of_corpus(own.name(), own.corpus(Format::Json));
    };
    let of = |format: Format| of_bodies(own.name(), &format.to_string(), typed.bodies(format));
    [of(Format::Json), of(Format::Protobuf)].concat()
}

fn of_bodies(name: &str, format: &str, bodies: &[Bytes]) -> Vec<SizeRow> {
    let plain: Vec<u64> = bodies.iter().map(|body| body.len() as u64).collect();
    let mut rows = vec![row(name, format, None, &plain)];
    for compression in Compression::ALL {
        let lengths: Vec<u64> = bodies.iter().map(|body| compression.length(body)).collect();
        rows.push(row(name, format, Some(compression), &lengths));
    }
    rows
}

fn of_corpus(name: &str, mut corpus: Corpus) -> Vec<SizeRow> {
    let messages = corpus.messages().len() as u64;
    let mut rows = Vec::new();
    for encoding in Encoding::ALL {
        let mut plain = Vec::new();
        let (mut first, mut bytes): (Vec<Bytes>, usize) = (Vec::new(), 0);
        for entry in 0..messages {
            let body = encoding.encode(corpus.message(0, 0, entry));
            plain.push(body.len() as u64);
            bytes += body.len();
            if first.len() < COMPRESSED_MESSAGES || bytes <= COMPRESSED_BYTES {
                first.push(body);
            }
        }
        rows.push(row(name, &encoding.name(), None, &plain));
        for compression in Compression::ALL {
            let lengths: Vec<u64> = first.iter().map(|body| compression.length(body)).collect();
            rows.push(row(name, &encoding.name(), Some(compression), &lengths));
        }
    }
    rows
}

fn row(payload: &str, format: &str, compression: Option<Compression>, lengths: &[u64]) -> SizeRow {
    SizeRow {
        payload: payload.into(),
        format: format.into(),
        compression: compression.map(|compression| compression.name().into()),
        messages: lengths.len() as u64,
        mean_bytes: lengths.iter().sum::<u64>() as f64 / lengths.len().max(1) as f64,
        min: lengths.iter().copied().min().unwrap_or(0),
        max: lengths.iter().copied().max().unwrap_or(0),
    }
}

/// Bodies by count, and what the wire carried.
fn analysis(run: &Run) -> Vec<Table> {
    if run.sizes.is_empty() {
        return Vec::new();
    }
    vec![bodies(run), wire(run)]
}

/// What a body of each payload weighs, in each format.
pub fn bodies(run: &Run) -> Table {
    let json = Encoding::Carried(Format::Json);
    let protobuf = Encoding::Carried(Format::Protobuf);
    let columns = [
        ("payload", ""),
        ("JSON", "bytes"),
        ("canonical JSON", "bytes"),
        ("protobuf", "bytes"),
        ("JSON ÷ protobuf", "×"),
        ("JSON, gzip", "bytes"),
        ("protobuf, gzip", "bytes"),
        ("÷, gzip", "×"),
        ("JSON, zstd", "bytes"),
        ("protobuf, zstd", "bytes"),
        ("÷, zstd", "×"),
    ];
    let mut table = Table::new(EXPERIMENT.name, "mean body by count", &columns);
    let mut smaller = Vec::new();
    let mut payloads: Vec<&str> = run.sizes.iter().map(|row| row.payload.as_str()).collect();
    payloads.dedup();
    for class in payloads {
        let mean = |encoding: Encoding, compression: Option<Compression>| {
            let compression = compression.map(Compression::name);
            let found = run.sizes.iter().find(|row| {
                (row.payload == class && row.format == encoding.name())
                    && row.compression.as_deref() == compression
            });
            found.map(|row| row.mean_bytes)
        };
        let bytes = |value| Value::maybe(value, "not counted");
        let pair = |compression| [mean(json, compression), mean(protobuf, compression)];
        let ratio = |[above, below]: [Option<f64>; 2]| match (above, below) {
            (Some(_), Some(0.0)) => Value::missing("an empty message is no byte at all"),
            _ => Value::maybe(above.zip(below).map(|(a, b)| a / b), "not counted"),
        };
        let plain = pair(None);
        let mut row: Vec<Value> = vec![class.into(), bytes(plain[0])];
        row.push(bytes(mean(Encoding::CanonicalJson, None)));
        row.extend([bytes(plain[1]), ratio(plain)]);
        for compression in Compression::ALL {
            let both = pair(Some(compression));
            row.extend([bytes(both[0]), bytes(both[1]), ratio(both)]);
        }
        table.push(row);
        if plain[0]
            .zip(plain[1])
            .is_some_and(|(json, protobuf)| json < protobuf)
        {
            smaller.push(class);
        }
    }
    table.with_note(format!(
        "Plain bodies over the whole corpus; compressed ones each by itself, at each library's default level, over the corpus' \
         first MiB. Canonical JSON is the proto3 JSON mapping (camelCase, int64 as text, enums by name, no defaults); no \
         transport carries it. JSON is the smaller one for: {}.",
        if smaller.is_empty() { "none".into() } else { smaller.join(", ") }
    ))
}

/// Wire bytes of one trial per operation: every leg, both directions, headers of TCP and IP not among them.
fn wire_bytes(trial: &Trial) -> Option<f64> {
    let legs = &trial.bytes.wire;
    (!legs.is_empty()).then(|| legs.values().map(|leg| leg.sent + leg.received).sum())
}

fn wire(run: &Run) -> Table {
    let columns = [
        ("payload", ""),
        ("transport", ""),
        ("format", ""),
        ("body out", "bytes"),
        ("body back", "bytes"),
        ("wire, all legs", "bytes"),
        ("beside the bodies", "bytes"),
        ("TCP/IP headers, computed", "bytes"),
    ];
    let title = "bytes per operation on the wire, unstamped, 1 in flight";
    let mut table = Table::new(EXPERIMENT.name, title, &columns);
    for cell in cells(run, EXPERIMENT.name) {
        let (about, trial) = (cell.cell, cell.kept().next());
        let reason = || match trial.and_then(|trial| trial.bytes.wire_missing.as_deref()) {
            Some(why) => Value::missing(why),
            None => Value::missing("no trial of the cell is valid"),
        };
        let known = |value: Option<f64>| value.map_or_else(reason, Value::number);
        let out = trial.and_then(|trial| trial.bytes.body_out);
        let back = trial.map(|trial| trial.bytes.body_in.unwrap_or(0.0));
        let wire = trial.and_then(wire_bytes);
        // A body crosses as many legs as there are towards the service; an answer comes back where there is one.
        let crossings =
            if trial.is_some_and(|trial| trial.bytes.wire.contains_key("broker_service")) {
                2.0
            } else {
                1.0
            };
        let beside = wire
            .zip(out.zip(back))
            .map(|(w, (out, back))| w - crossings * out - back);
        let headers = trial.and_then(|trial| {
            let legs = trial.bytes.wire.values();
            legs.map(|leg| leg.headers_computed).sum::<Option<f64>>()
        });
        table.push(vec![
            about.payload.as_str().into(),
            about.transport.as_str().into(),
            about.format.as_str().into(),
            known(out),
            known(back),
            known(wire),
            known(beside),
            known(headers),
        ]);
    }
    table.with_note(
        "What the kernel counted on the sockets from one quiescent point to the next, over a fixed number of operations: \
         exact on tcp, REST and gRPC. A broker's legs also carry its polling (Kafka's fetches go on while nothing comes) and \
         acknowledgements, so they depend on the rate.",
    )
}

#[cfg(test)]
mod tests;
