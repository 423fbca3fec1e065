//! The calling end: tonic's client on N channels, used in turn and each opened again after a cut; or on a connection for
//! each call. `channel` says whose channels they are.

use super::channel::{Channel, Channels};
use super::codec::PassThrough;
use super::error::{DialError, root};
use super::streams::Streams;
use super::{OUTCOME, STAMP};
use crate::deadline::Deadline;
use crate::h2;
use crate::net::{self, Dialer};
use crate::{
    CallKind, CallResult, Caller, Connecting, Counters, Outcome, Settings, Transport, shared,
    travel,
};
use bench_host::clock::{after, now_ns};
use bench_proto::order::order_service_client::OrderServiceClient;
use bench_proto::{Format, Kind, Stamp};
use bytes::Bytes;
use http::uri::{PathAndQuery, Uri};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
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
    deadline: Deadline,
    deadline_travels: bool,
    lanes: usize,
    library_defaults: bool,
    channels: Channels,
    origin: Uri,
    dialer: Arc<Dialer>,
    kind: CallKind,
    batch: usize,
}

/// Opens the channels; the streams of a streaming kind open with their first calls. Runs on a tokio `LocalRuntime`.
pub async fn connect(settings: &Settings) -> anyhow::Result<GrpcCaller> {
    let offered = Transport::Grpc.offers(settings.kind);
    offered.map_err(anyhow::Error::msg)?;
    anyhow::ensure!(
        settings.kind == CallKind::Unary || settings.connecting == Connecting::Kept,
        "a stream carries many calls, so its channel cannot be one call's own: keep the connections, or use unary calls"
    );
    let target = &settings.target;
    let dialer = Arc::new(Dialer::new("grpc", settings, Some("h2"))?);
    let origin = format!("{}://{target}", dialer.scheme()).parse::<Uri>();
    let origin = origin.map_err(|error: http::uri::InvalidUri| {
        anyhow::anyhow!("expected host:port for grpc, got {target:?}: {error}")
    })?;
    let opening = Channels::open(dialer.clone(), &origin, settings);
    let channels = net::within(settings.deadline, "grpc", target, opening).await?;
    let inner = Rc::new(Inner {
        deadline: Deadline::new(settings.deadline),
        deadline_travels: settings.deadline_travels,
        lanes: settings.connections.max(1),
        library_defaults: settings.library_defaults,
        channels,
        origin,
        dialer,
        kind: settings.kind,
        batch: settings.batch,
    });
    let streams = Streams::of(settings.kind, settings.batch, &inner);
    Ok(GrpcCaller { inner, streams })
}

impl Caller for GrpcCaller {
    fn format(&self) -> Format {
        Format::Protobuf
    }

    fn call_within(
        &self,
        patience: Option<Duration>,
        kind: Kind,
        _key: &str,
        body: Bytes,
        stamp: Option<Stamp>,
    ) -> impl Future<Output = Outcome> + 'static {
        let inner = self.inner.clone();
        let patience = patience.unwrap_or(inner.deadline.patience());
        let streams = match kind {
            Kind::Order => self.streams.clone(),
            // The contract streams orders alone.
            Kind::Blob => None,
        };
        async move {
            if let Some(streams) = streams {
                let meter = inner.dialer.meter();
                let send = |call| streams.send(call);
                return shared::carry(patience, meter, body, stamp, send).await;
            }
            let sent_ns = Cell::new(None);
            let travels = inner.deadline_travels;
            let deadline_ns = travels.then(|| after(now_ns(), patience));
            let exchange = pin!(async {
                let mut grpc = inner.client();
                grpc.ready().await.map_err(Status::from_error)?;
                sent_ns.set(Some(now_ns()));
                let mut request = request(body, stamp.as_ref());
                if let Some(deadline_ns) = deadline_ns {
                    request.set_timeout(travel::left(deadline_ns));
                }
                let answer = grpc.unary(request, method(kind), PassThrough(kind)).await?;
                Ok(answer.into_inner())
            });
            let ended = inner.deadline.within(patience, exchange).await;
            let (result, body_in) = match ended {
                Some(Ok((answer, length))) => (CallResult::Acknowledged(Some(answer)), length),
                Some(Err(status)) => {
                    let result = inner.result(status, &sent_ns);
                    (result, 0)
                }
                None => {
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
        let mut settings = inner
            .dialer
            .in_force(inner.lanes, inner.deadline.patience());
        settings.insert("http".into(), "HTTP/2".into());
        settings.insert("channel".into(), inner.channels.whose().into());
        settings.extend(h2::in_force(inner.library_defaults));
        settings.extend(shared::in_force(inner.kind, inner.batch));
        settings
    }
}

impl GrpcCaller {
    /// The contract's own client on the channel whose turn it is, for calls that are not an operation. Not where each
    /// call has a channel of its own.
    pub fn contract(&self) -> OrderServiceClient<Channel> {
        let inner = &self.inner;
        OrderServiceClient::with_origin(inner.channels.next(), inner.origin.clone())
    }
}

impl Inner {
    /// A client on the channel whose turn it is. It takes answers of any size: how large a blob may be is the
    /// listener's to say.
    pub(super) fn client(&self) -> Grpc<Channel> {
        Grpc::with_origin(self.channels.next(), self.origin.clone())
            .max_decoding_message_size(usize::MAX)
    }

    pub(super) fn channels(&self) -> usize {
        self.lanes
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline.patience()
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
        // A service that was told the deadline may notice it first, and tonic then answers so.
        let past = matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded);
        if past && self.deadline_travels && !status.metadata().contains_key(OUTCOME) {
            self.dialer.meter().unknown(1);
            return CallResult::TimedOut;
        }
        if status.source().is_none() {
            return net::failed_there(format!("{:?}", status.code()), text);
        }
        if let Some(failure) = DialError::behind(&status) {
            sent_ns.set(None);
            return CallResult::Failed(failure.clone());
        }
        self.dialer.meter().unknown(1);
        let (cause, why) = (root(&status), self.dialer.why_ended(&status));
        net::failed_here(
            "closed",
            format!("the connection was cut: {text}: {cause}{why}"),
        )
    }
}

fn refused(status: &Status) -> bool {
    let outcome = || status.metadata().get(OUTCOME);
    status.code() == Code::InvalidArgument && outcome().is_some_and(|outcome| outcome == "refused")
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
