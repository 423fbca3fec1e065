//! A bar with the time left on a terminal, plain lines elsewhere.

use crate::plan::Planned;
use crate::results::{State, Trial};
use crate::suite::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use std::time::Duration;

/// Tells a person how far a run is.
pub(super) struct Teller {
    /// Counts milliseconds of expected time, so that long and short trials weigh what they take.
    bar: Option<ProgressBar>,
    quiet: bool,
    trials: Cell<usize>,
    done: Cell<usize>,
}

impl Teller {
    pub(super) fn new(quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(1);
            // The template is a constant.
            bar.set_style(
                ProgressStyle::with_template("{bar:30} {percent:>3} %  {eta} left  {msg}")
                    .expect("a valid template"),
            );
            bar
        });
        Self {
            bar,
            quiet,
            trials: Cell::new(0),
            done: Cell::new(0),
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None if !self.quiet => eprintln!("{text}"),
            None => {}
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Teller {
    fn note(&self, text: &str) {
        self.line(text);
    }

    fn planned(&self, trials: usize, expected: Duration) {
        self.trials.set(trials);
        if let Some(bar) = &self.bar {
            bar.set_length(expected.as_millis() as u64);
            bar.reset_eta();
        }
        self.line(&format!("{trials} trials, about {} s", expected.as_secs()));
    }

    fn kept(&self, expected: Duration) {
        self.done.set(self.done.get() + 1);
        if let Some(bar) = &self.bar {
            bar.inc(expected.as_millis() as u64);
        }
    }

    fn again(&self, trials: usize, expected: Duration) {
        self.trials.set(self.trials.get() + trials);
        if let Some(bar) = &self.bar {
            bar.inc_length(expected.as_millis() as u64);
        }
        self.line(&format!(
            "something else used this machine: {trials} trials are run again, about {} s",
            expected.as_secs()
        ));
    }

    fn begins(&self, planned: &Planned, attempt: u32) {
        if let Some(bar) = &self.bar {
            let again = if attempt > 0 { " again" } else { "" };
            bar.set_message(format!(
                "block {}{again}: {} {}",
                planned.block + 1,
                planned.experiment,
                planned.cell.id()
            ));
        }
    }

    fn ended(&self, trial: &Trial, expected: Duration) {
        self.done.set(self.done.get() + 1);
        if let Some(bar) = &self.bar {
            bar.inc(expected.as_millis() as u64);
        } else {
            self.line(&format!(
                "[{}/{}] block {} {} {}: {:.0}/s, {}",
                self.done.get(),
                self.trials.get(),
                trial.block + 1,
                trial.experiment,
                trial.cell.id,
                trial.throughput_per_s,
                trial.validity.state
            ));
        }
        if trial.validity.state == State::Invalid {
            self.line(&format!(
                "INVALID {}: {}",
                trial.cell.id,
                trial.validity.reasons.join("; ")
            ));
        }
    }
}
