//! What a projection rests on where a run measured it: the CPU and the bytes of one order, transport by transport.

use crate::claims::samples::{CellTrials, cells, experiments, is_base};
use crate::results::{Cell, CpuPerOp, Run, Trial};
use bench_stats::Estimate;
use serde::Serialize;

/// Transports that services are built on, in the order of every table.
const TRANSPORTS: [&str; 4] = ["rest", "grpc", "queue", "stream"];
/// Factors that every broker's cell has; a cell with any other is a variant, and not what is projected.
const PLAIN: [&str; 3] = ["linger_ms", "partitions", "prefetch"];

/// CPU of one order, µs, by role; none where it was not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CpuUs {
    /// The caller.
    pub client: Option<f64>,
    /// The service.
    pub service: Option<f64>,
    /// Every process of the broker; none without one.
    pub broker: Option<f64>,
}

/// What one order cost over one transport in one cell of a run: means over its blocks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rests {
    /// The transport.
    pub transport: String,
    /// The cell that it was measured in.
    pub cell: String,
    /// What an accepted order survived there.
    pub durability: String,
    /// Blocks that count.
    pub blocks: usize,
    /// Orders per second that the cell carried: the nearest there was to a high rate.
    pub orders_per_s: f64,
    /// CPU.
    pub cpu_us: CpuUs,
    /// Bytes on all legs, both ways, TCP payload.
    pub wire_bytes: Option<f64>,
    /// Bytes from the caller to the broker: what a broker keeps at least.
    pub to_broker_bytes: Option<f64>,
}

impl CpuUs {
    /// The roles that a transport has, with their CPU.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, Option<f64>)> {
        [("client", self.client), ("service", self.service)]
            .into_iter()
            .chain(self.broker.map(|us| ("broker", Some(us))))
    }
}

impl Rests {
    /// Whether a broker stands between its two ends.
    pub fn has_broker(&self) -> bool {
        matches!(self.transport.as_str(), "queue" | "stream")
    }

    /// Where it comes from, in words.
    pub fn says(&self) -> String {
        format!(
            "measured in `{}` at {:.0}/s, {} blocks",
            self.cell, self.orders_per_s, self.blocks
        )
    }
}

/// What a run measured of one order of this payload class, per transport: of the plain cells the one that carried the
/// most orders per second, since an order costs less the more of them there are.
///
/// # Errors
/// A sentence where the run has no such cell at all.
pub fn of_run(run: &Run, payload: &str) -> Result<Vec<Rests>, String> {
    let mut found = Vec::new();
    for transport in TRANSPORTS {
        let mut best: Option<Rests> = None;
        for experiment in experiments(run) {
            let mine = cells(run, experiment);
            let wanted = mine.iter().filter(|cell| {
                cell.cell.transport == transport
                    && cell.cell.payload == payload
                    && is_plain(cell.cell)
                    && cell.has_headline()
            });
            for one in wanted.filter_map(rests) {
                if best
                    .as_ref()
                    .is_none_or(|best| one.orders_per_s > best.orders_per_s)
                {
                    best = Some(one);
                }
            }
        }
        found.extend(best);
    }
    if found.is_empty() {
        return Err(format!(
            "the run has no plain cell that carried {payload}; name another class with --payload, or another run with --from"
        ));
    }
    Ok(found)
}

fn is_plain(cell: &Cell) -> bool {
    let format = if cell.transport == "rest" {
        "json"
    } else {
        "protobuf"
    };
    is_base(cell)
        && cell.is_timed()
        && cell.slow.is_none()
        && cell.format == format
        && cell.http.as_deref() != Some("h2")
        && cell
            .factors
            .keys()
            .all(|name| PLAIN.contains(&name.as_str()))
}

fn rests(cell: &CellTrials<'_>) -> Option<Rests> {
    let mean = |read: &dyn Fn(&Trial) -> Option<f64>| -> Option<f64> {
        let values: Option<Vec<f64>> = cell.kept().map(read).collect();
        Some(Estimate::of_ratios(&values?)?.point())
    };
    let cpu = |read: fn(&CpuPerOp) -> Option<f64>| mean(&|trial| read(&trial.cpu_us_per_op));
    let wire = |trial: &Trial| {
        let legs = || trial.bytes.wire.values();
        (legs().count() > 0).then(|| legs().map(|leg| leg.sent + leg.received).sum::<f64>())
    };
    let to_broker = |trial: &Trial| Some(trial.bytes.wire.get("client_broker")?.sent);
    Some(Rests {
        transport: cell.cell.transport.clone(),
        cell: cell.cell.id.clone(),
        durability: cell.cell.durability.clone(),
        blocks: cell.kept().count(),
        orders_per_s: mean(&|trial| Some(trial.throughput_per_s))?,
        cpu_us: CpuUs {
            client: cpu(|cpu| cpu.client),
            service: cpu(|cpu| cpu.service),
            broker: cpu(|cpu| cpu.broker),
        },
        wire_bytes: mean(&wire),
        to_broker_bytes: mean(&to_broker),
    })
}
