//! One order for K services: called one after the other, called all at once, or published once for all of them. What does
//! each further one cost the caller, does a slow one hold up the others, and does the caller feel one join while it runs?

use super::{Experiment, Group, Suite, a_a};
use crate::cell::Cell;
use crate::claims::fanout::{
    self, AFTER, BEFORE, BROKERS, CONSUMERS, Fan, MOST, SLOW, SYNC, WITH_ONE_SLOW, consumer,
    slowness,
};
use crate::claims::outage::CHECKOUT;
use crate::fault::{Action, Fault, Target};
use crate::load::{Arrival, Mode, SpanPlan, Stop};
use crate::topology::{Edge, Service, Topology, Way};
use bench_proto::Durability;
use bench_proto::slowness::{Slowness, show_duration};
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: fanout::EXPERIMENT,
    question: "One order for K consumers, called or published: what does each further one cost the caller?",
    claims: &["fanout-sync"],
    groups,
    // Medians differ by factors, and shares come from all orders together: three blocks show them.
    blocks: |suite| match suite {
        Suite::Quick => 0,
        Suite::Full | Suite::Faults => 3,
        Suite::Wide => 10,
    },
    analysis: fanout::tables,
};

/// Nine services and a client share two cores: at most eight calls of some 150 µs per order, an eighth of one core. At
/// twice the rate consumers woke so late that their handlers missed their plan.
const RATE: f64 = 100.0;
/// Between the start of a consumer that joins and the phase after: its start, and a second and more to settle.
const JOINING: Duration = Duration::from_secs(2);
/// The user waits for checkout over this, and so does checkout for its consumers where it waits for them.
const OVER: Transport = Transport::Grpc;
/// What is published goes under this name to all of them.
const PLACED: &str = "placed";

/// A way to reach consumers.
#[derive(Clone, Copy)]
struct Reach {
    name: &'static str,
    over: Transport,
    way: Way,
    side_by_side: bool,
}

const REACHES: [Reach; 4] = [
    Reach {
        name: SYNC[0],
        over: OVER,
        way: Way::Awaited,
        side_by_side: false,
    },
    Reach {
        name: SYNC[1],
        over: OVER,
        way: Way::Awaited,
        side_by_side: true,
    },
    Reach {
        name: BROKERS[0],
        over: Transport::Queue,
        way: Way::Publish,
        side_by_side: false,
    },
    Reach {
        name: BROKERS[1],
        over: Transport::Stream,
        way: Way::Publish,
        side_by_side: false,
    },
];

impl Reach {
    fn cell(self, suite: Suite, fan: Fan) -> Cell {
        let slow = |number: u32| match fan.one_slow && number == 1 {
            true => always_slow(),
            false => slowness(),
        };
        let consumers = fan.consumers;
        let mut services = vec![Service {
            side_by_side: self.side_by_side,
            ..Service::named(CHECKOUT)
        }];
        services.extend((1..=consumers).map(|number| Service {
            slow: Some(slow(number)),
            joins_later: fan.joins_later(number),
            ..Service::named(consumer(number))
        }));
        let edge = |number| Edge {
            way: self.way,
            fanout: (!self.way.waits()).then(|| PLACED.to_string()),
            ..Edge::new(CHECKOUT, consumer(number), self.over)
        };
        let orders = match suite {
            // Enough for a median, and to see that every consumer got every order.
            Suite::Quick => 40.0,
            // A block's median takes 20; the share that met a slow one comes from all blocks together.
            Suite::Full | Suite::Faults => 100.0,
            // A consumer's p99 takes 10,000 over all blocks.
            Suite::Wide => 1_000.0,
        };
        Cell {
            mode: Mode::Open(Arrival::constant(RATE)),
            // What stands beside a broker is of its class.
            durability: Durability::Process,
            stop: Stop::after(Duration::from_secs_f64(orders / RATE)),
            // As many orders are open at the window's start as later, slow ones too.
            warmup: SLOW + Duration::from_millis(100),
            topology: Some(Topology {
                name: fan.name(),
                services,
                edges: (1..=consumers).map(edge).collect(),
            }),
            ..Cell::new(OVER)
        }
    }

    /// A consumer joins those that are there from the start.
    fn joining(self, suite: Suite) -> Cell {
        let fan = Fan::joining(self.name);
        let each = Duration::from_millis(match suite {
            Suite::Quick => 500,
            // 125 orders before and after: a median of each block.
            _ => 1_250,
        });
        let after = each + JOINING;
        let span = |name: &str, start: Duration| SpanPlan {
            name: name.into(),
            start,
            end: start + each,
        };
        Cell {
            stop: Stop::after(after + each),
            phases: vec![span(BEFORE, Duration::ZERO), span(AFTER, after)],
            faults: vec![Fault {
                after: each,
                action: Action::Start,
                target: Target::Service(consumer(fan.consumers)),
            }],
            ..self.cell(suite, fan)
        }
    }
}

fn always_slow() -> Slowness {
    let text = show_duration(SLOW);
    text.parse().expect("a duration is a slowness")
}

fn groups(suite: Suite) -> Vec<Group> {
    let counts: &[u32] = match suite {
        // The two that are set against each other.
        Suite::Quick => &[1, MOST],
        _ => &CONSUMERS,
    };
    let group = |reach: &Reach| {
        let mut cells: Vec<Cell> = counts
            .iter()
            .map(|count| reach.cell(suite, Fan::of(reach.name, *count)))
            .collect();
        let one_slow = Fan {
            one_slow: true,
            ..Fan::of(reach.name, WITH_ONE_SLOW)
        };
        cells.push(reach.cell(suite, one_slow));
        if !reach.way.waits() {
            cells.push(reach.joining(suite));
        }
        if reach.name == REACHES[0].name {
            // Once the same twice.
            let [first, twin] = a_a(&cells[0]);
            cells[0] = first;
            cells.push(twin);
        }
        cells
    };
    REACHES.iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::fanout::SETTLING;
    use crate::topology::check_cell;

    #[test]
    fn every_fan_out_can_run_and_is_known_by_its_cell() {
        for suite in [Suite::Quick, Suite::Faults, Suite::Wide] {
            for cell in groups(suite).into_iter().flatten() {
                assert_eq!(check_cell(&cell), Ok(()), "{}", cell.id());
                assert_eq!(cell.check_schedule(), Ok(()), "{}", cell.id());
                let fan = Fan::in_cell(&cell.describe()).expect("a fan-out's name");
                let topology = cell.topology.as_ref().unwrap();
                assert_eq!(topology.name, fan.name());
                assert_eq!(topology.edges.len(), fan.consumers as usize);
                let published = topology.edges.iter().all(|edge| edge.fanout.is_some());
                assert_eq!(published, !fan.waits(), "{}", fan.name());
            }
        }
    }

    #[test]
    fn there_are_as_many_cells_as_ways_and_counts_and_a_twin() {
        let count = |suite| groups(suite).into_iter().flatten().count();
        assert_eq!(count(Suite::Quick), 4 * 3 + 2 + 1);
        assert_eq!(count(Suite::Faults), 4 * 5 + 2 + 1);
    }

    #[test]
    fn a_consumer_joins_between_two_phases_and_has_time_to_settle() {
        for suite in [Suite::Quick, Suite::Faults, Suite::Wide] {
            let joining: Vec<Cell> = groups(suite)
                .into_iter()
                .flatten()
                .filter(|cell| !cell.faults.is_empty())
                .collect();
            assert_eq!(joining.len(), BROKERS.len());
            for cell in joining {
                let ([before, after], [join]) = (&cell.phases[..], &cell.faults[..]) else {
                    panic!("two phases and a join: {}", cell.id())
                };
                assert!(cell.is_join(join) && join.after == before.end);
                assert!(after.start - before.end > SETTLING);
                assert_eq!(cell.stop.time, Some(after.end));
                assert!(after.end <= Duration::from_secs(6));
            }
        }
    }

    #[test]
    fn no_sum_of_consumers_that_are_quick_looks_like_a_slow_one() {
        let slowness = slowness();
        let draw = |seed: u32, order| {
            let planned = slowness.plan(u64::from(seed), order, Duration::ZERO);
            planned.total()
        };
        let mut longest = Duration::ZERO;
        for order in 0..10_000 {
            let times: Vec<Duration> = (1..=MOST).map(|seed| draw(seed, order)).collect();
            if times.iter().all(|time| *time < SLOW) {
                longest = longest.max(times.iter().sum());
            }
        }
        assert!(longest < SLOW * 4 / 5, "{longest:?}");
        let slow = (0..10_000).filter(|order| draw(1, *order) >= SLOW).count();
        assert!((150..250).contains(&slow), "{slow} of 10,000 are p = 2 %");
        assert_eq!(always_slow().plan(1, 0, Duration::ZERO).total(), SLOW);
    }

    #[test]
    fn a_published_way_is_named_as_its_transport_and_the_others_go_over_one() {
        for reach in REACHES {
            let named = if reach.way.waits() {
                fanout::SYNC_OVER
            } else {
                reach.name
            };
            assert_eq!(reach.over.name(), named);
        }
    }
}
