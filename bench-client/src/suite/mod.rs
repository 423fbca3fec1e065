//! Runs a plan: finds the brokers, warms them, runs every trial, keeps each as it ends, and derives ratios and
//! verdicts at the end. Prints nothing itself: it tells a [`Progress`].

mod again;
mod ground;
mod options;
mod pace;
mod patience;
mod share;

pub use options::{MOST_RERUNS, Options};

use crate::durable::Disk;
use crate::experiment::{self, Experiment, Suite};
use crate::plan::{self, Plan, Planned};
use crate::results::{self, Run, State, Store};
use crate::stack::Brokers;
use crate::trial::{self, Surroundings};
use crate::{brokers, claims, manifest};
use bench_host::place::Placement;
use bench_proto::Durability;
use ground::Ground;
use patience::Patience;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Under this name the manifest says how much stayed disturbed.
const NOT_AGAIN: &str = "disturbed parts of blocks not run again for lack of time";

/// And under this one how long it waited for others to leave the machine.
const WAITED: &str = "waited for a quieter machine";

/// Is told what happens.
pub trait Progress {
    /// A line about the set-up.
    fn note(&self, text: &str);
    /// The plan is fixed: so many trials, about so long.
    fn planned(&self, trials: usize, expected: Duration);
    /// A trial of the resumed run is there already.
    fn kept(&self, expected: Duration);
    /// What was disturbed is run again: so many trials more, about so long.
    fn again(&self, trials: usize, expected: Duration);
    /// A trial begins.
    fn begins(&self, planned: &Planned, attempt: u32);
    /// A trial ended.
    fn ended(&self, trial: &results::Trial, expected: Duration);
}

/// Runs it all. Returns the folder and whether every cell kept enough blocks.
pub async fn run(options: &Options, progress: &impl Progress) -> anyhow::Result<(Store, bool)> {
    let began = Instant::now();
    let experiments = options.resolve().map_err(anyhow::Error::msg)?;
    trial::plant_codec(options.plant.as_deref()).map_err(anyhow::Error::msg)?;
    let program = crate::service::Launch::find_program()?;
    let mut brokers = Brokers::find();
    let (usable, mut skipped) =
        brokers::usable(&options.wanted(), &mut brokers, |text| progress.note(text)).await;
    let mut plan = options.plan(&experiments, &usable);
    skipped.extend(leave_out_power(&mut plan, progress));
    if plan.has(|cell| cell.tls) {
        let note = |text: &str| progress.note(text);
        skipped.extend(brokers::without_tls(&usable, &mut brokers, note).await);
        plan.retain(|cell| brokers.addresses_for(cell).is_ok());
    }
    let placement = if options.pin {
        Placement::for_this_machine(1)?
    } else {
        Placement::none("asked for with --pin none")
    };
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
        Some(dir) => options::reopen(dir, &run)?,
    };
    let surroundings = Surroundings {
        program,
        placement,
        brokers,
        idle: BTreeMap::new(),
        seed: options.seed,
        zero_ns: bench_host::clock::now_ns(),
        plant: options.plant.clone(),
        watch: None,
    };

    if experiments
        .iter()
        .any(|experiment| experiment.name == "size")
    {
        progress.note("counting sizes");
        let mut rows = experiment::size::count(options.seed, |_| ());
        rows.extend(
            options
                .own
                .iter()
                .flat_map(|own| experiment::size::of_own(own)),
        );
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
    let mut ground = Ground {
        with_broker: plan
            .transports()
            .into_iter()
            .filter(|transport| transport.needs_broker())
            .collect(),
        longest_warm_up: options.warm_up.unwrap_or(match options.suite {
            Suite::Quick => Duration::from_secs(20),
            Suite::Full | Suite::Faults | Suite::Wide => Duration::from_secs(60),
        }),
        surroundings,
        renewing: Duration::ZERO,
    };
    ground.warm(&mut store, progress).await?;

    progress.planned(plan.trials().count(), plan.expected_time());
    // What an earlier go concluded says nothing of what comes now.
    store.update(|run| (run.tables, run.ratios, run.verdicts) = Default::default())?;
    let ending = run_blocks(&plan, options, began, &mut ground, &mut store, progress).await;
    store.update(|run| conclude(&experiments, run))?;
    ending?;
    let complete = claims::without_headline(store.run()).is_empty();
    Ok((store, complete))
}

/// Tables, ratios and verdicts of what there is.
fn conclude(experiments: &[&Experiment], run: &mut Run) {
    run.tables = experiments
        .iter()
        .flat_map(|experiment| (experiment.analysis)(run))
        .collect();
    claims::conclude(run);
}

/// Draws what follows from the finished trials of a run that was ended before it could itself.
pub fn conclude_interrupted(run: &mut Run) {
    if run.verdicts.is_empty() && !run.trials.is_empty() {
        conclude(&options::experiments_of(&run.manifest), run);
    }
}

/// Leaves class `power` out where the disk does not flush, and says so: better none than one that lies.
fn leave_out_power(plan: &mut Plan, progress: &impl Progress) -> Vec<results::Skipped> {
    let journal = crate::service::journal_root();
    let mut skipped = Vec::new();
    for transport in plan.with_power() {
        let Err(error) = Disk::for_power(Durability::Power, transport, &journal) else {
            continue;
        };
        plan.without_power(transport);
        let name = format!("{transport} in class power");
        progress.note(&format!("{name} is left out: {error:#}"));
        skipped.push(results::Skipped {
            transport: name,
            reason: format!("{error:#}"),
        });
    }
    skipped
}

/// On a thread of its own, on the client's cores: this one has a runtime to run.
async fn measure_codecs(
    options: &Options,
    blocks: u32,
    placement: &Placement,
) -> anyhow::Result<Vec<results::CodecRow>> {
    let (suite, seed, cpus) = (options.suite, options.seed, placement.client.clone());
    let own = options.own.clone();
    let measuring = std::thread::Builder::new()
        .name("codecs".into())
        .spawn(move || {
            if let Some(cpus) = &cpus {
                bench_host::place::pin_thread(cpus)?;
            }
            Ok(experiment::codec::measure(
                suite,
                blocks,
                seed,
                own.as_deref(),
            ))
        })?;
    tokio::task::spawn_blocking(move || measuring.join())
        .await?
        .map_err(|_| anyhow::anyhow!("the thread that measures codecs panicked"))?
}

/// Runs what is missing of every block, then again what something outside disturbed, as far as the budget allows. What
/// is missing is read from the store, so an interrupted run goes on where it was.
async fn run_blocks(
    plan: &Plan,
    options: &Options,
    began: Instant,
    ground: &mut Ground,
    store: &mut Store,
    progress: &impl Progress,
) -> anyhow::Result<()> {
    let restarts = ground::restarts_before(plan.blocks.len(), options.broker_restarts);
    let mut patience = Patience::new(options.patience);
    for (block, trials) in plan.blocks.iter().enumerate() {
        // A resumed run began with instances of its own.
        let missing = trials
            .iter()
            .any(|planned| !is_done(store.run(), planned, 0));
        if missing && restarts.contains(&block) && !ground.with_broker.is_empty() {
            ground.renew(store, progress).await?;
        }
        for part in plan::parts(trials) {
            let surroundings = &ground.surroundings;
            run_attempt(part, 0, surroundings, &mut patience, store, progress).await?;
        }
    }
    let surroundings = &ground.surroundings;
    let mut left_out = 0;
    for attempt in 1..=options.reruns {
        for part in again::disturbed(plan, store.run(), attempt - 1) {
            let time = part
                .iter()
                .map(|planned| planned.cell.expected_time())
                .sum();
            // Whoever has the brokers restarted, or is patient, gives that time beside the suite's own.
            let budget = options.suite.budget() + ground.renewing + options.patience;
            if began.elapsed() + time > budget {
                left_out += 1;
                continue;
            }
            progress.again(part.len(), time);
            run_attempt(part, attempt, surroundings, &mut patience, store, progress).await?;
            // At once, so that whatever ends the run leaves it settled.
            store.revise_trials(|trials| again::settle(plan, trials))?;
        }
    }
    store.update(|run| {
        let reruns = run.trials.iter().filter(|trial| trial.attempt > 0).count();
        let settings = &mut run.manifest.settings;
        settings.insert("trials run again".into(), reruns.to_string());
        settings.insert(NOT_AGAIN.into(), left_out.to_string());
        if !options.patience.is_zero() {
            let earlier = settings.remove(WAITED);
            let before = earlier.map_or(String::new(), |earlier| format!("{earlier}, then "));
            settings.insert(WAITED.into(), format!("{before}{patience}"));
        }
    })?;
    Ok(())
}

async fn run_attempt(
    trials: &[Planned],
    attempt: u32,
    surroundings: &Surroundings,
    patience: &mut Patience,
    store: &mut Store,
    progress: &impl Progress,
) -> anyhow::Result<()> {
    let placement = &surroundings.placement;
    for planned in trials {
        if is_done(store.run(), planned, attempt) {
            progress.kept(planned.cell.expected_time());
            continue;
        }
        // Between neighbours too: of trials right after a disturbed one more than half were disturbed, after a wait a sixth.
        patience.wait(store.run(), placement, progress).await?;
        progress.begins(planned, attempt);
        let attempted = attempt_trial(planned, attempt, surroundings, store.run());
        let (mut trial, step_ns) = pace::beside(placement, attempted).await;
        trial.step_ns = step_ns;
        progress.ended(&trial, planned.cell.expected_time());
        store.append_trial(trial)?;
    }
    Ok(())
}

fn is_done(run: &Run, planned: &Planned, attempt: u32) -> bool {
    let id = planned.cell.id();
    run.trials.iter().any(|trial| {
        (trial.block, trial.attempt) == (planned.block, attempt) && trial.cell.id == id
    })
}

/// A trial that could not be run is kept as INVALID with its reason: one failure must not lose the rest.
async fn attempt_trial(
    planned: &Planned,
    attempt: u32,
    surroundings: &Surroundings,
    before: &Run,
) -> results::Trial {
    let mut surroundings = surroundings.clone();
    if planned.cell.topology.is_some() {
        // Equal seeds draw equal failures for equal orders: blocks of one seed would be one observation, repeated.
        let of_block = u64::from(planned.block) << 32;
        surroundings.seed = surroundings.seed.wrapping_add(of_block);
    }
    let measured = async {
        let cell = share::settled(&planned.cell, before)?;
        trial::run(&cell, trial::fresh_run_id(), &surroundings).await
    };
    let mut trial = match measured.await {
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
    again::place(&mut trial, planned, attempt);
    trial
}
