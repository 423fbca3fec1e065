//! Latency by percentile, the axis in nines: accept and completion of each transport at one rate, from the whole
//! histograms of all blocks.

use super::Picture;
use super::pick::{self, Side};
use super::style::{self, DASHES};
use crate::claims::samples::CellTrials;
use crate::latency::{self, Minimum};
use crate::report::format::ns;
use crate::results::{Latency, Run, Trial};
use bench_stats::histogram::{self, quantile};
use kuva::plot::line::{LinePlot, LineStyle};
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};
use std::sync::Arc;

const NAME: &str = "percentiles";

/// Samples that must lie beyond a quantile for it to be drawn.
const BEYOND: f64 = 10.0;

struct Curve {
    transport: String,
    completion: bool,
    /// (nines, ns).
    points: Vec<(f64, f64)>,
    p50: f64,
}

pub(super) fn picture(run: &Run) -> Picture {
    let sides = pick::sides(run, pick::steady);
    // The highest rate that all of them hold tells most.
    let rank = |side: &Side<'_>| side.cells[0].cell.rate_per_s.unwrap_or(0.0);
    let Some(side) = pick::widest(sides, rank) else {
        return Picture::left_out(
            NAME,
            "this run has no rate that two transports held without slowness or phases",
        );
    };
    let curves: Vec<Curve> = side.cells.iter().flat_map(of_cell).collect();
    let median = |best: fn(f64, f64) -> bool| {
        curves
            .iter()
            .filter(|c| !c.completion)
            .reduce(|a, b| if best(a.p50, b.p50) { a } else { b })
    };
    let (Some(fast), Some(slow)) = (median(|a, b| a <= b), median(|a, b| a >= b)) else {
        return Picture::left_out(NAME, "the results hold no histogram of a latency");
    };
    let title = format!(
        "{}: the median caller waits {} over {} and {} over {}",
        side.load(),
        ns(fast.p50),
        fast.transport,
        ns(slow.p50),
        slow.transport
    );
    let text = format!(
        "Latency from the planned instant (log axis) over the percentile (each step to the right is one more nine), \
         experiment `{}`, durability `{}`. Full line: accept, until the caller may go on; dashed: completion, until \
         the service has done the work. All blocks' histograms merged; a line ends where fewer than {BEYOND:.0} \
         samples lie beyond it.",
        side.experiment, side.cells[0].cell.durability
    );
    Picture::drawn(NAME, title, text, move |title| draw(&curves, title))
}

fn of_cell(cell: &CellTrials<'_>) -> Vec<Curve> {
    let curve = |completion, read: fn(&Trial) -> Option<&Latency>| {
        let merged = latency::merge(cell.kept().filter_map(read), Minimum::Merged)?;
        let points = points(&merged)?;
        Some(Curve {
            transport: cell.cell.transport.clone(),
            completion,
            points,
            p50: merged.p50? as f64,
        })
    };
    [
        curve(false, |t| Some(&t.accept_ns)),
        curve(true, |t| t.completion_ns.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// From the 10th percentile on, forty points per nine.
fn points(latency: &Latency) -> Option<Vec<(f64, f64)>> {
    let all = histogram::decode(latency.histogram.as_deref()?).ok()?;
    let ranked = (all.len() + latency.censored) as f64;
    let end = (ranked / BEYOND).log10();
    let steps = (end * 40.0).floor() as i64;
    let points = (2..=steps).filter_map(|step| {
        let nines = step as f64 / 40.0;
        let q = 1.0 - 10f64.powf(-nines);
        let at = quantile(&all, latency.censored, latency.bound.unwrap_or(0), q)?;
        Some((nines, at.value() as f64))
    });
    Some(points.collect())
}

fn draw(curves: &[Curve], title: Option<&str>) -> Scene {
    let all = || curves.iter().flat_map(|c| c.points.iter());
    let (low, high) = style::log_span(all().map(|p| p.1)).unwrap_or((1e3, 1e9));
    let right = all().map(|p| p.0).fold(2.0, f64::max);
    let plots: Vec<Plot> = curves
        .iter()
        .map(|curve| {
            let line = LinePlot::new()
                .with_data(curve.points.iter().copied())
                .with_color(style::transport(&curve.transport))
                .with_stroke_width(2.2);
            Plot::Line(if curve.completion {
                line.with_line_style(LineStyle::Custom(DASHES.into()))
            } else {
                line
            })
        })
        .collect();
    let mut entries = Vec::new();
    for curve in curves {
        let clock = if curve.completion {
            "completion"
        } else {
            "accept"
        };
        entries.push(style::line_entry(
            &format!("{} {clock}", curve.transport),
            style::transport(&curve.transport),
            curve.completion.then_some(DASHES),
        ));
    }
    let layout = Layout::auto_from_plots(&plots)
        .with_log_y()
        .with_y_axis_min(low)
        .with_y_axis_max(high)
        .with_y_tick_format(style::times())
        .with_x_axis_min(0.0)
        .with_x_axis_max(right)
        .with_x_tick_step(1.0)
        .with_x_tick_format(TickFormat::Custom(Arc::new(nines)))
        .with_x_label("percentile (axis in nines)")
        .with_y_label("latency");
    let layout = style::legend(layout, entries);
    render_multiple(plots, style::layout(layout, (style::WIDTH, 460.0), title))
}

fn nines(n: f64) -> String {
    match n.round() as i64 {
        0 => "0 %".into(),
        1 => "90 %".into(),
        n => format!(
            "99{}{} %",
            if n > 2 { "." } else { "" },
            "9".repeat(n.max(2) as usize - 2)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_counts_nines() {
        let names: Vec<String> = (0..5).map(|n| nines(f64::from(n))).collect();
        assert_eq!(names, ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }

    #[test]
    fn a_curve_ends_where_its_samples_do() {
        let mut all = histogram::new();
        for i in 1..=10_000u64 {
            all.record(i * 100).unwrap();
        }
        let latency = latency::summarise(&all, latency::Beside::default(), Minimum::Trial);
        let points = points(&latency).unwrap();
        let (nines, ns) = *points.last().unwrap();
        assert!((nines - 3.0).abs() < 1e-9, "{nines}");
        assert!((ns - 999_000.0).abs() < 1_000.0, "{ns}");
        assert!(points.windows(2).all(|w| w[0].1 <= w[1].1));
    }
}
