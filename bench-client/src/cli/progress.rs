//! A bar with the time left on a terminal, plain lines elsewhere.

use crate::plan::Planned;
use crate::results::{State, Store, Trial};
use crate::suite::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The run under way, for what is said when it ends before its time.
static UNDER_WAY: Mutex<Option<UnderWay>> = Mutex::new(None);

#[derive(Debug)]
struct UnderWay {
    dir: PathBuf,
    /// Trials; none before the plan is fixed.
    planned: usize,
}

fn under_way(change: impl FnOnce(&mut Option<UnderWay>)) {
    change(&mut UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner));
}

/// What is kept of a run that ends before its time, counted on the disk, and how to have the rest.
pub(super) fn unfinished() -> String {
    let run = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(UnderWay { dir, planned }) = &*run else {
        return "what was finished is kept".to_owned();
    };
    match Store::open(dir) {
        Ok(store) if *planned > 0 => format!(
            "{} of {planned} trials are kept in {dir}, and `bench-client run --resume {dir}` runs the rest",
            store.run().trials.len(),
            dir = dir.display()
        ),
        _ => "nothing was measured".to_owned(),
    }
}

fn plan_more(trials: usize) {
    under_way(|run| {
        if let Some(run) = run {
            run.planned += trials;
        }
    });
}

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

    /// Of a run whose results go into this folder.
    pub(super) fn of_run(quiet: bool, dir: &Path) -> Self {
        under_way(|run| {
            *run = Some(UnderWay {
                dir: dir.to_owned(),
                planned: 0,
            });
        });
        Self::new(quiet)
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
        plan_more(trials);
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
        plan_more(trials);
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
