//! What this machine is, for the manifest of a result. Facts that the kernel doesn't tell are said to be missing,
//! never guessed. It holds nothing that names the machine or its owner.

use std::fs;
use std::thread::available_parallelism;

use nix::sys::utsname::uname;
use procfs::{CpuInfo, Current, LoadAverage, Meminfo};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::place::Cpus;

/// What stands where the kernel (or the virtual machine) tells nothing.
pub const NOT_EXPOSED: &str = "not exposed";

/// The facts that a result depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Kernel name and release.
    pub kernel: String,
    /// Instruction set.
    pub architecture: String,
    /// The processor, as it calls itself.
    pub cpu_model: String,
    /// CPUs that are switched on.
    pub cpus_online: usize,
    /// CPUs that this process may use, in the kernel's notation.
    pub cpus_allowed: String,
    /// Whole CPUs that a cgroup's limit leaves, as the standard library reads it.
    pub parallelism: usize,
    /// Whether cores run two hardware threads.
    pub hardware_threads: String,
    /// The frequency governor of the first CPU.
    pub governor: String,
    /// Whether the processor may exceed its nominal frequency.
    pub turbo: String,
    /// Physical memory, in bytes.
    pub memory_bytes: u64,
    /// Swap space, in bytes.
    pub swap_bytes: u64,
    /// Whether a hypervisor shows.
    pub virtualisation: String,
    /// The identity of this boot: two runs of one boot share their clock.
    pub boot_id: String,
    /// What CLOCK_MONOTONIC reads (tsc, kvm-clock, hpet).
    pub clocksource: String,
    /// Load averages over 1, 5 and 15 minutes when this was read.
    pub load_average: [f32; 3],
    /// Whether hardware counters can be had, or the reason why not.
    pub perf_counters: String,
}

impl Machine {
    /// Reads them. It can't fail; what can't be read is [`NOT_EXPOSED`], or zero.
    #[must_use]
    pub fn read() -> Self {
        let cpus = CpuInfo::current().ok();
        let memory = Meminfo::current().ok();
        let load = LoadAverage::current().ok();
        let system = uname().ok();
        let of_system = |part: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
            system
                .as_ref()
                .map_or("?".into(), |system| part(system).to_string_lossy())
        };
        Self {
            kernel: format!(
                "{} {}",
                of_system(|system| system.sysname()),
                of_system(|system| system.release())
            ),
            architecture: of_system(|system| system.machine()).into_owned(),
            cpu_model: cpus
                .as_ref()
                .and_then(|cpus| cpus.model_name(0))
                .unwrap_or(NOT_EXPOSED)
                .to_owned(),
            cpus_online: cpus.as_ref().map_or(0, CpuInfo::num_cores),
            cpus_allowed: Cpus::allowed()
                .map_or_else(|_| NOT_EXPOSED.into(), |cpus| cpus.to_string()),
            parallelism: available_parallelism().map_or(0, Into::into),
            hardware_threads: switch(&[("/sys/devices/system/cpu/smt/active", "1")]),
            governor: fact("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            turbo: switch(&[
                ("/sys/devices/system/cpu/cpufreq/boost", "1"),
                ("/sys/devices/system/cpu/intel_pstate/no_turbo", "0"),
            ]),
            memory_bytes: memory.as_ref().map_or(0, |memory| memory.mem_total),
            swap_bytes: memory.as_ref().map_or(0, |memory| memory.swap_total),
            virtualisation: virtualisation(cpus.as_ref()),
            boot_id: clock::boot_id().unwrap_or_else(|_| NOT_EXPOSED.into()),
            clocksource: fact("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            load_average: load.map_or([0.0; 3], |load| [load.one, load.five, load.fifteen]),
            perf_counters: perf_counters(),
        }
    }
}

fn fact(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| NOT_EXPOSED.into(), |text| text.trim().to_owned())
}

/// "on" or "off" by the first file that exists, each with what it says when the thing is on.
fn switch(files: &[(&str, &str)]) -> String {
    let read = |&(path, on): &(&str, &str)| Some(fs::read_to_string(path).ok()?.trim() == on);
    match files.iter().find_map(read) {
        Some(true) => "on".into(),
        Some(false) => "off".into(),
        None => NOT_EXPOSED.into(),
    }
}

fn virtualisation(cpus: Option<&CpuInfo>) -> String {
    match cpus.and_then(|cpus| cpus.flags(0)) {
        Some(flags) if flags.contains(&"hypervisor") => {
            "a virtual machine: the processor shows a hypervisor".into()
        }
        Some(_) => "none: the processor shows no hypervisor".into(),
        None => NOT_EXPOSED.into(),
    }
}

/// Hardware counters need a PMU, which most virtual machines hide, and the permission.
fn perf_counters() -> String {
    let pmus = ["cpu", "cpu_core", "armv8_pmuv3_0"];
    let exposed =
        |name: &&str| fs::exists(format!("/sys/bus/event_source/devices/{name}")).unwrap_or(false);
    if !pmus.iter().any(exposed) {
        return "none: the kernel shows no counters of the processor, as in most virtual machines"
            .into();
    }
    match fact("/proc/sys/kernel/perf_event_paranoid").parse::<i32>() {
        // Above 2, as Debian ships it, even one's own processes are closed to all but root.
        Ok(level) if level > 2 => format!("for root only: kernel.perf_event_paranoid is {level}"),
        _ => "available".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described_and_survives_a_round_trip() {
        let machine = Machine::read();
        assert!(machine.kernel.starts_with("Linux "), "{machine:?}");
        assert!(
            machine.cpus_online >= 1 && machine.parallelism >= 1,
            "{machine:?}"
        );
        assert!(machine.memory_bytes > 1 << 20, "{machine:?}");
        assert_eq!(machine.boot_id, clock::boot_id().unwrap());
        assert_ne!(machine.cpus_allowed, "");
        let text = serde_json::to_string(&machine).unwrap();
        assert_eq!(serde_json::from_str::<Machine>(&text).unwrap(), machine);
    }

    #[test]
    fn the_machine_keeps_its_name_to_itself() {
        let name = uname().unwrap().nodename().to_string_lossy().into_owned();
        let facts = serde_json::to_value(Machine::read()).unwrap();
        let named = |fact: &serde_json::Value| fact.as_str() == Some(&name);
        assert!(!facts.as_object().unwrap().values().any(named));
    }

    #[test]
    fn a_switch_that_no_file_tells_of_is_not_guessed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("no_turbo");
        let name = path.to_str().unwrap();
        assert_eq!(switch(&[(name, "0")]), NOT_EXPOSED);
        fs::write(&path, "0\n").unwrap();
        assert_eq!(switch(&[("/nowhere", "1"), (name, "0")]), "on");
        fs::write(&path, "1\n").unwrap();
        assert_eq!(switch(&[("/nowhere", "1"), (name, "0")]), "off");
        assert_eq!(fact("/nowhere"), NOT_EXPOSED);
    }
}
