//! Many sleepers, one timerfd: what a handler's slowness sleeps on. One task of the runtime wakes whoever is
//! due. It knows no handler.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::unix::AsyncFd;
use tokio::task::AbortHandle;

use super::Fd;
use crate::Error;
use crate::clock::now_ns;

/// A timer that any number of tasks may sleep on at once; cloning shares it. Each sleeper is woken as soon
/// after its instant as the kernel and the runtime manage (tens of µs), never before.
#[derive(Clone)]
pub struct PreciseTimer {
    inner: Arc<Inner>,
}

impl PreciseTimer {
    /// Opens the timer and starts its task on the current tokio runtime, which must have I/O enabled (it
    /// panics outside one). The task ends with the last clone and the last sleeper.
    pub fn start() -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            fd: Fd::open()?,
            sleepers: Mutex::default(),
        });
        let driver = tokio::spawn(drive(Arc::clone(&shared))).abort_handle();
        Ok(Self {
            inner: Arc::new(Inner { shared, driver }),
        })
    }

    /// Sleeps until `at_ns` of [`now_ns`]. Dropping the future takes the sleeper out at once.
    #[must_use = "a sleep does nothing unless it is awaited"]
    pub fn sleep_until_ns(&self, at_ns: u64) -> Sleep {
        Sleep {
            timer: Arc::clone(&self.inner),
            at_ns,
            id: None,
        }
    }

    /// How many sleepers are waiting now.
    #[must_use]
    pub fn sleeping(&self) -> usize {
        self.inner.shared.lock().waiting.len()
    }
}

/// A sleep of [`PreciseTimer::sleep_until_ns`].
pub struct Sleep {
    timer: Arc<Inner>,
    at_ns: u64,
    /// The place in the queue, once there is one: instants need not be distinct.
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if now_ns() >= self.at_ns {
            self.leave();
            return Poll::Ready(());
        }
        let this = &mut *self;
        let shared = &this.timer.shared;
        let mut sleepers = shared.lock();
        let id = *this.id.get_or_insert_with(|| sleepers.fresh_id());
        sleepers
            .waiting
            .entry((this.at_ns, id))
            .and_modify(|waker| waker.clone_from(context.waker()))
            .or_insert_with(|| context.waker().clone());
        // Under the lock, so that what is armed is always the earliest of who waits.
        sleepers.rearm(&shared.fd);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Sleep {
    fn leave(&mut self) {
        if let Some(id) = self.id.take() {
            // The timer may stay armed for one who left: that costs one idle wake-up and no more.
            self.timer.shared.lock().waiting.remove(&(self.at_ns, id));
        }
    }
}

struct Inner {
    shared: Arc<Shared>,
    driver: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

struct Shared {
    fd: AsyncFd<Fd>,
    sleepers: Mutex<Sleepers>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        // Nothing under this lock leaves the queue half changed, so a poisoned one is as good.
        self.sleepers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Who waits, earliest first. An ordered map and not a heap, since a dropped sleeper must leave at once.
#[derive(Default)]
struct Sleepers {
    waiting: BTreeMap<(u64, u64), Waker>,
    next_id: u64,
    armed_ns: Option<u64>,
}

impl Sleepers {
    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Arms for the earliest sleeper, unless an alarm that comes no later is already set.
    fn rearm(&mut self, fd: &AsyncFd<Fd>) {
        if let Some((&(at_ns, _), _)) = self.waiting.first_key_value()
            && self.armed_ns.is_none_or(|armed_ns| at_ns < armed_ns)
        {
            fd.get_ref().arm(at_ns);
            self.armed_ns = Some(at_ns);
        }
    }

    /// Takes out those who are due at `now_ns`.
    fn take_due(&mut self, now_ns: u64, due: &mut Vec<Waker>) {
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now_ns
        {
            due.push(first.remove());
        }
    }
}

/// Wakes whoever is due, each time that the timer fires. Ends by being aborted.
async fn drive(shared: Arc<Shared>) {
    let mut due = Vec::new();
    while let Ok(mut ready) = shared.fd.readable().await {
        ready.clear_ready();
        {
            let mut sleepers = shared.lock();
            sleepers.armed_ns = None;
            sleepers.take_due(now_ns(), &mut due);
            sleepers.rearm(&shared.fd);
        }
        // Outside the lock: a waker may run code of its own.
        due.drain(..).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::after;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_one_of_a_thousand_sleepers_wakes_and_none_early() {
        let timer = PreciseTimer::start().unwrap();
        let start = now_ns();
        let sleepers: Vec<_> = (0..1_000u64)
            .map(|i| {
                let timer = timer.clone();
                // Out of order, with ties, some of them past already.
                let at = start + (i * 7_919 % 500) * 100_000;
                tokio::spawn(async move {
                    timer.sleep_until_ns(at).await;
                    now_ns() >= at
                })
            })
            .collect();
        for sleeper in sleepers {
            assert!(sleeper.await.unwrap(), "a sleeper woke before its instant");
        }
        assert_eq!(timer.sleeping(), 0);
    }

    #[tokio::test]
    async fn a_dropped_sleeper_leaves_the_queue_at_once() {
        let timer = PreciseTimer::start().unwrap();
        let never = after(now_ns(), Duration::from_secs(3_600));
        for _ in 0..100 {
            let sleep = timer.sleep_until_ns(never);
            let cut = tokio::time::timeout(Duration::from_micros(1), sleep).await;
            assert!(cut.is_err());
        }
        assert_eq!(timer.sleeping(), 0);
    }

    #[tokio::test]
    async fn a_later_sleeper_does_not_delay_an_earlier_one() {
        let timer = PreciseTimer::start().unwrap();
        let now = now_ns();
        let hour = tokio::spawn({
            let timer = timer.clone();
            async move {
                timer
                    .sleep_until_ns(after(now, Duration::from_secs(3_600)))
                    .await
            }
        });
        while timer.sleeping() == 0 {
            tokio::task::yield_now().await;
        }
        timer
            .sleep_until_ns(after(now, Duration::from_millis(5)))
            .await;
        assert!(!hour.is_finished());
        hour.abort();
    }

    #[tokio::test]
    async fn the_earliest_may_leave_and_the_next_still_wakes() {
        let timer = PreciseTimer::start().unwrap();
        let at = after(now_ns(), Duration::from_millis(10));
        let mut first = Box::pin(timer.sleep_until_ns(at - 5_000_000));
        let pending = first
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending();
        assert!(pending);
        let second = timer.sleep_until_ns(at);
        drop(first);
        second.await;
        assert!(now_ns() >= at);
    }

    #[tokio::test]
    async fn the_task_ends_with_the_last_clone() {
        let timer = PreciseTimer::start().unwrap();
        let shared = Arc::downgrade(&timer.inner.shared);
        let sleep = timer.sleep_until_ns(after(now_ns(), Duration::from_millis(1)));
        drop(timer);
        sleep.await; // still driven by the sleeper's own share
        while shared.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
