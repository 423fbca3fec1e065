//! How soon a thread gets its core when somebody else is on it. Linux's scheduler lets whoever runs finish a slice of about
//! 3 ms: one wake-up of a daemon then delays every operation due meanwhile. A thread with a shorter slice of its own has the
//! earlier deadline and is let in at once; that takes no privilege and gives no more CPU (sched_setattr(2), Linux 6.12 and
//! later). Against a daemon of negative nice value it needs one itself, which takes CAP_SYS_NICE.

use std::fmt;
use std::io;
use std::mem::size_of;
use std::time::Duration;

use serde::Serialize;

use crate::Error;

/// The shortest slice that the kernel grants.
pub const SHORTEST: Duration = Duration::from_micros(100);

/// The nice value before all others of ordinary threads.
pub const FIRST: i32 = -20;

/// What a thread was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Scheduling {
    /// Its slice; none on a kernel that knows no slices of a thread's own.
    pub slice: Option<Duration>,
    /// Its nice value.
    pub nice: i32,
}

impl fmt::Display for Scheduling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.slice {
            Some(slice) => write!(f, "slice {slice:?}, nice {}", self.nice),
            None => write!(f, "the scheduler's own slice, nice {}", self.nice),
        }
    }
}

/// Asks for the shortest slice and the first nice value for the calling thread, and the threads it starts later; what is
/// in force then. Without the privilege the nice value stays.
///
/// # Errors
/// The kernel refuses to tell or to change the calling thread's own scheduling.
pub fn hasten() -> Result<Scheduling, Error> {
    let refused = |what: &str, source| Error::Refused {
        what: what.into(),
        source,
        advice: "a seccomp filter may forbid sched_setattr here; other threads delay operations by up to 3 ms then",
    };
    let get = || get().map_err(|source| refused("tell the calling thread's scheduling", source));
    let before = get()?;
    // Whoever gave it a policy of its own, as chrt does, meant that.
    if before.sched_policy == libc::SCHED_OTHER as u32 {
        let shorter = libc::sched_attr {
            sched_runtime: SHORTEST.as_nanos() as u64,
            ..before
        };
        let first = libc::sched_attr {
            sched_nice: FIRST,
            ..shorter
        };
        set(&first)
            .or_else(|_| set(&shorter))
            .map_err(|source| refused("shorten the calling thread's slice", source))?;
    }
    let after = get()?;
    Ok(Scheduling {
        slice: (after.sched_runtime > 0).then(|| Duration::from_nanos(after.sched_runtime)),
        nice: after.sched_nice,
    })
}

/// What a thread that asks is granted, tried on a thread made for it.
///
/// # Errors
/// As [`hasten`].
pub fn granted() -> Result<Scheduling, Error> {
    match std::thread::spawn(hasten).join() {
        Ok(granted) => granted,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

const SIZE: u32 = size_of::<libc::sched_attr>() as u32;

fn answered(result: libc::c_long) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn get() -> io::Result<libc::sched_attr> {
    let mut found = libc::sched_attr {
        size: SIZE,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    #[expect(
        unsafe_code,
        reason = "no kept-up crate wraps this call; the kernel writes at most SIZE bytes into a structure of that size that lives on"
    )]
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut found, SIZE, 0) };
    answered(result).map(|()| found)
}

fn set(wanted: &libc::sched_attr) -> io::Result<()> {
    #[expect(
        unsafe_code,
        reason = "no kept-up crate wraps this call; the kernel reads a structure that says its own size and is borrowed meanwhile"
    )]
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(wanted), 0) };
    answered(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_granted_the_shortest_slice_and_the_nice_value_it_may_have() {
        let asking = std::thread::spawn(|| (get().unwrap(), hasten().unwrap(), get().unwrap()));
        let (before, granted, after) = asking.join().unwrap();
        assert_eq!(after.sched_policy, before.sched_policy);
        assert_eq!(granted.nice, after.sched_nice);
        assert!([before.sched_nice, FIRST].contains(&granted.nice));
        // A kernel before 6.12 reports no slice, and grants none.
        let slice = (before.sched_runtime > 0).then_some(SHORTEST);
        assert_eq!(granted.slice, slice);
    }

    #[test]
    fn trying_it_leaves_the_calling_thread_as_it_was() {
        let before = get().unwrap();
        granted().unwrap();
        let after = get().unwrap();
        assert_eq!(
            (after.sched_runtime, after.sched_nice),
            (before.sched_runtime, before.sched_nice)
        );
    }
}
