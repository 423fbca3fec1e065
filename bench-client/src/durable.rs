//! Evidence for the durability class `power`: a disk that does not flush is refused before anything runs on it, and one
//! that flushed nothing while orders were acknowledged gives the class the lie (docs/METHOD.md, Durability).

use crate::stack;
use anyhow::{Context, ensure};
use bench_host::disk::{FASTEST_FLUSH_NS, SyncCost, flush_requests};
use bench_proto::Durability;
use bench_transport::Transport;
use std::path::{Path, PathBuf};

/// Enough for a median, and over in milliseconds.
const SYNCS: usize = 21;

/// The disk that holds what a trial must not lose.
#[derive(Clone, Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// The disk under the journal of a service, or under the stack's broker; none for other classes and where the data
    /// lies on another machine or in a container. A disk that does not flush is an error.
    pub fn for_power(
        durability: Durability,
        transport: Transport,
        journal: &Path,
    ) -> anyhow::Result<Option<Self>> {
        if durability != Durability::Power {
            return Ok(None);
        }
        let folder = if transport.needs_broker() {
            stack::folder()
        } else {
            Some(journal.to_path_buf())
        };
        let Some(folder) = folder else {
            return Ok(None);
        };
        let cost = SyncCost::measure(&folder, SYNCS).context("durability power")?;
        ensure!(
            cost.may_flush(),
            "durability power wants a disk that flushes, and an fdatasync takes {} µs here where a flush takes {} at \
             least; name a folder on another disk with HOPBENCH_JOURNAL, or use the class process",
            cost.p50_ns / 1_000,
            FASTEST_FLUSH_NS / 1_000
        );
        Ok(Some(Self(folder)))
    }

    /// Flush requests that it has completed so far, everybody's; none where the kernel does not count them.
    pub fn flushes(&self) -> Option<u64> {
        flush_requests(&self.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_power_asks_for_a_disk() {
        let nowhere = Path::new("/nonexistent");
        let of = |durability| Disk::for_power(durability, Transport::Rest, nowhere);
        assert!(of(Durability::Process).unwrap().is_none());
        let error = format!("{:#}", of(Durability::Power).unwrap_err());
        assert!(error.contains("/nonexistent"), "{error}");
    }

    #[test]
    fn memory_is_no_disk() {
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        let error = Disk::for_power(Durability::Power, Transport::Grpc, memory.path()).unwrap_err();
        assert!(
            error.to_string().contains("wants a disk that flushes"),
            "{error}"
        );
    }
}
