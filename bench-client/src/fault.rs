//! A fault on a schedule: what is done to which process, and when. It signals only processes that this run started; it
//! knows no load and no transport, and judges nothing.

use crate::{results, units};
use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What is done, to what, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Offset from the window's start.
    pub after: Duration,
    /// What.
    pub action: Action,
    /// To what.
    pub target: Target,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL: it ends where it stands and says goodbye to nobody.
    Kill,
}

/// To what it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The service that the trial started.
    Service,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
        }
    }
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (action, target) = (self.action.name(), self.target.name());
        write!(f, "at {:?} {action} {target}", self.after)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let ["at", after, "kill", "service"] = words[..] else {
            return Err(format!(
                "'{text}' is no fault; expected one such as 'at 2s kill service'"
            ));
        };
        Ok(Self {
            after: units::parse_duration(after)?,
            action: Action::Kill,
            target: Target::Service,
        })
    }
}

impl Fault {
    /// Whether the service is gone afterwards, and with it its ledger and its control port.
    pub fn ends_service(self) -> bool {
        (self.action, self.target) == (Action::Kill, Target::Service)
    }

    /// Waits for its time and does it to the process; when it was done, CLOCK_MONOTONIC ns.
    ///
    /// # Errors
    /// The process is not there any more, or not ours.
    pub async fn inject(self, pid: u32, start_ns: u64) -> anyhow::Result<u64> {
        let at_ns = bench_host::clock::after(start_ns, self.after);
        let left = at_ns.saturating_sub(bench_host::clock::now_ns());
        tokio::time::sleep(Duration::from_nanos(left)).await;
        let signal = match self.action {
            Action::Kill => Signal::SIGKILL,
        };
        let pid = Pid::from_raw(i32::try_from(pid).context("a process id fits into an i32")?);
        let now_ns = bench_host::clock::now_ns();
        kill(pid, signal).with_context(|| {
            format!("'{self}' could not be done: process {pid} ended before, by itself")
        })?;
        Ok(now_ns)
    }

    /// As results keep it.
    pub fn injected(self, start_ns: u64, actual_ns: u64) -> results::Fault {
        results::Fault {
            what: self.to_string(),
            planned_s: self.after.as_secs_f64(),
            actual_s: actual_ns.saturating_sub(start_ns) as f64 / 1e9,
        }
    }
}

/// A call that ended in an error or at its deadline, as its caller saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The error's name.
    pub name: String,
    /// When the call was planned, CLOCK_MONOTONIC ns.
    pub planned_ns: u64,
    /// When the error was seen.
    pub seen_ns: u64,
}

/// What a call that waited for its deadline in vain has seen.
pub const TIMEOUT: &str = "timeout";

/// So many errors of a generator are kept one by one: faults are studied at rates far below. The rest is only counted.
pub const MOST_SEEN: usize = 200_000;

/// What the callers saw of a fault, by error and by whether the call was in flight then or came after. Errors from
/// before the fault are none of its doing and left out.
pub fn by_error(seen: &[Seen], fault_ns: u64) -> Vec<results::SeenError> {
    let mut groups: std::collections::BTreeMap<(bool, &str), Vec<&Seen>> = Default::default();
    for one in seen.iter().filter(|one| one.seen_ns >= fault_ns) {
        let later = one.planned_ns > fault_ns;
        groups.entry((later, &one.name)).or_default().push(one);
    }
    let row = |((later, name), group): ((bool, &str), Vec<&Seen>)| {
        let seconds = |from: fn(&Seen, u64) -> u64| -> Vec<f64> {
            let mut all: Vec<u64> = group
                .iter()
                .map(|one| one.seen_ns.saturating_sub(from(one, fault_ns)))
                .collect();
            all.sort_unstable();
            all.into_iter().map(|ns| ns as f64 / 1e9).collect()
        };
        let since_fault = seconds(|_, fault| fault);
        let waited = seconds(|one, _| one.planned_ns);
        let middle = group.len() / 2;
        results::SeenError {
            error: name.into(),
            calls: if later {
                results::When::After
            } else {
                results::When::InFlight
            },
            count: group.len() as u64,
            first_s: since_fault[0],
            median_s: since_fault[middle],
            last_s: since_fault[group.len() - 1],
            waited_median_s: waited[middle],
            waited_most_s: waited[group.len() - 1],
        }
    };
    groups.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::When;

    #[test]
    fn a_fault_is_read_as_it_is_written() {
        let fault: Fault = "at 1.5s kill service".parse().unwrap();
        assert_eq!(fault.after, Duration::from_millis(1_500));
        assert_eq!(fault.to_string().parse(), Ok(fault));
        for text in ["", "kill service", "at 5 kill service", "at 5s kill broker"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }

    #[test]
    fn errors_are_told_apart_by_name_and_by_when_their_call_began() {
        let seen = |name: &str, planned_ns, seen_ns| Seen {
            name: name.into(),
            planned_ns,
            seen_ns,
        };
        let s = 1_000_000_000;
        let rows = by_error(
            &[
                seen("closed", 9 * s, 11 * s),
                seen("closed", 8 * s, 10 * s),
                seen("closed", 9 * s, 14 * s),
                seen("connect", 11 * s, 12 * s),
                seen("odd", s, 2 * s),
            ],
            10 * s,
        );
        assert_eq!(
            rows.len(),
            2,
            "what came before the fault is left out: {rows:?}"
        );
        let closed = &rows[0];
        assert_eq!(
            (closed.error.as_str(), closed.calls, closed.count),
            ("closed", When::InFlight, 3)
        );
        assert_eq!(
            (closed.first_s, closed.median_s, closed.last_s),
            (0.0, 1.0, 4.0)
        );
        assert_eq!((closed.waited_median_s, closed.waited_most_s), (2.0, 5.0));
        assert_eq!(
            (rows[1].error.as_str(), rows[1].calls),
            ("connect", When::After)
        );
    }

    #[tokio::test]
    async fn a_killed_process_ended_by_that_signal_and_not_before_its_time() {
        use std::os::unix::process::ExitStatusExt;
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let start_ns = bench_host::clock::now_ns();
        let fault: Fault = "at 5ms kill service".parse().unwrap();
        let done_ns = fault.inject(child.id(), start_ns).await.unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert!(done_ns >= start_ns + 5_000_000);
        let kept = fault.injected(start_ns, done_ns);
        assert!(kept.actual_s >= kept.planned_s, "{kept:?}");
        let error = fault.inject(child.id(), start_ns).await.unwrap_err();
        assert!(error.to_string().contains("could not be done"), "{error}");
    }
}
