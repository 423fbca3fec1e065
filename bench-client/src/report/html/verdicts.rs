//! The verdicts as the page shows them: a row of the table each, and behind it the parts, the cells, their blocks in
//! run order, what was run again and left out.

use super::dots::Strip;
use super::rich;
use crate::claims::Claim;
use crate::claims::ratios::is_aa;
use crate::report::apart::told_apart;
use crate::report::cells::Ran;
use crate::report::format::{NOTHING, interval};
use crate::report::places::{Link, Places};
use crate::results::{Ratio, Run, Verdict, VerdictRow};

/// A claim that was judged.
pub(super) struct Judged {
    pub(super) claim: String,
    pub(super) statement: &'static str,
    pub(super) rule: String,
    pub(super) verdict: String,
    pub(super) class: &'static str,
    pub(super) interval: String,
    /// The verdict in plain words, escaped.
    pub(super) lead: String,
    /// What it holds for, escaped.
    pub(super) scope: String,
    pub(super) parts: Vec<PartRow>,
    /// What is said beside the parts, escaped.
    pub(super) beside: String,
    pub(super) cells: Vec<Link>,
    pub(super) strips: Vec<Strip>,
    /// Re-runs, exclusions and seeds.
    pub(super) notes: Vec<String>,
}

/// One part of a claim.
pub(super) struct PartRow {
    pub(super) name: String,
    pub(super) verdict: String,
    pub(super) class: &'static str,
    pub(super) interval: String,
    pub(super) reason: String,
    pub(super) cells: Vec<Link>,
}

/// A claim that was not measured.
pub(super) struct Missing {
    pub(super) claim: String,
    pub(super) statement: &'static str,
    pub(super) reason: String,
}

/// Both kinds, in the order of the table.
pub(super) fn of(run: &Run, cells: &[Ran<'_>], places: &Places) -> (Vec<Judged>, Vec<Missing>) {
    let ratios = told_apart(run);
    let (missing, judged): (Vec<_>, Vec<_>) = run
        .verdicts
        .iter()
        .partition(|row| row.verdict == Verdict::NotMeasured);
    let missing = missing.into_iter().map(|row| Missing {
        claim: row.claim.clone(),
        statement: statement(row),
        reason: rich(&row.reason),
    });
    let judged = judged
        .into_iter()
        .map(|row| one(run, &ratios, cells, places, row));
    (judged.collect(), missing.collect())
}

fn statement(row: &VerdictRow) -> &'static str {
    Claim::find(&row.claim).map_or(NOTHING, |claim| claim.statement)
}

fn one(
    run: &Run,
    ratios: &[Ratio],
    cells: &[Ran<'_>],
    places: &Places,
    row: &VerdictRow,
) -> Judged {
    let (sentence, scope) = row
        .reason
        .rsplit_once(" Scope: ")
        .unwrap_or((&row.reason, ""));
    let (lead, beside) = around_parts(row, sentence);
    let ratios = ratios_of(ratios, row);
    let own: Vec<&Ran<'_>> = cells
        .iter()
        .filter(|ran| row.cells.contains(&ran.cell.id))
        .collect();
    let strips = if ratios.is_empty() {
        let strip = |ran: &&Ran<'_>| {
            let strip = Strip::of_cell(ran);
            Strip {
                name: format!("{}, {}", ran.cell.transport, strip.name),
                ..strip
            }
        };
        own.iter().map(strip).collect()
    } else {
        ratios
            .iter()
            .map(|ratio| Strip::of_ratio(ratio, cells))
            .collect()
    };
    Judged {
        claim: row.claim.clone(),
        statement: statement(row),
        rule: Claim::find(&row.claim).map_or(String::new(), Claim::rule),
        verdict: in_words(row.verdict, row.beyond.as_deref()),
        class: class(row.verdict),
        interval: interval(row.low, row.high, &row.unit),
        lead: rich(&with_example(lead, row)),
        scope: rich(scope.trim_end_matches('.')),
        parts: row
            .parts
            .iter()
            .map(|part| PartRow {
                name: part.name.clone(),
                verdict: in_words(part.verdict, part.beyond.as_deref()),
                class: class(part.verdict),
                interval: interval(part.low, part.high, &part.unit),
                reason: rich(&part.reason),
                cells: places.links(&part.cells),
            })
            .collect(),
        beside: rich(beside),
        cells: places.links(&row.cells),
        strips,
        notes: notes(run, &own, &ratios),
    }
}

/// What a verdict's sentence says before and after its parts, which stand in a table of their own.
fn around_parts<'s>(row: &VerdictRow, sentence: &'s str) -> (&'s str, &'s str) {
    let found = |reason: &str| sentence.find(reason).map(|at| (at, at + reason.len()));
    let spans: Vec<(usize, usize)> = row
        .parts
        .iter()
        .filter(|part| part.verdict != Verdict::NotMeasured)
        .filter_map(|part| found(&part.reason))
        .collect();
    let (Some(start), Some(end)) = (
        spans.iter().map(|span| span.0).min(),
        spans.iter().map(|span| span.1).max(),
    ) else {
        return (sentence, "");
    };
    let after = sentence[end..].trim_start_matches('.').trim();
    (sentence[..start].trim(), after)
}

/// The verdict's sentence with the first part that decided it: a count alone does not say what was found.
fn with_example(lead: &str, row: &VerdictRow) -> String {
    match row.parts.iter().find(|part| part.verdict == row.verdict) {
        Some(part) if !lead.contains(&part.reason) => {
            let more = match row.parts.len() {
                1 => "",
                _ => " The other parts are below.",
            };
            format!("{lead} {}.{more}", part.reason)
        }
        _ => lead.into(),
    }
}

/// Ratios of two cells that the verdict rests on.
fn ratios_of<'r>(ratios: &'r [Ratio], row: &VerdictRow) -> Vec<&'r Ratio> {
    let among = |cell: &String| row.cells.contains(cell);
    ratios
        .iter()
        .filter(|r| !is_aa(r) && among(&r.numerator) && among(&r.denominator))
        .collect()
}

fn notes(run: &Run, own: &[&Ran<'_>], ratios: &[&Ratio]) -> Vec<String> {
    if own.is_empty() {
        return vec![format!("Counted, not timed; seed {}.", run.manifest.seed)];
    }
    let trials: usize = own.iter().map(|ran| ran.trials.len()).sum();
    let again: usize = own.iter().map(|ran| ran.repeated()).sum();
    let mut notes = vec![format!(
        "{trials} trials of {} cells, {again} of them replaced by a repetition of what was disturbed; seed {}.",
        own.len(),
        run.manifest.seed
    )];
    let mut excluded: Vec<&String> = ratios.iter().flat_map(|r| &r.excluded).collect();
    excluded.sort();
    excluded.dedup();
    notes.push(if excluded.is_empty() {
        "No block was left out.".into()
    } else {
        let words: Vec<String> = excluded.iter().map(|why| rich(why)).collect();
        format!("Left out: {}.", words.join("; "))
    });
    notes
}

fn in_words(verdict: Verdict, beyond: Option<&str>) -> String {
    match beyond {
        Some(beyond) => format!("{verdict}, {beyond}"),
        None => verdict.to_string(),
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "good",
        Verdict::Refuted => "bad",
        Verdict::Depends | Verdict::Inconclusive => "doubt",
        Verdict::NotMeasured => "none",
    }
}
