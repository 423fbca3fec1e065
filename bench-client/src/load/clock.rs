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

/// The longest spin. `host/examples/lateness.rs` on an idle 2-core machine, p99 without and with it: 98 and 52 µs at 1,000/s,
/// 99 and 21 at 5,000/s, 90 and 26 at 10,000/s.
const SPIN: Duration = Duration::from_micros(50);

/// And never more of a period than this part: at 10,000/s it then costs no more CPU than the wake-ups it saves (22 % of a
/// core with it, 24 % without).
const PART_OF_PERIOD: u32 = 4;

/// A spin shorter than a wake-up (15–20 µs) cannot end before its instant: at 20,000/s, with 12.5 µs and operations between,
/// `calibrate` saw a p99 of 268 µs with it and 56 µs without.
const SHORTEST_SPIN: Duration = Duration::from_micros(20);

impl HostClock {
    /// A clock for operations that are `period` apart: it spins over the last 50 µs before each, or a quarter of the period, where
    /// that pays.
    pub fn for_period(period: Duration) -> Result<Self, bench_host::Error> {
        let spin = SPIN.min(period / PART_OF_PERIOD);
        Ok(Self {
            timer: AbsoluteTimer::new()?,
            spin: if spin < SHORTEST_SPIN {
                Duration::ZERO
            } else {
                spin
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
