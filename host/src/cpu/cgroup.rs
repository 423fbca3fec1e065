//! CPU time of a cgroup (version 2), for containers whose processes can't be seen from here. The caller names
//! the cgroup's directory, or asks for that of a process.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{open_process, process_error};
use crate::Error;

const ADVICE: &str = "give the directory of a version 2 cgroup, as under /sys/fs/cgroup; the CPU of \
                      containers can't be told without it";

/// What a cgroup had used at one moment, from its `cpu.stat`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupCpu {
    /// CPU time of everything in the group, its subgroups included.
    pub cpu_ns: u64,
    /// Time for which the group was held back by its own limit: a limited broker measures the limit.
    pub throttled_ns: u64,
}

impl CgroupCpu {
    /// Reads `cpu.stat` in the cgroup's directory.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("cpu.stat");
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Unreadable {
            path: path.clone(),
            source,
            advice: ADVICE,
        })?;
        Self::parse(&text).ok_or_else(|| Error::Unexpected {
            what: format!("a line \"usage_usec N\" in {}", path.display()),
            found: format!("{text:?}"),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let usec = |key: &str| {
            let value = |line: &str| line.strip_prefix(key)?.trim().parse::<u64>().ok();
            text.lines().find_map(value).map(|usec| usec * 1_000)
        };
        Some(Self {
            cpu_ns: usec("usage_usec ")?,
            // Absent where the cpu controller is off, and then there is no limit either.
            throttled_ns: usec("throttled_usec ").unwrap_or(0),
        })
    }

    /// What the group used since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            throttled_ns: self.throttled_ns.saturating_sub(earlier.throttled_ns),
        }
    }
}

/// The directory of a process's version 2 cgroup, or `None` where the machine has none mounted.
pub fn cgroup_of(pid: u32) -> Result<Option<PathBuf>, Error> {
    let process = open_process(pid)?;
    let groups = process
        .cgroups()
        .map_err(|error| process_error(pid, error))?;
    // Hierarchy 0 is version 2 (cgroups(7)).
    let Some(group) = groups.into_iter().find(|group| group.hierarchy == 0) else {
        return Ok(None);
    };
    let mounts = process
        .mountinfo()
        .map_err(|error| process_error(pid, error))?;
    let mount = mounts.into_iter().find(|mount| mount.fs_type == "cgroup2");
    Ok(mount.map(|mount| {
        mount
            .mount_point
            .join(group.pathname.trim_start_matches('/'))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_file_is_understood() {
        let directory = tempfile::tempdir().unwrap();
        let text = "usage_usec 5012345\nuser_usec 4000000\nsystem_usec 1012345\nnr_periods 7\n\
                    nr_throttled 2\nthrottled_usec 1500\n";
        std::fs::write(directory.path().join("cpu.stat"), text).unwrap();
        let now = CgroupCpu::read(directory.path()).unwrap();
        assert_eq!(now.cpu_ns, 5_012_345_000);
        assert_eq!(now.throttled_ns, 1_500_000);
        let before = CgroupCpu {
            cpu_ns: 5_000_000_000,
            throttled_ns: 0,
        };
        assert_eq!(now.since(&before).cpu_ns, 12_345_000);
    }

    #[test]
    fn a_directory_that_is_no_cgroup_is_named_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let error = CgroupCpu::read(directory.path()).unwrap_err().to_string();
        assert!(
            error.contains("cpu.stat was expected to be readable"),
            "{error}"
        );
        assert!(
            error.contains("give the directory of a version 2 cgroup"),
            "{error}"
        );
        std::fs::write(directory.path().join("cpu.stat"), "nonsense\n").unwrap();
        let error = CgroupCpu::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("usage_usec"), "{error}");
    }

    #[test]
    fn where_this_process_has_a_cgroup_its_cpu_can_be_read() {
        match cgroup_of(std::process::id()).unwrap() {
            Some(directory) => assert!(CgroupCpu::read(&directory).unwrap().cpu_ns > 0),
            None => assert!(
                !std::fs::read_to_string("/proc/self/mountinfo")
                    .unwrap()
                    .contains(" - cgroup2 ")
                    || !std::fs::read_to_string("/proc/self/cgroup")
                        .unwrap()
                        .contains("0::"),
                "a version 2 cgroup is mounted, but was not found"
            ),
        }
    }
}
