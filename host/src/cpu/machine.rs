//! The whole machine between two moments: who was busy, what the hypervisor took. In ticks of 10 ms as a rule,
//! so over seconds only. It knows no processes; "ours" is a figure that the caller brings.

use procfs::{CpuTime, CurrentSI, KernelStats};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::clock::now_ns;

/// Time of one core, or of all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreTime {
    /// Running anything: user, nice, system, interrupts. A guest's time is in user's.
    pub busy_ns: u64,
    /// Nothing to run, waiting for a disk included.
    pub idle_ns: u64,
    /// Something to run, but the hypervisor ran somebody else.
    pub steal_ns: u64,
}

impl CoreTime {
    fn of(time: &CpuTime) -> Self {
        let tick_ns = 1_000_000_000 / procfs::ticks_per_second();
        let busy =
            time.user + time.nice + time.system + time.irq.unwrap_or(0) + time.softirq.unwrap_or(0);
        Self {
            busy_ns: busy * tick_ns,
            idle_ns: (time.idle + time.iowait.unwrap_or(0)) * tick_ns,
            steal_ns: time.steal.unwrap_or(0) * tick_ns,
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        // iowait may run backwards (proc(5)), so nothing here may underflow.
        Self {
            busy_ns: self.busy_ns.saturating_sub(earlier.busy_ns),
            idle_ns: self.idle_ns.saturating_sub(earlier.idle_ns),
            steal_ns: self.steal_ns.saturating_sub(earlier.steal_ns),
        }
    }
}

/// What the machine's cores had done at one moment.
#[derive(Debug, Clone)]
pub struct MachineCpu {
    at_ns: u64,
    total: CoreTime,
    cores: Vec<CoreTime>,
}

impl MachineCpu {
    /// Reads /proc/stat.
    pub fn read() -> Result<Self, Error> {
        let stats = KernelStats::current().map_err(|error| Error::Unreadable {
            path: "/proc/stat".into(),
            source: std::io::Error::other(error),
            advice: "mount /proc; without it nobody can tell whether others used the machine",
        })?;
        Ok(Self {
            at_ns: now_ns(),
            total: CoreTime::of(&stats.total),
            cores: stats.cpu_time.iter().map(CoreTime::of).collect(),
        })
    }

    /// What the machine did since it was started.
    #[must_use]
    pub fn since_boot(&self) -> MachineUsage {
        let CoreTime {
            busy_ns,
            idle_ns,
            steal_ns,
        } = self.total;
        MachineUsage {
            // Every core is busy, idle or robbed: together that is the time that passed, once for each.
            elapsed_ns: (busy_ns + idle_ns + steal_ns) / self.cores.len().max(1) as u64,
            total: self.total,
            cores: self.cores.clone(),
        }
    }

    /// What the machine did since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> MachineUsage {
        let cores = self.cores.iter().zip(&earlier.cores);
        MachineUsage {
            elapsed_ns: self.at_ns.saturating_sub(earlier.at_ns),
            total: self.total.since(&earlier.total),
            cores: cores.map(|(now, before)| now.since(before)).collect(),
        }
    }
}

/// What the machine did between two moments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineUsage {
    /// Time between the two readings.
    pub elapsed_ns: u64,
    /// All cores together.
    pub total: CoreTime,
    /// Each online core, in the kernel's order.
    pub cores: Vec<CoreTime>,
}

impl MachineUsage {
    /// CPU time that somebody else used: busy less ours (client, service and brokers together). Busy is sampled
    /// in ticks and ours is exact, so a small figure either way is rounding; it also holds the softirq work that
    /// the kernel charged to nobody.
    #[must_use]
    pub fn foreign_ns(&self, ours_ns: u64) -> u64 {
        self.total.busy_ns.saturating_sub(ours_ns)
    }

    /// The same as a share of *one* core, the unit of DESIGN section 6.
    #[must_use]
    pub fn foreign_share_of_a_core(&self, ours_ns: u64) -> f64 {
        self.share_of_a_core(self.foreign_ns(ours_ns))
    }

    /// What the hypervisor took, as a share of one core.
    #[must_use]
    pub fn steal_share_of_a_core(&self) -> f64 {
        self.share_of_a_core(self.total.steal_ns)
    }

    fn share_of_a_core(&self, ns: u64) -> f64 {
        if self.elapsed_ns == 0 {
            return 0.0;
        }
        ns as f64 / self.elapsed_ns as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::thread_cpu_ns;

    #[test]
    fn the_machine_is_at_least_as_busy_as_this_thread_makes_it() {
        let before = MachineCpu::read().unwrap();
        let start = thread_cpu_ns();
        while thread_cpu_ns() - start < 200_000_000 {}
        let usage = MachineCpu::read().unwrap().since(&before);
        // Sampled in ticks, so to within a factor of two, not to the ns.
        assert!(usage.total.busy_ns > 100_000_000, "{usage:?}");
        assert!(!usage.cores.is_empty());
        let whole = MachineCpu::read().unwrap().since_boot();
        assert!(whole.total.busy_ns >= usage.total.busy_ns);
        assert!(whole.elapsed_ns >= usage.elapsed_ns, "{whole:?}");
    }

    #[test]
    fn foreign_cpu_is_what_is_left_of_busy_and_never_negative() {
        let usage = MachineUsage {
            elapsed_ns: 10_000_000_000,
            total: CoreTime {
                busy_ns: 8_000_000_000,
                idle_ns: 11_500_000_000,
                steal_ns: 500_000_000,
            },
            cores: vec![],
        };
        assert_eq!(usage.foreign_ns(7_000_000_000), 1_000_000_000);
        assert_eq!(usage.foreign_ns(9_000_000_000), 0);
        assert!((usage.foreign_share_of_a_core(7_000_000_000) - 0.1).abs() < 1e-12);
        assert!((usage.steal_share_of_a_core() - 0.05).abs() < 1e-12);
        assert!(MachineUsage::default().steal_share_of_a_core().abs() < 1e-12);
    }
}
