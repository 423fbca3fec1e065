//! What can be seen of a load while it runs, and the wish that it end early. A task on the generator's own thread publishes
//! a [`Glance`] now and then; whoever looks on reads the latest one. Nobody waits for anybody, and nothing is published
//! unless somebody asked for it.
//!
//! What it costs the thread that measures: between two glances, nothing (one look at a flag per operation of a closed
//! loop). For a glance, a wake-up, a dozen counts, and one pass over the cells of the accept histogram up to its largest
//! value, of which there are some 20,000 at latencies of seconds: about 0.1 ms, four times a second. So it is 0.04 % of the
//! thread, and what falls due in that moment is late by as much; it is counted as lateness like any other. The drawing
//! itself is another thread's; its CPU is taken off the client's by [`Watch::spent_ns`], but it takes it from somebody:
//! figures for publication are made with `--no-tui`.

use bench_stats::Spectrum;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a thread publishes.
pub const EVERY: Duration = Duration::from_millis(250);

/// A load as it stands at one instant, over the measured window so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// When the window began, CLOCK_MONOTONIC ns.
    pub start_ns: u64,
    /// When this was seen.
    pub at_ns: u64,
    /// Operations released.
    pub planned: u64,
    /// A reply or confirm came.
    pub acknowledged: u64,
    /// Refused by the service.
    pub refused: u64,
    /// An error came back.
    pub failed: u64,
    /// The deadline passed.
    pub timed_out: u64,
    /// Open now.
    pub in_flight: u64,
    /// The window is over, and what is open is awaited.
    pub draining: bool,
    /// Accept latency of what was answered.
    pub accept: Spectrum,
}

impl Glance {
    /// Joins another thread's.
    fn merge(&mut self, other: &Self) {
        self.start_ns = self.start_ns.min(other.start_ns);
        self.at_ns = self.at_ns.max(other.at_ns);
        self.planned += other.planned;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.in_flight += other.in_flight;
        self.draining &= other.draining;
        self.accept.add(&other.accept);
    }

    /// Operations that ended in anything but an acknowledgement.
    pub fn errors(&self) -> u64 {
        self.refused + self.failed + self.timed_out
    }
}

/// Between the threads that generate a load and the one that looks on.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The latest of each thread.
    glances: Mutex<BTreeMap<u32, Glance>>,
    halt: AtomicBool,
    spent_ns: AtomicU64,
}

impl Watch {
    /// Leaves a thread's latest glance.
    pub fn publish(&self, thread: u32, glance: Glance) {
        let glances = self.0.glances.lock();
        glances
            .unwrap_or_else(PoisonError::into_inner)
            .insert(thread, glance);
    }

    /// The latest of all threads together; none before the first.
    pub fn look(&self) -> Option<Glance> {
        let glances = self.0.glances.lock();
        let glances = glances.unwrap_or_else(PoisonError::into_inner);
        let mut all = glances.values();
        let mut whole = all.next()?.clone();
        all.for_each(|glance| whole.merge(glance));
        Some(whole)
    }

    /// Asks for the window to end; it does with the next glance.
    pub fn halt(&self) {
        self.0.halt.store(true, Ordering::Relaxed);
    }

    /// Whether that was asked for.
    pub fn is_halted(&self) -> bool {
        self.0.halt.load(Ordering::Relaxed)
    }

    /// Says how much CPU looking on has taken so far, ns.
    pub fn spend(&self, cpu_ns: u64) {
        self.0.spent_ns.store(cpu_ns, Ordering::Relaxed);
    }

    /// CPU that looking on has taken so far, ns: part of no operation.
    pub fn spent_ns(&self) -> u64 {
        self.0.spent_ns.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glances_of_threads_add_up_and_the_latest_of_each_counts() {
        let watch = Watch::default();
        assert_eq!(watch.look(), None);
        let glance = |planned, at_ns| Glance {
            planned,
            at_ns,
            start_ns: 5,
            ..Glance::default()
        };
        watch.publish(0, glance(3, 10));
        watch.publish(1, glance(4, 30));
        watch.publish(0, glance(7, 20));
        let whole = watch.look().unwrap();
        assert_eq!((whole.planned, whole.at_ns, whole.start_ns), (11, 30, 5));
        assert!(!watch.is_halted());
        watch.halt();
        assert!(watch.clone().is_halted(), "a clone is the same watch");
    }
}
