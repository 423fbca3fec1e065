//! The lines of a projection: each figure with its formula and what it rests on.

use super::{Amount, Ask, Event, Figure, MARK, Rests};
use crate::theory::{
    self, Orders, PerSecond, Share, backlog, drain, in_flight, oldest, workers_needed,
};

/// What most lines rest on.
const INPUTS: &str = "your numbers";
/// While nothing happens.
pub(super) const WELL: &str = "all is well";

/// The lines, in the order of the report.
pub(super) struct Lines(pub(super) Vec<Figure>);

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
    pub(super) fn well(&mut self, ask: &Ask) {
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
    pub(super) fn event(&mut self, ask: &Ask, name: &str, event: Event) {
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
    pub(super) fn costs(&mut self, ask: &Ask, measured: &[Rests], without: &str) {
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
    pub(super) fn storage(
        &mut self,
        ask: &Ask,
        name: &str,
        event: Event,
        measured: &[Rests],
        without: &str,
    ) {
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

/// Whole above a hundred, three digits below.
fn round(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}
