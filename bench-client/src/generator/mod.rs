//! A generator thread: its own runtime, its own connections, its own recorder. It warms up, waits for the word to go,
//! runs the load and hands over its record. It knows nothing of processes, files or verdicts.

mod orders;
mod probe;

use crate::cell::Cell;
use crate::fault::Seen;
use crate::load::{self, Arrival, Clock, HostClock, Load, Mode, Record, Share, Stop, Watch};
use anyhow::Context;
use bench_host::place::Cpus;
use bench_transport::{Caller, Counters, Settings, Transport, grpc, queue, rest, stream, tcp};
use futures_util::future::{AbortHandle, AbortRegistration, Abortable};
use orders::{Orders, place};
use probe::Probe;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot};

/// What the thread needs to know.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// What to do.
    pub cell: Cell,
    /// Where and how to connect.
    pub settings: Settings,
    /// Where and how the catalogue is asked for, where the cell has a probe; the first thread does.
    pub probe: Option<Settings>,
    /// The run id that warm-up operations are stamped with.
    pub warmup_run: u64,
    /// The run id of the measured operations.
    pub run: u64,
    /// Seed of the corpus.
    pub seed: u64,
    /// Which thread it is.
    pub share: Share,
    /// CPUs to pin the thread to; everywhere if none.
    pub cpus: Option<Cpus>,
    /// Who looks on while it measures, if anybody does.
    pub watch: Option<Watch>,
}

/// What the thread tells, in this order.
#[derive(Debug)]
pub enum Signal {
    /// Connected and warmed up, everything of it ended.
    Warm {
        /// Settings in force.
        in_force: BTreeMap<String, String>,
        /// What the warm-up recorded, to be balanced and thrown away.
        record: Box<Record>,
    },
    /// The window is over, the drain begins.
    WindowEnded,
    /// The drain is over.
    Finished {
        /// What was recorded.
        record: Box<Record>,
        /// What was recorded of the probe, by the thread that has it.
        probe: Option<Box<Record>>,
        /// What happened on the wire.
        counters: Counters,
        /// Answers that were not what the order asks for, and the first of them.
        wrong: (u64, Option<String>),
        /// Why operations failed, by name: how often, and the first one's sentence.
        failures: BTreeMap<String, (u64, String)>,
        /// Every error with its times, where the cell has faults.
        seen: Vec<Seen>,
    },
}

/// A running thread.
#[derive(Debug)]
pub struct Generator {
    signals: mpsc::UnboundedReceiver<Signal>,
    go: Option<oneshot::Sender<u64>>,
    release: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<anyhow::Result<()>>,
    /// After the thread's end it does nothing: [`Generator::end`] keeps it until then.
    _abandon: Abandon,
}

/// Whoever drops a generator that still runs lets it end where it is.
#[derive(Debug)]
struct Abandon(AbortHandle);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Threads that have not ended yet.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// A thread that runs until this is dropped.
struct Running;

impl Running {
    fn begin() -> Self {
        RUNNING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Release);
    }
}

/// Waits until every generator of this process has ended: then none connects, publishes or declares anything.
pub async fn all_ended() {
    while RUNNING.load(Ordering::Acquire) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

impl Generator {
    /// Starts the thread; it connects and warms up.
    pub fn start(assignment: Assignment) -> anyhow::Result<Self> {
        let (tell, signals) = mpsc::unbounded_channel();
        let (go, told) = oneshot::channel();
        let (release, released) = oneshot::channel();
        let (abandon, abandoned) = AbortHandle::new_pair();
        let running = Running::begin();
        let thread = std::thread::Builder::new()
            .name(format!("generator-{}", assignment.share.index))
            .spawn(move || {
                let _running = running;
                dispatch(assignment, tell, told, released, abandoned)
            })
            .context("no thread for the generator")?;
        Ok(Self {
            signals,
            go: Some(go),
            release,
            thread,
            _abandon: Abandon(abandon),
        })
    }

    /// Its next signal; if it ended instead, why.
    pub async fn signal(&mut self) -> anyhow::Result<Signal> {
        match self.signals.recv().await {
            Some(signal) => Ok(signal),
            None => anyhow::bail!("the generator thread ended early"),
        }
    }

    /// Lets the measured window begin at this instant.
    pub fn go(&mut self, start_ns: u64) {
        if let Some(go) = self.go.take() {
            let _ = go.send(start_ns);
        }
    }

    /// Lets it close its connections, and waits for its end.
    pub async fn end(self) -> anyhow::Result<()> {
        drop(self.release);
        drop(self.go);
        let thread = self.thread;
        tokio::task::spawn_blocking(move || thread.join())
            .await?
            .map_err(|_| anyhow::anyhow!("the generator thread panicked"))?
    }
}

/// The one place where a transport's name becomes its type: from here on dispatch is static.
fn dispatch(
    assignment: Assignment,
    tell: mpsc::UnboundedSender<Signal>,
    told: oneshot::Receiver<u64>,
    released: oneshot::Receiver<()>,
    abandoned: AbortRegistration,
) -> anyhow::Result<()> {
    if let Some(cpus) = &assignment.cpus {
        bench_host::place::pin_thread(cpus)?;
    }
    bench_host::timer::minimal_timer_slack()?;
    bench_host::scheduling::hasten()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let settings = assignment.settings.clone();
    let transport = assignment.cell.transport;
    let dispatched = async move {
        match transport {
            Transport::Tcp => {
                generate(
                    tcp::connect(&settings).await?,
                    assignment,
                    tell,
                    told,
                    released,
                )
                .await
            }
            Transport::Rest => {
                generate(
                    rest::connect(&settings).await?,
                    assignment,
                    tell,
                    told,
                    released,
                )
                .await
            }
            Transport::Grpc => {
                generate(
                    grpc::connect(&settings).await?,
                    assignment,
                    tell,
                    told,
                    released,
                )
                .await
            }
            Transport::Queue => {
                generate(
                    queue::connect(&settings).await?,
                    assignment,
                    tell,
                    told,
                    released,
                )
                .await
            }
            Transport::Stream => {
                generate(
                    stream::connect(&settings).await?,
                    assignment,
                    tell,
                    told,
                    released,
                )
                .await
            }
        }
    };
    // One that is abandoned has nobody to tell.
    runtime
        .block_on(Abortable::new(dispatched, abandoned))
        .unwrap_or(Ok(()))
}

async fn generate<C: Caller>(
    caller: C,
    assignment: Assignment,
    tell: mpsc::UnboundedSender<Signal>,
    told: oneshot::Receiver<u64>,
    released: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let Assignment {
        cell,
        warmup_run,
        run,
        seed,
        share,
        watch,
        ..
    } = &assignment;
    let corpus = cell.corpus(caller.format(), *seed);
    let orders = Rc::new(Orders::new(corpus, !cell.faults.is_empty()));
    let issue = |run: u64| {
        let (caller, orders, producer, stamped) =
            (caller.clone(), orders.clone(), share.index, cell.stamped);
        move |operation| {
            place(
                caller.clone(),
                orders.clone(),
                run,
                producer,
                stamped,
                operation,
            )
        }
    };
    let probe = match (&assignment.probe, cell.probe, share.index) {
        (Some(settings), Some(per_second), 0) => Some(Probe::connect(settings, per_second).await?),
        _ => None,
    };
    let mut clock = match &cell.mode {
        Mode::Open(arrival) => HostClock::for_period(arrival.first_period())?,
        Mode::Closed { .. } => HostClock::without_spin()?,
    };

    let warmup = Load {
        mode: warmup_mode(&cell.mode),
        stop: Stop::after(cell.warmup),
        max_in_flight: cell.max_in_flight,
        grace: cell.grace,
        spans: Vec::new(),
        share: *share,
    };
    let now_ns = HostClock::now_ns();
    let (record, warmed) = tokio::join!(
        load::run(&warmup, &mut clock, now_ns, issue(*warmup_run), || ()),
        probe::beside(probe.as_ref(), &warmup, now_ns),
    );
    warmed?;
    let _ = tell.send(Signal::Warm {
        in_force: caller.in_force(),
        record: Box::new(record),
    });
    let Ok(start_ns) = told.await else {
        return Ok(());
    };
    orders.wrong.take();
    orders.failures.take();
    let seen = || orders.seen.as_ref().map(|seen| seen.take());
    seen();
    let before = caller.counters();
    let measured = Load {
        mode: cell.mode.clone(),
        stop: cell.stop,
        spans: cell.phases.clone(),
        ..warmup
    };
    let ended = tell.clone();
    let window_ended = move || {
        let _ = ended.send(Signal::WindowEnded);
    };
    let (record, probed) = tokio::join!(
        load::run_watched(
            &measured,
            &mut clock,
            start_ns,
            issue(*run),
            window_ended,
            watch.clone(),
        ),
        probe::beside(probe.as_ref(), &measured, start_ns),
    );
    let probed = probed?;
    let counters = caller.counters().since(before);
    let (wrong, failures) = (orders.wrong.take(), orders.failures.take());
    let _ = tell.send(Signal::Finished {
        record: Box::new(record),
        probe: probed.map(Box::new),
        counters,
        wrong,
        failures,
        seen: seen().unwrap_or_default(),
    });
    // The connections stay open until the sockets' byte counters have been read.
    let _ = released.await;
    Ok(())
}

/// The warm-up goes at the window's first rate; a trace is not replayed for it.
fn warmup_mode(mode: &Mode) -> Mode {
    match mode {
        Mode::Open(Arrival::Rate { profile, .. }) => {
            Mode::Open(Arrival::constant(profile.rate_at(Duration::ZERO)))
        }
        Mode::Open(Arrival::Trace(_)) => Mode::Closed {
            callers: 1,
            think: Duration::ZERO,
        },
        closed => closed.clone(),
    }
}
