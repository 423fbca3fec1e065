//! The backlog over time as formulas draw it for somebody's own numbers: a line per event, straight between its corners.

use super::style::{self, DASHES};
use super::{Chart, Draw};
use crate::projection::{MARK, Projection};
use crate::report::format::grouped;
use kuva::backend::terminal::TerminalBackend;
use kuva::plot::line::LinePlot;
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};

/// Okabe and Ito's, as everywhere; none of them is a transport's here.
const COLOURS: [&str; 2] = ["#e69f00", "#56b4e9"];
const HEIGHT: f64 = 400.0;
/// Pixels of a character on a terminal, as the letters of the axes are measured.
const CHARACTER: (f64, f64) = (7.0, 17.0);

/// One event's line, ready to be drawn.
struct Line {
    label: String,
    corners: Vec<(f64, f64)>,
    /// When the event ends.
    ends: f64,
}

/// As a picture.
pub(in crate::report) fn picture(projection: &Projection) -> Chart {
    let lines = lines(projection);
    let most: Vec<String> = projection
        .courses
        .iter()
        .map(|course| {
            let most = course.corners.iter().map(|c| c.1).fold(0.0, f64::max);
            format!("{} leaves {} orders waiting", course.name, grouped(most))
        })
        .collect();
    let draw: Draw =
        Box::new(move |title: Option<&str>| draw(&lines, (style::WIDTH, HEIGHT), title));
    Chart {
        name: "projection",
        title: format!("Projected, not measured: {}", most.join("; ")),
        text: format!(
            "Backlog over time ({MARK}), from (λ − μ)·T for {}. A dashed line marks the end of each event; the backlog \
             is gone where its line meets the axis again.",
            projection.asked
        ),
        draw,
    }
}

/// On a terminal, `columns` wide.
pub(in crate::report) fn terminal(projection: &Projection, columns: usize, colour: bool) -> String {
    let width = columns as f64 * CHARACTER.0;
    let rows = (HEIGHT / CHARACTER.1) as usize;
    let scene = draw(&lines(projection), (width, HEIGHT), None);
    let text = TerminalBackend::new(columns, rows).render_scene(&scene);
    let text = if colour { text } else { uncoloured(&text) };
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!(
        "\norders waiting over seconds ({MARK})\n{}\n",
        lines.join("\n")
    )
}

fn lines(projection: &Projection) -> Vec<Line> {
    let line = |course: &crate::projection::Course| Line {
        label: course.name.clone(),
        corners: course.corners.clone(),
        ends: course.event_s.1,
    };
    projection.courses.iter().map(line).collect()
}

fn draw(lines: &[Line], size: (f64, f64), title: Option<&str>) -> Scene {
    let corners = || lines.iter().flat_map(|line| &line.corners);
    let most = corners().map(|corner| corner.1).fold(1.0, f64::max);
    let last = corners().map(|corner| corner.0).fold(0.0, f64::max);
    let mut plots = Vec::new();
    let mut entries = Vec::new();
    let mut ends = Vec::new();
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        plots.push(Plot::Line(
            LinePlot::new()
                .with_data(line.corners.iter().copied())
                .with_color(*colour)
                .with_stroke_width(2.2),
        ));
        entries.push(style::line_entry(&line.label, colour, None));
        ends.push(
            ReferenceLine::vertical(line.ends)
                .with_color(*colour)
                .with_stroke_width(1.2)
                .with_dasharray(DASHES),
        );
    }
    let mut layout = Layout::auto_from_plots(&plots)
        .with_x_axis_min(0.0)
        .with_x_axis_max(last)
        .with_y_axis_min(0.0)
        .with_y_axis_max(most * 1.05)
        .with_x_tick_format(style::counts())
        .with_y_tick_format(style::counts())
        .with_x_label("seconds")
        .with_y_label("orders waiting");
    for end in ends {
        layout = layout.with_reference_line(end);
    }
    let layout = style::legend(layout, entries);
    render_multiple(plots, style::layout(layout, size, title))
}

/// The text without its colours (the library's backend always writes them).
fn uncoloured(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        out.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}
