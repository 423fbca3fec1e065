//! CPU per operation at an equal rate, stacked by client, service and broker: their sum is the fairest single figure.

use super::Picture;
use super::pick::{self, Side};
use super::style::{self, PARTS};
use crate::claims::part::number;
use crate::claims::samples::CellTrials;
use crate::results::{Run, Trial};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;
use kuva::plot::bar::BarPlot;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};

const NAME: &str = "cpu";

struct Bar {
    transport: String,
    /// Client, service, broker; µs per order.
    parts: [f64; 3],
    sum: f64,
    ends: Option<(f64, f64)>,
}

pub(super) fn picture(run: &Run) -> Picture {
    let known = |cell: &CellTrials<'_>| cell.kept().all(|t| t.cpu_us_per_op_total().is_some());
    let rank = |side: &Side<'_>| side.cells[0].cell.rate_per_s.unwrap_or(0.0);
    // An equal rate first: saturated cells batch more, so their cost is another question's.
    let at_rate = pick::widest(pick::sides(run, |c| known(c) && pick::steady(c)), rank);
    let Some(side) = at_rate.or_else(|| pick::widest(pick::sides(run, known), rank)) else {
        return Picture::left_out(
            NAME,
            "this run measured the CPU of client, service and broker over no two transports at an equal load",
        );
    };
    let bars: Vec<Bar> = side.cells.iter().filter_map(bar).collect();
    let words: Vec<String> = bars
        .iter()
        .map(|b| format!("{} {} µs", b.transport, number(b.sum)))
        .collect();
    let title = format!("CPU per order, {}: {}", side.load(), words.join(", "));
    let text = format!(
        "µs of CPU per order, experiment `{}`, durability `{}`: the client's by accepts, without the pacer's spin; \
         service's and broker's by completions; the broker's gross of what it burns idle. Geometric means over \
         blocks; in brackets the 95 % interval of the sum.",
        side.experiment, side.cells[0].cell.durability
    );
    Picture::drawn(NAME, title, text, move |title| draw(&bars, title))
}

fn bar(cell: &CellTrials<'_>) -> Option<Bar> {
    let mean = |read: &dyn Fn(&Trial) -> Option<f64>| {
        let values: Option<Vec<f64>> = cell.kept().map(read).collect();
        Estimate::of_ratios(&values?)
    };
    let sum = mean(&Trial::cpu_us_per_op_total)?;
    let part = |read: fn(&Trial) -> Option<f64>| mean(&read).map_or(0.0, |e| e.point());
    Some(Bar {
        transport: cell.cell.transport.clone(),
        parts: [
            part(|t| t.cpu_us_per_op.client),
            part(|t| t.cpu_us_per_op.service),
            part(|t| t.cpu_us_per_op.broker),
        ],
        sum: sum.point(),
        ends: sum.interval(LEVEL),
    })
}

fn draw(bars: &[Bar], title: Option<&str>) -> Scene {
    let mut plot = BarPlot::new()
        .with_stacked()
        .with_horizontal(true)
        .with_width(0.62);
    // The first of the list stands at the bottom.
    for bar in bars.iter().rev() {
        let ends = bar.ends.map_or(String::new(), |(a, b)| {
            format!(" [{}, {}]", number(a), number(b))
        });
        plot = plot.with_group(
            format!("{}  {}{ends}", bar.transport, number(bar.sum)),
            bar.parts.iter().copied().zip(PARTS),
        );
    }
    let right = bars
        .iter()
        .map(|b| b.parts.iter().sum::<f64>())
        .fold(0.0, f64::max);
    let plots = vec![Plot::Bar(plot)];
    let layout = Layout::auto_from_plots(&plots)
        .with_x_axis_min(0.0)
        .with_x_axis_max(right * 1.04)
        .with_x_tick_format(style::counts())
        .with_x_label("CPU, µs per order");
    let entries = ["client", "service", "broker"]
        .iter()
        .zip(PARTS)
        .map(|(label, colour)| style::square_entry(label, colour))
        .collect();
    let layout = style::legend(layout, entries);
    let height = 120.0 + 40.0 * bars.len() as f64;
    render_multiple(plots, style::layout(layout, (style::WIDTH, height), title))
}
