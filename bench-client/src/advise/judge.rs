//! One way of carrying orders against every need: what it can do by construction, then what was measured nearest.

use super::evidence::{Around, Found, Outside, around, closed_loops, near_payload, open_loops};
use super::{Basis, Candidate, Cost, Figure, Fit, Met, Needs, Ordering, Reason, Source, Way};
use crate::claims::part::{number, resolution};
use crate::claims::samples::Metric;
use crate::results::Arrival;
use crate::theory::{self, PerSecond};
use crate::units::{show_bytes, show_ns};
use bench_proto::Durability;
use bench_transport::Transport;
use std::time::Duration;

/// Judges one way.
pub(super) fn way(sources: &[Source<'_>], needs: &Needs, candidate: Candidate) -> Way {
    let mut reasons: Vec<Reason> = [reply(needs, candidate), class(needs, candidate)]
        .into_iter()
        .flatten()
        .collect();
    let mut cost_us = None;
    let open = open_loops(sources, needs, candidate);
    if open.is_empty() {
        let text = format!(
            "no plain open loop over {} in class {}",
            candidate.name(),
            needs.durability
        );
        reasons.push(unknown("durability", text));
    } else {
        match near_payload(open, needs) {
            Err(why) => reasons.push(unknown("payload", why)),
            Ok(found) => match around(&found, needs.rate_per_s) {
                Err(outside) => reasons.push(beyond(needs, &outside)),
                Ok(rates) => {
                    reasons.push(rate(needs, rates));
                    reasons.extend(ordering(needs, rates));
                    reasons.extend(p99(needs, candidate, rates));
                    let (reason, cost) = cost(needs, candidate, rates);
                    reasons.push(reason);
                    cost_us = cost;
                }
            },
        }
    }
    reasons.extend(consumers(needs, candidate));
    reasons.extend(away(sources, needs, candidate));
    let met = |met| reasons.iter().any(|reason| reason.met == met);
    let fit = if met(Met::No) {
        Fit::DoesNotFit
    } else if met(Met::Unknown) {
        Fit::Unknown
    } else {
        Fit::Fits
    };
    Way {
        name: candidate.name(),
        fit,
        rank: None,
        tied: false,
        cost_us,
        reasons,
    }
}

fn reason(need: &'static str, met: Met, text: impl Into<String>, basis: Basis) -> Reason {
    Reason {
        need,
        met,
        text: text.into(),
        basis,
    }
}

fn unknown(need: &'static str, text: impl Into<String>) -> Reason {
    reason(need, Met::Unknown, text, Basis::NotMeasured)
}

fn reply(needs: &Needs, candidate: Candidate) -> Option<Reason> {
    if !needs.needs_reply {
        return None;
    }
    let (met, text) = match (candidate.is_direct(), candidate.reply) {
        (true, _) => (Met::Yes, "every call is answered by the service"),
        (false, Some(_)) => (Met::Yes, "the service's answer comes back over the broker"),
        (false, None) => (
            Met::No,
            "a publish is confirmed by the broker, and the service answers nobody",
        ),
    };
    Some(reason("reply", met, text, Basis::Construction))
}

/// What a way cannot be asked for; whether the class was measured is another matter.
fn class(needs: &Needs, candidate: Candidate) -> Option<Reason> {
    let possible = needs.durability != Durability::Memory
        || candidate.transport == Transport::Queue && candidate.reply.is_none();
    (!possible).then(|| {
        let text = "the class `memory` (confirmed, and kept nowhere) exists on RabbitMQ alone";
        reason("durability", Met::No, text, Basis::Construction)
    })
}

/// The rate is none of those that were measured and held.
fn beyond(needs: &Needs, outside: &Outside<'_, '_>) -> Reason {
    match outside {
        Outside::NotMeasured(why) => unknown(
            "rate",
            format!("{why}, and {} are asked for", per_second(needs.rate_per_s)),
        ),
        Outside::NotSustained(found) => {
            let text = format!(
                "{} were offered, and completions did not keep up",
                per_second(found.rate())
            );
            let figure = found.figure(Metric::Throughput, 1.0, "1/s");
            let basis = figure.map_or(Basis::NotMeasured, Basis::Measured);
            reason("rate", Met::No, text, basis)
        }
    }
}

fn rate(needs: &Needs, rates: Around<'_, '_>) -> Reason {
    let above = rates.above;
    let text = format!(
        "{} were sustained{}",
        per_second(above.rate()),
        stands_for(needs, above)
    );
    let figure = above.figure(Metric::Throughput, 1.0, "1/s");
    let basis = figure.map_or(Basis::NotMeasured, Basis::Measured);
    reason("rate", Met::Yes, text, basis)
}

/// Says where a figure is another payload's.
fn stands_for(needs: &Needs, found: &Found<'_>) -> String {
    let measured = &found.cell.cell.payload;
    if *measured == needs.payload.name {
        return String::new();
    }
    format!(" with {measured}, the nearest to {}", needs.payload.name)
}

/// Whether deliveries of one key kept their order at both rates around the one asked for.
fn ordering(needs: &Needs, rates: Around<'_, '_>) -> Option<Reason> {
    if needs.ordering == Ordering::None {
        return None;
    }
    let (mut reordered, mut delivered) = (0, 0);
    let mut cells = vec![rates.below, rates.above];
    // One cell where it was measured at this very rate.
    cells.dedup_by(|a, b| std::ptr::eq(*a, *b));
    for trial in cells.iter().flat_map(|f| f.cell.kept()) {
        let (Some(out), Some(all)) = (trial.ledger.reordered, trial.ledger.delivered) else {
            return Some(unknown("ordering", "the order of deliveries was not read"));
        };
        reordered += out;
        delivered += all;
    }
    let figure = Figure {
        run: rates.above.source.into(),
        cell: rates.above.cell.cell.id.clone(),
        metric: "reordered",
        value: reordered as f64,
        low: None,
        high: None,
        unit: "",
        blocks: rates.above.cell.kept().count() as u32,
    };
    let (met, text) = if delivered == 0 {
        return Some(unknown("ordering", "nothing was delivered"));
    } else if reordered > 0 {
        (
            Met::No,
            format!("{reordered} of {delivered} deliveries came after a later one of their key"),
        )
    } else {
        (
            Met::Yes,
            format!("each of {delivered} deliveries came in its key's order"),
        )
    };
    Some(reason("ordering", met, text, Basis::Measured(figure)))
}

/// Latency grows with the rate: what holds at the rate above holds here, and what fails at the one below fails here.
fn p99(needs: &Needs, candidate: Candidate, rates: Around<'_, '_>) -> Option<Reason> {
    let nearest = rates.nearest(needs.rate_per_s);
    let at = |found: &Found<'_>| {
        format!(
            "accept p99 at {}{}",
            per_second(found.rate()),
            stands_for(needs, found)
        )
    };
    let Some(most) = needs.max_p99 else {
        // Nothing is asked of it: told where it was measured, and it decides nothing.
        let figure = nearest.p99()?;
        let basis = Basis::Measured(figure);
        return Some(reason("p99", Met::Yes, at(nearest), basis));
    };
    let most_ms = most.as_secs_f64() * 1e3;
    let asked = format!("at most {} is asked for", duration(most));
    if let Some(doubt) = noisy(&[rates.below, rates.above]) {
        return Some(unknown("p99", format!("{asked}, and {doubt}")));
    }
    let over = rates
        .below
        .p99()
        .filter(|f| f.low.is_some_and(|low| low > most_ms));
    if let Some(figure) = over {
        let text = format!("{}; {asked}", at(rates.below));
        return Some(reason("p99", Met::No, text, Basis::Measured(figure)));
    }
    let Some(figure) = rates.above.p99() else {
        let text = format!(
            "{asked}, and too few samples were taken for {}",
            at(rates.above)
        );
        return Some(unknown("p99", text));
    };
    let under = figure.high.is_some_and(|high| high <= most_ms);
    let text = format!("{}; {asked}", at(rates.above));
    let basis = Basis::Measured(figure);
    if under && candidate.is_direct() && needs.consumers > 1 {
        let text = format!(
            "{text}; it is that of one call, and {} side by side wait for the slowest: not measured",
            needs.consumers
        );
        return Some(reason("p99", Met::Unknown, text, basis));
    }
    let met = if under { Met::Yes } else { Met::Unknown };
    let text = if under {
        text
    } else {
        format!("{text}, which the interval does not decide")
    };
    Some(reason("p99", met, text, basis))
}

/// What every order costs, and what it comes to with several consumers.
fn cost(needs: &Needs, candidate: Candidate, rates: Around<'_, '_>) -> (Reason, Option<Cost>) {
    let nearest = rates.nearest(needs.rate_per_s);
    let Some(figure) = nearest.figure(Metric::CpuPerOp, 1.0, "µs") else {
        let text = "the CPU of a process that takes part could not be read, so it is not ranked";
        return (unknown("cost", text), None);
    };
    let text = format!(
        "CPU of all processes per order at {}{}",
        per_second(nearest.rate()),
        stands_for(needs, nearest)
    );
    // Callers call each of several consumers; a broker's copies cost it at least nothing and each service the same again.
    let (times, text) = match (needs.consumers, candidate.is_direct()) {
        (1, _) => (1.0, text),
        (n, true) => (
            f64::from(n),
            format!("{n} times the {text}: a call for each consumer"),
        ),
        (n, false) => (
            1.0,
            format!("{text}, with one consumer; what {n} cost was not measured"),
        ),
    };
    let cost = Cost {
        value: figure.value * times,
        low: figure.low.map(|low| low * times),
        high: figure.high.map(|high| high * times),
    };
    let basis = if times > 1.0 {
        Basis::Projected(vec![figure])
    } else {
        Basis::Measured(figure)
    };
    (reason("cost", Met::Yes, text, basis), Some(cost))
}

fn consumers(needs: &Needs, candidate: Candidate) -> Option<Reason> {
    let n = needs.consumers;
    if n < 2 {
        return None;
    }
    let text = match (candidate.is_direct(), candidate.reply) {
        (true, _) => format!(
            "the caller calls each of {n} consumers itself, knows them all, and fails where one of them fails"
        ),
        (false, Some(_)) => {
            let text = format!("a reply comes from one service; {n} were not measured");
            return Some(unknown("consumers", text));
        }
        (false, None) => format!(
            "one publish, a copy for each of {n}: a queue of its own on the exchange, or a consumer group of its own"
        ),
    };
    Some(reason("consumers", Met::Yes, text, Basis::Construction))
}

/// What becomes of orders while the service is away.
fn away(sources: &[Source<'_>], needs: &Needs, candidate: Candidate) -> Option<Reason> {
    if needs.outage.is_zero() {
        return None;
    }
    let arrivals = PerSecond(needs.rate_per_s);
    let left = theory::backlog(arrivals, PerSecond(0.0), needs.outage);
    let while_away = format!(
        "{:.0} orders come in {} at {}",
        left.0,
        duration(needs.outage),
        per_second(needs.rate_per_s)
    );
    if candidate.is_direct() {
        let text = format!(
            "{while_away}, and nothing between caller and service keeps them: each fails or waits at its caller"
        );
        return Some(reason(
            "outage",
            Met::No,
            text,
            Basis::Projected(Vec::new()),
        ));
    }
    if candidate.reply.is_some() {
        let text = format!("{while_away}; the broker keeps them, and their callers get no answer");
        return Some(reason(
            "outage",
            Met::No,
            text,
            Basis::Projected(Vec::new()),
        ));
    }
    let weight = show_bytes(left.0 * needs.payload.protobuf);
    let kept = format!(
        "{while_away}: the broker keeps them, {weight} of bodies (a backlog of that size was not measured)"
    );
    let (text, figures) = match capacity(sources, needs, candidate) {
        None => (
            format!("{kept}; how soon they are worked off was not measured"),
            vec![],
        ),
        Some(figure) => {
            let drained = theory::drain(left, arrivals, PerSecond(figure.value));
            let text = match drained {
                Some(time) => format!(
                    "{kept}, and works them off in {} at the {} that one service took at most",
                    duration(time),
                    per_second(figure.value)
                ),
                None => format!(
                    "{kept}; one service took {} at most and would never catch up",
                    per_second(figure.value)
                ),
            };
            if drained.is_none() {
                return Some(reason(
                    "outage",
                    Met::No,
                    text,
                    Basis::Projected(vec![figure]),
                ));
            }
            (text, vec![figure])
        }
    };
    Some(reason("outage", Met::Yes, text, Basis::Projected(figures)))
}

/// The most that a way was seen to carry with a payload near the one asked for.
fn capacity(sources: &[Source<'_>], needs: &Needs, candidate: Candidate) -> Option<Figure> {
    let found = near_payload(closed_loops(sources, needs, candidate), needs).ok()?;
    found
        .iter()
        .filter(|f| f.cell.is_sustained())
        .filter_map(|f| f.figure(Metric::Throughput, 1.0, "1/s"))
        .max_by(|a, b| a.value.total_cmp(&b.value))
}

/// Why no verdict may rest on these cells' p99.
fn noisy(cells: &[&Found<'_>]) -> Option<String> {
    cells.iter().find_map(|found| {
        let resolution = resolution(found.run, Metric::AcceptP99, found.cell.cell);
        let cell = resolution.failed()?;
        Some(format!(
            "the A/A pair of `{cell}` failed for it in {}: the run is too noisy",
            found.source
        ))
    })
}

/// What to mind, run by run.
pub(super) fn cautions(sources: &[Source<'_>]) -> Vec<String> {
    let mut cautions = vec![
        "Rank is by CPU per order of client, service and broker together; the accept is what the caller waits for, and ends at the broker's confirm where there is no reply.".to_string(),
    ];
    for source in sources {
        let (name, manifest) = (&source.name, &source.run.manifest);
        cautions.push(format!(
            "{name}: {}, {} cores, {}; another machine, network or language may rank otherwise.",
            manifest.cpu().unwrap_or("an unknown processor"),
            manifest.cores().unwrap_or("unknown"),
            manifest.network
        ));
        if !manifest.exclusive {
            cautions.push(format!(
                "{name}: nobody said that nothing else ran meanwhile (--exclusive)."
            ));
        }
        // A closed loop's pair and an open one's.
        let kinds = [true, false].map(|closed| {
            let mut cells = source.run.trials.iter().map(|trial| &trial.cell);
            let like = cells.find(|cell| (cell.arrival == Arrival::Closed) == closed);
            like.map(|like| resolution(source.run, Metric::CpuPerOp, like))
        });
        let failed = kinds.iter().flatten().find_map(|kind| kind.failed());
        if let Some(cell) = failed {
            cautions.push(format!(
                "{name}: the A/A pair of `{cell}` failed for CPU per order, so the ranks rest on noise."
            ));
        }
    }
    cautions
}

fn per_second(rate: f64) -> String {
    format!("{} orders/s", rounded(rate))
}

/// As people write a count: whole, and three digits where it is below ten.
fn rounded(value: f64) -> String {
    if value < 10.0 {
        number(value)
    } else {
        format!("{value:.0}")
    }
}

/// As people say a time: minutes from two on.
fn duration(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 120.0 => format!("{} min", number(seconds / 60.0)),
        _ => show_ns(time.as_nanos() as f64),
    }
}
