//! The service is stopped for a while under load: how fast do 1, 2, 4 and 8 consumers drain what has waited, and does the
//! producer feel how many there are? Eight consumers on two partitions of Kafka are the counter-example.

use super::phases::Lengths;
use super::{Experiment, Group, Suite};
use crate::cell::Cell;
use crate::claims::consumers::{self, AWAY, MOST};
use crate::fault::{Action, Target};
use crate::load::{Arrival, Mode, Stop};
use crate::theory::{Orders, PerSecond, capacity, drain};
use bench_proto::Durability;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: consumers::EXPERIMENT,
    question: "The service is stopped for a second and comes back: how fast do 1, 2, 4 and 8 consumers drain what has waited?",
    claims: &["consumer-scale"],
    groups,
    // Eight consumers are eight times as fast, or they are not: three blocks tell. It is no part of the quick suite.
    blocks: |suite| match suite {
        Suite::Quick => 0,
        Suite::Wide => 10,
        _ => 3,
    },
    analysis: consumers::tables,
};

/// Orders per second before and after: a fifth of what one consumer does.
const RATE: u64 = 20;
/// And while the service is away.
const BUSY_RATE: u64 = 300;
/// What a consumer takes over an order. Eight do 800/s, at about 0.5 ms of CPU of service and broker each (`ladder` at
/// 2,000/s, publishing included): 0.4 of the one core that the two share, a margin of 2.5.
const WORK: Duration = Duration::from_millis(10);
/// Partitions where they are the bottleneck.
const FEW: i32 = 2;
/// The service is stopped between two orders: one in work would count its stop as work.
const BETWEEN: Duration = Duration::from_millis(25);

/// How long it is away, and with how many consumers.
struct Size {
    before: Duration,
    away: Duration,
    counts: &'static [u16],
}

impl Size {
    fn of(suite: Suite) -> Self {
        match suite {
            // Named by itself, for a look.
            Suite::Quick => Self {
                before: Duration::from_millis(500),
                away: Duration::from_millis(500),
                counts: &[1, MOST],
            },
            // Well under Kafka's session of 6 s: the consumers keep their partitions.
            _ => Self {
                before: Duration::from_millis(500),
                away: Duration::from_secs(1),
                counts: &[1, 2, 4, MOST],
            },
        }
    }
}

fn groups(suite: Suite) -> Vec<Group> {
    let size = Size::of(suite);
    let each = |transport| -> Group {
        let counts = size.counts.iter();
        counts
            .map(|count| cell(transport, *count, MOST.into(), &size))
            .collect()
    };
    let mut stream = each(Transport::Stream);
    stream.push(cell(Transport::Stream, MOST, FEW, &size));
    vec![each(Transport::Queue), stream]
}

fn cell(transport: Transport, consumers: u16, partitions: i32, size: &Size) -> Cell {
    let lengths = Lengths {
        before: size.before,
        during: size.away,
        after: after(consumers, partitions, size),
    };
    let mut faults = lengths.pair([Action::Pause, Action::Resume], Target::the_service());
    faults[0].after -= BETWEEN;
    let rate = format!(
        "{RATE}:{}ms,{BUSY_RATE}:{}ms,{RATE}",
        size.before.as_millis(),
        size.away.as_millis()
    );
    Cell {
        mode: Mode::Open(Arrival::even(
            rate.parse().expect("the experiment's own rate parses"),
        )),
        durability: Durability::Process,
        stop: Stop::after(lengths.over()),
        warmup: Duration::from_millis(200),
        grace: Duration::from_secs(15),
        slow: Some(
            format!("{}ms", WORK.as_millis())
                .parse()
                .expect("the experiment's own slowness parses"),
        ),
        // One at a time: so many consumers are so many workers.
        prefetch: 1,
        consumers,
        partitions,
        faults,
        phases: lengths.spans(AWAY),
        ..Cell::new(transport)
    }
}

/// Time for the drain: a third more than the formula says, and what is left for those that it does not know.
fn after(consumers: u16, partitions: i32, size: &Size) -> Duration {
    let busy = u64::from(consumers).min(partitions.unsigned_abs().into());
    let waiting = Orders(BUSY_RATE as f64 * size.away.as_secs_f64());
    let drained = drain(waiting, PerSecond(RATE as f64), capacity(busy, WORK));
    let time = drained.expect("one consumer does more than arrives");
    let ms = (time.mul_f64(1.34) + Duration::from_millis(900)).as_millis() as u64;
    // The series has bins of 100 ms: the window ends with one.
    Duration::from_millis(ms.div_ceil(100) * 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_cell_can_run_and_the_service_is_away_in_the_phase_of_that_name() {
        for suite in [Suite::Quick, Suite::Faults, Suite::Wide] {
            let cells: Vec<Cell> = groups(suite).into_iter().flatten().collect();
            let names: BTreeSet<String> = cells.iter().map(Cell::id).collect();
            assert_eq!(names.len(), cells.len());
            for cell in cells {
                assert_eq!(cell.check_schedule(), Ok(()), "{}", cell.id());
                let away = &cell.phases[1];
                assert_eq!(away.name, AWAY);
                let at: Vec<Duration> = cell.faults.iter().map(|fault| fault.after).collect();
                assert_eq!(at, [away.start - BETWEEN, away.end]);
            }
        }
    }

    #[test]
    fn the_service_is_stopped_while_it_has_no_order() {
        let groups = groups(Suite::Faults);
        let cell = &groups[0][0];
        let Mode::Open(arrival) = &cell.mode else {
            panic!("an open loop")
        };
        let stopped = cell.faults[0].after.as_nanos() as u64;
        let near = |due: &u64| due.abs_diff(stopped) < 2 * WORK.as_nanos() as u64;
        assert!(!arrival.offsets().take(100).any(|due| near(&due)));
    }

    #[test]
    fn the_counter_example_has_fewer_partitions_than_consumers_and_the_others_have_not() {
        let cells: Vec<Cell> = groups(Suite::Faults).into_iter().flatten().collect();
        let short = |cell: &&Cell| i32::from(cell.consumers) > cell.partitions;
        let found: Vec<&Cell> = cells.iter().filter(short).collect();
        assert_eq!((cells.len(), found.len()), (9, 1));
        assert_eq!(found[0].transport, Transport::Stream);
    }
}
