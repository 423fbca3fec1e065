//! Draws one order's handling from a phase. Each draw is a hash of (seed, sequence), not the next number of a
//! stream, so that an operation gets the same time on every transport, however deliveries are ordered.

use super::parse::LONGEST_TIME;
use super::{Part, Phase, Planned, Time};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::f64::consts::TAU;
use std::time::Duration;

/// Odd, so that distinct sequences stay distinct, and not the increment that seeding itself uses (it would make
/// neighbours share most of their state). From Steele and Vigna, "Computationally easy, spectrally good multipliers".
const SPREAD: u64 = 0xd134_2543_de82_ef95;

impl Phase {
    /// The plan of one operation.
    pub(super) fn sample(&self, seed: u64, sequence: u64) -> Planned {
        let mut planned = Planned {
            spin: self.spin,
            ..Planned::default()
        };
        match self.mix.as_slice() {
            [] if self.fail == 0.0 => return planned,
            [
                Part {
                    time: Time::Constant(time),
                    ..
                },
            ] if self.fail == 0.0 => {
                planned.time = *time;
                return planned;
            }
            _ => {}
        }
        let state = seed ^ sequence.wrapping_mul(SPREAD);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(state);
        // Always four draws in one order: a phase's failures do not depend on its mix.
        let [fail, part, u, v]: [f64; 4] = random.random();
        planned.fails = fail < self.fail;
        planned.time = self.part(part).map_or(Duration::ZERO, |p| p.time.at(u, v));
        planned
    }

    /// The mix's mean, without spinning.
    pub(super) fn mean(&self) -> Duration {
        let weights: f64 = self.mix.iter().map(|part| part.weight).sum();
        let seconds: f64 = self
            .mix
            .iter()
            .map(|part| part.time.mean_seconds() * part.weight / weights)
            .sum();
        bounded(seconds)
    }

    fn part(&self, u: f64) -> Option<&Part> {
        let weights: f64 = self.mix.iter().map(|part| part.weight).sum();
        let mut left = u * weights;
        self.mix
            .iter()
            .find(|part| {
                left -= part.weight;
                left < 0.0
            })
            .or(self.mix.last())
    }
}

impl Time {
    /// The time that two uniform draws from [0, 1) stand for.
    fn at(self, u: f64, v: f64) -> Duration {
        // 1 − u is in (0, 1]: its logarithm is finite.
        match self {
            Self::Constant(time) => time,
            Self::Exponential(mean) => bounded(-(1.0 - u).ln() * mean.as_secs_f64()),
            Self::Lognormal(median, sigma) => {
                // Box and Muller's normal deviate.
                let normal = (-2.0 * (1.0 - u).ln()).sqrt() * (TAU * v).cos();
                bounded(median.as_secs_f64() * (sigma * normal).exp())
            }
        }
    }

    fn mean_seconds(self) -> f64 {
        match self {
            Self::Constant(time) | Self::Exponential(time) => time.as_secs_f64(),
            Self::Lognormal(median, sigma) => median.as_secs_f64() * (sigma * sigma / 2.0).exp(),
        }
    }
}

/// A long tail ends at the longest time that can be written, so that no draw stops a run.
fn bounded(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_TIME.as_secs_f64()))
}
