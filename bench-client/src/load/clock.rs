//! The clock a load runs on: the host's (timerfd, CLOCK_MONOTONIC) or, in tests, a virtual one.

use bench_host::timer::AbsoluteTimer;
use std::time::Duration;

/// Tells the time and waits for an instant.
#[allow(async_fn_in_trait)]
pub trait Clock {
    /// Nanoseconds on the clock that planned instants are on.
    fn now_ns() -> u64;

    /// CPU time of the calling thread.
    fn thread_cpu_ns() -> u64;

    /// Returns at `at_ns` or as soon after it as can be; at once if it is past.
    async fn until(&mut self, at_ns: u64);
}

/// The host's monotonic clock with an absolute timerfd, and a cooperative spin over the last stretch.
pub struct HostClock {
    timer: AbsoluteTimer,
    spin: Duration,
}

/// A spin longer than this burns CPU and wins nothing: timerfd wakes within 33–138 µs (p99) of its instant.
const LONGEST_SPIN: Duration = Duration::from_micros(50);

impl HostClock {
    /// A clock for operations that are `period` apart: it spins min(50 µs, period ÷ 4) before each.
    pub fn for_period(period: Duration) -> Result<Self, bench_host::Error> {
        Ok(Self {
            timer: AbsoluteTimer::new()?,
            spin: LONGEST_SPIN.min(period / 4),
        })
    }

    /// A clock that never spins.
    pub fn without_spin() -> Result<Self, bench_host::Error> {
        Ok(Self {
            timer: AbsoluteTimer::new()?,
            spin: Duration::ZERO,
        })
    }
}

impl Clock for HostClock {
    fn now_ns() -> u64 {
        bench_host::clock::now_ns()
    }

    fn thread_cpu_ns() -> u64 {
        bench_host::cpu::thread_cpu_ns()
    }

    async fn until(&mut self, at_ns: u64) {
        if self.spin.is_zero() {
            self.timer.until(at_ns).await;
        } else {
            self.timer.until_spinning(at_ns, self.spin).await;
        }
    }
}
