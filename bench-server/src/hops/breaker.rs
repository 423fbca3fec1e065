//! A circuit breaker: it opens when too large a share of the last attempts failed or, where a bound is set, was slow, and
//! after a while lets one attempt at a time find out whether the hop is back. It is given the time and reads no clock.
//!
//! A slow attempt counts when it ends, as in Resilience4j (`slowCallDurationThreshold`, `slowCallRateThreshold`): of a hop
//! that hangs it learns nothing until its calls end. There slow and failed calls have a share each; here they have one.
//!
//! Own code, where a crate would do elsewhere: tower has none, and those built on it (tower-resilience) box futures that
//! may change threads, which a caller's may not, and keep the time in each state to themselves, which is a result here.

use bench_proto::control::BreakerNs;
use std::collections::VecDeque;
use std::time::Duration;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trip {
    /// Failures among the attempts of the window, percent: it opens from there on. Above 0, at most 100.
    pub percent: f64,
    /// How many attempts are looked at: the last so many, and none before there are so many.
    pub window: usize,
    /// How long it stays open.
    pub open: Duration,
}

/// One hop's circuit breaker.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    trip: Trip,
    /// An attempt that took longer counts as one that failed; without it none does.
    slow_after: Option<Duration>,
    state: State,
    since_ns: u64,
    /// Time in the states that have ended.
    spent: BreakerNs,
    /// Counts the states, so that an attempt that began in an earlier one decides nothing.
    number: u64,
}

#[derive(Clone, Debug)]
enum State {
    /// The last attempts, oldest first: whether each failed or was slow.
    Closed(VecDeque<bool>),
    Open {
        until_ns: u64,
    },
    HalfOpen {
        probing: bool,
    },
}

/// The right to one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admission {
    /// The state in which it was given.
    number: u64,
    at_ns: u64,
}

impl Breaker {
    /// Closed, as of now.
    pub(super) fn new(trip: Trip, slow_after: Option<Duration>, now_ns: u64) -> Self {
        Self {
            trip,
            slow_after,
            state: State::Closed(VecDeque::new()),
            since_ns: now_ns,
            spent: BreakerNs::default(),
            number: 0,
        }
    }

    /// Asks for one attempt; none where it is refused.
    pub(super) fn admit(&mut self, now_ns: u64) -> Option<Admission> {
        self.pass(now_ns);
        let admitted = match &mut self.state {
            State::Closed(_) => true,
            State::Open { .. } => false,
            State::HalfOpen { probing } => !std::mem::replace(probing, true),
        };
        admitted.then_some(Admission {
            number: self.number,
            at_ns: now_ns,
        })
    }

    /// Takes in how an admitted attempt ended.
    pub(super) fn ended(&mut self, admission: Admission, failed: bool, now_ns: u64) {
        self.pass(now_ns);
        if admission.number != self.number {
            return;
        }
        let bad = failed || self.is_slow(now_ns.saturating_sub(admission.at_ns));
        let opens = match &mut self.state {
            State::Closed(last) => {
                if last.len() == self.trip.window {
                    last.pop_front();
                }
                last.push_back(bad);
                let counted = last.iter().filter(|bad| **bad).count();
                let share = counted as f64 * 100.0;
                last.len() == self.trip.window
                    && share >= self.trip.percent * self.trip.window as f64
            }
            // No attempt is admitted in it.
            State::Open { .. } => return,
            State::HalfOpen { .. } if bad => true,
            State::HalfOpen { .. } => {
                self.enter(State::Closed(VecDeque::new()), now_ns);
                return;
            }
        };
        if opens {
            let open = u64::try_from(self.trip.open.as_nanos()).unwrap_or(u64::MAX);
            let until_ns = now_ns.saturating_add(open);
            self.enter(State::Open { until_ns }, now_ns);
        }
    }

    fn is_slow(&self, took_ns: u64) -> bool {
        self.slow_after
            .is_some_and(|bound| Duration::from_nanos(took_ns) > bound)
    }

    /// Time in each state until now.
    pub(super) fn spent(&mut self, now_ns: u64) -> BreakerNs {
        self.pass(now_ns);
        let mut spent = self.spent;
        *self.of(&mut spent) += now_ns.saturating_sub(self.since_ns);
        spent
    }

    /// Where the time in the present state is counted.
    fn of<'a>(&self, spent: &'a mut BreakerNs) -> &'a mut u64 {
        match self.state {
            State::Closed(_) => &mut spent.closed,
            State::Open { .. } => &mut spent.open,
            State::HalfOpen { .. } => &mut spent.half_open,
        }
    }

    /// An open breaker is half open from its time on, whether or not anybody asks then.
    fn pass(&mut self, now_ns: u64) {
        if let State::Open { until_ns } = self.state
            && now_ns >= until_ns
        {
            self.enter(State::HalfOpen { probing: false }, until_ns);
        }
    }

    fn enter(&mut self, state: State, at_ns: u64) {
        let mut spent = self.spent;
        *self.of(&mut spent) += at_ns.saturating_sub(self.since_ns);
        self.spent = spent;
        self.since_ns = at_ns;
        self.state = state;
        self.number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Trip = Trip {
        percent: 50.0,
        window: 4,
        open: Duration::from_nanos(100),
    };
    const SLOW_AFTER: Option<Duration> = Some(Duration::from_nanos(20));

    /// One attempt that begins and ends at this instant; false if it was refused.
    fn attempt(breaker: &mut Breaker, failed: bool, at_ns: u64) -> bool {
        let admission = breaker.admit(at_ns);
        if let Some(admission) = admission {
            breaker.ended(admission, failed, at_ns);
        }
        admission.is_some()
    }

    /// So many attempts at a time that begin at this instant, take so long, and do not fail.
    fn taking(breaker: &mut Breaker, attempts: usize, from_ns: u64, took_ns: u64) {
        let begun: Vec<_> = (0..attempts)
            .map(|_| breaker.admit(from_ns).expect("it is closed"))
            .collect();
        for admission in begun {
            breaker.ended(admission, false, from_ns + took_ns);
        }
    }

    fn opened_at(at_ns: u64) -> Breaker {
        let mut breaker = Breaker::new(TRIP, None, 0);
        for _ in 0..4 {
            assert!(attempt(&mut breaker, true, at_ns));
        }
        breaker
    }

    #[test]
    fn it_opens_with_the_attempt_that_fills_its_share_and_refuses_from_there_on() {
        let mut breaker = Breaker::new(TRIP, None, 0);
        for failed in [true, true, true] {
            assert!(attempt(&mut breaker, failed, 10));
        }
        // The fourth fills the window: three of four failed, though this one did not.
        assert!(attempt(&mut breaker, false, 10));
        assert!(!attempt(&mut breaker, false, 10));
        assert!(!attempt(&mut breaker, false, 109));
    }

    #[test]
    fn a_share_below_its_own_leaves_it_closed_however_long() {
        let mut breaker = Breaker::new(TRIP, None, 0);
        for at in 0..1_000 {
            assert!(attempt(&mut breaker, at % 4 == 0, at), "at {at}");
        }
    }

    #[test]
    fn only_the_last_attempts_are_looked_at() {
        let mut breaker = Breaker::new(TRIP, None, 0);
        for _ in 0..100 {
            assert!(attempt(&mut breaker, false, 1));
        }
        assert!(attempt(&mut breaker, true, 2));
        assert!(attempt(&mut breaker, true, 2), "one of four has failed");
        assert!(!attempt(&mut breaker, true, 2), "two of four have");
    }

    #[test]
    fn after_its_time_one_attempt_goes_out_and_its_success_closes_it() {
        let mut breaker = opened_at(1_000);
        assert!(breaker.admit(1_099).is_none());
        let probe = breaker.admit(1_100).expect("its time is over");
        assert!(breaker.admit(1_150).is_none(), "one at a time");
        breaker.ended(probe, false, 1_200);
        for _ in 0..3 {
            assert!(attempt(&mut breaker, true, 1_300), "the window is empty");
        }
        assert_eq!(
            breaker.spent(1_300),
            BreakerNs {
                closed: 1_100,
                open: 100,
                half_open: 100
            }
        );
    }

    #[test]
    fn a_probe_that_fails_opens_it_for_as_long_again() {
        let mut breaker = opened_at(1_000);
        assert!(attempt(&mut breaker, true, 1_150));
        assert!(breaker.admit(1_249).is_none());
        assert!(breaker.admit(1_250).is_some());
        assert_eq!(
            breaker.spent(1_260),
            BreakerNs {
                closed: 1_000,
                open: 200,
                half_open: 60
            }
        );
    }

    #[test]
    fn an_attempt_from_before_it_opened_decides_nothing_afterwards() {
        let mut breaker = Breaker::new(TRIP, None, 0);
        let early = breaker.admit(0).expect("closed");
        for _ in 0..4 {
            assert!(attempt(&mut breaker, true, 10));
        }
        breaker.ended(early, false, 20);
        assert!(breaker.admit(30).is_none());
        let probe = breaker.admit(110).expect("its time is over");
        breaker.ended(early, true, 120);
        breaker.ended(probe, false, 130);
        assert!(attempt(&mut breaker, true, 140));
    }

    #[test]
    fn the_times_of_its_states_are_all_of_the_time_whoever_asks_when() {
        let mut breaker = opened_at(50);
        for now in [50, 100, 149, 150, 151, 10_000] {
            let BreakerNs {
                closed,
                open,
                half_open,
            } = breaker.spent(now);
            assert_eq!(closed + open + half_open, now);
            assert_eq!((closed, open), (50, (now - 50).min(100)));
        }
    }

    #[test]
    fn slow_attempts_open_it_though_none_fails() {
        let mut breaker = Breaker::new(TRIP, SLOW_AFTER, 0);
        taking(&mut breaker, 4, 0, 10);
        taking(&mut breaker, 1, 10, 21);
        assert!(attempt(&mut breaker, false, 40), "one of four was slow");
        taking(&mut breaker, 1, 40, 21);
        assert!(breaker.admit(62).is_none(), "two of four were");
        assert!(breaker.admit(160).is_none());
        assert!(breaker.admit(161).is_some());
    }

    #[test]
    fn quick_attempts_leave_it_closed_up_to_the_bound_itself() {
        let mut breaker = Breaker::new(TRIP, SLOW_AFTER, 0);
        for round in 0..100 {
            taking(&mut breaker, 4, round * 20, 20);
        }
        assert!(breaker.admit(2_000).is_some());
        assert_eq!(breaker.spent(2_000).open, 0);
    }

    #[test]
    fn without_a_bound_no_attempt_is_slow_however_long_it_takes() {
        let mut breaker = Breaker::new(TRIP, None, 0);
        taking(&mut breaker, 100, 0, 1_000_000);
        assert!(breaker.admit(1_000_001).is_some());
        assert_eq!(breaker.spent(1_000_001).open, 0);
    }

    #[test]
    fn an_attempt_that_failed_slowly_counts_once_beside_those_that_did_one_of_both() {
        let mut breaker = Breaker::new(TRIP, SLOW_AFTER, 0);
        taking(&mut breaker, 3, 0, 10);
        let both = breaker.admit(10).expect("closed");
        breaker.ended(both, true, 40);
        assert!(attempt(&mut breaker, false, 40), "one of four");
        assert!(attempt(&mut breaker, true, 40), "a failure makes two");
        assert!(breaker.admit(41).is_none());
    }

    #[test]
    fn attempts_that_hang_count_when_they_end_and_not_before() {
        let mut breaker = Breaker::new(TRIP, SLOW_AFTER, 0);
        let hanging: Vec<_> = (0..4).map(|_| breaker.admit(0).expect("closed")).collect();
        assert!(breaker.admit(1_000).is_some(), "nothing has ended yet");
        for admission in hanging {
            breaker.ended(admission, false, 2_000);
        }
        assert!(breaker.admit(2_001).is_none());
    }

    #[test]
    fn a_slow_probe_opens_it_again_and_a_quick_one_closes_it() {
        let mut breaker = Breaker::new(TRIP, SLOW_AFTER, 0);
        taking(&mut breaker, 4, 0, 21);
        let slow = breaker.admit(121).expect("its time is over");
        breaker.ended(slow, false, 142);
        assert!(breaker.admit(241).is_none());
        let quick = breaker.admit(242).expect("its time is over again");
        breaker.ended(quick, false, 262);
        taking(&mut breaker, 4, 262, 1);
        assert_eq!(
            breaker.spent(300),
            BreakerNs {
                closed: 21 + 38,
                open: 200,
                half_open: 21 + 20
            }
        );
    }

    #[test]
    fn a_share_of_all_takes_all() {
        let mut breaker = Breaker::new(
            Trip {
                percent: 100.0,
                ..TRIP
            },
            None,
            0,
        );
        for failed in [true, true, true, false, true, true, true] {
            assert!(attempt(&mut breaker, failed, 1));
        }
        assert!(attempt(&mut breaker, true, 1));
        assert!(!attempt(&mut breaker, true, 1));
    }
}
