//! How fast the machine computes at this moment. Whoever is busy on the other thread of a core, or in its caches, slows all that
//! runs on it, and no counter that a guest can read tells: nothing is stolen, and no process of its own has used anything.

use crate::cpu::thread_cpu_ns;
use crate::error::Error;
use crate::place::{Cpus, pin_thread};
use std::hint::black_box;
use std::sync::LazyLock;

/// 512 KiB of steps: alone on a core they fit into most second-level caches, beside a neighbour no longer.
const STEPS: usize = 1 << 17;
/// The median of so many walks counts: about 10 ms in all.
const WALKS: usize = 9;

/// Where each step leads: one cycle through all of it in an order that no prefetcher guesses.
static CYCLE: LazyLock<Vec<u32>> = LazyLock::new(cycle);

/// Sattolo's shuffle ("An algorithm to generate a random cyclic permutation", 1986), which leaves a single cycle; drawn by
/// a fixed linear congruential generator (Numerical Recipes), so that every walk is the same one.
fn cycle() -> Vec<u32> {
    let mut cycle: Vec<u32> = (0..STEPS as u32).collect();
    let mut drawn: u32 = 1;
    for last in (1..STEPS).rev() {
        drawn = drawn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        cycle.swap(last, (drawn >> 8) as usize % last);
    }
    cycle
}

/// CPU time of one step, ns: the median of several walks on each of the cores, all at once, and the mean over them.
pub fn step_ns(cores: &[Option<Cpus>]) -> Result<f64, Error> {
    let walks: Vec<Result<f64, Error>> = std::thread::scope(|scope| {
        let walking: Vec<_> = cores
            .iter()
            .map(|cpus| scope.spawn(move || median_walk(cpus.as_ref())))
            .collect();
        let ended = walking.into_iter().map(|walk| walk.join());
        ended
            .map(|walk| walk.expect("a walk does not panic"))
            .collect()
    });
    let n = walks.len() as f64;
    walks.into_iter().map(|walk| Ok(walk? / n)).sum()
}

fn median_walk(cpus: Option<&Cpus>) -> Result<f64, Error> {
    if let Some(cpus) = cpus {
        pin_thread(cpus)?;
    }
    let mut times = [0; WALKS];
    for time in &mut times {
        let before = thread_cpu_ns();
        black_box((0..STEPS).fold(0, |at: u32, _| CYCLE[at as usize]));
        *time = thread_cpu_ns() - before;
    }
    times.sort_unstable();
    Ok(times[WALKS / 2] as f64 / STEPS as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_goes_everywhere_once() {
        let mut seen = vec![false; STEPS];
        let mut at = 0;
        for _ in 0..STEPS {
            assert!(!std::mem::replace(&mut seen[at], true), "{at} twice");
            at = CYCLE[at] as usize;
        }
        assert_eq!(at, 0);
    }

    #[test]
    fn a_step_takes_its_time_on_every_core() {
        let step = step_ns(&[None, None]).unwrap();
        assert!(step.is_finite() && step > 0.0, "{step}");
    }
}
