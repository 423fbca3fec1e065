//! CPU time and its disturbances: of a process, of a named group of processes ([`CpuMeter`]), of a cgroup where
//! processes can't be seen, and of the whole machine ([`MachineCpu`]). It knows no roles; the caller names them.

mod cgroup;
mod instructions;
mod machine;
mod meter;

pub use cgroup::{CgroupCpu, cgroup_of};
pub use instructions::Instructions;
pub use machine::{CoreTime, MachineCpu, MachineUsage};
pub use meter::{CpuMeter, CpuSnapshot, CpuUsage};

use std::collections::{BTreeMap, BTreeSet};

use nix::errno::Errno;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use procfs::ProcError;
use procfs::process::{Process, all_processes};

use crate::Error;

/// CPU time that a process has used since it began, in ns: all of its threads, the ended ones included, its
/// children not. A thread that runs on another core just now is counted up to its last tick (1–4 ms ago).
pub fn process_cpu_ns(pid: u32) -> Result<u64, Error> {
    let refused = |errno: Errno| match errno {
        Errno::ESRCH | Errno::EINVAL => Error::Vanished { pid },
        other => Error::Refused {
            what: format!("read the CPU clock of process {pid}"),
            source: other.into(),
            advice: "run as the same user, or read the cgroup's cpu.stat instead",
        },
    };
    let clock = clock_getcpuclockid(as_pid(pid)).map_err(refused)?;
    read_ns(clock).map_err(refused)
}

/// CPU time that this process has used, in ns.
#[must_use]
pub fn own_cpu_ns() -> u64 {
    read_ns(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("every process can read its own CPU clock")
}

/// CPU time that the calling thread has used, in ns; exact to the reading.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    read_ns(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread can read its own CPU clock")
}

/// The given processes with all their descendants, each once, in ascending order. A daemon that detached itself
/// (Erlang's `epmd`) is no descendant any more: name it.
pub fn with_descendants(roots: &[u32]) -> Result<Vec<u32>, Error> {
    let processes = all_processes().map_err(|error| Error::Unreadable {
        path: "/proc".into(),
        source: std::io::Error::other(error),
        advice: "mount /proc, or name every process instead",
    })?;
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    // A process that ends while the list is read is nobody's child any more.
    for stat in processes
        .flatten()
        .filter_map(|process| process.stat().ok())
    {
        if let (Ok(parent), Ok(child)) = (u32::try_from(stat.ppid), u32::try_from(stat.pid)) {
            children.entry(parent).or_default().push(child);
        }
    }
    let mut found = BTreeSet::new();
    let mut left = roots.to_vec();
    while let Some(pid) = left.pop() {
        if found.insert(pid) {
            left.extend(children.get(&pid).into_iter().flatten());
        }
    }
    Ok(found.into_iter().collect())
}

pub(crate) fn as_pid(pid: u32) -> Pid {
    /// The kernel's PID_MAX_LIMIT: ids stay below it.
    const LIMIT: u32 = 1 << 22;
    // Zero would mean "myself", and a clock's id has room for 29 bits only: what can't be a process becomes an
    // id that no process has.
    let pid = if (1..LIMIT).contains(&pid) {
        pid
    } else {
        LIMIT
    };
    Pid::from_raw(pid as i32)
}

pub(crate) fn open_process(pid: u32) -> Result<Process, Error> {
    Process::new(as_pid(pid).as_raw()).map_err(|error| process_error(pid, error))
}

pub(crate) fn process_error(pid: u32, error: ProcError) -> Error {
    match error {
        ProcError::NotFound(_) => Error::Vanished { pid },
        other => Error::Unreadable {
            path: format!("/proc/{pid}").into(),
            source: std::io::Error::other(other),
            advice: "run as the same user as that process, or as root",
        },
    }
}

fn read_ns(clock: ClockId) -> Result<u64, Errno> {
    let time = clock_gettime(clock)?;
    Ok(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A child that is killed and reaped when the test ends, however it ends.
    pub(crate) struct Guarded(pub(crate) Child);

    impl Drop for Guarded {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    pub(crate) fn shell(script: &str) -> Guarded {
        let child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Guarded(child)
    }

    /// Waits for the first line that the child says.
    pub(crate) fn line_of(child: &mut Guarded) -> String {
        let mut line = String::new();
        let mut output = BufReader::new(child.0.stdout.as_mut().unwrap());
        output.read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn gone() -> u32 {
        let mut child = shell("true");
        child.0.wait().unwrap();
        child.0.id()
    }

    #[test]
    fn another_process_is_charged_what_it_burnt() {
        let mut child = shell("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo; read wait");
        line_of(&mut child);
        // A hundred thousand turns of a shell can't be had for less than a tenth of a µs each.
        assert!(process_cpu_ns(child.0.id()).unwrap() > 10_000_000);
    }

    #[test]
    fn own_clocks_go_on_with_the_work_and_the_process_holds_the_thread() {
        let (process, thread) = (own_cpu_ns(), thread_cpu_ns());
        while thread_cpu_ns() - thread < 2_000_000 {}
        assert!(own_cpu_ns() - process >= 2_000_000);
    }

    #[test]
    fn a_process_that_is_gone_is_named_in_a_sentence() {
        let pid = gone();
        let error = process_cpu_ns(pid).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "process {pid} was expected to run, but it is gone; look at its own output for the reason it \
                 ended"
            )
        );
        for nobody in [0, u32::MAX] {
            assert!(process_cpu_ns(nobody).is_err());
        }
    }

    #[test]
    fn descendants_are_found_through_a_generation() {
        let mut child = shell("sleep 20 & echo $!; wait");
        let grandchild: u32 = line_of(&mut child).trim().parse().unwrap();
        let family = with_descendants(&[std::process::id()]).unwrap();
        assert!(family.contains(&std::process::id()));
        assert!(family.contains(&child.0.id()));
        assert!(family.contains(&grandchild));
        assert_eq!(with_descendants(&[grandchild]).unwrap(), [grandchild]);
        nix::sys::signal::kill(as_pid(grandchild), nix::sys::signal::SIGKILL).unwrap();
    }
}
