//! The one clock of every measurement: CLOCK_MONOTONIC in nanoseconds, shared by all processes of one boot.
//! It knows nothing of calendars; wall-clock time belongs to the manifest.

use std::time::Duration;

use nix::time::{ClockId, clock_getres, clock_gettime};

use crate::Error;

/// Now, in nanoseconds of CLOCK_MONOTONIC. Answered by the vDSO, so without entering the kernel.
///
/// Two readings compare only inside one boot and one time namespace: see [`boot_id`] and [`time_namespace`].
#[must_use]
#[inline]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .expect("every Linux kernel has CLOCK_MONOTONIC, so reading it cannot fail");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// The same instant `later` nanoseconds on, without overflow: a plan for "never" stays "never".
#[must_use]
#[inline]
pub fn after(at_ns: u64, later: Duration) -> u64 {
    at_ns.saturating_add(u64::try_from(later.as_nanos()).unwrap_or(u64::MAX))
}

/// What the clock itself costs and can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ClockCost {
    /// The resolution that the kernel declares, in ns.
    pub resolution_ns: u64,
    /// The smallest step between two different readings that was seen, in ns.
    pub smallest_step_ns: u64,
    /// The median cost of one reading, in picoseconds (a reading takes some tens of ns).
    pub read_ps: u64,
}

/// Measures the clock: batches of readings, the median batch taken so that one interruption does not count.
#[must_use]
pub fn measure() -> ClockCost {
    const BATCHES: usize = 101;
    const READS: u64 = 1_000;
    let resolution = clock_getres(ClockId::CLOCK_MONOTONIC)
        .expect("every Linux kernel has CLOCK_MONOTONIC, so asking its resolution cannot fail");
    let mut batches = Vec::with_capacity(BATCHES);
    let mut smallest_step_ns = u64::MAX;
    for _ in 0..BATCHES {
        let start = now_ns();
        let mut last = start;
        for _ in 0..READS {
            let now = now_ns();
            if now > last {
                smallest_step_ns = smallest_step_ns.min(now - last);
            }
            last = now;
        }
        batches.push((last - start) * 1_000 / READS);
    }
    batches.sort_unstable();
    ClockCost {
        resolution_ns: resolution.tv_sec() as u64 * 1_000_000_000 + resolution.tv_nsec() as u64,
        smallest_step_ns,
        read_ps: batches[BATCHES / 2],
    }
}

/// The identity of this boot. Stamps of two hosts, or of one host before and after a reboot, do not compare.
pub fn boot_id() -> Result<String, Error> {
    let path = "/proc/sys/kernel/random/boot_id";
    std::fs::read_to_string(path)
        .map(|id| id.trim().to_owned())
        .map_err(|source| Error::Unreadable {
            path: path.into(),
            source,
            advice: "mount /proc, or treat the stamps of other processes as not comparable",
        })
}

/// The identity of this process's time namespace: a container may shift CLOCK_MONOTONIC. `None` where the
/// kernel has no time namespaces, so that all processes of the boot share one.
#[must_use]
pub fn time_namespace() -> Option<String> {
    let link = std::fs::read_link("/proc/self/ns/time").ok()?;
    Some(link.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let mut last = now_ns();
        for _ in 0..10_000 {
            let now = now_ns();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn the_clock_is_the_one_that_the_standard_library_reads() {
        let before = now_ns();
        let asleep = std::time::Instant::now();
        std::thread::sleep(Duration::from_millis(2));
        let inside = asleep.elapsed();
        let after = now_ns();
        assert!(u128::from(after - before) >= inside.as_nanos());
    }

    #[test]
    fn adding_to_never_stays_never() {
        assert_eq!(after(u64::MAX, Duration::from_secs(1)), u64::MAX);
        assert_eq!(after(5, Duration::MAX), u64::MAX);
        assert_eq!(after(5, Duration::from_nanos(7)), 12);
    }

    #[test]
    fn measuring_the_clock_finds_a_step_no_smaller_than_its_resolution() {
        let cost = measure();
        assert!(cost.resolution_ns >= 1);
        assert!(cost.smallest_step_ns >= cost.resolution_ns);
        assert!(cost.read_ps > 0);
    }

    #[test]
    fn the_boot_has_one_identity() {
        let id = boot_id().unwrap();
        assert_eq!(id.len(), 36, "a UUID was expected, got {id}");
        assert_eq!(id, boot_id().unwrap());
    }
}
