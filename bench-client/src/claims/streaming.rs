//! grpc-streaming, from the experiment `streaming`: each of gRPC's four kinds of call delivers every message exactly
//! once, by the ledger. What a message costs beside a unary call is said with the verdict and decides nothing: that a
//! kind exists is not refuted by its price.

use super::combine::Judged;
use super::part::{not_measured, number};
use super::rules;
use super::samples::{CellTrials, Metric, Paired, cells};
use super::{Combine, Judge};
use crate::results::{Arrival, Cell, Ledger, Part, Run, Verdict};

/// gRPC's kinds of call, with what the protocol calls them.
pub const KINDS: [(&str, &str); 4] = [
    ("unary", "unary"),
    ("client", "client streaming"),
    ("server", "server streaming"),
    ("bidi", "bidirectional streaming"),
];

/// What is judged here.
pub const JUDGES: &[Judge] = &[Judge {
    claim: "grpc-streaming",
    parts: |run, _| parts(run),
    combine: Combine::AllOf,
    beside: cost_beside,
}];

/// The kind of call of a cell.
pub fn kind(cell: &Cell) -> &str {
    cell.factors.get("kind").map_or("unary", String::as_str)
}

/// The unary cell of the same transport and load.
pub fn unary_of<'a, 'r>(all: &'a [CellTrials<'r>], cell: &Cell) -> Option<&'a CellTrials<'r>> {
    let alike = |other: &Cell| {
        kind(other) == "unary"
            && other.transport == cell.transport
            && other.payload == cell.payload
            && other.arrival == cell.arrival
            && other.in_flight == cell.in_flight
            && other.rate_per_s == cell.rate_per_s
            && other.connections == cell.connections
    };
    all.iter().find(|trials| alike(trials.cell))
}

/// One part per kind, over all of its trials: a message lost in one that is INVALID for it is the counter-example.
pub fn parts(run: &Run) -> Vec<Judged> {
    let all = cells(run, "streaming");
    KINDS
        .iter()
        .map(|(name, words)| exactly_once(run, &all, name, words))
        .collect()
}

fn exactly_once(run: &Run, all: &[CellTrials<'_>], name: &str, words: &str) -> Judged {
    let mine: Vec<&CellTrials<'_>> = all
        .iter()
        .filter(|trials| trials.cell.transport == "grpc" && kind(trials.cell) == name)
        .collect();
    let ledgers: Vec<&Ledger> = mine
        .iter()
        .flat_map(|trials| trials.blocks.values())
        .map(|trial| &trial.ledger)
        .collect();
    let counted: Vec<(u64, u64)> = ledgers.iter().filter_map(|l| wrongs(l)).collect();
    if counted.is_empty() {
        let skipped = run.skipped.iter().find(|s| s.transport == "grpc");
        let why = match skipped {
            Some(skipped) => format!("grpc was skipped: {}", skipped.reason),
            None => format!("`streaming` has no trial of {words} with the service's ledger"),
        };
        return not_measured(words, why);
    }
    let messages: u64 = counted.iter().map(|(messages, _)| messages).sum();
    let wrong: u64 = counted.iter().map(|(_, wrong)| wrong).sum();
    let (decision, bound) = rules::never(wrong, messages);
    let reason = match decision.verdict {
        Verdict::Holds => format!(
            "{words}: each of {messages} messages was delivered exactly once (a share of ≤ {} at 95 % may not be)",
            number(bound)
        ),
        Verdict::Refuted => format!(
            "{words}: {wrong} of {messages} messages were lost, duplicated or never sent by anybody"
        ),
        _ => format!("{words}: no message was sent"),
    };
    let share = wrong as f64 / messages.max(1) as f64;
    let refuted = decision.verdict == Verdict::Refuted;
    Judged {
        part: Part {
            name: words.into(),
            verdict: decision.verdict,
            beyond: None,
            low: Some(share),
            high: Some(if refuted { share } else { bound }),
            unit: "share".into(),
            cells: mine.iter().map(|trials| trials.cell.id.clone()).collect(),
            reason,
        },
        // A counter-example is no matter of chance.
        p: Some(if refuted { 0.0 } else { 1.0 }),
    }
}

/// Messages attempted, and how many of them were not delivered exactly once. None without the service's side.
fn wrongs(ledger: &Ledger) -> Option<(u64, u64)> {
    let unexpected = ledger.unexpected?;
    let delivered = ledger.delivered?.saturating_sub(unexpected);
    let missing = ledger.attempted.saturating_sub(delivered);
    Some((ledger.attempted, missing + ledger.duplicated? + unexpected))
}

/// CPU per message, each streaming kind ÷ unary, at the closed loop that all ran.
fn cost_beside(run: &Run) -> String {
    let all = cells(run, "streaming");
    let costs: Vec<String> = KINDS[1..]
        .iter()
        .filter_map(|(name, words)| {
            let cell = all.iter().find(|trials| {
                let cell = trials.cell;
                cell.transport == "grpc" && kind(cell) == *name && cell.arrival == Arrival::Closed
            })?;
            let unary = unary_of(&all, cell.cell)?;
            let cpu = |trial: &_| Metric::CpuPerOp.of(trial);
            let measured = Paired::of(cell, unary, cpu, cpu).measured(true, None)?;
            let interval = measured.interval()?;
            Some(format!(
                "{words} {}× [{}, {}]",
                number(measured.ratio.point()),
                number(interval.low),
                number(interval.high)
            ))
        })
        .collect();
    if costs.is_empty() {
        return String::new();
    }
    format!(
        " Beside it, CPU per message of client and service together, as a multiple of a unary call's: {}.",
        costs.join(", ")
    )
}

/// A planted run of the experiment: (transport, kind, CPU per message, µs), six blocks, closed loop.
#[cfg(test)]
pub(crate) fn planted(arms: &[(&str, &str, f64)]) -> Run {
    use super::fixture;
    let mut trials = Vec::new();
    for block in 0..fixture::BLOCKS {
        for (transport, kind, cpu) in arms {
            let mut cell = fixture::cell(transport, "O3");
            if *kind != "unary" {
                cell.factors.insert("kind".into(), (*kind).into());
            }
            if matches!(*kind, "client" | "server" | "list") {
                cell.factors.insert("batch".into(), "32".into());
            }
            let half = cpu / 2.0;
            let mut trial = fixture::closed(cell, 0, block, 20_000.0, [half, half, 0.0]);
            trial.experiment = "streaming".into();
            trial.cell.id = format!("{transport}-O3-{kind}-c32");
            trials.push(trial);
        }
    }
    Run {
        trials,
        ..fixture::planted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims;
    use crate::results::{State, VerdictRow};

    const ALL: [(&str, &str, f64); 4] = [
        ("grpc", "unary", 40.0),
        ("grpc", "client", 10.0),
        ("grpc", "server", 12.0),
        ("grpc", "bidi", 20.0),
    ];

    fn verdict(run: &Run) -> VerdictRow {
        claims::judge(run)
            .into_iter()
            .find(|row| row.claim == "grpc-streaming")
            .expect("every claim has a row")
    }

    #[test]
    fn four_kinds_that_deliver_exactly_once_hold_with_their_cost_beside() {
        let row = verdict(&planted(&ALL));
        assert_eq!(row.verdict, Verdict::Holds, "{}", row.reason);
        assert_eq!(row.parts.len(), 4);
        assert!(
            row.reason.contains("client streaming 0.25×"),
            "{}",
            row.reason
        );
        assert!(
            row.reason.contains("bidirectional streaming 0.50×"),
            "{}",
            row.reason
        );
        assert!(
            row.reason.contains("each of 30000 messages"),
            "{}",
            row.reason
        );
    }

    #[test]
    fn one_message_lost_refutes_even_though_its_trial_is_invalid() {
        for spoil in [
            (|l: &mut Ledger| l.delivered = Some(4_999)) as fn(&mut Ledger),
            |l| l.duplicated = Some(1),
            |l| {
                l.delivered = Some(5_001);
                l.unexpected = Some(1);
            },
        ] {
            let mut run = planted(&ALL);
            let trial = run
                .trials
                .iter_mut()
                .find(|trial| kind(&trial.cell) == "server")
                .expect("planted");
            spoil(&mut trial.ledger);
            trial.validity.state = State::Invalid;
            let row = verdict(&run);
            assert_eq!(row.verdict, Verdict::Refuted, "{}", row.reason);
            assert!(
                row.reason.contains("server streaming: 1 of 30000"),
                "{}",
                row.reason
            );
        }
    }

    #[test]
    fn a_kind_that_did_not_run_leaves_it_open() {
        let row = verdict(&planted(&ALL[..3]));
        assert_eq!(row.verdict, Verdict::Inconclusive, "{}", row.reason);
        assert!(
            row.reason.contains("Not measured: bidirectional"),
            "{}",
            row.reason
        );
        let row = verdict(&planted(&[("rest", "list", 10.0)]));
        assert_eq!(row.verdict, Verdict::NotMeasured, "{}", row.reason);
    }
}
