//! `bench-client run`.

use super::own::OwnArgs;
use super::progress::Teller;
use super::{Exit, print, usage};
use crate::experiment::Suite;
use crate::own::Own;
use crate::plan::Plan;
use crate::suite::{self, Options};
use crate::{report, units};
use anyhow::Context;
use bench_transport::Transport;
use bench_usage::whole;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Flags of `run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 done; 1 failed; 2 bad usage; 3 a cell kept too few blocks for a headline. What is finished is kept, whatever
ends a run: a signal, a full disk, a broker that is gone; --resume runs the rest.

Examples:
  bench-client run
  bench-client run capacity ladder --blocks 10 --transport rest,grpc --exclusive
  bench-client run streaming --suite full --dry-run
  bench-client run --resume results/2026-01-31T12-00-00Z")]
pub(super) struct Run {
    /// Experiments to run; those of the suite if none is named (see `list`)
    experiments: Vec<String>,
    /// How much: quick (≤ 5 minutes), full (≤ 45), faults (slowness and failure behind the call, ≤ 45), or wide (only for
    /// experiments named here); restarts of the brokers come on top
    #[arg(long, value_enum, default_value_t = Suite::Quick)]
    suite: Suite,
    /// Only these transports: tcp, rest, grpc, queue, stream
    #[arg(long, value_delimiter = ',', value_name = "TRANSPORT")]
    transport: Vec<Transport>,
    /// Where results go [default: results/<time>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    own: OwnArgs,
    /// Blocks instead of the suite's own number
    #[arg(long, value_name = "N", value_parser = whole(1..=1_000_u32))]
    blocks: Option<u32>,
    /// Seed of plan, arrivals, corpora and slowness
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0..=u64::MAX))]
    seed: u64,
    /// Which process runs on which core: by the machine, or wherever the scheduler likes
    #[arg(long, value_enum, default_value_t = Pin::Auto)]
    pin: Pin,
    /// Say that nothing else runs on this machine now; it goes into the manifest
    #[arg(long)]
    exclusive: bool,
    /// Restart the brokers so often, warmed anew each time, so that figures hold for more than one instance of them; the time
    /// it takes comes on top of the suite's own
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole(0..=100_u32))]
    broker_restarts: u32,
    /// Longest warm-up of each broker; 0s leaves them as they are [default: 20s, in the full suite 60s]
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    warm_up: Option<Duration>,
    /// How often what something outside of the run disturbed is run again at most, with all that it is compared with, as far as
    /// the suite's time allows
    #[arg(long, value_name = "N", default_value_t = suite::MOST_RERUNS, value_parser = whole(0..=suite::MOST_RERUNS))]
    reruns: u32,
    /// After a disturbed trial, wait until the hypervisor leaves the machine alone, and give re-runs more time: so long in all
    /// beside the suite's own
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = units::parse_duration)]
    patience: Duration,
    /// Go on with an interrupted run: only what is missing of the same plan, by the same build
    #[arg(long, value_name = "DIR", conflicts_with_all = ["experiments", "suite", "transport", "out", "blocks", "seed", "pin", "exclusive", "broker_restarts", "warm_up", "reruns", "patience", "dry_run", "plant"])]
    resume: Option<PathBuf>,
    /// Plant a slower codec into both ends: codec=protobuf:10000
    #[arg(long, hide = true, value_name = "SPEC", value_parser = burden)]
    plant: Option<String>,
    /// Print the plan and its expected time, and stop
    #[arg(long)]
    dry_run: bool,
    /// Print run.json on stdout instead of tables
    #[arg(long)]
    json: bool,
}

/// A plant that names a slower codec and nothing else: faults of the ledger would spoil every trial.
fn burden(text: &str) -> Result<String, String> {
    match bench_proto::burden::Burden::within(text)? {
        Some(_) if !text.contains(',') => Ok(text.to_string()),
        _ => Err(format!(
            "expected codec=protobuf:10000 or the like, got '{text}'"
        )),
    }
}

/// Placement of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Pin {
    /// Client apart from service and brokers.
    Auto,
    /// Nothing is pinned.
    None,
}

impl Run {
    fn options(&self, own: Option<Arc<Own>>) -> Options {
        Options {
            experiments: self.experiments.clone(),
            suite: self.suite,
            transports: self.transport.clone(),
            blocks: self.blocks,
            seed: self.seed,
            pin: self.pin == Pin::Auto,
            out: self.out.clone().unwrap_or_else(|| {
                PathBuf::from("results").join(
                    jiff::Timestamp::now()
                        .strftime("%Y-%m-%dT%H-%M-%SZ")
                        .to_string(),
                )
            }),
            exclusive: self.exclusive,
            plant: self.plant.clone(),
            broker_restarts: self.broker_restarts,
            warm_up: self.warm_up,
            reruns: self.reruns,
            patience: self.patience,
            own,
            resume: None,
        }
    }

    pub(super) async fn execute(self, quiet: bool) -> anyhow::Result<Exit> {
        let own = self.own.read()?;
        let options = match &self.resume {
            Some(dir) => Options::of_interrupted(dir, own)?,
            None => self.options(own),
        };
        let experiments = options.resolve().map_err(usage)?;
        let transports = if options.transports.is_empty() {
            Transport::ALL.to_vec()
        } else {
            options.transports.clone()
        };
        let plan = options.plan(&experiments, &transports);
        let expected = plan.expected_time();
        if self.dry_run {
            print(&show(&plan))?;
            return Ok(Exit::Done);
        }
        if options.blocks.is_none() && expected > options.suite.budget() {
            return Err(usage(format!(
                "expected a plan of at most {} in the suite '{}', got one of about {}; name fewer experiments or transports, or give --blocks",
                units::show_ns(options.suite.budget().as_nanos() as f64),
                options.suite.name(),
                units::show_ns(expected.as_nanos() as f64)
            )));
        }
        let teller = Teller::of_run(quiet, &options.out);
        let result = suite::run(&options, &teller).await;
        teller.finish();
        // A run that cannot go on says how much of it is kept, and how to have the rest.
        let (store, complete) = result.with_context(super::progress::unfinished)?;
        let run = store.run();
        for (name, text) in report::files(run) {
            store.write_file(&name, text.as_bytes())?;
        }
        if self.json {
            print(&(serde_json::to_string_pretty(run)? + "\n"))?;
        } else {
            let tables = report::terminal(run);
            print(&format!("{tables}\nResults: {}\n", store.dir().display()))?;
        }
        Ok(if complete { Exit::Done } else { Exit::Invalid })
    }
}

/// The plan, block by block.
fn show(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for (number, block) in plan.blocks.iter().enumerate() {
        lines.push(format!("block {}", number + 1));
        let trials = block.iter();
        lines.extend(
            trials.map(|planned| format!("  {:<10} {}", planned.experiment, planned.cell.id())),
        );
    }
    lines.push(format!(
        "{} trials, about {} s, process starts included; warming the brokers comes on top\n",
        plan.trials().count(),
        plan.expected_time().as_secs()
    ));
    lines.join("\n")
}
