//! What stands between a caller and the troubles of whom it calls: retries, a breaker, a bulkhead. Data with its text
//! form, which is that of `bench-server serve --next`.

use super::text::{duration, exact, optional};
use crate::units;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// More retries than this are a slip.
const MOST_RETRIES: u32 = 100;

/// The guards of one edge; none of them unless it is named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guards {
    /// Further attempts after a failed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// The pause before each of them, such as `10ms..1s`: exponential with full jitter. Without it they follow at once.
    #[serde(default, with = "optional", skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// Retries as a share of first attempts at most, such as `10%`.
    #[serde(default, with = "optional", skip_serializing_if = "Option::is_none")]
    pub budget: Option<Percent>,
    /// A circuit breaker, such as `50%/20/1s`.
    #[serde(default, with = "optional", skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// A call that took longer counts for the breaker like one that failed, once it has ended.
    #[serde(default, with = "duration", skip_serializing_if = "Option::is_none")]
    pub slow_after: Option<Duration>,
    /// Calls at once; more are shed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulkhead: Option<u32>,
}

/// The pause before a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first pause.
    pub first: Duration,
    /// Bound of every later one.
    pub most: Duration,
}

/// A share in percent, above 0 and at most 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(pub f64);

/// Opens when too many calls fail (or are slow, where the guards say what is), and lets none through while it is open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// From this share of failures on it opens …
    pub failures: Percent,
    /// … over so many last calls.
    pub calls: u32,
    /// How long it stays open.
    pub open: Duration,
}

impl Guards {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The options of `--next` that they are.
    pub(super) fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        options.extend(self.retries.map(|n| format!("retries={n}")));
        options.extend(self.backoff.map(|backoff| format!("backoff={backoff}")));
        options.extend(self.budget.map(|budget| format!("budget={budget}")));
        options.extend(self.breaker.map(|breaker| format!("breaker={breaker}")));
        let slow_after = self.slow_after.map(exact);
        options.extend(slow_after.map(|bound| format!("slow-after={bound}")));
        options.extend(self.bulkhead.map(|n| format!("bulkhead={n}")));
        options
    }

    /// What of them cannot be meant.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.retries.is_some_and(|n| n > MOST_RETRIES) {
            return Err(format!("expected at most {MOST_RETRIES} retries"));
        }
        if self.retries.unwrap_or(0) == 0 && (self.backoff.is_some() || self.budget.is_some()) {
            return Err(
                "a backoff or a budget is for retries; expected retries of at least 1 beside it"
                    .into(),
            );
        }
        if self.slow_after.is_some() && self.breaker.is_none() {
            return Err(
                "slow_after is for a breaker, which counts slow calls by it; expected a breaker such as 50%/20/1s beside it"
                    .into(),
            );
        }
        if self.slow_after.is_some_and(|bound| bound.is_zero()) {
            return Err(
                "a slow_after of 0 makes every call slow; expected one such as 100ms".into(),
            );
        }
        if self.bulkhead == Some(0) {
            return Err("a bulkhead of 0 lets no call through; expected at least 1".into());
        }
        Ok(())
    }
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", exact(self.first), exact(self.most))
    }
}

impl FromStr for Backoff {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "'{text}' is no backoff; expected the first and the longest pause, such as 10ms..1s"
            )
        };
        let (first, most) = text.split_once("..").ok_or_else(expected)?;
        let (first, most) = (units::parse_duration(first)?, units::parse_duration(most)?);
        if first.is_zero() || most < first {
            return Err(expected());
        }
        Ok(Self { first, most })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|n| n.trim().parse().ok());
        match number {
            Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(Self(percent)),
            _ => Err(format!(
                "'{text}' is no share; expected one above 0% and at most 100%, such as 10%"
            )),
        }
    }
}

impl fmt::Display for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failures, calls, open) = (self.failures, self.calls, exact(self.open));
        write!(f, "{failures}/{calls}/{open}")
    }
}

impl FromStr for Breaker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "'{text}' is no circuit breaker; expected the share of failures, over how many calls, and how long it \
                 stays open, such as 50%/20/1s"
            )
        };
        let parts: Vec<&str> = text.split('/').collect();
        let [failures, calls, open] = parts[..] else {
            return Err(expected());
        };
        let breaker = Self {
            failures: failures.parse()?,
            calls: calls.trim().parse().map_err(|_| expected())?,
            open: units::parse_duration(open)?,
        };
        if breaker.calls == 0 || breaker.open.is_zero() {
            return Err(expected());
        }
        Ok(breaker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_are_written_as_they_are_read() {
        let json = r#"{"retries":3,"backoff":"10ms..1s","budget":"10%","breaker":"50%/20/1500ms","slow_after":"100ms","bulkhead":8}"#;
        let guards: Guards = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&guards).unwrap(), json);
        assert_eq!(
            guards.options(),
            [
                "retries=3",
                "backoff=10ms..1s",
                "budget=10%",
                "breaker=50%/20/1500ms",
                "slow-after=100ms",
                "bulkhead=8"
            ]
        );
        assert_eq!(guards.check(), Ok(()));
        assert!(Guards::default().is_none() && Guards::default().options().is_empty());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (json, words) in [
            (r#"{"backoff":"1s..10ms"}"#, "no backoff"),
            (r#"{"backoff":"10ms"}"#, "no backoff"),
            (r#"{"budget":"0%"}"#, "no share"),
            (r#"{"budget":"10"}"#, "no share"),
            (r#"{"breaker":"50%/20"}"#, "no circuit breaker"),
            (r#"{"breaker":"50%/0/1s"}"#, "no circuit breaker"),
            (r#"{"breaker":"50%/20/1s","slow_after":"soon"}"#, "duration"),
            (r#"{"braker":"50%/20/1s"}"#, "unknown field"),
        ] {
            let error = serde_json::from_str::<Guards>(json).unwrap_err();
            assert!(error.to_string().contains(words), "{json}: {error}");
        }
        for (json, words) in [
            (r#"{"bulkhead":0}"#, "no call through"),
            (r#"{"budget":"10%"}"#, "is for retries"),
            (r#"{"slow_after":"100ms"}"#, "is for a breaker"),
            (
                r#"{"breaker":"50%/20/1s","slow_after":"0s"}"#,
                "every call slow",
            ),
            (r#"{"retries":101}"#, "at most 100"),
        ] {
            let guards: Guards = serde_json::from_str(json).unwrap();
            let error = guards.check().unwrap_err();
            assert!(error.contains(words), "{json}: {error}");
        }
    }
}
