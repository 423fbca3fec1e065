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
    /// Handler time over all orders worked on in `spans[0]` (planned), as in [`SpanAccount::handler`].
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
    /// Orders that failed: as the slowness plan asked for, for a next hop, or for the journal.
    pub failed: u64,
    /// Orders turned away before any work, because as many waited for a worker as may.
    #[serde(default)]
    pub shed: u64,
    /// Deliveries that the broker flagged as redelivered.
    pub redelivered: u64,
    /// Operations completed in each bin of the reset's width, by the clock.
    #[serde(default)]
    pub completed_bins: Vec<u32>,
    /// What became of the calls to each next hop, by its name.
    #[serde(default)]
    pub hops: BTreeMap<String, HopAccount>,
    /// What the orders did, each once or more often.
    #[serde(default)]
    pub effects: Effects,
    /// Times that the catalogue was handed out: no orders, but workers had them.
    #[serde(default)]
    pub catalog: u64,
    /// Orders that were not started, since their deadline had passed before a worker was free; in no ledger.
    #[serde(default)]
    pub expired: u64,
    /// Answers of an earlier process of the service in this run, as its journal tells; they are in the ledger. None where the
    /// service did not go on with a run, or keeps no journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<u64>,
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
    /// Handler time (worker taken → end, the wait for next hops left out), ns: HDR V2 compressed, base64.
    pub handler: String,
    /// What the slowness plan asked of the handler for the same orders, ns: HDR V2 compressed, base64; empty from a service
    /// that does not tell.
    #[serde(default)]
    pub planned: String,
}

/// What became of the calls to one next hop. An order makes one *call* of it, which ends once:
/// calls = succeeded + failed + timed_out + shed + refused_by_breaker. A call makes one *attempt* or more:
/// attempts = calls − shed − refused_by_breaker − failed for want of time (`deadline`, where none was made) + retried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HopAccount {
    /// Orders that needed this hop.
    pub calls: u64,
    /// Requests that left for it, retries included.
    pub attempts: u64,
    /// Attempts beyond the first of their call.
    pub retried: u64,
    /// Calls that ended well (a published one: with its confirm).
    pub succeeded: u64,
    /// Calls whose last attempt failed, by the transport's name for it; `refused` by its validation, `deadline` where no
    /// time was left to call it.
    pub failed: BTreeMap<String, u64>,
    /// Calls whose last attempt found no answer in time.
    pub timed_out: u64,
    /// Calls that the full bulkhead turned away.
    pub shed: u64,
    /// Calls that the open circuit breaker turned away before any attempt.
    pub refused_by_breaker: u64,
    /// How long the circuit breaker was in each state since the reset; all zero without one.
    pub breaker_ns: BreakerNs,
    /// From the call's begin to its end, retries and pauses included, over the calls that made an attempt, ns: HDR V2
    /// compressed, base64.
    pub latency: String,
}

/// Time in each state of a circuit breaker, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerNs {
    /// Everything passes.
    pub closed: u64,
    /// Nothing passes.
    pub open: u64,
    /// One attempt at a time passes, to see whether the hop is back.
    pub half_open: u64,
}

/// What orders did, beyond being delivered. An order without a Stamp can't be told from another: each is a first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// Orders worked on to a good end for the first time.
    pub applied: u64,
    /// Orders worked on to a good end once more; none where the service is idempotent.
    pub repeated: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_from_before_there_were_hops_is_still_read() {
        let old = serde_json::json!({
            "run": 1,
            "progress": Progress::default(),
            "ledger": { "producers": {} },
            "spans": [],
            "handler": "",
            "planned_handler": "",
            "completed_in_window": 0,
            "negative": 0,
            "unstamped": 0,
            "foreign": 0,
            "refused": {},
            "malformed": {},
            "failed": 0,
            "redelivered": 0,
        });
        let account: Account = serde_json::from_value(old).expect("older accounts are read");
        assert!(account.hops.is_empty());
        assert_eq!((account.catalog, account.expired), (0, 0));
        assert_eq!(account.effects, Effects::default());
    }
}
