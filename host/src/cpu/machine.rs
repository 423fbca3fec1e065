//! The whole machine between two moments: what its processes used, how long it was idle, what the hypervisor took. It
//! does not know whose a process is; "ours" is a figure that the caller brings.
//!
//! Processes are read by their own clocks, which are exact. The kernel's user and system times are not: it samples them at
//! every tick (250 or 1,000 a second), and a load of a steady rate falls into step with that.

use std::collections::BTreeMap;

use procfs::process::{Stat, StatFlags};
use procfs::{CpuTime, CurrentSI, FromRead, KernelStats};
use serde::{Deserialize, Serialize};

use super::process_cpu_ns;

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

/// Of each core, so many percent may go into interrupts and the way in and out of idle, which no process is charged for
/// (3 % of both were seen at a few thousand wake-ups a second).
const UNCHARGED: u64 = 10;

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
    /// What every process but the kernel's own had used, its threads included, by its id.
    processes: BTreeMap<u32, u64>,
}

/// Every process that can be seen, with what it has used. The kernel's own threads are left out: they work for whoever
/// asks, for us above all (one is at work whenever a socket that we count closes).
fn processes() -> std::io::Result<BTreeMap<u32, u64>> {
    // Collected first, so that the clocks are read within as short a time as can be.
    let ids: Vec<u32> = std::fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| !is_the_kernels(*pid))
        .collect();
    // One that ends while the list is read is left out.
    Ok(ids
        .into_iter()
        .filter_map(|pid| Some((pid, process_cpu_ns(pid).ok()?)))
        .collect())
}

fn is_the_kernels(pid: u32) -> bool {
    Stat::from_file(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| StatFlags::from_bits_truncate(stat.flags).contains(StatFlags::PF_KTHREAD))
}

impl MachineCpu {
    /// Reads /proc/stat and the clock of every process.
    pub fn read() -> Result<Self, Error> {
        let unreadable = |path: &str, source| Error::Unreadable {
            path: path.into(),
            source,
            advice: "mount /proc; without it nobody can tell whether others used the machine",
        };
        let stats = KernelStats::current()
            .map_err(|error| unreadable("/proc/stat", std::io::Error::other(error)))?;
        Ok(Self {
            processes: processes().map_err(|error| unreadable("/proc", error))?,
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
            processes_ns: self.processes.values().sum(),
            total: self.total,
            cores: self.cores.clone(),
        }
    }

    /// What the machine did since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> MachineUsage {
        let cores = self.cores.iter().zip(&earlier.cores);
        // One that has used less than before is another of the same id.
        let used = |(pid, now): (&u32, &u64)| {
            let before = earlier.processes.get(pid).filter(|before| *before <= now);
            now - before.unwrap_or(&0)
        };
        MachineUsage {
            processes_ns: self.processes.iter().map(used).sum(),
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
    /// What all processes used that were there at its end.
    pub processes_ns: u64,
    /// All cores together.
    pub total: CoreTime,
    /// Each online core, in the kernel's order.
    pub cores: Vec<CoreTime>,
}

impl MachineUsage {
    /// CPU time that somebody else used, at the least: what all processes used less ours (client, service and brokers
    /// together). Those that cannot be seen (of another container, or begun and ended in between) show only where the
    /// cores were busier than interrupts and rounding explain.
    #[must_use]
    pub fn foreign_ns(&self, ours_ns: u64) -> u64 {
        let passed_ns = self.elapsed_ns * self.cores.len() as u64;
        let used_ns = passed_ns.saturating_sub(self.total.idle_ns + self.total.steal_ns);
        let explained_ns = ours_ns + passed_ns * UNCHARGED / 100 + 2 * unit_ns();
        let unseen_ns = used_ns.saturating_sub(explained_ns);
        unseen_ns.max(self.processes_ns.saturating_sub(ours_ns))
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
    use super::super::tests::shell;
    use super::*;
    use crate::clock::now_ns;
    use crate::cpu::{own_cpu_ns, thread_cpu_ns};

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

    /// Ten seconds of two cores.
    fn usage(processes_ns: u64, idle_ns: u64, steal_ns: u64) -> MachineUsage {
        MachineUsage {
            elapsed_ns: 10_000_000_000,
            processes_ns,
            total: CoreTime {
                // Sampled: it has no say.
                busy_ns: 20_000_000_000,
                idle_ns,
                steal_ns,
            },
            cores: vec![CoreTime::default(); 2],
        }
    }

    #[test]
    fn foreign_cpu_is_what_processes_used_besides_ours_and_never_negative() {
        let usage = usage(7_400_000_000, 12_000_000_000, 500_000_000);
        assert_eq!(usage.foreign_ns(7_000_000_000), 400_000_000);
        assert_eq!(usage.foreign_ns(7_500_000_000), 0);
        assert!((usage.foreign_share_of_a_core(7_000_000_000) - 0.04).abs() < 1e-12);
        let least = (500_000_000 - unit_ns()) as f64 / 1e10;
        assert!((usage.steal_share_of_a_core() - least).abs() < 1e-12);
        assert!(MachineUsage::default().steal_share_of_a_core().abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_seen_shows_where_cores_were_busier_than_interrupts_explain() {
        let ours = 5_000_000_000;
        // Two of the twenty seconds may be interrupts.
        let explained = 20_000_000_000 - ours - 2_000_000_000 - 2 * unit_ns();
        assert_eq!(usage(ours, explained, 0).foreign_ns(ours), 0);
        let busier = usage(ours, explained - 1_500_000_000, 500_000_000);
        assert_eq!(busier.foreign_ns(ours), 1_000_000_000);
    }

    #[test]
    fn the_kernels_own_threads_are_nobodys() {
        let seen = processes().unwrap();
        assert!(seen.contains_key(&std::process::id()));
        // In a namespace of its own somebody else may have this number.
        let second = std::fs::read_to_string("/proc/2/comm").unwrap_or_default();
        assert_eq!(is_the_kernels(2), second.trim() == "kthreadd");
        assert!(!seen.keys().any(|pid| is_the_kernels(*pid)), "{seen:?}");
    }

    #[test]
    fn another_process_is_charged_with_what_it_used() {
        let child = shell("while :; do :; done");
        let before = MachineCpu::read().unwrap();
        let (ours, used) = (own_cpu_ns(), process_cpu_ns(child.0.id()).unwrap());
        let mut now = used;
        while now < used + 50_000_000 {
            std::thread::sleep(std::time::Duration::from_millis(1));
            now = process_cpu_ns(child.0.id()).unwrap();
        }
        let ours = own_cpu_ns() - ours;
        let usage = MachineCpu::read().unwrap().since(&before);
        assert!(usage.foreign_ns(ours) >= 50_000_000, "{usage:?}");
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
