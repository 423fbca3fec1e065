//! Arrivals: planned offsets A(0), A(1), … from the start, fixed before the run, and nothing else. A profile says how
//! the rate runs over time, a spacing how operations lie within it; the two multiply.

use rand::{RngExt, SeedableRng};
use std::fmt;
use std::time::Duration;

/// A source of planned offsets.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrival {
    /// A rate profile with a spacing.
    Rate {
        /// The rate over time.
        profile: Profile,
        /// Even or Poisson.
        spacing: Spacing,
    },
    /// Offsets as they were recorded, in ascending order; the load ends with them.
    Trace(std::sync::Arc<Vec<Duration>>),
}

/// How operations lie within the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Operation i is due when the profile's integral reaches i.
    Even,
    /// A Poisson process of the profile's rate, from a seed (exponential steps of the integral).
    Poisson {
        /// Equal seeds give equal arrivals.
        seed: u64,
    },
}

/// A rate over time as linear pieces; after the last one its final rate goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    seconds: f64,
    from: f64,
    to: f64,
}

/// An offset of a trace beyond this is a slip of the unit, as it is in every duration.
const LATEST: Duration = Duration::from_secs(86_400);

/// Rates below one operation an hour or above ten million a second are refused as typing errors.
const RATES: std::ops::RangeInclusive<f64> = 1.0 / 3_600.0..=10_000_000.0;

impl Profile {
    /// One rate for ever.
    pub fn constant(per_second: f64) -> Self {
        Self {
            pieces: vec![Piece {
                seconds: f64::INFINITY,
                from: per_second,
                to: per_second,
            }],
        }
    }

    /// Whether it is one rate for ever.
    pub fn is_constant(&self) -> bool {
        self.pieces
            .iter()
            .all(|piece| piece.from == self.pieces[0].from && piece.to == piece.from)
    }

    /// The rate at an offset.
    pub fn rate_at(&self, offset: Duration) -> f64 {
        let mut left = offset.as_secs_f64();
        for piece in &self.pieces {
            if left < piece.seconds {
                return if piece.seconds.is_finite() {
                    piece.from + (piece.to - piece.from) * left / piece.seconds
                } else {
                    piece.from
                };
            }
            left -= piece.seconds;
        }
        self.pieces.last().map_or(0.0, |piece| piece.to)
    }
}

/// As it is read: `200:1s,2000:5s,200`, `500..5000:30s`.
impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, piece) in self.pieces.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}", piece.from)?;
            if piece.from != piece.to {
                write!(f, "..{}", piece.to)?;
            }
            if piece.seconds.is_finite() {
                write!(f, ":{}s", piece.seconds)?;
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for Profile {
    type Err = String;

    /// `2000` (constant), `500:10s,1000:10s` (steps), `500..5000:30s` (ramp), or any mix of the two in sequence;
    /// a spike is `200:10s,2000:5s,200:10s`.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected a rate per second such as 2000, steps such as 500:10s,1000:10s, or a ramp such as 500..5000:30s";
        let parse_rate = |piece: &str| -> Result<f64, String> {
            let rate: f64 = piece
                .trim()
                .parse()
                .map_err(|_| format!("'{piece}' in rate '{text}' is not a number; {expected}"))?;
            if RATES.contains(&rate) {
                Ok(rate)
            } else {
                Err(format!(
                    "rate {piece}/s is outside 1 per hour … 10,000,000 per second; {expected}"
                ))
            }
        };
        let mut pieces = Vec::new();
        for part in text.split(',') {
            let (rates, lasting) = match part.split_once(':') {
                Some((rates, lasting)) => {
                    let lasting = crate::units::parse_duration(lasting)
                        .map_err(|error| format!("in rate '{text}': {error}"))?;
                    if lasting.is_zero() {
                        return Err(format!(
                            "a piece of rate '{text}' lasts no time; {expected}"
                        ));
                    }
                    (rates, lasting.as_secs_f64())
                }
                None => (part, f64::INFINITY),
            };
            let (from, to) = match rates.split_once("..") {
                Some((from, to)) => (parse_rate(from)?, parse_rate(to)?),
                None => (parse_rate(rates)?, parse_rate(rates)?),
            };
            if from != to && lasting.is_infinite() {
                return Err(format!(
                    "ramp '{part}' does not say how long it takes; {expected}"
                ));
            }
            if pieces
                .last()
                .is_some_and(|last: &Piece| last.seconds.is_infinite())
            {
                return Err(format!(
                    "in rate '{text}' the piece before '{part}' has no duration; {expected}"
                ));
            }
            pieces.push(Piece {
                seconds: lasting,
                from,
                to,
            });
        }
        Ok(Self { pieces })
    }
}

impl fmt::Display for Spacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Even => f.write_str("evenly spaced"),
            Self::Poisson { seed } => write!(f, "Poisson (seed {seed})"),
        }
    }
}

impl Arrival {
    /// Evenly spaced at one rate.
    pub fn constant(per_second: f64) -> Self {
        Self::Rate {
            profile: Profile::constant(per_second),
            spacing: Spacing::Even,
        }
    }

    /// Evenly spaced within a rate that changes.
    pub fn even(profile: Profile) -> Self {
        Self::Rate {
            profile,
            spacing: Spacing::Even,
        }
    }

    /// Poisson at one rate.
    pub fn poisson(per_second: f64, seed: u64) -> Self {
        Self::Rate {
            profile: Profile::constant(per_second),
            spacing: Spacing::Poisson { seed },
        }
    }

    /// The planned offsets in nanoseconds, ascending.
    pub fn offsets(&self) -> Offsets {
        match self {
            Self::Trace(offsets) => Offsets(Source::Trace(offsets.clone(), 0)),
            Self::Rate { profile, spacing } => Offsets(Source::Rate(Box::new(RateOffsets {
                pieces: profile.pieces.clone(),
                piece: 0,
                before: (0.0, 0.0),
                index: 0,
                poisson: match spacing {
                    Spacing::Even => None,
                    Spacing::Poisson { seed } => {
                        Some((rand::rngs::StdRng::seed_from_u64(*seed), 0.0))
                    }
                },
            }))),
        }
    }

    /// Mean time between operations at the start, which bounds what a spin may cost.
    pub fn first_period(&self) -> Duration {
        match self {
            Self::Rate { profile, .. } => {
                Duration::from_secs_f64(1.0 / profile.rate_at(Duration::ZERO).max(1e-6))
            }
            Self::Trace(offsets) => match (offsets.first(), offsets.last()) {
                (Some(first), Some(last)) if offsets.len() > 1 => {
                    (*last - *first) / (offsets.len() as u32 - 1)
                }
                _ => Duration::from_secs(1),
            },
        }
    }
}

/// Iterator over planned offsets, nanoseconds.
#[derive(Debug)]
pub struct Offsets(Source);

#[derive(Debug)]
enum Source {
    Rate(Box<RateOffsets>),
    Trace(std::sync::Arc<Vec<Duration>>, usize),
}

/// Inverts the profile's integral: operation i is due where the integral reaches i (even) or a sum of i unit
/// exponentials (Poisson, by time rescaling).
#[derive(Debug)]
struct RateOffsets {
    pieces: Vec<Piece>,
    piece: usize,
    /// Seconds and operations before the current piece.
    before: (f64, f64),
    index: u64,
    /// The random source and the sum of exponentials so far.
    poisson: Option<(rand::rngs::StdRng, f64)>,
}

impl RateOffsets {
    fn next(&mut self) -> u64 {
        let target = match &mut self.poisson {
            None => self.index as f64,
            Some((random, sum)) => {
                let uniform: f64 = random.random();
                *sum -= (1.0 - uniform).ln();
                *sum
            }
        };
        self.index += 1;
        loop {
            let piece = self.pieces[self.piece];
            let last = self.piece + 1 == self.pieces.len();
            let need = target - self.before.1;
            let whole = (piece.from + piece.to) / 2.0 * piece.seconds;
            if need < whole {
                let slope = (piece.to - piece.from) / piece.seconds;
                // The stable root of slope/2·s² + from·s = need; with slope 0 it is need ÷ from.
                let root = (piece.from * piece.from + 2.0 * slope * need)
                    .max(0.0)
                    .sqrt();
                let seconds = 2.0 * need / (piece.from + root);
                return ((self.before.0 + seconds) * 1e9).round() as u64;
            }
            self.before.0 += piece.seconds;
            self.before.1 += whole;
            if last {
                self.pieces.push(Piece {
                    seconds: f64::INFINITY,
                    from: piece.to,
                    to: piece.to,
                });
            }
            self.piece += 1;
        }
    }
}

impl Iterator for Offsets {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        match &mut self.0 {
            Source::Rate(rate) => Some(rate.next()),
            Source::Trace(offsets, next) => {
                let offset = offsets.get(*next)?;
                *next += 1;
                Some(offset.as_nanos() as u64)
            }
        }
    }
}

/// Reads a trace: one offset per line (`12.5ms`, or plain seconds), ascending; empty lines and `#` comments are skipped.
pub fn parse_trace(text: &str) -> Result<Arrival, String> {
    let mut offsets: Vec<Duration> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let at = match line.parse::<f64>() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| {
                format!(
                    "line {} of the trace: expected an offset in seconds, got {line}",
                    number + 1
                )
            })?,
            Err(_) => crate::units::parse_duration(line)
                .map_err(|error| format!("line {} of the trace: {error}", number + 1))?,
        };
        if at > LATEST {
            return Err(format!(
                "line {} of the trace: expected an offset within a day, got {line}",
                number + 1
            ));
        }
        if offsets.last().is_some_and(|last| *last > at) {
            return Err(format!(
                "line {} of the trace: offset {line} is before the one above it; sort the trace",
                number + 1
            ));
        }
        offsets.push(at);
    }
    if offsets.is_empty() {
        return Err(
            "the trace holds no offset; expected one per line, such as 0.0125 or 12.5ms".into(),
        );
    }
    Ok(Arrival::Trace(std::sync::Arc::new(offsets)))
}

#[cfg(test)]
mod tests;
