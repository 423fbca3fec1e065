//! A load beside the orders, on something that has nothing to do with them: the catalogue of the service that the
//! user calls. It shares that service's workers and calls nobody, and its requests are in no ledger.

use crate::load::{
    self, Arrival, Ending, HostClock, Load, Mode, Operation, Outcome, Record, Share, Stop,
};
use bench_transport::rest::{self, RestCaller};
use bench_transport::{CallResult, Settings};

/// The probe of a generator thread, over a connection of its own.
pub(super) struct Probe {
    caller: RestCaller,
    arrival: Arrival,
}

impl Probe {
    /// Connects; so many requests a second will be made.
    pub(super) async fn connect(settings: &Settings, per_second: f64) -> anyhow::Result<Self> {
        Ok(Self {
            caller: rest::connect(settings).await?,
            arrival: Arrival::constant(per_second),
        })
    }

    /// Runs for as long as the load beside it.
    async fn run(&self, beside: &Load, start_ns: u64) -> anyhow::Result<Record> {
        let period = self.arrival.first_period();
        let own = Load {
            mode: Mode::Open(self.arrival.clone()),
            stop: Stop {
                count: None,
                ..beside.stop
            },
            share: Share::WHOLE,
            ..beside.clone()
        };
        let mut clock = HostClock::for_period(period)?;
        // Off the beat of the orders: what is due in the same instant is late by the work of the other.
        let start_ns = start_ns + period.as_nanos() as u64 / 4;
        let caller = self.caller.clone();
        let issue = move |_: Operation| ask(caller.clone());
        Ok(load::run(&own, &mut clock, start_ns, issue, || ()).await)
    }
}

/// Runs a probe beside a load, where there is one.
pub(super) async fn beside(
    probe: Option<&Probe>,
    load: &Load,
    start_ns: u64,
) -> anyhow::Result<Option<Record>> {
    match probe {
        Some(probe) => probe.run(load, start_ns).await.map(Some),
        None => Ok(None),
    }
}

async fn ask(caller: RestCaller) -> Outcome {
    let outcome = caller.catalog().await;
    let ending = match outcome.result {
        CallResult::Acknowledged(_) => Ending::Acknowledged,
        CallResult::Refused(_) => Ending::Refused,
        CallResult::Failed(failure) => Ending::Failed {
            by_service: failure.by_service,
        },
        CallResult::TimedOut => Ending::TimedOut,
    };
    Outcome {
        sent_ns: outcome.sent_ns,
        ending,
        body_out: 0,
        body_in: outcome.body_in,
    }
}
