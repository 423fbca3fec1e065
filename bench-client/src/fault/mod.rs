//! A fault as data: what is done, to which service or broker, and when. A trial has a schedule of them. Pure: it signals
//! nothing (that is the services' business), knows no load, and judges nothing.

mod seen;

pub use seen::{MOST_SEEN, Seen, TIMEOUT, by_error};

use crate::cell::Cell;
use crate::{results, units};
use bench_proto::slowness::Slowness;
use bench_transport::Transport;
use std::collections::BTreeMap;
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
    fn name(&self) -> &'static str {
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

/// What a service or broker of a schedule is at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// It joins later.
    NotYet,
    Killed,
    Paused,
    Alarmed,
}

/// Refuses a schedule that its cell cannot go through: names that are not there, a start without a kill, a fault after
/// the window, a service that joins later and never does.
///
/// # Errors
/// A sentence that names the fault, what was expected, and what to do.
pub fn check(cell: &Cell) -> Result<(), String> {
    let services: Vec<&str> = match &cell.topology {
        Some(topology) => topology.services.iter().map(|s| s.name.as_str()).collect(),
        None => vec![SERVICE],
    };
    let mut schedule: Vec<&Fault> = cell.faults.iter().collect();
    // Stable: at one instant they come as they were written.
    schedule.sort_by_key(|fault| fault.after);
    let mut states: BTreeMap<&Target, State> = BTreeMap::new();
    for fault in schedule {
        if let Some(window) = cell.stop.time
            && fault.after >= window
        {
            return Err(format!(
                "expected a fault within the window of {window:?}, got '{fault}'; let it come earlier, or the window last longer"
            ));
        }
        match &fault.target {
            Target::Service(name) if !services.contains(&name.as_str()) => {
                return Err(format!(
                    "'{fault}' names '{name}', which is no service of this trial; expected {}, rabbitmq or kafka",
                    services.join(", ")
                ));
            }
            Target::Service(_) if matches!(fault.action, Action::Alarm | Action::Clear) => {
                return Err(format!(
                    "'{fault}' cannot be done to a service: a memory alarm is RabbitMQ's; expected 'at {:?} {} rabbitmq'",
                    fault.after,
                    fault.action.name()
                ));
            }
            Target::Service(name) if fault.action == Action::Kill && cell.joins_later(name) => {
                return Err(format!(
                    "'{fault}' is about a service that joins later, whose account begins once; kill one that is there from the start"
                ));
            }
            Target::Service(_) => {}
            Target::Broker(transport) => {
                if !cell.transports().contains(transport) {
                    return Err(format!(
                        "'{fault}' is about a broker that no order of this trial goes over; leave it out"
                    ));
                }
                let can_be = match fault.action {
                    Action::Pause | Action::Resume => true,
                    Action::Alarm | Action::Clear => *transport == Transport::Queue,
                    Action::Kill | Action::Start | Action::Slow(_) => false,
                };
                if !can_be {
                    return Err(format!(
                        "'{fault}' cannot be done to that broker: brokers can be paused and resumed, and rabbitmq can be put \
                         in alarm and cleared; expected 'at {:?} pause {}'",
                        fault.after, fault.target
                    ));
                }
            }
        }
        let first = match &fault.target {
            Target::Service(name) if cell.joins_later(name) => State::NotYet,
            _ => State::Running,
        };
        let state = states.entry(&fault.target).or_insert(first);
        *state = match (*state, &fault.action) {
            (State::Running, Action::Kill) | (State::Paused, Action::Kill) => State::Killed,
            (State::Running, Action::Pause) => State::Paused,
            (State::Running, Action::Alarm) => State::Alarmed,
            (State::Paused, Action::Resume)
            | (State::Killed | State::NotYet, Action::Start)
            | (State::Alarmed, Action::Clear)
            | (State::Running, Action::Slow(_)) => State::Running,
            (state, _) => {
                let is = match state {
                    State::Running => "runs",
                    State::NotYet => "has not joined",
                    State::Killed => "was killed",
                    State::Paused => "is paused",
                    State::Alarmed => "is in alarm",
                };
                return Err(format!(
                    "'{fault}' would find that '{}' {is}; a kill is followed by a start, a pause by a resume, an alarm by a clear",
                    fault.target
                ));
            }
        };
    }
    let missing = services.into_iter().find(|name| {
        let joins = |fault: &Fault| {
            cell.is_join(fault) && matches!(&fault.target, Target::Service(of) if of == name)
        };
        cell.joins_later(name) && !cell.faults.iter().any(joins)
    });
    match missing {
        Some(name) => Err(format!(
            "'{name}' joins later, and nothing says when; expected a start in the window, such as 'at 2s start {name}'"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Stop;

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

    fn cell(faults: &[&str]) -> Cell {
        Cell {
            stop: Stop::after(Duration::from_secs(30)),
            faults: faults.iter().map(|text| fault(text)).collect(),
            topology: Some(crate::topology::tests::checkout()),
            ..Cell::new(Transport::Rest)
        }
    }

    #[test]
    fn a_schedule_is_gone_through_in_the_order_of_its_times() {
        let whole = [
            "at 20s start payment",
            "at 10s kill payment",
            "at 10s pause rabbitmq",
            "at 12s resume rabbitmq",
            "at 5s slow email 200ms",
            "at 15s slow email 5ms",
        ];
        assert_eq!(check(&cell(&whole)), Ok(()));
        assert!(kills(&cell(&whole).faults, "payment"));
        assert!(!kills(&cell(&whole).faults, "email"));
        // What is paused at the window's end goes on by itself, and an alarm is over.
        assert_eq!(check(&cell(&["at 5s pause kafka"])), Ok(()));
        assert_eq!(check(&cell(&["at 5s alarm rabbitmq"])), Ok(()));
        let one_after_the_other = [
            "at 5s alarm rabbitmq",
            "at 6s clear rabbitmq",
            "at 7s pause rabbitmq",
        ];
        assert_eq!(check(&cell(&one_after_the_other)), Ok(()));
    }

    #[test]
    fn a_schedule_that_cannot_be_gone_through_is_refused_with_a_sentence() {
        for (faults, words) in [
            (vec!["at 30s kill payment"], "within the window of 30s"),
            (
                vec!["at 5s kill service"],
                "expected checkout, payment, ledger, email",
            ),
            (vec!["at 5s start payment"], "'payment' runs"),
            (vec!["at 5s resume email"], "'email' runs"),
            (vec!["at 5s kill email", "at 6s kill email"], "was killed"),
            (
                vec!["at 5s kill email", "at 6s slow email 1ms"],
                "was killed",
            ),
            (
                vec!["at 5s pause email", "at 6s slow email 1ms"],
                "is paused",
            ),
            (vec!["at 5s kill kafka"], "paused and resumed"),
            (vec!["at 5s alarm kafka"], "rabbitmq can be put in alarm"),
            (vec!["at 5s alarm email"], "a memory alarm is RabbitMQ's"),
            (vec!["at 5s clear rabbitmq"], "'rabbitmq' runs"),
            (
                vec!["at 5s alarm rabbitmq", "at 6s pause rabbitmq"],
                "is in alarm",
            ),
            (
                vec!["at 5s pause rabbitmq", "at 6s alarm rabbitmq"],
                "is paused",
            ),
        ] {
            let error = check(&cell(&faults)).unwrap_err();
            assert!(error.contains(words), "{faults:?}: {error}");
        }
        let joining = |faults: &[&str]| {
            let mut cell = cell(faults);
            cell.topology.as_mut().unwrap().services[3].joins_later = true;
            cell
        };
        let once = joining(&["at 5s start email", "at 6s slow email 1ms"]);
        assert_eq!(check(&once), Ok(()));
        assert!(once.is_join(&once.faults[0]) && !once.is_join(&once.faults[1]));
        assert!(!cell(&[]).is_join(&once.faults[0]), "it runs already");
        for (faults, words) in [
            (vec![], "such as 'at 2s start email'"),
            (
                vec!["at 5s start email", "at 6s start email"],
                "'email' runs",
            ),
            (vec!["at 5s slow email 1ms"], "'email' has not joined"),
            (
                vec!["at 5s start email", "at 6s kill email"],
                "account begins once",
            ),
        ] {
            let error = check(&joining(&faults)).unwrap_err();
            assert!(error.contains(words), "{faults:?}: {error}");
        }
        let alone = Cell {
            topology: None,
            ..cell(&["at 5s pause kafka"])
        };
        let error = check(&alone).unwrap_err();
        assert!(error.contains("no order of this trial"), "{error}");
    }
}
