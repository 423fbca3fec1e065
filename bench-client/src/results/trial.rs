//! One trial as it is stored: its cell, its validity and what was recorded. Latencies are nanoseconds, counted from
//! the *planned* instant unless the field says otherwise; "per op" names its divisor.

use super::{
    Bytes, Cell, CpuPerOp, Footprint, Hop, InstructionsPerOp, Latency, Ledger, Probe, Reached,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How far a trial can be trusted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Nothing speaks against it.
    #[default]
    Valid,
    /// Printed; ratios are computed with and without it.
    Suspect,
    /// Kept and counted, never used.
    Invalid,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Valid => "VALID",
            State::Suspect => "SUSPECT",
            State::Invalid => "INVALID",
        })
    }
}

/// A trial's state with the sentences behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Validity {
    /// The worst of all reasons.
    pub state: State,
    /// One sentence per condition that was met; empty when valid.
    pub reasons: Vec<String>,
    /// Something outside disturbed it (steal, foreign CPU, page faults, lost kernel records): it may be run again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
}

/// One phase of a trial; operations belong to the phase in which they were *planned*.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// Names the phase, e.g. `before`, `slow`, `after`.
    pub name: String,
    /// Start, seconds from the window's start.
    pub start_s: f64,
    /// End.
    pub end_s: f64,
    /// Operations planned in it.
    pub planned: u64,
    /// Of these: a reply or confirm came.
    pub acknowledged: u64,
    /// Of these: refused by the service.
    #[serde(default)]
    pub refused: u64,
    /// Of these: an error came back.
    #[serde(default)]
    pub failed: u64,
    /// Of these: the deadline passed.
    #[serde(default)]
    pub timed_out: u64,
    /// Of these: completed by the service, whenever; null where it could not be read.
    pub completed: Option<u64>,
    /// Accept latency.
    pub accept_ns: Latency,
    /// Completion latency; null where the service could not be read.
    pub completion_ns: Option<Latency>,
    /// Accepted but not completed when the phase ended; null where unknown.
    pub backlog_at_end: Option<i64>,
    /// Time from the phase's end until the backlog was gone; null where there was none or it never went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_s: Option<f64>,
}

/// One bin of the time series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeriesBin {
    /// Start, seconds from the window's start.
    pub start_s: f64,
    /// Width, seconds.
    pub width_s: f64,
    /// Operations planned in the bin.
    pub planned: u64,
    /// Sent in it.
    pub sent: u64,
    /// Accepted in it.
    pub accepted: u64,
    /// Completed in it, where the service can be polled.
    pub completed: Option<u64>,
    /// Refusals, failures and timeouts in it.
    pub errors: u64,
    /// In flight at its end.
    pub in_flight: u64,
    /// Accepted but not completed at its end.
    pub backlog: Option<i64>,
    /// Accept p50 of the operations planned in it, ns.
    pub p50_ns: Option<u64>,
    /// Accept p99 of the same (bins of ≥ 1,000 samples only), ns.
    pub p99_ns: Option<u64>,
    /// Largest accept latency of the same, ns.
    pub max_ns: Option<u64>,
    /// The longest that an operation which *ended* in it, whichever way, had taken from its planned instant, ns: what a
    /// dashboard shows at the bin's end. Absent in results of versions that did not keep it.
    #[serde(default)]
    pub longest_ns: Option<u64>,
}

/// A fault that was injected, seconds from the window's start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// What was to be done, e.g. `at 2s kill service`.
    pub what: String,
    /// When it was to be done.
    pub planned_s: f64,
    /// When it was done.
    pub actual_s: f64,
}

impl Fault {
    /// To whom it was done, if this was.
    fn of(&self, action: &str) -> Option<&str> {
        match self.what.split_whitespace().collect::<Vec<_>>()[..] {
            ["at", _, done, target, ..] if done == action => Some(target),
            _ => None,
        }
    }
}

/// Which calls saw an error.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Those planned before the fault and not ended when it came.
    #[default]
    InFlight,
    /// Those planned after it.
    After,
}

/// What the callers saw of a fault: one error of one kind of call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeenError {
    /// Its name; `timeout` where nothing came before the deadline.
    pub error: String,
    /// Which calls saw it.
    pub calls: When,
    /// How many.
    pub count: u64,
    /// From the fault to the first of them, seconds.
    pub first_s: f64,
    /// To the median one.
    pub median_s: f64,
    /// To the last one.
    pub last_s: f64,
    /// What the calls themselves waited for it from their planned instant, median, seconds.
    pub waited_median_s: f64,
    /// The longest of them.
    pub waited_most_s: f64,
}

/// One timed run of one cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// The experiment that asked for the cell first.
    pub experiment: String,
    /// Other experiments that read the same trial.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<String>,
    /// What was run.
    pub cell: Cell,
    /// Which block, from 0.
    pub block: u32,
    /// Which attempt at this block, from 0; one of a block counts, all are kept.
    #[serde(default)]
    pub attempt: u32,
    /// Another attempt counts, since what is outside disturbed it less.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
    /// Start of the measured window, seconds after the run's start.
    pub started_at_s: f64,
    /// Length of the measured window, seconds.
    pub window_s: f64,
    /// How far it can be trusted.
    pub validity: Validity,
    /// CPU that the hypervisor took during the window, share of a core; null where the kernel does not count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stolen_share: Option<f64>,
    /// CPU that processes which are no part of the run used during the window, share of a core; null where unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_share: Option<f64>,
    /// CPU time of one step of a fixed walk through 512 KiB on the client's and the service's cores, right before and right
    /// after the trial, mean, ns: a neighbour on the host's side of a core slows it, and shows nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_ns: Option<f64>,
    /// Finding: completions did not keep up with the offered rate, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overloaded: Option<String>,
    /// Completed operations per second in the window.
    pub throughput_per_s: f64,
    /// The generator was the limit: the service can do at least this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub throughput_is_lower_bound: bool,
    /// Until the caller may go on, from the planned instant.
    pub accept_ns: Latency,
    /// Until the handler's end, from the planned instant; null where the service could not be read.
    pub completion_ns: Option<Latency>,
    /// Until the caller may go on, from the actual send.
    pub service_ns: Latency,
    /// What the handler itself took, by the service's own clock; null where the service could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler_ns: Option<Latency>,
    /// Release − planned.
    pub lateness_ns: Latency,
    /// Wait for a free place in flight, apart from lateness.
    #[serde(default)]
    pub backpressure_ns: Option<Latency>,
    /// Bytes per operation.
    pub bytes: Bytes,
    /// CPU per operation.
    pub cpu_us_per_op: CpuPerOp,
    /// Context switches of client and service per operation.
    pub ctx_switches_per_op: Option<f64>,
    /// User-mode instructions per operation, divided as CPU is.
    #[serde(default)]
    pub instructions_per_op: InstructionsPerOp,
    /// The deliveries' balance.
    pub ledger: Ledger,
    /// Whatever else was counted (reconnects, returned, redelivered, malformed, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, u64>,
    /// Faults that were injected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// What the callers saw of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<SeenError>,
    /// The services behind the user's call and who calls whom, drawn in lines; absent with a single service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<String>,
    /// What each of them did, the one that the user calls first; empty with a single service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<Hop>,
    /// How many orders reached which of them; empty where a ledger could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reached: Vec<Reached>,
    /// What the catalogue felt meanwhile, where the cell asks for it beside the orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// The broker's memory and writes, where the trial has phases and its processes can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<Footprint>,
    /// Settings in force, read back where they can be.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub in_force: BTreeMap<String, String>,
    /// Phases, where the trial has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
    /// The time series.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<SeriesBin>,
}

impl Trial {
    /// Of several attempts at a block the one with the highest standing counts.
    pub fn standing(&self) -> impl Ord + use<> {
        (!self.replaced, self.attempt)
    }

    /// Whether `experiment` asked for this trial, first or also.
    pub fn belongs_to(&self, experiment: &str) -> bool {
        self.experiment == experiment || self.shared_with.iter().any(|e| e == experiment)
    }

    /// The service that joined while the trial ran, where a fault of it is no more than that: the first start of a service
    /// that was not killed before.
    pub fn joined<'f>(&self, fault: &'f Fault) -> Option<&'f str> {
        let started = fault.of("start")?;
        let killed = self.faults.iter().any(|f| f.of("kill") == Some(started));
        (!killed).then_some(started)
    }

    /// CPU of client, service and broker (gross) together, µs per operation; none if one that exists is unknown.
    pub fn cpu_us_per_op_total(&self) -> Option<f64> {
        let has_broker = matches!(self.cell.transport.as_str(), "queue" | "stream");
        let broker = if has_broker {
            self.cpu_us_per_op.broker?
        } else {
            // Where services call each other over one, it is part of the order's way all the same.
            self.cpu_us_per_op.broker.unwrap_or(0.0)
        };
        Some(self.cpu_us_per_op.client? + self.cpu_us_per_op.service? + broker)
    }
}
