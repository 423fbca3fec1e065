//! A projection in words and figures. Each of its lines carries the mark that nothing of it was measured.

use super::charts;
use super::document::{Cell, Document, Style, Table, Tone, names};
use super::format::{NOTHING, grouped, maybe, ns};
use crate::claims::part::number;
use crate::projection::{Amount, MARK, Projection};
use crate::units::show_bytes;

/// Columns of the chart on a terminal whose width is not known.
const COLUMNS: u16 = 100;
/// A chart wider than this is no clearer.
const MOST_COLUMNS: u16 = 120;

/// For a terminal: the lines, what they rest on, and the backlog over time.
pub(super) fn terminal(projection: &Projection, style: Style) -> String {
    let mut text = document(projection).terminal(style);
    let columns = style.width.unwrap_or(COLUMNS).min(MOST_COLUMNS);
    text.push_str(&charts::projection::terminal(
        projection,
        columns.into(),
        style.colour,
    ));
    text
}

fn document(projection: &Projection) -> Document {
    let mut document = Document::default();
    document.heading(format!("{MARK}: {}", projection.asked));
    let mut reasons: Vec<&str> = Vec::new();
    let mut rows = Vec::new();
    for figure in &projection.figures {
        if let Amount::Never(why) | Amount::NotMeasured(why) = &figure.amount
            && !reasons.contains(&why.as_str())
        {
            reasons.push(why);
        }
        rows.push(vec![
            figure.when.as_str().into(),
            figure.what.as_str().into(),
            show(&figure.amount),
            figure.formula.into(),
            figure.rests_on.as_str().into(),
            figure.kind.into(),
        ]);
    }
    document.table(Table {
        header: names(["when", "what", "value", "by", "rests on", ""]),
        numbers_from: 6,
        rows,
    });
    document.items(reasons.into_iter().map(String::from).collect());
    measured(&mut document, projection);
    document
}

/// The inputs that a run measured.
fn measured(document: &mut Document, projection: &Projection) {
    if projection.measured.is_empty() {
        return;
    }
    document.heading("What it rests on, measured");
    let rows = projection.measured.iter().map(|of| {
        let bytes = |bytes: Option<f64>| bytes.map_or(NOTHING.into(), show_bytes);
        vec![
            of.transport.as_str().into(),
            of.cell.as_str().into(),
            of.durability.as_str().into(),
            grouped(of.orders_per_s).into(),
            maybe(of.cpu_us.client).into(),
            maybe(of.cpu_us.service).into(),
            maybe(of.cpu_us.broker).into(),
            bytes(of.wire_bytes).into(),
            bytes(of.to_broker_bytes).into(),
            of.blocks.to_string().into(),
        ]
    });
    document.table(Table {
        header: names([
            "transport",
            "cell",
            "durability",
            "orders/s\nthere",
            "CPU µs per order\nclient",
            "\nservice",
            "\nbroker",
            "bytes per order\nall legs",
            "\nto the broker",
            "blocks",
        ]),
        numbers_from: 3,
        rows: rows.collect(),
    });
    document.text(
        "Measured on this one machine, at the rate that stands beside it; that an order goes on costing as much at another \
         rate, and over many machines, is assumed.",
    );
}

fn show(amount: &Amount) -> Cell {
    let text = match amount {
        Amount::Orders(orders) => format!("{} orders", count(*orders)),
        Amount::OrdersPerSecond(rate) => format!("{}/s", count(*rate)),
        Amount::Workers(workers) => format!("{} workers", grouped(*workers as f64)),
        Amount::Seconds(seconds) => time(*seconds),
        Amount::Share(share) => format!("{} %", number(share * 100.0)),
        Amount::Cores(cores) => format!("{} cores", count(*cores)),
        Amount::BitsPerSecond(bits) => prefixed(*bits, "bit/s"),
        Amount::Bytes(bytes) => prefixed(*bytes, "B"),
        Amount::Never(_) => "never".into(),
        Amount::NotMeasured(_) => "not measured".into(),
    };
    let tone = match amount {
        Amount::Never(_) => Tone::Bad,
        Amount::NotMeasured(_) => Tone::Doubtful,
        _ => Tone::Plain,
    };
    Cell { text, tone }
}

/// Whole from a hundred on, three digits below.
fn count(value: f64) -> String {
    if value >= 100.0 {
        grouped(value)
    } else {
        number(value)
    }
}

/// Hours and days where a time is that long.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 600.0 => ns(s * 1e9),
        s if s < 7_200.0 => format!("{} min", number(s / 60.0)),
        s if s < 172_800.0 => format!("{} h", number(s / 3_600.0)),
        s => format!("{} days", count(s / 86_400.0)),
    }
}

fn prefixed(value: f64, unit: &str) -> String {
    let steps = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    for (size, prefix) in steps {
        if value >= size {
            return format!("{} {prefix}{unit}", number(value / size));
        }
    }
    format!("{} {unit}", number(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::{Ask, project};
    use crate::theory::PerSecond;
    use roxmltree::Document as Xml;
    use std::time::Duration;

    fn projection() -> Projection {
        let ask = Ask {
            rate: PerSecond(2e6),
            service_time: Duration::from_millis(5),
            workers: 12_000,
            outage: Some(Duration::from_secs(600)),
            slow: Some((Duration::from_millis(200), Duration::from_secs(30))),
            deadline: Duration::from_secs(5),
        };
        project(&ask, Vec::new(), "no run was named (--from)").unwrap()
    }

    #[test]
    fn every_line_of_the_table_carries_the_mark() {
        let projection = projection();
        let text = document(&projection).markdown();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("| ") && !line.starts_with("| when"))
            .filter(|line| !line.starts_with("| ---"))
            .collect();
        assert_eq!(lines.len(), projection.figures.len());
        assert!(lines.iter().all(|line| line.contains(MARK)), "{text}");
        assert!(text.contains("1 200 000 000 orders"), "{text}");
        assert!(text.contains("not measured") && text.contains("--from"));
    }

    #[test]
    fn a_terminal_without_colours_gets_none_and_still_the_chart() {
        let style = Style {
            colour: false,
            width: None,
        };
        let text = terminal(&projection(), style);
        assert!(!text.contains('\u{1b}'), "{text}");
        let dots = |c: char| ('\u{2801}'..='\u{28ff}').contains(&c);
        assert!(text.chars().any(dots), "{text}");
    }

    #[test]
    fn the_picture_is_well_formed_marked_and_names_each_event() {
        let text = super::super::projection_svg(&projection());
        let xml = Xml::parse(&text).unwrap();
        let svg = xml.root_element();
        assert!(svg.attribute("viewBox").is_some());
        assert!(text.contains(MARK) && text.contains("an outage of 10 min"));
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }

    #[test]
    fn amounts_have_units_that_people_read() {
        for (amount, text) in [
            (Amount::Bytes(5.508e11), "551 GB"),
            (Amount::BitsPerSecond(2.5e9), "2.50 Gbit/s"),
            (Amount::Seconds(0.05), "50.0 ms"),
            (Amount::Seconds(5_400.0), "90.0 min"),
            (Amount::Seconds(1e6), "11.6 days"),
            (Amount::Share(0.625), "62.5 %"),
            (Amount::Orders(5.0), "5.00 orders"),
            (Amount::Workers(10_001), "10 001 workers"),
        ] {
            assert_eq!(show(&amount).text, text);
        }
    }
}
