//! A rule applied to a measurement: the decision on its interval, and the p that Holm's correction asks for.

use super::rules::{Beyond, Decision, EQUAL_MS, EQUAL_RATIO, Interval, Rule, band, effect, equal};
use crate::results::Verdict;
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;

/// A ratio over blocks as a rule sees it.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// The ratio.
    pub ratio: Estimate,
    /// The difference in ms, for *equal*.
    pub difference_ms: Option<Estimate>,
    /// The values below the line are lower bounds: the ratio has no lower end.
    pub open_low: bool,
    /// The values above the line are lower bounds: the ratio has no upper end.
    pub open_high: bool,
}

impl Measured {
    /// The ratio's 95 % interval; none with a single block.
    pub fn interval(&self) -> Option<Interval> {
        self.opened(self.ratio, 0.0)
    }

    /// The difference's, ms.
    pub fn difference(&self) -> Option<Interval> {
        self.opened(self.difference_ms?, f64::NEG_INFINITY)
    }

    fn opened(&self, estimate: Estimate, lowest: f64) -> Option<Interval> {
        let (low, high) = estimate.interval(LEVEL)?;
        Some(Interval {
            low: if self.open_low { lowest } else { low },
            high: if self.open_high { f64::INFINITY } else { high },
        })
    }

    /// As if what was measured were known exactly.
    pub fn at_its_point(&self) -> Self {
        Self {
            ratio: self.ratio.exact(),
            difference_ms: self.difference_ms.map(|difference| difference.exact()),
            ..*self
        }
    }

    /// Judges by `rule` (band, equal or effect): the decision, and its p for Holm's correction. None with a single block.
    pub fn judge(&self, rule: Rule) -> Option<(Decision, f64)> {
        let found = self.interval()?;
        let decision = match rule {
            Rule::Band(low, high, unit) => band(low, high, unit == "×", found),
            Rule::Effect(m) => effect(m, found),
            Rule::Equal => equal(found, self.difference()),
            Rule::Slope | Rule::Formula | Rule::Never | Rule::AllOf => return None,
        };
        // Two-sided, so that p ≤ 0.05 and the 95 % interval say the same.
        Some((decision, (2.0 * self.p(rule, decision)?).min(1.0)))
    }

    fn p(&self, rule: Rule, decision: Decision) -> Option<f64> {
        let r = &self.ratio;
        let holds = decision.verdict == Verdict::Holds;
        let inside = |e: &Estimate, low, high| Some(f64::max(e.p_above(low)?, e.p_below(high)?));
        let outside = |e: &Estimate, low, high| Some(f64::min(e.p_below(low)?, e.p_above(high)?));
        match (rule, decision.verdict) {
            (_, Verdict::Inconclusive) => Some(0.5),
            (Rule::Band(_, Some(high), _), _) if decision.beyond == Some(Beyond::Exceeds) => {
                r.p_above(high)
            }
            (Rule::Band(low, Some(high), _), _) if holds => inside(r, low, high),
            (Rule::Band(low, None, _), _) if holds => r.p_above(low),
            (Rule::Band(low, ..), _) => r.p_below(low),
            (Rule::Effect(m), _) => {
                if holds {
                    r.p_above(m)
                } else {
                    r.p_below(m)
                }
            }
            (Rule::Equal, _) => {
                let ratio =
                    if holds { inside } else { outside }(r, 1.0 / EQUAL_RATIO, EQUAL_RATIO)?;
                let Some(d) = &self.difference_ms else {
                    return Some(ratio);
                };
                // Either margin suffices to hold, both are needed to refute.
                Some(if holds {
                    ratio.min(inside(d, -EQUAL_MS, EQUAL_MS)?)
                } else {
                    ratio.max(outside(d, -EQUAL_MS, EQUAL_MS)?)
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::ALPHA;
    use super::*;
    use Verdict::{Holds, Inconclusive, Refuted};

    fn measured(ratios: &[f64]) -> Measured {
        Measured {
            ratio: Estimate::of_ratios(ratios).unwrap(),
            difference_ms: None,
            open_low: false,
            open_high: false,
        }
    }

    #[test]
    fn p_and_decision_agree_on_every_rule() {
        // Slid past every threshold, a decision is made exactly when its p is at most 5 %.
        for step in 0..400 {
            let centre = 0.3 * 1.01f64.powi(step);
            let m = measured(&[
                centre * 0.9,
                centre * 1.15,
                centre,
                centre * 1.05,
                centre * 0.92,
                centre * 1.01,
            ]);
            for rule in [
                Rule::Band(3.0, Some(10.0), "×"),
                Rule::Band(3.0, None, "×"),
                Rule::Effect(2.0),
                Rule::Equal,
            ] {
                let (decision, p) = m.judge(rule).unwrap();
                assert_eq!(
                    p <= ALPHA,
                    decision.verdict != Inconclusive,
                    "{rule} at {centre}: {decision:?}, p {p}"
                );
            }
        }
    }

    #[test]
    fn a_lower_bound_above_the_line_can_show_an_effect_and_cannot_refute_one() {
        let bounded = |ratios: &[f64]| Measured {
            open_high: true,
            ..measured(ratios)
        };
        assert_eq!(
            bounded(&[5.0, 5.1, 4.9])
                .judge(Rule::Effect(2.0))
                .unwrap()
                .0
                .verdict,
            Holds
        );
        assert_eq!(
            bounded(&[1.0, 1.1, 0.9])
                .judge(Rule::Effect(2.0))
                .unwrap()
                .0
                .verdict,
            Inconclusive
        );
        assert_eq!(
            bounded(&[1.0, 1.01, 0.99])
                .judge(Rule::Equal)
                .unwrap()
                .0
                .verdict,
            Inconclusive
        );
    }

    #[test]
    fn a_lower_bound_below_the_line_can_refute_a_band_and_cannot_confirm_it() {
        let bounded = |ratios: &[f64]| Measured {
            open_low: true,
            ..measured(ratios)
        };
        let rule = Rule::Band(3.0, Some(10.0), "×");
        assert_eq!(
            bounded(&[0.6, 0.61, 0.59]).judge(rule).unwrap().0.verdict,
            Refuted
        );
        assert_eq!(
            bounded(&[5.0, 5.1, 4.9]).judge(rule).unwrap().0.verdict,
            Inconclusive
        );
    }

    #[test]
    fn a_single_block_decides_nothing() {
        assert!(measured(&[5.0]).judge(Rule::Effect(2.0)).is_none());
    }
}
