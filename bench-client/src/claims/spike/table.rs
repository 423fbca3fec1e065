//! What became of the orders planned in the spike, with what it cost the broker.

use super::spike_of;
use crate::claims::overload::{turned_away, variant};
use crate::claims::samples::CellTrials;
use crate::latency::{self, Minimum};
use crate::results::{Phase, Table, Trial, Value};
use bench_stats::estimate::LEVEL;
use bench_stats::{Estimate, histogram};

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
