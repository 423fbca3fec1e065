//! What every call to one hop passes, and where it is counted: bulkhead, circuit breaker, timeout, retries. It knows no
//! transport; an attempt is any future that ends with a call's result.
//!
//! From the outside in: a call has one place in the bulkhead for all its attempts; each attempt asks the breaker first and
//! has the timeout to itself, or what is left of the order's deadline. What the service refuses is the order's fault: it
//! is not tried again and counts as an answer.

use super::breaker::{Admission, Breaker};
use super::guards::Guards;
use super::next::Next;
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
            breaker: guards
                .breaker
                .map(|trip| Breaker::new(trip, guards.slow_after, now)),
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
mod tests;
