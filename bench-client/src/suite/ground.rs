//! What trials run on: the brokers, made ready before the first block and renewed in mid-run.

use super::Progress;
use crate::results::Store;
use crate::trial::Surroundings;
use crate::{brokers, warm};
use anyhow::Context;
use bench_transport::Transport;
use std::time::{Duration, Instant};

/// What trials run on, and how the brokers are made ready for them.
pub(super) struct Ground {
    pub with_broker: Vec<Transport>,
    pub longest_warm_up: Duration,
    pub surroundings: Surroundings,
    /// How long the brokers took to be restarted and warmed in mid-run, so far.
    pub renewing: Duration,
}

impl Ground {
    /// Pins and warms the brokers; what was found goes into the manifest, a line per instance.
    pub(super) async fn warm(
        &mut self,
        store: &mut Store,
        progress: &impl Progress,
    ) -> anyhow::Result<()> {
        if self.with_broker.is_empty() {
            return Ok(());
        }
        let Surroundings {
            brokers, placement, ..
        } = &self.surroundings;
        brokers::pin(&self.with_broker, brokers, placement)?;
        progress.note("warming the brokers until their CPU per order is steady");
        let found = warm::warm(
            &self.with_broker,
            self.longest_warm_up,
            &mut self.surroundings,
        )
        .await
        .context("the brokers could not be warmed")?;
        store.update(|run| run.manifest.warm_ups.extend(found))?;
        Ok(())
    }

    /// Fresh instances of the brokers, warmed.
    pub(super) async fn renew(
        &mut self,
        store: &mut Store,
        progress: &impl Progress,
    ) -> anyhow::Result<()> {
        progress.note("restarting the brokers");
        let began = Instant::now();
        self.surroundings.brokers =
            brokers::restart(&self.with_broker, &self.surroundings.brokers).await?;
        let warmed = self.warm(store, progress).await;
        self.renewing += began.elapsed();
        warmed
    }
}

/// Before which blocks the brokers are restarted, so that every instance serves about equally many.
pub(super) fn restarts_before(blocks: usize, restarts: u32) -> Vec<usize> {
    let instances = restarts as usize + 1;
    let mut before: Vec<usize> = (1..instances).map(|n| blocks * n / instances).collect();
    before.retain(|block| *block > 0);
    before.dedup();
    before
}

#[cfg(test)]
mod tests {
    use super::restarts_before;

    #[test]
    fn every_instance_of_the_brokers_serves_about_equally_many_blocks() {
        assert_eq!(restarts_before(10, 3), [2, 5, 7]);
        assert_eq!(restarts_before(6, 0), [] as [usize; 0]);
        // No block is served by two instances, and none by a broker that was never used.
        assert_eq!(restarts_before(2, 5), [1]);
    }
}
