//! A named group of processes between two moments: CPU time, context switches, major faults. What could not be
//! counted is a sentence beside the figures, never a silent zero.

use std::collections::BTreeMap;
use std::path::PathBuf;

use procfs::process::Process;
use serde::{Deserialize, Serialize};

use super::{CgroupCpu, open_process, process_cpu_ns, process_error, with_descendants};
use crate::Error;
use crate::clock::now_ns;

/// Reads a group of processes, such as "broker": a process with all of its children.
#[derive(Debug, Clone)]
pub struct CpuMeter {
    name: String,
    roots: Vec<u32>,
    descendants: bool,
    cgroup: Option<PathBuf>,
}

impl CpuMeter {
    /// A group of exactly these processes.
    #[must_use]
    pub fn new(name: impl Into<String>, pids: &[u32]) -> Self {
        Self {
            name: name.into(),
            roots: pids.to_vec(),
            descendants: false,
            cgroup: None,
        }
    }

    /// Everything in a cgroup, for containers whose processes can't be seen from here: CPU time only.
    #[must_use]
    pub fn of_cgroup(name: impl Into<String>, directory: impl Into<PathBuf>) -> Self {
        Self {
            cgroup: Some(directory.into()),
            ..Self::new(name, &[])
        }
    }

    /// A group of these processes and whatever descends from them at each snapshot.
    #[must_use]
    pub fn of_families(name: impl Into<String>, roots: &[u32]) -> Self {
        Self {
            descendants: true,
            ..Self::new(name, roots)
        }
    }

    /// The name that the caller gave to the group.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the group now. A process that can't be read is a sentence in the difference.
    #[must_use]
    pub fn snapshot(&self) -> CpuSnapshot {
        let mut unread = Vec::new();
        let pids = if self.descendants {
            with_descendants(&self.roots).unwrap_or_else(|error| {
                unread.push(format!("{}: {error}", self.name));
                self.roots.clone()
            })
        } else {
            self.roots.clone()
        };
        let at_ns = now_ns();
        // First all the clocks, close together; then what takes ms to read (a JVM has a hundred threads).
        let clocks: Vec<_> = pids.iter().map(|&pid| process_cpu_ns(pid)).collect();
        let mut processes = BTreeMap::new();
        for (pid, cpu_ns) in pids.into_iter().zip(clocks) {
            match cpu_ns.and_then(|cpu_ns| Reading::of(pid, cpu_ns)) {
                Ok(reading) => drop(processes.insert(pid, reading)),
                // A child may end between listing and reading; only the named ones were promised.
                Err(Error::Vanished { .. }) if !self.roots.contains(&pid) => {}
                Err(error) => unread.push(format!("{}: {error}", self.name)),
            }
        }
        let cgroup = self.cgroup.as_ref().and_then(|directory| {
            CgroupCpu::read(directory)
                .map_err(|error| unread.push(format!("{}: {error}", self.name)))
                .ok()
        });
        CpuSnapshot {
            at_ns,
            processes,
            cgroup,
            unread,
        }
    }
}

/// What a group had used at one moment.
#[derive(Debug, Clone)]
pub struct CpuSnapshot {
    /// When the clocks were read.
    pub at_ns: u64,
    processes: BTreeMap<u32, Reading>,
    cgroup: Option<CgroupCpu>,
    unread: Vec<String>,
}

#[derive(Debug, Clone)]
struct Reading {
    /// Start time in ticks: tells a process from a later one of the same id.
    born: u64,
    command: String,
    cpu_ns: u64,
    major_faults: u64,
    /// Per thread, since a thread that ends takes its counts with it: voluntary and involuntary switches.
    switches: BTreeMap<i32, (u64, u64)>,
}

impl Reading {
    fn of(pid: u32, cpu_ns: u64) -> Result<Self, Error> {
        let process = open_process(pid)?;
        let stat = process.stat().map_err(|error| process_error(pid, error))?;
        Ok(Self {
            born: stat.starttime,
            command: stat.comm,
            cpu_ns,
            major_faults: stat.majflt,
            switches: switches(&process).map_err(|error| process_error(pid, error))?,
        })
    }
}

fn switches(process: &Process) -> Result<BTreeMap<i32, (u64, u64)>, procfs::ProcError> {
    let of_thread = |status: procfs::process::Status| {
        let voluntary = status.voluntary_ctxt_switches.unwrap_or(0);
        let involuntary = status.nonvoluntary_ctxt_switches.unwrap_or(0);
        (status.pid, (voluntary, involuntary))
    };
    // A thread that ends while the list is read is left out, as if it had ended just before.
    let threads = process.tasks()?.flatten();
    Ok(threads
        .filter_map(|thread| thread.status().ok().map(of_thread))
        .collect())
}

/// What a group used between two snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuUsage {
    /// Time between the snapshots.
    pub elapsed_ns: u64,
    /// CPU time of all processes of the group.
    pub cpu_ns: u64,
    /// Context switches that the threads asked for (they waited).
    pub voluntary_switches: u64,
    /// Context switches that the scheduler forced (others wanted the core).
    pub involuntary_switches: u64,
    /// Page faults that had to read a disk.
    pub major_faults: u64,
    /// Threads that ended in between: their context switches since the first snapshot are not counted.
    pub threads_ended: u64,
    /// What could not be counted, as sentences; empty when the figures are whole.
    pub errors: Vec<String>,
}

impl CpuSnapshot {
    /// What the group used since `earlier`, a snapshot of the same meter. Processes that were born in between
    /// count whole.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> CpuUsage {
        let mut usage = CpuUsage {
            elapsed_ns: self.at_ns.saturating_sub(earlier.at_ns),
            errors: earlier.unread.iter().chain(&self.unread).cloned().collect(),
            ..CpuUsage::default()
        };
        if let (Some(now), Some(before)) = (&self.cgroup, &earlier.cgroup) {
            let used = now.since(before);
            usage.cpu_ns += used.cpu_ns;
            if used.throttled_ns > 0 {
                usage.errors.push(format!(
                    "the cgroup was held back by its CPU limit for {} ms: what was measured is the limit; lift it",
                    used.throttled_ns / 1_000_000
                ));
            }
        }
        for (pid, before) in &earlier.processes {
            if self.processes.get(pid).map(|now| now.born) != Some(before.born) {
                usage.errors.push(format!(
                    "process {pid} ({}) was expected to run through the window, but it ended: what it used in it \
                     is not counted; look at its own output for the reason",
                    before.command
                ));
            }
        }
        for (pid, now) in &self.processes {
            let before = earlier
                .processes
                .get(pid)
                .filter(|before| before.born == now.born);
            usage.add(now, before);
        }
        usage
    }
}

impl CpuUsage {
    fn add(&mut self, now: &Reading, before: Option<&Reading>) {
        let grown = |read: fn(&Reading) -> u64| read(now) - before.map_or(0, read).min(read(now));
        self.cpu_ns += grown(|reading| reading.cpu_ns);
        self.major_faults += grown(|reading| reading.major_faults);
        for (thread, (voluntary, involuntary)) in &now.switches {
            let (voluntary_before, involuntary_before) = before
                .and_then(|before| before.switches.get(thread))
                .copied()
                .unwrap_or_default();
            self.voluntary_switches += voluntary.saturating_sub(voluntary_before);
            self.involuntary_switches += involuntary.saturating_sub(involuntary_before);
        }
        self.threads_ended += before.map_or(0, |before| {
            let ended = |thread: &&i32| !now.switches.contains_key(thread);
            before.switches.keys().filter(ended).count() as u64
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::tests::{gone, line_of, shell};
    use super::*;
    use crate::cpu::thread_cpu_ns;

    #[test]
    fn a_group_is_charged_the_work_and_the_waits_of_its_threads() {
        let meter = CpuMeter::new("client", &[std::process::id()]);
        assert_eq!(meter.name(), "client");
        let before = meter.snapshot();
        let start = thread_cpu_ns();
        while thread_cpu_ns() - start < 3_000_000 {}
        for _ in 0..20 {
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        let usage = meter.snapshot().since(&before);
        assert_eq!(usage.errors, [""; 0]);
        assert!(usage.cpu_ns >= 3_000_000);
        assert!(usage.voluntary_switches >= 20);
        assert!(usage.elapsed_ns >= 7_000_000);
    }

    #[test]
    fn a_process_that_ends_in_the_window_is_a_sentence_and_not_a_panic() {
        let mut child = shell("read wait");
        let pid = child.0.id();
        let meter = CpuMeter::new("service", &[pid]);
        let before = meter.snapshot();
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        let usage = meter.snapshot().since(&before);
        assert_eq!(usage.cpu_ns, 0);
        let errors = usage.errors.join("\n");
        assert!(errors.contains(&format!("process {pid} (sh) was expected to run through")));
    }

    #[test]
    fn a_cgroup_is_charged_as_a_whole_and_its_limit_is_a_sentence() {
        let directory = tempfile::tempdir().unwrap();
        let write = |used: u64, throttled: u64| {
            let text = format!("usage_usec {used}\nthrottled_usec {throttled}\n");
            std::fs::write(directory.path().join("cpu.stat"), text).unwrap();
        };
        let meter = CpuMeter::of_cgroup("broker", directory.path());
        write(1_000, 0);
        let before = meter.snapshot();
        write(3_500, 0);
        let usage = meter.snapshot().since(&before);
        assert_eq!((usage.cpu_ns, usage.errors.len()), (2_500_000, 0));
        write(3_500, 4_000);
        let usage = meter.snapshot().since(&before);
        assert!(usage.errors[0].contains("held back by its CPU limit for 4 ms"));
        std::fs::remove_file(directory.path().join("cpu.stat")).unwrap();
        assert_eq!(meter.snapshot().since(&before).errors.len(), 1);
    }

    #[test]
    fn a_process_that_never_was_is_a_sentence_in_both_snapshots() {
        let pid = gone();
        let meter = CpuMeter::new("broker", &[pid]);
        let before = meter.snapshot();
        let usage = meter.snapshot().since(&before);
        assert_eq!(usage.errors.len(), 2);
        assert!(usage.errors[0].starts_with(&format!("broker: process {pid} was expected to run")));
    }

    #[test]
    fn a_child_that_is_born_in_the_window_counts_with_its_family() {
        let mut child = shell(
            "read go; sh -c 'i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; echo; read wait'; exit 0",
        );
        let meter = CpuMeter::of_families("broker", &[child.0.id()]);
        let alone = CpuMeter::new("parent", &[child.0.id()]);
        let (before, alone_before) = (meter.snapshot(), alone.snapshot());
        child.0.stdin.as_ref().unwrap().write_all(b"go\n").unwrap();
        line_of(&mut child);
        let usage = meter.snapshot().since(&before);
        let alone = alone.snapshot().since(&alone_before);
        assert_eq!(usage.errors, [""; 0]);
        assert!(usage.cpu_ns > alone.cpu_ns + 5_000_000);
        drop(child.0.stdin.take());
    }
}
