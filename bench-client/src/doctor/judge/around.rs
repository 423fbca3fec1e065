//! What lies around the programs: memory, what a process may open, the disk, the brokers, containers.

use super::{Finding, State, finding};
use crate::doctor::{Facts, Way};
use crate::units::{show_bytes, show_ns};
use bench_host::disk::FASTEST_FLUSH_NS;
use bench_host::machine::NOT_EXPOSED;

/// Connections of the largest published cells, both ends and a broker's files with them, several times over.
const OPEN_FILES: u64 = 4_096;
/// A closed connection keeps its port for so long (the kernel's TCP_TIMEWAIT_LEN).
const TIME_WAIT_S: u32 = 60;
/// Kafka's heap and page cache, RabbitMQ, service and client, with room for the system.
const MEMORY: u64 = 2 << 30;
/// A flush that takes longer makes class `power` a benchmark of this disk.
const SLOW_FLUSH_NS: u64 = 10_000_000;

pub(super) fn memory(facts: &Facts) -> Finding {
    let available = facts.limits.memory_available_bytes;
    let found = format!(
        "{} available of {}, {} of swap",
        show_bytes(available as f64),
        show_bytes(facts.machine.memory_bytes as f64),
        show_bytes(facts.machine.swap_bytes as f64)
    );
    finding(
        "memory",
        found,
        match available {
            0 => (
                State::Mind,
                "how much can be had is not known; two GiB are enough",
                "",
            ),
            few if few < MEMORY => (
                State::Lacking,
                "brokers may swap or be killed in mid-run: major faults make a trial SUSPECT",
                "free some, or give Kafka less: HOPBENCH_KAFKA_HEAP=256m",
            ),
            _ => (State::Good, "enough for both brokers and the load", ""),
        },
    )
}

pub(super) fn open_files(facts: &Facts) -> Finding {
    let (now, most) = (facts.limits.open_files, facts.limits.open_files_most);
    let shown = |limit: Option<u64>| match limit {
        None => NOT_EXPOSED.to_owned(),
        Some(u64::MAX) => "any number".to_owned(),
        Some(limit) => limit.to_string(),
    };
    let found = format!(
        "{} files and sockets a process, {} if it is raised",
        shown(now),
        shown(most)
    );
    finding(
        "open files",
        found,
        if now.is_some_and(|now| now >= OPEN_FILES) {
            (State::Good, "enough for every experiment", "")
        } else {
            (
                State::Mind,
                "load --connections beyond about half of it fails to connect",
                "ulimit -n 65536",
            )
        },
    )
}

pub(super) fn ports(facts: &Facts) -> Finding {
    let reused = facts.limits.ports_reused.as_str();
    let Some((first, last)) = facts.limits.ports else {
        return finding(
            "ports",
            NOT_EXPOSED,
            (
                State::Mind,
                "how many connections a second can be made is not known",
                "",
            ),
        );
    };
    let count = u32::from(last - first) + 1;
    finding(
        "ports",
        format!(
            "{count} to connect from ({first} to {last}), enough for about {} new connections a second if closed ones kept \
             theirs; used again: {reused}",
            count / TIME_WAIT_S
        ),
        if ["1", "2"].contains(&reused) {
            (
                State::Good,
                "a connection per call does not run out of them on loopback",
                "",
            )
        } else {
            (
                State::Mind,
                "a closed connection keeps its port for a minute: a connection per call cannot go on for long above some \
                 hundreds a second",
                "sysctl net.ipv4.tcp_tw_reuse=1",
            )
        },
    )
}

/// What may stand in for a network between caller and service.
pub(super) fn network(facts: &Facts) -> Finding {
    let netem = facts.limits.netem.as_str();
    finding(
        "network",
        format!("netem in the kernel: {netem}"),
        if netem == "yes" {
            (
                State::Good,
                "cells that are 0.5 ms away go through the relay all the same, as on every machine; whoever wants loss or a \
                 narrow line lays it by hand, as root",
                "",
            )
        } else {
            (
                State::Mind,
                "cells that are 0.5 ms away go through the relay, as on every machine: it delays, and neither loses bytes \
                 nor limits them",
                "",
            )
        },
    )
}

pub(super) fn disk(facts: &Facts) -> Finding {
    let cost = match &facts.disk {
        Ok(cost) => cost,
        Err(reason) => {
            return finding(
                "disk",
                reason,
                (
                    State::Lacking,
                    "durability process and power cannot be measured: their journal has no place",
                    "name a folder that can be written in HOPBENCH_JOURNAL",
                ),
            );
        }
    };
    finding(
        "disk",
        format!(
            "an fdatasync takes {} at the median of {}, {} at most",
            show_ns(cost.p50_ns as f64),
            cost.count,
            show_ns(cost.max_ns as f64)
        ),
        match cost.p50_ns {
            p50 if p50 < FASTEST_FLUSH_NS => (
                State::Lacking,
                "nothing is flushed where the journals lie: durability power is refused rather than faked",
                "name a folder on a real disk in HOPBENCH_JOURNAL",
            ),
            p50 if p50 > SLOW_FLUSH_NS => (
                State::Mind,
                "cells of class power measure this disk more than any transport",
                "name a folder on a quicker disk in HOPBENCH_JOURNAL",
            ),
            _ => (State::Good, "durability power can be believed", ""),
        },
    )
}

pub(super) fn broker(way: &Way) -> Finding {
    match &way.broker {
        Ok(version) => finding(
            &way.name,
            format!("{version} answers"),
            (State::Good, "its cells run", ""),
        ),
        Err(reason) => finding(
            &way.name,
            reason,
            (
                State::Lacking,
                "its cells are skipped with this reason, and the claims that need them stay not measured",
                "make up",
            ),
        ),
    }
}

pub(super) fn containers(facts: &Facts) -> Finding {
    let found = match (facts.inside_container, facts.engine) {
        (true, _) => "this runs inside one",
        (false, true) => "an engine answers",
        (false, false) => "no engine answers",
    };
    finding(
        "containers",
        found,
        match (facts.inside_container, facts.engine) {
            (true, _) => (
                State::Mind,
                "brokers outside cannot be pinned and their CPU cannot be read: it is left out",
                "",
            ),
            (false, true) => (
                State::Good,
                "the stack starts brokers as containers; results do not compare with native ones",
                "",
            ),
            (false, false) => (
                State::Good,
                "the stack starts native brokers; results do not compare with those of containers",
                "",
            ),
        },
    )
}
