//! Every chart over a run that holds what it shows, as a file: well-formed, scalable, named, in the transports' colours.

use super::*;
use crate::claims::conclude;
use crate::claims::fixture::{self, planted};
use crate::results::{Cell, SeriesBin, WireLeg};
use roxmltree::Document;

/// The planted run with a ladder, wire bytes, a series and an ablation.
fn rich() -> Run {
    let mut run = planted();
    for trial in &mut run.trials {
        let out = trial.bytes.body_out.unwrap_or(0.0);
        let leg = WireLeg {
            sent: out + 120.0,
            received: 90.0,
            headers_computed: Some(104.0),
        };
        trial.bytes.wire.insert("client_service".into(), leg);
        if trial.experiment == "slow" {
            trial.window_s = 15.0;
            trial.cell.slow = Some("0s..5s 1ms; 5s..10s 200ms; 10s.. 1ms".into());
            trial.series = (0..30u64)
                .map(|i| SeriesBin {
                    start_s: i as f64 * 0.5,
                    width_s: 0.5,
                    planned: 100,
                    sent: 100,
                    accepted: 100,
                    completed: Some(100),
                    errors: u64::from(i > 20),
                    in_flight: i,
                    backlog: Some(i as i64 * 3),
                    p50_ns: Some(1_000_000 * (i + 1)),
                    p99_ns: None,
                    max_ns: Some(3_000_000 * (i + 1)),
                    longest_ns: None,
                })
                .collect();
        }
    }
    for block in 0..fixture::BLOCKS {
        for (transport, arm) in [("rest", 0), ("grpc", 1)] {
            for rate in [1_000.0, 4_000.0, 8_000.0] {
                let us = 1e3 * rate / 10.0;
                let plain = fixture::cell(transport, "O3");
                let mut trial = fixture::open(
                    plain,
                    arm,
                    block,
                    (us, 3.0 * us),
                    (us, 2.0 * us),
                    [60.0, 50.0, 0.0],
                );
                trial.cell.id = format!("{transport}-O3-r{rate}");
                trial.cell.rate_per_s = Some(rate);
                trial.overloaded =
                    (rate > 5_000.0 && transport == "grpc").then(|| "planted".into());
                run.trials.push(trial);
            }
        }
        for (i, (transport, http, format)) in [
            ("rest", Some("h1"), "json"),
            ("rest", Some("h1"), "protobuf"),
            ("rest", Some("h2"), "json"),
            ("rest", Some("h2"), "protobuf"),
            ("grpc", None, "protobuf"),
        ]
        .into_iter()
        .enumerate()
        {
            let cell = Cell {
                format: format.into(),
                http: http.map(String::from),
                ..fixture::cell(transport, "O3")
            };
            let us = 200_000.0;
            let cost = 50.0 + 4.0 * i as f64;
            let mut trial = fixture::open(cell, 0, block, (us, us), (us, us), [cost, cost, 0.0]);
            trial.experiment = "ablation".into();
            trial.cell.id = format!("ablation-{i}");
            run.trials.push(trial);
        }
    }
    conclude(&mut run);
    run
}

#[test]
fn every_picture_is_drawn_where_its_data_is() {
    let drawn: Vec<&str> = all(&rich())
        .iter()
        .map(|picture| match picture {
            Picture::Drawn(chart) => chart.name,
            Picture::LeftOut { name, why } => panic!("{name}: {why}"),
        })
        .collect();
    assert_eq!(
        drawn,
        [
            "forest",
            "forest-rest",
            "percentiles",
            "ladder",
            "bytes",
            "cpu",
            "timeline",
            "crossover",
            "ablation"
        ]
    );
}

#[test]
fn a_file_is_well_formed_scales_and_names_itself() {
    for picture in all(&rich()) {
        let Picture::Drawn(chart) = picture else {
            continue;
        };
        let text = chart.file();
        let xml = Document::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", chart.name));
        let svg = xml.root_element();
        assert_eq!(svg.tag_name().name(), "svg");
        let size: Vec<f64> = svg
            .attribute("viewBox")
            .unwrap()
            .split(' ')
            .map(|v| v.parse().unwrap())
            .collect();
        assert!(size[2] > 300.0 && size[3] > 100.0, "{size:?}");
        assert_eq!(svg.attribute("width"), Some(size[2].to_string().as_str()));
        let child = |tag| svg.children().find(|n| n.tag_name().name() == tag);
        assert_eq!(
            child("title").and_then(|n| n.text()),
            Some(chart.title.as_str())
        );
        assert_eq!(
            child("desc").and_then(|n| n.text()),
            Some(chart.text.as_str())
        );
        assert!(child("style").is_some_and(|n| n.text().unwrap().contains("prefers-color-scheme")));
        assert!(
            !text.contains("<script") && !text.contains("NaN") && !text.contains("inf"),
            "{}",
            chart.name
        );
        // Grown by its frame, in the page's colours: no size and no style of its own.
        let inline = chart.inline();
        let xml = Document::parse(&inline).unwrap();
        assert!(xml.root_element().attribute("width").is_none() && !inline.contains("<style"));
        assert!(inline.contains("var(--ink"), "{}", chart.name);
    }
}

#[test]
fn a_transport_has_its_colour_in_every_picture_that_shows_it() {
    for picture in all(&rich()) {
        let Picture::Drawn(chart) = picture else {
            continue;
        };
        if ["forest", "percentiles", "ladder", "timeline"].contains(&chart.name) {
            assert!(
                chart.inline().contains(style::transport("grpc")),
                "{}",
                chart.name
            );
        }
    }
}

#[test]
fn titles_state_what_was_found() {
    let run = rich();
    let pictures = all(&run);
    let title = |wanted: &str| {
        pictures
            .iter()
            .find_map(|p| match p {
                Picture::Drawn(c) if c.name == wanted => Some(c.title.clone()),
                _ => None,
            })
            .unwrap()
    };
    // Planted: gRPC's rate of 8,000/s was not kept up with, REST's was.
    let ladder = title("ladder").replace('\u{a0}', " ");
    assert!(ladder.contains("rest 8 000/s and perhaps more"), "{ladder}");
    assert!(
        ladder.contains("grpc 4 000/s") && !ladder.contains("grpc 4 000/s and"),
        "{ladder}"
    );
    // Planted: 300 µs of CPU become 8 more per order with each arm, in a sum of client and service.
    let ablation = title("ablation");
    assert!(
        ablation.contains("protobuf +8.00") && ablation.contains("HTTP/2 +16.0"),
        "{ablation}"
    );
    let crossover = title("crossover");
    assert!(
        crossover.contains("0.5× at 3 lines, 5× at 100"),
        "{crossover}"
    );
}

#[test]
fn what_a_run_lacks_is_left_out_with_a_sentence() {
    for picture in all(&Run::default()) {
        match picture {
            Picture::Drawn(chart) => panic!("{} drawn from nothing", chart.name),
            Picture::LeftOut { why, .. } => assert!(why.starts_with("this run "), "{why}"),
        }
    }
}
