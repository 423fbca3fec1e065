//! What each service of a topology did in a trial, and how many orders reached which of them.

use super::{Latency, Ledger};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One service of a topology.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// Its name.
    pub service: String,
    /// It was killed on the way: what it measured until then is gone, and so is its ledger unless its journal tells it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub died: bool,
    /// Answers of its first life that its journal told the second one: they are in the ledger, what failed or was refused
    /// before the kill is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<u64>,
    /// The user's side against what this service was delivered. *Lost* are orders that the user was told are done and
    /// that never came here: a loss only where the order had to come here before the user was told; of a service that joined
    /// while the trial ran, of those planned since.
    pub ledger: Ledger,
    /// Of the orders planned in the window: completed here, whenever; null where it could not be read.
    pub completed: Option<u64>,
    /// Effects applied, and deliveries of an order whose effect was there already.
    #[serde(default)]
    pub effects: Effects,
    /// Orders not started, since their deadline had passed before a worker was free.
    #[serde(default)]
    pub expired: u64,
    /// From the user's planned instant to the end of the work here; null where it could not be read.
    pub completion_ns: Option<Latency>,
    /// What its handler took, the wait for the services that it calls left out; null where it could not be read.
    pub handler_ns: Option<Latency>,
    /// The same by phase, where the trial has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<HopPhase>,
    /// Completed here in each bin of the trial's series, and in as many more of that width as it went on for; empty for the
    /// service that the user calls, which the series tells of, and for one that was killed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completed_by_bin: Vec<u64>,
    /// What its callers say that they sent it, by caller.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub from: BTreeMap<String, Sent>,
    /// Its own calls, by callee.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calls: BTreeMap<String, HopCalls>,
}

/// Effects of orders at one service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Effects {
    /// Applied.
    pub applied: u64,
    /// Deliveries beyond an order's first.
    pub repeated: u64,
}

/// One phase at one service; orders belong to the phase in which the user planned them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HopPhase {
    /// Names the phase.
    pub name: String,
    /// Of its orders: completed here, whenever.
    pub completed: u64,
    /// From the user's planned instant to the end of the work here.
    pub completion_ns: Latency,
    /// What the handler took, the wait for other services left out.
    pub handler_ns: Latency,
    /// What the slowness asked of the handler for the same orders, mean, ns; null without slowness.
    pub planned_handler_ns: Option<f64>,
}

/// What one caller says that it sent to a service, against what arrived there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// Orders for which the caller needed it.
    pub calls: u64,
    /// Calls that the caller counts as gone well.
    pub succeeded: u64,
    /// Gone well by the caller's count, and never delivered; null where the callee could not be read.
    pub lost: Option<u64>,
    /// Orders delivered to the callee that the caller itself has not handled; null where one of the two could not be read.
    pub unknown_to_caller: Option<u64>,
}

/// The calls of one service to another. calls = succeeded + failed + timed out + shed + refused by the breaker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HopCalls {
    /// Orders that needed them.
    pub calls: u64,
    /// Requests that left, retries included.
    pub attempts: u64,
    /// Requests beyond the first of their call.
    pub retried: u64,
    /// Calls that ended well; published ones with their confirm.
    pub succeeded: u64,
    /// Calls that failed, by the name of the error.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, u64>,
    /// Calls without an answer in time.
    pub timed_out: u64,
    /// Calls that the full bulkhead turned away.
    pub shed: u64,
    /// Calls that the open breaker turned away.
    pub refused_by_breaker: u64,
    /// Seconds that the breaker was in each state; empty without one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub breaker_s: BTreeMap<String, f64>,
    /// From a call's begin to its end, retries and pauses included.
    pub latency_ns: Latency,
}

/// How many orders reached exactly these services of a topology, by the ledgers of all, joined by their Stamps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reached {
    /// The services, each after all that call it; empty for orders that reached none.
    pub services: Vec<String>,
    /// How many.
    pub orders: u64,
}
