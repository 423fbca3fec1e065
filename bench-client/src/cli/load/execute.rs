//! The run of `load`: what it needs is found first, then it runs, is shown and concluded.

use super::LoadArgs;
use crate::baseline;
use crate::cell::Cell;
use crate::cli::live::{self, Live};
use crate::cli::own::weighed;
use crate::cli::run::Pin;
use crate::cli::{Exit, print, usage};
use crate::load::Watch;
use crate::results::{self, State};
use crate::service::{Control, Launch};
use crate::stack::Brokers;
use crate::trial::{self, Elsewhere, Surroundings};
use crate::{report, tls};
use anyhow::Context;
use bench_host::place::Placement;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What takes longer says so.
const UNTOLD: Duration = Duration::from_secs(2);

fn in_words(cell: &Cell) -> String {
    format!(
        "{} carries {} as {}, {}",
        cell.transport,
        cell.payload,
        cell.format,
        baseline::load(&cell.mode)
    )
}

/// Marks a trial whose window its user ended: the service still counted by the window that was planned.
fn cut_short(trial: &mut results::Trial) {
    trial.validity.state = trial.validity.state.max(State::Suspect);
    trial.validity.reasons.push(format!(
        "ended by hand after {:.1} s: what was completed in its drain counts as completed in the window; it is neither kept nor compared as a baseline",
        trial.window_s
    ));
}

impl LoadArgs {
    pub(in crate::cli) async fn execute(self, quiet: bool) -> anyhow::Result<Exit> {
        let cell = self.cell()?;
        self.check_thresholds()?;
        if let Some(own) = cell.own.as_deref().filter(|_| !self.json) {
            print(&report::own(&weighed(own, self.seed)))?;
        }
        trial::plant_codec(self.plant.as_deref()).map_err(usage)?;
        let brokers = Brokers::find();
        if self.target.is_none() {
            brokers.addresses_for(&cell)?;
        }
        let placement = match self.pin {
            Pin::Auto => Placement::for_this_machine(self.threads as usize)?,
            Pin::None => Placement::none("asked for with --pin none"),
        };
        let surroundings = Surroundings {
            program: if self.target.is_some() {
                PathBuf::new()
            } else {
                Launch::find_program()?
            },
            placement,
            brokers,
            idle: BTreeMap::new(),
            seed: self.seed,
            zero_ns: bench_host::clock::now_ns(),
            plant: self.plant.clone(),
            watch: (!(self.no_tui || self.json || quiet) && live::is_possible())
                .then(Watch::default),
        };
        let kept = self
            .after
            .open(&cell, &surroundings, self.target.is_none())?;
        // A terminal that cannot be drawn on is no reason not to run.
        let watch = surroundings.watch.clone();
        let live = watch
            .as_ref()
            .and_then(|watch| Live::start(in_words(&cell), cell.stop, watch.clone()).ok());
        let expected = cell.expected_time();
        if live.is_none() && !quiet && expected > UNTOLD {
            eprintln!("{}: about {} s", in_words(&cell), expected.as_secs());
        }
        let run = trial::fresh_run_id();
        let mut trial = match &self.target {
            None => trial::run(&cell, run, &surroundings).await?,
            Some(target) => {
                let control = match (&self.control, &self.token_file) {
                    (Some(address), Some(file)) => {
                        Some(Control::new(address, file).context("--control")?)
                    }
                    _ => None,
                };
                let elsewhere = Elsewhere {
                    target: target.clone(),
                    scope: self.scope.clone(),
                    control,
                    tls: match self.tls {
                        true => Some(tls::believing(self.ca.as_deref())?),
                        false => None,
                    },
                };
                trial::run_elsewhere(&cell, run, &elsewhere, &surroundings).await?
            }
        };
        drop(live);
        trial.experiment = "load".into();
        let is_cut_short = watch.is_some_and(|watch| watch.is_halted());
        if is_cut_short {
            cut_short(&mut trial);
        }
        self.show(&trial)?;
        let kept = kept.filter(|_| !is_cut_short);
        let crossed = self.after.conclude(kept, &trial, self.json)?;
        Ok(match trial.validity.state {
            // Of a trial that cannot be trusted no threshold says anything.
            State::Invalid => Exit::Invalid,
            _ if crossed => Exit::Threshold,
            _ => Exit::Done,
        })
    }

    /// Refuses a threshold on what this run cannot measure.
    fn check_thresholds(&self) -> anyhow::Result<()> {
        let is_known = self.target.is_none() || self.control.is_some();
        self.after.check(self.rate.is_some(), is_known)
    }

    fn show(&self, trial: &results::Trial) -> anyhow::Result<()> {
        if self.json {
            print(&(serde_json::to_string_pretty(trial)? + "\n"))?;
        } else {
            print(&report::trial(trial))?;
        }
        Ok(())
    }
}
