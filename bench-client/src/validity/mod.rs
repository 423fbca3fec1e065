//! How far a trial can be trusted: one pure function over plain evidence, after the table in docs/METHOD.md, Validity.
//! It knows no process and no histogram; theory never enters, only the instrument's own soundness.

use crate::results::{Ledger, State, Validity};
use bench_stats::little;

/// Lateness p99 above this share of accept p99: the generator colours the tail.
pub const LATENESS_SUSPECT: f64 = 0.10;
/// … and above this share it *is* the tail.
pub const LATENESS_INVALID: f64 = 0.50;
/// Share of a core above which a generator thread may be the limit.
pub const GENERATOR_BUSY: f64 = 0.85;
/// Growth of the open operations, as a share of planned, above which a cell is overloaded …
pub const OVERLOAD_SHARE: f64 = 0.01;
/// … but at least this many standard deviations of a Poisson count.
pub const OVERLOAD_SIGMAS: f64 = 3.0;
/// Little's law off by more than this is suspect.
pub const LITTLE_SUSPECT: f64 = 0.05;
/// Little's law off by more than this is invalid.
pub const LITTLE_INVALID: f64 = 0.10;
/// Fewer operations than this say nothing about Little's law.
pub const LITTLE_OPERATIONS: u64 = 2_000;
/// Steal or foreign CPU above this share of a core disturbs.
pub const FOREIGN_CPU: f64 = 0.05;
/// The planned median is the range between these quantiles: where half of the orders are slow the plan jumps at its
/// median, and one order more or less decides on which side a single value lies.
pub const HANDLER_MEDIAN: [f64; 2] = [0.49, 0.51];
/// The handler's median may miss its plan by this share …
pub const HANDLER_P50_SHARE: f64 = 0.05;
/// … or by this, ns: well above what a precise sleep misses by (p99 up to 138 µs: docs/METHOD.md, Coordinated omission), well
/// below a coarse timer's 1 ms.
pub const HANDLER_P50_NS: f64 = 200_000.0;
/// The handler's mean may miss its plan by this share (preemption moves means further than medians) …
pub const HANDLER_MEAN_SHARE: f64 = 0.10;
/// … or by this, ns: half of a coarse timer's step.
pub const HANDLER_MEAN_NS: f64 = 500_000.0;

/// What the handler was asked to take and what it took, ns, the journal's own time not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Handler {
    /// Median asked for: the quantiles [`HANDLER_MEDIAN`].
    pub planned_p50_ns: [f64; 2],
    /// Median taken.
    pub actual_p50_ns: f64,
    /// Mean asked for.
    pub planned_mean_ns: f64,
    /// Mean taken.
    pub actual_mean_ns: f64,
}

/// What a closed loop must satisfy: L = λ·W over the measured window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Little {
    /// Operations in flight.
    pub in_flight: f64,
    /// Operations accepted per second.
    pub accepted_per_s: f64,
    /// Mean accept latency plus think time, seconds.
    pub mean_accept_s: f64,
    /// Operations it is computed from.
    pub operations: u64,
}

/// Everything that decides a trial's validity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Open loop (a rate) or closed (a number in flight).
    pub open_loop: bool,
    /// The balance after the drain.
    pub ledger: Ledger,
    /// A fault was planted on purpose: losses are then findings.
    pub fault_injected: bool,
    /// Latency samples below zero, client and service.
    pub negative: u64,
    /// Handler time against its plan, where the service could be read and worked on enough orders.
    pub handler: Option<Handler>,
    /// The same of each phase, by its name.
    pub handler_of_phases: Vec<(String, Handler)>,
    /// The durability class that was asked for.
    pub durability_declared: String,
    /// The class found in force, where it could be read back.
    pub durability_read_back: Option<String>,
    /// Class `power` only: flush requests that the disk completed in the window, where the kernel counts them.
    pub flushes: Option<u64>,
    /// Lateness p99, ns (open loop).
    pub lateness_p99_ns: Option<u64>,
    /// Accept p99, ns.
    pub accept_p99_ns: Option<u64>,
    /// The busiest generator thread's share of a core.
    pub generator_busy: Option<f64>,
    /// Operations planned (closed loop: started) in the window.
    pub planned: u64,
    /// Started or due but not completed at the window's start, and
    pub open_at_start: u64,
    /// the same at its end.
    pub open_at_end: u64,
    /// Closed loop only.
    pub little: Option<Little>,
    /// CPU stolen by the hypervisor, share of a core.
    pub steal: Option<f64>,
    /// CPU used by processes that are no part of the run, share of a core.
    pub foreign_cpu: Option<f64>,
    /// Major page faults of the measured processes in the window.
    pub major_faults: u64,
    /// The kernel dropped socket records (ENOBUFS): bytes are incomplete.
    pub wire_records_lost: bool,
    /// Nothing was pinned though the run is meant to be published.
    pub unpinned: bool,
}

/// The judgement on one trial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// State and reasons, as stored with the trial.
    pub validity: Validity,
    /// Finding: completions did not keep up.
    pub overloaded: Option<String>,
    /// Label: the generator was the limit, the throughput is a lower bound.
    pub generator_bound: bool,
}

/// Judges a trial. Every condition that is met leaves its sentence; the worst decides.
pub fn judge(evidence: &Evidence) -> Judgement {
    let mut found = Found::default();
    accounting(evidence, &mut found);
    conditions(evidence, &mut found);
    generator(evidence, &mut found);
    surroundings(evidence, &mut found);
    // A disturbance may show as lateness or a late handler too: one cause from outside is enough to try again.
    let external = found.external > 0;
    Judgement {
        validity: Validity {
            state: found.state,
            reasons: found.reasons,
            external,
        },
        overloaded: overload(evidence),
        generator_bound: !evidence.open_loop
            && evidence
                .generator_busy
                .is_some_and(|busy| busy > GENERATOR_BUSY),
    }
}

#[derive(Default)]
struct Found {
    state: State,
    reasons: Vec<String>,
    external: usize,
}

impl Found {
    fn add(&mut self, state: State, reason: String) {
        self.state = self.state.max(state);
        self.reasons.push(reason);
    }

    fn external(&mut self, reason: String) {
        self.add(State::Suspect, reason);
        self.external += 1;
    }
}

fn accounting(e: &Evidence, found: &mut Found) {
    let l = &e.ledger;
    let told = l.acknowledged + l.refused + l.failed + l.timed_out + l.open;
    if told != l.attempted {
        found.add(
            State::Invalid,
            format!(
                "the accounts do not balance: {} attempted, but {told} acknowledged, refused, failed, timed out or open",
                l.attempted
            ),
        );
    }
    if let Some(unexpected @ 1..) = l.unexpected {
        found.add(
            State::Invalid,
            format!("{unexpected} operations were delivered that nobody attempted"),
        );
    }
    if let Some(lost @ 1..) = l.lost
        && !e.fault_injected
    {
        found.add(
            State::Invalid,
            format!(
                "{lost} of {} acknowledged operations were lost though no fault was injected",
                l.acknowledged
            ),
        );
    }
    if e.negative > 0 {
        found.add(
            State::Invalid,
            format!(
                "{} latency samples are negative: the clocks do not agree",
                e.negative
            ),
        );
    }
}

/// Where a handler missed its plan, a sentence per figure.
pub fn off_plan(h: &Handler) -> Vec<String> {
    let [low, high] = h.planned_p50_ns;
    let nearest = h.actual_p50_ns.clamp(low, high);
    let rows = [
        (
            "median",
            h.actual_p50_ns,
            nearest,
            (HANDLER_P50_SHARE, HANDLER_P50_NS),
        ),
        (
            "mean",
            h.actual_mean_ns,
            h.planned_mean_ns,
            (HANDLER_MEAN_SHARE, HANDLER_MEAN_NS),
        ),
    ];
    rows.into_iter()
        .filter(|(_, actual, planned, (share, ns))| {
            (actual - planned).abs() > (planned * share).max(*ns)
        })
        .map(|(what, actual, planned, _)| {
            format!(
                "the handler's {what} was {:.0} µs where {:.0} µs were planned",
                actual / 1_000.0,
                planned / 1_000.0
            )
        })
        .collect()
}

fn conditions(e: &Evidence, found: &mut Found) {
    if let Some(h) = &e.handler {
        for sentence in off_plan(h) {
            found.add(State::Invalid, sentence);
        }
    }
    for (phase, h) in &e.handler_of_phases {
        for sentence in off_plan(h) {
            found.add(State::Invalid, format!("in '{phase}' {sentence}"));
        }
    }
    if let Some(read_back) = &e.durability_read_back
        && *read_back != e.durability_declared
    {
        found.add(
            State::Invalid,
            format!(
                "durability `{}` was declared, and `{read_back}` is in force",
                e.durability_declared
            ),
        );
    }
    if e.flushes == Some(0) && e.ledger.acknowledged > 0 {
        found.add(
            State::Invalid,
            "durability `power` was declared, and the disk flushed nothing while orders were acknowledged".into(),
        );
    }
}

/// Whether operations of an open loop left late against what they took (p99 both, ns): how bad that is, and a sentence.
pub fn late(lateness_p99_ns: Option<u64>, accept_p99_ns: Option<u64>) -> Option<(State, String)> {
    let (lateness, accept) = (lateness_p99_ns? as f64, accept_p99_ns? as f64);
    // Not a number where both are none.
    let share = lateness / accept;
    let (state, limit) = graded(share, LATENESS_SUSPECT, LATENESS_INVALID)?;
    (accept > 0.0).then(|| {
        let reason = format!(
            "operations left late: lateness p99 is {:.0} µs, {:.0} % of accept p99 (limit {:.0} %)",
            lateness / 1_000.0,
            share * 100.0,
            limit * 100.0
        );
        (state, reason)
    })
}

fn generator(e: &Evidence, found: &mut Found) {
    if let Some((state, reason)) = late(e.lateness_p99_ns, e.accept_p99_ns) {
        found.add(state, reason);
    }
    if let Some(busy) = e.generator_busy
        && e.open_loop
        && busy > GENERATOR_BUSY
    {
        found.add(
            State::Suspect,
            format!(
                "a generator thread used {:.0} % of a core (limit {:.0} %): the rate may be its limit",
                busy * 100.0,
                GENERATOR_BUSY * 100.0
            ),
        );
    }
    if let Some(l) = e.little
        && !e.open_loop
        && l.operations >= LITTLE_OPERATIONS
        && let Some(off) = little::deviation(l.in_flight, l.accepted_per_s, l.mean_accept_s)
        && let Some((state, limit)) = graded(off, LITTLE_SUSPECT, LITTLE_INVALID)
    {
        found.add(
            state,
            format!(
                "Little's law is off by {:.1} % (limit {:.0} %): {:.0}/s × {:.1} µs against {:.0} in flight",
                off * 100.0,
                limit * 100.0,
                l.accepted_per_s,
                l.mean_accept_s * 1e6,
                l.in_flight
            ),
        );
    }
    if e.unpinned {
        found.add(
            State::Suspect,
            "nothing was pinned to cores: placement moves latency 4–6×".into(),
        );
    }
}

fn surroundings(e: &Evidence, found: &mut Found) {
    for (share, what) in [
        (e.steal, "the hypervisor stole"),
        (e.foreign_cpu, "other processes used"),
    ] {
        if let Some(share) = share
            && share > FOREIGN_CPU
        {
            found.external(format!(
                "{what} {:.0} % of a core during the window (limit {:.0} %)",
                share * 100.0,
                FOREIGN_CPU * 100.0
            ));
        }
    }
    if e.major_faults > 0 {
        found.external(format!(
            "the measured processes waited for the disk in {} major page faults",
            e.major_faults
        ));
    }
    if e.wire_records_lost {
        found.external(
            "the kernel dropped socket records (ENOBUFS): wire bytes are incomplete".into(),
        );
    }
}

fn overload(e: &Evidence) -> Option<String> {
    let planned = e.planned as f64;
    let growth = e.open_at_end as f64 - e.open_at_start as f64;
    let limit = (planned * OVERLOAD_SHARE).max(OVERLOAD_SIGMAS * planned.sqrt());
    (growth > limit).then(|| {
        let what = if e.open_loop { "overloaded" } else { "not sustained" };
        format!("{what}: {growth:.0} more operations open at the window's end than at its start, of {planned:.0}")
    })
}

/// Where a value is above a limit: what it makes of a trial, and that limit.
fn graded(value: f64, suspect: f64, invalid: f64) -> Option<(State, f64)> {
    if value > invalid {
        Some((State::Invalid, invalid))
    } else if value > suspect {
        Some((State::Suspect, suspect))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
