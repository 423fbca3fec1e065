//! The decision: which role gets which cores. Pure, given the cores; it pins nothing itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Cpus;
use crate::Error;

/// Where each role runs. `None` in a role leaves that role to the scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The load generator.
    pub client: Option<Cpus>,
    /// The service.
    pub service: Option<Cpus>,
    /// All brokers.
    pub brokers: Option<Cpus>,
    /// Why so, as a sentence for the manifest.
    pub why: String,
}

impl Placement {
    /// No pinning (`--pin none`). A published run placed so is SUSPECT.
    #[must_use]
    pub fn none(why: impl Into<String>) -> Self {
        Self {
            client: None,
            service: None,
            brokers: None,
            why: why.into(),
        }
    }

    /// Whether anything is pinned.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.client.is_some()
    }

    /// The placement for this machine: what [`Cpus::allowed`] leaves, by physical core where /sys shows them.
    pub fn for_this_machine(generator_threads: usize) -> Result<Self, Error> {
        Ok(Self::over(
            &physical_cores(&Cpus::allowed()?),
            generator_threads,
        ))
    }

    /// The placement over these cores, each with its hardware threads. The client takes one core per generator
    /// thread from the end, the service the first half of the rest, the brokers the other; on two cores service
    /// and brokers share one. A core's two hardware threads stay in one role, unless there is only that core.
    #[must_use]
    pub fn over(cores: &[Vec<usize>], generator_threads: usize) -> Self {
        let threads: Vec<Vec<usize>> = cores.iter().flatten().map(|&cpu| vec![cpu]).collect();
        match (cores.len(), threads.len()) {
            (_, 0..=1) => {
                Self::none("one CPU: pinning would only forbid the scheduler to take turns")
            }
            (1, _) => Self::split(
                &threads,
                generator_threads,
                "one core: its hardware threads are taken for cores, so client and service slow each other",
            ),
            (2, _) => Self::split(
                cores,
                generator_threads,
                "two cores: the client alone on one, service and brokers on the other",
            ),
            _ => Self::split(
                cores,
                generator_threads,
                "client, service and brokers on cores of their own",
            ),
        }
    }

    /// `units` are at least two.
    fn split(units: &[Vec<usize>], generator_threads: usize, why: &str) -> Self {
        let together = |units: &[Vec<usize>]| Some(units.iter().flatten().copied().collect());
        // Service and brokers keep a unit each where there are three, and share one where there are two.
        let most = units.len().saturating_sub(2).max(1);
        let (rest, client) = units.split_at(units.len() - generator_threads.clamp(1, most));
        let (service, brokers) = match rest {
            [shared] => (std::slice::from_ref(shared), std::slice::from_ref(shared)),
            several => several.split_at(several.len().div_ceil(2)),
        };
        Self {
            client: together(client),
            service: together(service),
            brokers: together(brokers),
            why: if client.len() < generator_threads {
                format!(
                    "{why}; {generator_threads} generator threads share {} CPUs",
                    client.len()
                )
            } else {
                why.to_owned()
            },
        }
    }
}

/// The allowed CPUs grouped by physical core, cores in the order of their first CPU. A CPU whose topology is not
/// exposed counts as a core of its own.
fn physical_cores(allowed: &Cpus) -> Vec<Vec<usize>> {
    let siblings = |cpu: usize| {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        std::fs::read_to_string(path).unwrap_or_else(|_| format!("alone {cpu}"))
    };
    let mut cores: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for cpu in allowed.iter() {
        cores.entry(siblings(cpu)).or_default().push(cpu);
    }
    let mut cores: Vec<_> = cores.into_values().collect();
    cores.sort_unstable();
    cores
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(placement: &Placement) -> [String; 3] {
        [&placement.client, &placement.service, &placement.brokers]
            .map(|cpus| cpus.as_ref().map_or_else(|| "-".into(), Cpus::to_string))
    }

    fn cores(count: usize) -> Vec<Vec<usize>> {
        (0..count).map(|cpu| vec![cpu]).collect()
    }

    #[test]
    fn a_single_cpu_is_never_pinned() {
        let placement = Placement::over(&cores(1), 1);
        assert!(!placement.is_pinned());
        assert_eq!(shown(&placement), ["-", "-", "-"]);
        assert!(!Placement::over(&[], 1).is_pinned());
    }

    #[test]
    fn on_two_cores_the_client_is_alone_on_the_second() {
        assert_eq!(shown(&Placement::over(&cores(2), 1)), ["1", "0", "0"]);
        let crowded = Placement::over(&cores(2), 3);
        assert_eq!(shown(&crowded), ["1", "0", "0"]);
        assert!(
            crowded.why.contains("3 generator threads share 1 CPUs"),
            "{}",
            crowded.why
        );
    }

    #[test]
    fn with_more_cores_each_role_has_its_own() {
        assert_eq!(shown(&Placement::over(&cores(3), 1)), ["2", "0", "1"]);
        assert_eq!(shown(&Placement::over(&cores(4), 1)), ["3", "0-1", "2"]);
        assert_eq!(shown(&Placement::over(&cores(8), 2)), ["6-7", "0-2", "3-5"]);
        assert_eq!(shown(&Placement::over(&cores(4), 9)), ["2-3", "0", "1"]);
    }

    #[test]
    fn hardware_threads_of_a_core_stay_together() {
        let four = [vec![0, 4], vec![1, 5], vec![2, 6], vec![3, 7]];
        assert_eq!(shown(&Placement::over(&four, 1)), ["3,7", "0-1,4-5", "2,6"]);
        let two = [vec![0, 1], vec![2, 3]];
        assert_eq!(shown(&Placement::over(&two, 1)), ["2-3", "0-1", "0-1"]);
    }

    #[test]
    fn one_core_with_two_hardware_threads_is_split_and_says_so() {
        let placement = Placement::over(&[vec![0, 1]], 1);
        assert_eq!(shown(&placement), ["1", "0", "0"]);
        assert!(placement.why.contains("slow each other"));
    }

    #[test]
    fn this_machines_placement_uses_only_cpus_that_are_allowed() {
        let allowed = Cpus::allowed().unwrap();
        let placement = Placement::for_this_machine(1).unwrap();
        assert_eq!(placement.is_pinned(), allowed.len() > 1);
        for cpus in [&placement.client, &placement.service, &placement.brokers] {
            assert!(
                cpus.iter()
                    .flat_map(|cpus| cpus.iter())
                    .all(|cpu| allowed.0.contains(&cpu))
            );
        }
    }
}
