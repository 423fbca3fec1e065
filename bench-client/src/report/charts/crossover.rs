//! gRPC ÷ REST over the number of order lines, with JSON ÷ protobuf size beside it: where, if anywhere, they cross.

use super::Picture;
use super::style::{self, DASHES, INK, MUTED};
use crate::claims::samples::{cells, experiments};
use crate::claims::size::mean_bytes;
use crate::results::{Ratio, Run};
use kuva::plot::line::{LinePlot, LineStyle};
use kuva::plot::scatter::ScatterPlot;
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};
use std::collections::BTreeMap;

const NAME: &str = "crossover";

struct Series {
    label: &'static str,
    colour: &'static str,
    dashes: Option<&'static str>,
    /// (lines, point, low, high), ascending.
    points: Vec<(f64, f64, Option<f64>, Option<f64>)>,
}

pub(super) fn picture(run: &Run) -> Picture {
    let lines = lines_by_cell(run);
    let of_metric = |metric: &str, label, colour| {
        let points = best(run, metric, &lines);
        Series {
            label,
            colour,
            dashes: None,
            points,
        }
    };
    let mut series = vec![
        of_metric("throughput_per_s", "orders/s", "#0072b2"),
        of_metric("accept_p50", "accept p50", "#d55e00"),
        of_metric("cpu_us_per_op", "CPU per order", "#009e73"),
    ];
    series.retain(|s| s.points.len() > 1);
    let Some(lead) = series.first() else {
        return Picture::left_out(
            NAME,
            "this run compared gRPC with REST on fewer than two numbers of order lines",
        );
    };
    let (first, last) = (lead.points[0], lead.points[lead.points.len() - 1]);
    let title = format!(
        "gRPC ÷ REST, {}: {}× at {} lines, {}× at {}",
        lead.label,
        style::short(round(first.1)),
        first.0,
        style::short(round(last.1)),
        last.0
    );
    let sizes = sizes(run);
    let text = "gRPC's value ÷ REST's over the lines of an order, both axes logarithmic, with 95 % intervals over \
                blocks: above the line at 1 gRPC carries more orders, or takes more time or CPU. An open bar end is a \
                bound that is not known. Dashed: mean size of the body as JSON ÷ as protobuf, counted.";
    series.extend((sizes.len() > 1).then_some(Series {
        label: "JSON ÷ protobuf, size",
        colour: MUTED,
        dashes: Some(DASHES),
        points: sizes,
    }));
    Picture::drawn(NAME, title, text, move |title| draw(&series, title))
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Order lines of a payload class `O3`.
fn order_lines(payload: &str) -> Option<u32> {
    payload.strip_prefix('O')?.parse().ok()
}

fn lines_by_cell(run: &Run) -> BTreeMap<String, u32> {
    let mut lines = BTreeMap::new();
    for experiment in experiments(run) {
        for cell in cells(run, experiment) {
            if let Some(n) = order_lines(&cell.cell.payload) {
                lines.insert(cell.cell.id.clone(), n);
            }
        }
    }
    lines
}

/// The ratios of the experiment that has most payloads for the metric, as gRPC ÷ REST.
fn best(
    run: &Run,
    metric: &str,
    lines: &BTreeMap<String, u32>,
) -> Vec<(f64, f64, Option<f64>, Option<f64>)> {
    let mut groups: BTreeMap<(String, String), BTreeMap<u32, &Ratio>> = BTreeMap::new();
    for ratio in run.ratios.iter().filter(|r| r.metric == metric) {
        let Some((name, sides)) = ratio.name.split_once(": ") else {
            continue;
        };
        let pair = ["grpc ÷ rest", "rest ÷ grpc"].contains(&sides);
        let Some(n) = lines.get(&ratio.numerator).filter(|_| pair) else {
            continue;
        };
        // The name is `experiment, payload, load`.
        let mut words = name.split(", ");
        let experiment = words.next().unwrap_or_default().to_string();
        let load = words.nth(1).unwrap_or_default().to_string();
        groups
            .entry((experiment, load))
            .or_default()
            .entry(*n)
            .or_insert(ratio);
    }
    let Some(group) = groups.into_values().max_by_key(BTreeMap::len) else {
        return Vec::new();
    };
    group
        .into_iter()
        .filter_map(|(n, ratio)| {
            let turned = ratio.name.ends_with("rest ÷ grpc");
            let (low, high) = if turned {
                (ratio.high.map(|v| 1.0 / v), ratio.low.map(|v| 1.0 / v))
            } else {
                (ratio.low, ratio.high)
            };
            let point = ratio.point?;
            let point = if turned { 1.0 / point } else { point };
            Some((f64::from(n), point, low, high))
        })
        .collect()
}

fn sizes(run: &Run) -> Vec<(f64, f64, Option<f64>, Option<f64>)> {
    let mut counted: BTreeMap<u32, f64> = BTreeMap::new();
    for row in &run.sizes {
        let ratio = mean_bytes(run, &row.payload, "json")
            .zip(mean_bytes(run, &row.payload, "protobuf"))
            .map(|(json, protobuf)| json / protobuf);
        if let Some((n, ratio)) = order_lines(&row.payload).zip(ratio) {
            counted.insert(n, ratio);
        }
    }
    counted
        .into_iter()
        .map(|(n, ratio)| (f64::from(n), ratio, None, None))
        .collect()
}

fn draw(series: &[Series], title: Option<&str>) -> Scene {
    let points = || series.iter().flat_map(|s| s.points.iter());
    let reach = points().flat_map(|p| [Some(p.1), p.2, p.3]).flatten();
    let (low, high) = style::log_span(reach.chain([1.0])).unwrap_or((0.5, 5.0));
    let (left, right) = style::log_span(points().map(|p| p.0)).unwrap_or((1.0, 1e3));
    let mut plots = Vec::new();
    for s in series {
        let line = LinePlot::new()
            .with_data(s.points.iter().map(|p| (p.0, p.1)))
            .with_y_err_asymmetric(s.points.iter().map(|p| {
                let end = |end: Option<f64>| end.map_or(0.0, |end| (end - p.1).abs());
                (end(p.2), end(p.3))
            }))
            .with_color(s.colour)
            .with_stroke_width(2.2);
        plots.push(Plot::Line(match s.dashes {
            Some(dashes) => line.with_line_style(LineStyle::Custom(dashes.into())),
            None => line,
        }));
        plots.push(Plot::Scatter(
            ScatterPlot::new()
                .with_data(s.points.iter().map(|p| (p.0, p.1)))
                .with_color(s.colour)
                .with_size(4.0),
        ));
    }
    let layout = Layout::auto_from_plots(&plots)
        .with_log_x()
        .with_log_y()
        .with_x_axis_min(left)
        .with_x_axis_max(right)
        .with_y_axis_min(low)
        .with_y_axis_max(high)
        .with_x_tick_format(style::counts())
        .with_y_tick_format(style::ratios())
        .with_x_label("order lines")
        .with_y_label("gRPC ÷ REST")
        .with_reference_line(
            ReferenceLine::horizontal(1.0)
                .with_color(INK)
                .with_dasharray("none"),
        );
    let entries = series
        .iter()
        .map(|s| style::line_entry(s.label, s.colour, s.dashes))
        .collect();
    let layout = style::legend(layout, entries);
    render_multiple(plots, style::layout(layout, (style::WIDTH, 440.0), title))
}
