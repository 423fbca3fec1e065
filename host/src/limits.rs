//! What this system allows a process and what its kernel counts: the bounds behind numbers of connections, timers and CPU
//! time. What the kernel doesn't tell is said to be missing, never guessed.

use std::fs;
use std::path::Path;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit};
use procfs::{Current, KernelConfig, Meminfo};
use serde::{Deserialize, Serialize};

use crate::machine::NOT_EXPOSED;

/// The bounds that a process of this user lives in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Files and sockets that a process may have open.
    pub open_files: Option<u64>,
    /// How far it may raise that by itself.
    pub open_files_most: Option<u64>,
    /// First and last port that connections are made from.
    pub ports: Option<(u16, u16)>,
    /// What the kernel does with the port of a connection that was just closed: 0 keeps it for a minute, 1 uses it again, 2
    /// does so on loopback.
    pub ports_reused: String,
    /// How late the kernel may wake a thread, in ns, so that wake-ups fall together.
    pub timer_slack_ns: Option<u64>,
    /// Whether time in interrupts is told from the time of whoever was interrupted: `on`, `off`, or not exposed.
    pub irq_time: String,
    /// Whether the kernel has netem, which delays, loses and limits packets: `yes`, `no`, or not exposed.
    pub netem: String,
    /// Memory that can be had without swapping, in bytes; zero where it is not known.
    pub memory_available_bytes: u64,
}

impl Limits {
    /// Reads them. It can't fail; what can't be read is none, or [`NOT_EXPOSED`].
    #[must_use]
    pub fn read() -> Self {
        let files = getrlimit(Resource::RLIMIT_NOFILE).ok();
        let memory = Meminfo::current().ok();
        Self {
            open_files: files.map(|(soft, _)| soft),
            open_files_most: files.map(|(_, hard)| hard),
            ports: fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
                .ok()
                .and_then(|text| ports(&text)),
            ports_reused: fs::read_to_string("/proc/sys/net/ipv4/tcp_tw_reuse")
                .map_or_else(|_| NOT_EXPOSED.into(), |text| text.trim().to_owned()),
            timer_slack_ns: prctl::get_timerslack()
                .ok()
                .and_then(|slack| u64::try_from(slack).ok()),
            irq_time: irq_time(),
            netem: netem(),
            memory_available_bytes: memory
                .and_then(|memory| memory.mem_available)
                .unwrap_or_default(),
        }
    }
}

fn ports(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next()?, numbers.next()?) {
        (Ok(first), Ok(last)) if first <= last => Some((first, last)),
        _ => None,
    }
}

/// As the kernel was built; many keep that to themselves.
fn irq_time() -> String {
    match KernelConfig::current() {
        Ok(KernelConfig(settings)) if settings.contains_key("CONFIG_IRQ_TIME_ACCOUNTING") => {
            "on".into()
        }
        Ok(_) => "off".into(),
        Err(_) => NOT_EXPOSED.into(),
    }
}

/// By the lists of what was built into this kernel, and of what it can load.
fn netem() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let modules = Path::new("/lib/modules").join(release.trim());
    let lists: Vec<String> = ["modules.builtin", "modules.dep"]
        .into_iter()
        .filter_map(|list| fs::read_to_string(modules.join(list)).ok())
        .collect();
    listed(&lists, "sch_netem").into()
}

/// Whether one of the lists has the module. A line is its file, and in `modules.dep` a colon and what it needs.
fn listed(lists: &[String], module: &str) -> &'static str {
    if lists.is_empty() {
        return NOT_EXPOSED;
    }
    let is_it = |line: &str| {
        let file = line.split(':').next().unwrap_or(line);
        let name = file.rsplit('/').next().unwrap_or(file);
        name.split('.').next() == Some(module)
    };
    if lists.iter().flat_map(|list| list.lines()).any(is_it) {
        "yes"
    } else {
        "no"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_this_process_are_read() {
        let limits = Limits::read();
        assert!(
            limits.open_files.unwrap() <= limits.open_files_most.unwrap(),
            "{limits:?}"
        );
        let (first, last) = limits.ports.unwrap();
        assert!(0 < first && first <= last);
        assert!(limits.memory_available_bytes > 1 << 20, "{limits:?}");
        assert!(["on", "off", NOT_EXPOSED].contains(&limits.irq_time.as_str()));
        assert!(["yes", "no", NOT_EXPOSED].contains(&limits.netem.as_str()));
    }

    #[test]
    fn a_module_is_found_where_it_is_listed_and_not_where_another_needs_it() {
        let [built_in, loadable, needed] = [
            "kernel/net/sched/sch_fq.ko\nkernel/net/sched/sch_netem.ko\n",
            "kernel/net/sched/sch_netem.ko.zst:\nkernel/fs/a.ko.zst: kernel/fs/b.ko.zst\n",
            "kernel/net/a.ko: kernel/net/sched/sch_netem.ko\nkernel/net/not_sch_netem.ko:\n",
        ]
        .map(String::from);
        let is_listed = |lists: &[String]| listed(lists, "sch_netem");
        assert_eq!(is_listed(&[built_in, needed.clone()]), "yes");
        assert_eq!(is_listed(&[loadable]), "yes");
        assert_eq!(is_listed(&[needed]), "no");
        assert_eq!(is_listed(&[]), NOT_EXPOSED);
    }

    #[test]
    fn a_range_of_ports_that_is_none_is_not_guessed() {
        assert_eq!(ports("32768\t60999\n"), Some((32_768, 60_999)));
        for text in ["", "5", "9 5", "a b", "1 70000"] {
            assert_eq!(ports(text), None, "{text}");
        }
    }
}
