//! The slowness language: `5ms:90,200ms:10 fail=1% workers=8`, `exp(20ms)`, `lognormal(5ms,0.5)`,
//! `0s..10s 1ms; 10s..20s 200ms; 20s.. 1ms`. Pure: it parses, prints itself, and samples from a seed. It knows no
//! clock and does not sleep.
//!
//! ```text
//! slowness  = section { ";" section }            ";" separates phases
//! section   = { term }                           terms in any order, each at most once
//! term      = span | mix | fail | spin | workers
//! span      = duration ".." [ duration ]         since the run's start; without it the section is the whole run
//! mix       = "none" | "0" | part { "," part }   one part is drawn per order, by weight (1 where none is given)
//! part      = ( duration | "exp(" mean ")" | "lognormal(" median "," sigma ")" ) [ ":" weight ]
//! fail      = "fail=" ( percent "%" | share )    that share of orders fails at the end
//! spin      = "spin(" duration ")"               busy on the CPU, added to the mix's time
//! workers   = "workers=" count                   for the whole run; may be a section of its own
//! duration  = "0" | number ( "ns" | "us" | "µs" | "ms" | "s" | "m" )
//! ```

mod duration;
mod parse;
mod sample;

use std::fmt;
use std::time::Duration;

/// A parsed slowness specification.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slowness {
    /// Contiguous from 0, ascending; after the last one's end nothing is added.
    phases: Vec<Phase>,
    workers: Option<usize>,
}

/// Reads a duration as the language writes it, such as `200us`, `1.5ms` or `10s`, up to `longest`. The error is a sentence.
pub fn read_duration(text: &str, longest: Duration) -> Result<Duration, String> {
    duration::parse(text, longest)
}

/// Writes a duration in the largest unit that shows it without a fraction.
pub fn show_duration(duration: Duration) -> String {
    duration::show(duration)
}

/// What one order's handling is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// How long the handler works, waiting.
    pub time: Duration,
    /// How long it is busy on the CPU besides.
    pub spin: Duration,
    /// Whether it fails at the end.
    pub fails: bool,
}

impl Planned {
    /// Waiting and spinning together: the handler's whole planned time.
    pub fn total(&self) -> Duration {
        self.time + self.spin
    }
}

/// What holds from one instant of the run to another.
#[derive(Clone, Debug, PartialEq)]
struct Phase {
    start: Duration,
    /// Open-ended if there is none.
    end: Option<Duration>,
    /// Nothing is added where it is empty.
    mix: Vec<Part>,
    spin: Duration,
    /// Share of orders that fail, 0 to 1.
    fail: f64,
}

/// One component of a mix.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    time: Time,
    weight: f64,
}

/// How long a component takes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Time {
    Constant(Duration),
    /// Exponential, by its mean.
    Exponential(Duration),
    /// Lognormal, by its median and the standard deviation of its logarithm.
    Lognormal(Duration, f64),
}

impl Slowness {
    /// No added time, no failures, unbounded workers.
    pub fn none() -> Self {
        Self::default()
    }

    /// How many orders may be worked on at once, if bounded.
    pub fn workers(&self) -> Option<usize> {
        self.workers
    }

    /// The same plan with another bound on the workers.
    pub fn with_workers(mut self, workers: Option<usize>) -> Self {
        self.workers = workers;
        self
    }

    /// What operation `sequence` gets, `since_start` after the run's start; the same seed gives the same plan,
    /// whatever the order in which operations arrive.
    pub fn plan(&self, seed: u64, sequence: u64, since_start: Duration) -> Planned {
        self.phase(since_start)
            .map_or_else(Planned::default, |phase| phase.sample(seed, sequence))
    }

    /// The mean handler time planned for orders `since_start` after the run's start, spinning included.
    pub fn mean(&self, since_start: Duration) -> Duration {
        self.phase(since_start)
            .map_or(Duration::ZERO, |phase| phase.mean() + phase.spin)
    }

    /// The phases since the run's start, contiguous from 0: first instant, and first instant after it if it ends.
    /// Empty if nothing is ever added.
    pub fn phases(&self) -> impl Iterator<Item = (Duration, Option<Duration>)> {
        self.phases.iter().map(|phase| (phase.start, phase.end))
    }

    fn phase(&self, since_start: Duration) -> Option<&Phase> {
        self.phases
            .iter()
            .find(|phase| phase.end.is_none_or(|end| since_start < end))
    }
}

impl std::str::FromStr for Slowness {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse::slowness(text)
    }
}

/// The canonical form, which reads back as the same plan.
impl fmt::Display for Slowness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole_run = matches!(self.phases.as_slice(), [only] if only.end.is_none());
        let mut sections: Vec<String> = self
            .phases
            .iter()
            .map(|phase| {
                if whole_run {
                    phase.to_string()
                } else {
                    let start = duration::show(phase.start);
                    let end = phase.end.map(duration::show).unwrap_or_default();
                    format!("{start}..{end} {phase}")
                }
            })
            .collect();
        if sections.is_empty() {
            sections.push("none".into());
        }
        let mut text = sections.join("; ");
        if let Some(workers) = self.workers {
            // They hold for the whole run: beside its only phase, else in a section of their own.
            let separator = if whole_run || self.phases.is_empty() {
                " "
            } else {
                "; "
            };
            text.push_str(&format!("{separator}workers={workers}"));
        }
        f.pad(&text)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mix.as_slice() {
            [] => f.write_str("none")?,
            [one] => write!(f, "{}", one.time)?,
            several => {
                for (i, part) in several.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{}:{}", part.time, part.weight)?;
                }
            }
        }
        if !self.spin.is_zero() {
            write!(f, " spin({})", duration::show(self.spin))?;
        }
        if self.fail > 0.0 {
            // As a percentage where a short one says exactly the same.
            let percent = (self.fail * 100.0 * 1e6).round() / 1e6;
            if percent / 100.0 == self.fail {
                write!(f, " fail={percent}%")?;
            } else {
                write!(f, " fail={}", self.fail)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Constant(time) => f.write_str(&duration::show(time)),
            Self::Exponential(mean) => write!(f, "exp({})", duration::show(mean)),
            Self::Lognormal(median, sigma) => {
                write!(f, "lognormal({},{sigma})", duration::show(median))
            }
        }
    }
}

#[cfg(test)]
mod tests;
