//! A calibration on the terminal: every bound first, then the figures behind it.

use super::document::{Cell, Document, Table, Tone, names};
use super::format::{NOTHING, grouped, maybe, ns, percentile};
use crate::calibrate::Calibration;
use crate::calibrate::result::{Outcome, PairedMetric};
use crate::results::Percentile;

/// The whole of it.
pub(super) fn calibration(document: &mut Document, calibration: &Calibration) {
    head(document, calibration);
    checks(document, calibration);
    costs(document, calibration);
    pacing(document, calibration);
    cpu(document, calibration);
    planted(document, calibration);
    pairs(document, calibration);
    stopped(document, calibration);
    trials(document, calibration);
}

fn head(document: &mut Document, calibration: &Calibration) {
    let manifest = &calibration.manifest;
    document.heading("Calibration of the instrument");
    document.text(format!(
        "{} form, {}, seed {}. Machine: {}, {} cores. Placement: {}.",
        manifest.suite,
        manifest.time,
        manifest.seed,
        manifest.cpu().unwrap_or("unknown"),
        manifest.cores().unwrap_or("unknown"),
        manifest.placement
    ));
    if !manifest.exclusive {
        document.text("Nobody said that nothing else ran meanwhile (--exclusive): a miss may be the neighbours'.");
    }
    if calibration.brokers_paused > 0 {
        document.text(format!(
            "{} processes of the brokers were paused (SIGSTOP) from the pacer's measurement on: idle ones wake up too.",
            calibration.brokers_paused
        ));
    }
    for skipped in &calibration.skipped {
        document.text(format!(
            "{} was skipped: {}",
            skipped.transport, skipped.reason
        ));
    }
}

fn checks(document: &mut Document, calibration: &Calibration) {
    let count = |outcome| {
        let same = calibration
            .checks
            .iter()
            .filter(|check| check.outcome == outcome);
        same.count()
    };
    document.heading(format!(
        "Bounds: {} met, {} missed, {} not measured",
        count(Outcome::Met),
        count(Outcome::Missed),
        count(Outcome::NotMeasured)
    ));
    let rows = calibration.checks.iter().map(|check| {
        let (text, tone) = match check.outcome {
            Outcome::Met => ("met", Tone::Good),
            Outcome::Missed => ("missed", Tone::Bad),
            Outcome::NotMeasured => ("not measured", Tone::Doubtful),
        };
        let verdict = Cell {
            text: text.into(),
            tone,
        };
        let section = check.section.replace('_', " ");
        vec![
            section.into(),
            check.what.as_str().into(),
            verdict,
            check.figure.as_str().into(),
            check.bound.as_str().into(),
        ]
    });
    document.table(Table {
        header: names(["section", "what", "", "figure", "bound"]),
        numbers_from: 3,
        rows: rows.collect(),
    });
    // A meaning that several misses share is told once.
    let mut meanings: Vec<String> = Vec::new();
    for check in &calibration.checks {
        if let Some(meaning) = &check.meaning {
            let told = format!("{} missed: {meaning}", check.section.replace('_', " "));
            if !meanings.contains(&told) {
                meanings.push(told);
            }
        }
    }
    document.items(meanings);
}

fn costs(document: &mut Document, calibration: &Calibration) {
    document.heading("What measuring costs");
    let mut items = Vec::new();
    if let Some(clock) = &calibration.clock {
        items.push(format!(
            "clock: resolution {}, smallest step seen {}, a reading {}",
            ns(clock.resolution_ns as f64),
            ns(clock.smallest_step_ns as f64),
            ns(clock.read_ns)
        ));
    }
    if let Some(recording) = &calibration.recording {
        items.push(format!(
            "releasing and recording one operation: {} of CPU (closed loop, callee that returns at once, {} operations)",
            ns(recording.cpu_ns_per_op),
            grouped(recording.operations as f64)
        ));
    }
    if let Some(disk) = &calibration.disk {
        let flushes = disk.flushes.map_or_else(
            || "flushes not counted by this kernel or file system".into(),
            |flushes| format!("{flushes} flushes counted meanwhile"),
        );
        items.push(format!(
            "fdatasync after 4 KiB: p50 {}, slowest {} of {}; {flushes}",
            ns(disk.fdatasync_p50_ns as f64),
            ns(disk.fdatasync_max_ns as f64),
            disk.count
        ));
    }
    items.extend(calibration.idle_brokers.iter().map(|broker| {
        format!(
            "idle broker of {}: {} ms of CPU per second",
            broker.transport,
            maybe(broker.cpu_ms_per_s)
        )
    }));
    document.items(items);
}

fn share(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn time(value: Option<u64>) -> String {
    value.map_or(NOTHING.into(), |value| ns(value as f64))
}

fn pacing(document: &mut Document, calibration: &Calibration) {
    document.heading("Lateness: release − planned (p99.9 is printed, not judged)");
    let rows = calibration.lateness.iter().map(|row| {
        let merged = Some(&row.merged);
        vec![
            row.callee.as_str().into(),
            grouped(row.rate_per_s).into(),
            grouped(row.merged.count as f64).into(),
            percentile(merged, Percentile::P50).into(),
            time(row.p99_median_ns).into(),
            time(row.merged_p999_ns).into(),
            percentile(merged, Percentile::Max).into(),
        ]
    });
    document.table(Table {
        header: names([
            "callee",
            "rate/s",
            "samples",
            "p50",
            "p99, median run",
            "p99.9",
            "max",
        ]),
        numbers_from: 1,
        rows: rows.collect(),
    });
    document.heading("The spin before each release");
    let rows = calibration.spin.iter().map(|row| {
        vec![
            grouped(row.rate_per_s).into(),
            time(row.with_p99_ns).into(),
            time(row.without_p99_ns).into(),
            share(row.with_core_share).into(),
            share(row.without_core_share).into(),
        ]
    });
    document.table(Table {
        header: names([
            "rate/s",
            "p99 with",
            "p99 without",
            "core with",
            "core without",
        ]),
        numbers_from: 0,
        rows: rows.collect(),
    });
}

fn cpu(document: &mut Document, calibration: &Calibration) {
    document.heading("The generator's CPU per operation, 32 in flight");
    let rows = calibration.generator_cpu.iter().map(|row| {
        vec![
            row.callee.as_str().into(),
            maybe(row.cpu_us_per_op).into(),
            grouped(row.throughput_per_s).into(),
        ]
    });
    document.table(Table {
        header: names(["callee", "µs/op", "op/s"]),
        numbers_from: 1,
        rows: rows.collect(),
    });
}

fn planted(document: &mut Document, calibration: &Calibration) {
    document.heading("Planted latency over tcp: accept against the sum of floor and truth");
    let rows = calibration.planted_latency.iter().flat_map(|row| {
        [("p50", row.p50), ("p99", row.p99)].map(|(name, returned)| {
            let at = |value: Option<u64>| -> Cell { time(value).into() };
            vec![
                ns(row.planted_ns as f64).into(),
                grouped(row.rate_per_s).into(),
                name.into(),
                at(returned.map(|r| r.accept_ns)),
                at(returned.map(|r| r.floor_ns)),
                at(returned.map(|r| r.truth_ns)),
                at(returned.map(|r| r.expected_ns)),
                returned
                    .map_or(NOTHING.into(), |r| {
                        let sign = if r.error_ns < 0 { "−" } else { "+" };
                        format!("{sign}{}", ns(r.error_ns.unsigned_abs() as f64))
                    })
                    .into(),
                at(returned.map(|r| r.allowed_ns)),
            ]
        })
    });
    document.table(Table {
        header: names([
            "planted", "rate/s", "at", "accept", "floor", "truth", "expected", "error", "allowed",
        ]),
        numbers_from: 0,
        rows: rows.collect(),
    });
}

fn pairs(document: &mut Document, calibration: &Calibration) {
    document.heading("Ratios where the truth is known");
    let row = |what: &str, metric: &PairedMetric| -> Vec<Cell> {
        let figure = |value: Option<f64>| -> Cell {
            value
                .map_or(NOTHING.into(), |value| format!("{value:.3}"))
                .into()
        };
        vec![
            what.into(),
            metric.metric.replace('_', " ").into(),
            metric.ratios.len().to_string().into(),
            figure(metric.ratio),
            figure(metric.low),
            figure(metric.high),
            format!("{:.0} %", metric.level * 100.0).into(),
            figure(metric.minimum_detectable),
        ]
    };
    let mut rows: Vec<_> = calibration
        .a_a
        .iter()
        .map(|metric| row("A/A on rest", metric))
        .collect();
    if let Some(effect) = &calibration.planted_effect {
        for round in &effect.rounds {
            rows.extend(
                round
                    .planted
                    .iter()
                    .map(|metric| row("5 % planted", metric)),
            );
            rows.extend(
                round
                    .nothing
                    .iter()
                    .map(|metric| row("nothing planted", metric)),
            );
        }
    }
    document.table(Table {
        header: names([
            "arms",
            "metric",
            "blocks",
            "ratio",
            "low",
            "high",
            "level",
            "detectable",
        ]),
        numbers_from: 2,
        rows,
    });
}

fn stopped(document: &mut Document, calibration: &Calibration) {
    document.heading("The service stopped for 1.4 s under 2,000/s");
    let rows = calibration.stopped_service.iter().map(|row| {
        vec![
            grouped(f64::from(row.max_in_flight)).into(),
            grouped(row.attempted as f64).into(),
            percentile(Some(&row.accept_ns), Percentile::P50).into(),
            percentile(Some(&row.service_ns), Percentile::P50).into(),
            percentile(Some(&row.accept_ns), Percentile::P99).into(),
            percentile(Some(&row.service_ns), Percentile::P99).into(),
            percentile(Some(&row.lateness_ns), Percentile::P99).into(),
        ]
    });
    document.table(Table {
        header: names([
            "in flight ≤",
            "operations",
            "p50 planned",
            "p50 service",
            "p99 planned",
            "p99 service",
            "p99 lateness",
        ]),
        numbers_from: 0,
        rows: rows.collect(),
    });
}

fn trials(document: &mut Document, calibration: &Calibration) {
    let trials = &calibration.trials;
    document.text(format!(
        "{} trials, {} balanced, {} disturbed from outside, {} SUSPECT or INVALID (reasons in calibrate.json).",
        trials.run,
        trials.balanced,
        trials.disturbed,
        trials.doubts.len()
    ));
}
