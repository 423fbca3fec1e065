//! Releases operations and records what comes of them. Open and closed loop differ only in what decides the next
//! planned instant; everything after the release is [`Shared::operate`].

use super::live::{self, Watch};
use super::recorder::{Recorder, Released};
use super::slots::Slots;
use super::{Arrival, Clock, Load, Mode, Operation, Outcome, Record};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// A pacer that is behind releases this many operations in a row before it lets their tasks and the I/O run.
const LATE_BURST: u32 = 16;

struct Shared<F> {
    issue: F,
    recorder: RefCell<Recorder>,
    slots: Slots,
    next: Cell<u64>,
    /// Set when the grace is over: what ends later is right-censored and no longer recorded.
    over: Cell<bool>,
    /// Set when whoever looks on wants the window to end: nothing more is released.
    halted: Cell<bool>,
    halt: Notify,
}

/// Runs one phase of load from `start_ns` on, to the end of its drain. Must run on a tokio `LocalRuntime`
/// (or inside a `LocalSet`).
///
/// `window_ended` is called when the last operation of the window has been released and the window's time is up,
/// before the drain: that is when CPU clocks are to be read. Operations still open when the grace ends are counted as
/// open; their tasks end with the runtime.
pub async fn run<C, F, Fut>(
    load: &Load,
    clock: &mut C,
    start_ns: u64,
    issue: F,
    window_ended: impl FnOnce(),
) -> Record
where
    C: Clock + 'static,
    F: Fn(Operation) -> Fut + 'static,
    Fut: Future<Output = Outcome> + 'static,
{
    run_watched(load, clock, start_ns, issue, window_ended, None).await
}

/// [`run`], with somebody who looks on and may end the window early: what is open then is drained as at any other end.
pub async fn run_watched<C, F, Fut>(
    load: &Load,
    clock: &mut C,
    start_ns: u64,
    issue: F,
    window_ended: impl FnOnce(),
    watch: Option<Watch>,
) -> Record
where
    C: Clock + 'static,
    F: Fn(Operation) -> Fut + 'static,
    Fut: Future<Output = Outcome> + 'static,
{
    let limit = match &load.mode {
        Mode::Open(_) => load.max_in_flight,
        Mode::Closed { callers, .. } => *callers,
    };
    let shared = Rc::new(Shared {
        issue,
        recorder: RefCell::new(Recorder::new(load, start_ns)),
        slots: Slots::new(limit),
        next: Cell::new(0),
        over: Cell::new(false),
        halted: Cell::new(false),
        halt: Notify::new(),
    });
    clock.until(start_ns).await;
    let spun_before = clock.spun_ns();
    shared.recorder.borrow_mut().started(C::thread_cpu_ns());
    let watching = watch.map(|watch| {
        tokio::task::spawn_local(look::<C, F>(watch, load.share.index, shared.clone()))
    });
    let released = async {
        match &load.mode {
            Mode::Open(arrival) => release_open(load, arrival, clock, start_ns, &shared).await,
            Mode::Closed { callers, think } => {
                release_closed::<C, F, Fut>(load, *callers, *think, clock, start_ns, &shared).await
            }
        }
    };
    let end_ns = match watching {
        None => released.await,
        Some(_) => tokio::select! {
            biased;
            end_ns = released => end_ns,
            () = shared.halt.notified() => C::now_ns(),
        },
    };
    shared
        .recorder
        .borrow_mut()
        .window_ended(end_ns, C::thread_cpu_ns());
    let spun_ns = clock.spun_ns() - spun_before;
    window_ended();
    let drained = tokio::time::timeout(load.grace, shared.slots.idle())
        .await
        .is_ok();
    shared.over.set(true);
    if let Some(watching) = watching {
        watching.abort();
    }
    let attempted = shared.next.get();
    shared
        .recorder
        .replace(Recorder::new(load, start_ns))
        .finish(attempted, drained, spun_ns)
}

/// Publishes what can be seen, and passes on the wish to end; until it is aborted.
async fn look<C: Clock, F>(watch: Watch, thread: u32, shared: Rc<Shared<F>>) {
    loop {
        // The runtime's own timer of a millisecond is punctual enough to look at.
        tokio::time::sleep(live::EVERY).await;
        if watch.is_halted() && !shared.halted.replace(true) {
            shared.halt.notify_one();
        }
        let glance = shared.recorder.borrow().glance(C::now_ns());
        watch.publish(thread, glance);
    }
}

/// Open loop: the planned instants come from the arrival, and a late release never shifts later ones.
async fn release_open<C, F, Fut>(
    load: &Load,
    arrival: &Arrival,
    clock: &mut C,
    start_ns: u64,
    shared: &Rc<Shared<F>>,
) -> u64
where
    C: Clock + 'static,
    F: Fn(Operation) -> Fut + 'static,
    Fut: Future<Output = Outcome> + 'static,
{
    let mut end_ns = load.stop.time.map(|time| start_ns + time.as_nanos() as u64);
    let mut late = 0;
    // Until when the pacer last waited for room in flight: what fell due meanwhile is not late but held back.
    let mut blocked_until_ns = 0;
    for (index, offset_ns) in arrival.offsets().enumerate() {
        let planned_ns = start_ns + offset_ns;
        if load.stop.is_past(index as u64, offset_ns) {
            end_ns.get_or_insert(planned_ns);
            break;
        }
        if index as u64 % u64::from(load.share.of) != u64::from(load.share.index) {
            continue;
        }
        if planned_ns > C::now_ns() {
            clock.until(planned_ns).await;
            late = 0;
        } else {
            late += 1;
            if late % LATE_BURST == 0 {
                tokio::task::yield_now().await;
            }
        }
        let released_ns = if planned_ns < blocked_until_ns {
            planned_ns
        } else {
            C::now_ns()
        };
        if !shared.slots.try_take() {
            shared.slots.take().await;
            blocked_until_ns = C::now_ns();
        }
        let operation = shared.next_operation(planned_ns);
        let released = Released {
            released_ns,
            admitted_ns: C::now_ns(),
        };
        let shared = shared.clone();
        tokio::task::spawn_local(async move {
            shared.operate::<C, Fut>(operation, released).await;
            shared.slots.give();
        });
    }
    // The window lasts its full time even if the last arrival lies before its end.
    let end_ns = end_ns.unwrap_or_else(C::now_ns);
    clock.until(end_ns).await;
    end_ns
}

/// Closed loop: an operation is planned when its caller is free, so the callee sets the pace.
async fn release_closed<C, F, Fut>(
    load: &Load,
    callers: usize,
    think: Duration,
    clock: &mut C,
    start_ns: u64,
    shared: &Rc<Shared<F>>,
) -> u64
where
    C: Clock + 'static,
    F: Fn(Operation) -> Fut + 'static,
    Fut: Future<Output = Outcome> + 'static,
{
    let running = Rc::new(Slots::new(callers));
    for _ in 0..callers {
        running.take().await;
        let (shared, running, stop, share) =
            (shared.clone(), running.clone(), load.stop, load.share);
        tokio::task::spawn_local(async move {
            loop {
                let planned_ns = C::now_ns();
                let index = shared.next.get() * u64::from(share.of) + u64::from(share.index);
                if shared.halted.get() || stop.is_past(index, planned_ns.saturating_sub(start_ns)) {
                    break;
                }
                shared.slots.take().await;
                let operation = shared.next_operation(planned_ns);
                shared
                    .operate::<C, Fut>(
                        operation,
                        Released {
                            released_ns: planned_ns,
                            admitted_ns: planned_ns,
                        },
                    )
                    .await;
                shared.slots.give();
                // Think time is not a latency: the runtime's own 1 ms timer is precise enough for it.
                if !think.is_zero() {
                    tokio::time::sleep(think).await;
                }
            }
            running.give();
        });
    }
    match load.stop.time {
        Some(time) if load.stop.count.is_none() => {
            let end_ns = start_ns + time.as_nanos() as u64;
            clock.until(end_ns).await;
            end_ns
        }
        // Stopped by count: the window is from the first release to the last answer.
        time => {
            let longest = time.unwrap_or(Duration::MAX.min(Duration::from_secs(86_400)));
            let _ = tokio::time::timeout(longest, running.idle()).await;
            C::now_ns()
        }
    }
}

impl<F> Shared<F> {
    fn next_operation(&self, planned_ns: u64) -> Operation {
        let sequence = self.next.get();
        self.next.set(sequence + 1);
        self.recorder.borrow_mut().planned(planned_ns);
        Operation {
            sequence,
            planned_ns,
        }
    }

    async fn operate<C, Fut>(&self, operation: Operation, released: Released)
    where
        C: Clock,
        F: Fn(Operation) -> Fut,
        Fut: Future<Output = Outcome>,
    {
        let outcome = (self.issue)(operation).await;
        if !self.over.get() {
            self.recorder
                .borrow_mut()
                .ended(operation, released, outcome, C::now_ns());
        }
    }
}
