//! The load: *when* operations are due (arrival), *until* when (stop), *how many* may be in flight, and what came of
//! each. It knows no transport: it drives any `Fn(Operation) → Future<Outcome>`, on any [`Clock`].

pub mod arrival;
pub mod clock;
mod engine;
pub mod live;
pub mod recorder;
pub mod series;
pub mod slots;
#[cfg(test)]
mod tests;

pub use arrival::{Arrival, Profile, Spacing};
pub use clock::{Clock, HostClock};
pub use engine::{run, run_watched};
pub use live::{Glance, Watch};
pub use recorder::{Record, SpanRecord};

use std::time::Duration;

/// How operations come to be due.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// Open loop: planned instants are fixed before the run; the callee cannot slow them down.
    Open(Arrival),
    /// Closed loop: so many callers, each waiting for its answer (and then `think`) before the next.
    Closed {
        /// Operations in flight at any time.
        callers: usize,
        /// Pause of a caller between an answer and its next operation.
        think: Duration,
    },
}

/// When no further operation is released. Whichever comes first; at least one must be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// Operations planned at or after this offset are not released.
    pub time: Option<Duration>,
    /// So many operations and no more.
    pub count: Option<u64>,
}

impl Stop {
    /// Stops by time alone.
    pub fn after(time: Duration) -> Self {
        Self {
            time: Some(time),
            count: None,
        }
    }

    /// Stops by count alone.
    pub fn count(count: u64) -> Self {
        Self {
            time: None,
            count: Some(count),
        }
    }

    /// Whether operation `index`, planned at `offset_ns`, is past the end.
    pub fn is_past(&self, index: u64, offset_ns: u64) -> bool {
        self.count.is_some_and(|count| index >= count)
            || self
                .time
                .is_some_and(|time| offset_ns >= time.as_nanos() as u64)
    }
}

/// One phase of load on one generator thread.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// How operations come to be due.
    pub mode: Mode,
    /// Until when.
    pub stop: Stop,
    /// Open loop: beyond so many in flight, operations wait in order and keep their planned instant.
    pub max_in_flight: usize,
    /// How long after the last release answers are still awaited; what is open then is right-censored.
    pub grace: Duration,
    /// The named spans of planned offsets that latencies are also kept for (phases of a slowness).
    pub spans: Vec<SpanPlan>,
    /// Which share of the arrivals this thread releases.
    pub share: Share,
}

/// This thread is `index` of `of`: it releases the arrivals whose number is `index` modulo `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// 0-based.
    pub index: u32,
    /// How many threads there are.
    pub of: u32,
}

impl Share {
    /// The only thread.
    pub const WHOLE: Self = Self { index: 0, of: 1 };
}

/// A named span of planned offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanPlan {
    /// Its name.
    pub name: String,
    /// First offset inside.
    pub start: Duration,
    /// First offset after it.
    pub end: Duration,
}

/// What is handed to the callee: one operation, due at a fixed instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// 0, 1, 2 … on this thread.
    pub sequence: u64,
    /// start + A(i): every latency counts from here.
    pub planned_ns: u64,
}

/// What the callee made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When its bytes were handed to a connection free to carry them, if they ever were.
    pub sent_ns: Option<u64>,
    /// How it ended.
    pub ending: Ending,
    /// Encoded body bytes out.
    pub body_out: usize,
    /// Encoded body bytes in.
    pub body_in: usize,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The reply or confirm came.
    Acknowledged,
    /// The service refused it.
    Refused,
    /// An error came back, from the service itself or from something on the way.
    Failed {
        /// Whether the service itself answered so.
        by_service: bool,
    },
    /// Its deadline passed: the outcome is unknown.
    TimedOut,
}
