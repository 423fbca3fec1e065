//! Delivery reports on their way from librdkafka's poll thread to the calls that wait, in batches; and what else
//! librdkafka calls back.

use crate::broker::{Tally, count};
use futures_util::task::AtomicWaker;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use serde::Deserialize;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

/// A call that waits for its delivery report, and its place in the window.
pub(super) type Waiting = (oneshot::Sender<Report>, OwnedSemaphorePermit);
pub(super) type Report = Result<(), RDKafkaErrorCode>;

/// Delivery reports on their way from the poll thread to the runtime.
#[derive(Default)]
pub(super) struct Reports {
    arrived: Mutex<Vec<(Box<Waiting>, Report)>>,
    waker: AtomicWaker,
    /// Reports were handed over: librdkafka's queue has room again.
    pub(super) room: Notify,
    closed: AtomicBool,
    /// Calls end with their replies: then no report comes too late.
    by_reply: bool,
    pub(super) tally: Arc<Tally>,
}

impl Reports {
    pub(super) fn new(by_reply: bool) -> Self {
        Self {
            by_reply,
            ..Self::default()
        }
    }

    /// The producer is gone: dispatching ends.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Hands every report to its call. One task of the caller's runtime.
    pub(super) async fn dispatch(self: Arc<Self>) {
        let mut batch = Vec::new();
        loop {
            let open = poll_fn(|context| {
                self.waker.register(context.waker());
                let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::swap(&mut *arrived, &mut batch);
                match (batch.is_empty(), self.closed.load(Ordering::Acquire)) {
                    (false, _) => Poll::Ready(true),
                    (true, true) => Poll::Ready(false),
                    (true, false) => Poll::Pending,
                }
            })
            .await;
            if !open {
                return;
            }
            for (waiting, report) in batch.drain(..) {
                let (call, permit) = *waiting;
                // Nobody waits any more: the deadline passed, and its outcome was called unknown.
                if call.send(report).is_err() && report.is_ok() && !self.by_reply {
                    count(&self.tally.late_confirms);
                }
                drop(permit);
            }
            self.room.notify_waiters();
        }
    }
}

/// What librdkafka calls back.
pub(super) struct Context(pub(super) Arc<Reports>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, "librdkafka: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("librdkafka: {error}: {reason}");
    }

    /// Once a second: librdkafka re-connects by itself, and tells of it only here.
    fn stats_raw(&self, statistics: &[u8]) {
        #[derive(Deserialize)]
        struct Statistics {
            brokers: HashMap<String, Broker>,
        }
        #[derive(Deserialize)]
        struct Broker {
            state: String,
            connects: u64,
            disconnects: u64,
        }
        let Ok(read) = serde_json::from_slice::<Statistics>(statistics) else {
            return;
        };
        let (mut up, mut again) = (0, 0);
        for broker in read.brokers.values().filter(|broker| broker.connects > 0) {
            let is_up = u64::from(broker.state == "UP");
            // `connects` counts failed attempts too; a disconnect is of a connection that was up.
            up += broker.disconnects + is_up;
            again += (broker.disconnects + is_up).saturating_sub(1);
        }
        let tally = &self.0.tally;
        tally.connects.store(up, Ordering::Relaxed);
        tally.reconnects.store(again, Ordering::Relaxed);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Waiting>;

    fn delivery(&self, delivery: &DeliveryResult<'_>, waiting: Box<Waiting>) {
        let report = match delivery {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
        };
        let reports = &self.0;
        let mut arrived = reports
            .arrived
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        arrived.push((waiting, report));
        // The first of a batch wakes the runtime; it takes what has gathered when it comes.
        let first = arrived.len() == 1;
        drop(arrived);
        if first {
            reports.waker.wake();
        }
    }
}
