//! What instrument and service say to each other on the control port (HTTP/1.1 + JSON, bearer token).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A half-open span of planned instants, CLOCK_MONOTONIC nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// `measured` for the whole window, else the phase's name.
    pub name: String,
    /// First planned instant inside.
    pub start_ns: u64,
    /// First planned instant after it.
    pub end_ns: u64,
}

/// `POST /v1/reset`: forget the last run, expect this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// The run that stamped orders must name.
    pub run: u64,
    /// The instant that phases of the slowness language count from.
    pub start_ns: u64,
    /// Completion is recorded per span, by planned instant; `spans[0]` is the measured window.
    pub spans: Vec<Span>,
    /// Slowness from now on, if it changes.
    pub slowness: Option<String>,
    /// Width of the bins in which completions are counted from `start_ns` on; 0 for none.
    #[serde(default)]
    pub bin_ns: u64,
}

/// `GET /v1/progress`: cheap enough to poll.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Distinct stamped operations delivered in this run.
    pub delivered: u64,
    /// Orders handled to the end in this run, stamped or not.
    pub completed: u64,
    /// Orders taken but not finished now (waiting for a worker or worked on).
    pub in_service: u64,
    /// The service's CLOCK_MONOTONIC now.
    pub now_ns: u64,
    /// CPU time of the service process so far.
    pub cpu_ns: u64,
}

/// `GET /v1/account`: everything the service knows about the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// The run it is about.
    pub run: u64,
    /// As in [`Progress`], at this instant.
    pub progress: Progress,
    /// The ledger ([`crate::ServiceLedger::to_json`]).
    pub ledger: serde_json::Value,
    /// Per span of the reset, in its order.
    pub spans: Vec<SpanAccount>,
    /// Handler time over all orders worked on in `spans[0]` (planned), histogram as in [`SpanAccount::completion`].
    pub handler: String,
    /// What the slowness plan asked for the same orders: histogram of planned handler times.
    pub planned_handler: String,
    /// Orders completed (handler's end) inside `spans[0]` by the clock, whenever they were planned.
    pub completed_in_window: u64,
    /// Completions whose handler ended before the planned instant (clock fault), never dropped in silence.
    pub negative: u64,
    /// Orders served without a Stamp.
    pub unstamped: u64,
    /// Orders stamped with another run's id.
    pub foreign: u64,
    /// Orders refused by validation, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Requests rejected before they were an order (malformed, oversized, wrong type, wrong Stamp), by transport and reason.
    pub malformed: BTreeMap<String, u64>,
    /// Failures that the slowness plan asked for.
    pub failed: u64,
    /// Deliveries that the broker flagged as redelivered.
    pub redelivered: u64,
    /// Operations completed in each bin of the reset's width, by the clock.
    #[serde(default)]
    pub completed_bins: Vec<u32>,
    /// What was planted into the ledger, where a test asked for faults: `dropped`, `doubled`, `swapped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planted: Option<BTreeMap<String, u64>>,
}

/// Completion over the operations planned in one span.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SpanAccount {
    /// The span's name.
    pub name: String,
    /// Operations planned in it that were completed.
    pub completed: u64,
    /// Completion latency (handler's end − planned), ns: HDR V2 compressed, base64.
    pub completion: String,
    /// Handler time (worker taken → end), ns: HDR V2 compressed, base64.
    pub handler: String,
}
