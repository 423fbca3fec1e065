//! What the probe's requests say: by phase, as the caller saw them, and held against the service's own count. Pure.

use super::Material;
use super::spans::{bound_of, caller_side};
use crate::latency::{Beside, Minimum, summarise};
use crate::results::{Phase, Probe, State};
use crate::validity;
use bench_proto::control::Account;

/// The probe of a trial, and what speaks against the trial for it; none without one. `account` is that of the service which
/// was asked, where it lived.
pub(super) fn probed(
    material: &Material<'_>,
    account: Option<&Account>,
) -> Option<(Probe, Vec<(State, String)>)> {
    let (record, rate_per_s) = material.probe.as_ref().zip(material.cell.probe)?;
    let bound = bound_of(material.cell);
    let window = Phase {
        end_s: (record.end_ns - record.start_ns) as f64 / 1e9,
        ..caller_side(record.window(), bound)
    };
    let probe = Probe {
        rate_per_s,
        window,
        // Index 0 is the whole window.
        phases: record.spans[1..]
            .iter()
            .map(|span| caller_side(span, bound))
            .collect(),
        lateness_ns: summarise(&record.lateness, Beside::default(), Minimum::Trial),
        answered: account.map(|account| account.catalog),
    };
    let found = problems(&probe, record.negative);
    Some((probe, found))
}

fn problems(probe: &Probe, negative: u64) -> Vec<(State, String)> {
    let mut found = Vec::new();
    let late = validity::late(probe.lateness_ns.p99, probe.window.accept_ns.p99);
    found.extend(late.map(|(state, why)| (state, format!("the catalogue probe: {why}"))));
    if negative > 0 {
        found.push((
            State::Invalid,
            format!("the catalogue probe: {negative} latency samples are negative"),
        ));
    }
    let came = probe.window.acknowledged;
    if let Some(answered) = probe.answered
        && answered < came
    {
        found.push((
            State::Invalid,
            format!(
                "the catalogue came {came} times, and the service says that it answered {answered}"
            ),
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Latency;

    fn probe(came: u64, answered: Option<u64>) -> Probe {
        Probe {
            window: Phase {
                acknowledged: came,
                accept_ns: Latency {
                    p99: Some(1_000_000),
                    ..Latency::default()
                },
                ..Phase::default()
            },
            lateness_ns: Latency {
                p99: Some(50_000),
                ..Latency::default()
            },
            answered,
            ..Probe::default()
        }
    }

    #[test]
    fn an_answer_that_the_service_never_gave_makes_the_trial_invalid() {
        for answered in [None, Some(5), Some(6)] {
            assert!(problems(&probe(5, answered), 0).is_empty());
        }
        let found = problems(&probe(5, Some(4)), 0);
        assert!(matches!(&found[..], [(State::Invalid, why)] if why.contains("came 5 times")));
    }

    #[test]
    fn it_is_held_to_the_lateness_of_every_open_loop() {
        let mut late = probe(5, Some(5));
        late.lateness_ns.p99 = Some(200_000);
        let found = problems(&late, 0);
        assert!(
            matches!(&found[..], [(State::Suspect, why)] if why.starts_with("the catalogue probe: ")),
            "{found:?}"
        );
        late.lateness_ns.p99 = Some(600_000);
        assert_eq!(problems(&late, 3).len(), 2);
        assert!(
            problems(&late, 3)
                .iter()
                .all(|(state, _)| *state == State::Invalid)
        );
    }
}
