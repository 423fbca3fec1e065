//! Which partitions a consumer of the stream has: how a group shares them out, what a rebalance does to the offsets, and
//! how a consumer leaves.

use super::offsets::Offsets;
use futures_util::future::select_all;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, TopicPartitionList};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Waits until every consumer has joined and so many partitions are spread over them, none of which is left without one
/// that could have it. One that joined later would have everything assigned anew, and what is in work done twice.
pub(super) async fn shared_out(shares: &mut [watch::Receiver<Option<usize>>], partitions: usize) {
    loop {
        let held: Vec<usize> = shares
            .iter_mut()
            .filter_map(|share| *share.borrow_and_update())
            .collect();
        let busy = held.iter().filter(|count| **count > 0).count();
        let joined = held.len() == shares.len();
        if joined && held.iter().sum::<usize>() == partitions && busy == partitions.min(held.len())
        {
            return;
        }
        let changes = shares.iter_mut().map(|share| Box::pin(share.changed()));
        let (changed, ..) = select_all(changes).await;
        if changed.is_err() {
            return;
        }
    }
}

/// Follows what is assigned to this consumer.
pub(super) struct Assignment {
    offsets: Mutex<Offsets>,
    /// Partitions; none before the group has shared them out, and while it does so anew.
    pub(super) assigned: watch::Sender<Option<usize>>,
}

impl Default for Assignment {
    fn default() -> Self {
        Self {
            offsets: Mutex::default(),
            assigned: watch::Sender::new(None),
        }
    }
}

impl Assignment {
    pub(super) fn offsets(&self) -> MutexGuard<'_, Offsets> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Assignment {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, "librdkafka: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("librdkafka: {error}: {reason}");
    }
}

impl ConsumerContext for Assignment {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let numbers = |list: &TopicPartitionList| {
            let elements = list.elements();
            elements
                .iter()
                .map(|one| one.partition())
                .collect::<Vec<_>>()
        };
        let mut offsets = self.offsets();
        match rebalance {
            Rebalance::Assign(list) => offsets.assign(numbers(list)),
            Rebalance::Revoke(list) => offsets.revoke(numbers(list)),
            Rebalance::Error(_) => {}
        }
        let settled = matches!(rebalance, Rebalance::Assign(_));
        self.assigned
            .send_replace(settled.then(|| offsets.assigned()));
    }
}

/// Closing a consumer blocks until it has left its group: never on the runtime.
pub(super) struct OffRuntime {
    pub(super) consumer: Option<StreamConsumer<Assignment>>,
    /// Where it counts as open until it has left.
    pub(super) open: TaskTracker,
}

impl Drop for OffRuntime {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            let open = self.open.token();
            std::thread::spawn(move || {
                drop(consumer);
                drop(open);
            });
        }
    }
}
