//! Reports over the planted run: their whole text as snapshots, and what must never be printed.

use super::document::Style;
use super::*;
use crate::claims::fixture::planted;
use crate::claims::{self, conclude};
use crate::results::{Percentile, Skipped, State};

fn concluded() -> Run {
    let mut run = planted();
    run.skipped.push(Skipped {
        transport: "stream".into(),
        reason: "planted: no broker answers; try `make up`".into(),
    });
    conclude(&mut run);
    run
}

/// Without the claims that the planted run does not hold: they have tests of their own, and change with every new judge.
fn judged() -> Run {
    let mut run = concluded();
    run.verdicts
        .retain(|row| row.verdict != crate::results::Verdict::NotMeasured);
    run
}

fn plain(run: &Run) -> String {
    whole(run, false).terminal(Style {
        colour: false,
        width: None,
    })
}

#[test]
fn the_terminal_report() {
    insta::assert_snapshot!(plain(&judged()));
}

#[test]
fn the_markdown_report() {
    insta::assert_snapshot!(markdown(&judged()));
}

#[test]
fn a_narrow_terminal_wraps_and_never_overflows() {
    let text = whole(&concluded(), false).terminal(Style {
        colour: false,
        width: Some(80),
    });
    let verdicts = text.split("How to read").next().unwrap();
    assert!(
        verdicts.lines().all(|line| line.chars().count() <= 80),
        "{verdicts}"
    );
}

#[test]
fn one_trial() {
    let run = planted();
    let slow = run
        .trials
        .iter()
        .find(|t| t.cell.id == "queue-O3-r200-slow")
        .unwrap();
    let mut document = Document::default();
    sections::trial(&mut document, slow);
    insta::assert_snapshot!(document.terminal(Style {
        colour: false,
        width: None
    }));
}

#[test]
fn a_trial_without_the_services_side_says_so() {
    let mut t = planted().trials[0].clone();
    t.ledger.delivered = None;
    t.completion_ns = None;
    let text = trial(&t);
    assert!(
        text.contains("The service's side of the ledger is unknown")
            && text.contains("– delivered"),
        "{text}"
    );
}

#[test]
fn every_claim_is_listed_without_a_run() {
    let text = claims_table(&claims::CLAIMS);
    assert!(claims::CLAIMS.iter().all(|claim| text.contains(claim.id)));
}

#[test]
fn every_claim_that_was_not_measured_is_in_markdown_with_its_reason() {
    let run = concluded();
    let text = markdown(&run);
    for row in &run.verdicts {
        assert!(
            text.contains(&row.claim) && text.contains(row.reason.as_str()),
            "{}",
            row.claim
        );
    }
}

#[test]
fn percentiles_are_merged_and_never_averaged() {
    let mut run = planted();
    // One block of six a hundred times slower: the median of all samples stays, an average would not.
    for t in run
        .trials
        .iter_mut()
        .filter(|t| t.cell.id == "grpc-O3-r2000" && t.block == 0)
    {
        t.accept_ns = claims::fixture::latency(5, 40_000_000, 120_000_000);
    }
    let text = plain(&run);
    let row = text
        .lines()
        .find(|line| line.contains("grpc") && line.contains("2 000/s"))
        .unwrap();
    assert!(row.contains("416 µs") && row.contains("40.0 ms"), "{row}");
}

#[test]
fn too_few_samples_are_a_dash_and_a_lower_bound_is_marked() {
    let mut run = planted();
    run.trials.retain(|t| t.block < 1);
    for t in run
        .trials
        .iter_mut()
        .filter(|t| t.cell.id == "queue-O3-r200-slow")
    {
        t.phases[1].completion_ns = Some(crate::latency::summarise(
            &bench_stats::histogram::new(),
            crate::latency::Beside {
                censored: 1_000,
                bound_ns: 5_000_000_000,
                negative: 0,
            },
            crate::latency::Minimum::Trial,
        ));
    }
    let text = plain(&run);
    // 5,000 samples are enough for a block's p99 and too few for a cell's.
    let ladder = text
        .lines()
        .find(|line| line.contains("grpc") && line.contains("2 000/s"))
        .unwrap();
    assert!(ladder.contains(" – "), "{ladder}");
    let slow = text
        .lines()
        .find(|line| line.contains("queue") && line.contains(" slow "))
        .unwrap();
    assert!(slow.contains("≥ 5.00 s"), "{slow}");
}

#[test]
fn what_has_no_headline_prints_none() {
    let mut run = planted();
    for t in run
        .trials
        .iter_mut()
        .filter(|t| t.cell.id == "rest-O100-c32" && t.block < 3)
    {
        t.validity.state = State::Invalid;
        t.validity.reasons = vec!["planted".into()];
    }
    for t in run
        .trials
        .iter_mut()
        .filter(|t| t.cell.id == "queue-O3-c32")
    {
        t.overloaded = Some("not sustained: planted".into());
    }
    for t in run.trials.iter_mut().filter(|t| t.cell.id == "tcp-O3-c32") {
        t.throughput_is_lower_bound = true;
    }
    conclude(&mut run);
    let text = plain(&run);
    let line = |words: [&str; 2]| {
        text.lines()
            .find(|l| l.contains("3/6") && words.iter().all(|w| l.contains(w)))
    };
    assert!(line(["rest", "no headline"]).is_some(), "{text}");
    assert!(text.contains("`rest-O100-c32` kept under two thirds of its blocks"));
    assert!(text.contains("INVALID, `rest-O100-c32`: planted, and 2 more like it"));
    assert!(
        text.lines()
            .any(|l| l.contains("queue") && l.contains("not sustained"))
    );
    assert!(text.lines().any(|l| l.contains("tcp") && l.contains("≥ ")));
}

#[test]
fn an_empty_run_is_reported_without_a_table() {
    let mut run = Run::default();
    conclude(&mut run);
    let text = plain(&run);
    assert!(
        text.contains("No claim was measured by this run") && !text.contains("Capacity"),
        "{text}"
    );
    assert!(!markdown(&run).is_empty());
}

#[test]
fn a_bound_in_a_percentile_reaches_the_merged_one() {
    let mut run = planted();
    for t in run
        .trials
        .iter_mut()
        .filter(|t| t.cell.id == "rest-O3-r2000")
    {
        t.accept_ns.censored = 1_000;
        t.accept_ns.bound = Some(5_000_000_000);
        t.accept_ns.at_least = vec![Percentile::P99];
    }
    let text = plain(&run);
    let row = text
        .lines()
        .find(|line| line.contains("rest") && line.contains("2 000/s"))
        .unwrap();
    assert!(row.contains("≥ 5.00 s"), "{row}");
}

#[test]
fn an_analysis_is_printed_as_it_is_and_says_why_a_value_is_missing() {
    let mut run = concluded();
    let mut table = crate::results::Table::new(
        "planted",
        "cost of a planted term",
        &[("term", ""), ("cost", "µs"), ("count", "")],
    )
    .with_note("A planted note.");
    table.push(vec![
        "format".into(),
        crate::results::Value::interval(2.5, Some((2.0, 3.0))),
        crate::results::Value::number(12.0),
    ]);
    table.push(vec![
        "HTTP/2".into(),
        crate::results::Value::missing("planted: not run"),
        crate::results::Value::number(0.123),
    ]);
    run.tables.push(table);
    let text = markdown(&run);
    for line in [
        "## `planted`: cost of a planted term",
        "| term | cost µs | count |",
        "| format | 2.50 [2.00, 3.00] | 12 |",
        "| HTTP/2 | – | 0.12 |",
        "A planted note.",
        "–: planted: not run.",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn in_markdown_a_verdict_links_to_its_cells_and_every_link_has_its_target() {
    let run = judged();
    let text = markdown(&run);
    let places =
        super::places::Places::of(super::cells::ran(&run).iter().map(super::cells::Ran::id));
    let mut links = 0;
    for id in run.verdicts.iter().flat_map(|row| &row.cells) {
        let anchor = places
            .anchor(id)
            .expect("a verdict rests on cells that ran");
        assert!(text.contains(&format!("[`{id}`](#{anchor})")), "{id}");
        assert!(
            text.contains(&format!("<a id=\"{anchor}\"></a>`{id}`")),
            "{id}"
        );
        links += 1;
    }
    assert!(links > 5, "{links}");
    assert!(!plain(&run).contains("](#"), "a terminal follows no link");
}

#[test]
fn sizes_are_told_once_where_the_experiment_has_a_table_of_its_own() {
    let mut run = judged();
    let heading = "Size: mean body, bytes, by count";
    assert!(plain(&run).contains(heading));
    let mut own = crate::results::Table::new("size", "mean body by count", &[("payload", "")]);
    own.push(vec!["O3".into()]);
    run.tables.push(own);
    let text = plain(&run);
    assert!(!text.contains(heading) && text.contains("mean body by count"));
}

#[test]
fn the_capacity_table_shows_how_orders_are_called() {
    let mut run = planted();
    for t in run.trials.iter_mut().filter(|t| t.cell.id == "tcp-O3-c32") {
        t.cell.factors.insert("kind".into(), "client".into());
        t.cell.factors.insert("batch".into(), "32".into());
    }
    let text = markdown(&run);
    for row in [
        "| tcp | client, 32 each | O3 | 32 |",
        "| rest | unary | O3 | 32 |",
        "| queue | publish | O3 | 32 |",
    ] {
        assert!(text.contains(row), "{row}");
    }
}

#[test]
fn a_ratio_of_a_cell_that_was_not_sustained_is_left_out_and_said_so() {
    let mut run = planted();
    for t in run
        .trials
        .iter_mut()
        .filter(|t| t.cell.id == "queue-O3-r2000")
    {
        t.overloaded = Some("planted: not sustained".into());
    }
    conclude(&mut run);
    let text = markdown(&run);
    assert!(
        !text.contains("ladder, O3, 2000/s: queue ÷ rest |"),
        "{text}"
    );
    assert!(text.contains("ladder, O3, 2000/s: stream ÷ rest |"));
    assert!(
        text.contains(
            "5 ratios are left out, since completions did not keep up in `queue-O3-r2000`."
        )
    );
}

#[test]
fn what_was_done_to_processes_is_told() {
    let mut run = planted();
    assert!(plain(&run).contains("None: the brokers ran through"));
    let id = run.trials[0].cell.id.clone();
    run.trials[0].faults.push(crate::results::Fault {
        what: "at 2s kill service".into(),
        ..crate::results::Fault::default()
    });
    let text = markdown(&run);
    assert!(
        text.contains("- `at 2s kill service`: 1 trial over tcp."),
        "{id}: {text}"
    );
}
