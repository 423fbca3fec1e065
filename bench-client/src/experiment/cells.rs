//! Cells that several experiments read, made in one place: equal to the last setting, they run once for all of them.

use super::Suite;
use crate::cell::{Cell, Share};
use crate::load::{Arrival, Mode, Stop};
use bench_proto::{Durability, PayloadClass};
use bench_transport::Transport;
use std::time::Duration;

/// REST and gRPC with 32 in flight and the two orders that the throughput and latency claims are judged on.
pub(super) const SMALL: PayloadClass = PayloadClass::Order(3);
/// The larger one.
pub(super) const LARGE: PayloadClass = PayloadClass::Order(100);
/// Operations in flight where an experiment varies something else.
pub(super) const IN_FLIGHT: usize = 32;
/// One seed for all: every arm gets the same arrivals (docs/METHOD.md, Statistics).
const ARRIVALS: u64 = 1;

/// A closed loop of `callers`. One connection per caller on tcp, REST and gRPC, so that HTTP/1.1 has one for each that
/// waits and gRPC holds as many; one on a broker. Class `none`, and `process` on brokers.
pub(super) fn closed(
    suite: Suite,
    transport: Transport,
    payload: PayloadClass,
    callers: usize,
) -> Cell {
    // Thirty cells in ten blocks leave a full trial less time than the few of the quick suite have.
    let (window, warmup) = match suite {
        Suite::Quick | Suite::Wide => (1_000, 300),
        Suite::Full | Suite::Faults => (600, 250),
    };
    let plain = Cell::new(transport);
    Cell {
        payload,
        mode: Mode::Closed {
            callers,
            think: Duration::ZERO,
        },
        connections: if transport.needs_broker() {
            plain.connections
        } else {
            callers
        },
        stop: Stop::after(Duration::from_millis(window)),
        warmup: Duration::from_millis(warmup),
        ..plain
    }
}

/// An open loop of Poisson arrivals in class `process`, which every transport has: brokers stand beside sync transports.
pub(super) fn open(suite: Suite, transport: Transport, payload: PayloadClass, rate: f64) -> Cell {
    let window = match suite {
        Suite::Quick => 1.5,
        // A percentile of 99 % takes 1,000 samples of a trial.
        Suite::Full | Suite::Faults => (1_200.0 / rate).max(0.8),
        Suite::Wide => (1_500.0 / rate).max(3.0),
    };
    Cell {
        payload,
        mode: Mode::Open(Arrival::poisson(rate, ARRIVALS)),
        durability: Durability::Process,
        stop: Stop::after(Duration::from_secs_f64(window)),
        warmup: Duration::from_millis(200),
        ..Cell::new(transport)
    }
}

/// An open loop of Poisson arrivals at so many percent of what [`closed`] carries with [`IN_FLIGHT`], in class `process`.
pub(super) fn at_share(
    suite: Suite,
    transport: Transport,
    payload: PayloadClass,
    percent: u32,
) -> Cell {
    /// Above which the window of [`open`] is the same for every rate.
    const ENOUGH: f64 = 10_000.0;
    let share = Share {
        percent,
        callers: IN_FLIGHT,
        seed: ARRIVALS,
    };
    Cell {
        share: Some(share),
        mode: share.closed_loop(),
        ..open(suite, transport, payload, ENOUGH)
    }
}
