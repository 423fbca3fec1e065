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
use std::path::{Path, PathBuf};
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
    /// A slower codec planted into both ends, for a test of what an analysis finds: `codec=protobuf:10000`.
    pub plant: Option<String>,
    /// Go on with the run in this folder.
    pub resume: Option<PathBuf>,
}

/// Is told what happens.
pub trait Progress {
    /// A line about the set-up.
    fn note(&self, text: &str);
    /// The plan is fixed: so many trials, about so long.
    fn planned(&self, trials: usize, expected: Duration);
    /// A trial of the resumed run is there already.
    fn kept(&self, expected: Duration);
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

    /// The options that an interrupted run in `dir` was started with, to go on with it.
    pub fn of_interrupted(dir: &Path) -> anyhow::Result<Self> {
        let store = Store::open(dir)?;
        let manifest = &store.run().manifest;
        let list = |name: &str| -> Vec<String> {
            let text = manifest.settings.get(name).map_or("", String::as_str);
            text.split(", ")
                .filter(|item| !item.is_empty())
                .map(str::to_string)
                .collect()
        };
        let suite = <Suite as clap::ValueEnum>::from_str(&manifest.suite, true).map_err(|_| {
            anyhow::anyhow!(
                "{} was run with the suite '{}', which this build does not know; start a new run",
                dir.display(),
                manifest.suite
            )
        })?;
        Ok(Self {
            experiments: list("experiments"),
            suite,
            transports: list("transports")
                .iter()
                .map(|name| name.parse())
                .collect::<Result<_, String>>()
                .map_err(anyhow::Error::msg)?,
            blocks: manifest
                .settings
                .get("blocks")
                .and_then(|blocks| blocks.parse().ok()),
            seed: manifest.seed,
            pin: manifest.settings.get("pin").is_none_or(|pin| pin == "auto"),
            out: dir.to_path_buf(),
            exclusive: manifest.exclusive,
            plant: manifest.settings.get(PLANTED).cloned(),
            resume: Some(dir.to_path_buf()),
        })
    }

    /// What [`Options::of_interrupted`] needs to know again.
    fn remembered(&self, plan: &Plan) -> BTreeMap<String, String> {
        let names = |items: &[String]| items.join(", ");
        let transports: Vec<String> = self.wanted().iter().map(ToString::to_string).collect();
        let mut settings = BTreeMap::from([
            ("experiments".to_string(), names(&self.experiments)),
            ("transports".to_string(), names(&transports)),
            (
                "pin".to_string(),
                if self.pin { "auto" } else { "none" }.to_string(),
            ),
            (PLAN.to_string(), plan.fingerprint()),
        ]);
        if let Some(plant) = &self.plant {
            settings.insert(PLANTED.into(), plant.clone());
        }
        if let Some(blocks) = self.blocks {
            settings.insert("blocks".into(), blocks.to_string());
        }
        settings
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
    trial::plant_codec(options.plant.as_deref()).map_err(anyhow::Error::msg)?;
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
    run.manifest.settings.extend(options.remembered(&plan));
    let mut store = match &options.resume {
        None => Store::create(&options.out, run)?,
        Some(dir) => reopen(dir, &run)?,
    };
    let mut surroundings = Surroundings {
        program,
        placement,
        brokers,
        idle: BTreeMap::new(),
        seed: options.seed,
        zero_ns: bench_host::clock::now_ns(),
        plant: options.plant.clone(),
    };

    if experiments
        .iter()
        .any(|experiment| experiment.name == "size")
    {
        progress.note("counting sizes");
        let rows = experiment::size::count(options.seed, |_| ());
        store.update(|run| run.sizes = rows)?;
    }
    if let Some(codec) = experiments.iter().find(|e| e.name == "codec")
        && store.run().codecs.is_empty()
    {
        progress.note("measuring codecs");
        let blocks = options.blocks.unwrap_or((codec.blocks)(options.suite));
        let rows = measure_codecs(options, blocks, &surroundings.placement).await?;
        store.update(|run| run.codecs = rows)?;
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
    store.update(|run| {
        run.tables = experiments
            .iter()
            .flat_map(|experiment| (experiment.analysis)(run))
            .collect();
        claims::conclude(run);
    })?;
    ending?;
    let complete = claims::without_headline(store.run()).is_empty();
    Ok((store, complete))
}

/// On a thread of its own, on the client's cores: this one has a runtime to run.
async fn measure_codecs(
    options: &Options,
    blocks: u32,
    placement: &Placement,
) -> anyhow::Result<Vec<results::CodecRow>> {
    let (suite, seed, cpus) = (options.suite, options.seed, placement.client.clone());
    let measuring = std::thread::Builder::new()
        .name("codecs".into())
        .spawn(move || {
            if let Some(cpus) = &cpus {
                bench_host::place::pin_thread(cpus)?;
            }
            Ok(experiment::codec::measure(suite, blocks, seed))
        })?;
    tokio::task::spawn_blocking(move || measuring.join())
        .await?
        .map_err(|_| anyhow::anyhow!("the thread that measures codecs panicked"))?
}

/// Opens a run to go on with it, if it is the same plan by the same build on the same brokers.
fn reopen(dir: &Path, now: &Run) -> anyhow::Result<Store> {
    let store = Store::open(dir)?;
    let then = &store.run().manifest;
    let built = |manifest: &results::Manifest| {
        format!(
            "commit {}, {}",
            manifest.commit.as_deref().unwrap_or("unknown"),
            if manifest.dirty == Some(false) {
                "clean"
            } else {
                "with changes"
            }
        )
    };
    let kept = [
        ("the build", built(then), built(&now.manifest)),
        (
            "the plan",
            then.settings.get(PLAN).cloned().unwrap_or_default(),
            now.manifest.settings[PLAN].clone(),
        ),
        (
            "the brokers",
            format!("{:?}", then.brokers),
            format!("{:?}", now.manifest.brokers),
        ),
        (
            "the machine",
            then.machine.get("cpu_model").cloned().unwrap_or_default(),
            now.manifest
                .machine
                .get("cpu_model")
                .cloned()
                .unwrap_or_default(),
        ),
    ];
    for (what, then, now) in kept {
        anyhow::ensure!(
            then == now,
            "{} cannot be gone on with: {what} changed since (then {then}; now {now}), and one run mixes neither; start a new run instead",
            dir.display()
        );
    }
    Ok(store)
}

/// Under this name the manifest keeps what was planted: such a run tests the instrument, and measures nothing else.
const PLANTED: &str = "planted";

/// Under this name the manifest keeps what identifies the plan.
const PLAN: &str = "plan";

/// Runs what is missing of every block, then again those blocks that something outside disturbed, as far as the budget
/// allows. What is missing is read from the store, so an interrupted run goes on where it was.
async fn run_blocks(
    plan: &Plan,
    options: &Options,
    began: Instant,
    surroundings: &Surroundings,
    store: &mut Store,
    progress: &impl Progress,
) -> anyhow::Result<()> {
    for trials in &plan.blocks {
        run_attempt(trials, 0, surroundings, store, progress).await?;
    }
    let mut left_out = 0;
    for attempt in 1..=MOST_RERUNS {
        for (block, trials) in plan.blocks.iter().enumerate() {
            if !disturbed(store.run(), block as u32, attempt - 1) {
                continue;
            }
            let time: Duration = trials
                .iter()
                .map(|planned| planned.cell.expected_time())
                .sum();
            if began.elapsed() + time > options.suite.budget() {
                left_out += 1;
                continue;
            }
            progress.again(trials.len(), time);
            run_attempt(trials, attempt, surroundings, store, progress).await?;
        }
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

async fn run_attempt(
    trials: &[Planned],
    attempt: u32,
    surroundings: &Surroundings,
    store: &mut Store,
    progress: &impl Progress,
) -> anyhow::Result<()> {
    for planned in trials {
        let id = planned.cell.id();
        let is_done = |trial: &results::Trial| {
            (trial.block, trial.attempt) == (planned.block, attempt) && trial.cell.id == id
        };
        if store.run().trials.iter().any(is_done) {
            progress.kept(planned.cell.expected_time());
            continue;
        }
        progress.begins(planned, attempt);
        let trial = attempt_trial(planned, attempt, surroundings).await;
        progress.ended(&trial, planned.cell.expected_time());
        store.append_trial(trial)?;
    }
    Ok(())
}

/// Whether something outside disturbed this attempt at a block.
fn disturbed(run: &Run, block: u32, attempt: u32) -> bool {
    run.trials
        .iter()
        .any(|trial| (trial.block, trial.attempt) == (block, attempt) && trial.validity.external)
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
