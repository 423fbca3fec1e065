//! The instrument measures itself: what its clock, recorder, pacer and generator cost, and whether truths that are
//! planted into the service come back. It decides nothing about transports, and prints nothing itself.

mod costs;
pub mod judge;
mod null;
mod pacing;
mod pairs;
mod planted;
pub mod result;

pub use result::{Calibration, SCHEMA};

use crate::brokers;
use crate::cell::Cell;
use crate::manifest;
use crate::results::{self, State};
use crate::service::Launch;
use crate::stack::Brokers;
use crate::trial::{self, Surroundings};
use anyhow::Context;
use bench_host::place::Placement;
use bench_transport::Transport;
use result::PlantedEffect;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to calibrate, and where the result goes.
#[derive(Clone, Debug)]
pub struct Options {
    /// A minute instead of five.
    pub quick: bool,
    /// Rounds of the planted effect.
    pub repeat: u32,
    /// Seed of corpora, slowness and the order of arms.
    pub seed: u64,
    /// Whether processes are pinned.
    pub pin: bool,
    /// Where `calibrate.json` goes.
    pub out: PathBuf,
    /// The user says that nothing else runs.
    pub exclusive: bool,
}

/// How much of everything.
#[derive(Debug)]
struct Form {
    name: &'static str,
    /// Load before each window.
    warmup: Duration,
    lateness_runs: u32,
    /// At least so long, and long enough for the samples that a p99 needs.
    lateness_window: Duration,
    recorded: u64,
    cpu_window: Duration,
    idle_window: Duration,
    syncs: usize,
    pairs: u32,
    pair_window: Duration,
    /// Handler times by rate.
    planted: &'static [(f64, &'static [&'static str])],
    planted_window: Duration,
    planted_blocks: u32,
    effect_blocks: u32,
    effect_window: Duration,
    stop_after: Duration,
    stop_window: Duration,
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const QUICK: Form = Form {
    name: "quick",
    warmup: ms(150),
    lateness_runs: 3,
    lateness_window: ms(400),
    recorded: 100_000,
    cpu_window: ms(400),
    idle_window: ms(1_000),
    syncs: 50,
    pairs: 3,
    pair_window: ms(400),
    planted: &[
        (1_000.0, &["0.5ms", "1ms", "5ms", "50ms"]),
        (5_000.0, &["1ms"]),
    ],
    planted_window: ms(1_050),
    planted_blocks: 1,
    effect_blocks: 3,
    effect_window: ms(400),
    stop_after: ms(400),
    stop_window: ms(2_900),
};

const NORMAL: Form = Form {
    name: "normal",
    warmup: ms(300),
    lateness_runs: 5,
    lateness_window: ms(1_500),
    recorded: 1_000_000,
    cpu_window: ms(1_000),
    idle_window: ms(3_000),
    syncs: 200,
    pairs: 8,
    pair_window: ms(800),
    planted: &[
        (1_000.0, &["0.5ms", "1ms", "5ms", "50ms"]),
        (5_000.0, &["0.5ms", "1ms", "5ms", "50ms"]),
        (20_000.0, &["0.5ms", "1ms", "5ms"]),
    ],
    planted_window: ms(1_500),
    planted_blocks: 3,
    effect_blocks: 8,
    effect_window: ms(600),
    stop_after: ms(1_000),
    stop_window: ms(4_000),
};

/// The rates at which the pacer is judged, per second.
const RATES: [f64; 4] = [1_000.0, 5_000.0, 10_000.0, 20_000.0];
/// Bound of operations in flight that makes a stop visible only from the planned instant.
const BOUNDED: usize = 8;
/// A bound that 1.4 s at 2,000/s do not reach.
const UNBOUNDED: usize = 10_000;

/// What every section works with.
struct Bench<'a> {
    form: &'a Form,
    surroundings: &'a Surroundings,
    trials: result::Trials,
}

impl Bench<'_> {
    /// Runs a cell and looks at its ledger, whatever it is run for.
    async fn trial(&mut self, cell: &Cell) -> anyhow::Result<results::Trial> {
        let trial = trial::run(cell, trial::fresh_run_id(), self.surroundings).await?;
        self.trials.run += 1;
        self.trials.balanced += u32::from(balances(&trial.ledger));
        self.trials.disturbed += u32::from(trial.validity.external);
        if trial.validity.state != State::Valid {
            let reasons = trial.validity.reasons.join("; ");
            self.trials.doubts.push(format!(
                "{} {}: {reasons}",
                trial.cell.id, trial.validity.state
            ));
        }
        Ok(trial)
    }

    fn client(&self) -> Option<bench_host::place::Cpus> {
        self.surroundings.placement.client.clone()
    }
}

/// Every operation acknowledged and delivered, once.
fn balances(ledger: &results::Ledger) -> bool {
    ledger.attempted > 0
        && ledger.attempted == ledger.acknowledged
        && ledger.delivered == Some(ledger.attempted)
        && [ledger.lost, ledger.duplicated, ledger.unexpected] == [Some(0); 3]
}

/// Calibrates; keeps what is finished in `calibrate.json` after every section. `note` is told what happens.
pub async fn run(options: &Options, note: &dyn Fn(&str)) -> anyhow::Result<Calibration> {
    let form = if options.quick { &QUICK } else { &NORMAL };
    let file = prepare(&options.out)?;
    let mut surroundings = surroundings(options)?;
    let mut calibration = Calibration {
        schema: SCHEMA.into(),
        ..Calibration::default()
    };
    let (usable, skipped) = brokers::usable(&Transport::ALL, &mut surroundings.brokers, note).await;
    calibration.skipped = skipped;
    brokers::pin(&usable, &surroundings.brokers, &surroundings.placement)?;
    calibration.manifest = manifest::begin(
        form.name,
        form.effect_blocks,
        options.seed,
        surroundings.placement.why.clone(),
        &surroundings.brokers,
        options.exclusive,
    );
    let save = |calibration: &Calibration| keep(&options.out, &file, calibration);
    save(&calibration)?;
    let mut bench = Bench {
        form,
        surroundings: &surroundings,
        trials: result::Trials::default(),
    };

    note("clock, recorder and disk");
    calibration.clock = Some(costs::clock());
    calibration.recording = Some(costs::recording(&bench).await?);
    calibration.disk = Some(costs::disk(&options.out, form)?);
    calibration
        .checks
        .extend(calibration.disk.iter().map(judge::disk));

    note("idle brokers");
    calibration.idle_brokers = costs::idle(&usable, &bench).await;
    save(&calibration)?;

    note("the generator's CPU per operation");
    calibration.generator_cpu = costs::generator_cpu(&usable, &mut bench).await?;

    // From here on no broker is needed, and idle ones burn up to 80 ms of every second (docs/METHOD.md, Calibration):
    // enough for a p99.
    let paused = brokers::pause(&usable, &surroundings.brokers)?;
    calibration.brokers_paused = paused.count();
    note("lateness of the pacer, and what its spin costs");
    for rate in RATES {
        let (lateness, spin) = pacing::null(rate, &bench).await?;
        calibration.checks.push(judge::lateness(&lateness));
        calibration.lateness.push(lateness);
        calibration.spin.push(spin);
    }
    let over_grpc = pacing::grpc(&mut bench).await?;
    calibration.checks.push(judge::lateness(&over_grpc));
    calibration.lateness.push(over_grpc);
    save(&calibration)?;

    note("A/A: arms that differ in nothing");
    calibration.a_a = pairs::a_a(&mut bench).await?;
    calibration
        .checks
        .extend(calibration.a_a.iter().map(judge::a_a));
    save(&calibration)?;

    note("planted latencies");
    calibration.planted_latency = planted::latencies(&mut bench).await?;
    let returned = calibration.planted_latency.iter();
    calibration
        .checks
        .extend(returned.flat_map(judge::planted_latency));
    save(&calibration)?;

    note("the stopped service");
    for bound in [BOUNDED, UNBOUNDED] {
        let row = planted::stopped(&mut bench, bound).await?;
        calibration
            .checks
            .extend(judge::stopped(&row, bound == BOUNDED));
        calibration.stopped_service.push(row);
    }
    save(&calibration)?;

    let mut effect = PlantedEffect::default();
    for round in 0..options.repeat {
        note(&format!(
            "planted effect, round {} of {}",
            round + 1,
            options.repeat
        ));
        let seed = options.seed.wrapping_add(u64::from(round));
        effect.rounds.push(planted::effect(&mut bench, seed).await?);
        judge::count_rounds(&mut effect);
        calibration.planted_effect = Some(effect.clone());
        save(&calibration)?;
    }
    calibration.checks.extend(judge::planted_effect(&effect));
    calibration.checks.push(judge::trials(&bench.trials));
    calibration.trials = bench.trials;
    save(&calibration)?;
    Ok(calibration)
}

/// The JSON Schema of `calibrate.json`.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Calibration).to_value()
}

const FILE: &str = "calibrate.json";

fn prepare(out: &Path) -> anyhow::Result<PathBuf> {
    let file = out.join(FILE);
    std::fs::create_dir_all(out).with_context(|| {
        format!(
            "could not create {}; name a folder that can be written with --out",
            out.display()
        )
    })?;
    if file.exists() {
        anyhow::bail!(
            "{} already holds a calibration; name another folder with --out",
            out.display()
        );
    }
    Ok(file)
}

fn keep(out: &Path, file: &Path, calibration: &Calibration) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(calibration)?;
    Ok(results::store::replace(out, file, |to| {
        to.write_all(&text)
    })?)
}

fn surroundings(options: &Options) -> anyhow::Result<Surroundings> {
    Ok(Surroundings {
        program: Launch::find_program()?,
        placement: if options.pin {
            Placement::for_this_machine(1)?
        } else {
            Placement::none("asked for with --pin none")
        },
        brokers: Brokers::find(),
        idle: BTreeMap::new(),
        seed: options.seed,
        zero_ns: bench_host::clock::now_ns(),
        plant: None,
        watch: None,
    })
}
