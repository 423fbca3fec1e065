//! Watches what a broker holds in memory and writes while a window lasts, where its processes can be seen. It starts and
//! signals nothing.

use crate::results::Footprint;
use bench_host::cpu::with_descendants;
use bench_host::memory::{Held, held};
use std::time::Duration;

/// How often memory is looked at: a backlog grows over seconds, and a look costs a few files of /proc.
const LOOK: Duration = Duration::from_millis(200);

/// Awaits `window`, and looks at these processes and their children meanwhile. None where there are none, or where they
/// cannot be read.
pub async fn during<T>(roots: &[u32], window: impl Future<Output = T>) -> (T, Option<Footprint>) {
    let Some(mut watch) = Watch::begin(roots) else {
        return (window.await, None);
    };
    let mut window = std::pin::pin!(window);
    let mut looks = tokio::time::interval(LOOK);
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut window => break ended,
            _ = looks.tick() => watch.look(),
        }
    };
    (ended, watch.end())
}

struct Watch {
    pids: Vec<u32>,
    before: Held,
    most: u64,
}

impl Watch {
    fn begin(roots: &[u32]) -> Option<Self> {
        if roots.is_empty() {
            return None;
        }
        let pids = with_descendants(roots).ok()?;
        let before = held(&pids).ok()?;
        Some(Self {
            pids,
            before,
            most: before.resident,
        })
    }

    fn look(&mut self) {
        if let Ok(now) = held(&self.pids) {
            self.most = self.most.max(now.resident);
        }
    }

    fn end(self) -> Option<Footprint> {
        let after = held(&self.pids).ok()?;
        Some(Footprint {
            resident_before: self.before.resident,
            resident_most: self.most.max(after.resident),
            resident_after: after.resident,
            written: after.written.saturating_sub(self.before.written),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_watched_over_the_window_and_nobody_is_no_zero() {
        let own = std::process::id();
        let (what, seen) = during(&[own], async {
            tokio::time::sleep(2 * LOOK).await;
            "done"
        })
        .await;
        let seen = seen.expect("this process can be read");
        assert_eq!(what, "done");
        assert!(seen.resident_before > 0 && seen.resident_most >= seen.resident_after);
        assert_eq!(during(&[], async { 1 }).await, (1, None));
    }
}
