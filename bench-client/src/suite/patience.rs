//! Waits for a quieter machine. Whoever else is on the host comes and goes in spells of some half a minute, and what begins
//! in one is SUSPECT as a whole. When to go on is read from causes outside and from a probe, never from a result.

use super::Progress;
use crate::results::{Run, Trial};
use crate::validity::FOREIGN_CPU;
use bench_host::clock::now_ns;
use bench_host::cpu::MachineCpu;
use bench_host::place::{Cpus, Placement, pin_thread};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::time::Instant;

/// One probe: a hundred of the 10 ms that the kernel rounds to.
const PROBE: Duration = Duration::from_secs(1);
/// Between two probes the machine rests.
const PAUSE: Duration = Duration::from_secs(2);
/// Nothing waits longer at once: in a spell of that length later parts would be no better off.
const LONGEST: Duration = Duration::from_secs(120);

/// The time that waiting may still take.
pub(super) struct Patience {
    left: Duration,
    waited: Duration,
    waits: u32,
}

impl Patience {
    pub(super) fn new(whole: Duration) -> Self {
        Self {
            left: whole,
            waited: Duration::ZERO,
            waits: 0,
        }
    }

    /// Returns when the hypervisor leaves the machine alone; at once where the last trial was not disturbed.
    pub(super) async fn wait(
        &mut self,
        run: &Run,
        placement: &Placement,
        progress: &impl Progress,
    ) -> anyhow::Result<()> {
        if !run.trials.last().is_some_and(is_disturbed) || self.left.is_zero() {
            return Ok(());
        }
        progress.note("waiting for a quieter machine: the last trial was disturbed from outside");
        let cores = [&placement.client, &placement.service].map(Clone::clone);
        self.until_quiet(async || {
            let cores = cores.clone();
            tokio::task::spawn_blocking(move || probe(&cores)).await?
        })
        .await
    }

    async fn until_quiet(
        &mut self,
        mut probe: impl AsyncFnMut() -> anyhow::Result<f64>,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        let longest = self.left.min(LONGEST);
        while probe().await? > FOREIGN_CPU && began.elapsed() < longest {
            tokio::time::sleep(PAUSE).await;
        }
        self.left = self.left.saturating_sub(began.elapsed());
        self.waited += began.elapsed();
        self.waits += 1;
        Ok(())
    }
}

/// For the manifest.
impl std::fmt::Display for Patience {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} s in {} waits", self.waited.as_secs(), self.waits)
    }
}

fn is_disturbed(trial: &Trial) -> bool {
    trial.validity.external
}

/// What the hypervisor takes, as a share of a core, while two threads wake each other as caller and service do. A machine
/// that idles has nothing that could be taken, and one that only computes is taken less.
fn probe(cores: &[Option<Cpus>; 2]) -> anyhow::Result<f64> {
    let (mut here, mut there) = UnixStream::pair()?;
    let far = cores[1].clone();
    let answering =
        std::thread::Builder::new()
            .name("probe".into())
            .spawn(move || -> anyhow::Result<()> {
                if let Some(cpus) = &far {
                    pin_thread(cpus)?;
                }
                let mut byte = [0];
                while there.read(&mut byte)? == 1 {
                    there.write_all(&byte)?;
                }
                Ok(())
            })?;
    let near = cores[0].clone();
    let asking = std::thread::Builder::new().name("probe".into()).spawn(
        move || -> anyhow::Result<f64> {
            if let Some(cpus) = &near {
                pin_thread(cpus)?;
            }
            let before = MachineCpu::read()?;
            let end = now_ns() + PROBE.as_nanos() as u64;
            let mut byte = [0];
            while now_ns() < end {
                here.write_all(&byte)?;
                here.read_exact(&mut byte)?;
            }
            Ok(MachineCpu::read()?.since(&before).steal_share_of_a_core())
        },
    )?;
    let panicked = |_| anyhow::anyhow!("a thread of the probe panicked");
    // The far end goes when the near one has.
    let share = asking.join().map_err(panicked)?;
    answering.join().map_err(panicked)??;
    share
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goes through the shares, each found after the time of a probe, and then finds nothing.
    async fn until_quiet(patience: &mut Patience, shares: &[f64]) -> usize {
        let (mut shares, mut probes) = (shares.iter(), 0);
        let probe = async || {
            tokio::time::sleep(PROBE).await;
            probes += 1;
            Ok(*shares.next().unwrap_or(&0.0))
        };
        patience.until_quiet(probe).await.unwrap();
        probes
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_until_a_probe_is_left_alone() {
        let mut patience = Patience::new(Duration::from_secs(600));
        assert_eq!(until_quiet(&mut patience, &[0.3, 0.2]).await, 3);
        assert_eq!(until_quiet(&mut patience, &[]).await, 1);
        assert_eq!(patience.waited, PROBE * 4 + PAUSE * 2);
        assert_eq!(patience.left + patience.waited, Duration::from_secs(600));
        assert_eq!(patience.to_string(), "8 s in 2 waits");
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_wait_longer_than_it_may_at_once_or_in_all() {
        let noisy = [0.3; 1_000];
        let mut patience = Patience::new(LONGEST + Duration::from_secs(30));
        until_quiet(&mut patience, &noisy).await;
        assert!(patience.waited <= LONGEST + PROBE + PAUSE);
        until_quiet(&mut patience, &noisy).await;
        assert!(patience.left.is_zero());
        assert!(patience.waited <= LONGEST + Duration::from_secs(30) + (PROBE + PAUSE) * 2);
    }

    #[test]
    fn a_probe_finds_a_share_of_the_machine() {
        let share = probe(&[None, None]).unwrap();
        let cores = std::thread::available_parallelism().unwrap().get();
        assert!((0.0..=cores as f64).contains(&share), "{share}");
    }
}
