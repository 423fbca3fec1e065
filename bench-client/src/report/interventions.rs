//! What was done to processes while the run went on (brokers restarted, services paused or killed), in words: figures
//! rest on it, so the report says it.

use super::document::Document;
use crate::results::{Run, Trial};
use std::collections::{BTreeMap, BTreeSet};

/// Under this name the manifest keeps how often the brokers were to be restarted.
const RESTARTS: &str = "broker restarts";

/// One line per kind of intervention; that there was none is said too.
pub(super) fn told(document: &mut Document, run: &Run) {
    document.heading("Processes paused, killed or restarted");
    let lines = lines(run);
    if lines.is_empty() {
        document.text("None: the brokers ran through, and each service ended with its own trial.");
    }
    document.items(lines);
    let joins = joins(run);
    if !joins.is_empty() {
        document.text("Services that joined while it ran, which harms nobody:");
    }
    document.items(joins);
}

fn lines(run: &Run) -> Vec<String> {
    let mut lines = restarts(run);
    lines.extend(by_what(run, stalls).into_iter().map(|(what, seen)| {
        format!("The service was paused (SIGSTOP) for {what} of the window: {seen}.")
    }));
    lines.extend(
        by_what(run, faults)
            .into_iter()
            .map(|(what, seen)| format!("`{what}`: {seen}.")),
    );
    lines
}

fn joins(run: &Run) -> Vec<String> {
    by_what(run, joined)
        .into_iter()
        .map(|(what, seen)| format!("`{what}`: {seen}."))
        .collect()
}

/// Every instance of a broker was warmed by itself: there are as many restarts as there are instances after the first.
fn restarts(run: &Run) -> Vec<String> {
    let manifest = &run.manifest;
    let mut instances: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for warm_up in &manifest.warm_ups {
        let (all, steady) = instances.entry(&warm_up.transport).or_default();
        *all += 1;
        *steady += usize::from(warm_up.steady);
    }
    let asked = manifest.settings.get(RESTARTS);
    let asked: u32 = asked.and_then(|n| n.parse().ok()).unwrap_or(0);
    if instances.is_empty() && asked > 0 {
        return vec![format!(
            "The brokers were to be restarted {asked} times in mid-run; no warm-up of theirs was kept."
        )];
    }
    let line = |(transport, (all, steady)): (&str, (usize, usize))| {
        let name = manifest
            .brokers
            .get(transport)
            .map_or(transport, String::as_str);
        format!(
            "{name} (`{transport}`) was restarted {} in mid-run, without its data: {all} instances, {steady} of them steady when measured.",
            times(all - 1)
        )
    };
    instances
        .into_iter()
        .filter(|(_, (all, _))| *all > 1)
        .map(line)
        .collect()
}

fn times(n: usize) -> String {
    match n {
        1 => "once".into(),
        n => format!("{n} times"),
    }
}

fn stalls(trial: &Trial) -> Vec<&str> {
    let stall = trial.cell.factors.get("stall");
    stall.map(String::as_str).into_iter().collect()
}

/// What was done to services and brokers that ran, or had run before.
fn faults(trial: &Trial) -> Vec<&str> {
    let done = trial.faults.iter();
    let harmful = done.filter(|fault| trial.joined(fault).is_none());
    harmful.map(|fault| fault.what.as_str()).collect()
}

fn joined(trial: &Trial) -> Vec<&str> {
    let done = trial.faults.iter();
    done.filter(|fault| trial.joined(fault).is_some())
        .map(|fault| fault.what.as_str())
        .collect()
}

/// What was done, and in how many trials of which transports.
fn by_what<'r>(run: &'r Run, of: fn(&'r Trial) -> Vec<&'r str>) -> Vec<(&'r str, String)> {
    let mut found: BTreeMap<&str, (usize, BTreeSet<&str>)> = BTreeMap::new();
    for trial in &run.trials {
        for what in of(trial) {
            let (trials, transports) = found.entry(what).or_default();
            *trials += 1;
            transports.insert(&trial.cell.transport);
        }
    }
    let words = |(what, (trials, transports)): (&'r str, (usize, BTreeSet<&str>))| {
        let transports: Vec<&str> = transports.into_iter().collect();
        let plural = if trials == 1 { "" } else { "s" };
        (
            what,
            format!("{trials} trial{plural} over {}", transports.join(", ")),
        )
    };
    found.into_iter().map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::fixture::planted;
    use crate::results::{Fault, WarmUp};

    #[test]
    fn nothing_done_is_said_in_no_line() {
        assert!(lines(&planted()).is_empty());
    }

    #[test]
    fn restarts_are_counted_by_the_instances_that_were_warmed() {
        let mut run = planted();
        for (transport, steady) in [("queue", true), ("queue", false), ("stream", true)] {
            run.manifest.warm_ups.push(WarmUp {
                transport: transport.into(),
                steady,
                ..WarmUp::default()
            });
        }
        assert_eq!(
            lines(&run),
            [
                "RabbitMQ 0.0 (`queue`) was restarted once in mid-run, without its data: 2 instances, 1 of them steady when measured."
            ]
        );
    }

    #[test]
    fn a_pause_and_a_fault_are_told_with_their_trials() {
        let mut run = planted();
        let [first, second, ..] = &mut run.trials[..] else {
            panic!("the planted run has trials");
        };
        let stall = "1s after 500ms".into();
        first.cell.factors.insert("stall".into(), stall);
        for trial in [first, second] {
            trial.faults.push(Fault {
                what: "at 2s kill service".into(),
                ..Fault::default()
            });
        }
        assert!(joins(&run).is_empty());
        assert_eq!(
            lines(&run),
            [
                "The service was paused (SIGSTOP) for 1s after 500ms of the window: 1 trial over tcp.",
                "`at 2s kill service`: 2 trials over rest, tcp."
            ]
        );
    }

    #[test]
    fn a_service_that_joined_was_not_done_anything_to_and_one_that_was_restarted_was() {
        let mut run = planted();
        let [first, second, ..] = &mut run.trials[..] else {
            panic!("the planted run has trials");
        };
        let fault = |what: &str| Fault {
            what: what.into(),
            ..Fault::default()
        };
        first.faults.push(fault("at 2s start consumer-3"));
        // Started like it, but after it was killed; one that another trial knows by the same name is no part of this one.
        second.faults.push(fault("at 1s kill consumer-3"));
        second.faults.push(fault("at 3s start consumer-3"));
        assert_eq!(joins(&run), ["`at 2s start consumer-3`: 1 trial over tcp."]);
        assert_eq!(
            lines(&run),
            [
                "`at 1s kill consumer-3`: 1 trial over rest.",
                "`at 3s start consumer-3`: 1 trial over rest."
            ]
        );
        let mut document = Document::default();
        run.trials.remove(1);
        told(&mut document, &run);
        let text = document.markdown();
        assert!(text.contains("None: the brokers ran through"), "{text}");
        assert!(text.contains("joined while it ran"), "{text}");
    }
}
