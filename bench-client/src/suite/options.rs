//! What to run, and what of it the manifest remembers so that an interrupted run can be gone on with.

use crate::experiment::{self, Experiment, Suite};
use crate::own::Own;
use crate::plan::Plan;
use crate::results::{Manifest, Run, Store};
use bench_proto::Kind;
use bench_transport::{CallKind, Transport};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Under this name the manifest keeps what was planted: such a run tests the instrument, and measures nothing else.
const PLANTED: &str = "planted";

/// Under this name the manifest keeps what identifies the plan.
const PLAN: &str = "plan";

/// And under this one how often the brokers are restarted.
const RESTARTS: &str = "broker restarts";

/// For how long brokers were warmed at most, where the user said so.
const WARM_UP: &str = "longest warm-up";

/// How often what was disturbed of a block could be run again.
const RERUNS: &str = "re-runs of a disturbed part of a block at most";

/// For how long it may wait for others to leave the machine, and run again what they disturbed.
const PATIENCE: &str = "patience";

/// What one's own payload is, and what tells it from every other.
const PAYLOAD: [&str; 2] = ["payload", "payload_sha256"];

/// Part of a block is run again at most so often for causes outside of the run (docs/METHOD.md, CPU).
pub const MOST_RERUNS: u32 = 2;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which experiments; those of the suite if empty.
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
    /// How often the brokers are restarted in mid-run, for figures that hold for more than one instance.
    pub broker_restarts: u32,
    /// For how long a broker is warmed at most, where the suite's own time is not wanted.
    pub warm_up: Option<Duration>,
    /// How often part of a block is run again at most because something outside disturbed it.
    pub reruns: u32,
    /// So long beside the suite's own time it may wait for others to leave the machine, and run again what they disturbed.
    pub patience: Duration,
    /// A slower codec planted into both ends, for a test of what an analysis finds: `codec=protobuf:10000`.
    pub plant: Option<String>,
    /// One's own payload in the place of every payload class.
    pub own: Option<Arc<Own>>,
    /// Go on with the run in this folder.
    pub resume: Option<PathBuf>,
}

impl Options {
    /// The experiments by name, each once, in the order of the list. One that would run in no block is refused.
    pub fn resolve(&self) -> Result<Vec<&'static Experiment>, String> {
        if self.experiments.is_empty() {
            return experiment::of_suite(self.suite);
        }
        let mut found: Vec<&'static Experiment> = Vec::new();
        for name in &self.experiments {
            let experiment = experiment::find(name)?;
            if !found.iter().any(|there| there.name == experiment.name) {
                found.push(experiment);
            }
        }
        self.have_blocks(&found)?;
        Ok(found)
    }

    /// An experiment that was named is meant to run: where the suite has no block for it, saying so beats an empty run.
    fn have_blocks(&self, named: &[&'static Experiment]) -> Result<(), String> {
        let without = |suite: Suite| -> Vec<&str> {
            let named = named.iter();
            named
                .filter(|experiment| (experiment.blocks)(suite) == 0)
                .map(|experiment| experiment.name)
                .collect()
        };
        let idle = without(self.suite);
        if self.blocks.is_some() || idle.is_empty() {
            return Ok(());
        }
        let larger = [Suite::Full, Suite::Wide]
            .into_iter()
            .find(|suite| without(*suite).is_empty());
        Err(format!(
            "expected experiments that run in the suite '{}', got {}, which it has no blocks for; say how many with \
             --blocks{}",
            self.suite.name(),
            idle.join(", "),
            larger.map_or(String::new(), |suite| format!(
                ", or take --suite {}",
                suite.name()
            ))
        ))
    }

    /// The plan over these transports.
    pub fn plan(&self, experiments: &[&Experiment], transports: &[Transport]) -> Plan {
        let mut plan = Plan::new(experiments, self.suite, transports, self.blocks, self.seed);
        if let Some(own) = &self.own {
            plan.carry(own);
            // Streams and lists carry orders and nothing else.
            let orders = own.kind() == Kind::Order;
            plan.retain(|cell| orders || cell.kind == CallKind::Unary);
        }
        plan
    }

    /// The options that an interrupted run in `dir` was started with, to go on with it. Its payload file, if it had one, is
    /// not kept with the results: `own` is that file again.
    pub fn of_interrupted(dir: &Path, own: Option<Arc<Own>>) -> anyhow::Result<Self> {
        let store = Store::open(dir)?;
        let manifest = &store.run().manifest;
        let list = |name: &str| listed(manifest, name);
        let digest = own.as_ref().map(|own| own.digest());
        let kept = PAYLOAD.map(|name| manifest.settings.get(name).map(String::as_str));
        anyhow::ensure!(
            kept[1] == digest,
            "{} was run with {}, and a run is gone on with as it began: give the same --payload-file, or none where there was none",
            dir.display(),
            kept[0].unwrap_or("no payload file")
        );
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
            broker_restarts: manifest
                .settings
                .get(RESTARTS)
                .and_then(|restarts| restarts.parse().ok())
                .unwrap_or(0),
            warm_up: manifest
                .settings
                .get(WARM_UP)
                .and_then(|text| crate::units::parse_duration(text).ok()),
            reruns: manifest
                .settings
                .get(RERUNS)
                .and_then(|reruns| reruns.parse().ok())
                .unwrap_or(MOST_RERUNS),
            patience: manifest
                .settings
                .get(PATIENCE)
                .and_then(|text| crate::units::parse_duration(text).ok())
                .unwrap_or_default(),
            plant: manifest.settings.get(PLANTED).cloned(),
            own,
            resume: Some(dir.to_path_buf()),
        })
    }

    /// What [`Options::of_interrupted`] needs to know again.
    pub(super) fn remembered(&self, plan: &Plan) -> BTreeMap<String, String> {
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
            (RESTARTS.to_string(), self.broker_restarts.to_string()),
            (RERUNS.to_string(), self.reruns.to_string()),
        ]);
        if let Some(own) = &self.own {
            let [name, digest] = PAYLOAD;
            settings.insert(name.into(), own.to_string());
            settings.insert(digest.into(), own.digest().into());
        }
        if let Some(plant) = &self.plant {
            settings.insert(PLANTED.into(), plant.clone());
        }
        if let Some(longest) = self.warm_up {
            settings.insert(WARM_UP.into(), format!("{}ms", longest.as_millis()));
        }
        if !self.patience.is_zero() {
            settings.insert(PATIENCE.into(), format!("{}s", self.patience.as_secs()));
        }
        if let Some(blocks) = self.blocks {
            settings.insert("blocks".into(), blocks.to_string());
        }
        settings
    }

    pub(super) fn wanted(&self) -> Vec<Transport> {
        if self.transports.is_empty() {
            Transport::ALL.to_vec()
        } else {
            self.transports.clone()
        }
    }
}

/// A setting that names several.
fn listed(manifest: &Manifest, name: &str) -> Vec<String> {
    let text = manifest.settings.get(name).map_or("", String::as_str);
    text.split(", ")
        .filter(|item| !item.is_empty())
        .map(str::to_string)
        .collect()
}

/// The experiments that a run was of, as far as this build knows them.
pub(super) fn experiments_of(manifest: &Manifest) -> Vec<&'static Experiment> {
    let named = listed(manifest, "experiments");
    if named.is_empty() {
        let suite = <Suite as clap::ValueEnum>::from_str(&manifest.suite, true);
        return suite.and_then(experiment::of_suite).unwrap_or_default();
    }
    let known = named.iter().map(|name| experiment::find(name));
    known.filter_map(Result::ok).collect()
}

/// Opens a run to go on with it, if it is the same plan by the same build on the same brokers.
pub(super) fn reopen(dir: &Path, now: &Run) -> anyhow::Result<Store> {
    let store = Store::open(dir)?;
    let then = &store.run().manifest;
    let built = |manifest: &Manifest| {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn named(experiments: &[&str], suite: Suite, blocks: Option<u32>) -> Options {
        Options {
            experiments: experiments.iter().map(ToString::to_string).collect(),
            suite,
            transports: Vec::new(),
            blocks,
            seed: 1,
            pin: true,
            out: PathBuf::from("unused"),
            exclusive: false,
            broker_restarts: 0,
            warm_up: None,
            reruns: 0,
            patience: Duration::ZERO,
            plant: None,
            own: None,
            resume: None,
        }
    }

    #[test]
    fn an_experiment_without_blocks_in_its_suite_is_refused_by_name_with_what_to_do() {
        let names = ["capacity", "streaming", "connections"];
        let refusal = named(&names, Suite::Quick, None).resolve().unwrap_err();
        for word in [
            "'quick'",
            "streaming, connections",
            "--blocks",
            "--suite full",
        ] {
            assert!(refusal.contains(word), "{refusal}");
        }
        assert!(!refusal.contains("capacity"), "{refusal}");
        for options in [
            named(&names, Suite::Quick, Some(1)),
            named(&names, Suite::Full, None),
            named(&[], Suite::Quick, None),
        ] {
            assert!(options.resolve().is_ok(), "{options:?}");
        }
    }

    #[test]
    fn every_experiment_has_blocks_in_some_suite() {
        for experiment in experiment::ALL {
            let name = [experiment.name];
            let full = named(&name, Suite::Full, None).resolve();
            let wide = named(&name, Suite::Wide, None).resolve();
            assert!(full.is_ok() || wide.is_ok(), "{}", experiment.name);
        }
    }
}
