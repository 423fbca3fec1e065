//! The calling end: N of tonic's channels, each an HTTP/2 connection of its own that tonic opens again after a
//! cut, used in turn.

use super::codec::PassThrough;
use super::{OUTCOME, STAMP};
use crate::h2::{self, Gathering};
use crate::net::{self, Dialer};
use crate::{CallResult, Caller, Counters, Failure, Outcome, Settings};
use bench_host::clock::now_ns;
use bench_proto::order::order_service_client::OrderServiceClient;
use bench_proto::{Format, Kind, Order, OrderQuery, Receipt, Stamp, Summary};
use bytes::Bytes;
use futures_util::Stream;
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
use tonic::{Code, Request, Status, Streaming};

/// The sending end of the grpc transport.
#[derive(Clone, Debug)]
pub struct GrpcCaller(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    deadline: Duration,
    channels: Vec<Channel>,
    next: Cell<usize>,
    dialer: Arc<Dialer>,
}

/// Opens the channels.
pub async fn connect(settings: &Settings) -> anyhow::Result<GrpcCaller> {
    let target = &settings.target;
    let dialer = Arc::new(Dialer::new("grpc", settings, Some("h2"))?);
    let wrong = |error: &dyn std::fmt::Display| {
        anyhow::anyhow!("expected host:port for grpc, got {target:?}: {error}")
    };
    let origin = format!("{}://{target}", dialer.scheme()).parse();
    // The dialer encrypts, so tonic is told of a plaintext endpoint whose calls name their true scheme.
    let endpoint = Endpoint::from_shared(format!("http://{target}"))
        .map_err(|error| wrong(&error))?
        .origin(origin.map_err(|error: http::uri::InvalidUri| wrong(&error))?)
        .initial_stream_window_size(h2::STREAM_WINDOW)
        .initial_connection_window_size(h2::CONNECTION_WINDOW)
        .http2_adaptive_window(false);
    let mut channels = Vec::new();
    for _ in 0..settings.connections.max(1) {
        let dialing = dialer.clone();
        let connector = tower::service_fn(move |_| dial(dialing.clone()));
        let opening = async {
            let opened = endpoint.connect_with_connector(connector).await;
            opened.map_err(|error| match dial_error(&error) {
                Some(failure) => failure.clone(),
                None => dialer.refused(&root(&error)),
            })
        };
        channels.push(net::within(settings.deadline, "grpc", target, opening).await?);
    }
    Ok(GrpcCaller(Rc::new(Inner {
        deadline: settings.deadline,
        channels,
        next: Cell::new(0),
        dialer,
    })))
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
        let inner = self.0.clone();
        async move {
            let sent_ns = Cell::new(None);
            let exchange = async {
                let mut grpc = unlimited(inner.channel());
                grpc.ready()
                    .await
                    .map_err(|e| Status::from_error(e.into()))?;
                sent_ns.set(Some(now_ns()));
                let request = request(body, stamp.as_ref());
                let answer = grpc.unary(request, method(kind), PassThrough(kind)).await?;
                Ok(answer.into_inner())
            };
            let ended = tokio::time::timeout(inner.deadline, exchange).await;
            let (result, body_in) = match ended {
                Ok(Ok((answer, length))) => (CallResult::Acknowledged(Some(answer)), length),
                Ok(Err(status)) => {
                    let result = inner.result(status, &sent_ns);
                    (result, 0)
                }
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
        self.0.dialer.meter().counters()
    }

    fn in_force(&self) -> BTreeMap<String, String> {
        let inner = &self.0;
        let mut settings = inner.dialer.in_force(inner.channels.len(), inner.deadline);
        settings.insert("http".into(), "HTTP/2".into());
        settings.extend(h2::in_force());
        settings
    }
}

impl GrpcCaller {
    /// Streams orders up and gets one summary back.
    pub async fn place_many(
        &self,
        orders: impl Stream<Item = Order> + Send + 'static,
    ) -> Result<Summary, Status> {
        let mut client = self.client();
        let answer = client.place_many(orders).await?;
        Ok(answer.into_inner())
    }

    /// Asks for the receipts of orders that the service makes up.
    pub async fn watch(&self, query: OrderQuery) -> Result<Streaming<Receipt>, Status> {
        let answer = self.client().watch(query).await?;
        Ok(answer.into_inner())
    }

    /// Streams orders up while their receipts stream back, in the same order.
    pub async fn exchange(
        &self,
        orders: impl Stream<Item = Order> + Send + 'static,
    ) -> Result<Streaming<Receipt>, Status> {
        let answer = self.client().exchange(orders).await?;
        Ok(answer.into_inner())
    }

    fn client(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.0.channel())
    }
}

impl Inner {
    /// The channel whose turn it is.
    fn channel(&self) -> Channel {
        let turn = self.next.get();
        self.next.set((turn + 1) % self.channels.len());
        self.channels[turn].clone()
    }

    fn result(&self, status: Status, sent_ns: &Cell<Option<u64>>) -> CallResult {
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
fn unlimited(channel: Channel) -> Grpc<Channel> {
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

async fn dial(dialer: Arc<Dialer>) -> Result<TokioIo<Counted>, DialError> {
    let stream = dialer.dial().await.map_err(DialError)?;
    Ok(TokioIo::new(Counted {
        stream: Gathering::new(stream),
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
