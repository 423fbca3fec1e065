//! Ratios with their intervals on a log axis, 1 marked and the claimed band shaded: gRPC against REST, and beside it
//! what else was paired with REST.

mod rows;

use super::Picture;
use super::style::{self, INK, MUTED};
use crate::claims::Claim;
use crate::claims::ladder::FLOOR;
use crate::claims::ratios::is_aa;
use crate::claims::rules::Rule;
use crate::report::apart::experiment;
use crate::report::format::count;
use crate::results::{Part, Ratio, Run};
use kuva::plot::forest::ForestPlot;
use kuva::plot::scatter::ScatterPlot;
use kuva::render::annotations::{ReferenceLine, ShadedRegion};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};
use rows::{Row, rows};
use std::collections::BTreeSet;

/// Rows that a reader can still take in.
const ROWS: usize = 24;

/// The claims that rest on ratios of gRPC to REST, each with the metrics that it is judged on: their rows come first, in
/// this order.
const DECIDING: [(&str, &[&str]); 4] = [
    ("grpc-thr-3-10x", &THROUGHPUT),
    ("grpc-lat-3-10x", &["accept_p50", "accept_p99"]),
    ("gap-concurrency", &THROUGHPUT),
    ("gap-payload", &THROUGHPUT),
];

/// What throughput is judged on: per second of CPU where a caller was the limit.
const THROUGHPUT: [&str; 2] = [PER_CPU_S, "throughput_per_s"];
const PER_CPU_S: &str = "orders_per_cpu_s";

pub(super) fn pictures(run: &Run) -> Vec<Picture> {
    let (mut claimed, other): (Vec<&Ratio>, Vec<&Ratio>) = drawn(run).partition(|r| is_claimed(r));
    let per_cpu_s = per_cpu_second(&other);
    claimed.extend(&per_cpu_s);
    vec![claims(run, claimed), others(run, other)]
}

/// gRPC's orders per second of CPU over REST's, of closed loops: CPU per order the other way round.
fn per_cpu_second(ratios: &[&Ratio]) -> Vec<Ratio> {
    let cost = |r: &&&Ratio| {
        r.metric == "cpu_us_per_op" && !r.rate_like() && sides(r) == Some("grpc ÷ rest")
    };
    let turned = |r: &&Ratio| Ratio {
        metric: PER_CPU_S.into(),
        point: r.point.map(f64::recip),
        low: r.high.map(f64::recip),
        high: r.low.map(f64::recip),
        per_block: r.per_block.iter().map(|ratio| ratio.recip()).collect(),
        without_suspect: r
            .without_suspect
            .map(|[low, high]| [high.recip(), low.recip()]),
        ..(*r).clone()
    };
    ratios.iter().filter(cost).map(turned).collect()
}

/// What somebody could choose, against REST. The tcp floor is nobody's choice, and its rows would leave no room for the
/// others'; they are in the table of ratios.
fn drawn(run: &Run) -> impl Iterator<Item = &Ratio> {
    run.ratios
        .iter()
        .filter(|r| !is_aa(r) && r.point.is_some() && other(r) != FLOOR)
}

/// gRPC's advantage over REST as the claims state it: throughput, and how many times lower the latency is.
fn is_claimed(ratio: &Ratio) -> bool {
    sides(ratio).is_some_and(|s| s == "grpc ÷ rest" || s == "rest ÷ grpc")
        && ratio.metric != "cpu_us_per_op"
}

fn claims(run: &Run, mut ratios: Vec<&Ratio>) -> Picture {
    const NAME: &str = "forest";
    let band = Claim::find("grpc-thr-3-10x").and_then(|claim| match claim.rules {
        [Rule::Band(low, Some(high), _)] => Some((*low, *high)),
        _ => None,
    });
    let Some((low, high)) = band.filter(|_| !ratios.is_empty()) else {
        return Picture::left_out(NAME, "this run paired no cell of gRPC with one of REST");
    };
    ratios.sort_by_key(|ratio| decides(run, ratio));
    once_each(&mut ratios);
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
        "{inside} of {} of gRPC to REST {} within the claimed {low}–{high}×; in {one} REST is the better",
        count(n as u32, "ratio"),
        if inside == 1 { "lies" } else { "lie" }
    );
    let text = format!(
        "How many times better gRPC is than REST: orders per second and per second of CPU gRPC ÷ REST, latency REST ÷ gRPC. Marker and whiskers: \
         geometric mean and 95 % interval over blocks; small dots: each block, in run order from top to bottom; a \
         whisker that runs to the edge has no end on that side. Shaded: claimed {low}–{high}×; the line marks 1.{}",
        more(n)
    );
    Picture::drawn(NAME, title, text, {
        ratios.truncate(ROWS);
        let rows = rows(run, &ratios);
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

fn others(run: &Run, mut ratios: Vec<&Ratio>) -> Picture {
    const NAME: &str = "forest-rest";
    if ratios.is_empty() {
        return Picture::left_out(
            NAME,
            "this run paired nothing else with REST, the tcp floor apart",
        );
    }
    once_each(&mut ratios);
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
        format!(
            "{} to REST, paired by block",
            count(ratios.len() as u32, "ratio")
        )
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
        ratios.sort_by_key(|ratio| style::place(other(ratio)));
        ratios.truncate(ROWS);
        let rows = rows(run, &ratios);
        move |title| draw(&rows, None, "times REST's value (log axis)", title)
    })
}

/// The place among [`DECIDING`] of the claim that is decided on a ratio's cells; after all of them, where none is.
fn decides(run: &Run, ratio: &Ratio) -> usize {
    let sides = [&ratio.numerator, &ratio.denominator];
    let on = |part: &Part| sides.iter().all(|cell| part.cells.contains(cell));
    let deciding = |(id, metrics): &(&str, &[&str])| {
        metrics.contains(&ratio.metric.as_str())
            && Claim::find(id).is_some_and(|claim| claim.experiment == experiment(ratio))
            && run
                .verdicts
                .iter()
                .any(|row| row.claim == *id && row.parts.iter().any(on))
    };
    DECIDING.iter().position(deciding).unwrap_or(DECIDING.len())
}

/// Cells that several experiments share are paired in each of them: the first is kept.
fn once_each(ratios: &mut Vec<&Ratio>) {
    let mut seen = BTreeSet::new();
    ratios.retain(|r| {
        seen.insert((
            r.numerator.as_str(),
            r.denominator.as_str(),
            r.metric.as_str(),
        ))
    });
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

/// What was paired with REST.
fn other(ratio: &Ratio) -> &str {
    sides(ratio)
        .unwrap_or_default()
        .split(" ÷ ")
        .find(|side| *side != "rest")
        .unwrap_or_default()
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
            format!("{}  {}", row.name, row.figures),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::conclude;
    use crate::claims::fixture::planted;

    #[test]
    fn the_floor_is_paired_with_rest_and_takes_no_row() {
        let mut run = planted();
        conclude(&mut run);
        assert!(run.ratios.iter().any(|r| other(r) == FLOOR));
        let mut rows: Vec<&str> = drawn(&run).map(other).collect();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows, ["grpc", "queue", "stream"]);
    }

    #[test]
    fn an_order_s_cost_in_a_closed_loop_is_drawn_as_orders_per_second_of_cpu() {
        let mut run = planted();
        conclude(&mut run);
        let cost = |r: &&Ratio| r.metric == "cpu_us_per_op" && sides(r) == Some("grpc ÷ rest");
        let costs: Vec<&Ratio> = run.ratios.iter().filter(cost).collect();
        let closed: Vec<&&Ratio> = costs.iter().filter(|r| !r.rate_like()).collect();
        assert!(!closed.is_empty() && closed.len() < costs.len());
        let turned = per_cpu_second(&costs);
        assert_eq!(turned.len(), closed.len());
        for (turned, cost) in turned.iter().zip(closed) {
            assert!(is_claimed(turned) && !is_claimed(cost));
            assert_eq!(turned.numerator, cost.numerator);
            let ends = [turned.point, turned.low, turned.high].map(Option::unwrap);
            let back = [cost.point, cost.high, cost.low].map(|end| 1.0 / end.unwrap());
            assert_eq!(ends, back);
        }
    }

    #[test]
    fn ratios_that_decide_claims_come_first_and_each_pair_of_cells_once() {
        let mut run = planted();
        conclude(&mut run);
        // Another experiment that read the same cells, and stands before the one that decides.
        let shared: Vec<Ratio> = run
            .ratios
            .iter()
            .filter(|r| is_claimed(r))
            .map(|r| Ratio {
                name: format!("rpc, {}", r.name.split_once(", ").unwrap().1),
                ..r.clone()
            })
            .collect();
        run.ratios.extend(shared);
        let (mut ratios, other): (Vec<&Ratio>, Vec<&Ratio>) =
            run.ratios.iter().rev().partition(|r| is_claimed(r));
        let per_cpu_s = per_cpu_second(&other);
        ratios.extend(&per_cpu_s);
        ratios.sort_by_key(|ratio| decides(&run, ratio));
        once_each(&mut ratios);
        let found: Vec<(&str, &str)> = ratios
            .iter()
            .map(|r| (experiment(r).unwrap(), r.metric.as_str()))
            .collect();
        assert_eq!(
            found[..6],
            [
                ("capacity", "throughput_per_s"),
                ("capacity", "throughput_per_s"),
                ("capacity", "orders_per_cpu_s"),
                ("capacity", "orders_per_cpu_s"),
                ("ladder", "accept_p99"),
                ("ladder", "accept_p50"),
            ]
        );
        let mut rest: Vec<&str> = found[6..].iter().map(|(_, metric)| *metric).collect();
        rest.sort_unstable();
        assert_eq!(rest, ["completion_p50", "completion_p99"]);
    }
}
