//! What a calibration leaves: `calibrate.json`, versioned, plain data. Times are nanoseconds unless the name says
//! otherwise. It knows no clock and decides nothing.

use crate::results::{Latency, Manifest, Skipped};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The schema that this build writes.
pub const SCHEMA: &str = "hopbench-calibration/1";

/// One calibration of the instrument on one machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// The schema's name and version.
    pub schema: String,
    /// Where, when and with what.
    pub manifest: Manifest,
    /// One line per bound: met, missed or not measured.
    pub checks: Vec<Check>,
    /// The clock.
    pub clock: Option<ClockCost>,
    /// What one operation costs the engine itself.
    pub recording: Option<Recording>,
    /// How late operations are released, by rate.
    pub lateness: Vec<Lateness>,
    /// What the spin before each release costs, by rate.
    pub spin: Vec<Spin>,
    /// The generator's CPU per operation, by callee.
    pub generator_cpu: Vec<GeneratorCpu>,
    /// What brokers burn when nobody asks them for anything.
    pub idle_brokers: Vec<IdleBroker>,
    /// Broker processes that were stopped, since idle ones disturb, while everything below and the lateness was measured.
    #[serde(default)]
    pub brokers_paused: u32,
    /// The disk under the output folder.
    pub disk: Option<Disk>,
    /// Pairs of arms that differ in nothing.
    pub a_a: Vec<PairedMetric>,
    /// Handler times that were planted and measured back.
    pub planted_latency: Vec<PlantedLatency>,
    /// A planted 5 % and a planted nothing.
    pub planted_effect: Option<PlantedEffect>,
    /// The service stopped in mid-run.
    pub stopped_service: Vec<StoppedService>,
    /// All trials behind the above.
    pub trials: Trials,
    /// Transports that could not be reached.
    pub skipped: Vec<Skipped>,
}

/// How a figure stands to its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Within it.
    Met,
    /// Beyond it.
    Missed,
    /// There was no figure to hold against it.
    NotMeasured,
}

/// One bound and the figure that was held against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// The section that holds the numbers: `lateness`, `a_a`, …
    pub section: String,
    /// What was judged.
    pub what: String,
    /// What was found.
    pub figure: String,
    /// What was asked.
    pub bound: String,
    /// The verdict.
    pub outcome: Outcome,
    /// For a miss: what it means for results of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
}

/// The clock's own properties.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockCost {
    /// Resolution that the kernel declares.
    pub resolution_ns: u64,
    /// Smallest step seen.
    pub smallest_step_ns: u64,
    /// Median cost of a reading.
    pub read_ns: f64,
}

/// The engine against a callee that returns at once, closed loop: release, ledger, histograms, time series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recording {
    /// Operations.
    pub operations: u64,
    /// CPU time per operation.
    pub cpu_ns_per_op: f64,
}

/// Release − planned at one rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lateness {
    /// `null` (in process, returns at once) or a transport.
    pub callee: String,
    /// Operations per second.
    pub rate_per_s: f64,
    /// p99 of each run.
    pub p99_ns: Vec<u64>,
    /// Median of the above: the judged figure.
    pub p99_median_ns: Option<u64>,
    /// All runs merged; printed, not judged.
    pub merged: Latency,
    /// The 99.9th percentile of all runs merged, however few samples it rests on; printed, not judged.
    pub merged_p999_ns: Option<u64>,
    /// Share of a core that the generator thread used, median of the runs.
    pub core_share: Option<f64>,
}

/// The same rate with and without the spin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spin {
    /// Operations per second.
    pub rate_per_s: f64,
    /// Lateness p99 with it, median of runs.
    pub with_p99_ns: Option<u64>,
    /// Lateness p99 without it, one run.
    pub without_p99_ns: Option<u64>,
    /// Share of a core with it.
    pub with_core_share: f64,
    /// Share of a core without it.
    pub without_core_share: f64,
}

/// What one operation costs the generating side at saturation, 32 in flight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorCpu {
    /// `null` or a transport.
    pub callee: String,
    /// CPU per operation, µs; null where nothing was accepted.
    pub cpu_us_per_op: Option<f64>,
    /// Operations per second meanwhile.
    pub throughput_per_s: f64,
}

/// An idle broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdleBroker {
    /// The transport that it serves.
    pub transport: String,
    /// CPU of all its processes, ms per second; null where they cannot be seen.
    pub cpu_ms_per_s: Option<f64>,
}

/// The disk under the output folder.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Disk {
    /// fdatasyncs timed.
    pub count: u64,
    /// Median of one after a write of 4 KiB.
    pub fdatasync_p50_ns: u64,
    /// The slowest.
    pub fdatasync_max_ns: u64,
    /// Flushes that the disks completed meanwhile, everybody's; null where the kernel does not say.
    pub flushes: Option<u64>,
    /// Whether these can have been flushes at all.
    pub believable: bool,
}

/// A ratio over pairs of trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairedMetric {
    /// `throughput`, `p50` or `cpu_per_op`.
    pub metric: String,
    /// The ratio of each pair.
    pub ratios: Vec<f64>,
    /// Their geometric mean.
    pub ratio: Option<f64>,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// The interval's level.
    pub level: f64,
    /// Smallest factor that as many pairs would find.
    pub minimum_detectable: Option<f64>,
}

/// A handler time that was planted, and what came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlantedLatency {
    /// Asked of the handler.
    pub planted_ns: u64,
    /// Operations per second.
    pub rate_per_s: f64,
    /// At the median; of several blocks, the one whose error is the middle one.
    pub p50: Option<Returned>,
    /// At the 99th percentile, likewise.
    pub p99: Option<Returned>,
}

/// One percentile of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Returned {
    /// Accept latency.
    pub accept_ns: u64,
    /// Accept latency at the same rate with nothing planted.
    pub floor_ns: u64,
    /// What the handler took, by the service's own histogram.
    pub truth_ns: u64,
    /// The percentile of the sum of the two, taken as independent (it is not the sum of the percentiles).
    pub expected_ns: u64,
    /// accept − expected.
    pub error_ns: i64,
    /// How large the error may be, either way.
    pub allowed_ns: u64,
}

/// 5 % of a 1 ms handler, planted by spinning; and nothing, planted beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlantedEffect {
    /// The rounds, each with its own blocks and intervals.
    pub rounds: Vec<EffectRound>,
    /// Rounds in which the effect was found on both metrics.
    pub found: u32,
    /// Rounds in which nothing was found on either metric where nothing was planted.
    pub nothing: u32,
}

/// One round of interleaved blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EffectRound {
    /// Planted ÷ plain: `p50` and `cpu_per_op`.
    pub planted: Vec<PairedMetric>,
    /// Plain ÷ plain: the same.
    pub nothing: Vec<PairedMetric>,
}

/// The ^Z test: the service stopped by a signal under an open loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoppedService {
    /// The bound of operations in flight.
    pub max_in_flight: u32,
    /// For how long it was stopped.
    pub stopped_ns: u64,
    /// Operations planned.
    pub attempted: u64,
    /// Acknowledged.
    pub acknowledged: u64,
    /// Delivered.
    pub delivered: u64,
    /// Whether every operation ended well, once.
    pub balanced: bool,
    /// From the planned instant.
    pub accept_ns: Latency,
    /// From the actual send: what a tool with coordinated omission would print.
    pub service_ns: Latency,
    /// Release − planned.
    pub lateness_ns: Latency,
}

/// All trials of the calibration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trials {
    /// Run.
    pub run: u32,
    /// With every operation acknowledged and delivered exactly once.
    pub balanced: u32,
    /// Disturbed from outside (foreign CPU, steal, page faults).
    pub disturbed: u32,
    /// Why trials were SUSPECT or INVALID, each with its cell.
    pub doubts: Vec<String>,
}
