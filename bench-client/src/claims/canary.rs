//! depth-canary, from the experiment `slow`: when would an alarm on the backlog have fired, when one on latency, when one on
//! errors? Each alarm looks at its signal at the end of every bin of the series (100 ms), and fires above the largest
//! value of any bin before the fault: no alarm fires in any of those bins, so all have one false-alarm rate there. What
//! an alarm saw came somewhere in its bin: its time is known to the bin, and so is the ratio of two.

use super::behind::{EXPERIMENT, seen};
use super::combine::Judged;
use super::overload::{EDGE_S, is_primary, is_stopped, is_synchronous, variant};
use super::part::{self, Question, not_measured};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Sample, cells, figure, is_base};
use super::{Combine, Judge, nothing_beside};
use crate::results::{Cell, Phase, Run, SeriesBin, Table, Trial, Value};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;
use std::fmt;

const BEFORE: &str = "before";
const SLOW: &str = "slow";
const TRANSPORTS: [&str; 4] = ["rest", "grpc", "queue", "stream"];
/// Above a threshold by no more than this share is rounding.
const ROUNDING: f64 = 1e-9;

/// What is judged here.
pub const JUDGES: &[Judge] = &[Judge {
    claim: "depth-canary",
    parts: |run, rules| parts(run, rules[0]),
    combine: Combine::Cells("the transport, the fault and the other alarm"),
    beside: nothing_beside,
}];

/// How the service fails in the cells that decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fails {
    /// To 200 ms, over a bounded number of workers.
    Slowed,
    /// SIGSTOP. Only some suites have it.
    Stopped,
}

impl Fails {
    fn of(cell: &Cell) -> Option<Self> {
        if is_stopped(cell) {
            Some(Self::Stopped)
        } else {
            is_primary(cell).then_some(Self::Slowed)
        }
    }
}

impl fmt::Display for Fails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slowed => "slowed",
            Self::Stopped => "stopped",
        })
    }
}

/// What an alarm looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    /// Calls in flight, or what the broker confirmed and no consumer has done.
    Backlog,
    /// The longest latency among the operations that ended in the bin. It is at least their p99, and with the 20 that end
    /// in one here it is their p99.
    Accept,
    /// The longest time until the handler's end among the orders done in the bin, as a consumer behind a broker sees it.
    Completion,
    /// The share of errors among the operations that ended in the bin.
    Errors,
}

impl Signal {
    /// Its value at the end of each bin; none where nothing happened that it could be read from.
    fn values(self, trial: &Trial) -> Vec<Option<f64>> {
        let calls = is_synchronous(&trial.cell);
        let value = |bin: &SeriesBin| match self {
            Self::Backlog if calls => Some(bin.in_flight as f64),
            Self::Backlog => bin.backlog.map(|backlog| backlog as f64),
            Self::Accept => bin.longest_ns.map(|longest| longest as f64),
            Self::Errors => share(bin.errors, bin.accepted + bin.errors),
            Self::Completion => None,
        };
        match self {
            // Who waits for the work itself sees it in its own latency.
            Self::Completion if !calls => completions(&trial.series),
            _ => trial.series.iter().map(value).collect(),
        }
    }
}

fn share(of: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| of as f64 / all as f64)
}

fn end(bin: &SeriesBin) -> f64 {
    bin.start_s + bin.width_s
}

/// From counts alone, for the series holds no latency of completions: orders are done in the order in which they were
/// planned, which lie evenly in their bin. The first one done in a bin has then taken until the bin's end at most.
fn completions(series: &[SeriesBin]) -> Vec<Option<f64>> {
    let planned_in = |bin: &SeriesBin| {
        let (start, step) = (bin.start_s, bin.width_s / bin.planned.max(1) as f64);
        (0..bin.planned).map(move |order| start + step * order as f64)
    };
    let planned: Vec<f64> = series.iter().flat_map(planned_in).collect();
    let mut done = 0_usize;
    let longest = |bin: &SeriesBin| {
        let completed = bin.completed?;
        let first = planned.get(done).copied();
        done += completed as usize;
        let taken = end(bin) - first?;
        (completed > 0).then_some(taken * 1e9)
    };
    series.iter().map(longest).collect()
}

fn phase<'t>(trial: &'t Trial, name: &str) -> Option<&'t Phase> {
    trial.phases.iter().find(|phase| phase.name == name)
}

/// From the fault until an alarm on a signal, ns; at least as long as the slow phase where none fires in it. None where
/// there are no such phases, or the signal cannot be read.
fn alarm(trial: &Trial, signal: Signal) -> Option<Sample> {
    let (quiet, slow) = (phase(trial, BEFORE)?, phase(trial, SLOW)?);
    // What was injected tells when; a slowness that was planned begins with its phase.
    let fault_s = trial
        .faults
        .first()
        .map_or(slow.start_s, |fault| fault.actual_s);
    let values = signal.values(trial);
    let bins = || trial.series.iter().zip(&values);
    let is_quiet =
        |bin: &SeriesBin| bin.start_s >= quiet.start_s - EDGE_S && end(bin) <= quiet.end_s + EDGE_S;
    let threshold = bins()
        .filter(|(bin, _)| is_quiet(bin))
        .filter_map(|(_, value)| *value)
        .reduce(f64::max)?;
    let above = |value: f64| value > threshold + threshold.abs() * ROUNDING;
    let fired = bins()
        .filter(|(bin, _)| end(bin) > fault_s + EDGE_S && end(bin) <= slow.end_s + EDGE_S)
        .find(|(_, value)| value.is_some_and(above));
    let until = |instant: f64| ((instant - fault_s) * 1e9).round();
    Some(match fired {
        Some((bin, _)) => {
            // What it saw came somewhere in the bin, after its first instant.
            let (at, width) = (until(end(bin)), (bin.width_s * 1e9).round());
            Sample::within((at - width) * (1.0 + ROUNDING), at, at)
        }
        None => Sample {
            at_least: true,
            ..Sample::exact(until(slow.end_s))
        },
    })
}

/// Of the two latencies behind a broker that which alarms first, so that the claim is not helped: a caller there hardly
/// ever sees its service.
fn latency_alarm(trial: &Trial) -> Option<Sample> {
    let accept = alarm(trial, Signal::Accept)?;
    let completion = alarm(trial, Signal::Completion);
    let is_earlier =
        |found: &Sample| (found.value, found.at_least) < (accept.value, accept.at_least);
    Some(completion.filter(is_earlier).unwrap_or(accept))
}

/// Two parts for each transport and each way to fail: how many times as long as an alarm on the backlog one on latency
/// takes, and one on errors.
pub fn parts(run: &Run, effect: Rule) -> Vec<Judged> {
    let seen = seen(run, EXPERIMENT);
    let all = cells(&seen, EXPERIMENT);
    let mut parts = Vec::new();
    for transport in TRANSPORTS {
        for fails in [Fails::Slowed, Fails::Stopped] {
            let names = ["p99", "errors"].map(|other| format!("{transport} {fails}: {other}"));
            let found = all.iter().find(|cell| {
                let cell = cell.cell;
                is_base(cell) && cell.transport == transport && Fails::of(cell) == Some(fails)
            });
            match (found, fails) {
                (Some(cell), _) => parts.extend(compared(run, cell, fails, names, effect)),
                (None, Fails::Slowed) => {
                    let why = missing(run, transport);
                    parts.extend(names.map(|name| not_measured(name, why.as_str())));
                }
                // It decides where it was run.
                (None, Fails::Stopped) => {}
            }
        }
    }
    parts
}

fn compared(
    run: &Run,
    cell: &CellTrials<'_>,
    fails: Fails,
    [p99, errors]: [String; 2],
    rule: Rule,
) -> [Judged; 2] {
    let transport = &cell.cell.transport;
    let depth = depth(cell.cell);
    let judged = |name, of: &str, above: &dyn Fn(&Trial) -> Option<Sample>| {
        let says = |ratio: &str| {
            format!(
                "{transport}, service {fails}: an alarm on {of} took {ratio} the time of one on {depth}"
            )
        };
        let question = Question {
            name,
            rule,
            // Times to an alarm have no A/A pair of their own. Its p50 tells that arms are alike; its p99 scatters by what
            // a tail scatters, which an alarm does not show.
            metric: Metric::AcceptP50,
            above,
            below: &|trial| alarm(trial, Signal::Backlog),
            says: &says,
        };
        part::judge(run, &question, cell, cell)
    };
    [
        judged(p99, "p99", &latency_alarm),
        judged(errors, "errors", &|trial: &Trial| {
            alarm(trial, Signal::Errors)
        }),
    ]
}

/// What piles up, in words.
fn depth(cell: &Cell) -> &'static str {
    if is_synchronous(cell) {
        "calls in flight"
    } else {
        "the broker's backlog"
    }
}

fn missing(run: &Run, transport: &str) -> String {
    match run.skipped.iter().find(|s| s.transport == transport) {
        Some(skipped) => format!("{transport} was skipped: {}", skipped.reason),
        None => format!("`{EXPERIMENT}` was not run over {transport}"),
    }
}

/// When an alarm would first have fired, cell by cell, in the order in which they come.
pub fn table(cells: &[CellTrials<'_>]) -> Table {
    let columns = [
        ("transport", ""),
        ("variant", ""),
        ("backlog is", ""),
        ("on backlog", "ms"),
        ("on accept p99", "ms"),
        ("on completion p99", "ms"),
        ("on errors", "ms"),
        ("catalogue p50 meanwhile", "ms"),
    ];
    let title = "When an alarm would first have fired, from the fault";
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(
        "Geometric mean over blocks with its 95 % interval, each time known to its bin; open above where an alarm did not fire before the phase `slow` ended. Each \
         alarm looks at the end of every bin of 100 ms and fires above the largest value of any bin of the phase `before`, \
         so none fires there: one false-alarm rate for all. Accept p99 is the longest latency of those that ended in the bin, \
         as a caller's dashboard has it (20 end in one: that is their p99). Completion p99 is what a consumer's dashboard \
         would have, from counts: orders done as they were planned. Errors: their share of those that ended.",
    );
    for cell in cells {
        table.push(vec![
            cell.cell.transport.as_str().into(),
            variant(cell.cell).into(),
            depth(cell.cell).into(),
            fired(cell, Signal::Backlog),
            fired(cell, Signal::Accept),
            match is_synchronous(cell.cell) {
                true => Value::missing("the caller's own latency shows it"),
                false => fired(cell, Signal::Completion),
            },
            fired(cell, Signal::Errors),
            catalogue(cell),
        ]);
    }
    table
}

/// When a signal's alarm fired, over the blocks that count, ms.
fn fired(cell: &CellTrials<'_>, signal: Signal) -> Value {
    let alarms: Option<Vec<Sample>> = cell.kept().map(|trial| alarm(trial, signal)).collect();
    let ms = |alarm: Sample| Sample {
        value: alarm.value / 1e6,
        within: alarm.within.map(|(least, most)| (least / 1e6, most / 1e6)),
        ..alarm
    };
    let alarms: Vec<Sample> = alarms.into_iter().flatten().map(ms).collect();
    figure(&alarms).unwrap_or_else(|| Value::missing("the series of a block does not say"))
}

/// What the catalogue took in the slow phase where it was asked for beside the orders, ms.
fn catalogue(cell: &CellTrials<'_>) -> Value {
    let p50 = |trial: &Trial| {
        let probe = trial.probe.as_ref()?;
        let slow = probe.phases.iter().find(|phase| phase.name == SLOW)?;
        Some(slow.accept_ns.p50? as f64 / 1e6)
    };
    let values: Option<Vec<f64>> = cell.kept().map(p50).collect();
    match values.and_then(|values| Estimate::of_values(&values)) {
        Some(found) => Value::interval(found.point(), found.interval(LEVEL)),
        None => Value::missing("not asked for, or too few answers"),
    }
}

#[cfg(test)]
#[path = "canary_tests.rs"]
mod tests;
