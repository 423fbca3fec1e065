//! The services of a topology, each against the user and against those that call it, and all of them joined by the
//! Stamps of their ledgers. Pure.

use super::evidence::handler;
use super::timeline::completed_by_bin;
use super::{Material, ServiceAccount};
use crate::cell::Cell;
use crate::fault::Target;
use crate::latency::{Beside, Minimum, summarise};
use crate::load::Record;
use crate::results::{Effects, Hop, HopCalls, HopPhase, Latency, Reached, Sent};
use crate::topology::Topology;
use crate::validity::off_plan;
use bench_proto::control::{HopAccount, SpanAccount};
use bench_proto::ledger::Balance;
use bench_proto::{Durability, ServiceLedger};
use bench_stats::histogram as portable;
use roaring::RoaringTreemap;
use std::collections::BTreeMap;

/// What is known of the services together.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub(super) hops: Vec<Hop>,
    pub(super) reached: Vec<Reached>,
    /// What makes the trial INVALID, a sentence each.
    pub(super) problems: Vec<String>,
}

/// One service with its ledger, where that can be read.
struct Side<'m> {
    told: &'m ServiceAccount,
    ledger: Option<ServiceLedger>,
}

/// Joins the services of a trial's topology; nothing where there is none.
pub(super) fn join(material: &Material<'_>) -> Joined {
    let Material {
        cell,
        record,
        services,
        injected,
        ..
    } = material;
    let mut joined = Joined::default();
    let Some(topology) = &cell.topology else {
        return joined;
    };
    let sides: Vec<Side<'_>> = services
        .iter()
        .map(|told| side(told, cell, &mut joined.problems))
        .collect();
    let undisturbed = injected.iter().all(|one| cell.is_join(&one.fault));
    for (place, side) in sides.iter().enumerate() {
        let joined_ns = joined_ns(material, &side.told.name);
        let mut hop = hop(topology, record, side, &sides, joined_ns);
        if place > 0 && !side.told.died {
            let account = side.told.account.as_ref();
            let bins = account.map(|account| completed_by_bin(cell, record, account));
            hop.completed_by_bin = bins.unwrap_or_default();
        }
        let mut found = problems(&hop, undisturbed);
        // The first one's whole is judged with the trial.
        found.extend(handlers(cell, side, place == 0));
        let of = |problem: String| format!("'{}': {problem}", hop.service);
        joined.problems.extend(found.into_iter().map(of));
        joined.hops.push(hop);
    }
    joined.reached = reached(record, &sides);
    joined
}

fn side<'m>(told: &'m ServiceAccount, cell: &Cell, problems: &mut Vec<String>) -> Side<'m> {
    let ledger = match told.ledger().filter(|_| cell.stamped) {
        Some(Err(why)) => {
            problems.push(format!(
                "'{}': its ledger could not be read: {why}",
                told.name
            ));
            None
        }
        Some(Ok(ledger)) => Some(ledger),
        None => None,
    };
    Side { told, ledger }
}

/// When a service joined that was not there from the start.
fn joined_ns(material: &Material<'_>, name: &str) -> Option<u64> {
    let joined = material.injected.iter().find(|one| {
        material.cell.is_join(&one.fault)
            && matches!(&one.fault.target, Target::Service(of) if of == name)
    });
    joined.map(|one| one.at_ns)
}

fn hop(
    topology: &Topology,
    record: &Record,
    side: &Side<'_>,
    all: &[Side<'_>],
    joined_ns: Option<u64>,
) -> Hop {
    let name = &side.told.name;
    let account = side.told.account.as_ref();
    let window = account.and_then(|account| account.spans.first());
    let mut balance = Balance::of(&record.ledgers, side.ledger.as_ref());
    if let (Some(at_ns), Some(ledger)) = (joined_ns, &side.ledger) {
        balance.lost = Some(lost_since(record, ledger, at_ns));
    }
    let arrived = balance.delivered.zip(balance.duplicated);
    let from = topology.calls_to(name).filter_map(|edge| {
        let caller = all.iter().find(|other| other.told.name == edge.from)?;
        let account = caller.told.account.as_ref()?;
        // One call of a fan-out is to arrive at each of its readers.
        let calls = account.hops.get(edge.called())?;
        let sent = Sent {
            calls: calls.calls,
            succeeded: calls.succeeded,
            lost: match joined_ns {
                Some(_) => balance.lost,
                // A delivery more often than once may be a call more often than once.
                None => arrived.map(|(once, again)| calls.succeeded.saturating_sub(once + again)),
            },
            unknown_to_caller: side
                .ledger
                .as_ref()
                .zip(caller.ledger.as_ref())
                .map(|(here, there)| beyond(record, here, there)),
        };
        Some((edge.from.clone(), sent))
    });
    Hop {
        service: name.clone(),
        died: side.told.died,
        // One that joins later finds a journal too, and nothing in it.
        recovered: account
            .and_then(|account| account.recovered)
            .filter(|_| side.told.died),
        ledger: (&balance).into(),
        completed: window.map(|span| span.completed),
        effects: account.map_or(Effects::default(), |account| Effects {
            applied: account.effects.applied,
            repeated: account.effects.repeated,
        }),
        expired: account.map_or(0, |account| account.expired),
        completion_ns: window.map(|span| summary(&span.completion)),
        handler_ns: window.map(|span| summary(&span.handler)),
        phases: account
            .map(|account| account.spans.iter().skip(1).map(phase).collect())
            .unwrap_or_default(),
        completed_by_bin: Vec::new(),
        from: from.collect(),
        calls: account
            .map(|account| &account.hops)
            .into_iter()
            .flatten()
            .map(|(callee, calls)| (callee.clone(), calls_of(calls)))
            .collect(),
    }
}

fn phase(span: &SpanAccount) -> HopPhase {
    let planned = portable::decode(&span.planned).ok();
    HopPhase {
        name: span.name.clone(),
        completed: span.completed,
        completion_ns: summary(&span.completion),
        handler_ns: summary(&span.handler),
        planned_handler_ns: planned
            .filter(|planned| planned.max() > 1)
            .map(|planned| planned.mean()),
    }
}

fn summary(histogram: &str) -> Latency {
    portable::decode(histogram).map_or_else(
        |_| Latency::default(),
        |samples| summarise(&samples, Beside::default(), Minimum::Trial),
    )
}

fn calls_of(account: &HopAccount) -> HopCalls {
    let states = [
        ("closed", account.breaker_ns.closed),
        ("open", account.breaker_ns.open),
        ("half open", account.breaker_ns.half_open),
    ];
    let without = states.iter().all(|(_, ns)| *ns == 0);
    HopCalls {
        calls: account.calls,
        attempts: account.attempts,
        retried: account.retried,
        succeeded: account.succeeded,
        failed: account.failed.clone(),
        timed_out: account.timed_out,
        shed: account.shed,
        refused_by_breaker: account.refused_by_breaker,
        breaker_s: states
            .into_iter()
            .filter(|_| !without)
            .map(|(state, ns)| (state.to_string(), ns as f64 / 1e9))
            .collect(),
        latency_ns: summary(&account.latency),
    }
}

/// What no healthy trial shows of a service.
fn problems(hop: &Hop, undisturbed: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(unexpected @ 1..) = hop.ledger.unexpected {
        problems.push(format!(
            "{unexpected} orders were delivered to it that nobody attempted"
        ));
    }
    for (caller, sent) in &hop.from {
        if let Some(lost @ 1..) = sent.lost
            && undisturbed
        {
            problems.push(format!(
                "{lost} of {} calls that went well for '{caller}' were never delivered to it though no fault was injected",
                sent.succeeded
            ));
        }
        if let Some(unknown @ 1..) = sent.unknown_to_caller
            && undisturbed
            && hop.from.len() == 1
        {
            problems.push(format!(
                "{unknown} orders were delivered to it that its only caller '{caller}' has not handled"
            ));
        }
    }
    for (callee, calls) in &hop.calls {
        let failed: u64 = calls.failed.values().sum();
        let ended =
            calls.succeeded + failed + calls.timed_out + calls.shed + calls.refused_by_breaker;
        if ended != calls.calls {
            problems.push(format!(
                "its calls to '{callee}' do not balance: {} orders needed one, and {ended} succeeded, failed, timed out, \
                 were shed or refused by the breaker",
                calls.calls
            ));
        }
    }
    problems
}

/// Where its handler missed its plan, span by span.
fn handlers(cell: &Cell, side: &Side<'_>, but_the_window: bool) -> Vec<String> {
    // With `power` the handler's time holds an fdatasync that no plan knows.
    let account = side.told.account.as_ref();
    let account = account.filter(|_| cell.durability != Durability::Power);
    let spans = account.map_or(&[][..], |account| account.spans.as_slice());
    let mut said = Vec::new();
    for span in spans.iter().skip(usize::from(but_the_window)) {
        let off = handler(&span.planned, &span.handler).map(|handler| off_plan(&handler));
        let of = |why: String| format!("in '{}' {why}", span.name);
        said.extend(off.unwrap_or_default().into_iter().map(of));
    }
    said
}

/// How many acknowledged orders a service never got that joined at this instant, of those planned since. A producer's
/// orders are numbered as they are planned, and by its share of the window's time it had planned so many until then. Of a
/// load that is not even this is about right: what came before the first that was delivered is not counted either.
fn lost_since(record: &Record, here: &ServiceLedger, at_ns: u64) -> u64 {
    let window = (record.end_ns - record.start_ns).max(1) as f64;
    let passed = (at_ns.saturating_sub(record.start_ns) as f64 / window).min(1.0);
    let producers = (0..).zip(&record.ledgers);
    let lost = producers.map(|(producer, caller)| {
        let seen = here.seen(producer);
        let first = seen.and_then(RoaringTreemap::min).unwrap_or(0);
        let since = first.max((passed * caller.attempted as f64).ceil() as u64);
        let is_here = |sequence| seen.is_some_and(|seen| seen.contains(sequence));
        let missing = caller
            .acknowledged
            .iter()
            .filter(|sequence| *sequence >= since && !is_here(*sequence));
        missing.count() as u64
    });
    lost.sum()
}

/// How many of the user's orders arrived here and not there.
fn beyond(record: &Record, here: &ServiceLedger, there: &ServiceLedger) -> u64 {
    let producers = (0..).zip(&record.ledgers).map(|(producer, _)| producer);
    producers
        .filter_map(|producer| {
            let arrived = here.seen(producer)?;
            Some(match there.seen(producer) {
                Some(known) => arrived.difference_len(known),
                None => arrived.len(),
            })
        })
        .sum()
}

/// How many of the user's orders reached which set of services; nothing where one ledger is not known.
fn reached(record: &Record, sides: &[Side<'_>]) -> Vec<Reached> {
    let ledgers: Option<Vec<(&str, &ServiceLedger)>> = sides
        .iter()
        .map(|side| Some((side.told.name.as_str(), side.ledger.as_ref()?)))
        .collect();
    let Some(ledgers) = ledgers else {
        return Vec::new();
    };
    let mut counts: BTreeMap<Vec<&str>, u64> = BTreeMap::new();
    for (producer, caller) in (0..).zip(&record.ledgers) {
        let everything: RoaringTreemap = (0..caller.attempted).collect();
        let mut classes = vec![(Vec::new(), everything)];
        for (name, ledger) in &ledgers {
            classes = split(classes, name, ledger.seen(producer));
        }
        for (services, orders) in classes {
            *counts.entry(services).or_default() += orders.len();
        }
    }
    let mut reached: Vec<Reached> = counts
        .into_iter()
        .map(|(services, orders)| Reached {
            services: services.into_iter().map(str::to_string).collect(),
            orders,
        })
        .collect();
    // Most orders first.
    reached.sort_by_key(|one| std::cmp::Reverse(one.orders));
    reached
}

/// Orders by the services that they reached.
type Classes<'s> = Vec<(Vec<&'s str>, RoaringTreemap)>;

/// Every class in two: what reached one more service, and what did not.
fn split<'s>(classes: Classes<'s>, name: &'s str, seen: Option<&RoaringTreemap>) -> Classes<'s> {
    let Some(seen) = seen else {
        return classes;
    };
    let halves = classes.into_iter().flat_map(|(services, orders)| {
        let inside = &orders & seen;
        let outside = &orders - seen;
        let mut further = services.clone();
        further.push(name);
        [(further, inside), (services, outside)]
    });
    halves.filter(|(_, orders)| !orders.is_empty()).collect()
}

#[cfg(test)]
mod tests;
