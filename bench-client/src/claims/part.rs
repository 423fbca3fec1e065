//! One part of a claim: a ratio over blocks, judged by its rule, and kept from deciding where the measurement cannot
//! carry it (too few blocks, SUSPECT blocks that change the verdict, a failed A/A).

use super::combine::Judged;
use super::measured::Measured;
use super::rules::{Decision, Interval, Rule};
use super::samples::{CellTrials, KEPT, Metric, Paired, Sample, cells, is_twin};
use crate::results::{Arrival, Cell, Part, Run, Trial, Verdict};
use crate::stats::estimate::LEVEL;
use crate::stats::{Estimate, aa, binomial};

/// What the A/A pairs say of a metric in this run.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    /// Every pair passed.
    Passed,
    /// One scattered too much: its cell, and the factor that chance alone may make of nothing.
    Noisy(String, f64),
    /// One was not alike, by more than chance: its cell.
    Biased(String),
    /// There was none that could tell.
    Untested,
}

impl Resolution {
    /// The cell of the pair that did not pass.
    pub fn failed(&self) -> Option<&str> {
        match self {
            Self::Noisy(cell, _) | Self::Biased(cell) => Some(cell),
            Self::Passed | Self::Untested => None,
        }
    }

    /// The worse of two.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Biased(cell), _) | (_, Self::Biased(cell)) => Self::Biased(cell),
            (Self::Noisy(a, by), Self::Noisy(_, less)) if by >= less => Self::Noisy(a, by),
            (_, Self::Noisy(cell, by)) | (Self::Noisy(cell, by), _) => Self::Noisy(cell, by),
            (Self::Passed, _) | (_, Self::Passed) => Self::Passed,
            (Self::Untested, Self::Untested) => Self::Untested,
        }
    }
}

/// What the run's A/A pairs say of a metric in a cell like this: pairs under the same kind of load, for a closed loop's
/// latency says nothing of an open one's. A claim on p99 falls with the pair's p99, not with its throughput. A pair
/// without an interval (a single block) tells nothing.
pub fn resolution(run: &Run, metric: Metric, like: &Cell) -> Resolution {
    let is_closed = |cell: &Cell| cell.arrival == Arrival::Closed;
    let mut found = Resolution::Untested;
    for experiment in super::samples::experiments(run) {
        for (first, second) in twins(&cells(run, experiment)) {
            if is_closed(first.cell) != is_closed(like) {
                continue;
            }
            let paired = Paired::of(second, first, |t| metric.of(t), |t| metric.of(t));
            let estimate = Estimate::of_ratios(&paired.ratios(true));
            let cell = first.cell.id.clone();
            let here = match estimate.as_ref().and_then(aa::outcome) {
                Some(aa::Outcome::Passed) => Resolution::Passed,
                Some(aa::Outcome::Noisy(by)) => Resolution::Noisy(cell, by),
                Some(aa::Outcome::Biased) => Resolution::Biased(cell),
                None => Resolution::Untested,
            };
            found = found.and(here);
        }
    }
    found
}

/// The A/A pairs among an experiment's cells.
pub fn twins<'a, 'r>(cells: &'a [CellTrials<'r>]) -> Vec<(&'a CellTrials<'r>, &'a CellTrials<'r>)> {
    let pairs = |first: &'a CellTrials<'r>| {
        cells
            .iter()
            .filter(|c| is_twin(first.cell, c.cell))
            .map(move |c| (first, c))
    };
    cells.iter().flat_map(pairs).collect()
}

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
        "{} over {} blocks",
        (q.says)(&show(&measured, interval, q.rule)),
        paired.blocks.len()
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

/// A part judged by counting: one counter-example refutes.
pub fn counted(
    cell: &CellTrials<'_>,
    name: String,
    against: u64,
    of: u64,
    says: impl Fn(f64) -> String,
) -> Judged {
    let (decision, bound) = super::rules::never(against, of);
    let refuted = decision.verdict == Verdict::Refuted;
    let share = against as f64 / of.max(1) as f64;
    let reason = match decision.verdict {
        Verdict::Inconclusive => format!("{name}: no order speaks to it"),
        _ => says(bound),
    };
    let mut judged = Judged {
        part: Part {
            name,
            verdict: decision.verdict,
            beyond: None,
            low: Some(share),
            high: Some(if refuted { share } else { bound }),
            unit: "share".into(),
            cells: vec![cell.cell.id.clone()],
            reason,
        },
        // A counter-example is no matter of chance.
        p: Some(if refuted { 0.0 } else { 1.0 }),
    };
    // What few blocks did not see, the others may have.
    if judged.part.verdict == Verdict::Holds && !cell.has_headline() {
        short_of_blocks(&mut judged, cell);
    }
    judged
}

/// Takes a verdict back that rests on too few blocks.
fn short_of_blocks(judged: &mut Judged, cell: &CellTrials<'_>) {
    let (kept, of) = (cell.kept().count(), cell.of);
    let few = format!(", but `{}` kept {kept} of {of} blocks", cell.cell.id);
    judged.part.reason.push_str(&few);
    judged.part.verdict = Verdict::Inconclusive;
}

/// A part judged by a share of orders: it holds where the exact interval lies inside `expected`, and is refuted where it
/// lies outside of it.
pub fn share(
    cell: &CellTrials<'_>,
    name: String,
    (hits, of): (u64, u64),
    expected: std::ops::RangeInclusive<f64>,
    says: impl Fn(&str) -> String,
) -> Judged {
    let Some((low, high)) = binomial::interval(hits, of, LEVEL) else {
        return not_measured(name, format!("no block of `{}` counts", cell.cell.id));
    };
    let verdict = if *expected.start() <= low && high <= *expected.end() {
        Verdict::Holds
    } else if high < *expected.start() || low > *expected.end() {
        Verdict::Refuted
    } else {
        Verdict::Inconclusive
    };
    let percent = format!(
        "{hits} of {of}, {} % [{}, {}]",
        number(100.0 * hits as f64 / of as f64),
        number(100.0 * low),
        number(100.0 * high)
    );
    let mut judged = Judged {
        part: Part {
            name,
            verdict,
            beyond: None,
            low: Some(low),
            high: Some(high),
            unit: "share".into(),
            cells: vec![cell.cell.id.clone()],
            reason: says(&percent),
        },
        p: Some(match verdict {
            // Of the nearer end of what was expected.
            Verdict::Refuted => {
                let nearer = if high < *expected.start() {
                    expected.start()
                } else {
                    expected.end()
                };
                binomial::p_value(hits, of, *nearer).unwrap_or(0.0)
            }
            _ => 1.0,
        }),
    };
    if !cell.has_headline() {
        short_of_blocks(&mut judged, cell);
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

/// The unit in which a rule asks: that of its band, × else.
fn unit(rule: Rule) -> &'static str {
    match rule {
        Rule::Band(_, _, unit) => unit,
        _ => "×",
    }
}

/// Behind a figure: × follows at once, a unit after a space.
fn spaced(rule: Rule) -> String {
    match unit(rule) {
        "×" => "×".into(),
        unit => format!(" {unit}"),
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
    if paired.any_suspect() {
        let clean = paired
            .measured(false, Some(1e6))
            .and_then(|m| m.judge(q.rule));
        let verdict = clean.map_or(Verdict::Inconclusive, |(d, _)| d.verdict);
        if verdict != decision.verdict {
            return Some(format!(
                "it is {} with SUSPECT blocks and {verdict} without them",
                decision.verdict
            ));
        }
    }
    None
}

/// `0.58× [0.55, 0.61]`, or what is known of it; for *equal* with the difference beside.
fn show(measured: &Measured, interval: Interval, rule: Rule) -> String {
    let point = number(measured.ratio.point());
    let unit = spaced(rule);
    let ratio = match (measured.open_low, measured.open_high) {
        (false, false) => format!(
            "{point}{unit} [{}, {}]",
            number(interval.low),
            number(interval.high)
        ),
        (false, true) => format!("at least {}{unit}", number(interval.low)),
        (true, false) => format!("at most {}{unit}", number(interval.high)),
        (true, true) => format!("unknown (about {point}{unit}, but both are lower bounds)"),
    };
    match (rule, measured.difference()) {
        (Rule::Equal, Some(d)) if d.low.is_finite() && d.high.is_finite() => {
            format!("{ratio}, {:+.2} to {:+.2} ms,", d.low, d.high)
        }
        _ => ratio,
    }
}

/// Three significant digits, without an exponent.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    let decimals = match magnitude {
        m if !m.is_finite() => return "∞".into(),
        m if m >= 100.0 => 0,
        m if m >= 10.0 => 1,
        m if m >= 0.1 || m == 0.0 => 2,
        m if m >= 0.01 => 3,
        _ => 4,
    };
    format!("{value:.decimals$}")
}
