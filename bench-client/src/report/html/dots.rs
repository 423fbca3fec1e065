//! Values of blocks as dots in run order, drawn with nothing but positions, so that they print and need no picture.

use crate::claims::part::number;
use crate::report::cells::Ran;
use crate::report::format::metric;
use crate::results::{Ratio, State, Trial};

/// One dot, in per cent of the strip's width and height.
pub(super) struct Dot {
    pub(super) left: f64,
    pub(super) bottom: f64,
    pub(super) class: &'static str,
    /// What it says when pointed at.
    pub(super) title: String,
}

/// A strip of dots with its name and its span.
pub(super) struct Strip {
    pub(super) name: String,
    /// In words, for those who do not see it.
    pub(super) words: String,
    pub(super) dots: Vec<Dot>,
    pub(super) span: String,
}

/// A value with how it is to be drawn.
struct Value {
    value: f64,
    class: &'static str,
    title: String,
}

impl Strip {
    /// A cell's figure, every attempt in run order: hollow is SUSPECT, a cross INVALID, faint has another attempt in its place.
    pub(super) fn of_cell(ran: &Ran<'_>) -> Self {
        let figure = ran.figure();
        let counted = ran.counted();
        let value = |trial: &&Trial| {
            let value = figure.of(trial)?;
            let counts = counted.iter().any(|t| std::ptr::eq(*t, *trial));
            let class = match (counts, trial.validity.state) {
                (false, _) => "again",
                (true, State::Valid) => "valid",
                (true, State::Suspect) => "suspect",
                (true, State::Invalid) => "invalid",
            };
            let again = if counts {
                ""
            } else {
                ", another attempt counts"
            };
            Some(Value {
                value,
                class,
                title: format!(
                    "block {}: {}, {}{again}",
                    trial.block + 1,
                    figure.show(value),
                    trial.validity.state
                ),
            })
        };
        let values: Vec<Value> = ran.trials.iter().filter_map(value).collect();
        Self::new(figure.name().into(), &values, |v| figure.show(v))
    }

    /// A ratio's blocks; hollow where one of its two trials is SUSPECT.
    pub(super) fn of_ratio(ratio: &Ratio, cells: &[Ran<'_>]) -> Self {
        let states = states(ratio, cells);
        let value = |(i, value): (usize, &f64)| {
            let (block, suspect) = states.get(i).copied().unwrap_or((i as u32, false));
            let (class, state) = if suspect {
                ("suspect", ", SUSPECT")
            } else {
                ("valid", "")
            };
            Value {
                value: *value,
                class,
                title: format!("block {}: {}×{state}", block + 1, number(*value)),
            }
        };
        let values: Vec<Value> = ratio.per_block.iter().enumerate().map(value).collect();
        let name = format!("{}, {}", ratio.name, metric(&ratio.metric));
        Self::new(name, &values, |v| format!("{}×", number(v)))
    }

    /// On a log scale over the values' own span; a span under 10 % is not blown up to look like more.
    fn new(name: String, values: &[Value], show: impl Fn(f64) -> String) -> Self {
        let logs = || values.iter().map(|v| v.value.ln());
        let (low, high) = (
            logs().fold(f64::INFINITY, f64::min),
            logs().fold(f64::NEG_INFINITY, f64::max),
        );
        let room = f64::max(high - low, 0.1);
        let middle = (low + high) / 2.0;
        let step = 100.0 / values.len().max(1) as f64;
        let dots = values.iter().enumerate().map(|(i, v)| Dot {
            left: (i as f64 + 0.5) * step,
            bottom: 50.0 + 60.0 * (v.value.ln() - middle) / room,
            class: v.class,
            title: v.title.clone(),
        });
        let span = match values.len() {
            0 => "–".into(),
            1 => show(low.exp()),
            _ => format!("{} … {}", show(low.exp()), show(high.exp())),
        };
        let words: Vec<&str> = values.iter().map(|v| v.title.as_str()).collect();
        Self {
            name,
            words: words.join("; "),
            dots: dots.collect(),
            span,
        }
    }
}

/// Block and whether it is SUSPECT, for each of a ratio's blocks; empty where that cannot be told.
fn states(ratio: &Ratio, cells: &[Ran<'_>]) -> Vec<(u32, bool)> {
    let counted = |id: &str| {
        let ran = cells.iter().find(|ran| ran.cell.id == id);
        ran.map(|ran| ran.counted()).unwrap_or_default()
    };
    let (above, below) = (counted(&ratio.numerator), counted(&ratio.denominator));
    let left_out = |block: u32| {
        let name = format!("block {block}:");
        ratio.excluded.iter().any(|why| why.starts_with(&name))
    };
    let states: Vec<(u32, bool)> = above
        .iter()
        .filter(|t| !left_out(t.block))
        .filter_map(|t| {
            let other = below.iter().find(|o| o.block == t.block)?;
            let suspect = [*t, other]
                .iter()
                .any(|t| t.validity.state == State::Suspect);
            Some((t.block, suspect))
        })
        .collect();
    if states.len() == ratio.per_block.len() {
        states
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_stand_in_run_order_within_their_strip() {
        let ratio = Ratio {
            per_block: vec![1.0, 2.0, 4.0],
            ..Ratio::default()
        };
        let strip = Strip::of_ratio(&ratio, &[]);
        assert!(strip.dots.windows(2).all(|w| w[0].left < w[1].left));
        let heights: Vec<f64> = strip.dots.iter().map(|d| d.bottom.round()).collect();
        assert_eq!(heights, [20.0, 50.0, 80.0]);
        assert_eq!(strip.span, "1.00× … 4.00×");
    }
}
