//! The evidence behind durability: what an fdatasync takes in a directory, and whether its disk was asked to flush.
//! It knows no journal and no broker.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, makedev, minor};
use procfs::process::Process;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::clock::now_ns;

/// A disk whose fdatasync takes less than this does not flush; the `power` class is refused on it.
pub const FASTEST_FLUSH_NS: u64 = 20_000;

/// What writing 4 KiB to the end of a file and fdatasync take in some directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncCost {
    /// How many were timed.
    pub count: usize,
    /// The median, in ns.
    pub p50_ns: u64,
    /// The slowest, in ns.
    pub max_ns: u64,
}

impl SyncCost {
    /// Times `count` of them (at least one) in a file of its own, which is gone afterwards.
    pub fn measure(directory: &Path, count: usize) -> Result<Self, Error> {
        let path = directory.join(format!(".fdatasync-{}", std::process::id()));
        let result = time_syncs(&path, count.max(1));
        // Also after a failure; that it may never have been made is no fault then.
        let _ = fs::remove_file(&path);
        let mut times = result.map_err(|source| Error::Refused {
            what: format!("write and fdatasync in {}", directory.display()),
            source,
            advice: "name a directory on a local disk that this user may write to",
        })?;
        times.sort_unstable();
        Ok(Self {
            count: times.len(),
            p50_ns: times[times.len() / 2],
            max_ns: times[times.len() - 1],
        })
    }

    /// Whether this disk can be flushing at all, by [`FASTEST_FLUSH_NS`].
    #[must_use]
    pub fn may_flush(&self) -> bool {
        self.p50_ns >= FASTEST_FLUSH_NS
    }
}

fn time_syncs(path: &Path, count: usize) -> std::io::Result<Vec<u64>> {
    let mut file = OpenOptions::new()
        .create_new(true)
        .append(true)
        .open(path)?;
    let block = [0x5a; 4096];
    (0..count)
        .map(|_| {
            let start = now_ns();
            file.write_all(&block)?;
            file.sync_data()?;
            Ok(now_ns() - start)
        })
        .collect()
}

/// Flush requests that the disks under a directory have completed since boot. Others write to the same disk: a
/// rise is evidence that flushing happens, its size is not ours alone.
pub fn flush_requests(directory: &Path) -> Result<u64, Error> {
    let unknown = |found: String| Error::Unexpected {
        what: format!(
            "a disk with flush counts in /proc/diskstats under {}",
            directory.display()
        ),
        found,
    };
    let disks = disks_under(directory)?;
    let stats = procfs::diskstats().map_err(|error| Error::Unreadable {
        path: "/proc/diskstats".into(),
        source: std::io::Error::other(error),
        advice: "mount /proc; without it flushing can't be shown",
    })?;
    let counted = stats
        .iter()
        .filter(|stat| disks.contains(&(stat.major as u64, stat.minor as u64)));
    let flushes: Vec<u64> = counted.filter_map(|stat| stat.flushes).collect();
    if flushes.is_empty() {
        return Err(unknown(if disks.is_empty() {
            "a file system without a disk of its own (memory, overlay or network)".into()
        } else {
            "a disk without them (they came with Linux 5.5)".into()
        }));
    }
    Ok(flushes.iter().sum())
}

/// The whole physical disks under a directory, as (major, minor). The kernel counts flushes there only: neither
/// for partitions nor for volumes that are mapped onto disks.
fn disks_under(directory: &Path) -> Result<BTreeSet<(u64, u64)>, Error> {
    let metadata = fs::metadata(directory).map_err(|source| Error::Unreadable {
        path: directory.into(),
        source,
        advice: "name a directory that exists",
    })?;
    let mut device = metadata.dev();
    if major(device) == 0 {
        // An anonymous device, as of btrfs: the mount's source may name the real one.
        match source_of_mount(device) {
            Some(source) => device = source,
            None => return Ok(BTreeSet::new()),
        }
    }
    let mut disks = BTreeSet::new();
    let mut left = vec![PathBuf::from(format!(
        "/sys/dev/block/{}:{}",
        major(device),
        minor(device)
    ))];
    while let Some(link) = left.pop() {
        let Ok(mut block) = link.canonicalize() else {
            continue;
        };
        if block.join("partition").exists() {
            block.pop();
        }
        let before = left.len();
        let below = fs::read_dir(block.join("slaves"));
        left.extend(
            below
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path()),
        );
        if left.len() == before {
            disks.extend(device_number(&block));
        }
    }
    Ok(disks)
}

fn source_of_mount(device: u64) -> Option<u64> {
    let number = format!("{}:{}", major(device), minor(device));
    let mounts = Process::myself().ok()?.mountinfo().ok()?;
    let mount = mounts.into_iter().find(|mount| mount.majmin == number)?;
    let source = fs::metadata(mount.mount_source?).ok()?.rdev();
    (major(source) != 0).then_some(source)
}

fn device_number(block: &Path) -> Option<(u64, u64)> {
    let text = fs::read_to_string(block.join("dev")).ok()?;
    let (left, right) = text.trim().split_once(':')?;
    let device = makedev(left.parse().ok()?, right.parse().ok()?);
    Some((major(device), minor(device)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On the disk of the checkout: /tmp may be memory.
    fn on_disk() -> tempfile::TempDir {
        tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap()
    }

    #[test]
    fn syncs_are_timed_and_leave_no_file_behind() {
        let directory = on_disk();
        let cost = SyncCost::measure(directory.path(), 11).unwrap();
        assert_eq!(cost.count, 11);
        assert!(0 < cost.p50_ns && cost.p50_ns <= cost.max_ns);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_disk_that_answers_too_fast_does_not_flush() {
        let cost = |p50_ns| SyncCost {
            count: 1,
            p50_ns,
            max_ns: p50_ns,
        };
        assert!(!cost(3_000).may_flush());
        assert!(cost(182_000).may_flush());
    }

    #[test]
    fn a_directory_that_is_not_there_is_a_sentence() {
        let directory = on_disk();
        let missing = directory.path().join("missing");
        let error = SyncCost::measure(&missing, 1).unwrap_err().to_string();
        assert!(
            error.contains("name a directory on a local disk"),
            "{error}"
        );
        let error = flush_requests(&missing).unwrap_err().to_string();
        assert!(error.contains("name a directory that exists"), "{error}");
    }

    #[test]
    fn syncing_raises_the_flushes_of_the_disk_or_the_disk_says_why_not() {
        let directory = on_disk();
        match flush_requests(directory.path()) {
            Ok(before) => {
                let cost = SyncCost::measure(directory.path(), 20).unwrap();
                let after = flush_requests(directory.path()).unwrap();
                // A disk without a write cache is never asked to flush, and then a sync isn't slow for it.
                assert!(
                    after >= before + 20 || after == before,
                    "{before}, {after}, {cost:?}"
                );
            }
            Err(error) => assert!(error.to_string().contains("flush counts"), "{error}"),
        }
    }

    #[test]
    fn memory_has_no_disk_to_flush() {
        let error = flush_requests(Path::new("/proc")).unwrap_err().to_string();
        assert!(error.contains("without a disk of its own"), "{error}");
    }
}
