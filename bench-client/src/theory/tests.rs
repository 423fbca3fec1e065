//! The formulas against figures that are in print, and against a seeded simulation of a queue with several workers.

use super::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn near(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance, "{a} is not {b} ± {tolerance}");
}

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Offsets of arrivals below `until`, in seconds.
fn poisson(rate: f64, until: f64, random: &mut StdRng) -> Vec<f64> {
    let mut at = 0.0;
    let mut arrivals = Vec::new();
    loop {
        let uniform: f64 = random.random();
        at -= (1.0 - uniform).ln() / rate;
        if at >= until {
            return arrivals;
        }
        arrivals.push(at);
    }
}

fn even(rate: f64, until: f64) -> Vec<f64> {
    (0..(rate * until) as u32)
        .map(|i| f64::from(i) / rate)
        .collect()
}

/// First come, first served: when each order arrived, began and ended. `time` is asked with the moment of the beginning.
fn serve(
    arrivals: &[f64],
    workers: usize,
    mut time: impl FnMut(f64) -> f64,
) -> Vec<(f64, f64, f64)> {
    let mut free = vec![0.0_f64; workers];
    let mut served = Vec::new();
    for &at in arrivals {
        let sooner = |first: usize, worker: usize| {
            if free[worker] < free[first] {
                worker
            } else {
                first
            }
        };
        let first = (1..workers).fold(0, sooner);
        let began = at.max(free[first]);
        let ended = began + time(began);
        free[first] = ended;
        served.push((at, began, ended));
    }
    served
}

#[test]
fn the_example_of_the_facts_is_worked_out() {
    // 200/s against 8 workers of 200 ms for 2.5 s, then 1 ms.
    let (arrivals, slow, well) = (PerSecond(200.0), capacity(8, s(0.2)), capacity(8, s(0.001)));
    near(slow.0, 40.0, 1e-9);
    let waiting = backlog(arrivals, slow, s(2.5));
    near(waiting.0, 400.0, 1e-9);
    near(oldest(arrivals, slow, s(2.5)).as_secs_f64(), 2.0, 1e-9);
    let drained = drain(waiting, arrivals, well).unwrap();
    near(drained.as_secs_f64(), 400.0 / 7_800.0, 1e-6);
    near(in_flight(arrivals, s(0.2)).0, 40.0, 1e-9);
    assert_eq!(workers_needed(arrivals, s(0.2)), 41);
    near(turned_away(waiting, Orders(150.0)).0, 250.0, 1e-9);
    assert_eq!(turned_away(waiting, Orders(500.0)), Orders(0.0));
}

#[test]
fn what_keeps_up_leaves_nothing_and_what_cannot_never_drains() {
    let (arrivals, done) = (PerSecond(100.0), PerSecond(100.0));
    assert_eq!(backlog(arrivals, done, s(60.0)), Orders(0.0));
    assert_eq!(oldest(arrivals, done, s(60.0)), Duration::ZERO);
    assert_eq!(drain(Orders(0.0), arrivals, done), Some(Duration::ZERO));
    assert_eq!(drain(Orders(1.0), arrivals, done), None);
    // An outage: nothing is done, and the oldest order is as old as the outage.
    assert_eq!(
        oldest(arrivals, PerSecond(0.0), s(600.0)),
        Duration::from_secs(600)
    );
    // No time at all over an order is no limit.
    let unlimited = capacity(1, Duration::ZERO);
    assert_eq!(
        drain(Orders(1e6), arrivals, unlimited),
        Some(Duration::ZERO)
    );
    // Millions per second over minutes are only larger numbers.
    let large = backlog(PerSecond(2e6), PerSecond(0.0), s(600.0));
    near(large.0, 1.2e9, 1e-3);
}

#[test]
fn chains_and_fan_outs_are_those_in_print() {
    // "p = 1 %, N = 5 gives 95 %": 4.900995 % fail.
    near(chain_failure(Share(0.01), 5).0, 0.049_009_95, 1e-9);
    near(chain_failure(Share(0.01), 1).0, 0.01, 1e-12);
    // Dean and Barroso, The Tail at Scale: 1 in 100 over 100 servers, and 1 in 10,000 over 2,000.
    near(fan_out_slow(Share(0.01), 100).0, 0.634, 5e-4);
    near(fan_out_slow(Share(0.0001), 2_000).0, 0.1813, 5e-5);
    assert_eq!(chain_failure(Share(0.3), 0), Share(0.0));
    assert_eq!(chain_failure(Share(1.0), 3), Share(1.0));
    assert_eq!(chain_failure(Share(0.0), 3), Share(0.0));
    // Digits of a small share survive.
    near(chain_failure(Share(1e-9), 5).0, 5e-9, 1e-16);
}

#[test]
fn a_counted_share_carries_its_interval_through_the_formula() {
    let found = any_of_counted(10, 1_000, 5).unwrap();
    near(found.point.0, 0.049_009_95, 1e-9);
    let (low, high) = binomial::interval(10, 1_000, LEVEL).unwrap();
    near(found.low.0, 1.0 - (1.0 - low).powi(5), 1e-12);
    near(found.high.0, 1.0 - (1.0 - high).powi(5), 1e-12);
    assert!(found.low < found.point && found.point < found.high);
    assert_eq!(any_of_counted(0, 0, 5), None);
}

#[test]
fn erlangs_tables_come_back() {
    // Ten erlangs on ten lines: 21.46 % are lost.
    near(erlang_b(Orders(10.0), 10).0, 0.2146, 5e-5);
    // Two erlangs, three workers, by hand: B = 4/19, C = 4/9.
    near(erlang_b(Orders(2.0), 3).0, 4.0 / 19.0, 1e-12);
    near(erlang_c(Orders(2.0), 3).0, 4.0 / 9.0, 1e-12);
    // One worker: the share that waits is the load.
    near(erlang_c(Orders(0.7), 1).0, 0.7, 1e-12);
    assert_eq!(erlang_c(Orders(3.0), 3), Share(1.0));
    // M/M/1 at 80 %: 0.8 ÷ (1 − 0.8) service times.
    let wait = mean_wait(PerSecond(0.8), s(1.0), 1).unwrap();
    near(wait.as_secs_f64(), 4.0, 1e-9);
    assert_eq!(mean_wait(PerSecond(1.0), s(1.0), 1), None);
}

#[test]
fn a_simulated_queue_waits_as_erlang_says() {
    let mut random = StdRng::seed_from_u64(11);
    let arrivals = poisson(8.0, 40_000.0, &mut random);
    let served = serve(&arrivals, 10, |_| {
        let uniform: f64 = random.random();
        -(1.0 - uniform).ln()
    });
    let n = served.len() as f64;
    let waited = served.iter().filter(|(at, began, _)| began > at).count() as f64;
    let mean = served.iter().map(|(at, began, _)| began - at).sum::<f64>() / n;
    near(waited / n, erlang_c(Orders(8.0), 10).0, 0.02);
    let expected = mean_wait(PerSecond(8.0), s(1.0), 10).unwrap().as_secs_f64();
    near(mean / expected, 1.0, 0.1);
    // Little: what is in the system, over time, is rate × time in the system.
    let in_system: f64 = served.iter().map(|(at, _, ended)| ended - at).sum();
    let rate = n / 40_000.0;
    near(in_system / 40_000.0, rate * (in_system / n), 1e-9);
}

#[test]
fn a_simulated_backlog_lies_in_its_interval_as_often_as_is_claimed() {
    const REPETITIONS: u32 = 400;
    let (arrivals, workers, time, lasting) = (PerSecond(200.0), 8, 0.2, 2.5);
    let expected = backlog_between(
        arrivals,
        capacity(workers, s(time)),
        s(lasting),
        Arrivals::Poisson,
        workers,
    );
    near(expected.point.0, 400.0, 1e-9);
    let mut random = StdRng::seed_from_u64(7);
    let mut inside = 0;
    for _ in 0..REPETITIONS {
        let offered = poisson(arrivals.0, lasting, &mut random);
        let served = serve(&offered, workers as usize, |_| time);
        let open = served
            .iter()
            .filter(|(_, _, ended)| *ended > lasting)
            .count() as f64;
        inside += u32::from(expected.low.0 <= open && open <= expected.high.0);
    }
    let covered = f64::from(inside) / f64::from(REPETITIONS);
    // It may cover more, by the width of one step of the workers, and must not cover everything.
    assert!((0.93..=0.999).contains(&covered), "{covered}");
    // Even arrivals have no spread of their own.
    let steady = backlog_between(
        arrivals,
        capacity(workers, s(time)),
        s(lasting),
        Arrivals::Even,
        workers,
    );
    assert_eq!(
        (steady.low.0.round(), steady.high.0.round()),
        (391.0, 409.0),
        "one arrival and eight workers on either side"
    );
    let open = serve(&even(200.0, lasting), 8, |_| time)
        .iter()
        .filter(|(_, _, ended)| *ended > lasting)
        .count() as f64;
    assert!(steady.low.0 <= open && open <= steady.high.0, "{open}");
}

#[test]
fn a_simulated_slow_phase_drains_and_ages_as_the_formulas_say() {
    let (rate, slow, well, until) = (200.0, 0.2, 0.005, 2.5);
    let served = serve(
        &even(rate, 6.0),
        8,
        |began| {
            if began < until { slow } else { well }
        },
    );
    let done = capacity(8, s(slow));
    let waiting = backlog(PerSecond(rate), done, s(until));
    let drained = drain(waiting, PerSecond(rate), capacity(8, s(well))).unwrap();
    // The first order after the phase that finds a worker free; those in work may hold the drain up by one slow time.
    let (free_at, ..) = served
        .iter()
        .find(|(at, began, _)| *at > until && began == at)
        .unwrap();
    let took = free_at - until;
    let formula = drained.as_secs_f64();
    assert!(
        (formula - 0.05..=formula + slow + 0.05).contains(&took),
        "{took} against {formula}"
    );
    let longest = served
        .iter()
        .map(|(at, began, _)| began - at)
        .fold(0.0, f64::max);
    near(
        longest,
        oldest(PerSecond(rate), done, s(until)).as_secs_f64(),
        slow,
    );
}

#[test]
fn a_course_has_a_corner_where_it_turns_and_where_it_is_empty() {
    let stage = |seconds, done| Stage {
        lasting: s(seconds),
        arrivals: PerSecond(200.0),
        done: PerSecond(done),
    };
    let corners = course(&[stage(1.0, 8_000.0), stage(2.5, 40.0), stage(4.0, 600.0)]);
    let found: Vec<(f64, f64)> = corners
        .iter()
        .map(|corner| (corner.at.as_secs_f64(), corner.waiting.0))
        .collect();
    assert_eq!(
        found,
        [(0.0, 0.0), (1.0, 0.0), (3.5, 400.0), (4.5, 0.0), (7.5, 0.0)]
    );
    // Without capacity left over there is no way back.
    let last = *course(&[stage(1.0, 0.0), stage(9.0, 200.0)])
        .last()
        .unwrap();
    near(last.waiting.0, 200.0, 1e-9);
}

#[test]
fn a_measurement_agrees_where_the_intervals_meet() {
    let expected = (390.0, 410.0);
    assert_eq!(agreement(expected, (409.0, 430.0)), Agreement::Agrees);
    assert_eq!(agreement(expected, (411.0, 430.0)), Agreement::Above);
    assert_eq!(agreement(expected, (380.0, 389.0)), Agreement::Below);
    assert_eq!(Agreement::Above.to_string(), "measured above");
}

#[test]
fn a_poisson_number_lies_between_its_exact_quantiles() {
    // Tables of the Poisson distribution: mean 10, 2.5 % and 97.5 %.
    assert_eq!(poisson_between(10.0), (4.0, 17.0));
    assert_eq!(poisson_between(0.0), (0.0, 0.0));
    // Exact and normal meet at the border.
    let (low, high) = poisson_between(LARGE_MEAN);
    near(low, LARGE_MEAN - 1.96 * LARGE_MEAN.sqrt(), 2.0);
    near(high, LARGE_MEAN + 1.96 * LARGE_MEAN.sqrt(), 2.0);
    let (low, high) = poisson_between(4.0 * LARGE_MEAN);
    near(high - low, 2.0 * 1.959_964 * 200.0, 0.01);
}
