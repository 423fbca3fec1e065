//! The service turns slow and recovers, transport by transport over time: what callers wait, what piles up, what fails.

use super::Picture;
use super::style::{self, DASHES, INK, MUTED, place};
use super::theory;
use crate::claims::behind;
use crate::claims::overload::is_primary;
use crate::claims::samples::{CellTrials, cells, experiments, is_base};
use crate::latency::{self, Minimum};
use crate::report::format::ns;
use crate::results::{Percentile, Phase, Run, SeriesBin, Trial};
use kuva::plot::band::BandPlot;
use kuva::plot::line::{LinePlot, LineStyle};
use kuva::plot::scatter::ScatterPlot;
use kuva::render::annotations::ShadedRegion;
use kuva::render::figure::Figure;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::Scene;

const NAME: &str = "timeline";

/// The phase that is shaded.
const SLOW: &str = "slow";
const SHADE: &str = "#e69f00";
/// The theory's step.
const STEP_S: f64 = 0.05;

type Points = Vec<(f64, f64)>;

/// One transport's column.
struct Column {
    transport: String,
    window_s: f64,
    slow: (f64, f64),
    /// Per bin, the median over blocks; seconds and ns.
    p50: Points,
    /// Per bin, the largest over blocks.
    highest: Points,
    /// Per phase: start, end, ns.
    completion: Vec<(f64, f64, f64)>,
    backlog: Points,
    in_flight: Points,
    theory: Points,
    /// Per bin, the sum over blocks as a share of what was planned, %.
    errors: Points,
}

pub(super) fn picture(run: &Run) -> Picture {
    let found = experiments(run).into_iter().find_map(|experiment| {
        let seen = behind::seen(run, experiment);
        let mut columns: Vec<Column> = Vec::new();
        for cell in primary_first(&seen, experiment).iter() {
            // A transport's first cell is the plain one.
            if columns.iter().all(|c| c.transport != cell.cell.transport) {
                columns.extend(column(cell));
            }
        }
        columns.sort_by_key(|c| place(&c.transport));
        (columns.len() > 1).then(|| (experiment.to_string(), seen, columns))
    });
    let Some((experiment, seen, columns)) = found else {
        return Picture::left_out(
            NAME,
            "this run slowed the service of no two transports down over time with a series kept",
        );
    };
    let waits: Vec<String> = columns
        .iter()
        .filter_map(|c| {
            let during = wait(&seen, &experiment, &c.transport)?;
            Some(format!("{} {during}", c.transport))
        })
        .collect();
    let title = format!(
        "While the service is slow the median caller waits: {}",
        waits.join(", ")
    );
    let text = format!(
        "Experiment `{experiment}` over time, the slow phase shaded. Top (log axis): accept p50 of each bin, median \
         over blocks (line), its p99, or its largest where a bin has under 1,000 samples (dots), and completion p50 \
         of each phase by planned instant (thick, pale). Middle: accepted but not completed (line), in flight (thin), and \
         dashed what arithmetic says from rate, workers and handler time. Bottom: refusals, failures and timeouts, \
         % of the planned."
    );
    Picture::drawn(NAME, title, text, move |title| draw(&columns, title))
}

/// An experiment's cells, those that claims are judged on before their variants.
fn primary_first<'r>(run: &'r Run, experiment: &str) -> Vec<CellTrials<'r>> {
    let mut all = cells(run, experiment);
    all.retain(|c| is_base(c.cell));
    all.sort_by_key(|c| !is_primary(c.cell));
    all
}

/// Accept p50 of the slow phase, over all blocks.
fn wait(run: &Run, experiment: &str, transport: &str) -> Option<String> {
    let all = primary_first(run, experiment);
    let cell = all.iter().find(|c| c.cell.transport == transport)?;
    let slow = |t: &'_ Trial| t.phases.iter().position(|p| p.name == SLOW);
    let parts = cell
        .kept()
        .filter_map(|t| slow(t).map(|at| &t.phases[at].accept_ns));
    let merged = latency::merge(parts, Minimum::Trial)?;
    let bound = if merged.at_least.contains(&Percentile::P50) {
        "≥ "
    } else {
        ""
    };
    Some(format!("{bound}{}", ns(merged.p50? as f64)))
}

fn column(cell: &CellTrials<'_>) -> Option<Column> {
    let trials: Vec<&Trial> = cell.kept().filter(|t| !t.series.is_empty()).collect();
    let first = trials.first()?;
    let slow = first.phases.iter().find(|p| p.name == SLOW)?;
    let window_s = first.window_s;
    let bins = |read: &dyn Fn(&SeriesBin) -> Option<f64>, join: fn(Vec<f64>) -> Option<f64>| {
        let mut points: Points = Vec::new();
        for (i, bin) in first.series.iter().enumerate() {
            let at = bin.start_s + bin.width_s / 2.0;
            let values = trials
                .iter()
                .filter_map(|t| read(t.series.get(i)?))
                .collect();
            if at <= window_s {
                points.extend(join(values).map(|v| (at, v)));
            }
        }
        points
    };
    let completion = |phase: &Phase| {
        let named = |t: &&Trial| t.phases.iter().position(|p| p.name == phase.name);
        let parts = trials
            .iter()
            .filter_map(|t| t.phases[named(t)?].completion_ns.as_ref());
        let p50 = latency::merge(parts, Minimum::Trial)?.p50?;
        Some((phase.start_s, phase.end_s, p50 as f64))
    };
    Some(Column {
        transport: cell.cell.transport.clone(),
        window_s,
        slow: (slow.start_s, slow.end_s),
        p50: bins(&|b| b.p50_ns.map(|v| v as f64), median),
        highest: bins(&|b| b.p99_ns.or(b.max_ns).map(|v| v as f64), median),
        completion: first.phases.iter().filter_map(completion).collect(),
        backlog: bins(&|b| b.backlog.map(|v| v as f64), median),
        in_flight: bins(&|b| Some(b.in_flight as f64), median),
        theory: theory::waiting(cell.cell, window_s, STEP_S).unwrap_or_default(),
        errors: bins(
            &|b| (b.planned > 0).then(|| 100.0 * b.errors as f64 / b.planned as f64),
            mean,
        ),
    })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn mean(values: Vec<f64>) -> Option<f64> {
    let n = values.len() as f64;
    (n > 0.0).then(|| values.iter().sum::<f64>() / n)
}

fn draw(columns: &[Column], title: Option<&str>) -> Scene {
    let times = columns.iter().flat_map(|c| {
        let points = c.p50.iter().chain(&c.highest).map(|p| p.1);
        points.chain(c.completion.iter().map(|p| p.2))
    });
    let time = style::log_span(times).unwrap_or((1e5, 1e9));
    let top = |read: fn(&Column) -> Vec<&Points>, least: f64| {
        let values = columns.iter().flat_map(read).flatten().map(|p| p.1);
        values.fold(least, f64::max) * 1.08
    };
    let waiting = top(|c| vec![&c.backlog, &c.in_flight, &c.theory], 1.0);
    let errors = top(|c| vec![&c.errors], 1.0);
    let (mut plots, mut layouts) = (Vec::new(), Vec::new());
    for row in 0..3 {
        for (i, column) in columns.iter().enumerate() {
            let own = match row {
                0 => latencies(column),
                1 => backlogs(column),
                _ => vec![line(
                    &column.errors,
                    style::transport(&column.transport),
                    2.0,
                    None,
                )],
            };
            let layout = panel(&own, column, i == 0);
            let layout = match row {
                0 => layout
                    .with_log_y()
                    .with_y_axis_min(time.0)
                    .with_y_axis_max(time.1)
                    .with_y_tick_format(style::times())
                    .with_title(column.transport.clone()),
                1 => layout
                    .with_y_axis_min(0.0)
                    .with_y_axis_max(waiting)
                    .with_y_tick_format(style::counts()),
                _ => layout
                    .with_y_axis_min(0.0)
                    .with_y_axis_max(errors)
                    .with_y_tick_format(style::counts())
                    .with_x_label("seconds"),
            };
            let names = ["latency", "orders waiting", "errors, %"];
            layouts.push(if i == 0 {
                layout.with_y_label(names[row])
            } else {
                layout
            });
            plots.push(own);
        }
    }
    let entries = vec![
        style::line_entry("transport's colour: measured", INK, None),
        style::line_entry("by arithmetic", MUTED, Some(DASHES)),
        style::square_entry("the service is slow", SHADE),
    ];
    let figure = Figure::new(3, columns.len())
        .with_plots(plots)
        .with_layouts(layouts)
        .with_spacing(6.0)
        .with_padding(6.0)
        .with_cell_size(960.0 / columns.len() as f64, 170.0)
        .with_row_height(0, 230.0)
        .with_row_height(2, 150.0)
        .with_shared_legend_bottom()
        .with_shared_legend_entries(entries);
    match title {
        Some(title) => figure.with_title(title).with_title_size(14),
        None => figure,
    }
    .render()
}

fn panel(plots: &[Plot], column: &Column, first: bool) -> Layout {
    style::panel(Layout::auto_from_plots(plots))
        .with_force_margins(if first { 76.0 } else { 60.0 }, 10.0)
        .with_x_axis_min(0.0)
        .with_x_axis_max(column.window_s)
        .with_shaded_region(
            ShadedRegion::vertical(column.slow.0, column.slow.1)
                .with_color(SHADE)
                .with_opacity(0.16),
        )
}

fn latencies(column: &Column) -> Vec<Plot> {
    let colour = style::transport(&column.transport);
    let mut plots: Vec<Plot> = column
        .completion
        .iter()
        .map(|(start, end, p50)| {
            Plot::Band(
                BandPlot::new([*start, *end], [p50 / 1.15; 2], [p50 * 1.15; 2])
                    .with_color(colour)
                    .with_opacity(0.35),
            )
        })
        .collect();
    plots.push(Plot::Scatter(
        ScatterPlot::new()
            .with_data(column.highest.iter().copied())
            .with_color(colour)
            .with_size(1.8)
            .with_marker_opacity(0.6),
    ));
    plots.push(line(&column.p50, colour, 2.0, None));
    plots
}

fn backlogs(column: &Column) -> Vec<Plot> {
    let colour = style::transport(&column.transport);
    vec![
        line(&column.theory, MUTED, 1.6, Some(DASHES)),
        line(&column.in_flight, colour, 1.0, None),
        line(&column.backlog, colour, 2.2, None),
    ]
}

fn line(points: &Points, colour: &str, width: f64, dashes: Option<&str>) -> Plot {
    let line = LinePlot::new()
        .with_data(points.iter().copied())
        .with_color(colour)
        .with_stroke_width(width);
    Plot::Line(match dashes {
        Some(dashes) => line.with_line_style(LineStyle::Custom(dashes.into())),
        None => line,
    })
}
