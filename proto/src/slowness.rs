//! The slowness language: `5ms:90,200ms:10 fail=1% workers=8`, `exp(20ms)`, `lognormal(5ms,0.5)`,
//! `0s..10s 1ms; 10s..20s 200ms; 20s.. 1ms`. Pure: it parses, prints itself, and samples from a seed.

use std::time::Duration;

/// A parsed slowness specification.
#[derive(Clone, Debug, PartialEq)]
pub struct Slowness {
    // Filled in by the implementation.
}

/// What one order's handling is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// How long the handler works.
    pub time: Duration,
    /// Whether it fails at the end.
    pub fails: bool,
}

impl Slowness {
    /// No added time, no failures, unbounded workers.
    pub fn none() -> Self {
        todo!()
    }

    /// How many orders may be worked on at once, if bounded.
    pub fn workers(&self) -> Option<usize> {
        todo!()
    }

    /// What operation `sequence` gets, `since_start` after the run's start; the same seed gives the same plan.
    pub fn plan(&self, _seed: u64, _sequence: u64, _since_start: Duration) -> Planned {
        todo!()
    }
}

impl std::str::FromStr for Slowness {
    type Err = String;

    fn from_str(_text: &str) -> Result<Self, String> {
        todo!()
    }
}
