//! What SUSPECT blocks do to a verdict: it stands only where those that nothing disturbed do not say otherwise.

use super::number;
use crate::claims::measured::Measured;
use crate::claims::rules::Rule;
use crate::claims::samples::Paired;
use crate::results::Verdict;

/// How many of the blocks are SUSPECT, in words; nothing where none is.
pub(super) fn counted(paired: &Paired) -> String {
    match paired.suspect() {
        0 => String::new(),
        suspect => format!(", {suspect} of them SUSPECT"),
    }
}

/// Why a verdict on all blocks may not stand. Few undisturbed blocks have a wide interval, and one has none: that
/// contradicts nothing, so then what they point at is held against the verdict.
pub(super) fn contradiction(paired: &Paired, rule: Rule, verdict: Verdict) -> Option<String> {
    if paired.suspect() == 0 || verdict == Verdict::Inconclusive {
        return None;
    }
    let Some(clean) = paired.measured(false, Some(1e6)) else {
        return Some("no block of it was undisturbed".into());
    };
    let decided = |measured: Measured| {
        let (decision, _) = measured.judge(rule)?;
        (decision.verdict != Verdict::Inconclusive).then_some(decision.verdict)
    };
    let says = decided(clean).or_else(|| decided(clean.at_its_point()))?;
    (says != verdict).then(|| {
        format!(
            "what was undisturbed says {says}, at {}",
            number(clean.ratio.point())
        )
    })
}
