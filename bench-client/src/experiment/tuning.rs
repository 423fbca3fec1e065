//! Which setting makes which reputation? One setting of a broker's client at a time, and the libraries' own defaults,
//! against the matched cell.

use super::cells::{IN_FLIGHT, SMALL, closed};
use super::{Experiment, Group, Suite};
use crate::cell::Cell;
use crate::claims::pairs;
use crate::claims::samples::{self, CellTrials, Metric, Paired, Sample, is_base};
use crate::load::Stop;
use crate::results::{self, Run, Table, Trial, Value};
use bench_proto::Durability;
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "tuning",
    question: "Which setting of queue and stream makes which reputation, and what do the libraries' defaults cost?",
    claims: &[],
    groups,
    // Its effects are factors, not percents: three blocks show them.
    blocks: |suite| match suite {
        Suite::Quick => 2,
        Suite::Full | Suite::Faults => 3,
        Suite::Wide => 10,
    },
    analysis,
};

/// Kafka's linger, ms; 5 is librdkafka's default.
const LINGERS: [u64; 4] = [0, 1, 5, 50];
/// RabbitMQ's prefetch. AMQP's default is none at all: as many as a consumer takes.
const PREFETCHES: [u16; 4] = [1, 10, 100, 1_000];
const NO_PREFETCH: u16 = u16::MAX;
/// Confirms awaited at once; a closed loop has as many publishes open as callers.
const WINDOWS: [usize; 3] = [1, IN_FLIGHT, MANY];
const MANY: usize = 1_024;
/// A topic made without saying how many has one.
const DEFAULT_PARTITIONS: i32 = 1;

fn groups(suite: Suite) -> Vec<Group> {
    let cell = |transport, callers| closed(suite, transport, SMALL, callers);
    let stream = |callers| cell(Transport::Stream, callers);
    let queue = |callers| cell(Transport::Queue, callers);
    let lingers = [1, IN_FLIGHT].map(|callers| -> Group {
        let lingering = |ms| Cell {
            linger: Duration::from_millis(ms),
            ..stream(callers)
        };
        LINGERS.map(lingering).into()
    });
    let windows = [Transport::Queue, Transport::Stream].map(|transport| -> Group {
        let of = |callers| match callers {
            // So many wait a tenth of a second each: a window of half a second would hold little but their beginning.
            MANY if suite != Suite::Quick => Cell {
                warmup: Duration::from_secs(1),
                stop: Stop::after(Duration::from_secs(3)),
                ..cell(transport, callers)
            },
            _ => cell(transport, callers),
        };
        WINDOWS.map(of).into()
    });
    let prefetches: Group = PREFETCHES
        .into_iter()
        .chain([NO_PREFETCH])
        .map(|prefetch| Cell {
            prefetch,
            ..queue(IN_FLIGHT)
        })
        .collect();
    let partitions: Group = vec![
        stream(IN_FLIGHT),
        Cell {
            partitions: 1,
            ..stream(IN_FLIGHT)
        },
    ];
    let kinds: Group = vec![
        queue(IN_FLIGHT),
        Cell {
            durability: Durability::Power,
            ..queue(IN_FLIGHT)
        },
    ];
    let defaults: Group = [1, IN_FLIGHT]
        .map(|callers| Cell {
            linger: Duration::from_millis(5),
            partitions: DEFAULT_PARTITIONS,
            ..stream(callers)
        })
        .into();
    if suite == Suite::Quick {
        let [alone, _] = lingers;
        return vec![alone, partitions, prefetches];
    }
    lingers
        .into_iter()
        .chain(windows)
        .chain([prefetches, partitions, kinds, defaults])
        .collect()
}

fn analysis(run: &Run) -> Vec<Table> {
    let mut table = Table::new(
        "tuning",
        "one setting at a time, O3, closed loop",
        &[
            ("transport", ""),
            ("what is set", ""),
            ("in flight", ""),
            ("accepted per second", "1/s"),
            ("÷ matched", "×"),
            ("completed per second", "1/s"),
            ("÷ matched", "×"),
            ("CPU per order", "µs"),
            ("÷ matched", "×"),
        ],
    )
    .with_note(
        "Where fewer are completed than accepted a backlog grows: what is completed is then the consumer's own limit, what is accepted \
         the producer's, and neither is a headline. Matched: linger 0, prefetch 100, 4 partitions, a classic queue, as many in flight. The confirm window is what is in flight. \
         librdkafka's defaults are linger 5 ms, a topic's one partition; AMQP's is no prefetch limit (here 65,535). A quorum queue \
         is of class `power`, a classic one of `process`: its row says what the class costs, not which queue is better.",
    );
    let all = samples::cells(run, "tuning");
    for transport in ["queue", "stream"] {
        let mut mine: Vec<&CellTrials<'_>> = all
            .iter()
            .filter(|c| is_base(c.cell) && c.cell.transport == transport)
            .collect();
        mine.sort_by_key(|c| (c.cell.in_flight, what(c.cell)));
        for cell in &mine {
            let matched = mine
                .iter()
                .find(|c| c.cell.in_flight == cell.cell.in_flight && what(c.cell) == MATCHED);
            let against = |of: &dyn Fn(&CellTrials<'_>, &CellTrials<'_>) -> Value| match matched {
                Some(matched) if matched.cell.id == cell.cell.id => Value::number(1.0),
                Some(matched) => of(cell, matched),
                None => Value::missing("its matched cell was not run"),
            };
            table.push(vec![
                transport.into(),
                what(cell.cell).into(),
                Value::maybe(cell.cell.in_flight.map(f64::from), "an open loop"),
                rate(cell, accepted_per_s),
                against(&|cell, matched| quotient(cell, matched, accepted_per_s)),
                rate(cell, completed_per_s),
                against(&|cell, matched| quotient(cell, matched, completed_per_s)),
                pairs::figure(cell, Metric::CpuPerOp, 1.0),
                against(&|cell, matched| pairs::ratio(cell, matched, Metric::CpuPerOp)),
            ]);
        }
    }
    vec![table]
}

/// Confirmed in the measured window, by its series.
fn accepted_per_s(trial: &Trial) -> Option<Sample> {
    let inside = trial
        .series
        .iter()
        .filter(|bin| bin.start_s < trial.window_s);
    let accepted: u64 = inside.map(|bin| bin.accepted).sum();
    (trial.window_s > 0.0).then(|| Sample::exact(accepted as f64 / trial.window_s))
}

fn completed_per_s(trial: &Trial) -> Option<Sample> {
    Metric::Throughput.of(trial)
}

/// A rate of a cell over its blocks, whether it was sustained or not.
fn rate(cell: &CellTrials<'_>, of: fn(&Trial) -> Option<Sample>) -> Value {
    let rates: Option<Vec<f64>> = cell.kept().map(|t| of(t).map(|rate| rate.value)).collect();
    match rates.as_deref().and_then(Estimate::of_ratios) {
        Some(estimate) => Value::interval(estimate.point(), estimate.interval(LEVEL)),
        None => Value::missing("no block of it counts"),
    }
}

/// The ratio of two cells' rates, block by block.
fn quotient(
    above: &CellTrials<'_>,
    below: &CellTrials<'_>,
    of: fn(&Trial) -> Option<Sample>,
) -> Value {
    match Paired::of(above, below, of, of).measured(true, None) {
        Some(measured) => Value::interval(measured.ratio.point(), measured.ratio.interval(LEVEL)),
        None => Value::missing("no block has both"),
    }
}

const MATCHED: &str = "as matched";

/// What sets a cell apart from the matched one, in words.
fn what(cell: &results::Cell) -> String {
    let factor = |name: &str| cell.factors.get(name).map_or("", String::as_str);
    let mut words = Vec::new();
    let prefetch = factor("prefetch");
    if prefetch == NO_PREFETCH.to_string() {
        words.push("no prefetch limit (AMQP's default)".to_string());
    } else if prefetch != "100" {
        words.push(format!("prefetch {prefetch}"));
    }
    if cell.transport == "stream" {
        let (linger, partitions) = (factor("linger_ms"), factor("partitions"));
        if linger == "5" && partitions == DEFAULT_PARTITIONS.to_string() {
            words.push("librdkafka's defaults: linger 5 ms, 1 partition".into());
        } else {
            if linger != "0" {
                words.push(format!("linger {linger} ms"));
            }
            if partitions != "4" {
                words.push(format!("partitions {partitions}"));
            }
        }
    }
    if cell.durability == "power" {
        words.push("quorum queue".into());
    }
    if words.is_empty() {
        MATCHED.into()
    } else {
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_says_what_sets_it_apart() {
        let mut words: Vec<String> = groups(Suite::Full)
            .iter()
            .flatten()
            .map(|cell| what(&cell.describe()))
            .collect();
        words.sort();
        words.dedup();
        for expected in [
            "as matched",
            "librdkafka's defaults: linger 5 ms, 1 partition",
            "linger 5 ms",
            "linger 50 ms",
            "no prefetch limit (AMQP's default)",
            "partitions 1",
            "prefetch 1",
            "prefetch 1000",
            "quorum queue",
        ] {
            assert!(
                words.iter().any(|w| w == expected),
                "{expected} is not in {words:?}"
            );
        }
    }

    #[test]
    fn each_depth_has_its_matched_cell() {
        let cells: Vec<_> = groups(Suite::Full)
            .iter()
            .flatten()
            .map(Cell::describe)
            .collect();
        for cell in &cells {
            assert!(
                cells.iter().any(|c| c.transport == cell.transport
                    && c.in_flight == cell.in_flight
                    && what(c) == MATCHED),
                "{}",
                cell.id
            );
        }
    }
}
