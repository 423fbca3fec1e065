//! The deadline of a call. `tokio::time::timeout` enters a timer into the runtime's wheel and takes it out again, under a
//! lock both times. The calls of one caller are mostly equally patient, so here timers are kept and moved on, which is one store.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// The patience of one caller, and the timers of its calls.
#[derive(Debug)]
pub(crate) struct Deadline {
    patience: Duration,
    idle: RefCell<Vec<Pin<Box<Sleep>>>>,
}

/// Idle timers that are kept. Each holds on to the task that waited for it last.
const KEPT: usize = 1_024;

impl Deadline {
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            patience,
            idle: RefCell::default(),
        }
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// What the work comes to, or none if its time is up first; whoever pinned it drops it then. Taken by value, it would
    /// have two places in the future of every call.
    pub(crate) async fn within<F: Future>(
        &self,
        patience: Duration,
        mut work: Pin<&mut F>,
    ) -> Option<F::Output> {
        let at = Instant::now() + patience;
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        let mut waiting = Waker::noop().clone();
        let ended = poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            let timer = timer.get_or_insert_with(|| self.timer(at));
            // It knows whom to wake from the first time on.
            if waiting.will_wake(context.waker()) && !timer.is_elapsed() {
                return Poll::Pending;
            }
            waiting.clone_from(context.waker());
            timer.as_mut().poll(context).map(|()| None)
        })
        .await;
        let mut idle = self.idle.borrow_mut();
        if idle.len() < KEPT {
            idle.extend(timer);
        }
        ended
    }

    fn timer(&self, at: Instant) -> Pin<Box<Sleep>> {
        match self.idle.borrow_mut().pop() {
            Some(mut timer) => {
                timer.as_mut().reset(at);
                timer
            }
            None => Box::pin(sleep_until(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::pin::pin;
    use std::task::Context;
    use tokio::task::yield_now;
    use tokio::time::sleep;

    const PATIENCE: Duration = Duration::from_millis(30);

    #[tokio::test]
    async fn work_ends_or_is_dropped_at_its_deadline_whatever_became_of_the_timer_before() {
        let deadline = Deadline::new(PATIENCE);
        for _ in 0..3 {
            let start = Instant::now();
            assert_eq!(
                deadline
                    .within(deadline.patience(), pin!(pending::<()>()))
                    .await,
                None
            );
            assert!(start.elapsed() >= PATIENCE, "never early");
            let patient = Deadline::new(Duration::from_secs(60));
            // Two that use one timer after the other, and the second only after the first's time.
            let slow = async {
                sleep(2 * PATIENCE).await;
                7
            };
            assert_eq!(
                patient.within(patient.patience(), pin!(slow)).await,
                Some(7)
            );
            assert_eq!(
                patient.within(patient.patience(), pin!(yield_now())).await,
                Some(())
            );
            // The kept timer fires with nobody waiting.
            sleep(2 * PATIENCE).await;
            assert_eq!(
                deadline
                    .within(deadline.patience(), pin!(yield_now()))
                    .await,
                Some(())
            );
            assert_eq!(patient.idle.borrow().len(), 1);
        }
        assert_eq!(deadline.idle.borrow().len(), 1);
    }

    #[tokio::test]
    async fn calls_at_the_same_time_have_a_deadline_each() {
        let deadline = Deadline::new(PATIENCE);
        let start = Instant::now();
        let late = async {
            sleep(PATIENCE / 2).await;
            assert_eq!(
                deadline
                    .within(deadline.patience(), pin!(pending::<()>()))
                    .await,
                None
            );
            assert!(
                start.elapsed() >= PATIENCE * 3 / 2,
                "its own, not the other's"
            );
        };
        let never = pin!(pending::<()>());
        let early = deadline.within(deadline.patience(), never);
        assert_eq!(tokio::join!(late, early), ((), None));
        assert_eq!(deadline.idle.borrow().len(), 2);
    }

    #[tokio::test]
    async fn work_that_is_done_at_once_takes_no_timer() {
        let deadline = Deadline::new(PATIENCE);
        assert_eq!(
            deadline
                .within(deadline.patience(), pin!(async { 1 }))
                .await,
            Some(1)
        );
        assert!(deadline.idle.borrow().is_empty());
    }

    #[tokio::test]
    async fn a_deadline_holds_when_another_task_goes_on_waiting() {
        let deadline = Deadline::new(PATIENCE);
        let never = pin!(pending::<()>());
        let mut work = Box::pin(deadline.within(deadline.patience(), never));
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(work.as_mut().poll(&mut nobody).is_pending());
        assert_eq!(work.await, None);
    }
}
