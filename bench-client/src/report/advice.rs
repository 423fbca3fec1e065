//! Advice on a terminal: the ways in a table, and behind each its reasons with the cells that they point to.

use super::document::{Cell, Document, Table, Tone, names};
use super::format::{NOTHING, grouped};
use crate::advise::{Advice, Basis, Figure, Fit, Met, Needs, Ordering, Reason, Way};
use crate::claims::part::number;

/// The whole of it.
pub(super) fn advice(document: &mut Document, advice: &Advice) {
    document.heading(format!("Which way for {}?", asked(&advice.needs)));
    document.table(Table {
        header: names([
            "rank",
            "way",
            "verdict",
            "CPU µs\nper order",
            "95 % interval",
        ]),
        numbers_from: 3,
        rows: advice.ways.iter().map(row).collect(),
    });
    if advice.ways.iter().all(|way| way.fit != Fit::Fits) {
        document.text("None of them is recommended: what decides was not measured, or is not met.");
    }
    if advice.ways.iter().any(|way| way.tied) {
        document.text("=: the cost cannot be told apart from that of the way above it.");
    }
    for way in &advice.ways {
        document.heading(format!("{}: {}", way.name, verdict(way.fit)));
        document.items(way.reasons.iter().map(line).collect());
    }
    document.heading("Read it with care");
    document.text(format!("It rests on: {}.", advice.from.join(", ")));
    document.items(advice.cautions.clone());
}

/// What was asked for, in a line.
fn asked(needs: &Needs) -> String {
    let mut words = vec![format!(
        "{} orders/s of {} ({} bytes as JSON, {} as protobuf)",
        grouped(needs.rate_per_s),
        needs.payload.name,
        grouped(needs.payload.json),
        grouped(needs.payload.protobuf)
    )];
    words.push(
        if needs.needs_reply {
            "a reply"
        } else {
            "no reply"
        }
        .into(),
    );
    words.push(format!("durability {}", needs.durability));
    if needs.ordering == Ordering::Key {
        words.push("in the order of each key".into());
    }
    if needs.consumers > 1 {
        words.push(format!("{} consumers", needs.consumers));
    }
    if !needs.outage.is_zero() {
        words.push(format!(
            "{} s of outage",
            number(needs.outage.as_secs_f64())
        ));
    }
    if let Some(most) = needs.max_p99 {
        words.push(format!(
            "accept p99 ≤ {} ms",
            number(most.as_secs_f64() * 1e3)
        ));
    }
    words.join(", ")
}

fn row(way: &Way) -> Vec<Cell> {
    let tie = if way.tied { " =" } else { "" };
    let cost = way
        .cost_us
        .map_or(NOTHING.into(), |cost| number(cost.value));
    let ends = match way.cost_us.map(|cost| (cost.low, cost.high)) {
        Some((Some(low), Some(high))) => format!("[{}, {}]", number(low), number(high)),
        _ => NOTHING.into(),
    };
    vec![
        way.rank
            .map_or(NOTHING.into(), |rank| format!("{rank}{tie}"))
            .into(),
        way.name.as_str().into(),
        Cell {
            text: verdict(way.fit).into(),
            tone: match way.fit {
                Fit::Fits => Tone::Good,
                Fit::Unknown => Tone::Doubtful,
                Fit::DoesNotFit => Tone::Bad,
            },
        },
        cost.into(),
        ends.into(),
    ]
}

fn verdict(fit: Fit) -> &'static str {
    match fit {
        Fit::Fits => "fits",
        Fit::Unknown => "unknown",
        Fit::DoesNotFit => "does not fit",
    }
}

/// `rate, met: 10000 orders/s were sustained; measured: throughput_per_s 10000 [9990, 10010] 1/s of `rest-…` (results/…)`.
fn line(reason: &Reason) -> String {
    let met = match reason.met {
        Met::Yes => "met",
        Met::No => "not met",
        Met::Unknown => "unknown",
    };
    let basis = match &reason.basis {
        Basis::Measured(figure) => format!("measured: {}", show(figure)),
        Basis::Projected(from) if from.is_empty() => "projected from what is asked for".into(),
        Basis::Projected(from) => {
            let from: Vec<String> = from.iter().map(show).collect();
            format!("projected from {}", from.join(", "))
        }
        Basis::Construction => "by construction".into(),
        Basis::NotMeasured => "not measured".into(),
    };
    format!("{}, {met}: {}; {basis}", reason.need, reason.text)
}

fn show(figure: &Figure) -> String {
    let unit = match figure.unit {
        "" => String::new(),
        unit => format!(" {unit}"),
    };
    let ends = match (figure.low, figure.high) {
        (Some(low), Some(high)) => format!(" [{}, {}]", number(low), number(high)),
        (Some(low), None) => format!(", at least {}", number(low)),
        _ => String::new(),
    };
    format!(
        "{} {}{ends}{unit} of `{}` ({})",
        figure.metric,
        number(figure.value),
        figure.cell,
        figure.run
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::{Source, Weight, advise};
    use crate::claims::fixture::planted;
    use crate::report::document::Style;
    use bench_proto::Durability;
    use std::time::Duration;

    #[test]
    fn every_way_has_its_verdict_and_every_reason_its_cell() {
        let run = planted();
        let needs = Needs {
            rate_per_s: 2_000.0,
            payload: Weight {
                name: "O3".into(),
                json: 744.0,
                protobuf: 290.0,
            },
            needs_reply: false,
            durability: Durability::Process,
            ordering: Ordering::Key,
            consumers: 3,
            outage: Duration::from_secs(600),
            max_p99: Some(Duration::from_millis(20)),
        };
        let source = Source {
            name: "planted".into(),
            run: &run,
        };
        let mut document = Document::default();
        advice(&mut document, &advise(&[source], &needs));
        insta::assert_snapshot!(document.terminal(Style {
            colour: false,
            width: None
        }));
    }
}
