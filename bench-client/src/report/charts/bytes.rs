//! Bytes per operation, stacked: the bodies, what the protocol puts around them, and TCP/IP.

use super::Picture;
use super::pick::{self, Side};
use super::style::{self, PARTS};
use crate::claims::samples::CellTrials;
use crate::report::format::grouped;
use crate::results::{Run, Trial};
use kuva::plot::bar::BarPlot;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};

const NAME: &str = "bytes";

struct Bar {
    transport: String,
    /// Body, framing and headers, TCP/IP.
    parts: [f64; 3],
}

pub(super) fn picture(run: &Run) -> Picture {
    let sides = pick::sides(run, |cell| cell.kept().all(|t| stack(t).is_some()));
    // Bytes hardly depend on the load; a count-stopped or open loop is as good as any.
    let Some(side) = pick::widest(sides, |side: &Side<'_>| {
        -(side.cells[0].cell.payload.len() as f64)
    }) else {
        return Picture::left_out(
            NAME,
            "this run did not count the bytes on the wire of two transports (that needs the kernel's socket counters)",
        );
    };
    let bars: Vec<Bar> = side.cells.iter().filter_map(bar).collect();
    let total = |b: &Bar| b.parts.iter().sum::<f64>();
    let (Some(least), Some(most)) = (
        bars.iter().min_by(|a, b| total(a).total_cmp(&total(b))),
        bars.iter().max_by(|a, b| total(a).total_cmp(&total(b))),
    ) else {
        return Picture::left_out(NAME, "the results hold no bytes on the wire");
    };
    let title = format!(
        "One {} order takes {} bytes over {} and {} over {}",
        side.cells[0].cell.payload,
        grouped(total(least)),
        least.transport,
        grouped(total(most)),
        most.transport
    );
    let text = format!(
        "Bytes per order, both directions, for a broker both legs; experiment `{}`, {}. Bodies: encoded order and \
         reply, once per leg. Framing and headers: what the kernel counted on the sockets beyond the bodies. TCP/IP: \
         headers as computed for segments of 1,448 bytes, not measured. Mean over blocks.",
        side.experiment,
        side.load()
    );
    Picture::drawn(NAME, title, text, move |title| draw(&bars, title))
}

fn bar(cell: &CellTrials<'_>) -> Option<Bar> {
    let all: Vec<[f64; 3]> = cell.kept().filter_map(stack).collect();
    let n = all.len() as f64;
    let mean = |at: usize| all.iter().map(|parts| parts[at]).sum::<f64>() / n;
    (n > 0.0).then(|| Bar {
        transport: cell.cell.transport.clone(),
        parts: [mean(0), mean(1), mean(2)],
    })
}

/// The parts of one trial; none where the wire was not counted.
fn stack(trial: &Trial) -> Option<[f64; 3]> {
    let bytes = &trial.bytes;
    if bytes.wire.is_empty() {
        return None;
    }
    let legs = bytes.wire.len() as f64;
    let body = bytes.body_out? * legs + bytes.body_in.unwrap_or(0.0);
    let wire: f64 = bytes.wire.values().map(|leg| leg.sent + leg.received).sum();
    let headers: f64 = bytes
        .wire
        .values()
        .filter_map(|leg| leg.headers_computed)
        .sum();
    Some([body, (wire - body).max(0.0), headers])
}

fn draw(bars: &[Bar], title: Option<&str>) -> Scene {
    let mut plot = BarPlot::new()
        .with_stacked()
        .with_horizontal(true)
        .with_width(0.62);
    // The first of the list stands at the bottom.
    for bar in bars.iter().rev() {
        let sum: f64 = bar.parts.iter().sum();
        plot = plot.with_group(
            format!("{}  {}", bar.transport, grouped(sum)),
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
        .with_x_label("bytes per order");
    let entries = ["bodies", "framing and headers", "TCP/IP (computed)"]
        .iter()
        .zip(PARTS)
        .map(|(label, colour)| style::square_entry(label, colour))
        .collect();
    let layout = style::legend(layout, entries);
    let height = 120.0 + 40.0 * bars.len() as f64;
    render_multiple(plots, style::layout(layout, (style::WIDTH, height), title))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Bytes, WireLeg};

    #[test]
    fn a_body_crosses_a_broker_twice_and_what_is_left_is_framing() {
        let leg = |sent, received| WireLeg {
            sent,
            received,
            headers_computed: Some(100.0),
        };
        let bytes = Bytes {
            body_out: Some(300.0),
            body_in: None,
            wire: [
                ("client_broker".to_string(), leg(450.0, 20.0)),
                ("broker_service".to_string(), leg(480.0, 30.0)),
            ]
            .into(),
            wire_missing: None,
        };
        let trial = Trial {
            bytes,
            ..Trial::default()
        };
        assert_eq!(stack(&trial), Some([600.0, 380.0, 200.0]));
        assert_eq!(stack(&Trial::default()), None);
    }
}
