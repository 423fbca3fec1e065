//! What a trial measures: services of its own, or somebody's that run already. One face for both.

use crate::account::flatten;
use crate::fault::{Fault, SERVICE};
use crate::service::{self, Asked, Control, Fleet, Held, Injected};
use crate::stack::Brokers;
use anyhow::bail;
use bench_proto::control::Reset;
use std::collections::BTreeMap;

/// The services of a trial.
pub(super) enum Services<'a> {
    /// Started for it, and ended after it.
    Ours(&'a mut Fleet),
    /// Not ours to start, stop or harm; perhaps we may ask it.
    Theirs(Option<&'a Control>),
}

impl Services<'_> {
    /// Tells them to expect a run.
    pub(super) async fn reset(&mut self, reset: &Reset) -> anyhow::Result<()> {
        match self {
            Self::Ours(fleet) => fleet.reset(reset).await?,
            Self::Theirs(Some(control)) => control.reset(reset).await?,
            Self::Theirs(None) => {}
        }
        Ok(())
    }

    /// Process ids of our own, the one that the user calls first.
    pub(super) fn pids(&self) -> Vec<u32> {
        match self {
            Self::Ours(fleet) => fleet.pids(),
            Self::Theirs(_) => Vec::new(),
        }
    }

    /// As they are asked for their accounts, each after all that call it.
    pub(super) fn asked(&self) -> Vec<Asked<'_>> {
        match self {
            Self::Ours(fleet) => fleet.asked(),
            Self::Theirs(control) => vec![Asked {
                name: SERVICE,
                control: *control,
                died: false,
            }],
        }
    }

    /// Settings in force, flat: `service.…` of the one that the user calls, `hop.NAME.…` of every other.
    pub(super) fn in_force(&self) -> BTreeMap<String, String> {
        let Self::Ours(fleet) = self else {
            return BTreeMap::new();
        };
        let mut flat = BTreeMap::new();
        for (place, (name, settings)) in fleet.in_force().enumerate() {
            let prefix = match place {
                0 => "service".to_string(),
                _ => format!("hop.{name}"),
            };
            flat.extend(flatten(&prefix, settings));
        }
        for (name, value) in &mut flat {
            // Where a journal lies says nothing about a figure, and a path of this machine is nobody's business.
            if name.ends_with(".service.journal") && value.starts_with('/') {
                *value = "kept".into();
            }
        }
        flat
    }

    /// Goes through a schedule of faults; see [`service::inject`].
    pub(super) async fn inject(
        &mut self,
        schedule: &[Fault],
        start_ns: u64,
        brokers: &Brokers,
        held: &mut Held,
    ) -> anyhow::Result<Vec<Injected>> {
        match self {
            _ if schedule.is_empty() => Ok(Vec::new()),
            Self::Ours(fleet) => service::inject(schedule, start_ns, fleet, brokers, held).await,
            Self::Theirs(_) => bail!("a service that is not ours is not ours to harm"),
        }
    }
}
