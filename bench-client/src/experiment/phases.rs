//! Before something stands in the way, while it does, and after it: the three phases of a cell, and what is done at the two
//! ends of the second.

use crate::fault::{Action, Fault, Target};
use crate::load::SpanPlan;
use bench_proto::slowness::Slowness;
use std::time::Duration;

/// So long for an order, and in one span of the window so long instead.
pub(super) fn slow_between(
    begins: Duration,
    ends: Duration,
    well: Duration,
    slow: Duration,
) -> Slowness {
    let [begins, ends, well, slow] = [begins, ends, well, slow].map(|time| time.as_millis());
    let text =
        format!("0ms..{begins}ms {well}ms; {begins}ms..{ends}ms {slow}ms; {ends}ms.. {well}ms");
    text.parse().expect("three spans in whole ms parse")
}

/// How long each phase lasts; together they are the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    pub(super) before: Duration,
    pub(super) during: Duration,
    pub(super) after: Duration,
}

impl Lengths {
    /// Of so many milliseconds.
    pub(super) const fn ms(before: u64, during: u64, after: u64) -> Self {
        Self {
            before: Duration::from_millis(before),
            during: Duration::from_millis(during),
            after: Duration::from_millis(after),
        }
    }

    /// When the second phase ends, from the window's start; it begins after `before`.
    pub(super) fn ends(self) -> Duration {
        self.before + self.during
    }

    /// When the third ends, and the window with it.
    pub(super) fn over(self) -> Duration {
        self.ends() + self.after
    }

    /// The three phases, one after the other; the second has the name of what stands in the way.
    pub(super) fn spans(self, during: &str) -> Vec<SpanPlan> {
        let span = |name: &str, start, end| SpanPlan {
            name: name.into(),
            start,
            end,
        };
        vec![
            span("before", Duration::ZERO, self.before),
            span(during, self.before, self.ends()),
            span("after", self.ends(), self.over()),
        ]
    }

    /// An order takes so long, and in the second phase so long instead.
    pub(super) fn slowness(self, well: Duration, slow: Duration) -> Slowness {
        slow_between(self.before, self.ends(), well, slow)
    }

    /// What is done to a target when the second phase begins, and what when it ends.
    pub(super) fn pair(self, [begin, end]: [Action; 2], target: Target) -> Vec<Fault> {
        let fault = |after, action, target| Fault {
            after,
            action,
            target,
        };
        vec![
            fault(self.before, begin, target.clone()),
            fault(self.ends(), end, target),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_each_other_and_end_with_the_window() {
        let lengths = Lengths::ms(300, 1_000, 70);
        let ms = Duration::from_millis;
        assert_eq!((lengths.ends(), lengths.over()), (ms(1_300), ms(1_370)));
        let spans = lengths.spans("trouble");
        let told: Vec<_> = spans
            .iter()
            .map(|span| (span.name.as_str(), span.start, span.end))
            .collect();
        let expected = [
            ("before", ms(0), ms(300)),
            ("trouble", ms(300), ms(1_300)),
            ("after", ms(1_300), ms(1_370)),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn an_order_is_slow_in_the_second_phase_alone() {
        let ms = Duration::from_millis;
        let slowness = Lengths::ms(300, 1_000, 70).slowness(ms(5), ms(200));
        let means = [0, 299, 300, 1_299, 1_300].map(|at| slowness.mean(ms(at)));
        assert_eq!(means, [5, 5, 200, 200, 5].map(ms));
    }

    #[test]
    fn a_pair_of_faults_stands_at_the_ends_of_the_second_phase() {
        let target = Target::Service("inventory".into());
        let pair = Lengths::ms(300, 1_000, 70).pair([Action::Kill, Action::Start], target);
        let told: Vec<String> = pair.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["at 300ms kill inventory", "at 1.3s start inventory"]);
    }
}
