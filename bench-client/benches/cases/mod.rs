//! What is benched, shared by the timed and the counted benches: named pieces of work, built only where they are wanted.

use bench_client::load::{self, Clock, Ending, HostClock, Load, Mode, Outcome, Share, Stop};
use bench_proto::ledger::{CallerLedger, ServiceLedger};
use bench_proto::{Corpus, Format, PayloadClass, Stamp};
use std::hint::black_box;
use std::time::Duration;

/// A piece of work.
pub(crate) struct Case {
    /// `group/name/…`.
    pub(crate) name: String,
    /// Bytes that one unit encodes or decodes; none where that says nothing.
    pub(crate) bytes: Option<u64>,
    /// Units that one call works on.
    pub(crate) units: u64,
    /// One call.
    pub(crate) call: Box<dyn FnMut()>,
}

/// Messages of a codec's case, over which it goes in turn; as many as fit, at most, into so many bytes of JSON.
const MESSAGES: usize = 256;
const BYTES: usize = 1 << 20;

/// All that are wanted.
pub(crate) fn find(wanted: &dyn Fn(&str) -> bool) -> Vec<Case> {
    let mut all = codec(wanted);
    all.extend(instrument(wanted));
    all
}

/// Encoding and decoding, each class and format.
fn codec(wanted: &dyn Fn(&str) -> bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for class in PayloadClass::NAMED {
        for format in [Format::Json, Format::Protobuf] {
            let name = |operation: &str| format!("codec/{operation}/{class}/{format}");
            let (encode, decode) = (name("encode"), name("decode"));
            if !wanted(&encode) && !wanted(&decode) {
                continue;
            }
            let one = Corpus::first(class, 1, 1).messages()[0].encode(Format::Json);
            let corpus = Corpus::first(class, 1, MESSAGES.min(BYTES / one.len()));
            let messages = corpus.messages().to_vec();
            let bodies: Vec<_> = messages.iter().map(|m| m.encode(format)).collect();
            let sum: usize = bodies.iter().map(|body| body.len()).sum();
            let mut add = |name: String, call: Box<dyn FnMut()>| {
                if wanted(&name) {
                    cases.push(Case {
                        name,
                        bytes: Some((sum / bodies.len()) as u64),
                        units: 1,
                        call,
                    });
                }
            };
            let mut turn = 0;
            add(
                encode,
                Box::new(move || {
                    turn = (turn + 1) % messages.len();
                    black_box(black_box(&messages[turn]).encode(format));
                }),
            );
            let (mut turn, bodies) = (0, bodies.clone());
            add(
                decode,
                Box::new(move || {
                    turn = (turn + 1) % bodies.len();
                    let message = format.decode_request(class.kind(), black_box(&bodies[turn]));
                    black_box(message).expect("what was just encoded decodes");
                }),
            );
        }
    }
    cases
}

/// What the instrument itself does around an operation.
fn instrument(wanted: &dyn Fn(&str) -> bool) -> Vec<Case> {
    type Make = fn() -> Box<dyn FnMut()>;
    let all: [(&str, u64, Make); 6] = [
        ("instrument/pacer tick (due already)", BATCH, pacer_tick),
        ("instrument/release and record", BATCH, release_and_record),
        ("instrument/ledger insert, caller", 1, caller_ledger),
        ("instrument/ledger insert, service", 1, service_ledger),
        ("instrument/stamp encode, bytes", 1, stamp_bytes),
        ("instrument/stamp encode, text", 1, stamp_text),
    ];
    all.into_iter()
        .filter(|(name, ..)| wanted(name))
        .map(|(name, units, make)| Case {
            name: name.into(),
            bytes: None,
            units,
            call: make(),
        })
        .collect()
}

/// Units of a call that has to enter a runtime.
const BATCH: u64 = 1_000;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// The wait for an instant that is past: what an open loop pays per operation while it is not ahead.
fn pacer_tick() -> Box<dyn FnMut()> {
    let runtime = runtime();
    let entered = runtime.enter();
    let mut clock = HostClock::without_spin().expect("a timerfd");
    drop(entered);
    Box::new(move || {
        runtime.block_on(async {
            for _ in 0..BATCH {
                clock.until(black_box(1)).await;
            }
        });
    })
}

/// The engine around an operation that ends at once: released, a task, its latencies and ledger recorded.
fn release_and_record() -> Box<dyn FnMut()> {
    let runtime = runtime();
    let closed = Load {
        mode: Mode::Closed {
            callers: 1,
            think: Duration::ZERO,
        },
        stop: Stop::count(BATCH),
        max_in_flight: 1,
        grace: Duration::from_secs(1),
        spans: Vec::new(),
        share: Share::WHOLE,
    };
    Box::new(move || {
        let local = tokio::task::LocalSet::new();
        let record = local.block_on(&runtime, async {
            let mut clock = HostClock::without_spin().expect("a timerfd");
            let at_once = |_| {
                std::future::ready(Outcome {
                    sent_ns: Some(HostClock::now_ns()),
                    ending: Ending::Acknowledged,
                    body_out: 290,
                    body_in: 46,
                })
            };
            load::run(&closed, &mut clock, HostClock::now_ns(), at_once, || ()).await
        });
        assert_eq!(record.ended(), BATCH);
    })
}

fn caller_ledger() -> Box<dyn FnMut()> {
    let (mut ledger, mut sequence) = (CallerLedger::default(), 0);
    Box::new(move || {
        ledger.acknowledged.insert(black_box(sequence));
        sequence += 1;
    })
}

fn service_ledger() -> Box<dyn FnMut()> {
    let (mut ledger, mut sequence) = (ServiceLedger::default(), 0);
    Box::new(move || {
        // 64 customers in turn.
        ledger.record(0, black_box(sequence), sequence % 64);
        sequence += 1;
    })
}

fn stamp() -> impl FnMut() -> Stamp {
    let mut sequence = 0;
    move || {
        sequence += 1;
        Stamp {
            run: 7,
            producer: 0,
            sequence,
            planned_ns: sequence * 1_000,
        }
    }
}

fn stamp_bytes() -> Box<dyn FnMut()> {
    let mut next = stamp();
    Box::new(move || {
        black_box(black_box(next()).to_bytes());
    })
}

fn stamp_text() -> Box<dyn FnMut()> {
    let mut next = stamp();
    Box::new(move || {
        black_box(black_box(next()).to_text());
    })
}
