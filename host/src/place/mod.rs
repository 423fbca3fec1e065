//! Which cores each process runs on. Left to the scheduler, placement moves latency 4–6 times (two ends on one
//! core or on two), so it is decided once and pinned. It knows the three roles of a benchmark and no command.

mod plan;

pub use plan::Placement;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::cpu::{as_pid, open_process, process_error};

/// A set of CPUs, in ascending order, printed as the kernel does: "0-2,5".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cpus(BTreeSet<usize>);

impl Cpus {
    /// The CPUs that the calling thread may run on: a container, `taskset` or a cpuset may leave only some.
    pub fn allowed() -> Result<Self, Error> {
        affinity(Pid::from_raw(0)).map_err(|errno| refused("read the own CPU affinity", errno))
    }

    /// Their numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<usize> for Cpus {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if(|&next| next == last + 1) {
                last = next;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

/// Pins the calling thread, and so the threads that it starts afterwards.
pub fn pin_thread(cpus: &Cpus) -> Result<(), Error> {
    set(Pid::from_raw(0), cpus)
        .map_err(|errno| refused(format!("pin this thread to CPU {cpus}"), errno))
}

/// Pins every thread of this process.
pub fn pin_self(cpus: &Cpus) -> Result<(), Error> {
    pin_process(std::process::id(), cpus)
}

/// Pins every thread of a process. Threads that it starts later inherit it; children that run already don't:
/// pin those too ([`crate::cpu::with_descendants`]).
pub fn pin_process(pid: u32, cpus: &Cpus) -> Result<(), Error> {
    let what = || format!("pin process {pid} to CPU {cpus}");
    let mut pinned = BTreeSet::new();
    // A thread that was started by a not yet pinned one while the list was read shows up in the next pass.
    loop {
        let before = pinned.len();
        for thread in threads(pid)? {
            if pinned.contains(&thread) {
                continue;
            }
            match set(Pid::from_raw(thread), cpus) {
                Ok(()) => drop(pinned.insert(thread)),
                Err(Errno::ESRCH) => {} // ended meanwhile
                Err(errno) => return Err(refused(what(), errno)),
            }
        }
        if pinned.len() == before {
            break;
        }
    }
    if pinned.is_empty() {
        return Err(Error::Vanished { pid });
    }
    Ok(())
}

/// The CPUs that *all* threads of a process are confined to together: what is in force, for the manifest.
pub fn cpus_of(pid: u32) -> Result<Cpus, Error> {
    let mut cpus = BTreeSet::new();
    for thread in threads(pid)? {
        match affinity(Pid::from_raw(thread)) {
            Ok(allowed) => cpus.extend(allowed.0),
            Err(Errno::ESRCH) => {} // ended meanwhile
            Err(errno) => {
                let what = format!("read the CPU affinity of process {pid}");
                return Err(refused(what, errno));
            }
        }
    }
    Ok(Cpus(cpus))
}

fn threads(pid: u32) -> Result<Vec<i32>, Error> {
    // Only the kernel's id of a thread is needed, so its files aren't opened.
    open_process(pid)?;
    let path = PathBuf::from(format!("/proc/{}/task", as_pid(pid)));
    let listing = std::fs::read_dir(&path).map_err(|source| Error::Unreadable {
        path,
        source,
        advice: "see whether that process still runs",
    })?;
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let threads: Vec<i32> = listing.flatten().filter_map(number).collect();
    if threads.is_empty() {
        return Err(process_error(pid, procfs::ProcError::NotFound(None)));
    }
    Ok(threads)
}

fn affinity(thread: Pid) -> Result<Cpus, Errno> {
    let set = sched_getaffinity(thread)?;
    let allowed = |&cpu: &usize| set.is_set(cpu).unwrap_or(false);
    Ok((0..CpuSet::count()).filter(allowed).collect())
}

fn set(thread: Pid, cpus: &Cpus) -> Result<(), Errno> {
    let mut set = CpuSet::new();
    for cpu in cpus.iter() {
        set.set(cpu)?;
    }
    sched_setaffinity(thread, &set)
}

fn refused(what: impl Into<String>, errno: Errno) -> Error {
    Error::Refused {
        what: what.into(),
        source: errno.into(),
        advice: "choose among the CPUs that this process may use (taskset -p $$ shows them), or give --pin none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::tests::{gone, shell};

    #[test]
    fn cpus_print_as_the_kernel_prints_them() {
        let shown = |cpus: &[usize]| cpus.iter().copied().collect::<Cpus>().to_string();
        assert_eq!(shown(&[]), "");
        assert_eq!(shown(&[3]), "3");
        assert_eq!(shown(&[2, 0, 1, 5]), "0-2,5");
        assert_eq!(shown(&[0, 1, 7, 8]), "0-1,7-8");
    }

    #[test]
    fn a_thread_runs_where_it_is_pinned() {
        let allowed = Cpus::allowed().unwrap();
        let last: Cpus = allowed.iter().last().into_iter().collect();
        let seen = std::thread::spawn({
            let last = last.clone();
            move || {
                pin_thread(&last).unwrap();
                (
                    Cpus::allowed().unwrap(),
                    nix::sched::sched_getcpu().unwrap(),
                )
            }
        });
        let (inside, running_on) = seen.join().unwrap();
        assert_eq!(inside, last);
        assert_eq!(last.iter().collect::<Vec<_>>(), [running_on]);
        assert_eq!(
            Cpus::allowed().unwrap(),
            allowed,
            "other threads stay as they were"
        );
    }

    #[test]
    fn another_process_runs_where_it_is_pinned() {
        let child = shell("read wait");
        let first: Cpus = Cpus::allowed().unwrap().iter().take(1).collect();
        pin_process(child.0.id(), &first).unwrap();
        assert_eq!(cpus_of(child.0.id()).unwrap(), first);
    }

    #[test]
    fn all_threads_of_a_process_are_pinned_together() {
        // This test's own process has threads; it is put back where it was.
        let allowed = cpus_of(std::process::id()).unwrap();
        pin_self(&allowed).unwrap();
        assert_eq!(cpus_of(std::process::id()).unwrap(), allowed);
    }

    #[test]
    fn pinning_what_is_not_there_is_a_sentence() {
        let error = pin_process(gone(), &Cpus::allowed().unwrap()).unwrap_err();
        assert!(matches!(error, Error::Vanished { .. }), "{error}");
        let error = pin_thread(&Cpus::default()).unwrap_err().to_string();
        assert!(error.contains("--pin none"), "{error}");
        let error = pin_thread(&[CpuSet::count()].into_iter().collect()).unwrap_err();
        assert!(
            error.to_string().contains("choose among the CPUs"),
            "{error}"
        );
    }
}
