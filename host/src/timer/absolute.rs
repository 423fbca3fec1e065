//! One waiter, one timerfd: what the pacer sleeps on. It knows no schedule; it is told an instant.

use std::time::Duration;

use tokio::io::unix::AsyncFd;

use super::Fd;
use crate::Error;
use crate::clock::now_ns;

/// A timer for one waiter. Waiting allocates nothing, and costs two system calls (arming, and the reactor's
/// wait), or none when the instant is past.
pub struct AbsoluteTimer {
    fd: AsyncFd<Fd>,
    spun_ns: u64,
}

/// A turn of the spin that ran nothing else takes about a µs; one that ran a task or was preempted takes longer,
/// and is none of the spin's cost.
const LONGEST_BARE_TURN_NS: u64 = 2_500;

impl AbsoluteTimer {
    /// Opens the timer on the current tokio runtime, which must have I/O enabled (it panics outside one).
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            fd: Fd::open()?,
            spun_ns: 0,
        })
    }

    /// CPU time that spinning alone has cost so far, ns.
    #[must_use]
    pub fn spun_ns(&self) -> u64 {
        self.spun_ns
    }

    /// Returns at `at_ns` of [`now_ns`] or as soon after as the kernel and the runtime manage; never before.
    /// An instant that is past returns at once. Dropping the wait leaves the timer fit for the next one.
    pub async fn until(&mut self, at_ns: u64) {
        while now_ns() < at_ns {
            self.fd.get_ref().arm(at_ns);
            // The expiry isn't read: arming anew resets it, and the clock says whether this wake-up is the
            // awaited one or a left-over of a wait that was dropped.
            self.fd
                .readable()
                .await
                .expect("the runtime that this timer was opened on still runs")
                .clear_ready();
        }
    }

    /// Like [`Self::until`], but wakes up `spin` early and spins for the rest, which hides the kernel's wake-up
    /// latency at the price of that much CPU. Tasks and I/O of the same runtime go on during the spin.
    ///
    /// The last guarantee rests on tokio's scheduler: `yield_now` hands its waker to the scheduler, which
    /// polls the I/O driver without blocking before it runs the task again (tokio 1.54, current_thread:
    /// `park_yield`). So a turn of this spin costs one `epoll_wait(0)`, about a µs, and no reply is held back.
    pub async fn until_spinning(&mut self, at_ns: u64, spin: Duration) {
        let spin_ns = u64::try_from(spin.as_nanos()).unwrap_or(u64::MAX);
        self.until(at_ns.saturating_sub(spin_ns)).await;
        let mut turn = now_ns();
        while turn < at_ns {
            tokio::task::yield_now().await;
            let next = now_ns();
            if next - turn <= LONGEST_BARE_TURN_NS {
                self.spun_ns += next - turn;
            }
            turn = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::clock::after;

    #[tokio::test]
    async fn the_timer_never_fires_early() {
        let mut timer = AbsoluteTimer::new().unwrap();
        for step in [1_000u64, 50_000, 700_000, 3_000_000] {
            for spin in [0u64, 20, 2_000] {
                let at = now_ns() + step;
                timer.until_spinning(at, Duration::from_micros(spin)).await;
                assert!(now_ns() >= at);
            }
        }
    }

    #[tokio::test]
    async fn an_instant_that_is_past_returns_without_waiting() {
        let mut timer = AbsoluteTimer::new().unwrap();
        let mut wait = std::pin::pin!(timer.until(now_ns()));
        let first = futures_poll(wait.as_mut());
        assert!(first.is_ready(), "the first poll was expected to be ready");
    }

    #[tokio::test]
    async fn a_dropped_wait_leaves_nothing_behind() {
        let mut timer = AbsoluteTimer::new().unwrap();
        // Armed, let expire unseen, then dropped: the next wait must not take that expiry for its own.
        {
            let mut wait = std::pin::pin!(timer.until(now_ns() + 1_000_000));
            assert!(futures_poll(wait.as_mut()).is_pending());
            std::thread::sleep(Duration::from_millis(2));
        }
        let at = after(now_ns(), Duration::from_millis(20));
        timer.until(at).await;
        assert!(now_ns() >= at);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn input_and_output_go_on_during_a_spin() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // The peer is a thread of its own, so each round trip needs the reactor to see a reply.
        let peer = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let mut peer = std::net::TcpStream::connect(address).unwrap();
            let mut byte = [0];
            while peer.read(&mut byte).unwrap() == 1 {
                peer.write_all(&byte).unwrap();
            }
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        let (done, mut finished) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            for _ in 0..20 {
                stream.write_all(b"x").await.unwrap();
                stream.read_exact(&mut [0]).await.unwrap();
            }
            let _ = done.send(());
        });
        // Spins for as long as it takes: were replies held back by a spin, all of these would pass in vain.
        let mut timer = AbsoluteTimer::new().unwrap();
        let mut spins = 0;
        while finished.try_recv().is_err() {
            let spin = Duration::from_millis(50);
            timer.until_spinning(after(now_ns(), spin), spin).await;
            spins += 1;
            assert!(
                spins < 19,
                "one round trip a spin: the spin holds replies back"
            );
        }
        peer.join().unwrap();
    }

    fn futures_poll<F: Future>(wait: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
        wait.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
