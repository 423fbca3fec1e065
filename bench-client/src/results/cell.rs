//! One cell as it is stored: everything that distinguishes one measurement from another.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How operations arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// A fixed number in flight, each sent when its predecessor ended.
    #[default]
    Closed,
    /// Open loop, equal distances.
    Constant,
    /// Open loop, seeded Poisson.
    Poisson,
    /// Open loop, any other plan (steps, ramp, spike, trace).
    Planned,
}

/// What distinguishes one measured cell from another. Fields that a cell does not have are absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// Names the cell in this run; equal in every block, distinct per arm.
    pub id: String,
    /// `tcp`, `rest`, `grpc`, `queue` or `stream`.
    pub transport: String,
    /// `json` or `protobuf`.
    pub format: String,
    /// The payload class, e.g. `O3`.
    pub payload: String,
    /// The durability class: `none`, `memory`, `process`, `power`, `replica`.
    pub durability: String,
    /// How operations arrive.
    pub arrival: Arrival,
    /// Operations in flight (closed loop only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u32>,
    /// Offered rate, operations per second (open loop only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_s: Option<f64>,
    /// Bound of the operations in flight (open loop only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// `h1` or `h2` (rest only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// Connections or channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// The service's slowness, in the slowness language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<String>,
    /// Orders that the service works on at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
    /// Deadline of one operation, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Which of several arms that differ in nothing (`A1` and `A2` of an A/A pair) or in one factor named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// Every other factor, by name (prefetch, partitions, linger_ms, tls, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub factors: BTreeMap<String, String>,
}

impl Cell {
    /// Whether its timings mean something. An unstamped cell runs for its bytes: a moment, unobserved by the service.
    pub fn is_timed(&self) -> bool {
        self.factors
            .get("stamped")
            .is_none_or(|stamped| stamped != "no")
    }
}
