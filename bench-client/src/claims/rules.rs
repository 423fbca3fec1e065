//! The rules by which a claim is judged, pure: from an interval (or a count) to a verdict. They know no run.

use crate::results::Verdict;
use bench_stats::binomial::rule_of_three;
use bench_stats::estimate::LEVEL;
use std::fmt;

/// "Adds nothing" as a ratio: inside [1/1.25, 1.25].
pub const EQUAL_RATIO: f64 = 1.25;
/// "Adds nothing" as a difference, ms.
pub const EQUAL_MS: f64 = 1.0;
/// The effect that is asked for where a claim does not say one.
pub const EFFECT: f64 = 2.0;
/// A p above this decides nothing: the other side of the 95 % interval.
pub const ALPHA: f64 = 1.0 - LEVEL;

/// The kinds of rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Between two values, the upper one perhaps open; with their unit.
    Band(f64, Option<f64>, &'static str),
    /// "Adds nothing": [`EQUAL_RATIO`] or [`EQUAL_MS`].
    Equal,
    /// At least so many times as much.
    Effect(f64),
    /// An effect that grows per decade of a factor.
    Slope,
    /// Agrees with a formula.
    Formula,
    /// One counter-example refutes.
    Never,
    /// Named parts, the worst decides.
    AllOf,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spaced = |unit: &str| {
            if unit == "×" {
                unit.to_string()
            } else {
                format!(" {unit}")
            }
        };
        match self {
            Rule::Band(low, Some(high), unit) => {
                write!(f, "band({low}{0}, {high}{0})", spaced(unit))
            }
            Rule::Band(low, None, unit) => write!(f, "band({low}{}, –)", spaced(unit)),
            Rule::Equal => write!(f, "equal({EQUAL_RATIO}×, {EQUAL_MS} ms)"),
            Rule::Effect(m) => write!(f, "effect({m}×)"),
            Rule::Slope => f.write_str("slope"),
            Rule::Formula => f.write_str("formula"),
            Rule::Never => f.write_str("never"),
            Rule::AllOf => f.write_str("all of"),
        }
    }
}

/// An interval whose ends may be unknown (±∞): a lower bound measured above the line leaves the upper end open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// A closed interval.
    pub fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    pub(super) fn inside(self, low: f64, high: f64) -> bool {
        low <= self.low && self.high <= high
    }

    fn outside(self, low: f64, high: f64) -> bool {
        self.high < low || high < self.low
    }
}

/// What a measurement says beyond holding or refuting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// Even more than was claimed.
    Exceeds,
    /// The opposite of what was claimed.
    Reversed,
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Beyond::Exceeds => "exceeds",
            Beyond::Reversed => "reversed",
        })
    }
}

/// A verdict with what goes beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Holds, refuted or inconclusive.
    pub verdict: Verdict,
    /// Exceeds or reversed.
    pub beyond: Option<Beyond>,
}

impl Decision {
    fn plain(verdict: Verdict) -> Self {
        Self {
            verdict,
            beyond: None,
        }
    }
}

/// band(L, U): holds inside; holds and exceeds above; refuted below, and reversed if it is a ratio below 1.
pub fn band(low: f64, high: Option<f64>, is_ratio: bool, found: Interval) -> Decision {
    let high = high.unwrap_or(f64::INFINITY);
    if found.low > high {
        Decision {
            verdict: Verdict::Holds,
            beyond: Some(Beyond::Exceeds),
        }
    } else if found.inside(low, high) {
        Decision::plain(Verdict::Holds)
    } else if found.high < low {
        let reversed = is_ratio && found.high < 1.0;
        Decision {
            verdict: Verdict::Refuted,
            beyond: reversed.then_some(Beyond::Reversed),
        }
    } else {
        Decision::plain(Verdict::Inconclusive)
    }
}

/// equal: holds if the ratio *or* the difference is inside its margin; refuted if both lie wholly outside.
pub fn equal(ratio: Interval, difference_ms: Option<Interval>) -> Decision {
    let (low, high) = (1.0 / EQUAL_RATIO, EQUAL_RATIO);
    let near = difference_ms.is_some_and(|d| d.inside(-EQUAL_MS, EQUAL_MS));
    let apart = difference_ms.is_none_or(|d| d.outside(-EQUAL_MS, EQUAL_MS));
    Decision::plain(if ratio.inside(low, high) || near {
        Verdict::Holds
    } else if ratio.outside(low, high) && apart {
        Verdict::Refuted
    } else {
        Verdict::Inconclusive
    })
}

/// effect(m): holds from m on, refuted below.
pub fn effect(m: f64, found: Interval) -> Decision {
    Decision::plain(if found.low >= m {
        Verdict::Holds
    } else if found.high < m {
        Verdict::Refuted
    } else {
        Verdict::Inconclusive
    })
}

/// formula: the measurement's interval contains what the formula gives.
pub fn contains(formula: f64, found: Interval) -> Decision {
    let inside = found.low <= formula && formula <= found.high;
    Decision::plain(if inside {
        Verdict::Holds
    } else {
        Verdict::Refuted
    })
}

/// never: one counter-example refutes; none in `n` leaves at most 3 ÷ n open, which is the second value.
pub fn never(counter_examples: u64, n: u64) -> (Decision, f64) {
    let verdict = match (counter_examples, n) {
        (1.., _) => Verdict::Refuted,
        (0, 0) => Verdict::Inconclusive,
        (0, _) => Verdict::Holds,
    };
    (Decision::plain(verdict), rule_of_three(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Holds, Inconclusive, Refuted};

    fn of(decision: Decision) -> (Verdict, Option<Beyond>) {
        (decision.verdict, decision.beyond)
    }

    fn at(low: f64, high: f64) -> Interval {
        Interval::new(low, high)
    }

    #[test]
    fn a_band_holds_inside_and_exceeds_above() {
        assert_eq!(
            of(band(3.0, Some(10.0), true, at(3.0, 10.0))),
            (Holds, None)
        );
        assert_eq!(
            of(band(3.0, Some(10.0), true, at(10.1, 12.0))),
            (Holds, Some(Beyond::Exceeds))
        );
        assert_eq!(of(band(1.0, None, false, at(1.0, 9e9))), (Holds, None));
    }

    #[test]
    fn a_band_is_refuted_below_and_reversed_below_one_if_it_is_a_ratio() {
        assert_eq!(
            of(band(3.0, Some(10.0), true, at(1.0, 2.9))),
            (Refuted, None)
        );
        assert_eq!(
            of(band(3.0, Some(10.0), true, at(0.5, 0.9))),
            (Refuted, Some(Beyond::Reversed))
        );
        assert_eq!(
            of(band(1.0, Some(5.0), false, at(0.1, 0.2))),
            (Refuted, None)
        );
    }

    #[test]
    fn a_band_across_its_edge_is_inconclusive() {
        for found in [
            at(2.9, 3.1),
            at(9.0, 11.0),
            at(2.0, 20.0),
            at(0.0, f64::INFINITY),
        ] {
            assert_eq!(of(band(3.0, Some(10.0), true, found)), (Inconclusive, None));
        }
    }

    #[test]
    fn equal_holds_by_ratio_or_by_difference() {
        assert_eq!(equal(at(0.81, 1.24), Some(at(5.0, 9.0))).verdict, Holds);
        assert_eq!(equal(at(1.5, 3.0), Some(at(0.1, 0.9))).verdict, Holds);
        assert_eq!(equal(at(0.9, 1.1), None).verdict, Holds);
    }

    #[test]
    fn equal_is_refuted_only_wholly_outside_both() {
        assert_eq!(equal(at(1.3, 3.0), Some(at(1.1, 9.0))).verdict, Refuted);
        assert_eq!(equal(at(0.1, 0.7), Some(at(-9.0, -2.0))).verdict, Refuted);
        assert_eq!(
            equal(at(1.3, 3.0), Some(at(0.5, 9.0))).verdict,
            Inconclusive
        );
        assert_eq!(
            equal(at(1.2, 3.0), Some(at(1.1, 9.0))).verdict,
            Inconclusive
        );
    }

    #[test]
    fn an_effect_holds_from_its_size_on() {
        assert_eq!(effect(2.0, at(2.0, 9.0)).verdict, Holds);
        assert_eq!(effect(2.0, at(1.0, 1.99)).verdict, Refuted);
        assert_eq!(effect(2.0, at(1.9, 2.1)).verdict, Inconclusive);
        assert_eq!(effect(2.0, at(5.0, f64::INFINITY)).verdict, Holds);
    }

    #[test]
    fn a_formula_holds_when_the_interval_contains_it() {
        assert_eq!(contains(0.049, at(0.045, 0.053)).verdict, Holds);
        assert_eq!(contains(0.049, at(0.050, 0.053)).verdict, Refuted);
    }

    #[test]
    fn one_counter_example_refutes_never_and_none_leaves_three_in_n() {
        assert_eq!(never(1, 1_000_000).0.verdict, Refuted);
        let (decision, bound) = never(0, 3_000);
        assert_eq!((decision.verdict, bound), (Holds, 0.001));
        assert_eq!(never(0, 0).0.verdict, Inconclusive);
    }
}
