//! What is counted or timed in a trial, and the shape of each figure. Latencies are nanoseconds; "per op" names its divisor.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The percentiles that a latency summary names, and its maximum.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Percentile {
    /// The median.
    P50,
    /// 90 %.
    P90,
    /// 99 %.
    P99,
    /// 99.9 %.
    P999,
    /// The largest.
    Max,
}

/// One latency distribution, nanoseconds. A percentile is `null` where the samples are too few for it; a percentile named
/// in `at_least` fell among the censored operations, and its value is then a lower bound ("≥"), not an estimate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Samples in the histogram.
    pub count: u64,
    /// Median.
    pub p50: Option<u64>,
    /// 90th percentile.
    pub p90: Option<u64>,
    /// 99th percentile.
    pub p99: Option<u64>,
    /// 99.9th percentile.
    pub p999: Option<u64>,
    /// Largest; a lower bound as soon as one operation is censored.
    pub max: Option<u64>,
    /// Mean over the samples in the histogram; censored operations are not in it.
    pub mean: Option<f64>,
    /// Samples below zero (a clock fault): counted here, never dropped in silence.
    #[serde(default)]
    pub negative: u64,
    /// Operations known only to lie above `bound`: they rank above every sample.
    #[serde(default)]
    pub censored: u64,
    /// The bound of the censored operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<u64>,
    /// Which of the figures above are lower bounds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_least: Vec<Percentile>,
    /// The whole histogram: HdrHistogram V2 compressed, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<String>,
}

/// One leg of the wire, bytes per operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WireLeg {
    /// Sent by the leg's first-named end.
    pub sent: f64,
    /// Received by the leg's first-named end.
    pub received: f64,
    /// TCP/IP headers of both directions, as computed for MSS 1448; not measured.
    pub headers_computed: Option<f64>,
}

/// Bytes per completed operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bytes {
    /// Encoded request body, mean.
    pub body_out: Option<f64>,
    /// Encoded reply body, mean; null where no body comes back.
    pub body_in: Option<f64>,
    /// What the kernel counted, by leg (`client_service`, `client_broker`, `broker_service`); empty where not measured.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wire: BTreeMap<String, WireLeg>,
    /// Why `wire` is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire_missing: Option<String>,
}

/// CPU time, µs per operation: the client's by accepts, service's and broker's by completions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CpuPerOp {
    /// The generator, the pacer's spin taken off.
    pub client: Option<f64>,
    /// The pacer's spin, which buys punctuality and carries no order.
    #[serde(default)]
    pub pacing: Option<f64>,
    /// The service process; null for a service that is not ours.
    pub service: Option<f64>,
    /// All processes of the broker, gross; null without one.
    pub broker: Option<f64>,
    /// The broker's, its idle consumption taken off.
    pub broker_net: Option<f64>,
}

/// Instructions per operation of each side; all null, with the reason, where the machine has no counters to reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstructionsPerOp {
    /// Of the client.
    pub client: Option<f64>,
    /// Of the service.
    pub service: Option<f64>,
    /// Of all processes of the broker.
    pub broker: Option<f64>,
    /// Why there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// Caller and service balanced, after Jepsen's total-queue. The delivery side is null where the service could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ledger {
    /// Operations started.
    pub attempted: u64,
    /// A reply or confirm came.
    pub acknowledged: u64,
    /// Distinct operations that reached the handler.
    pub delivered: Option<u64>,
    /// Acknowledged, never delivered.
    pub lost: Option<u64>,
    /// Deliveries beyond an operation's first.
    pub duplicated: Option<u64>,
    /// Delivered though never acknowledged.
    pub recovered: Option<u64>,
    /// Delivered, never attempted.
    pub unexpected: Option<u64>,
    /// First deliveries that came after a later one of the same key.
    pub reordered: Option<u64>,
    /// Refused by the service.
    pub refused: u64,
    /// An error came back.
    pub failed: u64,
    /// The deadline passed: outcome unknown.
    pub timed_out: u64,
    /// Still open when the drain's grace ended.
    pub open: u64,
}

impl From<&bench_proto::ledger::Balance> for Ledger {
    fn from(b: &bench_proto::ledger::Balance) -> Self {
        Self {
            attempted: b.attempted,
            acknowledged: b.acknowledged,
            delivered: b.delivered,
            lost: b.lost,
            duplicated: b.duplicated,
            recovered: b.recovered,
            unexpected: b.unexpected,
            reordered: b.reordered,
            refused: b.refused,
            failed: b.failed,
            timed_out: b.timed_out,
            open: b.open,
        }
    }
}
