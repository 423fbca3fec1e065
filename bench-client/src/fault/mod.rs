//! A fault as data: what is done, to which service or broker, and when. A trial has a schedule of them. Pure: it signals
//! nothing (that is the services' business), knows no load, and judges nothing.

mod seen;

pub use seen::{MOST_SEEN, Seen, TIMEOUT, by_error};

use crate::{results, units};
use bench_proto::slowness::Slowness;
use bench_transport::Transport;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What is done, to what, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Offset from the window's start.
    pub after: Duration,
    /// What.
    pub action: Action,
    /// To what.
    pub target: Target,
}

/// What is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// SIGKILL: it ends where it stands and says goodbye to nobody.
    Kill,
    /// It is started again after a kill, on the same address and journal; or for the first time, where it joins later.
    Start,
    /// Its handler is as slow as this from now on.
    Slow(Slowness),
    /// SIGSTOP: it keeps its connections and answers nothing.
    Pause,
    /// SIGCONT.
    Resume,
    /// RabbitMQ's memory alarm: it takes no more from whoever publishes.
    Alarm,
    /// The alarm is over.
    Clear,
}

/// To what it is done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A service that the trial started, by its name; the only one is called [`SERVICE`].
    Service(String),
    /// The broker of a transport.
    Broker(Transport),
}

/// What the service of a trial without a topology is called.
pub const SERVICE: &str = "service";

/// Names of the brokers, as the stack calls them.
const BROKERS: [(&str, Transport); 2] =
    [("rabbitmq", Transport::Queue), ("kafka", Transport::Stream)];

/// What faults look like, for those who wrote something else.
const EXAMPLES: &str = "'at 2s kill service', 'at 10s slow inventory 200ms', 'at 10s pause kafka' or 'at 10s alarm rabbitmq'";

impl Action {
    /// As it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Start => "start",
            Self::Slow(_) => "slow",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Alarm => "alarm",
            Self::Clear => "clear",
        }
    }
}

impl Target {
    /// The service that the trial started, where it is the only one.
    pub fn the_service() -> Self {
        Self::Service(SERVICE.into())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => f.write_str(name),
            Self::Broker(transport) => {
                let name = BROKERS.iter().find(|(_, of)| of == transport);
                f.write_str(name.map_or("no broker", |(name, _)| name))
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (action, target) = (self.action.name(), &self.target);
        write!(f, "at {:?} {action} {target}", self.after)?;
        match &self.action {
            Action::Slow(slowness) => write!(f, " {slowness}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let none = || format!("'{text}' is no fault; expected one such as {EXAMPLES}");
        let words: Vec<&str> = text.split_whitespace().collect();
        let ["at", after, action, target, ref rest @ ..] = words[..] else {
            return Err(none());
        };
        let action = match (action, rest) {
            ("kill", []) => Action::Kill,
            ("start", []) => Action::Start,
            ("pause", []) => Action::Pause,
            ("resume", []) => Action::Resume,
            ("alarm", []) => Action::Alarm,
            ("clear", []) => Action::Clear,
            ("slow", [_, ..]) => Action::Slow(rest.join(" ").parse()?),
            ("slow", []) => {
                return Err(format!(
                    "'{text}' does not say how slow; expected a slowness behind the name, such as 'at 10s slow inventory 200ms'"
                ));
            }
            _ => return Err(none()),
        };
        let broker = BROKERS.iter().find(|(name, _)| *name == target);
        Ok(Self {
            after: units::parse_duration(after)?,
            action,
            target: match broker {
                Some((_, transport)) => Target::Broker(*transport),
                None => Target::Service(target.into()),
            },
        })
    }
}

impl Fault {
    /// As results keep it.
    pub fn injected(&self, start_ns: u64, actual_ns: u64) -> results::Fault {
        results::Fault {
            what: self.to_string(),
            planned_s: self.after.as_secs_f64(),
            actual_s: actual_ns.saturating_sub(start_ns) as f64 / 1e9,
        }
    }
}

/// Whether a service is killed in the course of a schedule, and with it its part of the ledger.
pub fn kills(schedule: &[Fault], service: &str) -> bool {
    schedule.iter().any(|fault| {
        fault.action == Action::Kill
            && matches!(&fault.target, Target::Service(name) if name == service)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        text.parse().expect("the test's own fault is one")
    }

    #[test]
    fn a_fault_is_read_as_it_is_written() {
        for text in [
            "at 1.5s kill service",
            "at 20s start inventory",
            "at 10s slow inventory 200ms",
            "at 10s slow inventory 5ms:90,200ms:10 fail=1%",
            "at 10s pause rabbitmq",
            "at 12s resume kafka",
            "at 10s alarm rabbitmq",
            "at 12s clear rabbitmq",
        ] {
            assert_eq!(fault(text).to_string(), text);
            assert_eq!(fault(text).to_string().parse(), Ok(fault(text)));
        }
        assert_eq!(
            fault("at 1.5s kill service").after,
            Duration::from_millis(1_500)
        );
        assert_eq!(
            fault("at 1s pause kafka").target,
            Target::Broker(Transport::Stream)
        );
        assert_eq!(fault("at 1s kill service").target, Target::the_service());
        for (text, words) in [
            ("", "no fault"),
            ("kill service", "no fault"),
            ("at 5 kill service", "no unit"),
            ("at 5s kill", "no fault"),
            ("at 5s kill inventory now", "no fault"),
            ("at 5s drown inventory", "no fault"),
            ("at 5s alarm rabbitmq now", "no fault"),
            ("at 5s slow inventory", "how slow"),
            ("at 5s slow inventory soon", "soon"),
        ] {
            let error = text.parse::<Fault>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
