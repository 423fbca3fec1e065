//! What `load` does with its trial once the run is over: thresholds, baselines. Whatever can be refused is refused before
//! it begins.

use super::compare::refuse;
use super::{print, usage};
use crate::baseline::{self, Name};
use crate::cell::Cell;
use crate::compare::Difference;
use crate::report;
use crate::results::{Run, Store, Trial};
use crate::threshold::Threshold;
use crate::trial::Surroundings;
use clap::Args;

/// Flags of `load` that speak of the run's end.
#[derive(Debug, Args)]
pub(super) struct After {
    /// Exit with 4 where this is so, such as p99>20ms, completion.p99>1s, errors>0.1%, lost>0, rate<1000/s or cpu>80us; may
    /// be given several times (see below)
    #[arg(long, value_name = "EXPR")]
    fail_if: Vec<Threshold>,
    /// Keep the trial in results/baselines/NAME; a baseline that is there grows by it
    #[arg(long, value_name = "NAME")]
    save: Option<Name>,
    /// Start the baseline of --save anew
    #[arg(long, requires = "save")]
    replace: bool,
    /// At the end, compare with what --save kept under this name
    #[arg(long, value_name = "NAME")]
    baseline: Option<Name>,
    /// Compare with (or add to) a baseline of another machine, build or settings all the same; the output is marked
    #[arg(long)]
    anyway: bool,
}

/// Baselines as they were when the run began.
pub(super) struct Kept {
    /// This run without its trial.
    now: Run,
    baseline: Option<Store>,
    /// What the trial is added to.
    growing: Option<Store>,
}

impl After {
    /// Refuses thresholds on figures that the run will not have: lateness without a rate, deliveries without the service's
    /// side of the ledger.
    pub(super) fn check(&self, has_rate: bool, knows_service: bool) -> anyhow::Result<()> {
        for threshold in &self.fail_if {
            if threshold.needs_rate() && !has_rate {
                return Err(usage(format!(
                    "--fail-if '{threshold}' asks for lateness, and a closed loop plans nothing that could be late; give --rate, or leave it out"
                )));
            }
            if threshold.needs_service() && !knows_service {
                return Err(usage(format!(
                    "--fail-if '{threshold}' asks for what only the service knows, and this run cannot ask it at its end; give --control and --token-file of the --target, or leave it out"
                )));
            }
        }
        Ok(())
    }

    /// Opens the baselines and refuses those that this run cannot be compared with or added to. None where there are none.
    pub(super) fn open(
        &self,
        cell: &Cell,
        surroundings: &Surroundings,
        is_ours: bool,
    ) -> anyhow::Result<Option<Kept>> {
        if self.save.is_none() && self.baseline.is_none() {
            return Ok(None);
        }
        let now = baseline::begin(cell, surroundings, is_ours);
        let baseline = match &self.baseline {
            Some(name) => Some(self.comparable(name, &now, cell)?),
            None => None,
        };
        let growing = match &self.save {
            Some(name) if !self.replace => self.growing(name, &now, cell)?,
            _ => None,
        };
        Ok(Some(Kept {
            now,
            baseline,
            growing,
        }))
    }

    fn comparable(&self, name: &Name, now: &Run, cell: &Cell) -> anyhow::Result<Store> {
        let Some(store) = baseline::find(name)? else {
            let names = baseline::names();
            let there = match names.is_empty() {
                true => "there is none yet".to_string(),
                false => format!("there are {}", names.join(", ")),
            };
            return Err(usage(format!(
                "no baseline is called '{name}': {there}; keep one with --save {name} first"
            )));
        };
        if !self.anyway {
            let differences = baseline::foreseeable(store.run(), now, cell);
            refuse(
                &differences,
                &format!("baseline '{name}' (first) is not comparable with this run (second)"),
            )?;
        }
        Ok(store)
    }

    fn growing(&self, name: &Name, now: &Run, cell: &Cell) -> anyhow::Result<Option<Store>> {
        let Some(store) = baseline::find(name)? else {
            return Ok(None);
        };
        let mut differences = baseline::foreseeable(store.run(), now, cell);
        let commits = [store.run(), now].map(|run| {
            let commit = run.manifest.commit.as_deref();
            commit.unwrap_or("unknown").to_string()
        });
        let [first, second] = commits;
        if first != second {
            let what = "commit".into();
            differences.push(Difference {
                what,
                first,
                second,
            });
        }
        if !self.anyway {
            refuse(
                &differences,
                &format!(
                    "baseline '{name}' (first) holds trials of something else than this run (second); take another name, or start it anew with --replace"
                ),
            )?;
        }
        Ok(Some(store))
    }

    /// Prints what became of thresholds and baselines, and keeps the trial; whether a threshold was crossed. Beside `--json`
    /// it all goes to standard error.
    pub(super) fn conclude(
        &self,
        kept: Option<Kept>,
        trial: &Trial,
        json: bool,
    ) -> anyhow::Result<bool> {
        let say = |text: &str| match json {
            true => {
                eprint!("{text}");
                Ok(())
            }
            false => print(text),
        };
        let judged: Vec<_> = self
            .fail_if
            .iter()
            .map(|threshold| threshold.judge(trial))
            .collect();
        if !judged.is_empty() {
            say(&report::thresholds(&judged))?;
        }
        if let Some(kept) = kept {
            self.keep(kept, trial, say)?;
        }
        Ok(judged.iter().any(|one| one.crossed))
    }

    fn keep(
        &self,
        kept: Kept,
        trial: &Trial,
        say: impl Fn(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Kept {
            now,
            baseline,
            growing,
        } = kept;
        let mut differences = Vec::new();
        if let (Some(name), Some(store)) = (&self.baseline, baseline) {
            let comparison = baseline::against(name, store.run(), now.clone(), trial);
            say(&report::comparison(&comparison))?;
            differences = comparison.differences;
        }
        if let Some(name) = &self.save {
            match baseline::unfit(trial) {
                Some(why) => say(&format!("\nNot kept as baseline '{name}': {why}.\n")),
                None => {
                    let trials = baseline::save(name, growing, now, trial)?;
                    say(&format!(
                        "\nKept as baseline '{name}' ({trials} trials of it now): {}\n",
                        baseline::folder(name).display()
                    ))
                }
            }?;
        }
        if self.anyway {
            return Ok(());
        }
        // What was in force is only known now.
        refuse(&differences, "the baseline was not comparable after all")
    }
}
