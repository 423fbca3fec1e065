//! The one order handler behind every listener: it waits for a worker, works as slowly as it was told, validates, calls
//! the next hops, journals, and enters what happened into the run. It knows no transport.

use crate::hops::Hops;
use crate::journal::Journal;
use crate::plant::Spec;
use crate::run::{Ending, Handled, Run};
use crate::workers::Workers;
use bench_host::clock::{after, now_ns};
use bench_host::timer::PreciseTimer;
use bench_proto::burden;
use bench_proto::control::{Account, Progress, Reset};
use bench_proto::format::Answer;
use bench_proto::slowness::{Planned, Slowness};
use bench_proto::validate::validate;
use bench_proto::{Durability, Format, Message};
use bench_transport::{Origin, Reply, Service};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

/// What the service is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// How slow it is until it is told otherwise.
    pub slowness: Slowness,
    /// How many orders are worked on at once where the slowness doesn't say.
    pub workers: Option<usize>,
    /// How many orders may wait for a worker; one more is turned away at once. None: as many as come.
    pub max_waiting: Option<usize>,
    /// What the slowness is drawn from: equal seeds give equal plans.
    pub seed: u64,
    /// What an answered order survives.
    pub durability: Durability,
    /// Where the journal is kept, for the classes that keep one.
    pub journal: PathBuf,
    /// A second delivery of a stamped order is answered without being worked on again.
    pub idempotent: bool,
    /// The services that are called for each order.
    pub hops: Option<Hops>,
    /// Faults planted into the ledger, for tests of the balance.
    pub plant: Option<Spec>,
}

/// The service. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct OrderService {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    workers: Workers,
    in_force: RwLock<InForce>,
    run: Mutex<Run>,
    in_service: AtomicU64,
    /// Times that the catalogue was handed out in this run.
    catalog: AtomicU64,
    /// Numbers the orders that carry no Stamp, so that slowness has a sequence to draw from.
    unstamped: AtomicU64,
    timer: PreciseTimer,
    journal: Option<Journal>,
}

/// The slowness of this moment, and the instant that its phases count from.
struct InForce {
    slowness: Slowness,
    start_ns: u64,
}

/// Counts one order from its arrival until it is recorded, however its handling ends.
struct InService<'a>(&'a AtomicU64);

impl<'a> InService<'a> {
    fn enter(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InService<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl OrderService {
    /// Starts the service on the current tokio runtime; opens the journal if there is to be one.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let journal = Journal::open(&options.journal, options.durability).map_err(|error| {
            anyhow::anyhow!(
                "the journal in {} could not be opened: {error}; give a folder that can be written with --journal",
                options.journal.display()
            )
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                workers: Workers::new(options.slowness.workers().or(options.workers)),
                in_force: RwLock::new(InForce {
                    slowness: options.slowness.clone(),
                    start_ns: now_ns(),
                }),
                run: Mutex::new(Run::none()),
                in_service: AtomicU64::new(0),
                catalog: AtomicU64::new(0),
                unstamped: AtomicU64::new(0),
                timer: PreciseTimer::start()?,
                journal,
                options,
            }),
        })
    }

    /// Forgets the last run and expects this one; spans have been checked. Keeps the slowness if none is given.
    pub fn reset(&self, reset: &Reset, slowness: Option<Slowness>) {
        let fresh = Run::new(reset, self.inner.options.plant);
        burden::forget();
        if let Some(slowness) = slowness {
            self.slow(slowness);
        }
        self.inner.in_force.write().expect(UNPOISONED).start_ns = reset.start_ns;
        self.inner.unstamped.store(0, Ordering::Relaxed);
        self.inner.catalog.store(0, Ordering::Relaxed);
        if let Some(hops) = &self.inner.options.hops {
            hops.reset();
        }
        let last = std::mem::replace(&mut *self.inner.run(), fresh);
        // Freed here, after the lock: histograms and bitmaps of a long run are megabytes.
        drop(last);
    }

    /// Goes on with a run that an earlier process of this service began; spans have been checked. What the journal says was
    /// answered in it is in the ledger, and has had its effect.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn go_on(&self, reset: &Reset) -> anyhow::Result<()> {
        self.reset(reset, None);
        if let Some(journal) = &self.inner.journal {
            let entries = crate::journal::read(journal.path())?;
            let answered = entries.into_iter().filter_map(|entry| entry.stamp);
            self.inner.run().recover(answered);
        }
        Ok(())
    }

    /// Changes the slowness from the next order on, and the bound on workers with it.
    pub fn slow(&self, slowness: Slowness) {
        let bound = slowness.workers().or(self.inner.options.workers);
        self.inner.in_force.write().expect(UNPOISONED).slowness = slowness;
        self.inner.workers.set(bound);
    }

    /// The cheap figures of the run.
    pub fn progress(&self) -> Progress {
        let progress = self.inner.run().progress();
        self.inner.complete(progress)
    }

    /// Everything about the run, and what was planted if anything was to be. For after the drain: it copies under
    /// the lock and encodes outside.
    pub fn account(&self) -> (Account, Option<crate::plant::Planted>) {
        let mut run = self.inner.run();
        let planted = run.settle();
        let copy = run.clone();
        drop(run);
        let progress = self.inner.complete(copy.progress());
        let hops = self.inner.options.hops.as_ref();
        let account = Account {
            hops: hops.map(Hops::account).unwrap_or_default(),
            catalog: self.inner.catalog.load(Ordering::Relaxed),
            ..copy.account(progress)
        };
        (account, planted)
    }

    /// The slowness in force, in its own language.
    pub fn slowness(&self) -> String {
        let in_force = self.inner.in_force.read().expect(UNPOISONED);
        in_force.slowness.to_string()
    }

    /// How many orders are asleep in their planned time right now.
    pub fn sleeping(&self) -> usize {
        self.inner.timer.sleeping()
    }

    /// Where the journal is, or `none`.
    pub fn journal(&self) -> String {
        match &self.inner.journal {
            Some(journal) => journal.path().display().to_string(),
            None => "none".into(),
        }
    }

    /// The bound on workers in force.
    pub fn workers(&self) -> Option<usize> {
        self.inner.workers.bound()
    }
}

const UNPOISONED: &str = "no holder of this lock panics";

impl Inner {
    fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().expect(UNPOISONED)
    }

    fn complete(&self, progress: Progress) -> Progress {
        Progress {
            in_service: self.in_service.load(Ordering::Acquire),
            now_ns: now_ns(),
            cpu_ns: bench_host::cpu::own_cpu_ns(),
            ..progress
        }
    }

    /// What the slowness of this moment asks of one order.
    fn plan(&self, origin: &Origin, began_ns: u64) -> Planned {
        // Producers count from 0 each: their seeds are spread, so that they don't draw the same delays in step.
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let (producer, sequence) = match origin.stamp {
            Some(stamp) => (u64::from(stamp.producer), stamp.sequence),
            None => (0, self.unstamped.fetch_add(1, Ordering::Relaxed)),
        };
        let seed = self
            .options
            .seed
            .wrapping_add(producer.wrapping_mul(SPREAD));
        let in_force = self.in_force.read().expect(UNPOISONED);
        let since_start = began_ns.saturating_sub(in_force.start_ns);
        let since_start = std::time::Duration::from_nanos(since_start);
        in_force.slowness.plan(seed, sequence, since_start)
    }

    async fn handle(&self, message: Message, origin: Origin) -> Reply {
        // Dropped last: who sees nothing in service sees everything recorded.
        let _in_service = InService::enter(&self.in_service);
        let most = self.options.max_waiting.unwrap_or(usize::MAX);
        let Some(_worker) = self.workers.take_unless(most).await else {
            self.run().shed(origin.stamp.as_ref());
            return Reply::Overloaded(format!(
                "{most} orders wait for a worker already, as many as may; come again in a moment"
            ));
        };
        let began_ns = now_ns();
        if origin.deadline_ns.is_some_and(|at_ns| at_ns <= began_ns) {
            self.run().expire(origin.stamp.as_ref());
            let sentence =
                "the order's deadline had passed before a worker was free, so it was not started";
            return Reply::Failed(sentence.into());
        }
        let idempotent = self.options.idempotent;
        // Its effect is there already: it costs a worker and no work.
        let known = idempotent
            && origin
                .stamp
                .is_some_and(|stamp| self.run().has_done(&stamp));
        let planned = if known {
            Planned::default()
        } else {
            self.plan(&origin, began_ns)
        };
        if !planned.time.is_zero() {
            let until_ns = after(began_ns, planned.time);
            self.timer.sleep_until_ns(until_ns).await;
        }
        if !planned.spin.is_zero() {
            let until_ns = after(now_ns(), planned.spin);
            while now_ns() < until_ns {
                std::hint::spin_loop();
            }
        }
        let key = key_of(&message);
        let hops = self.options.hops.as_ref().filter(|_| !known);
        // Boxed, as is the call: an order without next hops carries no room for them.
        let parcel = hops.map(|hops| (hops, Box::new(hops.pack(&message))));
        let (mut reply, mut ending) = work(message, planned.fails);
        let mut away_ns = 0;
        if let Some((hops, parcel)) = parcel
            && matches!(reply, Reply::Done(_))
        {
            let left_ns = now_ns();
            let called = Box::pin(hops.call(parcel, origin.stamp, origin.deadline_ns)).await;
            away_ns = now_ns() - left_ns;
            if let Err(reason) = called {
                reply = Reply::Failed(reason);
                ending = Ending::Failed;
            }
        }
        let journal = self.journal.as_ref().filter(|_| !known);
        if let (Some(journal), Reply::Done(answer)) = (journal, &reply) {
            let bytes = answer.encode(Format::Protobuf);
            let durable = match journal.append(origin.stamp.as_ref(), &bytes) {
                Ok(appended) => appended.durable().await,
                Err(_) => false,
            };
            if !durable {
                let reason = journal.broken();
                reply = Reply::Failed(reason.unwrap_or_else(|| "the journal has ended".into()));
                ending = Ending::Failed;
            }
        }
        let handled = Handled {
            stamp: origin.stamp,
            redelivered: origin.redelivered,
            key,
            began_ns,
            ended_ns: now_ns(),
            away_ns,
            planned: planned.total(),
            ending,
            idempotent,
        };
        self.run().record(&handled);
        reply
    }
}

/// The work itself: an order is validated and answered with its receipt, a blob is echoed.
fn work(message: Message, fails: bool) -> (Reply, Ending) {
    let answer = match message {
        Message::Order(order) => match validate(&order) {
            Ok(receipt) => Answer::Receipt(receipt),
            Err(refusal) => {
                let ending = Ending::Refused(refusal.name());
                return (Reply::Refused(refusal.to_string()), ending);
            }
        },
        Message::Blob(blob) => Answer::Blob(blob),
    };
    if fails {
        let sentence = "this order failed because the slowness in force says so";
        return (Reply::Failed(sentence.into()), Ending::Failed);
    }
    (Reply::Done(answer), Ending::Done)
}

/// Orders of one user are the ones whose sequence matters; a blob has no user.
fn key_of(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    match message {
        Message::Order(order) => order.user_id.hash(&mut hasher),
        Message::Blob(_) => "".hash(&mut hasher),
    }
    hasher.finish()
}

impl Service for OrderService {
    fn handle(
        &self,
        message: Message,
        origin: Origin,
    ) -> impl Future<Output = Reply> + Send + 'static {
        let inner = self.inner.clone();
        async move { inner.handle(message, origin).await }
    }

    fn rejected(&self, what: &str) {
        self.inner.run().reject(what);
    }

    /// It waits for a worker in the line of the orders, and holds it for no time. Over HTTP/2 whoever gives up leaves the line.
    fn catalog(&self) -> impl Future<Output = ()> + Send + 'static {
        let inner = self.inner.clone();
        async move {
            let _worker = inner.workers.take().await;
            inner.catalog.fetch_add(1, Ordering::Relaxed);
        }
    }
}
