//! Reads the slowness language. Every error names the piece that is wrong and shows one that is right.

use super::{Part, Phase, Slowness, Time, duration};
use std::time::Duration;

/// The longest time that a handler may be asked to take, and that a draw from a long tail is cut to.
pub(super) const LONGEST_TIME: Duration = Duration::from_secs(3_600);
/// The latest phase boundary: a day into the run.
const LONGEST_RUN: Duration = Duration::from_secs(24 * 3_600);
/// More workers than any service of one process has use for.
const MOST_WORKERS: usize = 65_536;
/// Above it a lognormal's tail is nothing but the longest time.
const LARGEST_SIGMA: f64 = 5.0;

/// Keeps sums of weights far from where f64 ends.
const LARGEST_WEIGHT: f64 = 1e9;

/// Reads a whole specification.
pub(super) fn slowness(text: &str) -> Result<Slowness, String> {
    let mut slowness = Slowness::none();
    let mut phases: Vec<Phase> = Vec::new();
    for section in text.split(';') {
        let mut terms = Terms::default();
        for term in split_terms(section) {
            terms.add(&term)?;
        }
        if let Some(workers) = terms.workers.take() {
            set(&mut slowness.workers, workers, "workers=")?;
            if terms == Terms::default() {
                continue; // workers in a section of their own
            }
        }
        if terms == Terms::default() {
            return Err(if text.trim().is_empty() {
                "expected a slowness such as 1ms, exp(20ms) or 5ms:90,200ms:10 fail=1%, got nothing; write none for no slowness".into()
            } else {
                format!(
                    "expected a phase such as 0s..10s 1ms on both sides of each ';', got an empty one in '{text}'"
                )
            });
        }
        let phase = terms.phase();
        follows(phases.last(), &phase)?;
        phases.push(phase);
    }
    // Nothing from 0 on is what no phases at all mean.
    let nothing = |phase: &Phase| {
        phase.end.is_none() && phase.mix.is_empty() && phase.spin.is_zero() && phase.fail == 0.0
    };
    if !matches!(phases.as_slice(), [only] if nothing(only)) {
        slowness.phases = phases;
    }
    Ok(slowness)
}

/// Phases leave no gap, do not overlap, and begin at 0.
fn follows(last: Option<&Phase>, next: &Phase) -> Result<(), String> {
    let start = duration::show(next.start);
    match last {
        None if next.start.is_zero() => Ok(()),
        None => Err(format!(
            "expected the first phase to start at 0s, got {start}; write 0s..{start} none for a quiet start"
        )),
        Some(Phase { end: None, .. }) => Err(format!(
            "expected nothing after a phase without an end, got one that starts at {start}; \
             give each phase but the last both ends, as in 0s..10s 1ms; 10s.. 200ms"
        )),
        Some(Phase { end: Some(end), .. }) if *end == next.start => Ok(()),
        Some(Phase { end: Some(end), .. }) => Err(format!(
            "expected the next phase to start at {}, where the last one ends, got {start}",
            duration::show(*end)
        )),
    }
}

/// Splits a section at white space, but not inside brackets nor beside a comma.
fn split_terms(section: &str) -> Vec<String> {
    let mut terms = Vec::new();
    let mut term = String::new();
    let mut depth = 0_usize;
    let mut rest = section.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if !c.is_whitespace() {
            term.push(c);
            continue;
        }
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        let joined = depth > 0 || term.ends_with(',') || rest.peek() == Some(&',');
        if !joined && !term.is_empty() {
            terms.push(std::mem::take(&mut term));
        }
    }
    if !term.is_empty() {
        terms.push(term);
    }
    terms
}

/// What a section has said so far.
#[derive(Debug, Default, PartialEq)]
struct Terms {
    span: Option<(Duration, Option<Duration>)>,
    mix: Option<Vec<Part>>,
    fail: Option<f64>,
    spin: Option<Duration>,
    workers: Option<usize>,
}

impl Terms {
    fn add(&mut self, term: &str) -> Result<(), String> {
        if let Some((start, end)) = term.split_once("..") {
            set(&mut self.span, span(term, start, end)?, "a span")
        } else if let Some(share) = term.strip_prefix("fail=") {
            set(&mut self.fail, fail(share)?, "fail=")
        } else if let Some(count) = term.strip_prefix("workers=") {
            set(&mut self.workers, workers(count)?, "workers=")
        } else if let Some(time) = call(term, "spin") {
            let time = duration::parse(time, LONGEST_TIME).map_err(|e| {
                format!("expected spin(time) such as spin(50us), got '{term}': {e}")
            })?;
            set(&mut self.spin, time, "spin()")
        } else if let Some((name, _)) = term.split_once('=') {
            Err(format!(
                "expected fail=1% or workers=8, got '{term}'; there is no setting '{name}'"
            ))
        } else {
            set(&mut self.mix, mix(term)?, "a mix of times")
        }
    }

    fn phase(self) -> Phase {
        let (start, end) = self.span.unwrap_or((Duration::ZERO, None));
        Phase {
            start,
            end,
            mix: self.mix.unwrap_or_default(),
            spin: self.spin.unwrap_or_default(),
            fail: self.fail.unwrap_or_default(),
        }
    }
}

fn set<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!(
            "expected {name} once, got it twice; separate phases with ';', and the parts of a mix with ',' as in 5ms:90,200ms:10"
        )),
    }
}

fn span(term: &str, start: &str, end: &str) -> Result<(Duration, Option<Duration>), String> {
    let wrong = |e: String| format!("expected a span such as 10s..20s or 20s.., got '{term}': {e}");
    let at = |text: &str| duration::parse(text, LONGEST_RUN).map_err(wrong);
    let start = at(start)?;
    let end = (!end.is_empty()).then(|| at(end)).transpose()?;
    if end.is_some_and(|end| end <= start) {
        return Err(wrong("its end must come after its start".into()));
    }
    Ok((start, end))
}

fn fail(share: &str) -> Result<f64, String> {
    let (digits, scale) = match share.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (share, 1.0),
    };
    duration::number(digits)
        .map(|n| n / scale)
        .filter(|share| *share <= 1.0)
        .ok_or_else(|| {
            format!("expected a share of failures from 0 to 1 such as fail=1% or fail=0.01, got 'fail={share}'")
        })
}

fn workers(count: &str) -> Result<usize, String> {
    let digits_only = count.bytes().all(|b| b.is_ascii_digit());
    count
        .parse()
        .ok()
        .filter(|n| digits_only && (1..=MOST_WORKERS).contains(n))
        .ok_or_else(|| {
            format!("expected a number of workers from 1 to {MOST_WORKERS} such as workers=8, got 'workers={count}'")
        })
}

fn mix(term: &str) -> Result<Vec<Part>, String> {
    if term == "none" {
        return Ok(Vec::new());
    }
    let mut parts = split_parts(term)
        .into_iter()
        .map(part)
        .collect::<Result<Vec<_>, _>>()?;
    if let [only] = parts.as_mut_slice() {
        only.weight = 1.0; // one part is always drawn, whatever its weight
        if only.time == Time::Constant(Duration::ZERO) {
            parts.clear();
        }
    }
    Ok(parts)
}

/// Splits a mix at the commas that are not inside brackets.
fn split_parts(term: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    term.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

fn part(text: &str) -> Result<Part, String> {
    let (time_text, weight) = match text.rsplit_once(':') {
        None => (text, 1.0),
        Some((time, weight)) => {
            let weight = duration::number(weight)
                .filter(|weight| *weight > 0.0 && *weight <= LARGEST_WEIGHT)
                .ok_or_else(|| format!("expected a weight above 0 and up to {LARGEST_WEIGHT} such as 5ms:90, got '{text}'"))?;
            (time, weight)
        }
    };
    Ok(Part {
        time: time(time_text)?,
        weight,
    })
}

fn time(text: &str) -> Result<Time, String> {
    if let Some(mean) = call(text, "exp") {
        return duration::parse(mean, LONGEST_TIME)
            .map(Time::Exponential)
            .map_err(|e| format!("expected exp(mean) such as exp(20ms), got '{text}': {e}"));
    }
    if let Some(arguments) = call(text, "lognormal") {
        let wrong = |e: String| {
            format!(
                "expected lognormal(median,sigma) such as lognormal(5ms,0.5), got '{text}': {e}"
            )
        };
        let (median, sigma) = arguments
            .split_once(',')
            .ok_or_else(|| wrong("it wants two arguments".into()))?;
        let median = duration::parse(median, LONGEST_TIME).map_err(wrong)?;
        let sigma = duration::number(sigma)
            .filter(|sigma| *sigma <= LARGEST_SIGMA)
            .ok_or_else(|| wrong(format!("sigma is a number from 0 to {LARGEST_SIGMA}")))?;
        return Ok(Time::Lognormal(median, sigma));
    }
    if let Some((name, _)) = text.split_once('(') {
        return Err(format!(
            "expected exp(20ms), lognormal(5ms,0.5) or spin(50us), got '{text}'; check '{name}' and its brackets"
        ));
    }
    duration::parse(text, LONGEST_TIME).map(Time::Constant)
}

/// The arguments of `name(…)`, if that is what the text is.
fn call<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix(name)?
        .strip_prefix('(')?
        .strip_suffix(')')
}
