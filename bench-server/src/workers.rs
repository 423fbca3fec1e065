//! How many orders are worked on at once, over all listeners together: a first-come-first-served bound that can be
//! changed while orders wait. It knows neither orders nor time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The workers of one service. Orders beyond the bound wait in the order in which they came.
#[derive(Debug)]
pub struct Workers {
    permits: Semaphore,
    /// Permits that are still to vanish after the bound was lowered under workers that were busy.
    debt: AtomicUsize,
    bound: Mutex<Option<usize>>,
    /// How many wait for a worker.
    waiting: AtomicUsize,
}

/// One that waits for a worker, until it has one or gives up.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One worker, busy until this is dropped.
#[derive(Debug)]
pub struct Worker<'a> {
    workers: &'a Workers,
    permit: Option<SemaphorePermit<'a>>,
}

fn permits(bound: Option<usize>) -> usize {
    // The largest count that the semaphore can hold stands for "unbounded".
    bound.unwrap_or(Semaphore::MAX_PERMITS)
}

impl Workers {
    /// So many workers, or as many as there are orders.
    pub fn new(bound: Option<usize>) -> Self {
        Self {
            permits: Semaphore::new(permits(bound)),
            debt: AtomicUsize::new(0),
            bound: Mutex::new(bound),
            waiting: AtomicUsize::new(0),
        }
    }

    /// The bound in force.
    pub fn bound(&self) -> Option<usize> {
        *self.bound.lock().expect("no holder of this lock panics")
    }

    /// Changes the bound. Orders that are worked on go on; a lower bound holds from the moment they have ended.
    pub fn set(&self, bound: Option<usize>) {
        let mut current = self.bound.lock().expect("no holder of this lock panics");
        let (old, new) = (permits(*current), permits(bound));
        *current = bound;
        if new >= old {
            let grown = new - old;
            let paid = self.pay(grown);
            self.permits.add_permits(grown - paid);
        } else {
            // The debt goes up before idle permits are taken away, so the new bound is never exceeded by more than
            // those already at work; what was taken twice is given back.
            self.debt.fetch_add(old - new, Ordering::SeqCst);
            let taken = self.permits.forget_permits(old - new);
            let paid = self.pay(taken);
            self.permits.add_permits(taken - paid);
        }
    }

    /// Lowers the debt by at most `amount`; says by how much.
    fn pay(&self, amount: usize) -> usize {
        let before = self
            .debt
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |debt| {
                Some(debt.saturating_sub(amount))
            })
            .expect("the closure always gives a value");
        before.min(amount)
    }

    /// Waits for a worker. Ready at once, without a detour over the scheduler, where one is idle.
    pub async fn take(&self) -> Worker<'_> {
        let taken = self.take_unless(usize::MAX).await;
        taken.expect("nobody is turned away from a queue without an end")
    }

    /// Waits for a worker, unless so many wait for one already: then none, at once.
    pub async fn take_unless(&self, most_waiting: usize) -> Option<Worker<'_>> {
        let permit = match self.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                let before = self.waiting.fetch_add(1, Ordering::SeqCst);
                let _waits = Waits(&self.waiting);
                if before >= most_waiting {
                    return None;
                }
                self.permits
                    .acquire()
                    .await
                    .expect("the semaphore is never closed")
            }
        };
        Some(Worker {
            workers: self,
            permit: Some(permit),
        })
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.workers.debt.load(Ordering::SeqCst) > 0
            && self.workers.pay(1) == 1
        {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Runs `orders` over `workers`, each giving way a few times while it works; the most that worked at once.
    async fn most_at_once(workers: &Arc<Workers>, orders: usize) -> usize {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..orders {
            let (workers, now, most) = (workers.clone(), now.clone(), most.clone());
            tasks.spawn(async move {
                let _worker = workers.take().await;
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..5 {
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, Ordering::SeqCst);
            });
        }
        tasks.join_all().await;
        most.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn exactly_the_bound_works_at_once_and_no_more() {
        let workers = Arc::new(Workers::new(Some(8)));
        assert_eq!(most_at_once(&workers, 100).await, 8);
    }

    #[tokio::test]
    async fn without_a_bound_all_work_at_once() {
        let workers = Arc::new(Workers::new(None));
        assert_eq!(most_at_once(&workers, 100).await, 100);
    }

    #[tokio::test]
    async fn the_bound_can_be_raised_and_lowered_between_orders() {
        let workers = Arc::new(Workers::new(None));
        for bound in [Some(3), Some(10), None, Some(1), Some(2)] {
            workers.set(bound);
            assert_eq!(workers.bound(), bound);
            assert_eq!(most_at_once(&workers, 50).await, bound.unwrap_or(50));
        }
    }

    #[tokio::test]
    async fn a_bound_lowered_under_busy_workers_holds_once_they_have_ended() {
        let workers = Arc::new(Workers::new(Some(4)));
        let mut busy = Vec::new();
        for _ in 0..4 {
            busy.push(workers.take().await);
        }
        workers.set(Some(1));
        assert!(workers.permits.try_acquire().is_err());
        busy.truncate(1);
        assert!(
            workers.permits.try_acquire().is_err(),
            "one busy worker fills the bound of one"
        );
        busy.clear();
        assert_eq!(most_at_once(&workers, 20).await, 1);
    }

    #[tokio::test]
    async fn a_bound_raised_again_before_busy_workers_end_is_met_exactly() {
        let workers = Arc::new(Workers::new(Some(4)));
        let mut busy = Vec::new();
        for _ in 0..4 {
            busy.push(workers.take().await);
        }
        workers.set(Some(1));
        workers.set(Some(6));
        busy.clear();
        assert_eq!(most_at_once(&workers, 20).await, 6);
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_turned_away_at_once() {
        let workers = Arc::new(Workers::new(Some(1)));
        let busy = workers.take_unless(2).await.expect("it is idle");
        let mut waiting = Vec::new();
        for place in 1..=2 {
            let all = workers.clone();
            waiting.push(tokio::spawn(
                async move { all.take_unless(2).await.is_some() },
            ));
            while workers.waiting.load(Ordering::SeqCst) < place {
                tokio::task::yield_now().await;
            }
        }
        assert!(workers.take_unless(2).await.is_none());
        assert!(workers.take_unless(0).await.is_none());
        // One that gives up makes room for another.
        waiting.pop().unwrap().abort();
        while workers.waiting.load(Ordering::SeqCst) > 1 {
            tokio::task::yield_now().await;
        }
        drop(busy);
        assert!(waiting.pop().unwrap().await.unwrap());
        assert_eq!(workers.waiting.load(Ordering::SeqCst), 0);
        assert!(workers.take_unless(0).await.is_some(), "it is idle again");
    }

    #[tokio::test]
    async fn orders_that_wait_are_served_first_come_first_served() {
        let workers = Arc::new(Workers::new(Some(1)));
        let order = Arc::new(Mutex::new(Vec::new()));
        let first = workers.take().await;
        let mut tasks = tokio::task::JoinSet::new();
        for place in 0..20 {
            let (workers, order) = (workers.clone(), order.clone());
            tasks.spawn(async move {
                let _worker = workers.take().await;
                order.lock().unwrap().push(place);
            });
            tokio::task::yield_now().await;
        }
        drop(first);
        tasks.join_all().await;
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }
}
