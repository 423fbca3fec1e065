//! Stops processes for a while, and the service in mid-run, as ^Z would: it keeps its sockets and answers nothing. It knows no load.

use crate::cell::Stall;
use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

/// Stopped processes; they go on when this is dropped, on whatever way.
#[derive(Debug)]
pub struct Stopped(Vec<Pid>);

impl Stopped {
    /// Stops them all, or none.
    pub fn stop(pids: &[u32]) -> anyhow::Result<Self> {
        let mut stopped = Self(Vec::new());
        for pid in pids {
            let pid = Pid::from_raw(i32::try_from(*pid).context("a process id fits into an i32")?);
            kill(pid, Signal::SIGSTOP)
                .with_context(|| format!("process {pid} could not be stopped"))?;
            stopped.0.push(pid);
        }
        Ok(stopped)
    }

    /// How many they are.
    pub fn count(&self) -> u32 {
        self.0.len() as u32
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.0 {
            // One that is gone needs no waking.
            let _ = kill(*pid, Signal::SIGCONT);
        }
    }
}

/// Stops the process `stall.after` the window's start, for as long as the stall lasts.
pub async fn stall(pid: u32, start_ns: u64, stall: Stall) -> anyhow::Result<()> {
    sleep_until(bench_host::clock::after(start_ns, stall.after)).await;
    let stopped = Stopped::stop(&[pid]).context("the service")?;
    sleep_until(bench_host::clock::after(
        start_ns,
        stall.after + stall.lasting,
    ))
    .await;
    drop(stopped);
    Ok(())
}

pub(super) async fn sleep_until(at_ns: u64) {
    let left = at_ns.saturating_sub(bench_host::clock::now_ns());
    tokio::time::sleep(Duration::from_nanos(left)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    struct Sleeper(Child);

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// `T` while it is stopped.
    fn state(pid: u32) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let after_name = stat.rsplit_once(") ").unwrap().1;
        after_name.chars().next().unwrap()
    }

    fn eventually(pid: u32, wanted: impl Fn(char) -> bool) {
        while !wanted(state(pid)) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[tokio::test]
    async fn a_stall_that_is_cancelled_leaves_nothing_stopped() {
        let child = Sleeper(Command::new("sleep").arg("60").spawn().unwrap());
        let pid = child.0.id();
        let forever = Stall {
            after: Duration::ZERO,
            lasting: Duration::from_secs(3_600),
        };
        let stalled = tokio::spawn(stall(pid, bench_host::clock::now_ns(), forever));
        while state(pid) != 'T' {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stalled.abort();
        assert!(stalled.await.unwrap_err().is_cancelled());
        eventually(pid, |state| state != 'T');
    }

    #[tokio::test]
    async fn a_process_that_is_gone_is_a_sentence() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let soon = Stall {
            after: Duration::ZERO,
            lasting: Duration::from_millis(1),
        };
        let error = stall(child.id(), 0, soon).await.unwrap_err();
        assert!(
            format!("{error:#}").contains("could not be stopped"),
            "{error:#}"
        );
    }
}
