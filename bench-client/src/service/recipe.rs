//! How each service of a trial is started: what it listens on, how slow it is, whom it calls. It starts nothing.

use super::process::{Launch, journal_folder};
use crate::cell::Cell;
use crate::topology::{Places, Service, Topology};
use anyhow::Context;
use bench_proto::Durability;
use bench_proto::slowness::Slowness;
use bench_transport::Transport;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How one service is started.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// Its listeners: an address, or `env` for a broker, whose address is in the environment.
    pub listeners: BTreeMap<Transport, String>,
    /// Names the queues and topics that it consumes.
    pub scope: String,
    /// What its slowness is drawn from.
    pub seed: u64,
    /// Orders that it works on at once; unbounded if none.
    pub workers: Option<usize>,
    /// Its slowness.
    pub slow: Option<Slowness>,
    /// What an order that it answered survives.
    pub durability: Durability,
    /// Folder of its journal.
    pub journal: PathBuf,
    /// What it is told about the services that it calls; known once they run.
    pub calls: Vec<String>,
    /// The run that it goes on with, where it is started again: a file with the reset.
    pub go_on: Option<PathBuf>,
}

impl Recipe {
    /// The only service of a cell without a topology.
    pub(super) fn single(cell: &Cell, launch: &Launch, journal: PathBuf) -> Self {
        Self {
            name: cell.entry().to_string(),
            listeners: listeners([cell.transport].into_iter().chain(catalogue(cell))),
            scope: launch.scope.clone(),
            seed: launch.seed,
            workers: cell.workers,
            slow: cell.slow.clone(),
            durability: cell.durability,
            journal,
            calls: Vec::new(),
            go_on: None,
        }
    }

    /// One service of a cell's topology.
    pub(super) fn of(
        cell: &Cell,
        topology: &Topology,
        service: &Service,
        places: &Places,
        launch: &Launch,
        journal: PathBuf,
    ) -> Self {
        let is_entry = service.name == cell.entry();
        let asked = catalogue(cell).filter(|_| is_entry);
        let called = topology.listens_on(service, cell.transport);
        Self {
            name: service.name.clone(),
            listeners: listeners(called.into_iter().chain(asked)),
            scope: places.scope_of(topology, &service.name),
            seed: topology.seed_of(&service.name, launch.seed),
            workers: service.workers,
            slow: service.slow.clone(),
            durability: topology.durability_of(service, cell.durability),
            journal,
            calls: Vec::new(),
            go_on: None,
        }
    }
}

/// Over what the catalogue of the service that the user calls is asked for, where the cell has a probe.
fn catalogue(cell: &Cell) -> Option<Transport> {
    cell.probe.map(|_| Transport::Rest)
}

fn listeners(transports: impl IntoIterator<Item = Transport>) -> BTreeMap<Transport, String> {
    let listener = |transport: Transport| {
        let place = if transport.needs_broker() {
            "env"
        } else {
            "127.0.0.1:0"
        };
        (transport, place.to_string())
    };
    transports.into_iter().map(listener).collect()
}

/// Where a service's journal lies. Where one folder is named for the journals of all, each service of several gets its
/// own inside it, which goes with what is returned beside the path.
pub(super) fn journal_of(
    folder: &Path,
    one_of_several: bool,
) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    let named = journal_folder(folder);
    if !one_of_several || named == folder {
        return Ok((named, None));
    }
    std::fs::create_dir_all(&named)
        .and_then(|()| {
            tempfile::Builder::new()
                .prefix("hopbench-")
                .tempdir_in(&named)
        })
        .map(|own| (own.path().to_path_buf(), Some(own)))
        .with_context(|| format!("no folder for a journal in {}", named.display()))
}
