//! How long another thread may keep the generator's core once the generator wants it. The scheduler lets whoever runs finish
//! its slice, about 3 ms by default on Linux's EEVDF: one wake-up of a daemon then delays every operation due meanwhile. A
//! thread that asks for a shorter slice of its own has the earlier deadline, and is let in at once. It takes no privilege,
//! and gives no more CPU. (sched_setattr(2); the kernel takes a slice for ordinary threads since 6.12.)

use std::io;
use std::mem::size_of;
use std::time::Duration;

use crate::Error;

/// The shortest slice that the kernel grants.
pub const SHORTEST: Duration = Duration::from_micros(100);

/// Asks for the shortest slice for the calling thread, and the threads it starts later; what is in force then, or none on
/// a kernel that knows no slices of a thread's own.
///
/// # Errors
/// The kernel refuses to change the calling thread's own scheduling.
pub fn shorten() -> Result<Option<Duration>, Error> {
    let refused = |what: &str, source| Error::Refused {
        what: what.into(),
        source,
        advice: "a seccomp filter may forbid sched_setattr here; other threads delay operations by up to 3 ms then",
    };
    let mut now =
        get().map_err(|source| refused("tell the calling thread's scheduling", source))?;
    if now.sched_policy != libc::SCHED_OTHER as u32 {
        // Whoever gave it a policy of its own, such as chrt, meant that.
        return Ok(None);
    }
    now.sched_runtime = SHORTEST.as_nanos() as u64;
    set(&now).map_err(|source| refused("shorten the calling thread's slice", source))?;
    let then = get().map_err(|source| refused("tell the calling thread's scheduling", source))?;
    Ok((then.sched_runtime > 0).then(|| Duration::from_nanos(then.sched_runtime)))
}

/// What a thread that asks is granted, tried on a thread made for it.
///
/// # Errors
/// As [`shorten`].
pub fn granted() -> Result<Option<Duration>, Error> {
    std::thread::scope(|scope| scope.spawn(shorten).join()).unwrap_or(Ok(None))
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
    fn a_thread_is_granted_the_shortest_slice_and_keeps_its_nice_value() {
        std::thread::spawn(|| {
            let before = get().unwrap();
            let granted = shorten().unwrap();
            let after = get().unwrap();
            assert_eq!(after.sched_nice, before.sched_nice);
            assert_eq!(after.sched_policy, before.sched_policy);
            // A kernel before 6.12 reports no slice, and grants none.
            match before.sched_runtime {
                0 => assert_eq!(granted, None),
                _ => assert_eq!(granted, Some(SHORTEST)),
            }
        })
        .join()
        .unwrap();
    }

    #[test]
    fn trying_it_leaves_the_calling_thread_as_it_was() {
        let before = get().unwrap().sched_runtime;
        granted().unwrap();
        assert_eq!(get().unwrap().sched_runtime, before);
    }
}
