//! What can block a producer that waits for its broker alone: a consumer that is stopped, a queue that is full, a broker in
//! memory alarm, a client's own buffer that is full while the broker stands still?

use super::phases::Lengths;
use super::{Experiment, Group, Suite};
use crate::cell::Cell;
use crate::claims::blocked::{self, BLOCKED};
use crate::fault::{Action, Target};
use crate::load::{Arrival, Mode, Stop};
use bench_proto::Durability;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: blocked::EXPERIMENT,
    question: "The consumer is stopped, the queue is full, the broker's memory is short, the client's buffer is full: what does \
               the producer feel of each?",
    claims: &["producer-free"],
    groups,
    // What it shows are thousands of orders: three blocks tell. It is no part of the quick suite.
    blocks: |suite| match suite {
        Suite::Quick => 0,
        Suite::Wide => 10,
        _ => 3,
    },
    analysis: blocked::tables,
};

/// Far below what either broker confirms; a p99 takes the 1,000 orders of two seconds.
const RATE: f64 = 500.0;
/// Messages in the queue, or records in the client's buffer, where there is a limit: a tenth of a second's.
const ROOM: u32 = 50;
/// What a stopped consumer has taken and not acknowledged stands in no queue.
const PREFETCH: u16 = 8;
/// From the instant at which an alarm is planned to that from which on it is looked at: by then whoever raises it has done
/// so, and the CPU that it took is past.
const RAISED: Duration = Duration::from_secs(1);

fn groups(suite: Suite) -> Vec<Group> {
    let ms = Duration::from_millis;
    let (before, blocked) = match suite {
        // Named by itself, for a look.
        Suite::Quick => (ms(300), ms(500)),
        // Under Kafka's sessions, of its consumers (6 s) and of its brokers (3 s).
        _ => (ms(2_000), ms(2_000)),
    };
    let paused = [Action::Pause, Action::Resume];
    let plain = |transport, target| {
        let times = [before, Duration::ZERO, blocked];
        cell(transport, target, paused.clone(), times)
    };
    let full_queue = Cell {
        queue_limit: Some(ROOM),
        ..plain(Transport::Queue, Target::the_service())
    };
    // Some of those that wait are given up before the broker goes on, and some are not.
    let timeout = blocked / 2;
    let alarmed = [Action::Alarm, Action::Clear];
    let rabbitmq = Target::Broker(Transport::Queue);
    let memory_alarm = Cell {
        timeout,
        ..cell(
            Transport::Queue,
            rabbitmq,
            alarmed,
            [before, RAISED, blocked],
        )
    };
    let full_buffer = Cell {
        client_buffer: Some(ROOM),
        timeout,
        ..plain(Transport::Stream, Target::Broker(Transport::Stream))
    };
    vec![vec![
        plain(Transport::Queue, Target::the_service()),
        full_queue,
        memory_alarm,
        plain(Transport::Stream, Target::the_service()),
        full_buffer,
    ]]
}

/// Something begins to stand in the way after a while, is looked at after another, and ends after a third.
fn cell(
    transport: Transport,
    target: Target,
    actions: [Action; 2],
    [before, settles, blocked]: [Duration; 3],
) -> Cell {
    let lengths = Lengths {
        before,
        during: settles + blocked,
        after: Duration::from_secs(1),
    };
    let mut phases = lengths.spans(BLOCKED);
    phases[1].start += settles;
    Cell {
        mode: Mode::Open(Arrival::constant(RATE)),
        durability: Durability::Process,
        stop: Stop::after(lengths.over()),
        warmup: Duration::from_millis(300),
        grace: Duration::from_secs(15),
        prefetch: PREFETCH,
        faults: lengths.pair(actions, target),
        phases,
        ..Cell::new(transport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_cell_can_run_and_something_stands_still_in_the_phase_of_that_name() {
        for suite in [Suite::Quick, Suite::Faults, Suite::Wide] {
            let cells: Vec<Cell> = groups(suite).into_iter().flatten().collect();
            let names: BTreeSet<String> = cells.iter().map(Cell::id).collect();
            assert_eq!(names.len(), 5);
            for cell in cells {
                assert_eq!(cell.check_schedule(), Ok(()), "{}", cell.id());
                let blocked = &cell.phases[1];
                assert_eq!(blocked.name, BLOCKED);
                let at: Vec<Duration> = cell.faults.iter().map(|fault| fault.after).collect();
                assert_eq!(at, [cell.phases[0].end, blocked.end]);
                // An alarm is given its time; a process is stopped at once.
                let settles = match cell.faults[0].action {
                    Action::Alarm => RAISED,
                    _ => Duration::ZERO,
                };
                assert_eq!(blocked.start, at[0] + settles);
                if cell.faults[0].action == Action::Alarm {
                    assert!(cell.timeout < blocked.end - blocked.start);
                    assert!(cell.stop.time.unwrap() <= Duration::from_secs(8));
                }
                // What has a limit reaches it: more arrives than there is room for, here and with the consumer.
                let arrives = RATE * (blocked.end - blocked.start).as_secs_f64();
                assert!(arrives > 2.0 * f64::from(ROOM + u32::from(PREFETCH)));
            }
        }
    }
}
