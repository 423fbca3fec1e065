//! One part of a claim: a ratio over blocks, judged by its rule, and kept from deciding where the measurement cannot
//! carry it (too few blocks, SUSPECT blocks that change the verdict, a failed A/A).

mod counted;
mod resolution;
mod suspect;
mod words;

pub use counted::{counted, share, share_in_percent};
pub use resolution::{Resolution, resolution, twins};
pub use words::number;

use super::combine::Judged;
use super::rules::{Decision, Interval, Rule};
use super::samples::{CellTrials, KEPT, Metric, Paired, Sample};
use crate::results::{Part, Run, Trial, Verdict};
use words::{show, spaced, unit};

/// A question to a ratio.
pub struct Question<'q> {
    /// The part's name.
    pub name: String,
    /// Its rule.
    pub rule: Rule,
    /// The metric whose A/A pair must pass.
    pub metric: Metric,
    /// Reads the value above the line.
    pub above: &'q dyn Fn(&Trial) -> Option<Sample>,
    /// Reads the value below it.
    pub below: &'q dyn Fn(&Trial) -> Option<Sample>,
    /// The finding in words, given e.g. `0.58× [0.55, 0.61]`.
    pub says: &'q dyn Fn(&str) -> String,
}

/// Judges a ratio of two cells (or of two values of one cell).
pub fn judge(
    run: &Run,
    q: &Question<'_>,
    numerator: &CellTrials<'_>,
    denominator: &CellTrials<'_>,
) -> Judged {
    let paired = Paired::of(numerator, denominator, q.above, q.below);
    judge_paired(run, q, &paired, &[numerator, denominator])
}

/// Judges values that are paired by block already; `of` are the cells that they come from.
pub fn judge_paired(
    run: &Run,
    q: &Question<'_>,
    paired: &Paired,
    of: &[&CellTrials<'_>],
) -> Judged {
    let mut cells: Vec<String> = Vec::new();
    for cell in of {
        if !cells.contains(&cell.cell.id) {
            cells.push(cell.cell.id.clone());
        }
    }
    let blank = |verdict, reason| Judged {
        part: part(q, verdict, cells.clone(), reason),
        p: None,
    };
    let Some(measured) = paired.measured(true, Some(1e6)) else {
        let why = paired
            .excluded
            .first()
            .map_or("no block has both cells", String::as_str);
        return blank(
            Verdict::NotMeasured,
            format!("no block gives a value ({why})"),
        );
    };
    let Some((decision, p)) = measured.judge(q.rule) else {
        let reason = format!(
            "one block gives no interval: {}",
            (q.says)(&format!(
                "{}{}",
                number(measured.ratio.point()),
                spaced(q.rule)
            ))
        );
        return blank(Verdict::Inconclusive, reason);
    };
    let interval = measured
        .interval()
        .unwrap_or(Interval::new(0.0, f64::INFINITY));
    let finding = format!(
        "{} over {} blocks{}",
        (q.says)(&show(&measured, interval, q.rule)),
        paired.blocks.len(),
        suspect::counted(paired)
    );
    let resolution = of.first().map_or(Resolution::Untested, |cell| {
        resolution(run, q.metric, cell.cell)
    });
    let before = decision.verdict;
    let (finding, (decision, p)) = match &resolution {
        Resolution::Untested => (
            format!("{finding} (no A/A pair tells of it)"),
            (decision, p),
        ),
        Resolution::Noisy(_, by) => {
            let shaken = shaken(paired, q.rule, (decision, p), *by);
            (
                format!("{finding} (an A/A pair: up to {}×)", number(*by)),
                shaken,
            )
        }
        Resolution::Passed | Resolution::Biased(_) => (finding, (decision, p)),
    };
    let turned = decision.verdict != before;
    let doubt = doubt(&resolution, q, paired, (decision, turned), of);
    let mut judged = Judged {
        part: part(q, decision.verdict, cells, finding),
        p: Some(p),
    };
    judged.part.low = interval.low.is_finite().then_some(interval.low);
    judged.part.high = interval.high.is_finite().then_some(interval.high);
    judged.part.beyond = decision.beyond.map(|b| b.to_string());
    if let Some(doubt) = doubt {
        judged.part.verdict = Verdict::Inconclusive;
        judged.part.beyond = None;
        judged.part.reason = format!("{}, but {doubt}", judged.part.reason);
        judged.p = Some(1.0);
    } else if let Some(beyond) = decision.beyond {
        judged.part.reason = format!("{} ({beyond})", judged.part.reason);
    }
    judged
}

/// A part that nothing in the run speaks to.
pub fn not_measured(name: impl Into<String>, reason: impl Into<String>) -> Judged {
    let part = Part {
        name: name.into(),
        verdict: Verdict::NotMeasured,
        beyond: None,
        low: None,
        high: None,
        unit: String::new(),
        cells: vec![],
        reason: reason.into(),
    };
    Judged { part, p: None }
}

fn part(q: &Question<'_>, verdict: Verdict, cells: Vec<String>, reason: String) -> Part {
    Part {
        name: q.name.clone(),
        verdict,
        beyond: None,
        low: None,
        high: None,
        unit: unit(q.rule).into(),
        cells,
        reason,
    }
}

/// The decision where an A/A pair scattered by a factor: what is left if chance made so much of the ratio, either way.
fn shaken(paired: &Paired, rule: Rule, found: (Decision, f64), by: f64) -> (Decision, f64) {
    let undecided = Decision {
        verdict: Verdict::Inconclusive,
        beyond: None,
    };
    [by, 1.0 / by].into_iter().fold(found, |(decision, p), by| {
        let there = paired.scaled(by).measured(true, Some(1e6));
        match there.and_then(|measured| measured.judge(rule)) {
            Some((other, q)) if other.verdict == decision.verdict => {
                let beyond = decision.beyond.filter(|_| other.beyond == decision.beyond);
                (Decision { beyond, ..decision }, p.max(q))
            }
            _ => (undecided, 1.0),
        }
    })
}

/// Why a decision may not stand.
fn doubt(
    resolution: &Resolution,
    q: &Question<'_>,
    paired: &Paired,
    (decision, turned): (Decision, bool),
    cells: &[&CellTrials<'_>],
) -> Option<String> {
    if let Some(cell) = cells.iter().find(|c| !c.has_headline()) {
        return Some(format!(
            "`{}` kept {} of {} blocks, too few for a headline",
            cell.cell.id,
            cell.kept().count(),
            cell.of
        ));
    }
    let of = cells.iter().map(|cell| cell.of).max().unwrap_or(0);
    if paired.blocks.len() * KEPT.1 < of * KEPT.0 {
        return Some(format!(
            "{} of {of} blocks gave a value ({}), too few for a headline",
            paired.blocks.len(),
            paired.excluded.join("; ")
        ));
    }
    match resolution {
        Resolution::Biased(cell) => {
            return Some(format!(
                "the arms of the A/A pair of `{cell}` are not alike in {}: the run is biased for it",
                q.metric.name()
            ));
        }
        Resolution::Noisy(cell, by) if turned => {
            return Some(format!(
                "the A/A pair of `{cell}` scattered by up to {}× in {}, too much for a verdict here",
                number(*by),
                q.metric.name()
            ));
        }
        _ => {}
    }
    suspect::contradiction(paired, q.rule, decision.verdict)
}
