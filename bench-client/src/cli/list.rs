//! `bench-client list`: each experiment with its question, what it decides, its cells and what they take.

use super::{Exit, print};
use crate::experiment::{self, Experiment, FAULTS, Suite};
use crate::plan::Plan;
use crate::units;
use bench_transport::Transport;
use clap::Args;

/// Flags of `list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bench-client list
  bench-client list --cells")]
pub(super) struct List {
    /// Name every cell too
    #[arg(long)]
    cells: bool,
}

impl List {
    pub(super) fn execute(&self) -> anyhow::Result<Exit> {
        print(&self.text())?;
        Ok(Exit::Done)
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        for experiment in experiment::ALL {
            lines.push(describe(experiment));
            if self.cells {
                let plan = alone(experiment, Suite::Full, Some(1));
                lines.extend(
                    plan.trials()
                        .map(|planned| format!("    {}", planned.cell.id())),
                );
            }
            lines.push(String::new());
        }
        for suite in [Suite::Quick, Suite::Full, Suite::Faults] {
            let experiments = experiment::of_suite(suite).unwrap_or_default();
            let plan = Plan::new(&experiments, suite, &Transport::ALL, None, 1);
            lines.push(format!(
                "--suite {}: {} trials, about {}, of at most {}; cells that several experiments want run once",
                suite.name(),
                plan.trials().count(),
                minutes(&plan),
                units::show_ns(suite.budget().as_nanos() as f64)
            ));
        }
        lines.join("\n") + "\n"
    }
}

fn describe(experiment: &Experiment) -> String {
    let decides = match experiment.claims {
        [] => "no claim".to_string(),
        claims => claims.join(", "),
    };
    let sizes: Vec<String> = [Suite::Quick, Suite::Full, Suite::Faults, Suite::Wide]
        .into_iter()
        .filter(|suite| *suite != Suite::Faults || FAULTS.contains(&experiment.name))
        .map(|suite| {
            let cells = alone(experiment, suite, Some(1)).trials().count();
            let blocks = (experiment.blocks)(suite);
            // Named by itself it runs at a suite's size too, and that is no part of the suite.
            let listed = experiment::of_suite(suite);
            let extra = listed.is_ok_and(|all| all.iter().all(|one| one.name != experiment.name));
            if blocks == 0 {
                return format!("{} {cells}, with --blocks only", suite.name());
            }
            format!(
                "{}{} {cells} × {blocks}, {}",
                suite.name(),
                if extra { " (if named)" } else { "" },
                minutes(&alone(experiment, suite, None))
            )
        })
        .collect();
    format!(
        "{}: {}\n  decides: {decides}\n  cells × blocks: {}",
        experiment.name,
        experiment.question,
        sizes.join("; ")
    )
}

fn alone(experiment: &Experiment, suite: Suite, blocks: Option<u32>) -> Plan {
    Plan::new(&[experiment], suite, &Transport::ALL, blocks, 1)
}

fn minutes(plan: &Plan) -> String {
    let seconds = plan.expected_time().as_secs();
    if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}
