//! What one generator thread remembers of a phase: whole histograms, counts, a bounded time series and the caller's
//! side of the ledger. Flat in run length, merged over threads, never averaged.

use super::live::Glance;
use super::series::Series;
use super::{Ending, Load, Operation, Outcome, SpanPlan};
use bench_proto::CallerLedger;
use bench_stats::Spectrum;
use bench_stats::histogram::new as histogram;
use hdrhistogram::Histogram;

/// When an operation was let go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Released {
    /// When the pacer got to it.
    pub(super) released_ns: u64,
    /// When there was room in flight for it.
    pub(super) admitted_ns: u64,
}

/// Latencies and counts of the operations planned in one span.
#[derive(Clone, Debug)]
pub struct SpanRecord {
    /// Its name and bounds.
    pub plan: SpanPlan,
    /// Operations planned in it.
    pub planned: u64,
    /// Accept latency of those acknowledged or refused, from the planned instant.
    pub accept: Histogram<u64>,
    /// Service time of the same, from the actual send.
    pub service: Histogram<u64>,
    /// Of them, refused.
    pub refused: u64,
    /// Ended in an error.
    pub failed: u64,
    /// Deadline passed.
    pub timed_out: u64,
}

impl SpanRecord {
    fn new(plan: SpanPlan) -> Self {
        Self {
            plan,
            planned: 0,
            accept: histogram(),
            service: histogram(),
            refused: 0,
            failed: 0,
            timed_out: 0,
        }
    }

    /// Operations without an answer: their latency is only known to be above what was waited.
    pub fn censored(&self) -> u64 {
        self.planned - self.accept.len()
    }

    fn holds(&self, offset_ns: u64) -> bool {
        (self.plan.start.as_nanos() as u64..self.plan.end.as_nanos() as u64).contains(&offset_ns)
    }

    fn merge(&mut self, other: &Self) {
        self.planned += other.planned;
        self.accept += &other.accept;
        self.service += &other.service;
        self.refused += other.refused;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
    }
}

/// Everything recorded of one phase on one thread; [`Record::merge`] joins threads.
#[derive(Clone, Debug)]
pub struct Record {
    /// When the phase began, CLOCK_MONOTONIC ns.
    pub start_ns: u64,
    /// When its window ended.
    pub end_ns: u64,
    /// `[0]` is the whole window; then the load's own spans.
    pub spans: Vec<SpanRecord>,
    /// Release − planned.
    pub lateness: Histogram<u64>,
    /// Room in flight − release.
    pub backpressure: Histogram<u64>,
    /// Acknowledged before the window's end.
    pub accepted_in_window: u64,
    /// Released in the window, not ended at its end.
    pub open_at_end: u64,
    /// Samples that came out negative (a clock fault), by none of the histograms.
    pub negative: u64,
    /// Encoded body bytes out and in, over all operations that ended.
    pub body_out: u64,
    /// See `body_out`.
    pub body_in: u64,
    /// The caller's ledger of this thread.
    pub ledgers: Vec<CallerLedger>,
    /// The time series.
    pub series: Series,
    /// Whether everything had ended when the grace was over.
    pub drained: bool,
    /// CPU time of the generator thread in the window; the busiest thread's after a merge.
    pub thread_cpu_ns: u64,
    /// CPU that the pacer's spin cost in the window, over all threads: part of no operation.
    pub spun_ns: u64,
}

impl Record {
    /// Joins another thread's record of the same phase.
    pub fn merge(&mut self, other: Self) {
        self.start_ns = self.start_ns.min(other.start_ns);
        self.end_ns = self.end_ns.max(other.end_ns);
        for (mine, theirs) in self.spans.iter_mut().zip(&other.spans) {
            mine.merge(theirs);
        }
        self.lateness += &other.lateness;
        self.backpressure += &other.backpressure;
        self.accepted_in_window += other.accepted_in_window;
        self.open_at_end += other.open_at_end;
        self.negative += other.negative;
        self.body_out += other.body_out;
        self.body_in += other.body_in;
        self.ledgers.extend(other.ledgers);
        self.series.merge(other.series);
        self.drained &= other.drained;
        self.thread_cpu_ns = self.thread_cpu_ns.max(other.thread_cpu_ns);
        self.spun_ns += other.spun_ns;
    }

    /// The whole window.
    pub fn window(&self) -> &SpanRecord {
        &self.spans[0]
    }

    /// Operations that ended, however they did.
    pub fn ended(&self) -> u64 {
        let window = self.window();
        window.accept.len() + window.failed + window.timed_out
    }
}

pub(super) struct Recorder {
    record: Record,
    in_flight: u64,
    ledger: CallerLedger,
    thread_cpu_at_start: u64,
    window_open: bool,
}

impl Recorder {
    pub(super) fn new(load: &Load, start_ns: u64) -> Self {
        let whole = SpanPlan {
            name: "measured".into(),
            start: std::time::Duration::ZERO,
            end: std::time::Duration::from_nanos(u64::MAX),
        };
        let spans = std::iter::once(whole)
            .chain(load.spans.iter().cloned())
            .map(SpanRecord::new)
            .collect();
        Self {
            record: Record {
                start_ns,
                end_ns: start_ns,
                spans,
                lateness: histogram(),
                backpressure: histogram(),
                accepted_in_window: 0,
                open_at_end: 0,
                negative: 0,
                body_out: 0,
                body_in: 0,
                ledgers: Vec::new(),
                series: Series::for_window(load.stop.time),
                drained: false,
                thread_cpu_ns: 0,
                spun_ns: 0,
            },
            in_flight: 0,
            ledger: CallerLedger::default(),
            thread_cpu_at_start: 0,
            window_open: true,
        }
    }

    pub(super) fn started(&mut self, thread_cpu_ns: u64) {
        self.thread_cpu_at_start = thread_cpu_ns;
    }

    /// The window so far, for whoever looks on.
    pub(super) fn glance(&self, at_ns: u64) -> Glance {
        let window = self.record.window();
        Glance {
            start_ns: self.record.start_ns,
            at_ns,
            planned: window.planned,
            acknowledged: window.accept.len().saturating_sub(window.refused),
            refused: window.refused,
            failed: window.failed,
            timed_out: window.timed_out,
            in_flight: self.in_flight,
            draining: !self.window_open,
            accept: Spectrum::of(&window.accept),
        }
    }

    pub(super) fn planned(&mut self, planned_ns: u64) {
        let offset = planned_ns.saturating_sub(self.record.start_ns);
        for span in self
            .record
            .spans
            .iter_mut()
            .filter(|span| span.holds(offset))
        {
            span.planned += 1;
        }
        self.in_flight += 1;
        self.record.series.planned(offset, self.in_flight);
    }

    pub(super) fn ended(
        &mut self,
        operation: Operation,
        released: Released,
        outcome: Outcome,
        now_ns: u64,
    ) {
        let record = &mut self.record;
        let start = record.start_ns;
        let offset = operation.planned_ns.saturating_sub(start);
        let accept = now_ns.checked_sub(operation.planned_ns);
        let service = outcome.sent_ns.map(|sent| now_ns.checked_sub(sent));
        let lateness = released.released_ns.checked_sub(operation.planned_ns);
        record.negative += [Some(accept), service, Some(lateness)]
            .iter()
            .filter(|sample| **sample == Some(None))
            .count() as u64;
        let note = |histogram: &mut Histogram<u64>, sample: Option<u64>| {
            if let Some(sample) = sample {
                histogram.saturating_record(sample.max(1));
            }
        };
        note(&mut record.lateness, lateness);
        note(
            &mut record.backpressure,
            released.admitted_ns.checked_sub(released.released_ns),
        );
        record.body_out += outcome.body_out as u64;
        record.body_in += outcome.body_in as u64;
        if let Some(sent) = outcome.sent_ns {
            record.series.sent(sent.saturating_sub(start));
        }
        for span in record.spans.iter_mut().filter(|span| span.holds(offset)) {
            match outcome.ending {
                Ending::Acknowledged | Ending::Refused => {
                    note(&mut span.accept, accept);
                    note(&mut span.service, service.flatten());
                    span.refused += u64::from(outcome.ending == Ending::Refused);
                }
                Ending::Failed { .. } => span.failed += 1,
                Ending::TimedOut => span.timed_out += 1,
            }
        }
        record
            .series
            .ended(now_ns.saturating_sub(start), accept.unwrap_or(0));
        match outcome.ending {
            Ending::Acknowledged => {
                self.ledger.acknowledged.insert(operation.sequence);
                record.accepted_in_window += u64::from(self.window_open);
                record
                    .series
                    .accepted(now_ns.saturating_sub(start), offset, accept.unwrap_or(0));
            }
            Ending::Refused => {
                self.ledger.rejected.insert(operation.sequence);
                self.ledger.refused += 1;
                record.series.errors(now_ns.saturating_sub(start));
            }
            Ending::Failed { by_service } => {
                if by_service {
                    self.ledger.rejected.insert(operation.sequence);
                }
                self.ledger.failed += 1;
                record.series.errors(now_ns.saturating_sub(start));
            }
            Ending::TimedOut => {
                self.ledger.timed_out += 1;
                record.series.errors(now_ns.saturating_sub(start));
            }
        }
        self.in_flight -= 1;
    }

    pub(super) fn window_ended(&mut self, end_ns: u64, thread_cpu_ns: u64) {
        self.record.end_ns = end_ns;
        self.record.open_at_end = self.in_flight;
        self.record.thread_cpu_ns = thread_cpu_ns.saturating_sub(self.thread_cpu_at_start);
        self.window_open = false;
    }

    pub(super) fn finish(mut self, attempted: u64, drained: bool, spun_ns: u64) -> Record {
        self.ledger.attempted = attempted;
        self.ledger.open = self.in_flight;
        self.record.drained = drained;
        self.record.spun_ns = spun_ns;
        self.record.ledgers = vec![self.ledger];
        self.record
    }
}
