//! How every chart looks: one colour per transport everywhere (Okabe and Ito's, told apart by the colour-blind),
//! colours of text and lines as CSS variables, so that one drawing serves light and dark, and axes with units.

use crate::claims::part::number;
use crate::report::tables::TRANSPORTS;
use kuva::plot::legend::{LegendEntry, LegendPosition, LegendShape};
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::theme::Theme;
use std::sync::Arc;

/// Text and the line at 1.
pub(super) const INK: &str = "var(--ink,#1c2024)";
/// What stands back: theory, bands, what has no transport.
pub(super) const MUTED: &str = "var(--muted,#646b73)";
const LINE: &str = "var(--line,#d9dde1)";

/// First, second and third part of a stack.
pub(super) const PARTS: [&str; 3] = ["#56b4e9", "#e69f00", "var(--third,#8c939b)"];

/// The colour of a transport, everywhere.
pub(in crate::report) fn transport(name: &str) -> &'static str {
    match name {
        "rest" => "#0072b2",
        "grpc" => "#d55e00",
        "queue" => "#009e73",
        "stream" => "#cc79a7",
        _ => "#8c939b",
    }
}

/// Place of a transport in every list.
pub(super) fn place(name: &str) -> usize {
    TRANSPORTS
        .iter()
        .position(|transport| *transport == name)
        .unwrap_or(TRANSPORTS.len())
}

/// The variables of both colour schemes, for `selector`.
pub(in crate::report) fn css(selector: &str) -> String {
    format!(
        "{selector}{{--ink:#1c2024;--muted:#646b73;--line:#d9dde1;--third:#8c939b;--paper:#ffffff}}\
         @media (prefers-color-scheme:dark){{{selector}{{--ink:#e6e8ea;--muted:#9aa3ac;--line:#3a4149;--third:#8c939b;--paper:#15181b}}}}"
    )
}

/// Of a plain chart, pixels: letters that a phone can still show, and lines that a screen does not stretch too far.
pub(super) const WIDTH: f64 = 560.0;

/// The layout that all charts share.
pub(super) fn layout(layout: Layout, size: (f64, f64), title: Option<&str>) -> Layout {
    let layout = layout
        .with_theme(theme())
        .with_width(size.0)
        .with_height(size.1 + title.map_or(0.0, |title| title_height(title, size.0)))
        .with_title_size(15)
        .with_label_size(14)
        .with_tick_size(13)
        .with_body_size(13)
        .with_legend_box(false);
    match title {
        Some(title) => layout.with_title(title).with_title_wrap(wrap_at(size.0)),
        None => layout,
    }
}

/// A panel among small multiples: smaller letters, no room of its own for a title.
pub(super) fn panel(layout: Layout) -> Layout {
    layout
        .with_theme(theme())
        .with_title_size(14)
        .with_label_size(12)
        .with_tick_size(11)
        .with_body_size(12)
        .with_legend_box(false)
        .with_ticks(4)
}

/// Room that a drawn title takes off a chart.
pub(super) fn title_height(title: &str, width: f64) -> f64 {
    let lines = title.chars().count().div_ceil(wrap_at(width)).max(1);
    lines as f64 * 20.0 + 20.0
}

/// Characters of a title's line.
pub(super) fn wrap_at(width: f64) -> usize {
    (width / 8.6) as usize
}

fn theme() -> Theme {
    Theme {
        background: "none".into(),
        axis_color: MUTED.into(),
        grid_color: LINE.into(),
        tick_color: MUTED.into(),
        text_color: INK.into(),
        legend_bg: "none".into(),
        legend_border: "none".into(),
        font_family: Some("system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif".into()),
        ..Theme::light()
    }
}

/// A legend below the picture, in columns.
pub(super) fn legend(layout: Layout, entries: Vec<LegendEntry>) -> Layout {
    layout
        .with_legend_entries(entries)
        .with_legend_position(LegendPosition::OutsideBottomColumns)
}

/// A line of a legend.
pub(super) fn line_entry(label: &str, colour: &str, dashes: Option<&str>) -> LegendEntry {
    LegendEntry {
        label: label.into(),
        color: colour.into(),
        shape: LegendShape::Line,
        dasharray: dashes.map(str::to_string),
    }
}

/// A filled square of a legend.
pub(super) fn square_entry(label: &str, colour: &str) -> LegendEntry {
    LegendEntry {
        label: label.into(),
        color: colour.into(),
        shape: LegendShape::Rect,
        dasharray: None,
    }
}

/// Dashes of what is second to a full line: p99, completion.
pub(super) const DASHES: &str = "6 3";

fn ticks(show: fn(f64) -> String) -> TickFormat {
    TickFormat::Custom(Arc::new(show))
}

/// Ticks of a time in ns.
pub(super) fn times() -> TickFormat {
    ticks(|ns| {
        let (value, unit) = match ns {
            v if v < 1e3 => (v, "ns"),
            v if v < 1e6 => (v / 1e3, "µs"),
            v if v < 1e9 => (v / 1e6, "ms"),
            v => (v / 1e9, "s"),
        };
        format!("{} {unit}", short(value))
    })
}

/// Ticks of a ratio.
pub(super) fn ratios() -> TickFormat {
    ticks(|ratio| format!("{}×", short(ratio)))
}

/// Ticks of a count or a rate.
pub(super) fn counts() -> TickFormat {
    ticks(|count| {
        if count.abs() >= 1e3 {
            crate::report::format::grouped(count)
        } else {
            short(count)
        }
    })
}

/// Three digits at most, and no zeros that say nothing.
pub(super) fn short(value: f64) -> String {
    let rounded = format!("{value:.3}");
    let text = if rounded.contains('.') {
        rounded.trim_end_matches('0').trim_end_matches('.')
    } else {
        &rounded
    };
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if text == "0" && value != 0.0 {
        number(value)
    } else {
        text.into()
    }
}

/// The ends of a log axis around positive values, a little wider than they are.
pub(super) fn log_span(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let mut span: Option<(f64, f64)> = None;
    for value in values.into_iter().filter(|v| v.is_finite() && *v > 0.0) {
        let (low, high) = span.unwrap_or((value, value));
        span = Some((low.min(value), high.max(value)));
    }
    span.map(|(low, high)| (low / 1.25, high * 1.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transport_has_a_colour_of_its_own() {
        let mut colours: Vec<&str> = TRANSPORTS.iter().map(|name| transport(name)).collect();
        colours.sort_unstable();
        colours.dedup();
        assert_eq!(colours.len(), TRANSPORTS.len());
    }

    #[test]
    fn ticks_say_no_more_than_they_must() {
        for (value, text) in [(0.5, "0.5"), (2.0, "2"), (100.0, "100"), (0.0, "0")] {
            assert_eq!(short(value), text);
        }
        assert_eq!(times().format(200_000.0), "200 µs");
        assert_eq!(times().format(2e9), "2 s");
        assert_eq!(ratios().format(0.5), "0.5×");
    }

    #[test]
    fn a_log_axis_has_room_and_needs_a_positive_value() {
        assert_eq!(log_span([0.0, -1.0]), None);
        assert_eq!(log_span([1.0, 4.0]), Some((0.8, 5.0)));
    }
}
