//! What arithmetic and queueing theory say of a service that turns slow, dies or is offered too much: backlog, drain,
//! oldest order, what waits in flight, and how failures and slow answers add up. Pure: rates, times and shares in, the
//! same out. A figure that stands beside a measurement carries the interval in which chance alone puts it. It never
//! decides whether a trial is valid: disagreement is a finding.

use bench_stats::binomial;
use bench_stats::estimate::LEVEL;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, DiscreteCDF, Normal, Poisson};
use std::fmt;
use std::time::Duration;

/// A rate, per second.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct PerSecond(pub f64);

/// A number of orders; an expectation, so it need not be whole.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Orders(pub f64);

/// A share of all, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Share(pub f64);

/// A figure of theory with the interval in which a measurement of it lies in 95 of 100 cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected<T> {
    /// By the formula.
    pub point: T,
    /// Lower end.
    pub low: T,
    /// Upper end.
    pub high: T,
}

/// How arrivals lie in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Equal distances: their number is off by one at most.
    Even,
    /// A Poisson process: their number has the variance of its mean.
    Poisson,
}

/// Means above this are spread as a normal distribution is: the quantiles then differ by less than one in a thousand.
const LARGE_MEAN: f64 = 10_000.0;

/// μ: what so many workers complete while all of them are busy, each `time` over an order. Infinite where an order
/// takes no time.
pub fn capacity(workers: u64, time: Duration) -> PerSecond {
    PerSecond(workers as f64 / time.as_secs_f64())
}

/// (λ − μ)·T: the orders that wait after `lasting` of more arrivals than are done; none where they are done.
pub fn backlog(arrivals: PerSecond, done: PerSecond, lasting: Duration) -> Orders {
    Orders((arrivals.0 - done.0).max(0.0) * lasting.as_secs_f64())
}

/// [`backlog`] with its interval: the spread of the arrivals' number, and completions that come in steps of as many as
/// there are workers.
pub fn backlog_between(
    arrivals: PerSecond,
    done: PerSecond,
    lasting: Duration,
    spacing: Arrivals,
    workers: u64,
) -> Expected<Orders> {
    let mean = arrivals.0 * lasting.as_secs_f64();
    let (low, high) = match spacing {
        Arrivals::Even => (mean - 1.0, mean + 1.0),
        Arrivals::Poisson => poisson_between(mean),
    };
    let completed = done.0.min(arrivals.0) * lasting.as_secs_f64();
    let step = workers as f64;
    Expected {
        point: backlog(arrivals, done, lasting),
        low: Orders((low - completed - step).max(0.0)),
        high: Orders((high - completed + step).max(0.0)),
    }
}

/// backlog ÷ (μ − λ): how long it takes until nothing waits any more. None where the arrivals leave no capacity over.
pub fn drain(backlog: Orders, arrivals: PerSecond, capacity: PerSecond) -> Option<Duration> {
    if backlog.0 <= 0.0 {
        return Some(Duration::ZERO);
    }
    let spare = capacity.0 - arrivals.0;
    if spare <= 0.0 {
        return None;
    }
    Duration::try_from_secs_f64(backlog.0 / spare).ok()
}

/// T·(1 − μ/λ): how long the oldest waiting order has waited after `lasting` of more arrivals than are done.
pub fn oldest(arrivals: PerSecond, done: PerSecond, lasting: Duration) -> Duration {
    if arrivals.0 <= done.0 {
        return Duration::ZERO;
    }
    lasting.mul_f64(1.0 - done.0 / arrivals.0)
}

/// L = λ·W (Little): what is in flight where each order is, for `wait`. Of a service it is the offered load in erlangs.
pub fn in_flight(arrivals: PerSecond, wait: Duration) -> Orders {
    Orders(arrivals.0 * wait.as_secs_f64())
}

/// The smallest number of workers that complete more than arrives.
pub fn workers_needed(arrivals: PerSecond, time: Duration) -> u64 {
    in_flight(arrivals, time).0.floor() as u64 + 1
}

/// What finds no room where only `room` orders may wait: the rest of the backlog.
pub fn turned_away(backlog: Orders, room: Orders) -> Orders {
    Orders((backlog.0 - room.0).max(0.0))
}

/// 1 − (1 − p)^N: the share of calls that fail over a chain of N hops, each failing with this share, without retries.
pub fn chain_failure(of_a_hop: Share, hops: u32) -> Share {
    any_of(of_a_hop, hops)
}

/// 1 − (1 − p)^K: the share of fan-outs to K services that wait for a slow one.
pub fn fan_out_slow(of_a_service: Share, services: u32) -> Share {
    any_of(of_a_service, services)
}

/// [`chain_failure`] and [`fan_out_slow`] of a share that was itself counted, `hits` of `n`: with the exact binomial
/// (Clopper–Pearson) interval carried through. None without a count.
pub fn any_of_counted(hits: u64, n: u64, times: u32) -> Option<Expected<Share>> {
    let (low, high) = binomial::interval(hits, n, LEVEL)?;
    let point = Share(hits as f64 / n as f64);
    // It grows with the share, so the interval's ends stay its ends.
    Some(Expected {
        point: any_of(point, times),
        low: any_of(Share(low), times),
        high: any_of(Share(high), times),
    })
}

/// In the logarithm, so that a share of one in a million keeps its digits.
fn any_of(share: Share, times: u32) -> Share {
    if times == 0 {
        return Share(0.0);
    }
    Share(-(f64::from(times) * (-share.0).ln_1p()).exp_m1())
}

/// Erlang's B: the share of Poisson arrivals that finds every worker busy, where nothing may wait.
pub fn erlang_b(offered: Orders, workers: u64) -> Share {
    let step = |blocked: f64, workers: u64| {
        let carried = offered.0 * blocked;
        carried / (workers as f64 + carried)
    };
    Share((1..=workers).fold(1.0, step))
}

/// Erlang's C (M/M/c): the share of Poisson arrivals that has to wait for a worker. 1 from full load on.
pub fn erlang_c(offered: Orders, workers: u64) -> Share {
    let load = offered.0 / workers as f64;
    if load >= 1.0 {
        return Share(1.0);
    }
    let blocked = erlang_b(offered, workers).0;
    Share(blocked / (1.0 - load * (1.0 - blocked)))
}

/// The mean wait for a worker (M/M/c): Poisson arrivals, exponential times. None at full load and above.
pub fn mean_wait(arrivals: PerSecond, time: Duration, workers: u64) -> Option<Duration> {
    let spare = capacity(workers, time).0 - arrivals.0;
    if spare <= 0.0 {
        return None;
    }
    let waits = erlang_c(in_flight(arrivals, time), workers);
    Duration::try_from_secs_f64(waits.0 / spare).ok()
}

/// A stretch of time in which both rates stand still.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// How long.
    pub lasting: Duration,
    /// λ.
    pub arrivals: PerSecond,
    /// μ.
    pub done: PerSecond,
}

/// A corner of the course that a backlog takes; between two of them it runs straight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corner {
    /// When, from the first stage's start.
    pub at: Duration,
    /// What waits then.
    pub waiting: Orders,
}

/// The course of the backlog over stages that follow each other, from nothing waiting.
pub fn course(stages: &[Stage]) -> Vec<Corner> {
    let corner = |at: f64, waiting: f64| Corner {
        at: Duration::try_from_secs_f64(at).unwrap_or(Duration::MAX),
        waiting: Orders(waiting),
    };
    let (mut at, mut waiting) = (0.0, 0.0);
    let mut corners = vec![corner(at, waiting)];
    for stage in stages {
        let lasting = stage.lasting.as_secs_f64();
        let growth = stage.arrivals.0 - stage.done.0;
        let until_empty = waiting / -growth;
        if waiting > 0.0 && growth < 0.0 && until_empty < lasting {
            corners.push(corner(at + until_empty, 0.0));
        }
        at += lasting;
        waiting = f64::max(waiting + growth * lasting, 0.0);
        corners.push(corner(at, waiting));
    }
    corners
}

/// How a measurement stands to what theory expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The two intervals meet.
    Agrees,
    /// The measurement lies above.
    Above,
    /// It lies below.
    Below,
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Agrees => "agrees",
            Self::Above => "measured above",
            Self::Below => "measured below",
        })
    }
}

/// Compares two intervals, (low, high) each and in one unit: what is expected, and what was measured.
pub fn agreement(expected: (f64, f64), measured: (f64, f64)) -> Agreement {
    if measured.0 > expected.1 {
        Agreement::Above
    } else if measured.1 < expected.0 {
        Agreement::Below
    } else {
        Agreement::Agrees
    }
}

/// The counts between which a Poisson number of this mean lies, two-sided at [`LEVEL`].
fn poisson_between(mean: f64) -> (f64, f64) {
    let tail = (1.0 - LEVEL) / 2.0;
    if mean > LARGE_MEAN {
        let normal = Normal::new(mean, mean.sqrt()).expect("the mean is a positive number");
        return (normal.inverse_cdf(tail), normal.inverse_cdf(1.0 - tail));
    }
    match Poisson::new(mean) {
        Ok(poisson) => (
            poisson.inverse_cdf(tail) as f64,
            poisson.inverse_cdf(1.0 - tail) as f64,
        ),
        // Nothing arrives.
        Err(_) => (0.0, 0.0),
    }
}

#[cfg(test)]
mod tests;
