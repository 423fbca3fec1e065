//! spike, from the experiment of that name: ten times the rate for a while over workers of fixed capacity. Of queue and
//! stream, each without a limit: no publish fails, what the workers cannot do waits, and it drains with nothing lost.
//! What synchronous callers saw, and what limits turned away, is said beside it and decides nothing.

use super::combine::Judged;
use super::overload::{Course, Overload, is_bounded, turned_away, variant};
use super::part::{counted, not_measured, number};
use super::rules::{self, Interval, Rule};
use super::samples::{CellTrials, cells, is_base};
use super::{Combine, Judge};
use crate::results::{Part, Phase, Run, Table, Trial, Value, Verdict};
use crate::stats::estimate::LEVEL;
use crate::stats::{Estimate, Minimum, histogram, latency};

/// The phase.
pub const SPIKE: &str = "spike";
/// Transports on which a queue buffers.
const BUFFERED: [&str; 2] = ["queue", "stream"];
/// "Buffers": at least this share of what the workers cannot do waits when the spike ends. Half, so that a worker that
/// is a little faster or slower than planned decides nothing.
const BUFFERS: f64 = 0.5;
/// By which its parts are judged.
pub const RULES: &[Rule] = &[Rule::AllOf, Rule::Never, Rule::Effect(BUFFERS)];

/// What is judged here.
pub const JUDGES: &[Judge] = &[Judge {
    claim: "spike",
    parts: |run, _| parts(run),
    combine: Combine::AllOf,
    beside,
}];

/// Three parts for each transport that buffers.
pub fn parts(run: &Run) -> Vec<Judged> {
    let all = cells(run, "spike");
    let mut parts = Vec::new();
    for transport in BUFFERED {
        let cell = all.iter().find(|cell| {
            is_base(cell.cell) && cell.cell.transport == transport && !is_bounded(cell.cell)
        });
        let names = ["takes every order", "buffers", "drains and loses nothing"]
            .map(|what| format!("{transport} {what}"));
        let [takes, buffers, drains] = names;
        match cell {
            Some(cell) => parts.extend([
                never_fails(cell, takes),
                waits(cell, buffers),
                drained(cell, drains),
            ]),
            None => {
                let why = missing(run, transport);
                parts.extend([takes, buffers, drains].map(|name| not_measured(name, why.as_str())));
            }
        }
    }
    parts
}

fn missing(run: &Run, transport: &str) -> String {
    match run.skipped.iter().find(|s| s.transport == transport) {
        Some(skipped) => format!("{transport} was skipped: {}", skipped.reason),
        None => format!("`spike` was not run over {transport}"),
    }
}

/// Whether a publish of the spike, or of the time after it, was not confirmed.
fn never_fails(cell: &CellTrials<'_>, name: String) -> Judged {
    let phases = || cell.kept().flat_map(|trial| &trial.phases);
    let planned: u64 = phases().map(|phase| phase.planned).sum();
    let failed: u64 = phases()
        .map(|phase| phase.planned.saturating_sub(phase.acknowledged))
        .sum();
    let transport = &cell.cell.transport;
    counted(cell, name, failed, planned, |bound| match failed {
        0 => format!(
            "{transport}: each of {planned} publishes was confirmed (a share of ≤ {} at 95 % may fail)",
            number(bound)
        ),
        _ => format!("{transport}: {failed} of {planned} publishes were not confirmed"),
    })
}

/// Whether what was confirmed is worked on by the end of the window, and none of it lost.
fn drained(cell: &CellTrials<'_>, name: String) -> Judged {
    let transport = &cell.cell.transport;
    let Some(lost) = cell
        .kept()
        .map(|trial| trial.ledger.lost)
        .sum::<Option<u64>>()
    else {
        return not_measured(
            name,
            format!("{transport}: the service's ledger could not be read"),
        );
    };
    let confirmed: u64 = cell.kept().map(|trial| trial.ledger.acknowledged).sum();
    let workers = cell.cell.workers.map_or(0, u64::from);
    let times: Vec<Option<f64>> = cell
        .kept()
        .map(|trial| Course::of(trial, SPIKE)?.drained(workers))
        .collect();
    // A backlog that is there when the window ends did not drain in the time that was given to it.
    let waiting = times.iter().filter(|time| time.is_none()).count() as u64;
    let took: Vec<f64> = times.into_iter().flatten().collect();
    let took = Estimate::of_values(&took).map_or(String::new(), |took| {
        format!(
            " and its backlog was gone {} s after it",
            number(took.point())
        )
    });
    counted(cell, name, lost + waiting, confirmed, |_| {
        if lost > 0 {
            format!("{transport}: {lost} of {confirmed} confirmed orders were lost")
        } else if waiting > 0 {
            format!(
                "{transport}: in {waiting} blocks the backlog was not gone when the window ended"
            )
        } else {
            format!("{transport}: none of {confirmed} confirmed orders was lost{took}")
        }
    })
}

/// Of the orders that the workers cannot do in the spike, the share that waits when it ends.
fn waits(cell: &CellTrials<'_>, name: String) -> Judged {
    let transport = &cell.cell.transport;
    let share = |trial: &Trial| {
        let excess = Overload::of(trial, SPIKE)?.excess()?.point.0;
        let waiting = Course::of(trial, SPIKE)?.at_end()?;
        (excess > 0.0).then(|| waiting.max(0.0) / excess)
    };
    let shares: Option<Vec<f64>> = cell.kept().map(share).collect();
    let Some(estimate) = shares.and_then(|shares| Estimate::of_values(&shares)) else {
        return not_measured(
            name,
            format!("{transport}: no block tells what waited when the spike ended"),
        );
    };
    let point = number(estimate.point());
    let Some((low, high)) = estimate.interval(LEVEL) else {
        let reason = format!(
            "{transport}: one block gives no interval ({point} of what formulas expect waited)"
        );
        let mut judged = not_measured(name, reason);
        judged.part.verdict = Verdict::Inconclusive;
        judged.part.cells = vec![cell.cell.id.clone()];
        return judged;
    };
    let decision = rules::effect(BUFFERS, Interval::new(low, high));
    let p = match decision.verdict {
        Verdict::Holds => estimate.p_above(BUFFERS),
        Verdict::Refuted => estimate.p_below(BUFFERS),
        _ => Some(0.5),
    };
    Judged {
        part: Part {
            name,
            verdict: decision.verdict,
            beyond: None,
            low: Some(low),
            high: Some(high),
            unit: "of (λ − μ)·T".into(),
            cells: vec![cell.cell.id.clone()],
            reason: format!(
                "{transport}: when the spike ended {point} [{}, {}] of (λ − μ)·T waited over {} blocks",
                number(low),
                number(high),
                estimate.blocks()
            ),
        },
        p: p.map(|p| (2.0 * p).min(1.0)),
    }
}

/// What the callers of the other cells saw.
fn beside(run: &Run) -> String {
    let mut said: Vec<String> = Vec::new();
    for cell in cells(run, "spike").iter().filter(|c| is_base(c.cell)) {
        let away: u64 = cell.kept().map(turned_away).sum();
        let (planned, late) = cell
            .kept()
            .filter_map(spike_of)
            .fold((0, 0), |(planned, late), phase| {
                (planned + phase.planned, late + phase.timed_out)
            });
        let limit = variant(cell.cell);
        let transport = &cell.cell.transport;
        if is_bounded(cell.cell) {
            said.push(format!(
                "{transport} with {limit} turned {away} of {planned} away and let {late} time out"
            ));
        } else if !BUFFERED.contains(&transport.as_str()) {
            said.push(format!(
                "{transport} let {late} of {planned} callers time out"
            ));
        }
    }
    if said.is_empty() {
        return String::new();
    }
    format!(" Beside it, in the spike: {}.", said.join("; "))
}

fn spike_of(trial: &Trial) -> Option<&Phase> {
    trial.phases.iter().find(|phase| phase.name == SPIKE)
}

/// What became of the spike's orders, cell by cell: counts over all blocks that count, percentiles of all of their
/// samples.
pub fn table(cells: &[CellTrials<'_>]) -> Table {
    let mut table = Table::new(
        "spike",
        "what became of the orders planned in the spike",
        &[
            ("transport", ""),
            ("variant", ""),
            ("planned", ""),
            ("confirmed or answered", ""),
            ("timed out", ""),
            ("turned away", ""),
            ("failed otherwise", ""),
            ("accept p99, of all planned", "ms"),
            ("accept p99, of those that succeeded", "ms"),
            ("broker's memory, most over before", "MB"),
            ("broker wrote", "MB"),
        ],
    )
    .with_note(
        "Of all planned: who timed out, failed or was turned away ranks at the deadline or above it; a percentile that falls among \
         them is a lower bound. The other p99 flatters whoever fails fast. Turned away: 503 or ResourceExhausted by a service \
         whose queue was full, a negative confirm by a RabbitMQ queue that was; they are counted over the whole window. \
         Memory is resident, of all of the broker's processes; written is what they sent towards the disk in the window.",
    );
    for cell in cells {
        let phases: Vec<&Phase> = cell.kept().filter_map(spike_of).collect();
        if phases.is_empty() {
            continue;
        }
        let sum = |read: fn(&Phase) -> u64| phases.iter().map(|p| read(p)).sum::<u64>();
        let away: u64 = cell.kept().map(turned_away).sum();
        let broker = |read: fn(&Trial) -> Option<f64>| {
            let values: Option<Vec<f64>> = cell.kept().map(read).collect();
            let estimate = values.and_then(|values| Estimate::of_values(&values));
            match estimate {
                Some(found) => Value::interval(found.point(), found.interval(LEVEL)),
                None => Value::missing("no broker whose processes can be read"),
            }
        };
        let [of_all, of_successes] = p99s(&phases);
        table.push(vec![
            cell.cell.transport.as_str().into(),
            variant(cell.cell).into(),
            Value::number(sum(|p| p.planned) as f64),
            Value::number(sum(|p| p.acknowledged) as f64),
            Value::number(sum(|p| p.timed_out) as f64),
            Value::number(away as f64),
            Value::number(sum(|p| p.failed).saturating_sub(away) as f64),
            of_all,
            of_successes,
            broker(|trial| {
                let held = trial.broker?;
                Some(
                    (held.resident_most - held.resident_before.min(held.resident_most)) as f64
                        / 1e6,
                )
            }),
            broker(|trial| Some(trial.broker?.written as f64 / 1e6)),
        ]);
    }
    table
}

/// p99 over all that was planned, and over the successes alone, ms.
fn p99s(phases: &[&Phase]) -> [Value; 2] {
    let few = || Value::missing("too few samples");
    let parts = phases.iter().map(|phase| &phase.accept_ns);
    let Some(merged) = latency::merge(parts, Minimum::Trial) else {
        return [few(), few()];
    };
    let of_all = match merged.p99 {
        None => few(),
        Some(p99) => {
            let ms = p99 as f64 / 1e6;
            let bound = merged.at_least.contains(&crate::results::Percentile::P99);
            match bound {
                true => Value::interval(ms, Some((ms, f64::INFINITY))),
                false => Value::number(ms),
            }
        }
    };
    let samples = merged
        .histogram
        .as_deref()
        .and_then(|text| histogram::decode(text).ok())
        .filter(|samples| samples.len() >= Minimum::Trial.samples(crate::results::Percentile::P99));
    let of_successes = samples.map_or_else(few, |samples| {
        Value::number(samples.value_at_quantile(0.99) as f64 / 1e6)
    });
    [of_all, of_successes]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::fixture;
    use crate::results::{Footprint, Ledger, SeriesBin};

    /// 2,000/s for a second over 4 workers of 5 ms: 1,200 wait, and drain in two more.
    fn trial(transport: &str, block: u32, done_per_bin: u64) -> Trial {
        let mut trial = fixture::slow(transport, block, 1_000_000, 1_200_000, 0);
        trial.experiment = "spike".into();
        trial.cell.id = format!("{transport}-spike");
        trial.cell.slow = Some("5ms".into());
        trial.cell.workers = Some(4);
        let edges = [(0.0, 0.3, 60), (0.3, 1.3, 2_000), (1.3, 4.0, 540)];
        let names = ["before", SPIKE, "after"];
        for (phase, ((start_s, end_s, planned), name)) in
            trial.phases.iter_mut().zip(edges.into_iter().zip(names))
        {
            phase.name = name.into();
            (phase.start_s, phase.end_s, phase.planned) = (start_s, end_s, planned);
            phase.acknowledged = planned;
            phase.timed_out = 0;
        }
        let mut waiting = 0;
        trial.series = (0..40)
            .map(|bin| {
                let planned = if (3..13).contains(&bin) { 200 } else { 20 };
                let completed = u64::min(waiting + planned, done_per_bin);
                waiting = waiting + planned - completed;
                SeriesBin {
                    start_s: f64::from(bin) / 10.0,
                    width_s: 0.1,
                    planned,
                    completed: Some(completed),
                    ..SeriesBin::default()
                }
            })
            .collect();
        trial.ledger = Ledger {
            attempted: 2_600,
            acknowledged: 2_600,
            delivered: Some(2_600),
            lost: Some(0),
            ..Ledger::default()
        };
        trial
    }

    fn planted() -> Run {
        let mut run = fixture::planted();
        for block in 0..3 {
            for transport in ["rest", "queue", "stream"] {
                let mut trial = trial(transport, block, 79 + u64::from(block));
                if transport == "rest" {
                    trial.phases[1].timed_out = 500;
                    trial.phases[1].acknowledged = 1_500;
                } else {
                    trial.broker = Some(Footprint {
                        resident_before: 100_000_000,
                        resident_most: 130_000_000,
                        resident_after: 120_000_000,
                        written: 2_000_000,
                    });
                }
                run.trials.push(trial);
            }
            let mut limited = trial("queue", block, 80);
            limited.cell.id = "queue-spike-limit".into();
            limited
                .cell
                .factors
                .insert("queue_limit".into(), "400".into());
            limited.counters.insert("failed: nack".into(), 796);
            limited.phases[1].failed = 796;
            limited.phases[1].acknowledged = 1_204;
            run.trials.push(limited);
        }
        run
    }

    fn spoiled(wanted: &str, change: impl Fn(&mut Trial)) -> Verdict {
        let mut run = planted();
        let mut hit = 0;
        for trial in &mut run.trials {
            if trial.cell.id == wanted {
                change(trial);
                hit += 1;
            }
        }
        assert!(hit > 0, "nothing to spoil");
        verdict(&run).verdict
    }

    fn verdict(run: &Run) -> crate::results::VerdictRow {
        super::super::judge(run)
            .into_iter()
            .find(|row| row.claim == "spike")
            .unwrap()
    }

    #[test]
    fn a_queue_that_buffers_drains_and_refuses_nothing_holds_whatever_stands_beside_it() {
        let row = verdict(&planted());
        assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
        assert_eq!(row.parts.len(), 6);
        for words in [
            "rest let 1500 of 6000 callers time out",
            "queue with at most 400 in the queue turned 2388 of 6000 away",
            "Scope: Rust",
        ] {
            assert!(row.reason.contains(words), "{}", row.reason);
        }
    }

    #[test]
    fn each_part_refutes_alone() {
        let unconfirmed = |trial: &mut Trial| trial.phases[1].acknowledged -= 1;
        assert_eq!(spoiled("queue-spike", unconfirmed), Verdict::Refuted);
        let lost = |trial: &mut Trial| trial.ledger.lost = Some(1);
        assert_eq!(spoiled("stream-spike", lost), Verdict::Refuted);
        let still_there = |trial: &mut Trial| trial.series.truncate(20);
        assert_eq!(spoiled("queue-spike", still_there), Verdict::Refuted);
        // Everything was done at once: the spike met spare capacity and no queue.
        let absorbed = |trial: &mut Trial| {
            for bin in &mut trial.series {
                bin.completed = Some(bin.planned);
            }
        };
        assert_eq!(spoiled("queue-spike", absorbed), Verdict::Refuted);
    }

    #[test]
    fn a_transport_that_was_not_run_keeps_it_from_holding() {
        let mut run = planted();
        run.trials
            .retain(|trial| !trial.cell.id.starts_with("stream-spike"));
        let row = verdict(&run);
        assert_eq!(row.verdict, Verdict::Inconclusive);
        assert!(
            row.reason
                .contains("Not measured: stream takes every order")
        );
        assert_eq!(verdict(&Run::default()).verdict, Verdict::NotMeasured);
    }

    #[test]
    fn one_block_decides_nothing_about_the_buffer() {
        let mut run = planted();
        run.trials
            .retain(|trial| trial.experiment != "spike" || trial.block == 0);
        assert_eq!(verdict(&run).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn the_table_counts_every_order_of_the_spike_once() {
        let run = planted();
        let table = table(&cells(&run, "spike"));
        assert_eq!(table.rows.len(), 4);
        for row in &table.rows {
            let count = |at: usize| match row[at] {
                Value::Number(n) => n,
                ref other => panic!("{other:?}"),
            };
            assert_eq!(count(2), (3..7).map(count).sum::<f64>(), "{row:?}");
            let has_broker = matches!(&row[0], Value::Text(t) if t != "rest");
            let limited = matches!(&row[1], Value::Text(t) if !t.is_empty());
            assert_eq!(
                matches!(row[9], Value::Interval { .. }),
                has_broker && !limited,
                "{row:?}"
            );
        }
    }
}
