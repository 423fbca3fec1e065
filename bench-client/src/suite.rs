//! Runs a plan: finds the brokers, warms them, runs every trial, keeps each as it ends, and derives ratios and
//! verdicts at the end. Prints nothing itself: it tells a [`Progress`].

use crate::experiment::{self, Experiment, Suite};
use crate::plan::{Plan, Planned};
use crate::results::{self, Run, Skipped, State, Store};
use crate::stack::{Broker, Brokers};
use crate::trial::{self, Surroundings};
use crate::{claims, manifest, warm};
use anyhow::Context;
use bench_host::place::Placement;
use bench_transport::Transport;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which experiments; all if empty.
    pub experiments: Vec<String>,
    /// How much.
    pub suite: Suite,
    /// Over which transports; all if empty.
    pub transports: Vec<Transport>,
    /// Blocks, where the suite's own number is not wanted.
    pub blocks: Option<u32>,
    /// Seed of plan, arrivals, corpora and slowness.
    pub seed: u64,
    /// Whether processes are pinned.
    pub pin: bool,
    /// Where results go.
    pub out: PathBuf,
    /// The user says that nothing else runs.
    pub exclusive: bool,
}

/// Is told what happens.
pub trait Progress {
    /// A line about the set-up.
    fn note(&self, text: &str);
    /// The plan is fixed: so many trials, about so long.
    fn planned(&self, trials: usize, expected: Duration);
    /// A disturbed block is run again: so many trials more, about so long.
    fn again(&self, trials: usize, expected: Duration);
    /// A trial begins.
    fn begins(&self, planned: &Planned, attempt: u32);
    /// A trial ended.
    fn ended(&self, trial: &results::Trial, expected: Duration);
}

/// A block is run again at most so often for causes outside of the run (DESIGN section 6).
const MOST_RERUNS: u32 = 2;

impl Options {
    /// The experiments by name, each once, in the order of the list.
    pub fn resolve(&self) -> Result<Vec<&'static Experiment>, String> {
        if self.experiments.is_empty() {
            return experiment::ALL
                .iter()
                .map(|experiment| experiment::find(experiment.name))
                .collect();
        }
        let mut found: Vec<&'static Experiment> = Vec::new();
        for name in &self.experiments {
            let experiment = experiment::find(name)?;
            if !found.iter().any(|there| there.name == experiment.name) {
                found.push(experiment);
            }
        }
        Ok(found)
    }

    /// The plan over these transports.
    pub fn plan(&self, experiments: &[&Experiment], transports: &[Transport]) -> Plan {
        Plan::new(experiments, self.suite, transports, self.blocks, self.seed)
    }

    fn wanted(&self) -> Vec<Transport> {
        if self.transports.is_empty() {
            Transport::ALL.to_vec()
        } else {
            self.transports.clone()
        }
    }
}

/// Runs it all. Returns the folder and whether every cell kept enough blocks.
pub async fn run(options: &Options, progress: &impl Progress) -> anyhow::Result<(Store, bool)> {
    let began = Instant::now();
    let experiments = options.resolve().map_err(anyhow::Error::msg)?;
    let program = crate::service::Launch::find_program()?;
    let mut brokers = Brokers::find();
    let mut skipped = Vec::new();
    let mut usable = Vec::new();
    for transport in options.wanted() {
        match missing(transport, &mut brokers).await {
            Some(reason) => {
                progress.note(&format!("{transport} is skipped: {reason}"));
                skipped.push(Skipped {
                    transport: transport.to_string(),
                    reason,
                });
            }
            None => usable.push(transport),
        }
    }
    let plan = options.plan(&experiments, &usable);
    let placement = if options.pin {
        Placement::for_this_machine(1)?
    } else {
        Placement::none("asked for with --pin none")
    };
    pin_brokers(&brokers, &plan, &placement)?;
    let mut run = Run {
        manifest: manifest::begin(
            options.suite.name(),
            plan.blocks.len() as u32,
            options.seed,
            placement.why.clone(),
            &brokers,
            options.exclusive,
        ),
        skipped,
        ..Run::default()
    };
    let mut surroundings = Surroundings {
        program,
        placement,
        brokers,
        idle: BTreeMap::new(),
        seed: options.seed,
        zero_ns: bench_host::clock::now_ns(),
        plant: None,
    };
    run.manifest.settings.insert(
        "experiments".into(),
        experiments
            .iter()
            .map(|experiment| experiment.name)
            .collect::<Vec<_>>()
            .join(", "),
    );
    let mut store = Store::create(&options.out, run)?;

    if experiments
        .iter()
        .any(|experiment| experiment.name == "size")
    {
        progress.note("counting sizes");
        let rows = experiment::size::count(options.seed, |_| ());
        store.update(|run| run.sizes = rows)?;
    }
    let with_broker: Vec<Transport> = plan
        .transports()
        .into_iter()
        .filter(|transport| transport.needs_broker())
        .collect();
    if !with_broker.is_empty() {
        progress.note("warming the brokers until their CPU per order is steady");
        let longest = match options.suite {
            Suite::Quick => Duration::from_secs(20),
            Suite::Full => Duration::from_secs(60),
        };
        let found = warm::warm(&with_broker, longest, &mut surroundings)
            .await
            .context("the brokers could not be warmed")?;
        store.update(|run| {
            for (transport, text) in found {
                run.manifest
                    .settings
                    .insert(format!("warm-up {transport}"), text);
            }
        })?;
    }

    progress.planned(plan.trials().count(), plan.expected_time());
    let ending = run_blocks(&plan, options, began, &surroundings, &mut store, progress).await;
    store.update(claims::conclude)?;
    ending?;
    let complete = claims::without_headline(store.run()).is_empty();
    Ok((store, complete))
}

/// Runs every block, and again those that something outside disturbed, as far as the budget allows.
async fn run_blocks(
    plan: &Plan,
    options: &Options,
    began: Instant,
    surroundings: &Surroundings,
    store: &mut Store,
    progress: &impl Progress,
) -> anyhow::Result<()> {
    let mut again: Vec<(u32, u32)> = (0..plan.blocks.len() as u32)
        .map(|block| (block, 0))
        .collect();
    let mut left_out = 0;
    while !again.is_empty() {
        let mut next = Vec::new();
        for (block, attempt) in again {
            let trials = &plan.blocks[block as usize];
            let time: Duration = trials
                .iter()
                .map(|planned| planned.cell.expected_time())
                .sum();
            if attempt > 0 && began.elapsed() + time > options.suite.budget() {
                left_out += 1;
                continue;
            }
            if attempt > 0 {
                progress.again(trials.len(), time);
            }
            let mut disturbed = false;
            for planned in trials {
                progress.begins(planned, attempt);
                let trial = attempt_trial(planned, attempt, surroundings).await;
                disturbed |= trial.validity.external;
                progress.ended(&trial, planned.cell.expected_time());
                store.append_trial(trial)?;
            }
            if disturbed && attempt < MOST_RERUNS {
                next.push((block, attempt + 1));
            }
        }
        again = next;
    }
    store.update(|run| {
        let reruns = run.trials.iter().filter(|trial| trial.attempt > 0).count();
        run.manifest
            .settings
            .insert("trials run again".into(), reruns.to_string());
        run.manifest.settings.insert(
            "disturbed blocks not run again for lack of time".into(),
            left_out.to_string(),
        );
    })?;
    Ok(())
}

/// A trial that could not be run is kept as INVALID with its reason: one failure must not lose the rest.
async fn attempt_trial(
    planned: &Planned,
    attempt: u32,
    surroundings: &Surroundings,
) -> results::Trial {
    let mut trial = match trial::run(&planned.cell, trial::fresh_run_id(), surroundings).await {
        Ok(trial) => trial,
        Err(error) => results::Trial {
            cell: planned.cell.describe(),
            validity: results::Validity {
                state: State::Invalid,
                reasons: vec![format!("the trial could not be run: {error:#}")],
                external: false,
            },
            ..results::Trial::default()
        },
    };
    trial.experiment = planned.experiment.clone();
    trial.shared_with = planned.shared_with.clone();
    trial.block = planned.block;
    trial.attempt = attempt;
    trial
}

/// Why a transport's broker cannot be used, if it cannot.
async fn missing(transport: Transport, brokers: &mut Brokers) -> Option<String> {
    let address = match brokers.of(transport)? {
        Broker::Missing(reason) => return Some(reason.clone()),
        Broker::At { address, .. } => address.clone(),
    };
    let error = trial::probe(transport, &address).await.err()?;
    let reason = format!("its broker does not answer: {error:#}; start one with `make up`");
    brokers.lose(transport, reason.clone());
    Some(reason)
}

fn pin_brokers(brokers: &Brokers, plan: &Plan, placement: &Placement) -> anyhow::Result<()> {
    let Some(cpus) = &placement.brokers else {
        return Ok(());
    };
    for transport in plan.transports() {
        let pids = brokers.pids(transport);
        for pid in bench_host::cpu::with_descendants(&pids)? {
            bench_host::place::pin_process(pid, cpus)
                .with_context(|| format!("the broker of {transport} could not be pinned"))?;
        }
    }
    Ok(())
}
