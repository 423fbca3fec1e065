//! A planted run for tests: round figures that no machine gave, so that nobody takes them for a measurement.

use crate::latency::{Beside, Minimum, summarise};
use crate::results::*;
use bench_stats::histogram;
use std::collections::BTreeMap;

/// Six blocks; every verdict can be worked out by hand from [`planted`]'s comments.
pub(crate) const BLOCKS: u32 = 6;

/// A distribution with exactly this p50 and p99: 980 samples of the one, 20 of the other, per thousand.
pub(crate) fn latency(thousands: u64, p50: u64, p99: u64) -> Latency {
    let mut h = histogram::new();
    h.record_n(p50, thousands * 980).unwrap();
    h.record_n(p99, thousands * 20).unwrap();
    summarise(&h, Beside::default(), Minimum::Trial)
}

/// The plain cell of a transport.
pub(crate) fn cell(transport: &str, payload: &str) -> Cell {
    let broker = matches!(transport, "queue" | "stream");
    Cell {
        id: String::new(),
        transport: transport.into(),
        format: if transport == "rest" {
            "json"
        } else {
            "protobuf"
        }
        .into(),
        payload: payload.into(),
        durability: if broker { "process" } else { "none" }.into(),
        http: (transport == "rest").then(|| "h1".into()),
        connections: Some(if broker { 1 } else { 32 }),
        ..Cell::default()
    }
}

/// The noise of a block, as a factor: the same for all arms of a block but for a small part of each arm's own.
fn noise(block: u32, arm: u32) -> f64 {
    let shared = [1.00, 1.08, 0.95, 1.03, 0.97, 1.05][block as usize % 6];
    let own = [1.00, 0.99, 1.01, 1.00, 0.99, 1.01][(block as usize + arm as usize * 2) % 6];
    shared * own
}

/// One trial of a closed-loop cell.
pub(crate) fn closed(cell: Cell, arm: u32, block: u32, per_s: f64, cpu: [f64; 3]) -> Trial {
    let id = format!("{}-{}-c32{}", cell.transport, cell.payload, suffix(&cell));
    let per_s = per_s * noise(block, arm);
    let wait = (32e9 / per_s) as u64;
    let cell = Cell {
        id,
        arrival: Arrival::Closed,
        in_flight: Some(32),
        ..cell
    };
    Trial {
        throughput_per_s: per_s,
        ..trial(
            "capacity",
            cell,
            block,
            (wait, wait * 3),
            (wait, wait * 2),
            cpu,
        )
    }
}

/// One trial of an open-loop cell; latencies are p50 and p99, ns.
pub(crate) fn open(
    cell: Cell,
    arm: u32,
    block: u32,
    accept: (f64, f64),
    completion: (f64, f64),
    cpu: [f64; 3],
) -> Trial {
    let id = format!("{}-{}-r2000{}", cell.transport, cell.payload, suffix(&cell));
    let n = noise(block, arm);
    let scaled = |(a, b): (f64, f64)| ((a * n) as u64, (b * n) as u64);
    let cell = Cell {
        id,
        durability: "process".into(),
        arrival: Arrival::Constant,
        rate_per_s: Some(2_000.0),
        max_in_flight: Some(10_000),
        ..cell
    };
    Trial {
        throughput_per_s: 2_000.0,
        ..trial(
            "ladder",
            cell,
            block,
            scaled(accept),
            scaled(completion),
            cpu,
        )
    }
}

/// One trial of the slow experiment: accept p50 before and in the slow phase, ns.
pub(crate) fn slow(transport: &str, block: u32, before: u64, slow: u64, unconfirmed: u64) -> Trial {
    let cell = Cell {
        id: format!("{transport}-O3-r200-slow"),
        durability: "process".into(),
        arrival: Arrival::Constant,
        rate_per_s: Some(200.0),
        slow: Some("1ms; 200ms; 1ms".into()),
        workers: Some(8),
        ..cell(transport, "O3")
    };
    let phase = |name: &str, start: f64, p50: u64, unconfirmed: u64, backlog| Phase {
        name: name.into(),
        start_s: start,
        end_s: start + 5.0,
        planned: 1_000,
        acknowledged: 1_000 - unconfirmed,
        timed_out: unconfirmed,
        completed: Some(1_000 - unconfirmed),
        accept_ns: latency(1, p50, p50 * 2),
        completion_ns: Some(latency(1, slow.max(1_500_000_000), slow.max(4_000_000_000))),
        backlog_at_end: Some(backlog),
        ..Phase::default()
    };
    let accept = (
        before + u64::from(block) * 10_000,
        slow + u64::from(block) * 10_000,
    );
    let mut t = trial(
        "slow",
        cell,
        block,
        (accept.0, accept.1),
        (before, slow),
        [40.0, 30.0, 60.0],
    );
    t.throughput_per_s = 200.0;
    t.phases = vec![
        phase("before", 0.0, accept.0, 0, 0),
        phase("slow", 5.0, accept.1, unconfirmed, 800),
        phase("after", 10.0, accept.0, 0, 0),
    ];
    t
}

fn suffix(cell: &Cell) -> String {
    cell.arm
        .as_ref()
        .map_or(String::new(), |arm| format!("-{arm}"))
}

fn trial(
    experiment: &str,
    cell: Cell,
    block: u32,
    accept: (u64, u64),
    completion: (u64, u64),
    cpu: [f64; 3],
) -> Trial {
    let broker = matches!(cell.transport.as_str(), "queue" | "stream");
    let (out, back) = if cell.format == "json" {
        (744.0, 99.0)
    } else {
        (290.0, 47.0)
    };
    Trial {
        experiment: experiment.into(),
        block,
        started_at_s: f64::from(block) * 10.0,
        window_s: 1.0,
        accept_ns: latency(5, accept.0, accept.1),
        completion_ns: Some(latency(5, completion.0, completion.1)),
        service_ns: latency(5, accept.0, accept.1),
        lateness_ns: latency(5, 1_000, 5_000),
        bytes: Bytes {
            body_out: Some(out),
            body_in: (!broker).then_some(back),
            wire: BTreeMap::new(),
            wire_missing: Some("planted data".into()),
        },
        cpu_us_per_op: CpuPerOp {
            pacing: None,
            client: Some(cpu[0]),
            service: Some(cpu[1]),
            broker: broker.then_some(cpu[2]),
            broker_net: broker.then_some(cpu[2] / 2.0),
        },
        ledger: Ledger {
            attempted: 5_000,
            acknowledged: 5_000,
            delivered: Some(5_000),
            lost: Some(0),
            duplicated: Some(0),
            recovered: Some(0),
            unexpected: Some(0),
            reordered: Some(0),
            ..Ledger::default()
        },
        cell,
        ..Trial::default()
    }
}

/// A whole run: gRPC carries 0.5 × the orders of REST at O3 and 5 × at O100, its accept p50 and p99 are twice REST's;
/// the slow service makes sync callers wait 200 times longer and leaves the publishers alone.
pub(crate) fn planted() -> Run {
    let mut trials = Vec::new();
    for block in 0..BLOCKS {
        for (arm, (transport, per_s, cpu)) in [
            ("tcp", 100_000.0, [4.0, 5.0, 0.0]),
            ("rest", 40_000.0, [11.0, 13.0, 0.0]),
            ("grpc", 20_000.0, [22.0, 26.0, 0.0]),
            ("queue", 10_000.0, [20.0, 20.0, 60.0]),
            ("stream", 80_000.0, [3.0, 4.0, 5.0]),
        ]
        .into_iter()
        .enumerate()
        {
            trials.push(closed(cell(transport, "O3"), arm as u32, block, per_s, cpu));
        }
        let twin = Cell {
            arm: Some("A2".into()),
            ..cell("rest", "O3")
        };
        trials.push(closed(twin, 2, block, 40_000.0, [11.0, 13.0, 0.0]));
        trials.push(closed(
            cell("rest", "O100"),
            0,
            block,
            10_000.0,
            [40.0, 50.0, 0.0],
        ));
        trials.push(closed(
            cell("grpc", "O100"),
            1,
            block,
            50_000.0,
            [8.0, 10.0, 0.0],
        ));
        let (us, cpu) = (1_000.0, [60.0, 50.0, 80.0]);
        for (arm, (transport, accept, completion)) in [
            ("rest", (200.0 * us, 600.0 * us), (150.0 * us, 500.0 * us)),
            (
                "grpc",
                (400.0 * us, 1_200.0 * us),
                (300.0 * us, 1_000.0 * us),
            ),
            (
                "queue",
                (900.0 * us, 3_000.0 * us),
                (450.0 * us, 2_000.0 * us),
            ),
            (
                "stream",
                (500.0 * us, 1_500.0 * us),
                (600.0 * us, 1_800.0 * us),
            ),
        ]
        .into_iter()
        .enumerate()
        {
            trials.push(open(
                cell(transport, "O3"),
                arm as u32,
                block,
                accept,
                completion,
                cpu,
            ));
        }
        let twin = Cell {
            arm: Some("A2".into()),
            ..cell("rest", "O3")
        };
        trials.push(open(
            twin,
            1,
            block,
            (200.0 * us, 600.0 * us),
            (150.0 * us, 500.0 * us),
            cpu,
        ));
        for (transport, before, during) in [
            ("rest", 1_400_000, 280_000_000),
            ("grpc", 1_500_000, 300_000_000),
            ("queue", 800_000, 820_000),
            ("stream", 400_000, 420_000),
        ] {
            trials.push(slow(transport, block, before, during, 0));
        }
    }
    let size = |payload: &str, format: &str, mean: f64| SizeRow {
        payload: payload.into(),
        format: format.into(),
        messages: 1_024,
        mean_bytes: mean,
        min: mean as u64,
        max: mean as u64,
        ..SizeRow::default()
    };
    let mut sizes = Vec::new();
    for (payload, protobuf, json) in [
        ("O1", 200.0, 400.0),
        ("O3", 300.0, 750.0),
        ("O10", 500.0, 1_450.0),
        ("O100", 3_000.0, 10_500.0),
        ("O1000", 30_000.0, 108_000.0),
    ] {
        sizes.push(size(payload, "protobuf", protobuf));
        sizes.push(size(payload, "json", json));
    }
    let map = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect()
    };
    Run {
        schema: SCHEMA.into(),
        manifest: Manifest {
            time: "2000-01-01T00:00:00Z".into(),
            version: "0.0.0".into(),
            commit: Some("planted".into()),
            dirty: Some(false),
            machine: map(&[
                ("cores", "2"),
                ("cpu", "planted test data"),
                ("kernel", "0.0"),
            ]),
            brokers: map(&[("queue", "RabbitMQ 0.0"), ("stream", "Kafka 0.0")]),
            suite: "quick".into(),
            blocks: BLOCKS,
            seed: 1,
            placement: "client 1; service, brokers 0".into(),
            network: "loopback".into(),
            exclusive: true,
            ..Manifest::default()
        },
        trials,
        sizes,
        ..Run::default()
    }
}
