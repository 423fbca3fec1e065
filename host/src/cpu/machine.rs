//! The whole machine between two moments: how long it had anything to run, what the hypervisor took. It knows no
//! processes; "ours" is a figure that the caller brings.
//!
//! The kernel counts a core's idle time exactly wherever it stops the tick of an idle core (NO_HZ, the rule), and tells it
//! in units of 10 ms; user and system time it samples at every tick (250 or 1,000 a second), which a load of a steady
//! rate falls into step with. So what was used is what was neither idle nor stolen, and the samples are left alone.

use procfs::{CpuTime, CurrentSI, KernelStats};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::clock::now_ns;

/// Time of one core, or of all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreTime {
    /// Running anything: user, nice, system, interrupts; sampled in ticks. A guest's time is in user's.
    pub busy_ns: u64,
    /// Nothing to run, waiting for a disk included.
    pub idle_ns: u64,
    /// Something to run, but the hypervisor ran somebody else.
    pub steal_ns: u64,
}

impl CoreTime {
    fn of(time: &CpuTime) -> Self {
        let tick_ns = unit_ns();
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

/// What the kernel rounds its times to.
fn unit_ns() -> u64 {
    1_000_000_000 / procfs::ticks_per_second()
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
    /// CPU time that somebody else used, at the least: what was neither idle nor stolen, less ours (client, service and
    /// brokers together), less what the rounding of those two may have made. It also holds the interrupts' work that the
    /// kernel charged to nobody.
    #[must_use]
    pub fn foreign_ns(&self, ours_ns: u64) -> u64 {
        let passed_ns = self.elapsed_ns * self.cores.len() as u64;
        let used_ns = passed_ns.saturating_sub(self.total.idle_ns + self.total.steal_ns);
        used_ns.saturating_sub(ours_ns + 2 * unit_ns())
    }

    /// The same as a share of *one* core, as the rules of validity have it.
    #[must_use]
    pub fn foreign_share_of_a_core(&self, ours_ns: u64) -> f64 {
        self.share_of_a_core(self.foreign_ns(ours_ns))
    }

    /// What the hypervisor took, at the least, as a share of one core.
    #[must_use]
    pub fn steal_share_of_a_core(&self) -> f64 {
        self.share_of_a_core(self.total.steal_ns.saturating_sub(unit_ns()))
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
    fn foreign_cpu_is_what_was_neither_idle_nor_ours_and_never_negative() {
        let core = CoreTime {
            // Sampled: it has no say.
            busy_ns: 9_000_000_000,
            idle_ns: 5_750_000_000,
            steal_ns: 250_000_000,
        };
        let usage = MachineUsage {
            elapsed_ns: 10_000_000_000,
            total: CoreTime {
                busy_ns: 18_000_000_000,
                idle_ns: 11_500_000_000,
                steal_ns: 500_000_000,
            },
            cores: vec![core, core],
        };
        let rounding = 2 * unit_ns();
        assert_eq!(usage.foreign_ns(7_000_000_000), 1_000_000_000 - rounding);
        assert_eq!(usage.foreign_ns(9_000_000_000), 0);
        // What rounding alone can make is nobody's.
        assert_eq!(usage.foreign_ns(8_000_000_000 - rounding), 0);
        let least = (500_000_000 - unit_ns()) as f64 / 1e10;
        assert!((usage.steal_share_of_a_core() - least).abs() < 1e-12);
        assert!(MachineUsage::default().steal_share_of_a_core().abs() < 1e-12);
    }

    #[test]
    fn idle_time_leaves_room_for_what_is_used_in_step_with_the_tick() {
        // A burst of 1 ms in every 4 ms, as a load of a steady rate is: a sample sees all of it or nothing.
        let before = MachineCpu::read().unwrap();
        let (began, start) = (now_ns(), thread_cpu_ns());
        for step in 1..=100 {
            let burst = thread_cpu_ns();
            while thread_cpu_ns() - burst < 1_000_000 {}
            let left = (began + step * 4_000_000).saturating_sub(now_ns());
            std::thread::sleep(std::time::Duration::from_nanos(left));
        }
        let used = thread_cpu_ns() - start;
        let usage = MachineCpu::read().unwrap().since(&before);
        let passed = usage.elapsed_ns * usage.cores.len() as u64;
        let told = usage.total.idle_ns + usage.total.steal_ns + used;
        assert!(told <= passed + 3 * unit_ns(), "{usage:?}, used {used}");
    }
}
