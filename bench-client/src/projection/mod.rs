//! The formulas of [`crate::theory`] for somebody's own numbers, far past what this machine can run. Every figure is
//! projected, not measured, and says so beside what it rests on: the user's own input, or what a run measured of one
//! order ([`Rests`]). Pure: it starts nothing and reads no file.

mod rests;

pub use rests::{CpuUs, Rests, of_run};

use crate::theory::{
    self, Corner, Orders, PerSecond, Share, Stage, backlog, capacity, drain, in_flight, oldest,
    workers_needed,
};
use crate::units::show_ns;
use serde::Serialize;
use std::time::Duration;

/// Stands in every line of a projection.
pub const MARK: &str = "projected, not measured";

/// What can be projected, orders per second: beyond it a rate is a slip of the keyboard.
const RATES: std::ops::RangeInclusive<f64> = 1.0 / 3_600.0..=1e9;
/// Erlang's recursion takes a step per worker.
const MOST_WORKERS: u64 = 10_000_000;
/// A course is drawn to its end, or for so many times the event's length.
const MOST_LENGTHS: u32 = 20;

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

const INPUTS: &str = "your numbers";
const WELL: &str = "all is well";

struct Lines(Vec<Figure>);

impl Lines {
    fn add(
        &mut self,
        when: &str,
        what: impl Into<String>,
        amount: Amount,
        formula: &'static str,
        rests_on: impl Into<String>,
    ) {
        self.0.push(Figure {
            when: when.into(),
            what: what.into(),
            amount,
            formula,
            rests_on: rests_on.into(),
            kind: MARK,
        });
    }

    /// Before anything happens.
    fn well(&mut self, ask: &Ask) {
        let offered = in_flight(ask.rate, ask.service_time);
        let poisson = "your numbers; Poisson arrivals, exponential times";
        self.add(
            WELL,
            "capacity",
            Amount::OrdersPerSecond(ask.capacity().0),
            "μ = workers ÷ time",
            INPUTS,
        );
        self.add(
            WELL,
            "load of the workers",
            Amount::Share(offered.0 / ask.workers as f64),
            "λ ÷ μ",
            INPUTS,
        );
        self.add(
            WELL,
            "workers that keep up at all",
            Amount::Workers(workers_needed(ask.rate, ask.service_time)),
            "above λ·time",
            INPUTS,
        );
        self.add(
            WELL,
            "in flight, synchronous",
            Amount::Orders(offered.0),
            "L = λ·W",
            INPUTS,
        );
        let Share(waits) = theory::erlang_c(offered, ask.workers);
        self.add(
            WELL,
            "orders that find no worker free",
            Amount::Share(waits),
            "Erlang C",
            poisson,
        );
        let wait = theory::mean_wait(ask.rate, ask.service_time, ask.workers);
        self.add(
            WELL,
            "mean wait for a worker",
            match wait {
                Some(wait) => Amount::Seconds(wait.as_secs_f64()),
                None => Amount::Never(too_few(ask)),
            },
            "C ÷ (μ − λ)",
            poisson,
        );
    }

    /// What one event does.
    fn event(&mut self, ask: &Ask, name: &str, event: Event) {
        let done = ask.done(event);
        let waiting = backlog(ask.rate, done, event.lasting);
        let age = oldest(ask.rate, done, event.lasting);
        self.add(
            name,
            "done meanwhile",
            Amount::OrdersPerSecond(done.0.min(ask.rate.0)),
            "μ_slow = workers ÷ slow time",
            INPUTS,
        );
        self.add(
            name,
            "backlog at its end, queue or stream",
            Amount::Orders(waiting.0),
            "(λ − μ_slow)·T",
            INPUTS,
        );
        self.add(
            name,
            "age of the oldest order then",
            Amount::Seconds(age.as_secs_f64()),
            "T·(1 − μ_slow ÷ λ)",
            INPUTS,
        );
        self.add(
            name,
            "time to drain",
            match drain(waiting, ask.rate, ask.capacity()) {
                Some(time) => Amount::Seconds(time.as_secs_f64()),
                None => Amount::Never(too_few(ask)),
            },
            "backlog ÷ (μ − λ)",
            INPUTS,
        );
        let faster = PerSecond(ask.rate.0 + waiting.0 / event.lasting.as_secs_f64());
        self.add(
            name,
            "workers that drain it in the time it took to build up",
            Amount::Workers(workers_needed(faster, ask.service_time)),
            "above (λ + backlog ÷ T)·time",
            INPUTS,
        );
        // Whoever waits does so for the oldest order's age and the work itself, or until the deadline.
        let wait = match event.time {
            Some(time) => age + time,
            None => event.lasting,
        };
        let Orders(held) = in_flight(ask.rate, wait.min(ask.deadline));
        self.add(
            name,
            "callers that wait at its end, synchronous",
            Amount::Orders(held),
            "L = λ·min(W, deadline)",
            INPUTS,
        );
        if event.time.is_none() {
            let Orders(lost) = in_flight(ask.rate, event.lasting);
            self.add(
                name,
                "calls that find nobody, synchronous",
                Amount::Orders(lost),
                "λ·T",
                INPUTS,
            );
        }
    }

    /// Cores and bandwidth of the rate.
    fn costs(&mut self, ask: &Ask, measured: &[Rests], without: &str) {
        let cores = "µs per order·λ";
        if measured.is_empty() {
            let missing = || Amount::NotMeasured(without.into());
            self.add(WELL, "CPU", missing(), cores, "not measured");
            self.add(
                WELL,
                "bandwidth",
                missing(),
                "bytes per order·λ",
                "not measured",
            );
        }
        for of in measured {
            for (role, cpu_us) in of.cpu_us.each() {
                let what = format!("CPU of the {role}, {}", of.transport);
                let amount = match cpu_us {
                    Some(us) => Amount::Cores(us * ask.rate.0 / 1e6),
                    None => Amount::NotMeasured(format!(
                        "`{}` says nothing of the {role}'s CPU",
                        of.cell
                    )),
                };
                self.add(WELL, what, amount, cores, of.says());
            }
            let amount = match of.wire_bytes {
                Some(bytes) => Amount::BitsPerSecond(8.0 * bytes * ask.rate.0),
                None => Amount::NotMeasured(format!("`{}` counted no wire bytes", of.cell)),
            };
            let what = format!(
                "bandwidth, {}, every leg both ways without TCP/IP headers",
                of.transport
            );
            self.add(WELL, what, amount, "bytes per order·λ", of.says());
        }
    }

    /// What a broker keeps for the backlog.
    fn storage(&mut self, ask: &Ask, name: &str, event: Event, measured: &[Rests], without: &str) {
        let formula = "bytes to the broker·backlog";
        let Orders(waiting) = backlog(ask.rate, ask.done(event), event.lasting);
        let brokers: Vec<&Rests> = measured.iter().filter(|of| of.has_broker()).collect();
        if brokers.is_empty() {
            let why = if measured.is_empty() {
                without
            } else {
                "the run has no cell over a broker"
            };
            let missing = Amount::NotMeasured(why.into());
            self.add(name, "broker's disk", missing, formula, "not measured");
        }
        for of in brokers {
            let amount = match of.to_broker_bytes {
                Some(bytes) => Amount::Bytes(bytes * waiting),
                None => Amount::NotMeasured(format!("`{}` counted no wire bytes", of.cell)),
            };
            let what = format!(
                "broker's disk, {}, without its indexes and replicas",
                of.transport
            );
            self.add(name, what, amount, formula, of.says());
        }
    }
}

fn too_few(ask: &Ask) -> String {
    format!(
        "{} workers do {}/s, no more than the {}/s that arrive while all is well; it takes at least {}",
        ask.workers,
        round(ask.capacity().0),
        round(ask.rate.0),
        workers_needed(ask.rate, ask.service_time)
    )
}

fn course(ask: &Ask, name: &str, event: Event) -> Course {
    let before = event.lasting / 10;
    let done = ask.done(event);
    let well = ask.capacity();
    let longest = event.lasting * MOST_LENGTHS;
    let after = match drain(backlog(ask.rate, done, event.lasting), ask.rate, well) {
        // A little longer than the drain, so that its end is seen.
        Some(drained) => drained.saturating_add(before).min(longest),
        None => event.lasting,
    };
    let stage = |lasting, done| Stage {
        lasting,
        arrivals: ask.rate,
        done,
    };
    // Whether the workers keep up before is not the event's doing: its backlog is counted from nothing.
    let calm = PerSecond(well.0.max(ask.rate.0));
    let corners = theory::course(&[
        stage(before, calm),
        stage(event.lasting, done),
        stage(after, well),
    ]);
    Course {
        name: name.into(),
        event_s: (before.as_secs_f64(), (before + event.lasting).as_secs_f64()),
        corners: corners
            .iter()
            .map(|Corner { at, waiting }| (at.as_secs_f64(), waiting.0))
            .collect(),
        kind: MARK,
    }
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

/// Whole above a hundred, three digits below.
fn round(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests;
