//! The formulas of [`crate::theory`] for somebody's own numbers, far past what this machine can run. Every figure is
//! projected, not measured, and says so beside what it rests on: the user's own input, or what a run measured of one
//! order ([`Rests`]). Pure: it starts nothing and reads no file.

mod course;
mod lines;
mod rests;
#[cfg(test)]
mod tests;

pub use rests::{CpuUs, Rests, of_run};

use crate::theory::{PerSecond, capacity};
use crate::units::show_ns;
use course::course;
use lines::Lines;
use serde::Serialize;
use std::time::Duration;

/// Stands in every line of a projection.
pub const MARK: &str = "projected, not measured";

/// What can be projected, orders per second: beyond it a rate is a slip of the keyboard.
const RATES: std::ops::RangeInclusive<f64> = 1.0 / 3_600.0..=1e9;
/// Erlang's recursion takes a step per worker.
const MOST_WORKERS: u64 = 10_000_000;

/// Somebody's own numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// λ.
    pub rate: PerSecond,
    /// What a worker takes over an order while all is well.
    pub service_time: Duration,
    /// Workers of the service, over all of its instances.
    pub workers: u64,
    /// How long the service is away, if it is.
    pub outage: Option<Duration>,
    /// What an order takes while the service is slow, and for how long that lasts.
    pub slow: Option<(Duration, Duration)>,
    /// How long a synchronous caller waits for its answer.
    pub deadline: Duration,
}

/// What happens to the service.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Event {
    /// What an order takes meanwhile; none: nothing is done.
    time: Option<Duration>,
    lasting: Duration,
}

/// A projected value in its unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// A number of orders.
    Orders(f64),
    /// Orders per second.
    OrdersPerSecond(f64),
    /// A number of workers.
    Workers(u64),
    /// A time, seconds.
    Seconds(f64),
    /// A share, 0 to 1; of a load it can be more.
    Share(f64),
    /// CPU cores, busy all the time.
    Cores(f64),
    /// Bits per second.
    BitsPerSecond(f64),
    /// Bytes.
    Bytes(f64),
    /// It does not come to pass, and why.
    Never(String),
    /// Nothing in reach measured what it rests on, and why.
    NotMeasured(String),
}

/// One line of a projection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// When: `all is well`, or the event.
    pub when: String,
    /// What.
    pub what: String,
    /// How much.
    pub amount: Amount,
    /// By which formula.
    pub formula: &'static str,
    /// On which inputs.
    pub rests_on: String,
    /// [`MARK`], in every one of them.
    pub kind: &'static str,
}

/// The backlog's course over one event, corners only: it runs straight between them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Course {
    /// The event.
    pub name: String,
    /// When the event begins and ends, seconds.
    pub event_s: (f64, f64),
    /// Seconds, orders that wait.
    pub corners: Vec<(f64, f64)>,
    /// [`MARK`].
    pub kind: &'static str,
}

/// A whole projection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Projection {
    /// [`MARK`].
    pub kind: &'static str,
    /// The question, in a sentence.
    pub asked: String,
    /// What a run measured of one order, by transport; empty where no run was named.
    pub measured: Vec<Rests>,
    /// Its lines.
    pub figures: Vec<Figure>,
    /// The backlogs.
    pub courses: Vec<Course>,
}

impl Ask {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// A sentence for the first thing that is wrong.
    pub fn check(&self) -> Result<(), String> {
        if !RATES.contains(&self.rate.0) {
            return Err(format!(
                "--rate {} is outside 1 per hour … 1,000,000,000 per second; expected orders per second such as 2000000",
                self.rate.0
            ));
        }
        if self.workers == 0 || self.workers > MOST_WORKERS {
            return Err(format!(
                "--workers {} is outside 1 … {MOST_WORKERS}; give the workers of all instances together",
                self.workers
            ));
        }
        for (name, time) in [
            ("--service-time", Some(self.service_time)),
            ("--outage", self.outage),
            ("--slow-time", self.slow.map(|(time, _)| time)),
            ("--slow-for", self.slow.map(|(_, lasting)| lasting)),
            ("--timeout", Some(self.deadline)),
        ] {
            if time.is_some_and(|time| time.is_zero()) {
                return Err(format!(
                    "{name} 0 leaves nothing to project; expected a duration such as 5ms or 10m"
                ));
            }
        }
        if let Some((time, _)) = self.slow
            && time <= self.service_time
        {
            return Err(format!(
                "--slow-time {} is not slower than --service-time {}; expected a longer one",
                show(time),
                show(self.service_time)
            ));
        }
        if self.outage.is_none() && self.slow.is_none() {
            return Err(
                "nothing happens to the service, so there is nothing to project; give --outage 10m, or --slow-time 200ms with --slow-for 30s".into(),
            );
        }
        Ok(())
    }

    fn capacity(&self) -> PerSecond {
        capacity(self.workers, self.service_time)
    }

    fn events(&self) -> Vec<(String, Event)> {
        let outage = self.outage.map(|lasting| {
            let name = format!("an outage of {}", show(lasting));
            let time = None;
            (name, Event { time, lasting })
        });
        let slow = self.slow.map(|(time, lasting)| {
            let name = format!("{} per order for {}", show(time), show(lasting));
            let time = Some(time);
            (name, Event { time, lasting })
        });
        outage.into_iter().chain(slow).collect()
    }

    /// What is done while an event lasts.
    fn done(&self, event: Event) -> PerSecond {
        event
            .time
            .map_or(PerSecond(0.0), |time| capacity(self.workers, time))
    }
}

/// Projects; `measured` is what a run measured of one order, and `without` says why there is none.
///
/// # Errors
/// What [`Ask::check`] refuses.
pub fn project(ask: &Ask, measured: Vec<Rests>, without: &str) -> Result<Projection, String> {
    ask.check()?;
    let mut lines = Lines(Vec::new());
    lines.well(ask);
    lines.costs(ask, &measured, without);
    let mut courses = Vec::new();
    for (name, event) in ask.events() {
        lines.event(ask, &name, event);
        lines.storage(ask, &name, event, &measured, without);
        courses.push(course(ask, &name, event));
    }
    Ok(Projection {
        kind: MARK,
        asked: format!(
            "{} orders/s over {} workers that take {} each, synchronous callers that wait for {}",
            ask.rate.0,
            ask.workers,
            show(ask.service_time),
            show(ask.deadline)
        ),
        measured,
        figures: lines.0,
        courses,
    })
}

/// A duration as its user would write it.
fn show(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 120.0 {
        let minutes = (seconds / 6.0).round() / 10.0;
        return format!("{minutes} min");
    }
    let text = show_ns(time.as_nanos() as f64);
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            let number = number.trim_end_matches('0').trim_end_matches('.');
            format!("{number} {unit}")
        }
        _ => text,
    }
}
