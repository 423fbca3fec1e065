//! The serving end of a hop: the one service behind every listener, and a handler's way to its end.

use bench_proto::format::Answer;
use bench_proto::{Message, Stamp};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use tokio_util::task::TaskTracker;

/// What a listener tells the service about a request beside its message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// The Stamp, if there was one.
    pub stamp: Option<Stamp>,
    /// The broker flagged it as redelivered.
    pub redelivered: bool,
    /// Its caller waits until then and no longer, CLOCK_MONOTONIC ns; none where the caller didn't say.
    pub deadline_ns: Option<u64>,
}

/// What the service answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Worked on.
    Done(Answer),
    /// Refused by validation: 422, InvalidArgument, dead letter.
    Refused(String),
    /// Failed: 500, Internal, dead letter.
    Failed(String),
    /// Turned away before any work because too many wait already: 503 with Retry-After, ResourceExhausted, dead letter.
    Overloaded(String),
}

/// The one service behind every listener.
pub trait Service: Clone + Send + Sync + 'static {
    /// Works on one request.
    fn handle(
        &self,
        message: Message,
        origin: Origin,
    ) -> impl Future<Output = Reply> + Send + 'static;

    /// Counts a request that never became a message: `what` is a short stable name such as `rest malformed`.
    fn rejected(&self, what: &str);

    /// What the service does before it hands out the catalogue, which is no order: nothing, unless it says otherwise.
    fn catalog(&self) -> impl Future<Output = ()> + Send + 'static {
        std::future::ready(())
    }
}

/// A running listener.
#[derive(Debug)]
pub struct Listener {
    /// Where it can be reached: `host:port`, or the broker's address without its password.
    pub address: String,
    /// Settings in force, read back where they can be, by name.
    pub in_force: BTreeMap<String, String>,
    stop: tokio::sync::watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    /// What goes when `task` is dropped, each in its own time.
    consumers: TaskTracker,
}

impl Listener {
    /// Assembles a listener from its parts: `task` ends, everything accepted finished, after `stop` turned true.
    pub fn new(
        address: String,
        in_force: BTreeMap<String, String>,
        stop: tokio::sync::watch::Sender<bool>,
        task: tokio::task::JoinHandle<()>,
    ) -> Self {
        Self {
            address,
            in_force,
            stop,
            task,
            consumers: TaskTracker::new(),
        }
    }

    /// An abort waits for these too: what `task` owns ends with it, but not at the same instant.
    pub(crate) fn with_consumers(self, consumers: TaskTracker) -> Self {
        Self { consumers, ..self }
    }

    /// Stops accepting, finishes what was accepted, and returns.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }

    /// Drops the listener where it stands, as a crash would: nothing more is finished or acknowledged. Returns when a
    /// broker's consumers are gone, with what they had in work.
    pub async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
        self.consumers.close();
        self.consumers.wait().await;
    }
}

/// A handler that was started: done at once, or running on as a task of its own.
#[derive(Debug)]
pub enum Started<T> {
    /// It was done at its first step and cost no task (none if it panicked).
    Done(Option<T>),
    /// It goes on whether or not anybody waits.
    Running(tokio::task::JoinHandle<T>),
}

impl<T> Started<T> {
    /// Waits for the handler's end; none if it panicked.
    pub async fn end(self) -> Option<T> {
        match self {
            Self::Done(reply) => reply,
            Self::Running(task) => task.await.ok(),
        }
    }
}

/// Starts a handler that will run to its end even if the caller goes away: what the service accepted, it
/// finishes, on every transport alike. A handler that is done at once costs no task.
pub async fn start<F>(handler: F) -> Started<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let mut handler = Box::pin(handler);
    let first = poll_fn(|context| {
        // A panic stays inside its own order, exactly as it would in a task.
        let step = AssertUnwindSafe(|| handler.as_mut().poll(context));
        Poll::Ready(match catch_unwind(step) {
            Ok(Poll::Ready(reply)) => Some(Some(reply)),
            Ok(Poll::Pending) => None,
            Err(_) => Some(None),
        })
    })
    .await;
    match first {
        Some(reply) => Started::Done(reply),
        None => Started::Running(tokio::spawn(handler)),
    }
}

/// [`start`], and wait for the end; none if the handler panicked.
pub async fn finish<F>(handler: F) -> Option<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    start(handler).await.end().await
}
