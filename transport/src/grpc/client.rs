//! The calling end: N of tonic's channels, each an HTTP/2 connection of its own that tonic opens again after a
//! cut, used in turn; or a channel for each call.

use super::codec::PassThrough;
use super::streams::Streams;
use super::{OUTCOME, STAMP};
use crate::h2::{self, Gathering};
use crate::net::{self, Dialer};
use crate::{
    CallKind, CallResult, Caller, Connecting, Counters, Failure, Outcome, Settings, Transport,
    shared,
};
use bench_host::clock::now_ns;
use bench_proto::order::order_service_client::OrderServiceClient;
use bench_proto::{Format, Kind, Stamp};
use bytes::Bytes;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// The sending end of the grpc transport.
#[derive(Clone, Debug)]
pub struct GrpcCaller {
    inner: Rc<Inner>,
    /// None where every call has a request of its own.
    streams: Option<Streams>,
}

#[derive(Debug)]
pub(super) struct Inner {
    deadline: Duration,
    /// None where each call opens its own.
    channels: Vec<Channel>,
    endpoint: Endpoint,
    library_defaults: bool,
    next: Cell<usize>,
    dialer: Arc<Dialer>,
    kind: CallKind,
    batch: usize,
}

/// Opens the channels; the streams of a streaming kind open with their first calls. Runs on a `LocalSet`.
pub async fn connect(settings: &Settings) -> anyhow::Result<GrpcCaller> {
    let offered = Transport::Grpc.offers(settings.kind);
    offered.map_err(anyhow::Error::msg)?;
    anyhow::ensure!(
        settings.kind == CallKind::Unary || settings.connecting == Connecting::Kept,
        "a stream carries many calls, so its channel cannot be one call's own: keep the connections, or use unary calls"
    );
    let target = &settings.target;
    let dialer = Arc::new(Dialer::new("grpc", settings, Some("h2"))?);
    let wrong = |error: &dyn std::fmt::Display| {
        anyhow::anyhow!("expected host:port for grpc, got {target:?}: {error}")
    };
    let origin = format!("{}://{target}", dialer.scheme()).parse();
    let library_defaults = settings.library_defaults;
    let matched = |value: u32| (!library_defaults).then_some(value);
    // The dialer encrypts, so tonic is told of a plaintext endpoint whose calls name their true scheme.
    let mut endpoint = Endpoint::from_shared(format!("http://{target}"))
        .map_err(|error| wrong(&error))?
        .origin(origin.map_err(|error: http::uri::InvalidUri| wrong(&error))?)
        .initial_stream_window_size(matched(h2::STREAM_WINDOW))
        .initial_connection_window_size(matched(h2::CONNECTION_WINDOW));
    if !library_defaults {
        endpoint = endpoint.http2_adaptive_window(false);
    }
    let mut inner = Inner {
        deadline: settings.deadline,
        channels: Vec::new(),
        endpoint,
        library_defaults,
        next: Cell::new(0),
        dialer,
        kind: settings.kind,
        batch: settings.batch,
    };
    if settings.connecting == Connecting::Kept {
        for _ in 0..settings.connections.max(1) {
            let channel = net::within(settings.deadline, "grpc", target, inner.open()).await?;
            inner.channels.push(channel);
        }
    } else {
        // Whether anybody listens there is said now, not by the first call.
        net::within(settings.deadline, "grpc", target, inner.open()).await?;
    }
    let inner = Rc::new(inner);
    let streams = Streams::of(settings.kind, settings.batch, &inner);
    Ok(GrpcCaller { inner, streams })
}

impl Caller for GrpcCaller {
    fn format(&self) -> Format {
        Format::Protobuf
    }

    fn call(
        &self,
        kind: Kind,
        _key: &str,
        body: Bytes,
        stamp: Option<Stamp>,
    ) -> impl Future<Output = Outcome> + 'static {
        let inner = self.inner.clone();
        let streams = match kind {
            Kind::Order => self.streams.clone(),
            // The contract streams orders alone.
            Kind::Blob => None,
        };
        async move {
            if let Some(streams) = streams {
                let meter = inner.dialer.meter();
                let send = |call| streams.send(call);
                return shared::carry(inner.deadline, meter, body, stamp, send).await;
            }
            let sent_ns = Cell::new(None);
            let exchange = async {
                let channel = inner.for_call().await.map_err(CallResult::Failed)?;
                let mut grpc = unlimited(channel);
                let answered = async {
                    grpc.ready()
                        .await
                        .map_err(|e| Status::from_error(e.into()))?;
                    sent_ns.set(Some(now_ns()));
                    let request = request(body, stamp.as_ref());
                    let answer = grpc.unary(request, method(kind), PassThrough(kind)).await?;
                    Ok(answer.into_inner())
                };
                answered
                    .await
                    .map_err(|status| inner.result(status, &sent_ns))
            };
            let ended = tokio::time::timeout(inner.deadline, exchange).await;
            let (result, body_in) = match ended {
                Ok(Ok((answer, length))) => (CallResult::Acknowledged(Some(answer)), length),
                Ok(Err(result)) => (result, 0),
                Err(_) => {
                    inner.dialer.meter().unknown(1);
                    (CallResult::TimedOut, 0)
                }
            };
            Outcome {
                sent_ns: sent_ns.get(),
                result,
                body_in,
            }
        }
    }

    fn counters(&self) -> Counters {
        self.inner.dialer.meter().counters()
    }

    fn in_force(&self) -> BTreeMap<String, String> {
        let inner = &self.inner;
        let mut settings = inner.dialer.in_force(inner.channels.len(), inner.deadline);
        settings.insert("http".into(), "HTTP/2".into());
        settings.extend(h2::in_force(inner.library_defaults));
        settings.extend(shared::in_force(inner.kind, inner.batch));
        settings
    }
}

impl GrpcCaller {
    /// The contract's own client on the channel whose turn it is, for calls that are not an operation. Not where each
    /// call has a channel of its own.
    pub fn contract(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.inner.channel())
    }
}

impl Inner {
    /// The channel of one call: that whose turn it is, or where none is kept a new one, which ends with the call.
    async fn for_call(&self) -> Result<Channel, Failure> {
        if self.channels.is_empty() {
            return self.open().await;
        }
        Ok(self.channel())
    }

    /// The channel whose turn it is.
    pub(super) fn channel(&self) -> Channel {
        let turn = self.next.get();
        self.next.set((turn + 1) % self.channels.len());
        self.channels[turn].clone()
    }

    /// Opens a channel.
    async fn open(&self) -> Result<Channel, Failure> {
        let (dialer, library_defaults) = (self.dialer.clone(), self.library_defaults);
        let connector = tower::service_fn(move |_| dial(dialer.clone(), library_defaults));
        let opened = self.endpoint.connect_with_connector(connector).await;
        opened.map_err(|error| match dial_error(&error) {
            Some(failure) => failure.clone(),
            None => self.dialer.refused(&root(&error)),
        })
    }

    pub(super) fn channels(&self) -> usize {
        self.channels.len()
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Counts a call of which nobody knows what became.
    pub(super) fn unknown_one(&self) {
        self.dialer.meter().unknown(1);
    }

    /// Counts a stream that operations share.
    pub(super) fn begin_shared(&self) {
        self.dialer.meter().shared();
    }

    pub(super) fn result(&self, status: Status, sent_ns: &Cell<Option<u64>>) -> CallResult {
        let text = status.message();
        if refused(&status) {
            return CallResult::Refused(text.into());
        }
        if status.source().is_none() {
            return net::failed_there(format!("{:?}", status.code()), text);
        }
        if let Some(failure) = dial_error(&status) {
            sent_ns.set(None);
            return CallResult::Failed(failure.clone());
        }
        self.dialer.meter().unknown(1);
        let cause = root(&status).to_string();
        net::failed_here("closed", format!("the connection was cut: {text}: {cause}"))
    }
}

fn refused(status: &Status) -> bool {
    let outcome = || status.metadata().get(OUTCOME);
    status.code() == Code::InvalidArgument && outcome().is_some_and(|outcome| outcome == "refused")
}

/// A client on a channel that takes answers of any size: how large a blob may be is the listener's to say.
pub(super) fn unlimited(channel: Channel) -> Grpc<Channel> {
    Grpc::new(channel).max_decoding_message_size(usize::MAX)
}

fn method(kind: Kind) -> PathAndQuery {
    PathAndQuery::from_static(match kind {
        Kind::Order => "/hopbench.v1.OrderService/Place",
        Kind::Blob => "/hopbench.v1.OrderService/Echo",
    })
}

fn request(body: Bytes, stamp: Option<&Stamp>) -> Request<Bytes> {
    let mut request = Request::new(body);
    if let Some(stamp) = stamp {
        let mut value = MetadataValue::from_bytes(&stamp.to_bytes());
        // HPACK then never indexes it: it differs in every request.
        value.set_sensitive(true);
        request.metadata_mut().insert_bin(STAMP, value);
    }
    request
}

/// The first cause of an error.
fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}

/// The error of the dial, if that is why a call failed.
fn dial_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Failure> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(DialError(failure)) = error.downcast_ref() {
            return Some(failure);
        }
        cause = error.source();
    }
    None
}

/// Why a channel could not open its connection.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.text)]
struct DialError(Failure);

async fn dial(dialer: Arc<Dialer>, library_defaults: bool) -> Result<TokioIo<Counted>, DialError> {
    let stream = dialer.dial().await.map_err(DialError)?;
    Ok(TokioIo::new(Counted {
        stream: Gathering::new(stream, library_defaults),
        dialer,
    }))
}

/// A connection that says when it is gone.
struct Counted {
    stream: Gathering,
    dialer: Arc<Dialer>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.dialer.meter().lost();
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
