//! The services of one trial, started together and ended together: those that are called before those that call them.
//! One may be killed and started again on the way, or join the others later. It measures nothing.

use super::process::{Launch, ServiceProcess};
use super::recipe::{Recipe, journal_of};
use super::{Control, ControlError};
use crate::cell::Cell;
use crate::topology::Places;
use anyhow::{Context, bail, ensure};
use bench_proto::control::Reset;
use bench_proto::slowness::Slowness;
use bench_transport::Transport;
use std::path::Path;
use tempfile::TempDir;

/// The services of one trial, the one that the user calls first, each after all that call it.
#[derive(Debug)]
pub struct Fleet {
    cell: Cell,
    launch: Launch,
    places: Places,
    parts: Vec<Part>,
    /// What they were told last: a service that is started again is told it too.
    reset: Option<Reset>,
}

/// One of them.
#[derive(Debug)]
struct Part {
    recipe: Recipe,
    /// Token, certificates and (where no other folder is named) the journal: it outlives a kill.
    folder: TempDir,
    _journal: Option<TempDir>,
    process: Option<ServiceProcess>,
    in_force: serde_json::Value,
    died: bool,
}

/// A service as those see it who ask it for its account.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'f> {
    /// Its name.
    pub name: &'f str,
    /// Its control port; none while it does not run.
    pub control: Option<&'f Control>,
    /// It was killed on the way: what it knew until then is gone.
    pub died: bool,
}

impl Fleet {
    /// Starts every service of a cell but those that join later, and waits until all are ready. If one fails, none is
    /// left behind.
    ///
    /// # Errors
    /// A service could not be started; the sentence names it.
    pub async fn start(cell: &Cell, launch: &Launch) -> anyhow::Result<Self> {
        let places = Places::new(&launch.scope);
        let mut fleet = Self {
            parts: parts(cell, &places, launch)?,
            cell: cell.clone(),
            launch: launch.clone(),
            places,
            reset: None,
        };
        for index in (0..fleet.parts.len()).rev() {
            if !cell.joins_later(&fleet.parts[index].recipe.name) {
                fleet.start_part(index).await?;
            }
        }
        Ok(fleet)
    }

    async fn start_part(&mut self, index: usize) -> anyhow::Result<()> {
        let part = &mut self.parts[index];
        let name = part.recipe.name.clone();
        if let Some(topology) = &self.cell.topology
            && let Some(service) = topology.service(&name)
        {
            let calls = topology.arguments(service, &self.places);
            part.recipe.calls = calls.map_err(anyhow::Error::msg)?;
        }
        let folder = part.folder.path();
        let process = ServiceProcess::start(&self.cell, &part.recipe, &self.launch, folder)
            .await
            .with_context(|| format!("'{name}' could not be started"))?;
        for (transport, target) in &process.targets {
            if !transport.needs_broker() {
                // Started again, it is found where it was.
                part.recipe.listeners.insert(*transport, target.clone());
            }
            self.places.listens(&name, *transport, target);
        }
        part.in_force = process.in_force.clone();
        part.process = Some(process);
        Ok(())
    }

    /// Where the user connects to.
    pub fn target(&self) -> String {
        let entry = &self.parts[0];
        let broker = self.launch.brokers.get(&self.cell.transport);
        let listener = entry.recipe.listeners.get(&self.cell.transport);
        broker.or(listener).cloned().unwrap_or_default()
    }

    /// Where its catalogue can be asked for, where the cell has a probe.
    pub fn catalogue(&self) -> Option<&str> {
        let listener = self.parts[0].recipe.listeners.get(&Transport::Rest);
        listener
            .filter(|_| self.cell.probe.is_some())
            .map(String::as_str)
    }

    /// Where the service that the user calls keeps its journal, in the classes that have one.
    pub fn journal(&self) -> &Path {
        &self.parts[0].recipe.journal
    }

    /// Process ids of those that run, the one that the user calls first.
    pub fn pids(&self) -> Vec<u32> {
        self.parts
            .iter()
            .filter_map(|part| Some(part.process.as_ref()?.pid()))
            .collect()
    }

    /// The process id of one that runs.
    ///
    /// # Errors
    /// There is no such service, or it does not run.
    pub fn pid_of(&self, name: &str) -> anyhow::Result<u32> {
        let part = &self.parts[self.place(name)?];
        let process = part.process.as_ref();
        Ok(process
            .with_context(|| format!("'{name}' does not run"))?
            .pid())
    }

    /// Settings in force by service, the one that the user calls first.
    pub fn in_force(&self) -> impl Iterator<Item = (&str, &serde_json::Value)> {
        self.parts
            .iter()
            .map(|part| (part.recipe.name.as_str(), &part.in_force))
    }

    /// The services as they are asked for their accounts, each after all that call it.
    pub fn asked(&self) -> Vec<Asked<'_>> {
        self.parts
            .iter()
            .map(|part| Asked {
                name: &part.recipe.name,
                control: part.process.as_ref().map(|process| &process.control),
                died: part.died,
            })
            .collect()
    }

    /// Tells all of them to forget the last run and expect this one.
    ///
    /// # Errors
    /// One cannot be reached.
    pub async fn reset(&mut self, reset: &Reset) -> Result<(), ControlError> {
        self.reset = Some(reset.clone());
        for asked in self.asked() {
            if let Some(control) = asked.control {
                control.reset(reset).await?;
            }
        }
        Ok(())
    }

    /// Kills one where it stands; when, CLOCK_MONOTONIC ns.
    ///
    /// # Errors
    /// There is no such service, or it ended before, by itself.
    pub async fn kill(&mut self, name: &str) -> anyhow::Result<u64> {
        let place = self.place(name)?;
        let part = &mut self.parts[place];
        let Some(mut process) = part.process.take() else {
            bail!("'{name}' does not run");
        };
        ensure!(!process.has_ended()?, "'{name}' ended before, by itself");
        part.died = true;
        let now_ns = bench_host::clock::now_ns();
        process.kill().await;
        Ok(now_ns)
    }

    /// Starts one that does not run, and tells it the run that goes on: again after a kill, on the same address, scope and
    /// journal, or for the first time where it joins later. When it was ready, CLOCK_MONOTONIC ns.
    ///
    /// # Errors
    /// There is no such service, it runs, or it could not be started.
    pub async fn start_one(&mut self, name: &str) -> anyhow::Result<u64> {
        let place = self.place(name)?;
        ensure!(self.parts[place].process.is_none(), "'{name}' runs already");
        if let Some(reset) = &self.reset {
            let part = &mut self.parts[place];
            // Before it listens: a broker hands it orders at once.
            let file = part.folder.path().join("reset.json");
            let text = serde_json::to_vec(reset)?;
            std::fs::write(&file, text).context("the run that goes on cannot be written")?;
            part.recipe.go_on = Some(file);
        }
        self.start_part(place).await?;
        Ok(bench_host::clock::now_ns())
    }

    /// Makes one as slow as this from now on; since when.
    ///
    /// # Errors
    /// There is no such service, or it cannot be reached.
    pub async fn slow(&self, name: &str, slowness: &Slowness) -> anyhow::Result<u64> {
        let part = &self.parts[self.place(name)?];
        let process = part.process.as_ref();
        let process = process.with_context(|| format!("'{name}' does not run"))?;
        process.control.slow(slowness).await?;
        Ok(bench_host::clock::now_ns())
    }

    /// Ends all after they have finished what they accepted, those that call before those that are called. All of them
    /// are ended whatever one does.
    ///
    /// # Errors
    /// The first that did not stop as it should.
    pub async fn stop(self) -> anyhow::Result<()> {
        let mut stopped = Ok(());
        for part in self.parts {
            if let Some(process) = part.process {
                let ended = process.stop().await;
                stopped = stopped.and(ended.with_context(|| format!("'{}'", part.recipe.name)));
            }
        }
        stopped
    }

    /// Ends all at once, as a crash would.
    pub async fn end(self) {
        for process in self.parts.into_iter().filter_map(|part| part.process) {
            process.kill().await;
        }
    }

    fn place(&self, name: &str) -> anyhow::Result<usize> {
        let place = self.parts.iter().position(|part| part.recipe.name == name);
        place.with_context(|| format!("this trial has no service '{name}'"))
    }
}

fn parts(cell: &Cell, places: &Places, launch: &Launch) -> anyhow::Result<Vec<Part>> {
    let part = |recipe: &dyn Fn(std::path::PathBuf) -> Recipe| -> anyhow::Result<Part> {
        let folder = tempfile::Builder::new()
            .prefix("hopbench-")
            .tempdir()
            .context("no temporary folder for the service")?;
        let (journal, kept) = journal_of(folder.path(), cell.topology.is_some())?;
        Ok(Part {
            recipe: recipe(journal),
            folder,
            _journal: kept,
            process: None,
            in_force: serde_json::Value::Null,
            died: false,
        })
    };
    match &cell.topology {
        None => Ok(vec![part(&|journal| {
            Recipe::single(cell, launch, journal)
        })?]),
        Some(topology) => topology
            .callers_first()
            .into_iter()
            .map(|service| {
                part(&|journal| Recipe::of(cell, topology, service, places, launch, journal))
            })
            .collect(),
    }
}
