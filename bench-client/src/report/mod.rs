//! What a run says, from results alone: verdicts first, then the tables behind them, for the terminal and as Markdown.
//! It never measures, and it decides nothing: verdicts and ratios come from the run.

mod analyses;
mod calibration;
mod document;
mod format;
mod ratios;
mod sections;
mod tables;
#[cfg(test)]
mod tests;

use crate::calibrate::Calibration;
use crate::claims::Claim;
use crate::results::{Run, Trial};
use document::{Document, Style};

/// The report for a terminal; colours and width follow the terminal, `NO_COLOR` is honoured.
pub fn terminal(run: &Run) -> String {
    whole(run, false).terminal(Style::detect())
}

/// The report as Markdown (`report.md`).
pub fn markdown(run: &Run) -> String {
    whole(run, true).markdown()
}

/// One trial alone (`load`), for a terminal.
pub fn trial(trial: &Trial) -> String {
    let mut document = Document::default();
    sections::trial(&mut document, trial);
    document.terminal(Style::detect())
}

/// A calibration, for a terminal.
pub fn calibration(calibration: &Calibration) -> String {
    let mut document = Document::default();
    calibration::calibration(&mut document, calibration);
    document.terminal(Style::detect())
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
    tables::sizes(&mut document, run);
    tables::capacity(&mut document, run);
    tables::latency(&mut document, run);
    tables::phases(&mut document, run);
    analyses::tables(&mut document, run);
    ratios::table(&mut document, run);
    sections::validity(&mut document, run);
    document
}
