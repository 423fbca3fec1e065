//! What does it cost to encode and to decode a message, and from which body size on does decoding JSON cost 1 ms and 5 ms?
//! CPU time of one thread inside this process, blocks of interleaved arms; no wire, no trial.

use super::{Experiment, Group, Suite, blocks};
use crate::claims::codec::{Crossing, alike, crossing, find, ratios};
use crate::micro::{self, Arm};
use crate::own::Own;
use crate::own::types::{self, Typed};
use crate::results::{CodecRow, Run, Table, Value};
use bench_proto::{Corpus, Format, Kind, Message, PayloadClass};
use bench_stats::Estimate;
use bench_stats::aa::Outcome;
use bench_stats::estimate::LEVEL;
use bytes::Bytes;
use std::hint::black_box;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "codec",
    question: "What CPU does encoding and decoding take per message, and at which size does decoding JSON cost 1 ms and 5 ms?",
    claims: &["json-1-5ms"],
    groups: |_: Suite| Vec::<Group>::new(),
    blocks,
    analysis,
};

/// Orders past what the service takes (10,000 lines), so that 5 ms is reached: the last is 3.9 MiB of JSON. Codecs have no
/// such bound.
pub const LARGE: [PayloadClass; 4] = [
    PayloadClass::Order(3_000),
    PayloadClass::Order(10_000),
    PayloadClass::Order(20_000),
    PayloadClass::Order(38_000),
];

/// The same cell once more: the experiment's A/A pair.
const A_A: PayloadClass = PayloadClass::Order(3);

/// A pass goes over the corpus as far as its JSON is no larger than this (one message at the least): past the second cache
/// level of most machines, as a stream of different messages would be.
const PASS_BYTES: usize = 2 << 20;

const FORMATS: [Format; 2] = [Format::Json, Format::Protobuf];

/// How long an arm runs in a block, ns of CPU time.
fn least_ns(suite: Suite) -> u64 {
    match suite {
        Suite::Quick => 5_000_000,
        Suite::Full | Suite::Faults | Suite::Wide => 20_000_000,
    }
}

/// The classes that are measured, in order of size where they are orders.
pub fn classes() -> impl Iterator<Item = PayloadClass> {
    PayloadClass::NAMED.into_iter().chain(LARGE)
}

/// What one payload gives to work on.
struct Sample<'o> {
    name: String,
    work: Work<'o>,
    /// By format, as in [`FORMATS`].
    bodies: [Vec<Bytes>; 2],
}

/// Messages, and whose codecs they go through.
enum Work<'o> {
    /// The contract's, of one kind.
    Contract(Kind, Vec<Message>),
    /// Those of a type that is known by its description alone.
    Dynamic(&'o Typed),
}

impl<'o> Sample<'o> {
    fn new(class: PayloadClass, seed: u64) -> Self {
        let one = Corpus::first(class, seed, 1).messages()[0].encode(Format::Json);
        let corpus = Corpus::first(class, seed, PASS_BYTES / one.len().max(1));
        Self::of(class.to_string(), corpus.messages().to_vec())
    }

    /// One's own orders, as far as a pass goes, or messages of one's own type.
    fn own(own: &'o Own) -> Self {
        if let Some(typed) = own.as_typed() {
            return Self {
                name: format!("{} (dynamic)", own.name()),
                bodies: FORMATS.map(|format| typed.bodies(format).to_vec()),
                work: Work::Dynamic(typed),
            };
        }
        let mut left = PASS_BYTES;
        let fits = |message: &&Message| {
            let length = message.encode(Format::Json).len();
            let fits = left == PASS_BYTES || length <= left;
            left = left.saturating_sub(length.max(1));
            fits
        };
        let corpus = own.corpus(Format::Json);
        let messages = corpus.messages().iter().take_while(fits).cloned().collect();
        Self::of(own.name().into(), messages)
    }

    /// `messages` is not empty.
    fn of(name: String, messages: Vec<Message>) -> Self {
        let bodies = FORMATS.map(|format| messages.iter().map(|m| m.encode(format)).collect());
        Self {
            name,
            work: Work::Contract(messages[0].kind(), messages),
            bodies,
        }
    }

    /// Messages that a pass goes over.
    fn count(&self) -> usize {
        self.bodies[0].len()
    }

    fn bytes(&self, format: usize) -> f64 {
        let sum: usize = self.bodies[format].iter().map(Bytes::len).sum();
        sum as f64 / self.count() as f64
    }
}

/// Measures every class in both formats and directions, `blocks` times, and one's own orders among them.
pub fn measure(suite: Suite, blocks: u32, seed: u64, own: Option<&Own>) -> Vec<CodecRow> {
    let mut samples: Vec<Sample<'_>> = classes().map(|class| Sample::new(class, seed)).collect();
    samples.extend(own.map(Sample::own));
    of_samples(&samples, blocks, least_ns(suite), seed)
}

/// One's own orders alone, as briefly as the quick suite does it.
pub fn of_own(own: &Own, seed: u64) -> Vec<CodecRow> {
    let suite = Suite::Quick;
    of_samples(
        &[Sample::own(own)],
        (EXPERIMENT.blocks)(suite),
        least_ns(suite),
        seed,
    )
}

/// Each arm runs for `least_ns` of CPU time in a block.
fn of_samples(samples: &[Sample<'_>], blocks: u32, least_ns: u64, seed: u64) -> Vec<CodecRow> {
    let a_a = A_A.to_string();
    let mut plan: Vec<(&Sample<'_>, usize, Direction, Option<&str>)> = Vec::new();
    for sample in samples {
        for format in 0..FORMATS.len() {
            for direction in [Direction::Encode, Direction::Decode] {
                plan.push((sample, format, direction, None));
                if sample.name == a_a {
                    plan.push((sample, format, direction, Some("A2")));
                }
            }
        }
    }
    let mut arms: Vec<Arm<'_>> = plan
        .iter()
        .map(|(sample, format, direction, _)| Arm {
            pass: pass(sample, *format, *direction),
            units: sample.count() as u64,
        })
        .collect();
    let clock = bench_host::cpu::thread_cpu_ns;
    let observed = micro::measure(&mut arms, blocks, least_ns, seed, clock);
    plan.iter()
        .zip(observed)
        .map(|((sample, format, direction, arm), observed)| CodecRow {
            payload: sample.name.clone(),
            format: FORMATS[*format].to_string(),
            operation: direction.name().into(),
            arm: arm.map(Into::into),
            messages: sample.count() as u64,
            mean_bytes: sample.bytes(*format),
            passes: observed.passes,
            ns_per_message: observed.ns_per_unit,
        })
        .collect()
}

/// Which way a codec goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Encode,
    Decode,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Decode => "decode",
        }
    }
}

/// One pass over a sample, exactly as a transport's two ends encode and decode.
fn pass<'s>(sample: &'s Sample<'_>, at: usize, direction: Direction) -> Box<dyn FnMut() + 's> {
    let format = FORMATS[at];
    let bodies = &sample.bodies[at];
    match (direction, &sample.work) {
        (Direction::Encode, Work::Contract(_, messages)) => Box::new(move || {
            for message in messages {
                drop(black_box(black_box(message).encode(format)));
            }
        }),
        (Direction::Decode, Work::Contract(kind, _)) => Box::new(move || {
            for body in bodies {
                let message = format.decode_request(*kind, black_box(body));
                drop(black_box(message.expect("what was just encoded decodes")));
            }
        }),
        (Direction::Encode, Work::Dynamic(typed)) => Box::new(move || {
            for message in typed.messages() {
                drop(black_box(types::encode(black_box(message), format)));
            }
        }),
        (Direction::Decode, Work::Dynamic(typed)) => Box::new(move || {
            for body in bodies {
                drop(black_box(typed.decode(format, black_box(body))));
            }
        }),
    }
}

/// Times with their intervals, and the sizes at which decoding reaches a level.
fn analysis(run: &Run) -> Vec<Table> {
    if run.codecs.is_empty() {
        return Vec::new();
    }
    vec![times(run), crossings(run)]
}

const UNMEASURED: &str = "not measured";

fn shown(estimate: Option<Estimate>) -> Value {
    match estimate {
        Some(estimate) => Value::interval(estimate.point(), estimate.interval(LEVEL)),
        None => Value::missing(UNMEASURED),
    }
}

/// What encoding and decoding a message of each payload takes.
pub fn times(run: &Run) -> Table {
    let columns = [
        ("payload", ""),
        ("operation", ""),
        ("JSON body", "bytes"),
        ("JSON", "µs"),
        ("JSON rate", "MB/s"),
        ("protobuf body", "bytes"),
        ("protobuf", "µs"),
        ("protobuf rate", "MB/s"),
        ("JSON ÷ protobuf", "×"),
    ];
    let mut table = Table::new(EXPERIMENT.name, "CPU time per message", &columns);
    let mut payloads: Vec<&str> = run.codecs.iter().map(|row| row.payload.as_str()).collect();
    payloads.dedup();
    for class in payloads {
        for operation in ["encode", "decode"] {
            let row = |format| find(run, class, format, operation, None);
            let (json, protobuf) = (row("json"), row("protobuf"));
            let time = |row: Option<&CodecRow>| {
                let us: Vec<f64> = row?.ns_per_message.iter().map(|ns| ns / 1e3).collect();
                Estimate::of_ratios(&us)
            };
            let bytes =
                |row: Option<&CodecRow>| Value::maybe(row.map(|row| row.mean_bytes), UNMEASURED);
            let rate = |row: Option<&CodecRow>| {
                let rate = row
                    .zip(time(row))
                    .map(|(row, us)| row.mean_bytes / us.point());
                Value::maybe(rate, UNMEASURED)
            };
            let ratio = json
                .zip(protobuf)
                .map(|(json, protobuf)| ratios(json, protobuf));
            table.push(vec![
                class.into(),
                operation.into(),
                bytes(json),
                shown(time(json)),
                rate(json),
                bytes(protobuf),
                shown(time(protobuf)),
                rate(protobuf),
                shown(ratio.and_then(|ratios| Estimate::of_ratios(&ratios))),
            ]);
        }
    }
    let said = |operation| match alike(run, operation) {
        Some(Outcome::Passed) => "passed".to_string(),
        Some(Outcome::Noisy(by)) => format!("scattered by up to {by:.2}×"),
        Some(Outcome::Biased) => "was not alike, by more than chance".to_string(),
        None => "did not run".to_string(),
    };
    table.with_note(format!(
        "One thread of this process, its own CPU time, blocks of interleaved arms; decoding includes dropping the message. \
         A/A pair of encoding: {}; of decoding: {}.",
        said("encode"),
        said("decode")
    ))
}

fn crossings(run: &Run) -> Table {
    let columns = [
        ("format", ""),
        ("decoding an order costs", "ms"),
        ("at a body of", "bytes"),
    ];
    let mut table = Table::new(
        EXPERIMENT.name,
        "body size at which decoding costs so much",
        &columns,
    );
    for format in FORMATS.map(|format| format.to_string()) {
        for level_ns in crate::claims::codec::LEVELS {
            let at = match crossing(run, &format, level_ns) {
                Some(Crossing::At(size)) => shown(Some(size)),
                Some(Crossing::Above(largest)) => {
                    Value::missing(format!("not reached up to {largest:.0} bytes as {format}"))
                }
                None => Value::missing(UNMEASURED),
            };
            table.push(vec![
                format.as_str().into(),
                Value::number(level_ns / 1e6),
                at,
            ]);
        }
    }
    table.with_note("Interpolated between measured orders on log-log axes, block by block; nothing is extrapolated.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_class_is_measured_in_both_formats_and_directions_in_every_block() {
        let classes = [A_A, PayloadClass::Empty, PayloadClass::Ints];
        let samples = classes.map(|class| Sample::new(class, 7));
        let rows = of_samples(&samples, 3, 1, 7);
        // Four of each class, and the A/A pair's second arm of four.
        assert_eq!(rows.len(), 3 * 4 + 4);
        let named: BTreeSet<_> = rows
            .iter()
            .map(|r| (&r.payload, &r.format, &r.operation, &r.arm))
            .collect();
        assert_eq!(named.len(), rows.len());
        for row in &rows {
            assert_eq!(row.ns_per_message.len(), 3, "{row:?}");
            assert!(row.passes >= 1 && row.messages >= 1, "{row:?}");
            assert!(row.ns_per_message.iter().all(|ns| *ns > 0.0), "{row:?}");
        }
    }

    #[test]
    fn a_sample_is_as_large_as_its_pass_may_be_and_never_empty() {
        let size = |class| {
            let sample = Sample::new(class, 7);
            assert_eq!(sample.bodies[0].len(), sample.bodies[1].len());
            (sample.count(), sample.bytes(0))
        };
        assert_eq!(size(PayloadClass::Order(3)).0, Corpus::SIZE);
        assert_eq!(size(PayloadClass::Text(65_536)), (31, 65_550.0));
        assert_eq!(size(PayloadClass::Bytes(65_536)), (23, 87_395.0));
    }

    #[test]
    fn ones_own_orders_are_measured_beside_the_classes_and_have_their_rows_in_the_table() {
        let own = Own::example("orders.jsonl", 5);
        let rows = of_samples(&[Sample::new(A_A, 7), Sample::own(&own)], 2, 1, 7);
        let mine: Vec<&CodecRow> = rows
            .iter()
            .filter(|row| row.payload == own.name())
            .collect();
        assert_eq!(mine.len(), 4, "two formats and two directions");
        assert!(mine.iter().all(|row| row.messages == 5));
        let run = Run {
            codecs: rows,
            ..Run::default()
        };
        let table = times(&run);
        let of = |row: &&Vec<Value>| row[0] == Value::from(own.name());
        assert_eq!(table.rows.iter().filter(of).count(), 2);
    }

    #[test]
    fn the_largest_order_is_four_mebibytes_of_json_and_no_more() {
        let (messages, bytes) = {
            let sample = Sample::new(LARGE[3], 7);
            (sample.count(), sample.bytes(0))
        };
        assert_eq!(messages, 1);
        assert!((3.8e6..=4_194_304.0).contains(&bytes), "{bytes}");
    }
}
