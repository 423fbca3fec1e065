//! The machine itself and what was built for it: cores, their speed, who else uses them, clock, timers, counters.

use super::{Finding, State, finding};
use crate::doctor::Facts;
use crate::units::show_ns;
use bench_host::machine::NOT_EXPOSED;
use bench_host::scheduling::FIRST;

/// From here on a trial is SUSPECT (docs/METHOD.md, Validity), as a share of one core.
const DISTURBING: f64 = 0.05;
/// Client, service and brokers on cores of their own, one left for the system.
const CORES: usize = 4;
/// Clocks that are read without entering the kernel.
const QUICK_CLOCKS: [&str; 4] = [
    "tsc",
    "kvm-clock",
    "arch_sys_counter",
    "hyperv_clocksource_tsc_page",
];

pub(super) fn build(facts: &Facts) -> Finding {
    match (facts.unoptimised, facts.changed) {
        (true, _) => finding(
            "build",
            "without optimisation",
            (
                State::Lacking,
                "every figure measures the compiler's restraint: nothing of it may be published",
                "cargo build --release",
            ),
        ),
        (false, Some(true)) => finding(
            "build",
            "optimised, from sources with changes that no commit holds",
            (
                State::Mind,
                "the manifest says so, and nobody can build the same again",
                "commit, and build again",
            ),
        ),
        (false, _) => finding("build", "optimised", (State::Good, "fit for figures", "")),
    }
}

pub(super) fn service(facts: &Facts) -> Finding {
    match &facts.service {
        None => finding(
            "service",
            "bench-server is there",
            (State::Good, "every trial starts a fresh one", ""),
        ),
        Some(reason) => finding(
            "service",
            reason,
            (
                State::Lacking,
                "no trial can run; load --target can",
                "build both programs, or name it in HOPBENCH_SERVER",
            ),
        ),
    }
}

pub(super) fn cores(facts: &Facts) -> Finding {
    let machine = &facts.machine;
    let found = format!(
        "{} CPUs online, {} allowed, {} by the cgroup's limit; hardware threads {}",
        machine.cpus_online, machine.cpus_allowed, machine.parallelism, machine.hardware_threads
    );
    finding(
        "cores",
        found,
        match machine.parallelism {
            0 | 1 => (
                State::Lacking,
                "client, service and brokers take turns: throughput and latency are those of all together",
                "measure on four cores or more",
            ),
            cores if cores < CORES => (
                State::Mind,
                "service and brokers share a core: trust CPU per order and latency at a fixed rate before throughput",
                "measure on four cores or more",
            ),
            _ => (State::Good, facts.placement.as_str(), ""),
        },
    )
}

pub(super) fn frequency(facts: &Facts) -> Finding {
    let machine = &facts.machine;
    let found = format!("governor {}, turbo {}", machine.governor, machine.turbo);
    finding(
        "frequency",
        found,
        match (machine.governor.as_str(), machine.turbo.as_str()) {
            ("performance", "off") => (State::Good, "cores keep one speed", ""),
            ("performance", "on") => (
                State::Mind,
                "cores slow down as they warm: arms of one block compare, different days do not",
                "switch turbo off: /sys/devices/system/cpu/cpufreq/boost, or intel_pstate/no_turbo",
            ),
            (NOT_EXPOSED, _) | ("performance", _) => (
                State::Mind,
                "the speed of the cores is somebody else's business and cannot be seen: arms of one block compare, different \
                 days do not",
                "",
            ),
            _ => (
                State::Lacking,
                "cores slow down when they rest: low rates look slower than they are",
                "cpupower frequency-set -g performance",
            ),
        },
    )
}

pub(super) fn others(facts: &Facts) -> Finding {
    let load = facts.machine.load_average;
    let found = format!(
        "{} of a core for a second; load {:.2}, {:.2}, {:.2}",
        percent(facts.foreign),
        load[0],
        load[1],
        load[2]
    );
    finding(
        "others",
        found,
        match facts.foreign {
            None => (
                State::Mind,
                "/proc/stat cannot be read: nobody can tell whether others used the machine",
                "mount /proc",
            ),
            Some(share) if share > DISTURBING => (
                State::Lacking,
                "trials are SUSPECT above 5 % of a core, and their blocks are run again",
                "stop what else runs (top shows it), and say --exclusive",
            ),
            Some(_) => (State::Good, "nothing else disturbs a run now", ""),
        },
    )
}

pub(super) fn steal(facts: &Facts) -> Finding {
    let found = format!(
        "{} of a core now, {} since boot",
        percent(facts.stolen),
        percent(facts.stolen_since_boot)
    );
    let worst = facts.stolen.into_iter().chain(facts.stolen_since_boot);
    let worst = worst.fold(0.0, f64::max);
    finding(
        "steal",
        found,
        if worst > DISTURBING {
            (
                State::Lacking,
                "the hypervisor gives this machine's time to others: trials are SUSPECT, tails are theirs",
                "measure at another hour or on another machine",
            )
        } else if worst > 0.0 {
            (
                State::Mind,
                "the hypervisor takes a little: the highest percentiles may be its doing",
                "",
            )
        } else {
            (State::Good, "nothing was taken", "")
        },
    )
}

pub(super) fn virtualisation(facts: &Facts) -> Finding {
    let found = &facts.machine.virtualisation;
    finding(
        "hardware",
        format!("{}; {found}", facts.machine.cpu_model),
        if found.starts_with("none") {
            (State::Good, "no neighbour on this machine", "")
        } else {
            (
                State::Mind,
                "neighbours share caches and memory, which nothing here can see: ratios hold better than figures",
                "",
            )
        },
    )
}

pub(super) fn clock(facts: &Facts) -> Finding {
    let (source, cost) = (&facts.machine.clocksource, &facts.clock);
    let found = format!(
        "{source}: a reading takes {}, the smallest step seen is {}, declared {}",
        show_ns(cost.read_ps as f64 / 1e3),
        show_ns(cost.smallest_step_ns as f64),
        show_ns(cost.resolution_ns as f64)
    );
    finding(
        "clock",
        found,
        if QUICK_CLOCKS.contains(&source.as_str()) {
            (
                State::Good,
                "timing costs nothing that shows, in one clock for all processes",
                "",
            )
        } else {
            (
                State::Mind,
                "every reading enters the kernel: the generator's own CPU per operation grows by it",
                "see whether the kernel offers tsc: /sys/devices/system/clocksource/clocksource0/available_clocksource",
            )
        },
    )
}

pub(super) fn timers(facts: &Facts) -> Finding {
    let slack = facts.limits.timer_slack_ns;
    let found = slack.map_or(NOT_EXPOSED.into(), |ns| {
        format!("slack of {} by default", show_ns(ns as f64))
    });
    match &facts.timers {
        None => finding(
            "timers",
            found,
            (
                State::Good,
                "the generator asks for 1 ns and gets it: operations leave when they are due",
                "",
            ),
        ),
        Some(reason) => finding(
            "timers",
            reason,
            (
                State::Lacking,
                "operations leave up to 50 µs late: see the lateness beside each trial",
                "allow prctl in the container's seccomp profile",
            ),
        ),
    }
}

/// Whether somebody else on a generator's core can keep it from its time.
pub(super) fn scheduling(facts: &Facts) -> Finding {
    let found = match &facts.scheduling {
        Ok(granted) => granted.to_string(),
        Err(reason) => reason.clone(),
    };
    let says = match &facts.scheduling {
        Ok(granted) if granted.slice.is_none() => (
            State::Lacking,
            "whoever runs on the generator's core keeps it for up to 3 ms: operations leave that late",
            "take a kernel of 6.12 or later, which grants a thread a slice of its own",
        ),
        Ok(granted) if granted.nice > FIRST => (
            State::Mind,
            "the generator goes before others, but not before daemons of a negative nice value",
            "give it CAP_SYS_NICE, or see the lateness beside each trial",
        ),
        Ok(_) => (
            State::Good,
            "the generator goes before whatever else wants its core",
            "",
        ),
        Err(_) => (
            State::Lacking,
            "whoever runs on the generator's core keeps it for up to 3 ms: operations leave that late",
            "allow sched_setattr in the container's seccomp profile",
        ),
    };
    finding("scheduling", found, says)
}

pub(super) fn interrupts(facts: &Facts) -> Finding {
    let counted = facts.limits.irq_time.as_str();
    finding(
        "interrupts",
        format!("time in them counted apart: {counted}"),
        match counted {
            "on" => (
                State::Good,
                "CPU per order holds none of the network's interrupts; they show as foreign",
                "",
            ),
            "off" => (
                State::Mind,
                "CPU per order holds the interrupts that hit the process, its own packets' and others'",
                "",
            ),
            _ => (
                State::Mind,
                "the kernel does not say how it was built: CPU per order may or may not hold interrupts",
                "",
            ),
        },
    )
}

pub(super) fn instructions(facts: &Facts) -> Finding {
    match &facts.instructions {
        None => finding(
            "instructions",
            "counted by the processor",
            (
                State::Good,
                "a figure that no neighbour disturbs stands beside CPU time",
                "",
            ),
        ),
        Some(reason) => finding(
            "instructions",
            reason,
            (
                State::Mind,
                "instructions per order are left out, and CPU time alone is told",
                "cargo bench --bench instructions counts codecs and instrument under valgrind",
            ),
        ),
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or(NOT_EXPOSED.into(), |share| {
        format!("{:.1} %", share * 100.0)
    })
}
