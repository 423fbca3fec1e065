//! p50 and p99 over the offered rate, transport by transport, with the knee: the highest rate that was kept up with.

use super::Picture;
use super::style::{self, DASHES, place};
use crate::claims::samples::{CellTrials, Metric, cells, experiments, is_base};
use crate::latency::{self, Minimum};
use crate::report::cells::is_default_format;
use crate::report::format::grouped;
use crate::results::{Arrival, Latency, Percentile, Run};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;
use kuva::plot::line::{LinePlot, LineStyle};
use kuva::plot::scatter::{MarkerShape, ScatterPlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};

const NAME: &str = "ladder";

/// Rates that make a ladder.
const RUNGS: usize = 3;

struct Rung {
    rate: f64,
    p50: f64,
    /// The blocks' interval around p50.
    ends: Option<(f64, f64)>,
    p99: Option<f64>,
    overloaded: bool,
}

struct Ladder {
    transport: String,
    rungs: Vec<Rung>,
}

impl Ladder {
    /// The highest rate below the first that was not kept up with; none if every rate was.
    fn knee(&self) -> Option<f64> {
        let first = self.rungs.iter().position(|r| r.overloaded)?;
        first.checked_sub(1).map(|at| self.rungs[at].rate)
    }

    fn held(&self) -> Option<f64> {
        self.rungs
            .iter()
            .take_while(|r| !r.overloaded)
            .last()
            .map(|r| r.rate)
    }
}

pub(super) fn picture(run: &Run) -> Picture {
    let found = experiments(run)
        .into_iter()
        .map(|experiment| (experiment, ladders(&cells(run, experiment))))
        .max_by_key(|(_, ladders)| ladders.iter().map(|l| l.rungs.len()).sum::<usize>())
        .filter(|(_, ladders)| !ladders.is_empty());
    let Some((experiment, ladders)) = found else {
        return Picture::left_out(
            NAME,
            format!("this run offered no transport {RUNGS} rates or more"),
        );
    };
    let held: Vec<String> = ladders
        .iter()
        .map(|l| {
            let rate = l.held().map_or("none".into(), |r| {
                format!("{}/s", grouped(r).replace(' ', "\u{a0}"))
            });
            let more = if l.knee().is_none() {
                " and perhaps more"
            } else {
                ""
            };
            format!("{} {rate}{more}", l.transport)
        })
        .collect();
    let title = format!("Highest offered rate kept up with: {}", held.join(", "));
    let text = format!(
        "Accept latency (log axis) over the offered rate (log axis), experiment `{experiment}`. Full line: p50, bars: \
         its 95 % interval over blocks; dashed: p99 of all blocks' samples. A vertical line marks a transport's knee, \
         the highest rate below the first one that completions did not keep up with; crosses are rates beyond it."
    );
    Picture::drawn(NAME, title, text, move |title| draw(&ladders, title))
}

fn ladders(cells: &[CellTrials<'_>]) -> Vec<Ladder> {
    let wanted = |c: &&CellTrials<'_>| {
        matches!(c.cell.arrival, Arrival::Constant | Arrival::Poisson)
            && is_base(c.cell)
            && is_default_format(c.cell)
            && c.cell.http.as_deref() != Some("h2")
            && c.cell.slow.is_none()
            && c.cell.rate_per_s.is_some()
            && c.blocks.values().all(|t| t.phases.is_empty())
    };
    let usable: Vec<&CellTrials<'_>> = cells.iter().filter(wanted).collect();
    // One order for all: the one with the most cells.
    let count = |payload: &str| usable.iter().filter(|c| c.cell.payload == payload).count();
    let Some(payload) = usable
        .iter()
        .map(|c| c.cell.payload.as_str())
        .reduce(|a, b| if count(b) > count(a) { b } else { a })
    else {
        return Vec::new();
    };
    let mut ladders: Vec<Ladder> = Vec::new();
    for cell in usable.iter().filter(|c| c.cell.payload == payload) {
        let Some(rung) = rung(cell) else { continue };
        let of = ladders
            .iter_mut()
            .find(|l| l.transport == cell.cell.transport);
        match of {
            Some(ladder) if ladder.rungs.iter().any(|r| r.rate == rung.rate) => {}
            Some(ladder) => ladder.rungs.push(rung),
            None => ladders.push(Ladder {
                transport: cell.cell.transport.clone(),
                rungs: vec![rung],
            }),
        }
    }
    ladders.retain(|l| l.rungs.len() >= RUNGS);
    ladders.sort_by_key(|l| place(&l.transport));
    for ladder in &mut ladders {
        ladder.rungs.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    }
    ladders
}

fn rung(cell: &CellTrials<'_>) -> Option<Rung> {
    let merged: Latency = latency::merge(cell.kept().map(|t| &t.accept_ns), Minimum::Merged)?;
    let blocks: Vec<f64> = cell
        .kept()
        .filter_map(|t| Metric::AcceptP50.of(t).map(|s| s.value))
        .collect();
    let overloaded = cell.kept().filter(|t| t.overloaded.is_some()).count();
    Some(Rung {
        rate: cell.cell.rate_per_s?,
        p50: merged.p50? as f64,
        ends: Estimate::of_ratios(&blocks).and_then(|e| e.interval(LEVEL)),
        p99: merged
            .p99
            .filter(|_| !merged.at_least.contains(&Percentile::P99))
            .map(|v| v as f64),
        overloaded: overloaded * 2 > cell.kept().count(),
    })
}

fn draw(ladders: &[Ladder], title: Option<&str>) -> Scene {
    let rungs = || ladders.iter().flat_map(|l| l.rungs.iter());
    let (low, high) =
        style::log_span(rungs().flat_map(|r| [Some(r.p50), r.p99]).flatten()).unwrap_or((1e3, 1e9));
    let (left, right) = style::log_span(rungs().map(|r| r.rate)).unwrap_or((1.0, 1e5));
    let mut plots = Vec::new();
    let mut entries = Vec::new();
    let mut knees = Vec::new();
    for ladder in ladders {
        let colour = style::transport(&ladder.transport);
        let clip = |v: f64| v.clamp(low, high);
        let line = LinePlot::new()
            .with_data(ladder.rungs.iter().map(|r| (r.rate, r.p50)))
            .with_y_err_asymmetric(ladder.rungs.iter().map(|r| {
                r.ends.map_or((0.0, 0.0), |(a, b)| {
                    ((r.p50 - clip(a)).max(0.0), (clip(b) - r.p50).max(0.0))
                })
            }))
            .with_color(colour)
            .with_stroke_width(2.2);
        plots.push(Plot::Line(line));
        let p99 = ladder.rungs.iter().filter_map(|r| Some((r.rate, r.p99?)));
        plots.push(Plot::Line(
            LinePlot::new()
                .with_data(p99)
                .with_color(colour)
                .with_stroke_width(1.6)
                .with_line_style(LineStyle::Custom(DASHES.into())),
        ));
        for (shape, over) in [(MarkerShape::Circle, false), (MarkerShape::Cross, true)] {
            let dots = ladder.rungs.iter().filter(|r| r.overloaded == over);
            plots.push(Plot::Scatter(
                ScatterPlot::new()
                    .with_data(dots.map(|r| (r.rate, r.p50)))
                    .with_marker(shape)
                    .with_color(colour)
                    .with_size(4.0),
            ));
        }
        if let Some(knee) = ladder.knee() {
            knees.push(
                ReferenceLine::vertical(knee)
                    .with_color(colour)
                    .with_stroke_width(1.2)
                    .with_dasharray("2 3"),
            );
        }
        entries.push(style::line_entry(
            &format!("{} p50", ladder.transport),
            colour,
            None,
        ));
        entries.push(style::line_entry(
            &format!("{} p99", ladder.transport),
            colour,
            Some(DASHES),
        ));
    }
    let mut layout = Layout::auto_from_plots(&plots)
        .with_log_x()
        .with_log_y()
        .with_x_axis_min(left)
        .with_x_axis_max(right)
        .with_y_axis_min(low)
        .with_y_axis_max(high)
        .with_x_tick_format(style::counts())
        .with_y_tick_format(style::times())
        .with_x_label("offered rate, orders/s")
        .with_y_label("accept latency");
    for knee in knees {
        layout = layout.with_reference_line(knee);
    }
    let layout = style::legend(layout, entries);
    render_multiple(plots, style::layout(layout, (style::WIDTH, 480.0), title))
}
