//! What every call to one hop passes, and where it is counted: bulkhead, circuit breaker, timeout, retries. It knows no
//! transport; an attempt is any future that ends with a call's result.
//!
//! From the outside in: a call has one place in the bulkhead for all its attempts; each attempt asks the breaker first and
//! has the timeout to itself, or what is left of the order's deadline. What the service refuses is the order's fault: it
//! is not tried again and counts as an answer.

use super::breaker::{Admission, Breaker};
use super::next::{Guards, Next};
use crate::run::{histogram, portable};
use bench_host::clock::now_ns;
use bench_proto::control::HopAccount;
use bench_transport::CallResult;
use hdrhistogram::Histogram;
use rand::RngExt;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long an attempt is waited for where neither hop nor order sets a bound: longer than any run.
const UNBOUNDED: Duration = Duration::from_secs(3_600);
/// Distinct names of failures that are counted apart.
const MAX_NAMES: usize = 64;
/// A retry in the budget's coin: a share of it comes in with each first attempt, exactly for a thousandth of a percent.
const RETRY: u64 = 100_000;
/// Most retries that a budget saves up, after the example of gRPC's own retry throttling (gRFC A6).
const MOST_SAVED: u64 = 10 * RETRY;

/// The way to one hop.
#[derive(Debug)]
pub(super) struct Gate {
    name: String,
    guards: Guards,
    /// What tower's concurrency limit is made of too; its layers would want callers that may change threads.
    places: Option<Semaphore>,
    books: Mutex<Books>,
}

/// What became of the calls since the last reset, and the guards' own memory.
#[derive(Debug)]
struct Books {
    /// Counts the resets: what began before the last one is not entered after it.
    epoch: u64,
    breaker: Option<Breaker>,
    budget: Option<Budget>,
    /// All but what is encoded only when it is asked for.
    account: HopAccount,
    latency: Histogram<u64>,
}

/// Retries as a share of first attempts. tower's budget cuts its share to whole retries per so many deposits (30 % is
/// every third) and lets deposits lapse by its own clock, so its counts could not be held against the first attempts.
#[derive(Debug)]
struct Budget {
    deposit: u64,
    saved: u64,
}

/// How one call, or one attempt of it, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Succeeded,
    Failed { name: String, text: String },
    TimedOut { patience: Duration },
    Shed,
    RefusedByBreaker,
}

impl Budget {
    fn new(percent: f64) -> Self {
        Self {
            deposit: (percent * RETRY as f64 / 100.0).round() as u64,
            saved: 0,
        }
    }

    fn deposit(&mut self) {
        self.saved = (self.saved + self.deposit).min(MOST_SAVED);
    }

    fn withdraw(&mut self) -> bool {
        let rest = self.saved.checked_sub(RETRY);
        self.saved = rest.unwrap_or(self.saved);
        rest.is_some()
    }
}

impl End {
    fn of(result: CallResult, patience: Duration) -> Self {
        match result {
            CallResult::Acknowledged(_) => Self::Succeeded,
            CallResult::Refused(text) => Self::Failed {
                name: REFUSED.into(),
                text,
            },
            CallResult::Failed(failure) => Self::Failed {
                name: failure.name,
                text: failure.text,
            },
            CallResult::TimedOut => Self::TimedOut { patience },
        }
    }

    /// Whether the hop itself is at fault: then its breaker counts it, and trying again may help.
    fn is_its_fault(&self) -> bool {
        match self {
            Self::Succeeded | Self::Shed | Self::RefusedByBreaker => false,
            Self::Failed { name, .. } => name != REFUSED,
            Self::TimedOut { .. } => true,
        }
    }
}

/// The service refused the order.
const REFUSED: &str = "refused";
/// No time was left to call the hop.
const NO_TIME: &str = "deadline";

impl Books {
    fn new(guards: &Guards, epoch: u64) -> Self {
        let now = now_ns();
        Self {
            epoch,
            breaker: guards.breaker.map(|trip| Breaker::new(trip, now)),
            budget: guards.budget.map(Budget::new),
            account: HopAccount::default(),
            latency: histogram(),
        }
    }

    fn enter(&mut self, end: &End) {
        let account = &mut self.account;
        match end {
            End::Succeeded => account.succeeded += 1,
            End::TimedOut { .. } => account.timed_out += 1,
            End::Shed => account.shed += 1,
            End::RefusedByBreaker => account.refused_by_breaker += 1,
            End::Failed { name, .. } => count(&mut account.failed, name),
        }
    }
}

fn count(by_name: &mut BTreeMap<String, u64>, name: &str) {
    let known = by_name.contains_key(name) || by_name.len() < MAX_NAMES;
    let name = if known { name } else { "other" };
    *by_name.entry(name.to_owned()).or_default() += 1;
}

impl Gate {
    pub(super) fn new(next: &Next) -> Self {
        Self {
            name: next.name.clone(),
            guards: next.guards,
            places: next.guards.bulkhead.map(Semaphore::new),
            books: Mutex::new(Books::new(&next.guards, 0)),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no holder of this lock panics")
    }

    /// Forgets everything: the guards start afresh too, so that no run depends on the last one.
    pub(super) fn reset(&self) {
        let mut books = self.books();
        *books = Books::new(&self.guards, books.epoch + 1);
    }

    /// Everything since the last reset.
    pub(super) fn account(&self) -> HopAccount {
        let mut books = self.books();
        let now = now_ns();
        let breaker_ns = books.breaker.as_mut().map(|breaker| breaker.spent(now));
        let account = books.account.clone();
        let latency = books.latency.clone();
        drop(books);
        HopAccount {
            breaker_ns: breaker_ns.unwrap_or_default(),
            latency: portable(&latency),
            ..account
        }
    }

    /// Carries one call through; the error is a sentence that names the hop. An attempt is told how long it may take.
    pub(super) async fn call<F: Future<Output = CallResult>>(
        &self,
        deadline_ns: Option<u64>,
        mut attempt: impl FnMut(Duration) -> F,
    ) -> Result<(), String> {
        let began_ns = now_ns();
        let epoch = {
            let mut books = self.books();
            books.account.calls += 1;
            books.epoch
        };
        let mut attempts = 0;
        let end = self
            .attempts(epoch, deadline_ns, &mut attempt, &mut attempts)
            .await;
        let mut books = self.books();
        if books.epoch == epoch {
            books.enter(&end);
            if attempts > 0 {
                books.latency.saturating_record(now_ns() - began_ns);
            }
        }
        drop(books);
        self.told(end)
    }

    async fn attempts<F: Future<Output = CallResult>>(
        &self,
        epoch: u64,
        deadline_ns: Option<u64>,
        attempt: &mut impl FnMut(Duration) -> F,
        attempts: &mut u32,
    ) -> End {
        let _place = match self.places.as_ref().map(Semaphore::try_acquire) {
            None => None,
            Some(Ok(place)) => Some(place),
            Some(Err(_)) => return End::Shed,
        };
        let mut last = None;
        loop {
            let Some(patience) = self.patience(deadline_ns) else {
                return last.unwrap_or_else(|| End::Failed {
                    name: NO_TIME.into(),
                    text: "the order's deadline had passed before its turn came".into(),
                });
            };
            // A retry that the breaker refuses leaves the call as its last attempt ended.
            let Ok(admission) = self.begin(epoch, *attempts) else {
                return last.unwrap_or(End::RefusedByBreaker);
            };
            *attempts += 1;
            let end = End::of(attempt(patience).await, patience);
            let again = self.ended(epoch, admission, &end, *attempts);
            if !again {
                return end;
            }
            let pause = self.pause(*attempts);
            if !pause.is_zero() {
                if too_late(deadline_ns, pause) {
                    return end;
                }
                tokio::time::sleep(pause).await;
            }
            last = Some(end);
        }
    }

    /// Enters an attempt, after so many of the same call; an error where the breaker refuses it.
    fn begin(&self, epoch: u64, before: u32) -> Result<Option<Admission>, ()> {
        let mut books = self.books();
        if books.epoch != epoch {
            // A straggler of the last run: it goes out, and nothing is learned from it.
            return Ok(None);
        }
        let admission = match &mut books.breaker {
            None => None,
            Some(breaker) => Some(breaker.admit(now_ns()).ok_or(())?),
        };
        books.account.attempts += 1;
        books.account.retried += u64::from(before > 0);
        if before == 0
            && let Some(budget) = &mut books.budget
        {
            budget.deposit();
        }
        Ok(admission)
    }

    /// Takes in how an attempt ended, after so many of its call; whether another is to be made.
    fn ended(&self, epoch: u64, admission: Option<Admission>, end: &End, made: u32) -> bool {
        let mut books = self.books();
        if books.epoch != epoch {
            return false;
        }
        if let (Some(breaker), Some(admission)) = (&mut books.breaker, admission) {
            breaker.ended(admission, end.is_its_fault(), now_ns());
        }
        end.is_its_fault()
            && made <= self.guards.retries
            && books.budget.as_mut().is_none_or(Budget::withdraw)
    }

    /// How long an attempt may take from now on; none where no time is left.
    fn patience(&self, deadline_ns: Option<u64>) -> Option<Duration> {
        let own = self.guards.timeout.unwrap_or(UNBOUNDED);
        let Some(deadline_ns) = deadline_ns else {
            return Some(own);
        };
        let left_ns = deadline_ns.saturating_sub(now_ns());
        (left_ns > 0).then(|| own.min(Duration::from_nanos(left_ns)))
    }

    /// The pause before the retry that follows so many attempts: drawn from all below a bound that doubles.
    fn pause(&self, made: u32) -> Duration {
        let Some((first, most)) = self.guards.backoff else {
            return Duration::ZERO;
        };
        let bound = bound(first, most, made);
        let drawn_ns = rand::rng().random_range(0..=bound.as_nanos() as u64);
        Duration::from_nanos(drawn_ns)
    }

    fn told(&self, end: End) -> Result<(), String> {
        let name = &self.name;
        Err(match end {
            End::Succeeded => return Ok(()),
            End::Failed { name: how, text } => format!("next hop {name} failed ({how}): {text}"),
            End::TimedOut { patience } => {
                format!("next hop {name} timed out: no answer within {patience:?}")
            }
            End::Shed => format!(
                "next hop {name} was not called: its bulkhead of {} calls at once is full",
                self.guards.bulkhead.unwrap_or_default()
            ),
            End::RefusedByBreaker => {
                format!("next hop {name} was not called: its circuit breaker is open")
            }
        })
    }
}

/// The longest pause after so many attempts.
fn bound(first: Duration, most: Duration, made: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(made.saturating_sub(1));
    first.checked_mul(doubled).unwrap_or(most).min(most)
}

/// Whether a pause would outlast the order's deadline.
fn too_late(deadline_ns: Option<u64>, pause: Duration) -> bool {
    let left = |deadline_ns: u64| Duration::from_nanos(deadline_ns.saturating_sub(now_ns()));
    deadline_ns.is_some_and(|deadline_ns| left(deadline_ns) <= pause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_host::clock::after;
    use bench_transport::Failure;
    use std::cell::{Cell, RefCell};
    use std::future::ready;
    use tokio::sync::Notify;

    fn gate(options: &str) -> Gate {
        let next: Next = format!("stock=tcp:h:1{options}").parse().unwrap();
        Gate::new(&next)
    }

    fn failure() -> CallResult {
        CallResult::Failed(Failure {
            by_service: true,
            name: "broken".into(),
            text: "it is broken".into(),
        })
    }

    /// So many calls, one after the other, whose attempts all end like this.
    async fn calls(gate: &Gate, calls: u64, result: fn() -> CallResult) -> Vec<String> {
        let mut sentences = Vec::new();
        for _ in 0..calls {
            let called = gate.call(None, |_| ready(result())).await;
            sentences.extend(called.err());
        }
        sentences
    }

    fn identity_holds(account: &HopAccount) {
        let failed: u64 = account.failed.values().sum();
        let turned_away = account.shed + account.refused_by_breaker;
        assert_eq!(
            account.calls,
            account.succeeded + failed + account.timed_out + turned_away,
            "{account:?}"
        );
        let out_of_time = account.failed.get(NO_TIME).copied().unwrap_or(0);
        assert_eq!(
            account.attempts,
            account.calls - turned_away - out_of_time + account.retried,
            "{account:?}"
        );
    }

    #[tokio::test]
    async fn without_guards_each_call_is_one_attempt_and_ends_as_that_did() {
        let gate = gate("");
        assert!(
            calls(&gate, 3, || CallResult::Acknowledged(None))
                .await
                .is_empty()
        );
        let sentences = calls(&gate, 2, failure).await;
        assert!(
            sentences[0].contains("stock") && sentences[0].contains("it is broken"),
            "{sentences:?}"
        );
        let refused = calls(&gate, 1, || CallResult::Refused("no lines".into())).await;
        assert!(refused[0].contains("no lines"), "{refused:?}");
        let late = calls(&gate, 1, || CallResult::TimedOut).await;
        assert!(late[0].contains("timed out"), "{late:?}");
        let account = gate.account();
        identity_holds(&account);
        assert_eq!((account.calls, account.succeeded), (7, 3));
        assert_eq!((account.failed["broken"], account.failed[REFUSED]), (2, 1));
        assert_eq!((account.timed_out, account.retried), (1, 0));
    }

    #[tokio::test]
    async fn a_failing_hop_is_tried_as_often_as_was_said_and_no_more() {
        let gate = gate(",retries=3");
        calls(&gate, 10, failure).await;
        calls(&gate, 5, || CallResult::TimedOut).await;
        calls(&gate, 2, || CallResult::Refused("no lines".into())).await;
        let account = gate.account();
        identity_holds(&account);
        assert_eq!((account.attempts, account.retried), (62, 45));
    }

    #[tokio::test]
    async fn a_retry_that_succeeds_ends_its_call_well() {
        let gate = gate(",retries=3");
        let tries = Cell::new(0);
        let called = gate.call(None, |_| {
            tries.set(tries.get() + 1);
            ready(match tries.get() {
                1 | 2 => failure(),
                _ => CallResult::Acknowledged(None),
            })
        });
        assert_eq!(called.await, Ok(()));
        let account = gate.account();
        identity_holds(&account);
        assert_eq!((account.attempts, account.succeeded), (3, 1));
    }

    #[tokio::test]
    async fn a_budget_allows_its_share_of_the_first_attempts_exactly() {
        for (options, retried) in [
            (",budget=10%", 10),
            (",budget=30%", 30),
            (",budget=0.5%", 0),
        ] {
            let gate = gate(&format!(",retries=3{options}"));
            calls(&gate, 100, failure).await;
            let account = gate.account();
            identity_holds(&account);
            assert_eq!(account.retried, retried, "{options}");
        }
    }

    #[tokio::test]
    async fn a_budget_saves_up_no_more_than_ten_retries() {
        let gate = gate(",retries=1,budget=50%");
        calls(&gate, 1_000, || CallResult::Acknowledged(None)).await;
        calls(&gate, 15, failure).await;
        // Ten were saved up, and each of the fifteen brings half a retry.
        let account = gate.account();
        identity_holds(&account);
        assert_eq!(account.retried, 15);
        // Two are left, enough for four calls in a row; then every second one has its retry.
        calls(&gate, 100, failure).await;
        assert_eq!(gate.account().retried, 15 + 4 + 48);
    }

    #[tokio::test]
    async fn the_bulkhead_turns_away_exactly_what_is_over_it_and_takes_the_next_after_an_end() {
        let gate = gate(",bulkhead=8");
        let open = Notify::new();
        let (way, opened) = (&gate, &open);
        let held = move || async move {
            way.call(None, move |_| async move {
                opened.notified().await;
                CallResult::Acknowledged(None)
            })
            .await
        };
        let mut inside: Vec<_> = (0..8).map(|_| Box::pin(held())).collect();
        for call in &mut inside {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(call.as_mut().poll(&mut context).is_pending());
        }
        for _ in 0..5 {
            let why = held().await.unwrap_err();
            assert!(why.contains("bulkhead of 8"), "{why}");
        }
        open.notify_waiters();
        for call in inside {
            assert_eq!(call.await, Ok(()));
        }
        calls(&gate, 1, || CallResult::Acknowledged(None)).await;
        let account = gate.account();
        identity_holds(&account);
        assert_eq!((account.shed, account.succeeded), (5, 9));
    }

    #[tokio::test]
    async fn the_breaker_opens_with_its_share_and_the_refused_calls_make_no_attempt() {
        let gate = gate(",breaker=50%/20/60m");
        calls(&gate, 10, || CallResult::Acknowledged(None)).await;
        let sentences = calls(&gate, 90, failure).await;
        assert!(sentences[89].contains("breaker is open"), "{sentences:?}");
        let account = gate.account();
        identity_holds(&account);
        assert_eq!((account.attempts, account.refused_by_breaker), (20, 80));
        assert_eq!(account.failed["broken"], 10);
        assert_eq!(account.breaker_ns.half_open, 0);
    }

    #[tokio::test]
    async fn a_retry_that_the_breaker_refuses_leaves_the_call_as_it_was() {
        let gate = gate(",retries=9,breaker=100%/4/60m");
        calls(&gate, 2, failure).await;
        let account = gate.account();
        identity_holds(&account);
        assert_eq!((account.attempts, account.retried), (4, 3));
        assert_eq!(account.failed["broken"], 1);
        assert_eq!(account.refused_by_breaker, 1);
    }

    #[tokio::test]
    async fn an_attempt_has_the_timeout_or_what_is_left_of_the_orders_deadline() {
        let gate = gate(",timeout=10s");
        let told = RefCell::new(Vec::new());
        let attempt = |patience: Duration| {
            told.borrow_mut().push(patience);
            ready(CallResult::Acknowledged(None))
        };
        gate.call(None, attempt).await.unwrap();
        let far = after(now_ns(), Duration::from_secs(60));
        gate.call(Some(far), attempt).await.unwrap();
        let near = after(now_ns(), Duration::from_secs(5));
        gate.call(Some(near), attempt).await.unwrap();
        let why = gate.call(Some(1), attempt).await.unwrap_err();
        assert!(why.contains("deadline had passed"), "{why}");
        let told = told.take();
        assert_eq!(told[..2], [Duration::from_secs(10); 2]);
        assert!(told.len() == 3 && told[2] <= Duration::from_secs(5));
        let account = gate.account();
        identity_holds(&account);
        assert_eq!(account.failed[NO_TIME], 1);
    }

    #[tokio::test]
    async fn a_pause_that_outlasts_the_deadline_is_not_made() {
        let gate = gate(",retries=100,backoff=60m..60m");
        let deadline = after(now_ns(), Duration::from_secs(1));
        // Its pauses are drawn from an hour. One that falls into the second that is left only lets it try once more.
        let why = gate.call(Some(deadline), |_| ready(failure())).await;
        assert!(why.unwrap_err().contains("it is broken"));
        identity_holds(&gate.account());
    }

    #[test]
    fn the_bound_of_the_pause_doubles_up_to_the_longest() {
        let ms = Duration::from_millis;
        let bounds: Vec<_> = (1..=5).map(|made| bound(ms(10), ms(100), made)).collect();
        assert_eq!(bounds, [ms(10), ms(20), ms(40), ms(80), ms(100)]);
        assert_eq!(bound(ms(10), ms(100), u32::MAX), ms(100));
        let gate = gate(",retries=9,backoff=10ms..1s");
        for made in 1..100 {
            assert!(gate.pause(made) <= ms(1_000));
        }
    }

    #[tokio::test]
    async fn a_reset_forgets_the_counts_and_closes_the_breaker_and_stragglers_are_not_entered() {
        let gate = gate(",breaker=100%/2/60m");
        let open = Notify::new();
        let opened = &open;
        let mut straggler = Box::pin(gate.call(None, move |_| async move {
            opened.notified().await;
            failure()
        }));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(straggler.as_mut().poll(&mut context).is_pending());
        calls(&gate, 3, failure).await;
        assert_eq!(gate.account().refused_by_breaker, 1);
        gate.reset();
        open.notify_waiters();
        assert!(straggler.await.is_err());
        let fresh = gate.account();
        assert_eq!((fresh.calls, fresh.attempts), (0, 0));
        calls(&gate, 1, || CallResult::Acknowledged(None)).await;
        assert_eq!(gate.account().succeeded, 1);
    }
}
