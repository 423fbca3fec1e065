//! What does it cost that an accepted order survives: nothing, a kill of broker or service, a power cut? Equal classes
//! stand side by side, the tcp floor among them; across classes a transport is compared with itself alone.

use super::cells::{SMALL, open};
use super::{Experiment, Group, Suite, blocks};
use crate::cell::Cell;
use crate::claims::pairs;
use crate::claims::samples::{self, CellTrials, Metric, is_base};
use crate::results::{Run, Table, Value};
use bench_proto::Durability;
use bench_transport::Transport;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "durability",
    question: "What does a durable accept cost on each transport, class by class?",
    claims: &[],
    groups,
    blocks,
    analysis,
};

/// What a disk that flushes each message can still hold; the ladder's light rung, so class `process` runs once for both.
const RATE: f64 = 1_000.0;

/// A transport's classes next to each other: each is set against the same transport's `process`.
fn groups(suite: Suite) -> Vec<Group> {
    let cell = |transport, durability| Cell {
        durability,
        ..open(suite, transport, SMALL, RATE)
    };
    let of = |transport: Transport| -> Group {
        let mut classes = vec![Durability::Process, Durability::None, Durability::Power];
        if transport == Transport::Queue {
            // RabbitMQ's own: confirmed from memory.
            classes.push(Durability::Memory);
        }
        classes
            .into_iter()
            .map(|class| cell(transport, class))
            .collect()
    };
    Transport::ALL.map(of).into()
}

fn analysis(run: &Run) -> Vec<Table> {
    vec![costs(run)]
}

/// Every transport in every class, against itself in class `process`.
fn costs(run: &Run) -> Table {
    let mut table = Table::new(
        "durability",
        "what surviving costs, O3 at 1,000/s",
        &[
            ("class", ""),
            ("transport", ""),
            ("accept p50", "ms"),
            ("÷ its `process`", "×"),
            ("completion p50", "ms"),
            ("CPU per order", "µs"),
            ("CPU ÷ its `process`", "×"),
        ],
    )
    .with_note(
        "Compare transports within a class only. In class `none` a broker's accept ends when the message is handed to the library: \
         nobody confirms it. A power cut is not measured: `power` is what the library and the disk are asked for, and what that takes.",
    );
    let all = samples::cells(run, "durability");
    for class in Durability::ALL {
        for transport in Transport::ALL {
            let Some(cell) = find(&all, transport, class) else {
                continue;
            };
            let against = |metric| match find(&all, transport, Durability::Process) {
                Some(process) if process.cell.id != cell.cell.id => {
                    pairs::ratio(cell, process, metric)
                }
                Some(_) => Value::number(1.0),
                None => Value::missing("its `process` was not run"),
            };
            table.push(vec![
                class.name().into(),
                transport.name().into(),
                pairs::figure(cell, Metric::AcceptP50, 1e6),
                against(Metric::AcceptP50),
                pairs::figure(cell, Metric::CompletionP50, 1e6),
                pairs::figure(cell, Metric::CpuPerOp, 1.0),
                against(Metric::CpuPerOp),
            ]);
        }
    }
    table
}

fn find<'a, 'r>(
    all: &'a [CellTrials<'r>],
    transport: Transport,
    class: Durability,
) -> Option<&'a CellTrials<'r>> {
    all.iter().find(|c| {
        is_base(c.cell) && c.cell.transport == transport.name() && c.cell.durability == class.name()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::fixture;

    #[test]
    fn a_group_is_one_transport_in_every_class_that_it_has() {
        for suite in [Suite::Quick, Suite::Full, Suite::Wide] {
            let groups = groups(suite);
            assert_eq!(groups.len(), Transport::ALL.len());
            for (group, transport) in groups.iter().zip(Transport::ALL) {
                assert!(group.iter().all(|cell| cell.transport == transport));
                let classes: Vec<Durability> = group.iter().map(|cell| cell.durability).collect();
                let has = |class| classes.contains(&class);
                assert!(has(Durability::Process) && has(Durability::None));
                assert!(has(Durability::Power));
                assert_eq!(has(Durability::Memory), transport == Transport::Queue);
            }
        }
    }

    #[test]
    fn a_class_is_set_against_the_same_transports_process() {
        let mut run = Run::default();
        for block in 0..fixture::BLOCKS {
            for (class, us) in [("process", 200.0), ("power", 500.0)] {
                let both = (us * 1e3, us * 3e3);
                let cell = fixture::cell("rest", "O3");
                let mut trial = fixture::open(cell, 0, block, both, both, [50.0, us, 0.0]);
                trial.cell.durability = class.into();
                trial.cell.id = format!("rest-{class}");
                trial.experiment = "durability".into();
                run.trials.push(trial);
            }
        }
        let table = costs(&run);
        let classes: Vec<&Value> = table.rows.iter().map(|row| &row[0]).collect();
        assert_eq!(classes, [&Value::from("process"), &Value::from("power")]);
        assert_eq!(table.rows[0][3], Value::Number(1.0));
        let Value::Interval { point, .. } = table.rows[1][3] else {
            panic!("{table:?}");
        };
        assert!((point - 2.5).abs() < 0.01, "{point}");
        let Value::Interval { point, .. } = table.rows[1][6] else {
            panic!("{table:?}");
        };
        assert!((point - 550.0 / 250.0).abs() < 1e-9, "{point}");
    }
}
