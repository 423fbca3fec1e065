//! What a run says, from results alone: verdicts first, then the tables behind them, for the terminal and as Markdown.
//! It never measures, and it decides nothing: verdicts and ratios come from the run.

mod advice;
mod analyses;
mod apart;
mod calibration;
mod cells;
mod charts;
mod compare;
mod csv;
mod document;
mod format;
pub(crate) mod histogram;
mod hops;
mod html;
mod interventions;
mod manifest;
mod places;
mod projection;
mod ratios;
mod sections;
mod tables;
#[cfg(test)]
mod tests;
mod thresholds;

use crate::advise::Advice;
use crate::calibrate::Calibration;
use crate::claims::Claim;
use crate::compare::Comparison;
use crate::projection::Projection;
use crate::results::{Run, Trial};
use crate::threshold::Judged;
use document::{Document, Style};

/// The report for a terminal; colours and width follow the terminal, `NO_COLOR` is honoured.
pub fn terminal(run: &Run) -> String {
    whole(run, false).terminal(Style::detect())
}

/// The report as Markdown (`report.md`); its pictures lie under `charts/` beside it.
pub fn markdown(run: &Run) -> String {
    whole(run, true).markdown()
}

/// The report as one page (`report.html`): no network and no script are needed to read it.
pub fn html(run: &Run) -> String {
    html::page(run, &charts::all(run))
}

/// Every trial on a line of its own (`trials.csv`), repetitions included.
pub fn csv(run: &Run) -> String {
    csv::trials(run)
}

/// Every file of a report by its name below the run's folder: `report.html`, `report.md`, `trials.csv` and `charts/*.svg`.
pub fn files(run: &Run) -> Vec<(String, String)> {
    let pictures = charts::all(run);
    let mut files = vec![
        ("report.html".to_string(), html::page(run, &pictures)),
        ("report.md".to_string(), markdown(run)),
        ("trials.csv".to_string(), csv(run)),
    ];
    files.extend(pictures.iter().filter_map(|picture| match picture {
        charts::Picture::Drawn(chart) => Some((chart.path(), chart.file())),
        charts::Picture::LeftOut { .. } => None,
    }));
    files
}

/// One trial alone (`load`), for a terminal.
pub fn trial(trial: &Trial) -> String {
    let mut document = Document::default();
    sections::trial(&mut document, trial);
    document.terminal(Style::detect())
}

/// The tables of analyses alone, for a terminal: what one's own payload weighs and costs.
pub fn own(run: &Run) -> String {
    let mut document = Document::default();
    analyses::tables(&mut document, run);
    document.terminal(Style::detect())
}

/// Advice, for a terminal.
pub fn advice(advice: &Advice) -> String {
    let mut document = Document::default();
    advice::advice(&mut document, advice);
    document.terminal(Style::detect())
}

/// What became of thresholds (`load --fail-if`), for a terminal.
pub fn thresholds(judged: &[Judged]) -> String {
    let mut document = Document::default();
    thresholds::table(&mut document, judged);
    document.terminal(Style::detect())
}

/// Two runs set against each other, for a terminal.
pub fn comparison(comparison: &Comparison) -> String {
    compared(comparison).terminal(Style::detect())
}

/// Two runs set against each other, as Markdown.
pub fn comparison_markdown(comparison: &Comparison) -> String {
    compared(comparison).markdown()
}

fn compared(comparison: &Comparison) -> Document {
    let mut document = Document::default();
    compare::comparison(&mut document, comparison);
    document
}

/// A calibration, for a terminal.
pub fn calibration(calibration: &Calibration) -> String {
    let mut document = Document::default();
    calibration::calibration(&mut document, calibration);
    document.terminal(Style::detect())
}

/// A projection, for a terminal: lines, what they rest on, and the backlog over time.
pub fn projection(projection: &Projection) -> String {
    projection::terminal(projection, Style::detect())
}

/// A projection's backlog over time, as an SVG of its own.
pub fn projection_svg(projection: &Projection) -> String {
    charts::projection::picture(projection).file()
}

/// The claims with their rules and experiments, without a run.
pub fn claims_table(claims: &[Claim]) -> String {
    let mut document = Document::default();
    sections::claims(&mut document, claims);
    document.terminal(Style::detect())
}

/// `every` lists each claim that was not measured with its reason; else they are named in one line.
fn whole(run: &Run, every: bool) -> Document {
    let mut document = Document::default();
    sections::head(&mut document, run);
    sections::verdicts(&mut document, run, every);
    sections::skipped(&mut document, run);
    sections::how_to_read(&mut document);
    if every {
        sections::pictures(&mut document, &charts::all(run));
    }
    figures(&mut document, run);
    interventions::told(&mut document, run);
    sections::validity(&mut document, run);
    if every {
        cells::table(&mut document, run);
        hops::topologies(&mut document, run);
        sections::not_measured(&mut document, run);
        manifest::table(&mut document, run);
    }
    document
}

/// The tables behind the verdicts.
fn figures(document: &mut Document, run: &Run) {
    tables::sizes(document, run);
    tables::capacity(document, run);
    tables::latency(document, run);
    tables::phases(document, run);
    analyses::tables(document, run);
    ratios::table(document, run);
}
