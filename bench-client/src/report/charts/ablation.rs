//! From REST to gRPC one difference at a time, as a waterfall of CPU per order: the format, HTTP/2, what the two do
//! together, and what is left between tonic and a server of ours.

use super::Picture;
use super::style::{self, MUTED, PARTS};
use crate::claims::part::number;
use crate::claims::samples::{CellTrials, cells, is_base};
use crate::results::Run;
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;
use kuva::plot::waterfall::WaterfallPlot;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};

const NAME: &str = "ablation";

/// One step: its name, its size with its interval; µs per order.
struct Step {
    name: &'static str,
    size: f64,
    ends: Option<(f64, f64)>,
}

/// Each arm's share of a step, in the order of [`ARMS`].
const STEPS: [(&str, [f64; 5]); 4] = [
    ("protobuf", [-1.0, 1.0, 0.0, 0.0, 0.0]),
    ("HTTP/2", [-1.0, 0.0, 1.0, 0.0, 0.0]),
    ("both", [1.0, -1.0, -1.0, 1.0, 0.0]),
    ("tonic", [0.0, 0.0, 0.0, -1.0, 1.0]),
];

/// Transport, HTTP version, format.
const ARMS: [(&str, Option<&str>, &str); 5] = [
    ("rest", Some("h1"), "json"),
    ("rest", Some("h1"), "protobuf"),
    ("rest", Some("h2"), "json"),
    ("rest", Some("h2"), "protobuf"),
    ("grpc", None, "protobuf"),
];

pub(super) fn picture(run: &Run) -> Picture {
    let all = cells(run, NAME);
    let Some((payload, arms)) = arms(&all) else {
        return Picture::left_out(
            NAME,
            "this run has no experiment `ablation` with all of HTTP/1.1 and HTTP/2, JSON and protobuf, and gRPC",
        );
    };
    let per_block = |weights: &[f64; 5]| {
        let shared = arms[0].blocks.keys().filter_map(|block| {
            let costs = arms.iter().zip(weights).map(|(arm, weight)| {
                let trial = arm.kept().find(|t| t.block == *block)?;
                Some(weight * trial.cpu_us_per_op_total()?)
            });
            costs.sum::<Option<f64>>()
        });
        Estimate::of_values(&shared.collect::<Vec<f64>>())
    };
    let base = per_block(&[1.0, 0.0, 0.0, 0.0, 0.0]).map(|e| e.point());
    let steps: Option<Vec<Step>> = STEPS
        .iter()
        .map(|(name, weights)| {
            let size = per_block(weights)?;
            Some(Step {
                name,
                size: size.point(),
                ends: size.interval(LEVEL),
            })
        })
        .collect();
    let Some((base, steps)) = base.zip(steps) else {
        return Picture::left_out(NAME, "no block of `ablation` has the CPU of all five arms");
    };
    let words: Vec<String> = steps
        .iter()
        .map(|s| format!("{} {}", s.name, signed(s.size)))
        .collect();
    let title = format!(
        "From REST to gRPC, {payload}, CPU µs per order: {}",
        words.join(", ")
    );
    let found: Vec<String> = steps.iter().map(in_words).collect();
    let text = format!(
        "CPU of client and service per order, µs, paired by block: REST over HTTP/1.1 with JSON at the left, gRPC at \
         the right. “Both” is what protobuf and HTTP/2 do together beyond their sum; “tonic” is tonic \
         against axum, gRPC framing included. Steps with their 95 % intervals: {}.",
        found.join("; ")
    );
    Picture::drawn(NAME, title, text, move |title| draw(base, &steps, title))
}

/// The five arms at the first payload that has them all.
fn arms<'a, 'r>(all: &'a [CellTrials<'r>]) -> Option<(String, Vec<&'a CellTrials<'r>>)> {
    all.iter().find_map(|first| {
        let like = |arm: &(&str, Option<&str>, &str)| {
            all.iter().find(|c| {
                c.cell.transport == arm.0
                    && c.cell.http.as_deref() == arm.1
                    && c.cell.format == arm.2
                    && c.cell.payload == first.cell.payload
                    && c.cell.arrival == first.cell.arrival
                    && c.cell.rate_per_s == first.cell.rate_per_s
                    && c.cell.slow == first.cell.slow
                    && is_base(c.cell)
            })
        };
        let arms: Option<Vec<_>> = ARMS.iter().map(like).collect();
        Some((first.cell.payload.clone(), arms?))
    })
}

fn signed(value: f64) -> String {
    if value < 0.0 {
        format!("−{}", number(-value))
    } else {
        format!("+{}", number(value))
    }
}

fn in_words(step: &Step) -> String {
    let ends = step.ends.map_or(String::new(), |(a, b)| {
        format!(" [{}, {}]", signed(a), signed(b))
    });
    format!("{} {}{ends}", step.name, signed(step.size))
}

fn draw(base: f64, steps: &[Step], title: Option<&str>) -> Scene {
    let mut plot = WaterfallPlot::new()
        .with_delta("REST", base)
        .with_color_positive(PARTS[1])
        .with_color_negative(PARTS[0])
        .with_color_total(MUTED)
        .with_connectors()
        .with_values();
    for step in steps {
        plot = plot.with_delta(step.name, step.size);
    }
    let plots = vec![Plot::Waterfall(plot.with_total("gRPC"))];
    let layout = Layout::auto_from_plots(&plots)
        .with_y_tick_format(style::counts())
        .with_y_label("CPU, µs per order");
    render_multiple(plots, style::layout(layout, (style::WIDTH, 380.0), title))
}
