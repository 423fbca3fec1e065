//! The parts of a report that are mostly words: head, verdicts, what was skipped, how to read it, validity, one trial.

use super::cells;
use super::charts::Picture;
use super::document::{Cell, Document, Table, Tone, names};
use super::format::{NOTHING, grouped, interval, maybe, percentile};
use super::histogram;
use super::places::Places;
use crate::claims::{self, Claim, ratios::failed_aa};
use crate::results::{Percentile, Run, State, Trial, Verdict, VerdictRow, When};
use std::collections::{BTreeMap, BTreeSet};

/// What was run, where and with what.
pub(super) fn head(document: &mut Document, run: &Run) {
    let m = &run.manifest;
    document.heading("Hopbench: REST, gRPC, a queue or a stream?");
    let commit = m.commit.as_deref().unwrap_or("unknown");
    let dirty = if m.dirty == Some(true) {
        " with changes"
    } else {
        ""
    };
    let machine: Vec<String> = [
        m.cpu().map(str::to_string),
        m.cores().map(|n| format!("{n} cores")),
        m.machine.get("kernel").cloned(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let brokers: Vec<&str> = m.brokers.values().map(String::as_str).collect();
    document.text(format!(
        "{} suite (blocks: {}), {}, {}, seed {}; commit {commit}{dirty}. Machine: {}. Brokers: {}. Placement: {}.",
        m.suite,
        m.blocks,
        m.time,
        m.network,
        m.seed,
        if machine.is_empty() { "unknown".into() } else { machine.join(", ") },
        if brokers.is_empty() { "none".into() } else { brokers.join(", ") },
        m.placement
    ));
    if !m.exclusive {
        document.text("Nobody said that nothing else ran meanwhile (--exclusive): read the figures with care.");
    }
}

/// The verdict table, and the sentence behind each row; `every` (Markdown) links it to its cells.
pub(super) fn verdicts(document: &mut Document, run: &Run, every: bool) {
    document.heading("Verdicts");
    let (missing, judged): (Vec<_>, Vec<_>) = run
        .verdicts
        .iter()
        .partition(|row| row.verdict == Verdict::NotMeasured);
    let rows = judged.iter().map(|row| {
        vec![
            row.claim.as_str().into(),
            statement(row).into(),
            verdict_cell(row),
            interval(row.low, row.high, &row.unit).into(),
        ]
    });
    if judged.is_empty() {
        document.text("No claim was measured by this run.");
    } else {
        let header = names(["claim", "what it says", "verdict", "span of 95 % intervals"]);
        document.table(Table {
            header,
            numbers_from: 3,
            rows: rows.collect(),
        });
    }
    let places = every.then(|| Places::of(cells::ran(run).iter().map(cells::Ran::id)));
    let item = |row: &&VerdictRow| {
        let links = places.as_ref().map(|places| places.in_markdown(&row.cells));
        format!("{}: {}{}", row.claim, row.reason, links.unwrap_or_default())
    };
    document.items(judged.iter().map(item).collect());
    for failed in failed_aa(&run.ratios) {
        document.text(failed);
    }
    if missing.is_empty() {
        return;
    }
    let ids: Vec<&str> = missing.iter().map(|row| row.claim.as_str()).collect();
    let place = if every { "below" } else { "in report.md" };
    document.text(format!(
        "Not measured by this run, each with its reason {place}: {}.",
        ids.join(", ")
    ));
}

/// The claims that were not measured, each with its reason.
pub(super) fn not_measured(document: &mut Document, run: &Run) {
    let rows: Vec<Vec<Cell>> = run
        .verdicts
        .iter()
        .filter(|row| row.verdict == Verdict::NotMeasured)
        .map(|row| {
            vec![
                row.claim.as_str().into(),
                statement(row).into(),
                row.reason.as_str().into(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        document.heading("Not measured");
        document.table(Table {
            header: names(["claim", "what it says", "why not"]),
            numbers_from: 3,
            rows,
        });
    }
}

fn statement(row: &VerdictRow) -> &'static str {
    Claim::find(&row.claim).map_or(NOTHING, |claim| claim.statement)
}

fn verdict_cell(row: &VerdictRow) -> Cell {
    let beyond = row
        .beyond
        .as_ref()
        .map_or(String::new(), |beyond| format!(", {beyond}"));
    let tone = match row.verdict {
        Verdict::Holds => Tone::Good,
        Verdict::Refuted => Tone::Bad,
        Verdict::Depends | Verdict::Inconclusive => Tone::Doubtful,
        Verdict::NotMeasured => Tone::Plain,
    };
    Cell {
        text: format!("{}{beyond}", row.verdict),
        tone,
    }
}

/// Transports that could not run.
pub(super) fn skipped(document: &mut Document, run: &Run) {
    if !run.skipped.is_empty() {
        document.heading("Skipped");
        document.items(
            run.skipped
                .iter()
                .map(|s| format!("{}: {}", s.transport, s.reason))
                .collect(),
        );
    }
}

/// Each picture by its file, or why there is none.
pub(super) fn pictures(document: &mut Document, pictures: &[Picture]) {
    document.heading("Pictures");
    let mut missing = Vec::new();
    for picture in pictures {
        match picture {
            Picture::Drawn(chart) => document.picture(&chart.title, chart.path(), &chart.text),
            Picture::LeftOut { name, why } => missing.push(format!("no `{name}`: {why}")),
        }
    }
    document.items(missing);
}

/// A few lines that explain the columns.
pub(super) fn how_to_read(document: &mut Document) {
    document.heading("How to read it");
    document.items(reading());
}

/// Ten lines at most.
pub(super) fn reading() -> Vec<String> {
    [
            "accept: from the planned instant until the caller may go on (the reply, or the broker's confirm).",
            "completion: from the planned instant until the service has done the work, on every transport. A message may be completed before its confirm.",
            "Percentiles are those of all blocks' samples together, never averages. “–” is too few samples (or not measured), “≥” a lower bound.",
            "[a, b] is the 95 % interval over blocks (Student's t on log ratios). “finds” is the smallest change that so many blocks find in 80 % of runs.",
            "A claim's span goes from the lowest to the highest end of its parts' 95 % intervals; it is no interval of its own.",
            "A/A is the same cell twice: what it differs by is noise, and a verdict stands only where so much would not turn it.",
            "Rows of different durability (what an accepted order survives) are never set against each other.",
            "CPU is µs per order; the broker's is gross of what it burns idle. Their sum is the fairest single figure.",
        ]
        .map(String::from)
        .to_vec()
}

/// How the machine itself kept its pace, where that was read.
fn pace(run: &Run) -> Option<String> {
    let counts = run.trials.iter().filter(|trial| !trial.replaced);
    let mut steps: Vec<f64> = counts.filter_map(|trial| trial.step_ns).collect();
    steps.sort_by(f64::total_cmp);
    let all = run.trials.iter().filter_map(|trial| trial.step_ns);
    let best = all.min_by(f64::total_cmp)?;
    Some(format!(
        "A fixed walk through 512 KiB, right before and after each trial that counts, took {:.2}× its best time in the median \
         and {:.2}× at most: a neighbour on the same core slows it, and shows nowhere else.",
        steps.get(steps.len() / 2)? / best,
        steps.last()? / best
    ))
}

/// How many trials are not VALID, and why.
pub(super) fn validity(document: &mut Document, run: &Run) {
    // Reasons that differ in their figures only are told once, with the cells they befell.
    let mut reasons: BTreeMap<(State, String), (&str, usize, BTreeSet<&str>)> = BTreeMap::new();
    let mut states: BTreeMap<State, usize> = BTreeMap::new();
    for trial in &run.trials {
        *states.entry(trial.validity.state).or_default() += 1;
        for reason in &trial.validity.reasons {
            let kind: String = reason
                .chars()
                .filter(|c| !c.is_ascii_digit() && *c != '.')
                .collect();
            let (_, n, cells) =
                reasons
                    .entry((trial.validity.state, kind))
                    .or_insert((reason, 0, BTreeSet::new()));
            *n += 1;
            cells.insert(&trial.cell.id);
        }
    }
    let repeated = run.trials.iter().filter(|t| t.attempt > 0).count();
    document.heading("Validity");
    let count = |state| states.get(&state).copied().unwrap_or(0);
    document.text(format!(
        "{} trials: {} VALID, {} SUSPECT, {} INVALID; {repeated} of them repetitions of what was disturbed.",
        run.trials.len(),
        count(State::Valid),
        count(State::Suspect),
        count(State::Invalid)
    ));
    if let Some(pace) = pace(run) {
        document.text(pace);
    }
    for cell in claims::without_headline(run) {
        document.text(format!(
            "`{cell}` kept under two thirds of its blocks and has no headline."
        ));
    }
    let line =
        |((state, _), (first, n, cells)): (&(State, String), &(&str, usize, BTreeSet<&str>))| {
            let cells: Vec<String> = match cells.len() {
                1..=3 => cells.iter().map(|cell| format!("`{cell}`")).collect(),
                n => vec![format!("{n} cells")],
            };
            let more = if *n > 1 {
                format!(", and {} more like it", n - 1)
            } else {
                String::new()
            };
            format!("{state}, {}: {first}{more}", cells.join(", "))
        };
    // The worst first.
    document.items(reasons.iter().rev().map(line).collect());
}

/// One trial: what it carried, how long it took, what became of it.
pub(super) fn trial(document: &mut Document, trial: &Trial) {
    let c = &trial.cell;
    let load = match (c.in_flight, c.rate_per_s) {
        (Some(n), _) => format!("{n} in flight"),
        (_, Some(rate)) => format!("{rate}/s"),
        _ => "a planned load".into(),
    };
    document.heading(format!(
        "{} carries {} as {}, {load}, {:.1} s",
        c.transport, c.payload, c.format, trial.window_s
    ));
    let bound = if trial.throughput_is_lower_bound {
        "≥ "
    } else {
        ""
    };
    document.text(format!(
        "{bound}{} orders/s completed; durability `{}`; {}.",
        grouped(trial.throughput_per_s),
        c.durability,
        trial.validity.state
    ));
    if let Some(payload) = c.factors.get("payload_file") {
        document.text(format!("Payload: {payload}."));
    }
    document.items(
        trial
            .overloaded
            .iter()
            .chain(&trial.validity.reasons)
            .cloned()
            .collect(),
    );
    let row = |name: &str, latency| {
        let mut cells: Vec<Cell> = vec![name.into()];
        cells.extend(
            [
                Percentile::P50,
                Percentile::P90,
                Percentile::P99,
                Percentile::P999,
                Percentile::Max,
            ]
            .map(|p| percentile(latency, p).into()),
        );
        cells
    };
    document.table(Table {
        header: names(["latency", "p50", "p90", "p99", "p99.9", "max"]),
        numbers_from: 1,
        rows: vec![
            row("accept", Some(&trial.accept_ns)),
            row("completion", trial.completion_ns.as_ref()),
            row("service time", Some(&trial.service_ns)),
            row("lateness", Some(&trial.lateness_ns)),
        ],
    });
    histogram::accept(document, &trial.accept_ns);
    let (l, cpu, bytes) = (&trial.ledger, &trial.cpu_us_per_op, &trial.bytes);
    let known = |count: Option<u64>| count.map_or(NOTHING.into(), |n| n.to_string());
    document.text(format!(
        "Ledger: {} attempted, {} acknowledged, {} refused, {} failed, {} timed out, {} open; {} delivered, {} lost, {} duplicated, {} recovered, {} unexpected, {} reordered.",
        l.attempted, l.acknowledged, l.refused, l.failed, l.timed_out, l.open,
        known(l.delivered), known(l.lost), known(l.duplicated), known(l.recovered), known(l.unexpected), known(l.reordered)
    ));
    if l.delivered.is_none() {
        let why = if trial.faults.is_empty() {
            "its control port was not given"
        } else {
            "it died with the service"
        };
        document.text(format!(
            "The service's side of the ledger is unknown: {why}."
        ));
    }
    document.text(format!(
        "CPU µs per order: client {}, service {}, broker {}. Body bytes: {} out, {} back.",
        maybe(cpu.client),
        maybe(cpu.service),
        maybe(cpu.broker),
        maybe(bytes.body_out),
        maybe(bytes.body_in)
    ));
    for phase in &trial.phases {
        document.text(format!(
            "Phase {}: {} planned, {} acknowledged, accept p50 {}, completion p50 {}.",
            phase.name,
            phase.planned,
            phase.acknowledged,
            percentile(Some(&phase.accept_ns), Percentile::P50),
            percentile(phase.completion_ns.as_ref(), Percentile::P50)
        ));
    }
    faults(document, trial);
    super::hops::trial(document, trial);
    let counters: Vec<String> = trial
        .counters
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    if !counters.is_empty() {
        document.text(format!("Counted: {}.", counters.join(", ")));
    }
}

/// What was done to services and brokers, and what the user's callers saw from the first of it on.
fn faults(document: &mut Document, trial: &Trial) {
    for fault in &trial.faults {
        let (what, done_s) = (&fault.what, fault.actual_s);
        document.text(match trial.joined(fault) {
            Some(service) => {
                format!("{service} joined while it ran: {what}, ready at {done_s:.4} s.")
            }
            None => format!("Fault: {what}, done at {done_s:.4} s."),
        });
    }
    for seen in &trial.seen {
        let calls = match seen.calls {
            When::InFlight => "in flight then",
            When::After => "made later",
        };
        document.text(format!(
            "{} calls {calls} ended as `{}`: the first {:.1} ms after it, the median one {:.1} ms; they waited {:.1} ms (median), {:.1} ms at most.",
            seen.count,
            seen.error,
            seen.first_s * 1e3,
            seen.median_s * 1e3,
            seen.waited_median_s * 1e3,
            seen.waited_most_s * 1e3
        ));
    }
}

/// The claims without a run.
pub(super) fn claims(document: &mut Document, claims: &[Claim]) {
    let row = |claim: &Claim| -> Vec<Cell> {
        vec![
            claim.id.into(),
            claim.statement.into(),
            claim.rule().into(),
            claim.experiment.unwrap_or(NOTHING).into(),
            claim.judged_on.into(),
        ]
    };
    document.table(Table {
        header: names(["claim", "what it says", "rule", "experiment", "judged on"]),
        numbers_from: 5,
        rows: claims.iter().map(row).collect(),
    });
}
