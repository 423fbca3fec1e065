//! Whether a cell can go through its schedule of faults.

use super::Cell;
use crate::fault::{Action, Fault, SERVICE, Target};
use bench_transport::Transport;
use std::collections::BTreeMap;

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

impl Cell {
    /// Refuses a schedule that the cell cannot go through: names that are not there, a start without a kill, a fault after
    /// the window, a service that joins later and never does.
    ///
    /// # Errors
    /// A sentence that names the fault, what was expected, and what to do.
    pub fn check_schedule(&self) -> Result<(), String> {
        let services: Vec<&str> = match &self.topology {
            Some(topology) => topology.services.iter().map(|s| s.name.as_str()).collect(),
            None => vec![SERVICE],
        };
        let mut schedule: Vec<&Fault> = self.faults.iter().collect();
        // Stable: at one instant they come as they were written.
        schedule.sort_by_key(|fault| fault.after);
        let mut states: BTreeMap<&Target, State> = BTreeMap::new();
        for fault in schedule {
            if let Some(window) = self.stop.time
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
                Target::Service(name) if fault.action == Action::Kill && self.joins_later(name) => {
                    return Err(format!(
                        "'{fault}' is about a service that joins later, whose account begins once; kill one that is there from the start"
                    ));
                }
                Target::Service(_) => {}
                Target::Broker(transport) => {
                    if !self.transports().contains(transport) {
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
                Target::Service(name) if self.joins_later(name) => State::NotYet,
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
                self.is_join(fault) && matches!(&fault.target, Target::Service(of) if of == name)
            };
            self.joins_later(name) && !self.faults.iter().any(joins)
        });
        match missing {
            Some(name) => Err(format!(
                "'{name}' joins later, and nothing says when; expected a start in the window, such as 'at 2s start {name}'"
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::kills;
    use crate::load::Stop;
    use std::time::Duration;

    fn cell(faults: &[&str]) -> Cell {
        Cell {
            stop: Stop::after(Duration::from_secs(30)),
            faults: faults.iter().map(|text| text.parse().unwrap()).collect(),
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
        assert_eq!(cell(&whole).check_schedule(), Ok(()));
        assert!(kills(&cell(&whole).faults, "payment"));
        assert!(!kills(&cell(&whole).faults, "email"));
        // What is paused at the window's end goes on by itself, and an alarm is over.
        assert_eq!(cell(&["at 5s pause kafka"]).check_schedule(), Ok(()));
        assert_eq!(cell(&["at 5s alarm rabbitmq"]).check_schedule(), Ok(()));
        let one_after_the_other = [
            "at 5s alarm rabbitmq",
            "at 6s clear rabbitmq",
            "at 7s pause rabbitmq",
        ];
        assert_eq!(cell(&one_after_the_other).check_schedule(), Ok(()));
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
            let error = cell(&faults).check_schedule().unwrap_err();
            assert!(error.contains(words), "{faults:?}: {error}");
        }
        let joining = |faults: &[&str]| {
            let mut cell = cell(faults);
            cell.topology.as_mut().unwrap().services[3].joins_later = true;
            cell
        };
        let once = joining(&["at 5s start email", "at 6s slow email 1ms"]);
        assert_eq!(once.check_schedule(), Ok(()));
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
            let error = joining(&faults).check_schedule().unwrap_err();
            assert!(error.contains(words), "{faults:?}: {error}");
        }
        let alone = Cell {
            topology: None,
            ..cell(&["at 5s pause kafka"])
        };
        let error = alone.check_schedule().unwrap_err();
        assert!(error.contains("no order of this trial"), "{error}");
    }
}
