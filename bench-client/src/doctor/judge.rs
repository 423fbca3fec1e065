//! What follows from the facts: for each one what it means for the numbers, and what to do about it. Pure.

mod around;
mod machine;

use super::Facts;
use serde::Serialize;
use std::fmt;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Good,
    /// The numbers hold, with this in mind.
    Mind,
    /// Something cannot be measured here, or not believed.
    Lacking,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "good",
            Self::Mind => "mind",
            Self::Lacking => "LACKING",
        })
    }
}

/// One thing about this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub about: String,
    /// How much it matters.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What that means for the numbers.
    pub means: String,
    /// What to do about it; empty where there is nothing to do.
    pub advice: String,
}

fn finding(
    about: &str,
    found: impl Into<String>,
    (state, means, advice): (State, &str, &str),
) -> Finding {
    Finding {
        about: about.into(),
        state,
        found: found.into(),
        means: means.into(),
        advice: advice.into(),
    }
}

/// What follows from the facts, in the order of a run: the build, the machine, what a process may do, the brokers.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![
        machine::build(facts),
        machine::service(facts),
        machine::cores(facts),
        machine::frequency(facts),
        machine::others(facts),
        machine::steal(facts),
        machine::virtualisation(facts),
        machine::clock(facts),
        machine::timers(facts),
        machine::scheduling(facts),
        machine::interrupts(facts),
        machine::instructions(facts),
        around::memory(facts),
        around::open_files(facts),
        around::ports(facts),
        around::network(facts),
        around::disk(facts),
    ];
    findings.extend(facts.brokers.iter().map(around::broker));
    findings.push(around::containers(facts));
    findings
}

#[cfg(test)]
mod tests;
