//! What may stand between a hop and the orders: how it is asked for, refused with a sentence, and said again. Pure.

use super::breaker::Trip;
use bench_proto::slowness::{read_duration, show_duration};
use std::time::Duration;

/// Nothing here is longer: a guard that takes an hour is a mistyped one.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What stands between a hop and the orders; nothing unless it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Guards {
    /// Of each attempt.
    pub timeout: Option<Duration>,
    /// Attempts beyond the first of a call, at most.
    pub retries: u32,
    /// The longest pause before the first retry, and before any; the pause itself is drawn below it.
    pub backoff: Option<(Duration, Duration)>,
    /// Retries to first attempts, percent.
    pub budget: Option<f64>,
    /// When it is not called for a while.
    pub breaker: Option<Trip>,
    /// An attempt that took longer counts for the breaker as one that failed.
    pub slow_after: Option<Duration>,
    /// Calls at once.
    pub bulkhead: Option<usize>,
}

impl Guards {
    /// Takes one option in; false if it is none of a guard's.
    pub(super) fn take(&mut self, key: &str, value: Option<&str>) -> Result<bool, String> {
        let given = |example: &str| given(key, value, example);
        match key {
            "timeout" => self.timeout = Some(duration(key, given("500ms")?)?),
            "retries" => self.retries = count(key, given("3")?, 100)? as u32,
            "backoff" => self.backoff = Some(backoff(given("10ms..1s")?)?),
            "budget" => self.budget = Some(percent(key, given("10%")?)?),
            "breaker" => self.breaker = Some(breaker(given("50%/20/1s")?)?),
            "slow-after" => self.slow_after = Some(duration(key, given("100ms")?)?),
            "bulkhead" => self.bulkhead = Some(count(key, given("8")?, 1_000_000)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Refuses guards of which one is about another that is missing.
    pub(super) fn check(&self) -> Result<(), String> {
        let of_retries = [
            ("backoff", self.backoff.is_some()),
            ("budget", self.budget.is_some()),
        ];
        for (option, said) in of_retries {
            if said && self.retries == 0 {
                return Err(format!(
                    "`{option}` is about retries; say how many with retries=3"
                ));
            }
        }
        if self.slow_after.is_some() && self.breaker.is_none() {
            return Err(
                "`slow-after` is the breaker's; give one beside it, such as breaker=50%/20/1s"
                    .into(),
            );
        }
        Ok(())
    }

    /// What is in force, by name.
    pub(super) fn in_force(&self) -> [(&'static str, String); 7] {
        let Self {
            timeout,
            retries,
            backoff,
            budget,
            breaker,
            slow_after,
            bulkhead,
        } = *self;
        let none = || "none".to_owned();
        [
            ("guard.timeout", timeout.map_or_else(none, show_duration)),
            ("guard.retries", retries.to_string()),
            (
                "guard.backoff",
                backoff.map_or_else(none, |(first, most)| {
                    format!("{}..{}", show_duration(first), show_duration(most))
                }),
            ),
            (
                "guard.budget",
                budget.map_or_else(none, |percent| format!("{percent}%")),
            ),
            (
                "guard.breaker",
                breaker.map_or_else(none, |trip| {
                    format!(
                        "{}%/{}/{}",
                        trip.percent,
                        trip.window,
                        show_duration(trip.open)
                    )
                }),
            ),
            (
                "guard.slow_after",
                slow_after.map_or_else(none, show_duration),
            ),
            (
                "guard.bulkhead",
                bulkhead.map_or_else(none, |calls| calls.to_string()),
            ),
        ]
    }
}

/// The value of an option that needs one.
pub(super) fn given<'v>(
    key: &str,
    value: Option<&'v str>,
    example: &str,
) -> Result<&'v str, String> {
    value.ok_or_else(|| format!("`{key}` needs a value, such as {key}={example}"))
}

pub(super) fn count(key: &str, text: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        _ => Err(format!(
            "expected {key}= with a number from 1 to {most}, got `{text}`"
        )),
    }
}

fn duration(key: &str, text: &str) -> Result<Duration, String> {
    let duration = read_duration(text, LONGEST).map_err(|why| format!("{key}=: {why}"))?;
    if duration.is_zero() {
        return Err(format!("expected {key}= above 0, got `{text}`"));
    }
    Ok(duration)
}

fn percent(key: &str, text: &str) -> Result<f64, String> {
    text.strip_suffix('%')
        .filter(|number| number.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        .and_then(|number| number.parse().ok())
        .filter(|percent| (0.001..=100.0).contains(percent))
        .ok_or_else(|| {
            format!("expected {key}= with a share such as 10%, up to 100%; got `{text}`")
        })
}

fn backoff(text: &str) -> Result<(Duration, Duration), String> {
    let (first, most) = text.split_once("..").ok_or_else(|| {
        format!(
            "expected backoff= with its first and its longest pause, such as 10ms..1s, got `{text}`"
        )
    })?;
    let (first, most) = (duration("backoff", first)?, duration("backoff", most)?);
    if first > most {
        return Err(format!(
            "expected backoff='s first pause not to be longer than its longest, got `{text}`"
        ));
    }
    Ok((first, most))
}

fn breaker(text: &str) -> Result<Trip, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let [share, window, open] = parts[..] else {
        return Err(format!(
            "expected breaker= with a share, how many attempts are looked at, and how long it is open, such as 50%/20/1s, got `{text}`"
        ));
    };
    Ok(Trip {
        percent: percent("breaker", share)?,
        window: count("breaker", window, 10_000)?,
        open: duration("breaker", open)?,
    })
}
