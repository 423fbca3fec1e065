use super::*;
use crate::load::Arrival;

#[test]
fn distinct_cells_have_distinct_names() {
    let rest = Cell::new(Transport::Rest);
    let share = |percent, callers| Share {
        percent,
        callers,
        seed: 1,
    };
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
            client_buffer: Some(8),
            ..rest.clone()
        },
        Cell {
            consumers: 8,
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
            share: Some(share(50, 32)),
            ..rest.clone()
        },
        Cell {
            share: Some(share(90, 32)),
            ..rest.clone()
        },
        Cell {
            share: Some(share(50, 8)),
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
            probe: Some(100.0),
            ..rest.clone()
        },
        Cell {
            probe: Some(500.0),
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

#[test]
fn a_probe_that_cannot_be_is_refused_in_a_sentence() {
    let cell = |probe: f64| Cell {
        probe: Some(probe),
        ..Cell::new(Transport::Grpc)
    };
    assert_eq!(cell(500.0).check_probe(), Ok(()));
    assert_eq!(Cell::new(Transport::Grpc).check_probe(), Ok(()));
    for rate in [0.0, -1.0, 1e9, f64::NAN] {
        let why = cell(rate).check_probe().unwrap_err();
        assert!(why.contains("expected a catalogue probe"), "{why}");
    }
    let by_count = Cell {
        stop: Stop::count(5),
        ..cell(1.0)
    };
    assert!(by_count.check_probe().unwrap_err().contains("by count"));
    let encrypted = Cell {
        tls: true,
        ..cell(1.0)
    };
    assert!(encrypted.check_probe().unwrap_err().contains("without TLS"));
}
