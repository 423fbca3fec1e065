//! Coverage of the interval over blocks, by seeded simulation: paired arms with a known true ratio, the noise that
//! benchmarks have, 2,000 repetitions each.

use super::Estimate;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const TRUE_RATIO: f64 = 1.3;
const REPETITIONS: usize = 2_000;

fn normal(rng: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// One trial's noise, as a factor.
type Noise = fn(&mut StdRng) -> f64;

/// In which order the two arms of a block run.
#[derive(Clone, Copy)]
enum Order {
    Shuffled,
    Fixed,
}

/// `drift` is what the machine's level goes on by from one trial to the next: the second arm of a block meets another
/// than the first.
fn coverage(blocks: usize, seed: u64, drift: Noise, order: Order, noise: Noise) -> f64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut hits = 0;
    for _ in 0..REPETITIONS {
        let mut level = 1.0;
        let ratios: Vec<f64> = (0..blocks)
            .map(|_| {
                let [first, second] = [(); 2].map(|()| {
                    level *= drift(&mut rng);
                    level * noise(&mut rng)
                });
                let (a, b) = match order {
                    Order::Shuffled if rng.random() => (first, second),
                    _ => (second, first),
                };
                TRUE_RATIO * a / b
            })
            .collect();
        let (low, high) = Estimate::of_ratios(&ratios)
            .unwrap()
            .interval(0.95)
            .unwrap();
        hits += usize::from(low <= TRUE_RATIO && TRUE_RATIO <= high);
    }
    hits as f64 / REPETITIONS as f64
}

fn still(_: &mut StdRng) -> f64 {
    1.0
}

/// A machine that gets slower by 2 % from trial to trial, and wanders by as much.
fn drifting(rng: &mut StdRng) -> f64 {
    (0.02 + 0.02 * normal(rng)).exp()
}

fn gaussian(rng: &mut StdRng) -> f64 {
    (1.0 + 0.08 * normal(rng)).max(0.05)
}

/// Trials that agree to 2 %, so that a drift of as much shows.
fn sharp(rng: &mut StdRng) -> f64 {
    (0.02 * normal(rng)).exp()
}

fn lognormal(rng: &mut StdRng) -> f64 {
    (0.25 * normal(rng)).exp()
}

fn student_3(rng: &mut StdRng) -> f64 {
    let chi: f64 = (0..3).map(|_| normal(rng).powi(2)).sum();
    (0.08 * normal(rng) / (chi / 3.0).sqrt()).exp()
}

fn pareto(rng: &mut StdRng) -> f64 {
    (1.0 - rng.random::<f64>()).powf(-1.0 / 2.5)
}

#[test]
fn the_interval_covers_the_truth_in_at_least_93_percent_of_runs() {
    let noises: [(&str, Noise, Noise); 5] = [
        ("normal", still, gaussian),
        ("lognormal", still, lognormal),
        ("heavy-tailed, t with 3 degrees", still, student_3),
        ("heavy-tailed, Pareto", still, pareto),
        ("drifting", drifting, sharp),
    ];
    for (seed, (name, drift, noise)) in noises.into_iter().enumerate() {
        for blocks in [6, 10] {
            let covered = coverage(blocks, 0x5eed + seed as u64, drift, Order::Shuffled, noise);
            assert!(covered >= 0.93, "{name} over {blocks} blocks: {covered}");
            // An interval that always covers would be no interval: heavy tails widen it, and no further than this.
            assert!(covered <= 0.995, "{name} over {blocks} blocks: {covered}");
        }
    }
}

#[test]
fn under_drift_arms_in_a_fixed_order_are_covered_worse_so_they_are_shuffled() {
    for blocks in [6, 10] {
        let under = |order| coverage(blocks, 0xd21f7, drifting, order, sharp);
        let (shuffled, fixed) = (under(Order::Shuffled), under(Order::Fixed));
        assert!(shuffled >= 0.93, "{blocks} blocks: {shuffled}");
        // More blocks make the interval narrower and the bias no less.
        assert!(fixed < 0.87, "{blocks} blocks: {fixed}");
    }
}

#[test]
fn the_interval_of_unpaired_trials_covers_the_truth_too_even_of_one_against_several() {
    // Trials of the one and of the other run, and their spreads.
    for (seed, (above, below, spreads)) in [
        (6, 6, [0.08, 0.08]),
        (10, 6, [0.08, 0.08]),
        (6, 6, [0.16, 0.04]),
        (3, 10, [0.08, 0.08]),
        (1, 6, [0.08, 0.08]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut rng = StdRng::seed_from_u64(0xc0de + seed as u64);
        let mut sample = |n: usize, centre: f64, spread: f64| -> Vec<f64> {
            let noise = |_: usize| centre * (spread * normal(&mut rng)).exp();
            (0..n).map(noise).collect()
        };
        let mut hits = 0;
        for _ in 0..REPETITIONS {
            let (a, b) = (
                sample(above, TRUE_RATIO, spreads[0]),
                sample(below, 1.0, spreads[1]),
            );
            let (low, high) = Estimate::of_unpaired(&a, &b)
                .unwrap()
                .interval(0.95)
                .unwrap();
            hits += usize::from(low <= TRUE_RATIO && TRUE_RATIO <= high);
        }
        let covered = hits as f64 / REPETITIONS as f64;
        assert!(
            (0.93..=0.99).contains(&covered),
            "{above} against {below}, spreads {spreads:?}: {covered}"
        );
    }
}

#[test]
fn a_healthy_aa_pair_passes_and_a_planted_tenth_does_not() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut share = |effect: f64| {
        let passed = (0..REPETITIONS)
            .filter(|_| {
                let ratios: Vec<f64> = (0..10)
                    .map(|_| effect * (0.04 * normal(&mut rng)).exp())
                    .collect();
                super::aa::passes(&Estimate::of_ratios(&ratios).unwrap())
            })
            .count();
        passed as f64 / REPETITIONS as f64
    };
    assert!(share(1.0) > 0.98);
    assert!(share(1.10) < 0.02);
}
