//! What the callers saw of a fault: every error with its times, and its summary by name and by when the call began.

use crate::results;

/// A call that ended in an error or at its deadline, as its caller saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The error's name.
    pub name: String,
    /// When the call was planned, CLOCK_MONOTONIC ns.
    pub planned_ns: u64,
    /// When the error was seen.
    pub seen_ns: u64,
}

/// What a call that waited for its deadline in vain has seen.
pub const TIMEOUT: &str = "timeout";

/// So many errors of a generator are kept one by one: faults are studied at rates far below. The rest is only counted.
pub const MOST_SEEN: usize = 200_000;

/// What the callers saw of a fault, by error and by whether the call was in flight then or came after. Errors from
/// before the fault are none of its doing and left out.
pub fn by_error(seen: &[Seen], fault_ns: u64) -> Vec<results::SeenError> {
    let mut groups: std::collections::BTreeMap<(bool, &str), Vec<&Seen>> = Default::default();
    for one in seen.iter().filter(|one| one.seen_ns >= fault_ns) {
        let later = one.planned_ns > fault_ns;
        groups.entry((later, &one.name)).or_default().push(one);
    }
    let row = |((later, name), group): ((bool, &str), Vec<&Seen>)| {
        let seconds = |from: fn(&Seen, u64) -> u64| -> Vec<f64> {
            let mut all: Vec<u64> = group
                .iter()
                .map(|one| one.seen_ns.saturating_sub(from(one, fault_ns)))
                .collect();
            all.sort_unstable();
            all.into_iter().map(|ns| ns as f64 / 1e9).collect()
        };
        let since_fault = seconds(|_, fault| fault);
        let waited = seconds(|one, _| one.planned_ns);
        let middle = group.len() / 2;
        results::SeenError {
            error: name.into(),
            calls: if later {
                results::When::After
            } else {
                results::When::InFlight
            },
            count: group.len() as u64,
            first_s: since_fault[0],
            median_s: since_fault[middle],
            last_s: since_fault[group.len() - 1],
            waited_median_s: waited[middle],
            waited_most_s: waited[group.len() - 1],
        }
    };
    groups.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::When;

    #[test]
    fn errors_are_told_apart_by_name_and_by_when_their_call_began() {
        let seen = |name: &str, planned_ns, seen_ns| Seen {
            name: name.into(),
            planned_ns,
            seen_ns,
        };
        let s = 1_000_000_000;
        let rows = by_error(
            &[
                seen("closed", 9 * s, 11 * s),
                seen("closed", 8 * s, 10 * s),
                seen("closed", 9 * s, 14 * s),
                seen("connect", 11 * s, 12 * s),
                seen("odd", s, 2 * s),
            ],
            10 * s,
        );
        assert_eq!(
            rows.len(),
            2,
            "what came before the fault is left out: {rows:?}"
        );
        let closed = &rows[0];
        assert_eq!(
            (closed.error.as_str(), closed.calls, closed.count),
            ("closed", When::InFlight, 3)
        );
        assert_eq!(
            (closed.first_s, closed.median_s, closed.last_s),
            (0.0, 1.0, 4.0)
        );
        assert_eq!((closed.waited_median_s, closed.waited_most_s), (2.0, 5.0));
        assert_eq!(
            (rows[1].error.as_str(), rows[1].calls),
            ("connect", When::After)
        );
    }
}
