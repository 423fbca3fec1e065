//! Ratios with their intervals on a log axis, 1 marked and the claimed band shaded: gRPC against REST, and beside it
//! what else was paired with REST.

use super::Picture;
use super::style::{self, INK, MUTED};
use crate::claims::Claim;
use crate::claims::ratios::is_aa;
use crate::claims::rules::Rule;
use crate::report::format::{interval, metric};
use crate::results::{Ratio, Run};
use kuva::plot::forest::ForestPlot;
use kuva::plot::scatter::ScatterPlot;
use kuva::render::annotations::{ReferenceLine, ShadedRegion};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};

/// Rows that a reader can still take in.
const ROWS: usize = 24;

pub(super) fn pictures(run: &Run) -> Vec<Picture> {
    let (claimed, other): (Vec<&Ratio>, Vec<&Ratio>) = run
        .ratios
        .iter()
        .filter(|r| !is_aa(r) && r.point.is_some())
        .partition(|r| is_claimed(r));
    vec![claims(claimed), others(other)]
}

/// gRPC's advantage over REST as the claims state it: throughput, and how many times lower the latency is.
fn is_claimed(ratio: &Ratio) -> bool {
    sides(ratio).is_some_and(|s| s == "grpc ÷ rest" || s == "rest ÷ grpc")
        && ratio.metric != "cpu_us_per_op"
}

fn claims(ratios: Vec<&Ratio>) -> Picture {
    const NAME: &str = "forest";
    let band = Claim::find("grpc-thr-3-10x").and_then(|claim| match claim.rules {
        [Rule::Band(low, Some(high), _)] => Some((*low, *high)),
        _ => None,
    });
    let Some((low, high)) = band.filter(|_| !ratios.is_empty()) else {
        return Picture::left_out(NAME, "this run paired no cell of gRPC with one of REST");
    };
    let inside = ratios
        .iter()
        .filter(|r| r.low.is_some_and(|l| l >= low) && r.high.is_none_or(|h| h <= high))
        .count();
    let one = ratios
        .iter()
        .filter(|r| r.low.is_some_and(|l| l < 1.0) && r.high.is_some_and(|h| h < 1.0))
        .count();
    let n = ratios.len();
    let title = format!(
        "{inside} of {n} ratios of gRPC to REST lie within the claimed {low}–{high}×; in {one} REST is the better"
    );
    let text = format!(
        "How many times better gRPC is than REST: throughput gRPC ÷ REST, latency REST ÷ gRPC. Marker and whiskers: \
         geometric mean and 95 % interval over blocks; small dots: each block, in run order from top to bottom; a \
         whisker that runs to the edge has no end on that side. Shaded: claimed {low}–{high}×; the line marks 1.{}",
        more(n)
    );
    Picture::drawn(NAME, title, text, {
        let rows: Vec<Row> = ratios.into_iter().take(ROWS).map(Row::new).collect();
        move |title| {
            draw(
                &rows,
                Some((low, high)),
                "how many times better gRPC is (log axis)",
                title,
            )
        }
    })
}

fn others(ratios: Vec<&Ratio>) -> Picture {
    const NAME: &str = "forest-rest";
    if ratios.is_empty() {
        return Picture::left_out(NAME, "this run paired nothing else with REST");
    }
    let cpu: Vec<String> = ["grpc", "queue", "stream"]
        .iter()
        .filter_map(|name| {
            let ratio = ratios.iter().find(|r| {
                r.metric == "cpu_us_per_op"
                    && r.rate_like()
                    && sides(r).is_some_and(|s| s == format!("{name} ÷ rest"))
            })?;
            Some(format!("{name} {}×", style::short(round(ratio.point?))))
        })
        .collect();
    let title = if cpu.is_empty() {
        format!("{} ratios to REST, paired by block", ratios.len())
    } else {
        format!(
            "CPU per order against REST at an equal rate: {}",
            cpu.join(", ")
        )
    };
    let text = format!(
        "Other transport ÷ REST, equal order, load and durability class. Marker and whiskers: geometric mean and 95 % \
         interval over blocks; small dots: each block, in run order from top to bottom. The line marks 1.{}",
        more(ratios.len())
    );
    Picture::drawn(NAME, title, text, {
        let mut rows: Vec<Row> = ratios.into_iter().map(Row::new).collect();
        rows.sort_by_key(|row| row.place);
        rows.truncate(ROWS);
        move |title| draw(&rows, None, "times REST's value (log axis)", title)
    })
}

trait RateLike {
    fn rate_like(&self) -> bool;
}

impl RateLike for Ratio {
    fn rate_like(&self) -> bool {
        self.name.contains("/s:")
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn more(n: usize) -> String {
    match n.saturating_sub(ROWS) {
        0 => String::new(),
        rest => format!(" {rest} more are in the table of ratios."),
    }
}

/// What stands on the two sides of a ratio.
fn sides(ratio: &Ratio) -> Option<&str> {
    ratio.name.split_once(": ").map(|(_, sides)| sides)
}

/// A ratio, ready to draw.
struct Row {
    /// The transport's place in every list.
    place: usize,
    label: String,
    colour: &'static str,
    point: f64,
    low: Option<f64>,
    high: Option<f64>,
    blocks: Vec<f64>,
}

impl Row {
    fn new(ratio: &Ratio) -> Self {
        let (load, sides) = ratio.name.split_once(": ").unwrap_or((&ratio.name, ""));
        let other = sides
            .split(" ÷ ")
            .find(|side| *side != "rest")
            .unwrap_or_default();
        let load = load.split_once(", ").map_or(load, |(_, load)| load);
        let what = metric(&ratio.metric);
        // Where all rows are gRPC's, the axis says so.
        let who = if is_claimed(ratio) {
            String::new()
        } else {
            format!("{other} ")
        };
        let figures = match (ratio.low, ratio.high) {
            (None, None) => "no bound".into(),
            _ => interval(ratio.low, ratio.high, ""),
        };
        Self {
            label: format!("{who}{what}, {load}  {figures}"),
            place: style::place(other),
            colour: style::transport(other),
            point: ratio.point.unwrap_or(1.0),
            low: ratio.low,
            high: ratio.high,
            blocks: ratio.per_block.clone(),
        }
    }
}

fn draw(rows: &[Row], band: Option<(f64, f64)>, axis: &str, title: Option<&str>) -> Scene {
    let reach = rows
        .iter()
        .flat_map(|r| {
            r.blocks
                .iter()
                .copied()
                .chain([r.point])
                .chain(r.low)
                .chain(r.high)
        })
        .chain([1.0])
        .chain(band.into_iter().flat_map(|(low, high)| [low, high]));
    let (left, right) = style::log_span(reach).unwrap_or((0.5, 2.0));
    let mut forest = ForestPlot::new()
        .with_show_null_line(false)
        .with_marker_size(5.0)
        .with_cap_size(4.0)
        .with_whisker_width(2.0);
    let mut plots = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let at = (rows.len() - i) as f64;
        forest = forest.with_colored_row(
            row.label.clone(),
            row.point,
            row.low.unwrap_or(left),
            row.high.unwrap_or(right),
            row.colour,
        );
        let last = (row.blocks.len().max(2) - 1) as f64;
        let dots = row
            .blocks
            .iter()
            .enumerate()
            .map(|(k, ratio)| (*ratio, at + 0.3 - 0.6 * k as f64 / last));
        plots.push(Plot::Scatter(
            ScatterPlot::new()
                .with_data(dots)
                .with_color(row.colour)
                .with_size(2.0)
                .with_marker_opacity(0.55),
        ));
    }
    plots.push(Plot::Forest(forest));
    let height = 90.0 + 26.0 * rows.len() as f64;
    let mut layout = Layout::auto_from_plots(&plots)
        .with_log_x()
        .with_x_axis_min(left)
        .with_x_axis_max(right)
        .with_x_tick_format(style::ratios())
        .with_x_label(axis)
        .with_reference_line(
            ReferenceLine::vertical(1.0)
                .with_color(INK)
                .with_stroke_width(1.2)
                .with_dasharray("none"),
        );
    if let Some((low, high)) = band {
        layout = layout.with_shaded_region(
            ShadedRegion::vertical(low, high)
                .with_color(MUTED)
                .with_opacity(0.18),
        );
    }
    render_multiple(plots, style::layout(layout, (860.0, height), title))
}
