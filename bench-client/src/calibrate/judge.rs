//! The bounds of a calibration and how figures are held against them. Pure; each miss says what it means.

use super::result::{
    Check, Disk, Lateness, Outcome, PairedMetric, PlantedEffect, PlantedLatency, Returned,
    StoppedService, Trials,
};
use crate::units::show_ns;
use bench_stats::estimate::LEVEL;
use bench_stats::{Estimate, aa};

/// Lateness p99 against the null callee on an idle two-core machine, ns: timerfd or a spin alone reach 33–138 µs
/// (docs/METHOD.md, Coordinated omission).
pub const LATENESS_NS: u64 = 100_000;
/// Lateness p99 over gRPC at 5k/s, ns: the pacer shares its thread with the encoding.
pub const LATENESS_GRPC_NS: u64 = 200_000;
/// A planted latency comes back within this share at p50 …
pub const P50_SHARE: f64 = 0.01;
/// … or this, ns …
pub const P50_NS: u64 = 20_000;
/// … and within this share at p99 …
pub const P99_SHARE: f64 = 0.02;
/// … or this, ns.
pub const P99_NS: u64 = 150_000;
/// A stop of 1.4 s must show in p99 from the planned instant by at least this, ns.
pub const STOP_SEEN_NS: u64 = 1_000_000_000;
/// Service time does not see the stop with a bounded window: "small" is a tenth of what must show.
pub const STOP_HIDDEN_NS: u64 = STOP_SEEN_NS / 10;
/// Two histograms of three significant digits may differ by this share without meaning it.
pub const TWO_READINGS: f64 = 0.002;
/// Of so many rounds the effect must be found in 16 of 20.
pub const ROUNDS_SHARE: f64 = 0.8;

/// A check whose figure is a time that must not exceed a bound.
fn at_most(
    section: &str,
    what: String,
    figure: Option<u64>,
    bound: u64,
    meaning: impl FnOnce() -> String,
) -> Check {
    let outcome = match figure {
        None => Outcome::NotMeasured,
        Some(figure) if figure <= bound => Outcome::Met,
        Some(_) => Outcome::Missed,
    };
    Check {
        section: section.into(),
        what,
        figure: figure.map_or_else(|| "–".into(), time),
        bound: format!("≤ {}", time(bound)),
        outcome,
        meaning: (outcome == Outcome::Missed).then(meaning),
    }
}

/// A check of a condition.
fn holds(
    section: &str,
    what: String,
    figure: String,
    bound: String,
    met: Option<bool>,
    meaning: &str,
) -> Check {
    let outcome = match met {
        None => Outcome::NotMeasured,
        Some(true) => Outcome::Met,
        Some(false) => Outcome::Missed,
    };
    Check {
        section: section.into(),
        what,
        figure,
        bound,
        outcome,
        meaning: (outcome == Outcome::Missed).then(|| meaning.into()),
    }
}

fn time(ns: u64) -> String {
    show_ns(ns as f64)
}

/// The median; of an even number, the lower one of the middle two.
pub fn median<T: Copy + PartialOrd>(values: &[T]) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// Lateness p99 at one rate, median of the runs.
pub fn lateness(row: &Lateness) -> Check {
    let bound = if row.callee == "null" {
        LATENESS_NS
    } else {
        LATENESS_GRPC_NS
    };
    at_most(
        "lateness",
        format!(
            "p99 at {}/s against {}, median of {} runs",
            row.rate_per_s,
            row.callee,
            row.p99_ns.len()
        ),
        row.p99_median_ns,
        bound,
        || {
            "operations are released late on this machine: accept latencies near this figure are the instrument's own; \
             see that nothing else runs, then read lateness beside each result"
                .into()
        },
    )
}

/// Whether fdatasync reaches a disk.
pub fn disk(disk: &Disk) -> Check {
    holds(
        "disk",
        "fdatasync p50 is believable as a flush".into(),
        time(disk.fdatasync_p50_ns),
        format!("≥ {}", time(bench_host::disk::FASTEST_FLUSH_NS)),
        Some(disk.believable),
        "this disk acknowledges without flushing: results of the durability class `power` mean no more than `process` here",
    )
}

/// A ratio over pairs as results keep it.
pub fn paired(metric: &str, ratios: Vec<f64>, level: f64) -> PairedMetric {
    let estimate = Estimate::of_ratios(&ratios);
    let interval = estimate.and_then(|estimate| estimate.interval(level));
    PairedMetric {
        metric: metric.into(),
        ratio: estimate.map(|estimate| estimate.point()),
        low: interval.map(|(low, _)| low),
        high: interval.map(|(_, high)| high),
        level,
        minimum_detectable: estimate.and_then(|estimate| estimate.minimum_detectable()),
        ratios,
    }
}

fn interval(metric: &PairedMetric) -> String {
    match (metric.low, metric.high) {
        (Some(low), Some(high)) => format!("[{low:.3}, {high:.3}]×"),
        _ => "–".into(),
    }
}

/// Two arms that differ in nothing.
pub fn a_a(metric: &PairedMetric) -> Check {
    let passes = Estimate::of_ratios(&metric.ratios).map(|estimate| aa::passes(&estimate));
    holds(
        "a_a",
        format!("{} of {} equal pairs", metric.metric, metric.ratios.len()),
        interval(metric),
        format!(
            "contains 1, no wider than ±{:.0} %",
            (aa::WIDEST - 1.0) * 100.0
        ),
        passes,
        "arms that differ in nothing were told apart, or too noisy to tell anything: differences of this size between \
         transports mean nothing here; see that nothing else runs",
    )
}

/// What came back of a planted latency at one percentile.
pub fn returned(
    accept_ns: u64,
    floor_ns: u64,
    truth_ns: u64,
    expected_ns: u64,
    share: f64,
    least_ns: u64,
) -> Returned {
    Returned {
        accept_ns,
        floor_ns,
        truth_ns,
        expected_ns,
        error_ns: accept_ns as i64 - expected_ns as i64,
        allowed_ns: least_ns.max((truth_ns as f64 * share) as u64),
    }
}

/// Of several blocks the one whose error is the middle one; none if a block has no figure.
pub fn middle(blocks: &[Option<Returned>]) -> Option<Returned> {
    let mut blocks = blocks.iter().copied().collect::<Option<Vec<Returned>>>()?;
    blocks.sort_by_key(|returned| returned.error_ns);
    blocks.get(blocks.len().checked_sub(1)? / 2).copied()
}

/// Both percentiles of a planted latency.
pub fn planted_latency(row: &PlantedLatency) -> [Check; 2] {
    [("p50", row.p50), ("p99", row.p99)].map(|(name, returned)| {
        let figure = returned.map_or_else(
            || "–".into(),
            |r| {
                let sign = if r.error_ns < 0 { "−" } else { "+" };
                format!("{sign}{}", time(r.error_ns.unsigned_abs()))
            },
        );
        holds(
            "planted_latency",
            format!(
                "error of {name}, {} planted at {}/s",
                time(row.planted_ns),
                row.rate_per_s
            ),
            figure,
            returned.map_or_else(|| "–".into(), |r| format!("within {}", time(r.allowed_ns))),
            returned.map(|r| r.error_ns.unsigned_abs() <= r.allowed_ns),
            "a latency that was planted did not come back: at this rate and size the instrument or the machine adds or \
             hides as much as the figure says",
        )
    })
}

/// Whether a ratio was found to differ upwards.
pub fn found(metric: &PairedMetric) -> bool {
    metric.low.is_some_and(|low| low > 1.0)
}

/// Whether a ratio was found to differ at all.
pub fn differs(metric: &PairedMetric) -> bool {
    found(metric) || metric.high.is_none_or(|high| high < 1.0)
}

/// Counts the rounds of a planted effect.
pub fn count_rounds(effect: &mut PlantedEffect) {
    let count = |good: &dyn Fn(&super::result::EffectRound) -> bool| {
        effect.rounds.iter().filter(|round| good(round)).count() as u32
    };
    let found_in = count(&|round| round.planted.iter().all(found));
    let nothing_in = count(&|round| !round.nothing.iter().any(differs));
    (effect.found, effect.nothing) = (found_in, nothing_in);
}

/// The planted 5 % and the planted nothing.
pub fn planted_effect(effect: &PlantedEffect) -> [Check; 2] {
    let rounds = effect.rounds.len() as u32;
    let needed = (f64::from(rounds) * ROUNDS_SHARE).ceil() as u32;
    let check = |what: &str, of: u32, meaning| {
        holds(
            "planted_effect",
            what.into(),
            format!("{of} of {rounds}"),
            format!("≥ {needed} of {rounds}"),
            (rounds > 0).then_some(of >= needed),
            meaning,
        )
    };
    [
        check(
            "5 % planted, found on p50 and CPU per operation",
            effect.found,
            "a true difference of 5 % stays unseen in so few blocks on this machine: see the minimum detectable effect beside each ratio",
        ),
        check(
            "nothing planted, nothing found on either",
            effect.nothing,
            "a difference was found where there is none; of single rounds one in ten does so by chance (two intervals of 95 %): \
             judge with --repeat 20",
        ),
    ]
}

/// Both halves of the ^Z test.
pub fn stopped(row: &StoppedService, bounded: bool) -> Vec<Check> {
    const OMISSION: &str = "the instrument commits coordinated omission, or does not show it: no percentile of an open \
                            loop can be believed until this is mended";
    let named = |what: &str| format!("{what}, {} in flight at most", row.max_in_flight);
    let mut checks = Vec::new();
    if bounded {
        checks.push(holds(
            "stopped_service",
            named("p99 from the planned instant"),
            row.accept_ns.p99.map_or_else(|| "–".into(), time),
            format!("≥ {}", time(STOP_SEEN_NS)),
            row.accept_ns.p99.map(|p99| p99 >= STOP_SEEN_NS),
            OMISSION,
        ));
        checks.push(at_most(
            "stopped_service",
            named("p99 of service time"),
            row.service_ns.p99,
            STOP_HIDDEN_NS,
            || OMISSION.into(),
        ));
    } else {
        for (name, accept, service) in [
            ("p50", row.accept_ns.p50, row.service_ns.p50),
            ("p99", row.accept_ns.p99, row.service_ns.p99),
        ] {
            let apart = accept.zip(service).map(|(a, s)| a.abs_diff(s));
            let allowed = row.lateness_ns.p99.unwrap_or(0)
                + (accept.unwrap_or(0) as f64 * TWO_READINGS) as u64;
            checks.push(at_most(
                "stopped_service",
                named(&format!("{name} from planned and of service time apart")),
                apart,
                allowed,
                || {
                    "with room for all in flight the two clocks must agree within lateness: operations were held back \
                     on the way to the wire"
                        .into()
                },
            ));
        }
    }
    checks.push(holds(
        "stopped_service",
        named("the ledger balances"),
        format!(
            "{} planned, {} acknowledged, {} delivered",
            row.attempted, row.acknowledged, row.delivered
        ),
        "all equal, none twice".into(),
        Some(row.balanced),
        "operations were lost, doubled or miscounted across a stop: the accounting cannot be believed",
    ));
    checks
}

/// Every trial's ledger.
pub fn trials(trials: &Trials) -> Check {
    holds(
        "trials",
        "every trial's ledger balances".into(),
        format!("{} of {}", trials.balanced, trials.run),
        "all".into(),
        (trials.run > 0).then_some(trials.balanced == trials.run),
        "operations failed, were lost or doubled although no fault was injected: see the doubts in calibrate.json",
    )
}

/// The level at which an effect is found.
pub const FOUND_LEVEL: f64 = LEVEL;

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
