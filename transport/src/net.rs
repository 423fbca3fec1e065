//! What the transports over TCP share. Here the calling end: dialling, what is counted, and the words of a failure;
//! `lane` opens connections again after a cut, `desk` is the listening end. It knows no protocol.

mod desk;
mod lane;

pub(crate) use desk::{CLOSING_GRACE, Desk, accept, bind, nodelay_in_force, panicked, stopped};
pub(crate) use lane::{Lane, Link};

use crate::tls::{self, Calling, Negotiated, Stream};
use crate::{CallResult, Connecting, Counters, Failure, Settings};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// After a refused attempt, calls fail with its error for so long before the next one: an open loop would
/// otherwise dial once per call for as long as the service is away.
const REDIAL_AFTER: Duration = Duration::from_millis(10);

/// Settings in force, by name.
pub(crate) fn named<const N: usize>(settings: [(&str, String); N]) -> BTreeMap<String, String> {
    settings
        .map(|(name, value)| (name.to_string(), value))
        .into()
}

/// Opens a connection, with Nagle off unless that is left to the system.
async fn dial(target: &str, nagle_left: bool) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target).await?;
    // On loopback a port of the ephemeral range that nobody listens on can connect to itself, and that
    // connection would keep the listener from coming back.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            "nobody listens there (the port answered itself)",
        ));
    }
    if !nagle_left {
        stream.set_nodelay(true)?;
    }
    Ok(stream)
}

/// The failure of a call, or of `connect`, for want of a connection.
pub(crate) fn no_connection(name: &str, target: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure {
        by_service: false,
        name: "connect".into(),
        text: format!(
            "no {name} connection to {target}: {error}; is the service running there (bench-server serve --{name} {target})?"
        ),
    }
}

/// A failure on this side or on the way: the service said nothing.
pub(crate) fn failed_here(name: &str, text: impl Into<String>) -> CallResult {
    CallResult::Failed(Failure {
        by_service: false,
        name: name.into(),
        text: text.into(),
    })
}

/// The failure of a request whose connection broke.
pub(crate) fn closed(error: &hyper::Error) -> Failure {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    Failure {
        by_service: false,
        name: "closed".into(),
        text: format!(
            "the connection was cut before the answer: {error}{}",
            cause.unwrap_or_default()
        ),
    }
}

/// A failure that the service answered with.
pub(crate) fn failed_there(name: impl Into<String>, text: impl Into<String>) -> CallResult {
    CallResult::Failed(Failure {
        by_service: true,
        name: name.into(),
        text: text.into(),
    })
}

/// Connecting comes before the first operation: an operation's own short deadline must not make it fail on a busy machine.
const TO_CONNECT: Duration = Duration::from_secs(5);

/// Opens the first connection of a caller within its deadline, or [`TO_CONNECT`] where that is longer, so that
/// `connect` says soon what is wrong.
pub(crate) async fn within<T>(
    deadline: Duration,
    name: &str,
    target: &str,
    opening: impl Future<Output = Result<T, Failure>>,
) -> anyhow::Result<T> {
    let deadline = deadline.max(TO_CONNECT);
    match tokio::time::timeout(deadline, opening).await {
        Ok(Ok(open)) => Ok(open),
        Ok(Err(failure)) => Err(anyhow::anyhow!(failure.text)),
        Err(_) => Err(anyhow::anyhow!(
            no_connection(name, target, &format!("no answer within {deadline:?}")).text
        )),
    }
}

/// What a caller counts beside its outcomes.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    connects: AtomicU64,
    reconnects: AtomicU64,
    lost: AtomicU64,
    unknown: AtomicU64,
    shared: AtomicU64,
    /// Connections end with their calls: none of them is lost.
    short_lived: bool,
}

impl Meter {
    /// A connection is open: again, if one was lost before.
    pub(crate) fn opened(&self) {
        self.connects.fetch_add(1, Relaxed);
        let lost = |lost: u64| lost.checked_sub(1);
        if self.lost.fetch_update(Relaxed, Relaxed, lost).is_ok() {
            self.reconnects.fetch_add(1, Relaxed);
        }
    }

    /// An open connection was cut, by whomever.
    pub(crate) fn lost(&self) {
        if !self.short_lived {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    /// So many calls ended without anybody knowing what became of them.
    pub(crate) fn unknown(&self, calls: u64) {
        self.unknown.fetch_add(calls, Relaxed);
    }

    /// A request began that operations share.
    pub(crate) fn shared(&self) {
        self.shared.fetch_add(1, Relaxed);
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            connects: self.connects.load(Relaxed),
            reconnects: self.reconnects.load(Relaxed),
            unknown: self.unknown.load(Relaxed),
            shared_requests: self.shared.load(Relaxed),
            ..Counters::default()
        }
    }
}

/// Opens the connections of one caller and counts them.
#[derive(Debug)]
pub(crate) struct Dialer {
    transport: &'static str,
    target: String,
    /// The system's choice about Nagle is left as it is.
    nagle_left: bool,
    tls: Option<Calling>,
    negotiated: Mutex<Option<Negotiated>>,
    nodelay: AtomicBool,
    connecting: Connecting,
    meter: Meter,
    refused: Mutex<Option<(Instant, Failure)>>,
    ended: Mutex<Option<String>>,
}

impl Dialer {
    /// For a transport that speaks this protocol (in the words of ALPN), if it has a name.
    pub(crate) fn new(
        transport: &'static str,
        settings: &Settings,
        protocol: Option<&str>,
    ) -> anyhow::Result<Self> {
        let (target, connecting) = (&settings.target, settings.connecting);
        Ok(Self {
            transport,
            target: target.clone(),
            nagle_left: false,
            tls: Calling::new(settings, tls::host_of(target), protocol)?,
            negotiated: Mutex::new(None),
            nodelay: AtomicBool::new(false),
            connecting,
            meter: Meter {
                short_lived: connecting != Connecting::Kept,
                ..Meter::default()
            },
            refused: Mutex::new(None),
            ended: Mutex::new(None),
        })
    }

    /// Leaves Nagle as the system has it.
    pub(crate) fn nagle_left(mut self, left: bool) -> Self {
        self.nagle_left = left;
        self
    }

    pub(crate) async fn dial(&self) -> Result<Stream, Failure> {
        if let Some(failure) = self.refused_just_now() {
            return Err(failure);
        }
        // Boxed: opening is rare, and would make the future of every call that may have to open several KiB larger.
        match Box::pin(self.connect()).await {
            Ok(stream) => {
                self.meter.opened();
                Ok(stream)
            }
            Err(failure) => {
                *self.last_refusal() = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    async fn connect(&self) -> Result<Stream, Failure> {
        let stream = dial(&self.target, self.nagle_left).await;
        let stream = stream.map_err(|error| self.refused(&error))?;
        let nodelay = stream.nodelay().unwrap_or(false);
        self.nodelay.store(nodelay, Relaxed);
        let Some(calling) = &self.tls else {
            return Ok(Stream::Plain(stream));
        };
        let shaken = tls::handshake(calling, stream).await;
        let (stream, negotiated) = shaken.map_err(|error| Failure {
            by_service: false,
            name: "tls".into(),
            text: format!(
                "no {} connection over TLS to {}: {}",
                self.transport,
                self.target,
                tls::explain(&error)
            ),
        })?;
        let mut last = self
            .negotiated
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = Some(negotiated);
        Ok(Stream::Tls(stream))
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    fn refused_just_now(&self) -> Option<Failure> {
        let refusal = self.last_refusal();
        let (at, failure) = refusal.as_ref()?;
        (at.elapsed() < REDIAL_AFTER).then(|| failure.clone())
    }

    fn last_refusal(&self) -> MutexGuard<'_, Option<(Instant, Failure)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The failure of a call for want of a connection.
    pub(crate) fn refused(&self, error: &dyn std::fmt::Display) -> Failure {
        no_connection(self.transport, &self.target, error)
    }

    /// A connection that many calls share has ended so.
    pub(crate) fn ended(&self, end: hyper::Result<()>) {
        if let Err(error) = &end {
            tracing::debug!(%error, "an HTTP/2 connection was cut");
        }
        *self.last_end() = end.err().map(|error| closed(&error).text);
    }

    /// What to add to the failure of a call: where the connection ended before hyper took the call up, hyper keeps the
    /// reason from it, and it is the one that the last connection ended with.
    pub(crate) fn why_ended(&self, error: &(dyn std::error::Error + 'static)) -> String {
        let mut causes = std::iter::successors(Some(error), |error| error.source());
        let is_canceled = |error: &(dyn std::error::Error + 'static)| {
            let error = error.downcast_ref::<hyper::Error>();
            error.is_some_and(hyper::Error::is_canceled)
        };
        match &*self.last_end() {
            Some(why) if causes.any(is_canceled) => format!("; {why}"),
            _ => String::new(),
        }
    }

    fn last_end(&self) -> MutexGuard<'_, Option<String>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// What every caller over TCP has in force; `tcp.nodelay` is what the latest socket said.
    pub(crate) fn in_force(
        &self,
        connections: usize,
        deadline: Duration,
    ) -> BTreeMap<String, String> {
        let mut settings = named([
            ("tcp.nodelay", self.nodelay.load(Relaxed).to_string()),
            ("connections", connections.to_string()),
            ("connecting", self.connecting.to_string()),
            ("deadline", format!("{deadline:?}")),
            ("compression", "off".into()),
        ]);
        let negotiated = self
            .negotiated
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        settings.extend(tls::in_force(negotiated.as_ref()));
        settings
    }
}
