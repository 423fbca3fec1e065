//! From the verdicts of parts to the verdict of a claim: Holm's correction, *depends*, and "the worst decides".

use super::rules::ALPHA;
use crate::results::{Part, Verdict};
use bench_stats::holm;

/// A part with the p of its decision; none where nothing was tested.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The part as it is printed.
    pub part: Part,
    /// Two-sided p of the decision.
    pub p: Option<f64>,
}

/// Verdicts before and after Holm's correction over the parts that were tested.
struct Count {
    all_hold: bool,
    some_hold: bool,
    holds_corrected: bool,
    some_refuted: bool,
    refuted_corrected: bool,
    measured: bool,
}

fn count(parts: &[Judged]) -> Count {
    let tested: Vec<(usize, f64)> = parts
        .iter()
        .enumerate()
        .filter_map(|(i, j)| Some((i, j.p?)))
        .collect();
    let adjusted = holm::adjust(&tested.iter().map(|(_, p)| *p).collect::<Vec<_>>());
    let survives = |i: usize| {
        let at = tested.iter().position(|(j, _)| *j == i);
        at.is_some_and(|at| adjusted[at] <= ALPHA)
    };
    let is = |i: usize, verdict| parts[i].part.verdict == verdict;
    let any = |test: &dyn Fn(usize) -> bool| (0..parts.len()).any(test);
    Count {
        all_hold: !parts.is_empty() && !any(&|i| !is(i, Verdict::Holds)),
        some_hold: any(&|i| is(i, Verdict::Holds)),
        holds_corrected: any(&|i| is(i, Verdict::Holds) && survives(i)),
        some_refuted: any(&|i| is(i, Verdict::Refuted)),
        refuted_corrected: any(&|i| is(i, Verdict::Refuted) && survives(i)),
        measured: any(&|i| !is(i, Verdict::NotMeasured)),
    }
}

/// Primary cells of one rule. *Holds* asks it of every cell, and then needs no correction (each must pass by itself);
/// *refuted* and *depends* pick cells out, and so rest on those that survive Holm's correction.
pub fn primary_cells(parts: &[Judged]) -> Verdict {
    let c = count(parts);
    if !c.measured {
        Verdict::NotMeasured
    } else if c.all_hold {
        Verdict::Holds
    } else if c.holds_corrected && c.refuted_corrected {
        Verdict::Depends
    } else if c.refuted_corrected && !c.some_hold {
        Verdict::Refuted
    } else {
        Verdict::Inconclusive
    }
}

/// Named parts: the worst decides. What is not measured keeps the whole from holding.
pub fn all_of(parts: &[Judged]) -> Verdict {
    let c = count(parts);
    if !c.measured {
        Verdict::NotMeasured
    } else if c.refuted_corrected {
        Verdict::Refuted
    } else if c.all_hold && !c.some_refuted {
        Verdict::Holds
    } else {
        Verdict::Inconclusive
    }
}

/// The parts with a verdict, by name.
pub fn names(parts: &[Judged], verdict: Verdict) -> Vec<&str> {
    parts
        .iter()
        .filter(|j| j.part.verdict == verdict)
        .map(|j| j.part.name.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Depends, Holds, Inconclusive, NotMeasured, Refuted};

    fn parts(of: &[(Verdict, f64)]) -> Vec<Judged> {
        of.iter()
            .map(|(verdict, p)| Judged {
                part: Part {
                    name: verdict.to_string(),
                    verdict: *verdict,
                    beyond: None,
                    low: None,
                    high: None,
                    unit: "×".into(),
                    cells: vec![],
                    reason: String::new(),
                },
                p: (*verdict != NotMeasured).then_some(*p),
            })
            .collect()
    }

    #[test]
    fn a_claim_holds_only_where_every_primary_cell_holds() {
        assert_eq!(
            primary_cells(&parts(&[(Holds, 0.04), (Holds, 0.03)])),
            Holds
        );
        assert_eq!(
            primary_cells(&parts(&[(Holds, 0.001), (Inconclusive, 1.0)])),
            Inconclusive
        );
        assert_eq!(
            primary_cells(&parts(&[(Holds, 0.001), (NotMeasured, 1.0)])),
            Inconclusive
        );
    }

    #[test]
    fn it_depends_where_one_holds_and_one_is_refuted_after_correction() {
        assert_eq!(
            primary_cells(&parts(&[(Holds, 0.001), (Refuted, 0.001)])),
            Depends
        );
        assert_eq!(
            primary_cells(&parts(&[
                (Holds, 0.001),
                (Refuted, 0.001),
                (Inconclusive, 1.0)
            ])),
            Depends
        );
        // 0.04 × 2 remaining tests does not survive.
        assert_eq!(
            primary_cells(&parts(&[
                (Holds, 0.001),
                (Refuted, 0.04),
                (Inconclusive, 1.0)
            ])),
            Inconclusive
        );
    }

    #[test]
    fn it_is_refuted_by_a_surviving_cell_when_none_holds() {
        assert_eq!(
            primary_cells(&parts(&[(Refuted, 0.001), (Inconclusive, 1.0)])),
            Refuted
        );
        assert_eq!(
            primary_cells(&parts(&[(Refuted, 0.04), (Inconclusive, 1.0)])),
            Inconclusive
        );
        assert_eq!(
            primary_cells(&parts(&[(Refuted, 0.001), (NotMeasured, 1.0)])),
            Refuted
        );
    }

    #[test]
    fn of_all_parts_the_worst_decides() {
        assert_eq!(all_of(&parts(&[(Holds, 0.001), (Holds, 0.001)])), Holds);
        assert_eq!(
            all_of(&parts(&[(Holds, 0.001), (Inconclusive, 1.0)])),
            Inconclusive
        );
        assert_eq!(
            all_of(&parts(&[(Holds, 0.001), (NotMeasured, 1.0)])),
            Inconclusive
        );
        assert_eq!(
            all_of(&parts(&[
                (Holds, 0.001),
                (Refuted, 0.001),
                (NotMeasured, 1.0)
            ])),
            Refuted
        );
        assert_eq!(all_of(&parts(&[(Holds, 0.001), (Refuted, 0.04)])), Refuted);
        assert_eq!(
            all_of(&parts(&[(Inconclusive, 0.9), (Refuted, 0.04)])),
            Inconclusive
        );
    }

    #[test]
    fn nothing_measured_is_not_measured() {
        assert_eq!(primary_cells(&parts(&[(NotMeasured, 1.0)])), NotMeasured);
        assert_eq!(all_of(&parts(&[])), NotMeasured);
    }
}
