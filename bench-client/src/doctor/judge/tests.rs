//! A machine as one would wish it, and what is said of each thing that it lacks.

use super::*;
use crate::doctor::Way;
use bench_host::clock::ClockCost;
use bench_host::disk::SyncCost;
use bench_host::limits::Limits;
use bench_host::machine::{Machine, NOT_EXPOSED};
use bench_host::scheduling::{FIRST, SHORTEST, Scheduling};

/// Nothing to complain of.
fn wished_for() -> Facts {
    Facts {
        machine: Machine {
            kernel: "Linux 6".into(),
            architecture: "x86_64".into(),
            cpu_model: "a processor".into(),
            cpus_online: 8,
            cpus_allowed: "0-7".into(),
            parallelism: 8,
            hardware_threads: "off".into(),
            governor: "performance".into(),
            turbo: "off".into(),
            memory_bytes: 16 << 30,
            swap_bytes: 0,
            virtualisation: "none: the processor shows no hypervisor".into(),
            boot_id: "none of theirs".into(),
            clocksource: "tsc".into(),
            load_average: [0.0; 3],
            perf_counters: "available".into(),
        },
        limits: Limits {
            open_files: Some(65_536),
            open_files_most: Some(65_536),
            ports: Some((32_768, 60_999)),
            ports_reused: "2".into(),
            timer_slack_ns: Some(50_000),
            irq_time: "on".into(),
            netem: "yes".into(),
            memory_available_bytes: 8 << 30,
        },
        placement: "client, service and brokers on cores of their own".into(),
        foreign: Some(0.0),
        stolen: Some(0.0),
        stolen_since_boot: Some(0.0),
        clock: ClockCost {
            resolution_ns: 1,
            smallest_step_ns: 20,
            read_ps: 20_000,
        },
        timers: None,
        scheduling: Ok(Scheduling {
            slice: Some(SHORTEST),
            nice: FIRST,
        }),
        instructions: None,
        disk: Ok(SyncCost {
            count: 21,
            p50_ns: 300_000,
            max_ns: 900_000,
        }),
        brokers: vec![Way {
            name: "queue".into(),
            broker: Ok("RabbitMQ 4".into()),
        }],
        service: None,
        inside_container: false,
        engine: false,
        unoptimised: false,
        changed: Some(false),
    }
}

/// What is said about one thing, of a machine that differs in it.
fn said(about: &str, change: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = wished_for();
    change(&mut facts);
    let mut all = judge(&facts).into_iter();
    let found = all.find(|finding| finding.about == about);
    found.unwrap_or_else(|| panic!("nothing is said about {about}"))
}

#[test]
fn a_machine_as_one_would_wish_it_has_nothing_but_good_findings() {
    for finding in judge(&wished_for()) {
        assert_eq!(finding.state, State::Good, "{finding:?}");
        assert!(finding.advice.is_empty(), "{finding:?}");
        assert!(
            !finding.found.is_empty() && !finding.means.is_empty(),
            "{finding:?}"
        );
    }
}

#[test]
fn whatever_is_wrong_is_said_with_its_consequence() {
    type Change = fn(&mut Facts);
    let cases: [(&str, State, &str, Change); 25] = [
        ("build", State::Lacking, "published", |f| {
            f.unoptimised = true
        }),
        ("build", State::Mind, "commit", |f| f.changed = Some(true)),
        ("service", State::Lacking, "no trial can run", |f| {
            f.service = Some("no bench-server beside it".into());
        }),
        ("cores", State::Lacking, "take turns", |f| {
            f.machine.parallelism = 1
        }),
        ("cores", State::Mind, "CPU per order", |f| {
            f.machine.parallelism = 2
        }),
        ("frequency", State::Lacking, "when they rest", |f| {
            f.machine.governor = "powersave".into();
        }),
        ("frequency", State::Mind, "warm", |f| {
            f.machine.turbo = "on".into()
        }),
        ("frequency", State::Mind, "cannot be seen", |f| {
            f.machine.governor = NOT_EXPOSED.into();
        }),
        ("others", State::Lacking, "SUSPECT", |f| {
            f.foreign = Some(0.06)
        }),
        ("others", State::Mind, "/proc/stat", |f| f.foreign = None),
        ("steal", State::Lacking, "hypervisor", |f| {
            f.stolen = Some(0.2)
        }),
        ("steal", State::Mind, "a little", |f| {
            f.stolen_since_boot = Some(0.01)
        }),
        ("clock", State::Mind, "enters the kernel", |f| {
            f.machine.clocksource = "hpet".into();
        }),
        ("timers", State::Lacking, "50 µs late", |f| {
            f.timers = Some("refused".into());
        }),
        ("scheduling", State::Lacking, "6.12 or later", |f| {
            f.scheduling = Ok(Scheduling {
                slice: None,
                nice: 0,
            });
        }),
        ("scheduling", State::Mind, "CAP_SYS_NICE", |f| {
            f.scheduling = Ok(Scheduling {
                slice: Some(SHORTEST),
                nice: 0,
            });
        }),
        ("scheduling", State::Lacking, "seccomp", |f| {
            f.scheduling = Err("refused".into());
        }),
        ("interrupts", State::Mind, "hit the process", |f| {
            f.limits.irq_time = "off".into();
        }),
        ("instructions", State::Mind, "left out", |f| {
            f.instructions = Some("none here".into());
        }),
        ("memory", State::Lacking, "mid-run", |f| {
            f.limits.memory_available_bytes = 1 << 30;
        }),
        ("open files", State::Mind, "--connections", |f| {
            f.limits.open_files = Some(1_024)
        }),
        ("ports", State::Mind, "for a minute", |f| {
            f.limits.ports_reused = "0".into()
        }),
        ("network", State::Mind, "neither loses", |f| {
            f.limits.netem = "no".into();
        }),
        ("disk", State::Lacking, "refused rather than faked", |f| {
            f.disk = Ok(SyncCost {
                count: 21,
                p50_ns: 4_000,
                max_ns: 9_000,
            });
        }),
        ("queue", State::Lacking, "not measured", |f| {
            f.brokers[0].broker = Err("no RabbitMQ is running here".into());
        }),
    ];
    for (about, state, words, change) in cases {
        let finding = said(about, change);
        assert_eq!(finding.state, state, "{finding:?}");
        let text = format!("{} {}", finding.means, finding.advice);
        assert!(text.contains(words), "{words}: {finding:?}");
    }
}

#[test]
fn ports_are_counted_with_both_ends_of_their_range() {
    let finding = said("ports", |facts| facts.limits.ports = Some((1, 600)));
    assert!(
        finding.found.starts_with("600 to connect from"),
        "{finding:?}"
    );
    assert!(
        finding.found.contains("about 10 new connections"),
        "{finding:?}"
    );
}
