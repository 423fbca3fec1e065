//! The engine on virtual time: planted latencies must come back exactly, whatever the machine does meanwhile.

use super::*;
use std::cell::Cell;
use std::rc::Rc;
use tokio::time::Instant;

thread_local! {
    static BASE: Instant = Instant::now();
}

/// Tokio's paused clock. It advances in whole milliseconds, so the tests plan in those.
struct Virtual;

impl Clock for Virtual {
    fn now_ns() -> u64 {
        BASE.with(|base| Instant::now().duration_since(*base).as_nanos() as u64)
    }

    fn thread_cpu_ns() -> u64 {
        0
    }

    fn spun_ns(&self) -> u64 {
        0
    }

    async fn until(&mut self, at_ns: u64) {
        let base = BASE.with(|base| *base);
        tokio::time::sleep_until(base + Duration::from_nanos(at_ns)).await;
    }
}

fn acknowledged(sent_ns: u64) -> Outcome {
    Outcome {
        sent_ns: Some(sent_ns),
        ending: Ending::Acknowledged,
        body_out: 10,
        body_in: 3,
    }
}

fn load(mode: Mode, stop: Stop) -> Load {
    Load {
        mode,
        stop,
        max_in_flight: 10_000,
        grace: Duration::from_secs(10),
        spans: Vec::new(),
        share: Share::WHOLE,
    }
}

fn virtually<T>(body: impl AsyncFnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(body())
}

fn run_virtually<F, Fut>(load: &Load, issue: F) -> Record
where
    F: Fn(Operation) -> Fut + 'static,
    Fut: Future<Output = Outcome> + 'static,
{
    virtually(async || {
        Virtual::now_ns();
        let start = Virtual::now_ns() + 5_000_000;
        run(load, &mut Virtual, start, issue, || ()).await
    })
}

async fn works_for(ms: u64) -> Outcome {
    let sent = Virtual::now_ns();
    tokio::time::sleep(Duration::from_millis(ms)).await;
    acknowledged(sent)
}

const MS: u64 = 1_000_000;

/// Whether a histogram's value stands for `ns` (three significant digits).
fn is(value: u64, ns: u64) -> bool {
    value.abs_diff(ns) * 1_000 <= ns
}

#[test]
fn an_open_loop_returns_the_planted_latency_exactly_and_loses_nothing() {
    let record = run_virtually(
        &load(
            Mode::Open(Arrival::constant(100.0)),
            Stop::after(Duration::from_secs(2)),
        ),
        |_| works_for(50),
    );
    let window = record.window();
    assert_eq!(window.planned, 200);
    assert_eq!(window.accept.len(), 200);
    assert!(is(window.accept.min(), 50 * MS) && is(window.accept.max(), 50 * MS));
    assert!(is(window.service.max(), 50 * MS));
    assert_eq!(record.lateness.max(), 1, "released at the planned instant");
    assert_eq!(record.open_at_end, 5, "50 ms at 100/s are five in flight");
    assert_eq!((record.body_out, record.body_in), (2_000, 600));
    assert!(record.drained);
}

#[test]
fn a_stall_is_charged_to_every_operation_that_was_due_meanwhile() {
    // Due every 10 ms, one at a time; the first takes a second. Without the planned instant as the start, nine in
    // ten of the operations would look as if nothing had happened.
    let load = Load {
        max_in_flight: 1,
        ..load(
            Mode::Open(Arrival::constant(100.0)),
            Stop::after(Duration::from_secs(1)),
        )
    };
    let record = run_virtually(&load, |operation| {
        works_for(if operation.sequence == 0 { 1_000 } else { 1 })
    });
    let window = record.window();
    assert_eq!(
        window.accept.len(),
        100,
        "operations wait in order, none is dropped"
    );
    assert!(is(window.accept.max(), 1_000 * MS));
    assert!(
        window.accept.value_at_quantile(0.5) > 500 * MS,
        "coordinated omission would hide this"
    );
    assert!(
        is(window.service.value_at_quantile(0.9), MS),
        "service time tells the other story"
    );
    assert_eq!(record.lateness.max(), 1, "the pacer itself was never late");
    assert!(
        record.backpressure.max() > 900 * MS,
        "what waited for room shows apart"
    );
}

#[test]
fn a_closed_loop_keeps_its_callers_busy_and_obeys_littles_law() {
    let mode = Mode::Closed {
        callers: 4,
        think: Duration::ZERO,
    };
    let record = run_virtually(&load(mode, Stop::after(Duration::from_secs(1))), |_| {
        works_for(10)
    });
    assert_eq!(record.window().planned, 400);
    assert!(is(record.window().accept.max(), 10 * MS));
    assert!(record.accepted_in_window <= 400 && record.accepted_in_window >= 396);
}

#[test]
fn think_time_is_no_part_of_a_latency() {
    let mode = Mode::Closed {
        callers: 1,
        think: Duration::from_millis(40),
    };
    let record = run_virtually(&load(mode, Stop::after(Duration::from_secs(1))), |_| {
        works_for(10)
    });
    assert_eq!(record.window().planned, 20);
    assert!(is(record.window().accept.max(), 10 * MS));
}

#[test]
fn a_count_stops_both_kinds_of_loop_at_exactly_that_many() {
    for mode in [
        Mode::Open(Arrival::poisson(1_000.0, 1)),
        Mode::Closed {
            callers: 7,
            think: Duration::ZERO,
        },
    ] {
        let record = run_virtually(&load(mode, Stop::count(1_000)), |_| works_for(3));
        assert_eq!(record.ledgers[0].attempted, 1_000);
        assert_eq!(record.ledgers[0].acknowledged.len(), 1_000);
    }
}

#[test]
fn what_is_open_after_the_grace_is_counted_as_open_and_censored() {
    let load = Load {
        grace: Duration::from_secs(1),
        ..load(
            Mode::Open(Arrival::constant(10.0)),
            Stop::after(Duration::from_secs(1)),
        )
    };
    let record = run_virtually(&load, |operation| {
        works_for(if operation.sequence < 3 { 3_600_000 } else { 5 })
    });
    assert!(!record.drained);
    assert_eq!(record.ledgers[0].open, 3);
    assert_eq!(record.window().censored(), 3);
    assert_eq!(record.ledgers[0].acknowledged.len(), 7);
}

#[test]
fn every_ending_lands_in_its_own_column_and_the_identity_holds() {
    let record = run_virtually(
        &load(Mode::Open(Arrival::constant(1_000.0)), Stop::count(100)),
        |operation| async move {
            let ending = match operation.sequence % 5 {
                0 => Ending::Refused,
                1 => Ending::Failed { by_service: true },
                2 => Ending::Failed { by_service: false },
                3 => Ending::TimedOut,
                _ => Ending::Acknowledged,
            };
            Outcome {
                ending,
                ..acknowledged(operation.planned_ns)
            }
        },
    );
    let ledger = &record.ledgers[0];
    assert_eq!(
        (ledger.refused, ledger.failed, ledger.timed_out, ledger.open),
        (20, 40, 20, 0)
    );
    assert_eq!(
        ledger.acknowledged.len() + ledger.refused + ledger.failed + ledger.timed_out + ledger.open,
        ledger.attempted
    );
    assert_eq!(
        ledger.rejected.len(),
        40,
        "refusals and the service's own failures are answers of the service"
    );
    assert_eq!(
        record.window().censored(),
        60,
        "errors and timeouts rank above every answer"
    );
}

#[test]
fn threads_share_the_arrivals_without_gap_or_overlap() {
    let planned = Rc::new(Cell::new(0));
    let mut instants = Vec::new();
    for index in 0..3 {
        let load = Load {
            share: Share { index, of: 3 },
            ..load(
                Mode::Open(Arrival::poisson(500.0, 9)),
                Stop::after(Duration::from_secs(1)),
            )
        };
        let seen = Rc::new(std::cell::RefCell::new(Vec::new()));
        let into = seen.clone();
        let record = run_virtually(&load, move |operation| {
            into.borrow_mut().push(operation.planned_ns);
            works_for(1)
        });
        planned.set(planned.get() + record.window().planned);
        instants.extend(seen.borrow().iter().map(|at| at - record.start_ns));
    }
    instants.sort_unstable();
    let whole: Vec<u64> = Arrival::poisson(500.0, 9)
        .offsets()
        .take_while(|at| *at < 1_000_000_000)
        .collect();
    assert_eq!(instants, whole);
}

#[test]
fn spans_hold_what_was_planned_in_them() {
    let spans = vec![
        SpanPlan {
            name: "before".into(),
            start: Duration::ZERO,
            end: Duration::from_millis(300),
        },
        SpanPlan {
            name: "slow".into(),
            start: Duration::from_millis(300),
            end: Duration::from_secs(1),
        },
    ];
    let load = Load {
        spans,
        ..load(
            Mode::Open(Arrival::constant(100.0)),
            Stop::after(Duration::from_secs(1)),
        )
    };
    let record = run_virtually(&load, |operation| {
        works_for(if operation.sequence < 30 { 2 } else { 20 })
    });
    assert_eq!(
        record
            .spans
            .iter()
            .map(|span| span.planned)
            .collect::<Vec<_>>(),
        [100, 30, 70]
    );
    assert!(is(record.spans[1].accept.max(), 2 * MS));
    assert!(is(record.spans[2].accept.min(), 20 * MS));
}

/// A load of ten seconds that somebody ends after one; what was seen of it last.
fn halted_after_a_second(mode: Mode) -> (Record, Glance) {
    let load = load(mode, Stop::after(Duration::from_secs(10)));
    let watch = Watch::default();
    let record = virtually(async || {
        let start = Virtual::now_ns() + 5_000_000;
        let asking = watch.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            asking.halt();
        });
        let watched = Some(watch.clone());
        run_watched(
            &load,
            &mut Virtual,
            start,
            |_| works_for(50),
            || (),
            watched,
        )
        .await
    });
    (record, watch.look().expect("a glance was published"))
}

#[test]
fn whoever_looks_on_can_end_the_window_and_loses_no_operation_by_it() {
    let closed = Mode::Closed {
        callers: 5,
        think: Duration::ZERO,
    };
    for mode in [Mode::Open(Arrival::constant(100.0)), closed] {
        let (record, glance) = halted_after_a_second(mode);
        let window = record.window();
        let lasted = Duration::from_nanos(record.end_ns - record.start_ns);
        // It ends with the glance after the wish.
        let latest = Duration::from_secs(1) + live::EVERY + Duration::from_millis(2);
        assert!(
            (Duration::from_millis(990)..=latest).contains(&lasted),
            "{lasted:?}"
        );
        assert!(record.drained);
        assert!((95..=130).contains(&window.planned), "{}", window.planned);
        assert_eq!(window.planned, window.accept.len());
        assert_eq!(record.ledgers[0].attempted, window.planned);
        assert_eq!(record.ledgers[0].open, 0);
        // What was published is what had been recorded by then.
        assert!(glance.planned > 50 && glance.planned <= window.planned);
        assert_eq!(glance.planned, glance.acknowledged + glance.in_flight);
        assert_eq!(glance.accept.len(), glance.acknowledged);
        let p50 = glance.accept.quantile(0.5).unwrap();
        assert!((45 * MS..55 * MS).contains(&p50), "{p50}");
    }
}

#[test]
fn a_load_that_is_looked_at_and_left_alone_records_what_it_would_have() {
    let load = load(
        Mode::Open(Arrival::constant(100.0)),
        Stop::after(Duration::from_secs(2)),
    );
    let alone = run_virtually(&load, |_| works_for(50));
    let watched = virtually(async || {
        let start = Virtual::now_ns() + 5_000_000;
        let watch = Some(Watch::default());
        run_watched(&load, &mut Virtual, start, |_| works_for(50), || (), watch).await
    });
    assert_eq!(watched.window().accept, alone.window().accept);
    assert_eq!(watched.lateness, alone.lateness);
    assert_eq!(watched.open_at_end, alone.open_at_end);
}
