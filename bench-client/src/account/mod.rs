//! From what was recorded and read to the trial that results keep: balances the ledgers, divides by the right
//! counts, gathers the evidence and has it judged. Pure: it measures nothing.

mod counters;
mod evidence;
mod hops;
mod probe;
mod settings;
mod spans;
mod timeline;

pub use settings::flatten;

use crate::cell::Cell;
use crate::fault::{Seen, by_error};
use crate::latency::{Beside, Minimum, summarise};
use crate::load::{Mode, Record};
use crate::meters::{Usage, Wire};
use crate::results::{self, Bytes, CpuPerOp, InstructionsPerOp};
use crate::service::Injected;
use crate::validity::{Evidence, judge};
use bench_proto::control::{Account, SpanAccount};
use bench_proto::ledger::Balance;
use bench_proto::{Durability, ServiceLedger};
use bench_stats::histogram as portable;
use bench_transport::Counters;
use counters::counters;
use evidence::{handler, little};
use spans::{bound_of, censored, completion, phases};
use std::collections::BTreeMap;
use timeline::series;

/// What the callers saw beside their outcomes, over all generator threads.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    counters: Counters,
    wrong: u64,
    first_wrong: Option<String>,
    failures: BTreeMap<String, (u64, String)>,
    seen: Vec<Seen>,
}

impl Observed {
    /// Connections that the callers opened.
    pub fn connects(&self) -> u64 {
        self.counters.connects
    }

    /// Adds a thread's.
    pub fn add(
        &mut self,
        counters: Counters,
        wrong: (u64, Option<String>),
        failures: BTreeMap<String, (u64, String)>,
        seen: Vec<Seen>,
    ) {
        self.counters = self.counters.plus(counters);
        self.seen.extend(seen);
        self.wrong += wrong.0;
        self.first_wrong = self.first_wrong.take().or(wrong.1);
        for (name, (count, text)) in failures {
            self.failures.entry(name).or_insert((0, text)).0 += count;
        }
    }
}

/// What one service of a trial knows of it.
#[derive(Clone, Debug)]
pub struct ServiceAccount {
    /// Its name.
    pub name: String,
    /// What it told; none if it could not be asked.
    pub account: Option<Account>,
    /// It was killed on the way: what it tells begins with its second life.
    pub died: bool,
}

impl ServiceAccount {
    /// Its ledger, where it is whole: it never died, or knows from its journal what its first life answered.
    fn ledger(&self) -> Option<Result<ServiceLedger, String>> {
        let account = self.account.as_ref();
        let whole = account.filter(|account| !self.died || account.recovered.is_some());
        whole.map(|account| ServiceLedger::from_json(&account.ledger))
    }
}

/// Everything one trial left.
#[derive(Debug)]
pub struct Material<'a> {
    /// What was run.
    pub cell: &'a Cell,
    /// What the generators recorded.
    pub record: Record,
    /// What was recorded of the catalogue, where the cell asks for it beside the orders.
    pub probe: Option<Record>,
    /// What its services know, the one that the user calls first, each after all that call it.
    pub services: Vec<ServiceAccount>,
    /// What the callers saw.
    pub observed: Observed,
    /// What the processes used.
    pub usage: Usage,
    /// Class `power`: flush requests that the disk completed in the window.
    pub flushes: Option<u64>,
    /// What the sockets carried.
    pub wire: Wire,
    /// Whether the kernel dropped records of closed sockets.
    pub wire_records_lost: bool,
    /// Settings in force.
    pub in_force: BTreeMap<String, String>,
    /// Whether the processes were pinned.
    pub pinned: bool,
    /// Whether faults were planted.
    pub planted: bool,
    /// Which faults were injected, and when, in that order.
    pub injected: Vec<Injected>,
    /// The broker's memory and writes over the window, where its processes can be seen.
    pub broker: Option<results::Footprint>,
    /// The run's zero.
    pub zero_ns: u64,
}

/// Instructions by operations, as CPU: the client's by accepts, the others' by completions.
fn instructions(usage: &Usage, accepted: u64, done: u64) -> InstructionsPerOp {
    let per_op = |count: u64, by: u64| (by > 0).then(|| count as f64 / by as f64);
    match &usage.instructions {
        Some(Ok(roles)) => InstructionsPerOp {
            client: per_op(roles.client, accepted),
            service: roles.service.and_then(|count| per_op(count, done)),
            broker: roles.broker.and_then(|count| per_op(count, done)),
            missing: None,
        },
        Some(Err(reason)) => InstructionsPerOp {
            missing: Some(reason.clone()),
            ..InstructionsPerOp::default()
        },
        None => InstructionsPerOp::default(),
    }
}

/// Assembles the trial.
pub fn assemble(material: Material<'_>) -> results::Trial {
    let Material {
        cell,
        record,
        observed,
        usage,
        wire,
        in_force,
        injected,
        ..
    } = &material;
    // A service that was killed took with it what it measured, and its ledger if that stands in no journal.
    let entry = material.services.first();
    let lived = entry.filter(|entry| !entry.died);
    let account = &lived.and_then(|entry| entry.account.clone());
    let first_fault_ns = injected.first().map(|injected| injected.at_ns);
    let service_ledger = entry.and_then(ServiceAccount::ledger);
    let unreadable = service_ledger
        .as_ref()
        .and_then(|ledger| ledger.as_ref().err().cloned());
    let service_ledger = service_ledger.and_then(Result::ok);
    // An unstamped operation cannot be told from another: there is no delivery side to balance.
    let balance = Balance::of(
        &record.ledgers,
        service_ledger.as_ref().filter(|_| cell.stamped),
    );
    let window = record.window();
    let bound = bound_of(cell);
    let window_s = (record.end_ns - record.start_ns) as f64 / 1e9;
    let completed = account.as_ref().map(|account| account.completed_in_window);
    let accepted = record.accepted_in_window;
    let done = completed.unwrap_or(accepted);
    let accept = censored(&window.accept, window.censored(), bound, record.negative);
    let lateness = summarise(&record.lateness, Beside::default(), Minimum::Trial);
    // With `power` the handler's time holds an fdatasync that no plan knows.
    let planned = account
        .as_ref()
        .filter(|_| cell.durability != Durability::Power);
    let handler_of_phase = |span: &SpanAccount| {
        let found = handler(&span.planned, &span.handler)?;
        Some((span.name.clone(), found))
    };
    // The first span is the window itself.
    let spans = planned.map_or(&[][..], |account| &account.spans);
    let handler_of_phases = spans.iter().skip(1).filter_map(handler_of_phase).collect();
    let handler = planned.and_then(|a| handler(&a.planned_handler, &a.handler));
    let generator_busy = (window_s > 0.0).then(|| record.thread_cpu_ns as f64 / 1e9 / window_s);
    let open_at_end = match completed {
        // The backlog: what was due in the window and not worked on at its end, wherever it waits. What failed or was
        // refused waits nowhere.
        Some(completed) => {
            (window.planned).saturating_sub(completed + window.failed + window.refused)
        }
        None => record.open_at_end,
    };
    let per_op = |ns: f64, by: u64| (by > 0).then(|| ns / 1e3 / by as f64);
    let judgement = judge(&Evidence {
        open_loop: matches!(cell.mode, Mode::Open(_)),
        ledger: (&balance).into(),
        fault_injected: injected.iter().any(|one| !cell.is_join(&one.fault)),
        negative: record.negative + account.as_ref().map_or(0, |account| account.negative),
        handler,
        handler_of_phases,
        durability_declared: cell.durability.to_string(),
        durability_read_back: in_force.get("durability").cloned(),
        flushes: material.flushes,
        lateness_p99_ns: matches!(cell.mode, Mode::Open(_))
            .then_some(lateness.p99)
            .flatten(),
        accept_p99_ns: accept.p99,
        generator_busy,
        planned: window.planned,
        open_at_start: 0,
        open_at_end,
        little: little(cell, record, window, window_s),
        steal: usage.steal_share,
        foreign_cpu: usage.foreign_share,
        major_faults: usage.client.major_faults
            + usage.service.as_ref().map_or(0, |usage| usage.major_faults),
        wire_records_lost: material.wire_records_lost,
        unpinned: !material.pinned,
    });
    let mut validity = judgement.validity;
    // An unstamped trial counts bytes, and those are the same on a busy machine: only records that the kernel lost make
    // it worth another one.
    validity.external &= cell.stamped || material.wire_records_lost;
    let mut invalid = |reason: String| {
        validity.state = results::State::Invalid;
        validity.external = false;
        validity.reasons.push(reason);
    };
    if let Some(problem) = unreadable {
        invalid(format!("the service's ledger could not be read: {problem}"));
    }
    if observed.wrong > 0 {
        let first = observed.first_wrong.as_deref().unwrap_or("");
        invalid(format!(
            "{} answers were not what their order asks for; the first: {first}",
            observed.wrong
        ));
    }
    let hops::Joined {
        hops,
        reached,
        problems,
    } = hops::join(&material);
    for problem in problems {
        invalid(problem);
    }
    let probe = probe::probed(&material, account.as_ref()).map(|(probe, found)| {
        for (state, reason) in found {
            validity.state = validity.state.max(state);
            validity.reasons.push(reason);
        }
        probe
    });
    // Part of no operation, be it an order or the probe's.
    let spun_ns = record.spun_ns + material.probe.as_ref().map_or(0, |probe| probe.spun_ns);
    let series = series(cell, record, account.as_ref());
    let ended = record.ended();
    let mean_body = |sum: u64, by: u64| (by > 0).then(|| sum as f64 / by as f64);
    results::Trial {
        cell: cell.describe(),
        started_at_s: record.start_ns.saturating_sub(material.zero_ns) as f64 / 1e9,
        window_s,
        validity,
        stolen_share: usage.steal_share,
        foreign_share: usage.foreign_share,
        overloaded: judgement.overloaded,
        throughput_per_s: if window_s > 0.0 {
            done as f64 / window_s
        } else {
            0.0
        },
        throughput_is_lower_bound: judgement.generator_bound,
        completion_ns: account
            .as_ref()
            .and_then(|account| completion(account.spans.first()?, window, bound)),
        handler_ns: account
            .as_ref()
            .and_then(|account| portable::decode(&account.handler).ok())
            .map(|samples| summarise(&samples, Beside::default(), Minimum::Trial)),
        service_ns: censored(&window.service, window.censored(), bound, 0),
        backpressure_ns: Some(summarise(
            &record.backpressure,
            Beside::default(),
            Minimum::Trial,
        )),
        bytes: Bytes {
            body_out: mean_body(record.body_out, ended),
            body_in: mean_body(record.body_in, balance.acknowledged).filter(|bytes| *bytes > 0.0),
            wire: wire.as_ref().ok().cloned().unwrap_or_default(),
            wire_missing: wire.as_ref().err().cloned(),
        },
        // With a probe it is not the orders' alone.
        cpu_us_per_op: if cell.probe.is_some() {
            CpuPerOp::default()
        } else {
            CpuPerOp {
                client: per_op(usage.client.cpu_ns.saturating_sub(spun_ns) as f64, accepted),
                pacing: per_op(spun_ns as f64, accepted),
                // Of a process that is gone nothing can be read.
                service: usage
                    .service
                    .as_ref()
                    .filter(|_| material.services.iter().all(|service| !service.died))
                    .and_then(|usage| per_op(usage.cpu_ns as f64, done)),
                broker: usage
                    .broker
                    .as_ref()
                    .and_then(|usage| per_op(usage.cpu_ns as f64, done)),
                broker_net: usage.broker_net_ns.and_then(|ns| per_op(ns, done)),
            }
        },
        instructions_per_op: instructions(usage, accepted, done),
        ctx_switches_per_op: usage
            .service
            .as_ref()
            .filter(|_| cell.probe.is_none())
            .and_then(|service| {
                let switches = |usage: &bench_host::cpu::CpuUsage| {
                    usage.voluntary_switches + usage.involuntary_switches
                };
                (done > 0)
                    .then(|| (switches(&usage.client) + switches(service)) as f64 / done as f64)
            }),
        ledger: (&balance).into(),
        counters: counters(observed, account.as_ref()),
        faults: injected
            .iter()
            .map(|injected| injected.fault.injected(record.start_ns, injected.at_ns))
            .collect(),
        seen: first_fault_ns
            .map(|at_ns| by_error(&observed.seen, at_ns))
            .unwrap_or_default(),
        topology: cell
            .topology
            .as_ref()
            .map(|topology| topology.diagram(cell.transport)),
        hops,
        reached,
        probe,
        in_force: in_force.clone(),
        phases: phases(cell, record, account.as_ref(), &series),
        series,
        broker: material.broker,
        accept_ns: accept,
        lateness_ns: lateness,
        ..results::Trial::default()
    }
}
