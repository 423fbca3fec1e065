//! Micro-measurements inside this process: arms run next to each other in shuffled order, block by block, and one block
//! gives one observation of each, in CPU time of this thread. It knows nothing of what the arms do.

use rand::SeedableRng;
use rand::seq::SliceRandom;

/// Work to be measured.
pub struct Arm<'a> {
    /// One pass of it.
    pub pass: Box<dyn FnMut() + 'a>,
    /// What one pass does so many times: the divisor.
    pub units: u64,
}

/// What came of an arm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Passes per block, the same in each.
    pub passes: u64,
    /// CPU time per unit, ns, one observation per block.
    pub ns_per_unit: Vec<f64>,
}

/// Measures every arm once per block; a block runs an arm for about `least_ns` (and one pass at the least). Passes before
/// the first block warm caches and branch predictors and say how many fill that time; they are not recorded.
/// `now_ns` is the clock: CPU time of this thread, or in tests a virtual one.
pub fn measure(
    arms: &mut [Arm<'_>],
    blocks: u32,
    least_ns: u64,
    seed: u64,
    now_ns: impl Fn() -> u64,
) -> Vec<Observed> {
    let timed = |arm: &mut Arm<'_>, passes: u64| {
        let began = now_ns();
        for _ in 0..passes {
            (arm.pass)();
        }
        now_ns() - began
    };
    let mut observed: Vec<Observed> = arms
        .iter_mut()
        .map(|arm| {
            timed(arm, 1);
            let once = timed(arm, 1).max(1);
            Observed {
                passes: least_ns.div_ceil(once).max(1),
                ns_per_unit: Vec::new(),
            }
        })
        .collect();
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..arms.len()).collect();
    for _ in 0..blocks {
        order.shuffle(&mut random);
        for &at in &order {
            let passes = observed[at].passes;
            // What the last arm left in the caches is not this one's doing.
            (arms[at].pass)();
            let spent = timed(&mut arms[at], passes);
            let units = (passes * arms[at].units.max(1)) as f64;
            observed[at].ns_per_unit.push(spent as f64 / units);
        }
    }
    observed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    #[test]
    fn what_an_arm_costs_comes_back_exactly_and_each_block_observes_each_arm_once() {
        let (clock, turns) = (Cell::new(0_u64), RefCell::new(Vec::new()));
        let arm = |name: char, costs: u64, units| Arm {
            pass: Box::new({
                let (clock, turns) = (&clock, &turns);
                move || {
                    clock.set(clock.get() + costs);
                    turns.borrow_mut().push(name);
                }
            }),
            units,
        };
        let mut arms = [arm('a', 100, 4), arm('b', 3_000, 1), arm('c', 7, 1)];
        let observed = measure(&mut arms, 6, 1_000, 1, || clock.get());
        drop(arms);
        let of = |passes, ns: f64| Observed {
            passes,
            ns_per_unit: vec![ns; 6],
        };
        assert_eq!(observed, [of(10, 25.0), of(1, 3_000.0), of(143, 7.0)]);
        // Two passes each before the blocks, then per block one to warm up and the counted ones, arm by arm.
        let mut rest = turns.borrow()[6..].to_vec();
        let mut orders = Vec::new();
        while !rest.is_empty() {
            let mut order = String::new();
            for _ in 0..3 {
                let name = rest[0];
                let passes = match name {
                    'a' => 11,
                    'b' => 2,
                    _ => 144,
                };
                assert!(rest.drain(..passes).all(|turn| turn == name));
                order.push(name);
            }
            orders.push(order);
        }
        assert_eq!(orders.len(), 6);
        orders.sort();
        orders.dedup();
        assert!(
            orders.len() > 1,
            "the order changes between blocks: {orders:?}"
        );
    }

    #[test]
    fn an_arm_that_takes_no_time_at_all_is_still_measured() {
        let mut arms = [Arm {
            pass: Box::new(|| ()),
            units: 1,
        }];
        assert_eq!(
            measure(&mut arms, 2, 3, 1, || 5),
            [Observed {
                passes: 3,
                ns_per_unit: vec![0.0, 0.0]
            }]
        );
    }
}
