//! Timers that keep µs where tokio's own wheel keeps ms: a timerfd on CLOCK_MONOTONIC, armed for an absolute
//! instant. [`AbsoluteTimer`] is for one waiter (the pacer), [`PreciseTimer`] for many (a service's slowness).
//! They know no load and no schedule.

mod absolute;
mod precise;

pub use absolute::AbsoluteTimer;
pub use precise::{PreciseTimer, Sleep};

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::sys::prctl;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::Error;

/// Asks the kernel to wake the calling thread, and the threads it starts later, with a slack of 1 ns instead
/// of the usual 50 µs. It concerns sleeps and poll time-outs; a timerfd has no slack anyway.
pub fn minimal_timer_slack() -> Result<(), Error> {
    prctl::set_timerslack(1).map_err(|errno| Error::Refused {
        what: "set the timer slack to 1 ns".into(),
        source: errno.into(),
        advice: "timers stay up to 50 µs late; a seccomp filter may forbid prctl here",
    })
}

/// A timerfd as tokio's reactor takes it.
struct Fd(TimerFd);

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Fd {
    fn open() -> Result<AsyncFd<Self>, Error> {
        let refused = |source: io::Error| Error::Refused {
            what: "open a timerfd on CLOCK_MONOTONIC".into(),
            source,
            advice: "raise the limit of open files (ulimit -n)",
        };
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(|e| refused(e.into()))?;
        #[allow(
            deprecated,
            reason = "its successor is unsafe code, which this workspace denies; what that guards against, a \
                      descriptor closed or changed under the reactor, cannot happen to one that Fd owns"
        )]
        AsyncFd::with_interest(Self(fd), Interest::READABLE).map_err(refused)
    }

    /// Arms for an absolute instant; what was armed before is forgotten.
    fn arm(&self, at_ns: u64) {
        // Zero would disarm; CLOCK_MONOTONIC at 1 ns is as long past. Beyond i64 seconds is "never".
        let at_ns = at_ns.max(1);
        let at = TimeSpec::new(
            (at_ns / 1_000_000_000) as i64,
            (at_ns % 1_000_000_000) as i64,
        );
        self.0
            .set(
                Expiration::OneShot(at),
                TimerSetTimeFlags::TFD_TIMER_ABSTIME,
            )
            .expect("arming an open timerfd with a well-formed instant cannot fail");
    }
}
