//! What the service knows about the current run: its ledger, histograms and counts. One struct behind one lock that
//! is held for well under a microsecond per order. It knows no socket and never waits.

use crate::plant::{Delivery, Plant, Planted, Spec};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bench_proto::control::{Account, Effects, Progress, Reset, Span, SpanAccount};
use bench_proto::{ServiceLedger, Stamp};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use roaring::RoaringTreemap;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Most spans that one run may have: each holds three histograms of about a quarter of a MiB.
pub const MAX_SPANS: usize = 64;
/// Most bins of completions: an hour of 100 ms.
const MAX_BINS: usize = 36_000;
/// Most distinct names in one count by reason; what comes after is counted as `other`.
const MAX_REASONS: usize = 256;
/// Three significant digits up to an hour, in ns: the resolution of every histogram in the results.
const HIGHEST_NS: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;

/// The state of one run.
#[derive(Clone, Debug)]
pub struct Run {
    id: Option<u64>,
    spans: Vec<SpanState>,
    ledger: ServiceLedger,
    plant: Option<Plant>,
    /// Per producer: the sequences worked on to a good end. A second delivery is no second completion.
    done: BTreeMap<u32, RoaringTreemap>,
    completed: u64,
    completed_in_window: u64,
    negative: u64,
    unstamped: u64,
    foreign: u64,
    refused: BTreeMap<String, u64>,
    malformed: BTreeMap<String, u64>,
    failed: u64,
    shed: u64,
    redelivered: u64,
    expired: u64,
    effects: Effects,
    recovered: Option<u64>,
    start_ns: u64,
    bin_ns: u64,
    completed_bins: Vec<u32>,
}

#[derive(Clone, Debug)]
struct SpanState {
    span: Span,
    completed: u64,
    completion: Histogram<u64>,
    handler: Histogram<u64>,
    /// What the slowness plan asked of the handler.
    planned: Histogram<u64>,
}

/// One order, handled to its end.
#[derive(Clone, Copy, Debug)]
pub struct Handled {
    /// Who sent it and for when, if it says so.
    pub stamp: Option<Stamp>,
    /// The broker flagged it as redelivered.
    pub redelivered: bool,
    /// Hash of the order's key.
    pub key: u64,
    /// When a worker took it.
    pub began_ns: u64,
    /// When its handling had ended.
    pub ended_ns: u64,
    /// How long of that it waited for next hops, ns.
    pub away_ns: u64,
    /// What the slowness plan asked for.
    pub planned: Duration,
    /// How it ended.
    pub ending: Ending,
    /// The service applies no effect twice.
    pub idempotent: bool,
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Worked on.
    Done,
    /// Refused by validation, for this reason.
    Refused(&'static str),
    /// Failed.
    Failed,
}

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, DIGITS).expect("the bounds are valid")
}

/// A histogram as accounts carry it.
pub(crate) fn portable(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .expect("a histogram with these bounds can always be written to memory");
    STANDARD.encode(bytes)
}

fn count(by_reason: &mut BTreeMap<String, u64>, reason: &str) {
    if let Some(count) = by_reason.get_mut(reason) {
        *count += 1;
    } else if by_reason.len() < MAX_REASONS {
        by_reason.insert(reason.to_owned(), 1);
    } else {
        *by_reason.entry("other".to_owned()).or_default() += 1;
    }
}

/// Refuses spans that no completion could be sorted into.
pub fn check_spans(spans: &[Span]) -> Result<(), String> {
    if spans.is_empty() || spans.len() > MAX_SPANS {
        return Err(format!(
            "expected 1 to {MAX_SPANS} spans, the measured window first; got {}",
            spans.len()
        ));
    }
    let mut names = HashSet::new();
    for Span {
        name,
        start_ns,
        end_ns,
    } in spans
    {
        if start_ns >= end_ns {
            return Err(format!(
                "expected span `{name}` to start before it ends; got start_ns {start_ns}, end_ns {end_ns}"
            ));
        }
        if !names.insert(name) {
            return Err(format!(
                "span `{name}` comes twice; give every span its own name"
            ));
        }
    }
    Ok(())
}

impl Run {
    /// Before the first reset: no run, every stamped order is another run's.
    pub fn none() -> Self {
        Self {
            id: None,
            spans: Vec::new(),
            ledger: ServiceLedger::default(),
            plant: None,
            done: BTreeMap::new(),
            completed: 0,
            completed_in_window: 0,
            negative: 0,
            unstamped: 0,
            foreign: 0,
            refused: BTreeMap::new(),
            malformed: BTreeMap::new(),
            failed: 0,
            shed: 0,
            redelivered: 0,
            expired: 0,
            effects: Effects::default(),
            recovered: None,
            start_ns: 0,
            bin_ns: 0,
            completed_bins: Vec::new(),
        }
    }

    /// The run that a reset announces; its spans have been checked.
    pub fn new(reset: &Reset, plant: Option<Spec>) -> Self {
        let spans = reset.spans.iter().map(|span| SpanState {
            span: span.clone(),
            completed: 0,
            completion: histogram(),
            handler: histogram(),
            planned: histogram(),
        });
        Self {
            id: Some(reset.run),
            spans: spans.collect(),
            plant: plant.map(Plant::new),
            start_ns: reset.start_ns,
            bin_ns: reset.bin_ns,
            ..Self::none()
        }
    }

    /// Takes in what an earlier process of the service answered, as far as it was in this run.
    pub fn recover(&mut self, answered: impl Iterator<Item = Stamp>) {
        let mut recovered = 0;
        for stamp in answered.filter(|stamp| self.id == Some(stamp.run)) {
            let Stamp {
                producer, sequence, ..
            } = stamp;
            // Nobody knows in which order they came: with keys of their own, none counts as out of it.
            self.ledger.record(producer, sequence, u64::MAX - sequence);
            if self.done.entry(producer).or_default().insert(sequence) {
                self.effects.applied += 1;
            } else {
                self.effects.repeated += 1;
            }
            recovered += 1;
        }
        self.recovered = Some(recovered);
    }

    /// Records one order that was handled to its end.
    pub fn record(&mut self, handled: &Handled) {
        if let Some(stamp) = handled.stamp {
            if self.id != Some(stamp.run) {
                self.foreign += 1;
                return;
            }
        } else {
            self.unstamped += 1;
        }
        self.completed += 1;
        self.redelivered += u64::from(handled.redelivered);
        let first_time = match handled.stamp {
            Some(stamp) if !self.deliver(&stamp, handled.key) => return,
            Some(stamp) => {
                handled.ending == Ending::Done
                    && self
                        .done
                        .entry(stamp.producer)
                        .or_default()
                        .insert(stamp.sequence)
            }
            // An order without identity can't be told from another: each counts.
            None => handled.ending == Ending::Done,
        };
        match handled.ending {
            Ending::Done => {}
            Ending::Refused(reason) => count(&mut self.refused, reason),
            Ending::Failed => self.failed += 1,
        }
        if first_time {
            self.effects.applied += 1;
            self.count_in_bin(handled.ended_ns);
        } else if handled.ending == Ending::Done && !handled.idempotent {
            self.effects.repeated += 1;
        }
        if let Some(window) = self.spans.first()
            && first_time
            && (window.span.start_ns..window.span.end_ns).contains(&handled.ended_ns)
        {
            self.completed_in_window += 1;
        }
        if let Some(stamp) = handled.stamp {
            self.measure(handled, stamp.planned_ns, first_time);
        }
    }

    /// Whether this order was worked on to a good end in this run.
    pub fn has_done(&self, stamp: &Stamp) -> bool {
        let done = self.done.get(&stamp.producer);
        self.id == Some(stamp.run) && done.is_some_and(|done| done.contains(stamp.sequence))
    }

    /// Counts an order that is not started, since its deadline has passed.
    pub fn expire(&mut self, stamp: Option<&Stamp>) {
        if stamp.is_some_and(|stamp| self.id != Some(stamp.run)) {
            self.foreign += 1;
        } else {
            self.expired += 1;
        }
    }

    fn count_in_bin(&mut self, ended_ns: u64) {
        let Some(bin) = ended_ns
            .saturating_sub(self.start_ns)
            .checked_div(self.bin_ns)
        else {
            return;
        };
        // What comes after the last bin is counted in it: the sum stays right.
        let bin = (bin as usize).min(MAX_BINS - 1);
        if bin >= self.completed_bins.len() {
            self.completed_bins.resize(bin + 1, 0);
        }
        self.completed_bins[bin] += 1;
    }

    /// Enters one delivery into the ledger; false where a planted fault makes it one that never came.
    fn deliver(&mut self, stamp: &Stamp, key: u64) -> bool {
        match &mut self.plant {
            None => {
                self.ledger.record(stamp.producer, stamp.sequence, key);
                true
            }
            Some(plant) => plant.record(
                &mut self.ledger,
                Delivery {
                    producer: stamp.producer,
                    sequence: stamp.sequence,
                    key,
                },
            ),
        }
    }

    fn measure(&mut self, handled: &Handled, planned_ns: u64, completes: bool) {
        let handler_ns = handled.ended_ns.saturating_sub(handled.began_ns);
        let handler_ns = handler_ns.saturating_sub(handled.away_ns);
        let completion_ns = handled.ended_ns.checked_sub(planned_ns);
        if completes && completion_ns.is_none() {
            self.negative += 1;
        }
        let planned = u64::try_from(handled.planned.as_nanos()).unwrap_or(u64::MAX);
        for state in &mut self.spans {
            if !(state.span.start_ns..state.span.end_ns).contains(&planned_ns) {
                continue;
            }
            state.handler.saturating_record(handler_ns);
            state.planned.saturating_record(planned);
            if completes {
                state.completed += 1;
                if let Some(completion_ns) = completion_ns {
                    state.completion.saturating_record(completion_ns);
                }
            }
        }
    }

    /// Counts an order that was turned away before any work: it was delivered to no handler.
    pub fn shed(&mut self, stamp: Option<&Stamp>) {
        match stamp {
            Some(stamp) if self.id != Some(stamp.run) => self.foreign += 1,
            _ => self.shed += 1,
        }
    }

    /// Counts a request that never became an order.
    pub fn reject(&mut self, what: &str) {
        count(&mut self.malformed, what);
    }

    /// The cheap figures; what concerns the process and not the run is left zero.
    pub fn progress(&self) -> Progress {
        Progress {
            delivered: self.ledger.delivered() + self.plant.as_ref().map_or(0, Plant::held),
            completed: self.completed,
            ..Progress::default()
        }
    }

    /// Ends planted faults that are still pending; what was planted, if anything was to be.
    pub fn settle(&mut self) -> Option<Planted> {
        let plant = self.plant.as_mut()?;
        Some(plant.settle(&mut self.ledger))
    }

    /// The whole account, encoded. Costs milliseconds: call it on a copy, outside the lock.
    pub fn account(self, progress: Progress) -> Account {
        let spans: Vec<SpanAccount> = self
            .spans
            .iter()
            .map(|state| SpanAccount {
                name: state.span.name.clone(),
                completed: state.completed,
                completion: portable(&state.completion),
                handler: portable(&state.handler),
                planned: portable(&state.planned),
            })
            .collect();
        Account {
            run: self.id.unwrap_or(0),
            progress,
            ledger: self.ledger.to_json(),
            handler: match spans.first() {
                Some(window) => window.handler.clone(),
                None => portable(&histogram()),
            },
            planned_handler: match spans.first() {
                Some(window) => window.planned.clone(),
                None => portable(&histogram()),
            },
            spans,
            completed_in_window: self.completed_in_window,
            negative: self.negative,
            unstamped: self.unstamped,
            foreign: self.foreign,
            refused: self.refused,
            malformed: self.malformed,
            failed: self.failed,
            shed: self.shed,
            redelivered: self.redelivered,
            completed_bins: self.completed_bins,
            effects: self.effects,
            expired: self.expired,
            recovered: self.recovered,
            // What the run doesn't know is the service's to fill in.
            hops: BTreeMap::new(),
            catalog: 0,
            planted: None,
        }
    }
}
