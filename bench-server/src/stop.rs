//! When the service is to stop: SIGTERM, SIGINT, or the death of the process that started it. It knows no listener.

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal as PosixSignal;
use nix::unistd::{Pid, getppid};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for reasons to stop. Made before anything listens, so that no signal is missed.
#[derive(Debug)]
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
    parent: Option<Parent>,
}

/// The parent process whose death ends this one.
#[derive(Debug)]
struct Parent {
    pid: Pid,
    /// Not SIGTERM: the kernel also signals when only the *thread* dies that started us, which is no reason to stop.
    died: Signal,
}

impl Stop {
    /// Listens for signals; with a parent given (taken with [`parent`] at the very beginning) for its death too.
    pub fn listen(parent: Option<Pid>) -> anyhow::Result<Self> {
        let parent = match parent {
            None => None,
            Some(pid) => {
                let died = signal(SignalKind::user_defined2())?;
                set_pdeathsig(PosixSignal::SIGUSR2)?;
                anyhow::ensure!(
                    getppid() == pid,
                    "the process that started this one is gone already, and --with-parent means to go with it"
                );
                Some(Parent { pid, died })
            }
        };
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            parent,
        })
    }

    /// Returns once there is a reason to stop; called again, once there is one more.
    pub async fn requested(&mut self) {
        let gone = async {
            match &mut self.parent {
                None => std::future::pending().await,
                Some(parent) => {
                    while getppid() == parent.pid {
                        parent.died.recv().await;
                    }
                }
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            // A parent dies once: it is no second reason to stop.
            () = gone => self.parent = None,
        }
    }
}

/// The process that started this one, as of now.
pub fn parent() -> Pid {
    getppid()
}
