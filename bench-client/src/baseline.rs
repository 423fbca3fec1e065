//! Baselines of `load`: trials kept under a name in the results folder, for later ones to be compared with. A baseline is
//! a run like any other (`compare` and `report` read it), grown by a trial each time it is saved again. One trial is one
//! observation; from the second on there is a spread to judge another by.

use crate::cell::Cell;
use crate::compare::{Comparison, Difference, compare, differences};
use crate::load::{Arrival, Mode, Stop};
use crate::manifest;
use crate::results::{ResultsError, Run, State, Store, Trial};
use crate::trial::Surroundings;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where `run` puts its results, too.
const RESULTS: &str = "results";

/// A name longer than this is a sentence.
const LONGEST_NAME: usize = 64;

/// A baseline's name: also that of its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let begins_well = text
            .chars()
            .next()
            .is_some_and(|c| c.is_ascii_alphanumeric());
        if begins_well && text.len() <= LONGEST_NAME && text.chars().all(is_plain) {
            return Ok(Self(text.into()));
        }
        Err(format!(
            "'{text}' is no name for a baseline; expected up to {LONGEST_NAME} letters, digits, '-', '_' and '.', beginning with a letter or a digit, such as main or before-upgrade"
        ))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The folder of a baseline under the current one.
pub fn folder(name: &Name) -> PathBuf {
    baselines().join(&name.0)
}

fn baselines() -> PathBuf {
    Path::new(RESULTS).join("baselines")
}

/// The baseline of a name; none if nothing was saved under it yet.
///
/// # Errors
/// There is something under the name that is no run, or of another schema.
pub fn find(name: &Name) -> Result<Option<Store>, ResultsError> {
    let dir = folder(name);
    match dir.join("run.json").exists() {
        true => Store::open(dir).map(Some),
        false => Ok(None),
    }
}

/// The names that there are, for a sentence.
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(baselines()).into_iter().flatten();
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("run.json").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A run of this cell alone, as it stands before its trial: everything that is known of it by then.
pub fn begin(cell: &Cell, surroundings: &Surroundings, is_ours: bool) -> Run {
    let mut manifest = manifest::begin(
        "load",
        1,
        surroundings.seed,
        surroundings.placement.why.clone(),
        &surroundings.brokers,
        false,
    );
    let service = match is_ours {
        true => "our own",
        false => "running already (--target)",
    };
    let settings = [
        ("service", service.to_string()),
        ("load", load(&cell.mode)),
        ("window", window(cell.stop)),
        ("load before the window", format!("{:?}", cell.warmup)),
        ("grace", format!("{:?}", cell.grace)),
        // Trials that were saved one by one share no plan with those of another baseline.
        ("plan", format!("saved one by one since {}", manifest.time)),
    ];
    let settings = settings.map(|(name, value)| (name.to_string(), value));
    manifest.settings.extend(settings);
    if let Some(plant) = &surroundings.plant {
        manifest.settings.insert("planted".into(), plant.clone());
    }
    Run {
        schema: crate::results::SCHEMA.into(),
        manifest,
        ..Run::default()
    }
}

/// A load in words.
pub fn load(mode: &Mode) -> String {
    match mode {
        Mode::Closed { callers, think } if think.is_zero() => {
            format!("closed loop, {callers} in flight")
        }
        Mode::Closed { callers, think } => {
            format!("closed loop, {callers} in flight, {think:?} between an answer and the next")
        }
        Mode::Open(Arrival::Rate { profile, spacing }) if profile.is_constant() => format!(
            "{}/s, {spacing}",
            profile.rate_at(std::time::Duration::ZERO)
        ),
        Mode::Open(Arrival::Rate { profile, spacing }) => {
            format!("{profile} per second, {spacing}")
        }
        Mode::Open(arrival) => format!("{arrival:?}"),
    }
}

fn window(stop: Stop) -> String {
    match (stop.time, stop.count) {
        (Some(time), None) => format!("{time:?}"),
        (None, Some(count)) => format!("{count} operations"),
        (Some(time), Some(count)) => format!("{time:?} or {count} operations"),
        (None, None) => "without end".into(),
    }
}

/// What forbids to set `cell` against a baseline, as far as it is known before it runs.
pub fn foreseeable(baseline: &Run, now: &Run, cell: &Cell) -> Vec<Difference> {
    let described = cell.describe();
    let names: Vec<&str> = baseline
        .trials
        .iter()
        .map(|trial| trial.cell.id.as_str())
        .collect();
    if !names.contains(&described.id.as_str()) {
        return vec![Difference {
            what: "cell".into(),
            first: names.first().unwrap_or(&"none").to_string(),
            second: described.id,
        }];
    }
    // What will be in force is seen by the trial.
    let mut then = Run {
        trials: baseline.trials.clone(),
        manifest: baseline.manifest.clone(),
        ..Run::default()
    };
    for trial in &mut then.trials {
        trial.in_force.clear();
    }
    let coming = Run {
        trials: vec![Trial {
            experiment: "load".into(),
            cell: described,
            ..Trial::default()
        }],
        manifest: now.manifest.clone(),
        ..Run::default()
    };
    differences(&then, &coming)
}

/// Sets a trial against a baseline.
pub fn against(name: &Name, baseline: &Run, mut now: Run, trial: &Trial) -> Comparison {
    now.trials = vec![trial.clone()];
    compare((name.0.as_str(), baseline), ("this run", &now))
}

/// Keeps a trial under a name: as one more of the baseline that is there, or as the first of a new one, which replaces an
/// old one whole. Written atomically; says how many trials there are now.
///
/// # Errors
/// The folder cannot be written.
pub fn save(
    name: &Name,
    there: Option<Store>,
    now: Run,
    trial: &Trial,
) -> Result<usize, ResultsError> {
    let mut store = match there {
        Some(store) => store,
        None => Store::replace(folder(name), now)?,
    };
    let block = store.run().trials.len() as u32;
    store.append_trial(Trial {
        block,
        ..trial.clone()
    })?;
    store.update(|run| run.manifest.blocks = block + 1)?;
    Ok(store.run().trials.len())
}

/// Why a trial is not worth keeping, if it is not.
pub fn unfit(trial: &Trial) -> Option<&'static str> {
    (trial.validity.state == State::Invalid)
        .then_some("the trial is INVALID, and nothing is to be compared with it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::fixture::planted;
    use bench_transport::Transport;
    use std::time::Duration;

    #[test]
    fn a_name_is_a_plain_word_and_never_a_way_to_somewhere() {
        for good in ["main", "before-upgrade", "v1.2_3", "7", &"a".repeat(64)] {
            assert_eq!(good.parse::<Name>().unwrap().to_string(), good);
        }
        let long = "a".repeat(65);
        for bad in [
            "", ".", "..", "../up", "a/b", "/a", "-a", "a b", "ä", "a\n", &long,
        ] {
            let why = bad.parse::<Name>().unwrap_err();
            assert!(why.contains("expected up to 64"), "{bad}: {why}");
        }
        let name: Name = "main".parse().unwrap();
        assert_eq!(folder(&name), Path::new("results/baselines/main"));
    }

    #[test]
    fn load_and_window_are_told_apart() {
        let closed = |callers, think| Mode::Closed { callers, think };
        let shown = [
            load(&closed(8, Duration::ZERO)),
            load(&closed(9, Duration::ZERO)),
            load(&closed(8, Duration::from_millis(5))),
            load(&Mode::Open(Arrival::constant(8.0))),
            load(&Mode::Open(Arrival::poisson(8.0, 1))),
            load(&Mode::Open(Arrival::poisson(8.0, 2))),
            window(Stop::after(Duration::from_secs(8))),
            window(Stop::count(8)),
        ];
        let distinct: std::collections::BTreeSet<&String> = shown.iter().collect();
        assert_eq!(distinct.len(), shown.len(), "{shown:?}");
    }

    #[test]
    fn a_baseline_of_another_cell_or_of_other_settings_is_known_before_it_runs() {
        let cell = Cell::new(Transport::Tcp);
        let mut now = Run {
            manifest: planted().manifest,
            ..Run::default()
        };
        let mut baseline = now.clone();
        baseline.trials = vec![Trial {
            experiment: "load".into(),
            cell: cell.describe(),
            in_force: [("nodelay".to_string(), "true".to_string())].into(),
            ..Trial::default()
        }];
        assert!(foreseeable(&baseline, &now, &cell).is_empty());
        let other = Cell {
            tls: true,
            ..cell.clone()
        };
        assert_eq!(foreseeable(&baseline, &now, &other)[0].what, "cell");
        // Not part of a cell's name, and part of it all the same.
        let other = Cell {
            timeout: Duration::from_secs(1),
            ..cell.clone()
        };
        assert!(
            foreseeable(&baseline, &now, &other)[0]
                .what
                .contains("timeout_ms")
        );
        now.manifest
            .settings
            .insert("window".into(), "3 operations".into());
        assert_eq!(
            foreseeable(&baseline, &now, &cell)[0].what,
            "setting: window"
        );
    }
}
