//! The service turns slow and recovers: who waits, and for how long, on each transport? And does what waits follow from
//! arithmetic? In the suite of faults and the wide one it is also stopped: which alarm tells first?

use super::{Experiment, Group, Suite, against_theory};
use crate::cell::Cell;
use crate::claims::canary;
use crate::fault::{Action, Fault, Target};
use crate::load::{Arrival, Mode, SpanPlan, Stop};
use crate::results::{Run, Table};
use bench_proto::Durability;
use bench_transport::Transport;
use std::time::Duration;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "slow",
    question: "The service slows to 200 ms (in full also tenfold, and with workers without bound; in faults it is stopped too) and recovers: what does the caller feel, when is the work done, and which alarm tells first?",
    claims: &["producer-free", "slow-200ms", "depth-canary"],
    groups,
    // Its effects are a hundredfold: three blocks show them, and ten would take a quarter of an hour.
    blocks: |suite| match suite {
        Suite::Wide => 10,
        _ => 3,
    },
    analysis,
};

const RATE: f64 = 200.0;
/// With these 8 do 40/s at 200 ms and 160/s at 50 ms, so the slow phase is overload by arithmetic, and what happens
/// before and after it (1,600/s at 5 ms) is none.
const WORKERS: usize = 8;
/// Where the service sets no bound, the brokers' clients need one: far above the 40 that 200/s keep in work at 200 ms.
const UNBOUNDED: u16 = 1_000;

/// Catalogues a second beside the orders, where the service is stopped: a p50 takes few, and they leave the orders alone.
const PROBE: f64 = 50.0;

/// Of before, slow and after, ms.
type Lengths = (u64, u64, u64);

/// A slow phase between two good ones.
#[derive(Clone, Copy)]
struct Case {
    well_ms: u64,
    slow_ms: u64,
    workers: Option<usize>,
    /// At most 160/s × 5 s wait, under the in-flight bound and, in time, within
    /// the deadline of 5 s.
    lengths: Lengths,
}

/// What the quick suite has time for.
const QUICK: Case = Case {
    well_ms: 1,
    slow_ms: 200,
    workers: Some(WORKERS),
    lengths: (1_500, 2_500, 1_500),
};

fn cases(suite: Suite) -> Vec<Case> {
    if suite == Suite::Quick {
        return vec![QUICK];
    }
    // A p99 takes the 1,000 orders of five seconds.
    let full = Case {
        well_ms: 5,
        slow_ms: 200,
        workers: Some(WORKERS),
        lengths: (5_000, 5_000, 1_500),
    };
    let short = Case {
        lengths: (500, 2_500, 1_000),
        ..full
    };
    let tenfold = Case {
        slow_ms: 50,
        ..short
    };
    let unbounded = Case {
        workers: None,
        ..short
    };
    vec![full, tenfold, unbounded]
}

/// While it is stopped λ · 2.5 s = 500 orders wait, for less than their deadline. Before it, ten bins of the series set each
/// alarm's threshold.
const STOPPED: Lengths = (1_000, 2_500, 1_000);

fn groups(suite: Suite) -> Vec<Group> {
    let transports = [
        Transport::Rest,
        Transport::Grpc,
        Transport::Queue,
        Transport::Stream,
    ];
    let group =
        |case: Case| -> Group { transports.map(|transport| slowed(transport, case)).into() };
    let mut groups: Vec<Group> = cases(suite).into_iter().map(group).collect();
    // The full suite has no time for it.
    if matches!(suite, Suite::Faults | Suite::Wide) {
        groups.push(transports.map(stopped).into());
    }
    groups
}

fn slowed(transport: Transport, case: Case) -> Cell {
    let Case {
        well_ms, slow_ms, ..
    } = case;
    let (before, slow, _) = case.lengths;
    let (begins, ends) = (before, before + slow);
    let slowness = format!(
        "0ms..{begins}ms {well_ms}ms; {begins}ms..{ends}ms {slow_ms}ms; {ends}ms.. {well_ms}ms"
    );
    Cell {
        slow: Some(
            slowness
                .parse()
                .expect("the experiment's own slowness parses"),
        ),
        ..cell(transport, case.lengths, case.workers)
    }
}

/// The same with a service that is stopped. It has no planned handler time: an order that was in the handler at that instant
/// takes 2.5 s, which no plan knows.
fn stopped(transport: Transport) -> Cell {
    let (before, stopped, _) = STOPPED;
    let fault = |after, action| Fault {
        after: Duration::from_millis(after),
        action,
        target: Target::the_service(),
    };
    Cell {
        faults: vec![
            fault(before, Action::Pause),
            fault(before + stopped, Action::Resume),
        ],
        // A service behind a broker has no catalogue that its caller asks for.
        probe: (!transport.needs_broker()).then_some(PROBE),
        ..cell(transport, STOPPED, Some(WORKERS))
    }
}

fn cell(transport: Transport, lengths: Lengths, workers: Option<usize>) -> Cell {
    let (before, slow, after) = lengths;
    let (begins, ends) = (before, before + slow);
    let at = Duration::from_millis;
    let span = |name: &str, start, end| SpanPlan {
        name: name.into(),
        start: at(start),
        end: at(end),
    };
    Cell {
        mode: Mode::Open(Arrival::constant(RATE)),
        durability: Durability::Process,
        stop: Stop::after(at(ends + after)),
        warmup: at(300),
        grace: Duration::from_secs(15),
        timeout: Duration::from_secs(5),
        workers,
        prefetch: workers.map_or(UNBOUNDED, |workers| workers as u16),
        partitions: WORKERS as i32,
        phases: vec![
            span("before", 0, begins),
            span("slow", begins, ends),
            span("after", ends, ends + after),
        ],
        // HTTP/1.1 carries one order per connection: enough of them for all that wait.
        connections: if transport == Transport::Rest {
            2_048
        } else {
            Cell::new(transport).connections
        },
        ..Cell::new(transport)
    }
}

fn analysis(run: &Run) -> Vec<Table> {
    vec![
        against_theory::table(run, "slow", "slow"),
        canary::table(&against_theory::in_order(run, "slow")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault;

    #[test]
    fn it_is_stopped_in_the_suite_of_faults_and_the_wide_one_alone() {
        for (suite, expected) in [
            (Suite::Quick, 0),
            (Suite::Full, 0),
            (Suite::Faults, 4),
            (Suite::Wide, 4),
        ] {
            let cells: Vec<Cell> = groups(suite).into_iter().flatten().collect();
            let stopped = cells.iter().filter(|cell| !cell.faults.is_empty());
            assert_eq!(stopped.count(), expected, "{suite:?}");
            for cell in &cells {
                assert_eq!(fault::check(cell), Ok(()), "{}", cell.id());
                assert_eq!(cell.check_probe(), Ok(()), "{}", cell.id());
                // It is slow by its plan, or stands still; never both.
                assert_ne!(cell.slow.is_some(), !cell.faults.is_empty());
            }
        }
    }

    #[test]
    fn it_stands_still_in_the_slow_phase_and_all_that_waits_has_time_to_end() {
        for transport in [Transport::Rest, Transport::Stream] {
            let cell = stopped(transport);
            let slow = &cell.phases[1];
            assert_eq!(slow.name, "slow");
            let at: Vec<Duration> = cell.faults.iter().map(|fault| fault.after).collect();
            assert_eq!(at, [slow.start, slow.end]);
            assert!(slow.end - slow.start < cell.timeout);
            assert_eq!(cell.probe.is_some(), transport == Transport::Rest);
            let described = cell.describe();
            assert!(crate::claims::overload::is_stopped(&described));
            assert!(!crate::claims::overload::is_primary(&described));
        }
    }
}
