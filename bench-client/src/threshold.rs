//! `load --fail-if 'p99>20ms'`: a small language of thresholds on one trial (figure, comparison, value with its unit).
//! Pure: read before anything starts, judged from the trial's results alone.

#[cfg(test)]
mod tests;

use crate::claims::part::number;
use crate::claims::samples;
use crate::latency::Minimum;
use crate::results::{Latency, Percentile, Trial};
use crate::units;
use std::fmt;
use std::str::FromStr;

/// What may be asked for, in every refusal.
const EXPECTED: &str = "expected a figure, a comparison and a value with its unit, such as p99>20ms, completion.p99>=1s, \
errors>0.1%, lost>0, rate<1000/s or cpu>80us";

/// The figures by name, in the refusal of an unknown one.
const FIGURES: &str = "expected p50, p90, p99, p99.9, max or mean (of accept, or after accept., completion., service. or \
lateness.); errors, failed, refused, timeouts, lost, duplicated, reordered, recovered or unexpected; rate; cpu, cpu.client, \
cpu.service or cpu.broker";

/// Why a figure of the service's side is not there.
const NO_SERVICE_SIDE: &str = "it was not measured: the service's side of the ledger is unknown (for a --target give --control \
and --token-file)";

/// One threshold: where the trial's figure stands so to the value, the run has failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    figure: Figure,
    relation: Relation,
    limit: Limit,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Time(Clock, Statistic),
    Operations(Fate),
    Rate,
    Cpu(Role),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Accept,
    Completion,
    Service,
    Lateness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statistic {
    Percentile(Percentile),
    Mean,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It was not acknowledged, whatever the reason: refused, failed, timed out, or still open when the grace ended.
    Error,
    Failed,
    Refused,
    TimedOut,
    Lost,
    Duplicated,
    Reordered,
    Recovered,
    Unexpected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    All,
    Client,
    Service,
    Broker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// The value, in the unit that its figure is in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// Latencies and CPU, ns.
    Ns(f64),
    /// So many operations.
    Count(f64),
    /// A share of the operations that were attempted, 0 to 1.
    Share(f64),
    /// Operations per second.
    PerSecond(f64),
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    Exactly(f64),
    /// The rank fell among operations without an answer: the truth is this or more.
    AtLeast(f64),
    /// It was not measured, and why.
    Nothing(String),
}

/// What became of a threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The threshold as it was given.
    pub threshold: String,
    /// The figure that was found, with its unit; `–` where there is none.
    pub found: String,
    /// Whether it was crossed: then the run has failed.
    pub crossed: bool,
    /// Why it counts as crossed although the figure does not say so by itself.
    pub why: Option<String>,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let at = text
            .find(['<', '>'])
            .ok_or_else(|| format!("'{text}' has no comparison (>, >=, < or <=); {EXPECTED}"))?;
        let (name, rest) = text.split_at(at);
        let (relation, value) = Relation::split(rest);
        let (name, value) = (name.trim(), value.trim());
        let figure = Figure::named(name).ok_or_else(|| match name {
            "" => format!("'{text}' names no figure before its comparison; {FIGURES}"),
            name => format!("'{name}' in '{text}' is not a figure; {FIGURES}"),
        })?;
        if value.is_empty() {
            return Err(format!(
                "'{text}' has no value behind its comparison; {EXPECTED}"
            ));
        }
        let limit = figure
            .limit(value)
            .map_err(|why| format!("in '{text}': {why}"))?;
        Ok(Self {
            text: text.into(),
            figure,
            relation,
            limit,
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Relation {
    /// Takes the comparison off a text that begins with one.
    fn split(text: &str) -> (Self, &str) {
        let signs = [
            (">=", Self::AtLeast),
            ("<=", Self::AtMost),
            (">", Self::Above),
            ("<", Self::Below),
        ];
        signs
            .into_iter()
            .find_map(|(sign, relation)| Some((relation, text.strip_prefix(sign)?)))
            .unwrap_or((Self::Above, text))
    }

    fn holds(self, found: f64, limit: f64) -> bool {
        match self {
            Self::Above => found > limit,
            Self::AtLeast => found >= limit,
            Self::Below => found < limit,
            Self::AtMost => found <= limit,
        }
    }

    fn asks_for_more(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast)
    }
}

impl Figure {
    fn named(name: &str) -> Option<Self> {
        if let Some(statistic) = statistic(name) {
            return Some(Self::Time(Clock::Accept, statistic));
        }
        let fate = match name {
            "rate" | "throughput" => return Some(Self::Rate),
            "cpu" => return Some(Self::Cpu(Role::All)),
            "errors" => Fate::Error,
            "failed" => Fate::Failed,
            "refused" => Fate::Refused,
            "timeouts" => Fate::TimedOut,
            "lost" => Fate::Lost,
            "duplicated" => Fate::Duplicated,
            "reordered" => Fate::Reordered,
            "recovered" => Fate::Recovered,
            "unexpected" => Fate::Unexpected,
            name => return Self::qualified(name),
        };
        Some(Self::Operations(fate))
    }

    /// `completion.p99`, `cpu.client`.
    fn qualified(name: &str) -> Option<Self> {
        let (of, what) = name.split_once('.')?;
        let clock = match (of, what) {
            ("cpu", "client") => return Some(Self::Cpu(Role::Client)),
            ("cpu", "service") => return Some(Self::Cpu(Role::Service)),
            ("cpu", "broker") => return Some(Self::Cpu(Role::Broker)),
            ("accept", _) => Clock::Accept,
            ("completion", _) => Clock::Completion,
            ("service", _) => Clock::Service,
            ("lateness", _) => Clock::Lateness,
            _ => return None,
        };
        Some(Self::Time(clock, statistic(what)?))
    }

    /// Reads a value in this figure's unit.
    fn limit(self, value: &str) -> Result<Limit, String> {
        match self {
            Self::Time(..) | Self::Cpu(_) => {
                let time = units::parse_duration(value)?;
                Ok(Limit::Ns(time.as_nanos() as f64))
            }
            Self::Operations(_) => match value.strip_suffix('%') {
                Some(percent) => positive(percent)
                    .filter(|percent| *percent <= 100.0)
                    .map(|percent| Limit::Share(percent / 100.0))
                    .ok_or_else(|| format!("'{value}' is no share; expected 0% to 100%, such as 0.1%")),
                None => value.parse::<u64>().map(|count| Limit::Count(count as f64)).map_err(|_| {
                    format!("'{value}' is no count; expected a count of operations such as 0, or a share of them such as 0.1%")
                }),
            },
            Self::Rate => positive(value.strip_suffix("/s").unwrap_or(value))
                .map(Limit::PerSecond)
                .ok_or_else(|| {
                    format!("'{value}' is no rate; expected operations per second such as 1000/s")
                }),
        }
    }
}

fn statistic(name: &str) -> Option<Statistic> {
    Some(Statistic::Percentile(match name {
        "p50" => Percentile::P50,
        "p90" => Percentile::P90,
        "p99" => Percentile::P99,
        "p99.9" => Percentile::P999,
        "max" => Percentile::Max,
        "mean" => return Some(Statistic::Mean),
        _ => return None,
    }))
}

/// A number that is not below zero.
fn positive(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

impl Threshold {
    /// Whether only the service itself can tell the figure: then its control port must be there.
    pub fn needs_service(&self) -> bool {
        match self.figure {
            Figure::Time(clock, _) => clock == Clock::Completion,
            Figure::Operations(fate) => !matches!(
                fate,
                Fate::Error | Fate::Failed | Fate::Refused | Fate::TimedOut
            ),
            Figure::Rate | Figure::Cpu(_) => false,
        }
    }

    /// Whether only an open loop has the figure.
    pub fn needs_rate(&self) -> bool {
        matches!(self.figure, Figure::Time(Clock::Lateness, _))
    }

    /// Judges a trial. What was not measured counts as crossed, and so does a percentile among operations without an
    /// answer, unless its lower bound alone says that it was not.
    pub fn judge(&self, trial: &Trial) -> Judged {
        let (limit, found) = (self.limit.value(), self.find(trial));
        let (crossed, why) = match &found {
            Found::Exactly(value) => (self.relation.holds(*value, limit), None),
            Found::AtLeast(bound) if self.relation.asks_for_more() => (
                true,
                (!self.relation.holds(*bound, limit)).then(|| {
                    "its rank falls among operations without an answer, so it may be anything above".to_string()
                }),
            ),
            Found::AtLeast(bound) => {
                let crossed = self.relation.holds(*bound, limit);
                let why = "it is only known to be above its bound, which is below the threshold";
                (crossed, crossed.then(|| why.to_string()))
            }
            Found::Nothing(why) => (true, Some(why.clone())),
        };
        Judged {
            threshold: self.text.clone(),
            found: match found {
                Found::Exactly(value) => self.limit.show(value),
                Found::AtLeast(bound) => format!("≥ {}", self.limit.show(bound)),
                Found::Nothing(_) => "–".into(),
            },
            crossed,
            why,
        }
    }

    fn find(&self, trial: &Trial) -> Found {
        match self.figure {
            Figure::Time(clock, statistic) => {
                let latency = match clock {
                    Clock::Accept => Some(&trial.accept_ns),
                    Clock::Completion => trial.completion_ns.as_ref(),
                    Clock::Service => Some(&trial.service_ns),
                    Clock::Lateness => Some(&trial.lateness_ns),
                };
                latency.map_or_else(
                    || Found::Nothing(NO_SERVICE_SIDE.into()),
                    |latency| of_latency(latency, statistic),
                )
            }
            Figure::Operations(fate) => self.operations(trial, fate),
            // A generator at its limit makes the service's capacity a bound; the rate that was reached is what it is.
            Figure::Rate => Found::Exactly(trial.throughput_per_s),
            Figure::Cpu(role) => {
                let cpu = match role {
                    Role::All => trial.cpu_us_per_op_total(),
                    Role::Client => trial.cpu_us_per_op.client,
                    Role::Service => trial.cpu_us_per_op.service,
                    Role::Broker => trial.cpu_us_per_op.broker,
                };
                cpu.map_or_else(
                    || {
                        Found::Nothing(
                            "it was not measured: a process that it is about is none of ours, or died"
                                .into(),
                        )
                    },
                    |us| Found::Exactly(us * 1e3),
                )
            }
        }
    }

    fn operations(&self, trial: &Trial, fate: Fate) -> Found {
        let ledger = &trial.ledger;
        let count = match fate {
            Fate::Error => Some(ledger.attempted.saturating_sub(ledger.acknowledged)),
            Fate::Failed => Some(ledger.failed),
            Fate::Refused => Some(ledger.refused),
            Fate::TimedOut => Some(ledger.timed_out),
            Fate::Lost => ledger.lost,
            Fate::Duplicated => ledger.duplicated,
            Fate::Reordered => ledger.reordered,
            Fate::Recovered => ledger.recovered,
            Fate::Unexpected => ledger.unexpected,
        };
        match (count, self.limit) {
            (None, _) => Found::Nothing(NO_SERVICE_SIDE.into()),
            (Some(_), Limit::Share(_)) if ledger.attempted == 0 => {
                Found::Nothing("no operation was attempted, so none is a share of them".into())
            }
            (Some(count), Limit::Share(_)) => {
                Found::Exactly(count as f64 / ledger.attempted as f64)
            }
            (Some(count), _) => Found::Exactly(count as f64),
        }
    }
}

fn of_latency(latency: &Latency, statistic: Statistic) -> Found {
    match statistic {
        Statistic::Percentile(which) => match samples::percentile(latency, which) {
            Some(sample) if sample.at_least => Found::AtLeast(sample.value),
            Some(sample) => Found::Exactly(sample.value),
            None => Found::Nothing(format!(
                "it was not measured: {} operations are too few, it takes {}; run longer, or at a higher rate",
                latency.count + latency.censored,
                Minimum::Trial.samples(which)
            )),
        },
        Statistic::Mean => match latency.mean {
            // Each operation without an answer took at least its bound.
            Some(mean) if latency.censored > 0 => {
                let bound = latency.bound.unwrap_or(0) as f64;
                let (known, open) = (latency.count as f64, latency.censored as f64);
                Found::AtLeast((mean * known + bound * open) / (known + open))
            }
            Some(mean) => Found::Exactly(mean),
            None => Found::Nothing("it was not measured: no operation was answered".into()),
        },
    }
}

impl Limit {
    fn value(self) -> f64 {
        match self {
            Self::Ns(value) | Self::Count(value) | Self::Share(value) | Self::PerSecond(value) => {
                value
            }
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Ns(_) => units::show_ns(value),
            Self::Count(_) => format!("{value:.0}"),
            Self::Share(_) => format!("{} %", number(value * 100.0)),
            Self::PerSecond(_) => format!("{}/s", number(value)),
        }
    }
}
