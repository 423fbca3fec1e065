//! How many operations may be in flight on one generator thread. Single-threaded: a counter and one waiter.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A bound on what is in flight.
#[derive(Debug)]
pub struct Slots {
    limit: usize,
    taken: Cell<usize>,
    waiter: RefCell<Option<Waker>>,
}

impl Slots {
    /// So many at once.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: Cell::new(0),
            waiter: RefCell::new(None),
        }
    }

    /// How many are taken now.
    pub fn taken(&self) -> usize {
        self.taken.get()
    }

    /// Takes one if there is one.
    pub fn try_take(&self) -> bool {
        let free = self.taken.get() < self.limit;
        if free {
            self.taken.set(self.taken.get() + 1);
        }
        free
    }

    /// Takes one, waiting for it if need be. Only one task may wait.
    pub async fn take(&self) {
        self.wait_until(|| self.try_take()).await;
    }

    /// Waits until nothing is taken.
    pub async fn idle(&self) {
        self.wait_until(|| self.taken.get() == 0).await;
    }

    /// Gives one back.
    pub fn give(&self) {
        self.taken.set(self.taken.get() - 1);
        if let Some(waker) = self.waiter.borrow_mut().take() {
            waker.wake();
        }
    }

    async fn wait_until(&self, ready: impl Fn() -> bool) {
        poll_fn(|context| {
            if ready() {
                return Poll::Ready(());
            }
            *self.waiter.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
