//! The run: manifest, trials and what was derived from them (sizes, ratios, tables, verdicts).

use super::table::Table;
use super::trial::Trial;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Everything one `bench-client run` leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The schema's name and version.
    pub schema: String,
    /// Where, when and with what.
    pub manifest: Manifest,
    /// Every attempt at every trial, in the order they ran.
    pub trials: Vec<Trial>,
    /// Encoded sizes, by count.
    #[serde(default)]
    pub sizes: Vec<SizeRow>,
    /// What encoding and decoding cost, measured inside this process.
    #[serde(default)]
    pub codecs: Vec<CodecRow>,
    /// Paired ratios with their intervals.
    #[serde(default)]
    pub ratios: Vec<Ratio>,
    /// What each experiment's analysis made of its trials.
    #[serde(default)]
    pub tables: Vec<Table>,
    /// One row per claim.
    #[serde(default)]
    pub verdicts: Vec<VerdictRow>,
    /// Transports that could not run.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
}

/// Where, when and with what a run was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Start, RFC 3339, UTC.
    pub time: String,
    /// The instrument's version.
    pub version: String,
    /// Commit it was built from.
    pub commit: Option<String>,
    /// Whether the work tree held changes.
    pub dirty: Option<bool>,
    /// Kernel, CPU model, cores, governor, memory, … by name; see [`Manifest::cores`] and [`Manifest::cpu`].
    pub machine: BTreeMap<String, String>,
    /// Broker by transport (`queue`, `stream`) → name and version in force, e.g. `RabbitMQ 3.10.8`.
    pub brokers: BTreeMap<String, String>,
    /// Library → version.
    pub libraries: BTreeMap<String, String>,
    /// Every setting in force, by name. Passwords never come here.
    pub settings: BTreeMap<String, String>,
    /// `quick` or `full`.
    pub suite: String,
    /// Blocks planned per cell.
    pub blocks: u32,
    /// The seed of plan, arrivals and corpora.
    pub seed: u64,
    /// Which process ran on which cores.
    pub placement: String,
    /// What lies between the two ends, e.g. `loopback`.
    pub network: String,
    /// The user said that nothing else ran.
    pub exclusive: bool,
    /// How each instance of each broker was warmed, in the order of the instances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warm_ups: Vec<WarmUp>,
}

/// The warm-up of one instance of a broker: load in windows of two and a half seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WarmUp {
    /// The transport whose broker it is.
    pub transport: String,
    /// The broker's CPU per order in each window, µs; empty where its processes cannot be seen.
    pub cpu_us_per_op: Vec<f64>,
    /// Whether it changed by less than 5 % between the last two windows.
    pub steady_cpu: Option<bool>,
    /// Coefficient of variation of the completions in the last window's five halves of a second.
    pub throughput_cov: Option<f64>,
    /// Whether both had settled before anything was measured.
    pub steady: bool,
    /// What the idle broker burns, ms of CPU per second.
    pub idle_ms_per_s: Option<f64>,
}

impl Manifest {
    /// Cores online, for sentences.
    pub fn cores(&self) -> Option<&str> {
        self.first(&["cores", "cpus_online", "parallelism"])
    }

    /// The processor, for sentences.
    pub fn cpu(&self) -> Option<&str> {
        self.first(&["cpu_model", "cpu"])
    }

    fn first(&self, names: &[&str]) -> Option<&str> {
        names
            .iter()
            .find_map(|name| self.machine.get(*name))
            .map(String::as_str)
    }
}

/// Encoded size of a payload class, by count over its whole corpus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SizeRow {
    /// The payload class.
    pub payload: String,
    /// `json`, `canonical-json` (the proto3 JSON mapping; no transport carries it) or `protobuf`.
    pub format: String,
    /// `gzip` or `zstd` where each body was compressed by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// Messages counted.
    pub messages: u64,
    /// Mean body, bytes.
    pub mean_bytes: f64,
    /// Smallest.
    pub min: u64,
    /// Largest.
    pub max: u64,
}

/// What a codec costs at one payload: no trial, but CPU time of one thread inside this process, a block an observation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CodecRow {
    /// The payload class.
    pub payload: String,
    /// `json` or `protobuf`.
    pub format: String,
    /// `encode` or `decode`.
    pub operation: String,
    /// `A2` where it is the same as the row without an arm once more: what differs between them is noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// Distinct messages that a pass goes over.
    pub messages: u64,
    /// Their mean body, bytes.
    pub mean_bytes: f64,
    /// Passes per block.
    pub passes: u64,
    /// CPU time per message in each block, ns; a decoded message is also dropped in it.
    pub ns_per_message: Vec<f64>,
}

/// A ratio of two cells, paired by block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ratio {
    /// Names it, e.g. `throughput O3: grpc ÷ rest`.
    pub name: String,
    /// Cell id above the line.
    pub numerator: String,
    /// Cell id below it.
    pub denominator: String,
    /// What is compared, e.g. `throughput_per_s`, `accept_p99`, `cpu_us_per_op`.
    pub metric: String,
    /// Geometric mean over blocks; null when no block has both.
    pub point: Option<f64>,
    /// Lower end of the 95 % interval (99 % for an A/A pair).
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// The interval's level.
    pub level: f64,
    /// Two-sided p of "the ratio is 1".
    pub p: Option<f64>,
    /// Blocks used.
    pub blocks: u32,
    /// The ratio of each block used, in run order.
    pub per_block: Vec<f64>,
    /// Blocks that were left out, and why.
    pub excluded: Vec<String>,
    /// Smallest change that this pair would find with 80 % power, as a factor (1.05 is 5 %).
    pub mde: Option<f64>,
    /// The interval without SUSPECT blocks, where there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_suspect: Option<[f64; 2]>,
    /// An A/A pair: whether it passed; null where it could not be tested (fewer than two blocks gave a value), and on every
    /// other ratio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aa_passed: Option<bool>,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The measurement confirms it.
    Holds,
    /// The measurement contradicts it.
    Refuted,
    /// Some primary cells hold and some are refuted: a named factor decides.
    Depends,
    /// Measured, and not decided.
    Inconclusive,
    /// Not measured in this run, with the reason.
    NotMeasured,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Holds => "holds",
            Verdict::Refuted => "refuted",
            Verdict::Depends => "depends",
            Verdict::Inconclusive => "inconclusive",
            Verdict::NotMeasured => "not measured",
        })
    }
}

/// The verdict on one claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictRow {
    /// The claim's stable id.
    pub claim: String,
    /// What became of it.
    pub verdict: Verdict,
    /// `exceeds` or `reversed`, where the measurement went beyond holding or refuting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<String>,
    /// Lower end of the span of its parts' intervals (where they are of different kinds, of the part that refuted it).
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
    /// Unit of the two: `×`, `ms`, …
    pub unit: String,
    /// Cells it rests on.
    pub cells: Vec<String>,
    /// The verdict in plain words, with its scope; for what is not measured, why.
    pub reason: String,
    /// What was judged apart, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// One part of a claim: a primary cell, or a named part of an all-of claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// Names it.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// `exceeds` or `reversed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<String>,
    /// Interval.
    pub low: Option<f64>,
    /// Interval.
    pub high: Option<f64>,
    /// Unit of the two.
    pub unit: String,
    /// Cells it rests on.
    pub cells: Vec<String>,
    /// Why, in a sentence.
    pub reason: String,
}

/// A transport that could not run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// The transport.
    pub transport: String,
    /// Why, and how to get it.
    pub reason: String,
}
