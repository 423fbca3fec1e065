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

    /// CPU time that waiting itself has cost so far (a spin), ns.
    fn spun_ns(&self) -> u64;

    /// Returns at `at_ns` or as soon after it as can be; at once if it is past.
    async fn until(&mut self, at_ns: u64);
}

/// The host's monotonic clock with an absolute timerfd, and a cooperative spin over the last stretch.
pub struct HostClock {
    timer: AbsoluteTimer,
    spin: Duration,
}

/// The spin's length. `host/examples/lateness.rs` on a busy 2-core machine, under SCHED_FIFO to see the timer and not the
/// neighbours: p99 at 1,000/s 83 µs without it and 43 µs with it, at 5,000/s 79 and 0.6 µs. Not yet taken on an idle one.
const SPIN: Duration = Duration::from_micros(50);

/// Above 5,000/s the spin comes near a wake-up's own length (15–20 µs) and lost in the same runs: at 10,000/s, with 25 µs, p99
/// was 163 against 70 µs without. There the timerfd works alone.
const SHORTEST_PERIOD_TO_SPIN: Duration = Duration::from_micros(200);

impl HostClock {
    /// A clock for operations that are `period` apart: it spins over the last 50 µs before each where that pays.
    pub fn for_period(period: Duration) -> Result<Self, bench_host::Error> {
        Ok(Self {
            timer: AbsoluteTimer::new()?,
            spin: if period >= SHORTEST_PERIOD_TO_SPIN {
                SPIN
            } else {
                Duration::ZERO
            },
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

    fn spun_ns(&self) -> u64 {
        self.timer.spun_ns()
    }

    async fn until(&mut self, at_ns: u64) {
        if self.spin.is_zero() {
            self.timer.until(at_ns).await;
        } else {
            self.timer.until_spinning(at_ns, self.spin).await;
        }
    }
}
