//! The services of a topology: who calls whom, what reached each, what became of their calls.

use super::document::{Cell, Document, Table, names};
use super::format::{NOTHING, percentile};
use crate::results::{Percentile, Run, Trial};

/// Everything about the services of one trial; nothing with a single one.
pub(super) fn trial(document: &mut Document, trial: &Trial) {
    if let Some(topology) = &trial.topology {
        document.table(drawn(topology));
    }
    if trial.hops.is_empty() {
        return;
    }
    document.table(services(trial));
    let calls = calls(trial);
    if !calls.rows.is_empty() {
        document.table(calls);
    }
    document.items(
        trial
            .reached
            .iter()
            .map(|reached| {
                let services = match &reached.services[..] {
                    [] => "no service".to_string(),
                    some => some.join(", "),
                };
                format!("{} orders reached {services}.", reached.orders)
            })
            .collect(),
    );
}

/// Every topology of a run, once.
pub(super) fn topologies(document: &mut Document, run: &Run) {
    let mut known: Vec<&str> = Vec::new();
    for trial in &run.trials {
        let Some(topology) = trial.topology.as_deref() else {
            continue;
        };
        if known.contains(&topology) {
            continue;
        }
        if known.is_empty() {
            document.heading("Topologies: who calls whom");
        }
        known.push(topology);
        document.table(drawn(topology));
    }
}

/// A diagram as a table of one column, so that each rendering keeps its lines.
fn drawn(topology: &str) -> Table {
    // What indents a line must survive Markdown and HTML, which fold plain spaces.
    let line = |line: &str| {
        let text = line.trim_start_matches(' ');
        let indent = "\u{a0}".repeat(line.len() - text.len());
        vec![Cell::from(format!(
            "{indent}{}",
            text.replace("  ", "\u{a0}\u{a0}")
        ))]
    };
    Table {
        header: names(["who calls whom"]),
        numbers_from: 1,
        rows: topology.lines().map(line).collect(),
    }
}

fn services(trial: &Trial) -> Table {
    let known = |count: Option<u64>| count.map_or(NOTHING.to_string(), |n| n.to_string());
    let rows = trial.hops.iter().map(|hop| {
        let name = match hop.died {
            true => format!("{} (killed on the way)", hop.service),
            false => hop.service.clone(),
        };
        vec![
            Cell::from(name),
            known(hop.ledger.delivered).into(),
            known(hop.ledger.duplicated).into(),
            known(hop.completed).into(),
            percentile(hop.completion_ns.as_ref(), Percentile::P50).into(),
            percentile(hop.completion_ns.as_ref(), Percentile::P99).into(),
            percentile(hop.handler_ns.as_ref(), Percentile::P50).into(),
            percentile(hop.handler_ns.as_ref(), Percentile::P99).into(),
        ]
    });
    Table {
        header: names([
            "service",
            "delivered",
            "duplicated",
            "completed",
            "completion\np50",
            "\np99",
            "handler\np50",
            "\np99",
        ]),
        numbers_from: 1,
        rows: rows.collect(),
    }
}

fn calls(trial: &Trial) -> Table {
    let rows = trial.hops.iter().flat_map(|hop| {
        hop.calls.iter().map(|(callee, calls)| {
            let failed: u64 = calls.failed.values().sum();
            vec![
                Cell::from(format!("{} → {callee}", hop.service)),
                calls.calls.to_string().into(),
                calls.attempts.to_string().into(),
                calls.succeeded.to_string().into(),
                failed.to_string().into(),
                calls.timed_out.to_string().into(),
                (calls.shed + calls.refused_by_breaker).to_string().into(),
                percentile(Some(&calls.latency_ns), Percentile::P50).into(),
                percentile(Some(&calls.latency_ns), Percentile::P99).into(),
            ]
        })
    });
    Table {
        header: names([
            "calls",
            "orders",
            "attempts",
            "succeeded",
            "failed",
            "timed out",
            "turned away",
            "latency\np50",
            "\np99",
        ]),
        numbers_from: 1,
        rows: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::document::Style;
    use crate::results::{Hop, HopCalls, Ledger, Reached};
    use std::collections::BTreeMap;

    fn of(services: &[&str], orders: u64) -> Reached {
        Reached {
            services: services.iter().map(ToString::to_string).collect(),
            orders,
        }
    }

    #[test]
    fn a_trial_shows_its_services_their_calls_and_who_reached_what() {
        let calls = HopCalls {
            calls: 10,
            attempts: 12,
            succeeded: 8,
            failed: BTreeMap::from([("connect".into(), 2)]),
            ..HopCalls::default()
        };
        let one = Trial {
            topology: Some("user\n└─ rest → s1\n   └─ rest → s2\n".into()),
            hops: vec![
                Hop {
                    service: "s1".into(),
                    ledger: Ledger {
                        delivered: Some(10),
                        duplicated: Some(0),
                        ..Ledger::default()
                    },
                    calls: BTreeMap::from([("s2".into(), calls)]),
                    ..Hop::default()
                },
                Hop {
                    service: "s2".into(),
                    died: true,
                    ..Hop::default()
                },
            ],
            reached: vec![of(&["s1", "s2"], 8), of(&[], 2)],
            ..Trial::default()
        };
        let mut document = Document::default();
        trial(&mut document, &one);
        let text = document.terminal(Style {
            colour: false,
            width: None,
        });
        for words in [
            "\u{a0}\u{a0}\u{a0}└─ rest → s2",
            "s1 → s2",
            "s2 (killed on the way)",
            "8 orders reached s1, s2.",
            "2 orders reached no service.",
        ] {
            assert!(text.contains(words), "{text} lacks {words:?}");
        }
        let run = Run {
            trials: vec![one.clone(), one],
            ..Run::default()
        };
        let mut document = Document::default();
        topologies(&mut document, &run);
        assert_eq!(document.markdown().matches("→ s2").count(), 1, "each once");
        let mut document = Document::default();
        trial(&mut document, &Trial::default());
        assert!(document.blocks().is_empty());
    }
}
