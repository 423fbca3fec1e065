//! What an endpoint that has nothing to do with the orders felt of a trial.

use super::{Latency, Phase};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An open-loop load on the catalogue of the service that the user calls, beside the orders: it shares the workers of
/// that service and calls nobody. Its requests are in no ledger; their CPU is in that of the trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// Requests per second, evenly spaced.
    pub rate_per_s: f64,
    /// Those of the window. Completion and backlog are an order's and null here.
    pub window: Phase,
    /// The same by phase, where the trial has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
    /// Release − planned, nanoseconds.
    pub lateness_ns: Latency,
    /// Requests that the service says it answered, also where the answer came too late; null where it could not be read.
    pub answered: Option<u64>,
}
