//! The serving end: the contract's service, health and reflection behind tonic's server.

use super::{OUTCOME, STAMP};
use crate::net::{self, Desk};
use crate::tls::{Door, SPEAKS_TLS};
use crate::{Listener, Origin, Reply, Service, Settings, h2, shared, travel};
use bench_proto::format::Answer;
use bench_proto::order::order_service_server::{OrderService, OrderServiceServer};
use bench_proto::{
    Blob, Corpus, DESCRIPTORS, Format, Message, Order, OrderQuery, PayloadClass, Placed, Placement,
    PlacementList, Receipt, Rejection, Stamp, Summary, burden,
};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use std::pin::pin;
use tokio::sync::watch;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status, Streaming};
use tower::util::MapResponseLayer;

/// Orders that `Watch` works on side by side; their receipts keep their order.
const SIDE_BY_SIDE: usize = 64;
/// Connections whose TLS handshakes go on side by side.
const HANDSHAKES: usize = 1_024;
/// Lines of the orders that `Watch` makes up.
const WATCHED_LINES: u32 = 3;

/// Serves the contract with health and reflection (v1 and v1alpha).
pub async fn serve<S: Service>(settings: &Settings, service: S) -> anyhow::Result<Listener> {
    let (listener, address) = net::bind("grpc", &settings.target).await?;
    let (stop, stopping) = watch::channel(false);
    let max_body = settings.max_body;
    let door = Door::new(settings, &["h2"], |_| h2::goaway(SPEAKS_TLS))?;
    let mut in_force = net::named([
        ("tcp.nodelay", net::nodelay_in_force(false)),
        ("compression", "off".into()),
        ("max_body", max_body.to_string()),
    ]);
    let left = settings.library_defaults;
    in_force.extend(h2::in_force(left));
    in_force.extend(door.in_force());

    let desk = Desk::new(service);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<OrderServiceServer<Orders<S>>>().await;
    let orders = Orders {
        desk: desk.clone(),
        stopping: stopping.clone(),
    };
    let orders = OrderServiceServer::new(orders)
        .max_decoding_message_size(max_body)
        .max_encoding_message_size(usize::MAX);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (counting, turning_away) = (desk.clone(), desk.clone());
    let matched = |value: u32| (!left).then_some(value);
    let router = Server::builder()
        .max_concurrent_streams(matched(h2::MAX_CONCURRENT_STREAMS))
        .initial_stream_window_size(matched(h2::STREAM_WINDOW))
        .initial_connection_window_size(matched(h2::CONNECTION_WINDOW))
        .http2_adaptive_window((!left).then_some(false))
        .layer(MapResponseLayer::new(
            move |response: http::Response<tonic::body::Body>| {
                count_rejected(&counting, response.headers());
                response
            },
        ))
        .add_service(orders)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    let task = tokio::spawn(async move {
        let accepted = stream::unfold(listener, |listener| async {
            let stream = net::accept(&listener, false).await;
            Some((stream, listener))
        })
        .map(|stream| {
            let (door, desk) = (door.clone(), turning_away.clone());
            async move {
                let rejected = |why| desk.rejected(&format!("grpc {why}"));
                door.open(stream, rejected).await
            }
        })
        .buffer_unordered(HANDSHAKES)
        .filter_map(|opened| std::future::ready(opened.map(Ok::<_, std::io::Error>)));
        let mut serving =
            pin!(router.serve_with_incoming_shutdown(accepted, net::stopped(stopping.clone())));
        let worked_off = async {
            net::stopped(stopping).await;
            desk.idle().await;
            // Whoever still holds a connection open now has nothing to wait for.
            tokio::time::sleep(net::CLOSING_GRACE).await;
        };
        tokio::select! {
            ended = &mut serving => if let Err(error) = ended {
                tracing::error!(%error, "the grpc listener ended");
            },
            () = worked_off => {}
        }
        desk.idle().await;
    });
    Ok(Listener::new(address, in_force, stop, task))
}

/// Counts what tonic turned away before the service saw it.
fn count_rejected<S: Service>(desk: &Desk<S>, headers: &http::HeaderMap) {
    let Some(status) = headers.get(Status::GRPC_STATUS) else {
        return;
    };
    if headers.contains_key(OUTCOME) {
        return;
    }
    match Code::from_bytes(status.as_bytes()) {
        Code::Ok => {}
        Code::OutOfRange => desk.rejected("grpc oversized"),
        Code::Internal => desk.rejected("grpc malformed"),
        Code::Unimplemented => desk.rejected("grpc path"),
        _ => desk.rejected("grpc status"),
    }
}

/// A request's message. tonic decoded it and not [`Format`], so a planted slower codec is borne here.
fn decoded<T>(request: Request<T>) -> T {
    burden::bear(Format::Protobuf);
    request.into_inner()
}

/// A message on its way to tonic's encoder, with what a planted slower codec adds to it.
fn encoded<T>(answer: Result<T, Status>) -> Result<Response<T>, Status> {
    answer.map(|message| {
        burden::bear(Format::Protobuf);
        Response::new(message)
    })
}

/// The contract's service in front of the one desk.
struct Orders<S> {
    desk: Desk<S>,
    /// A stream may outlast every other work: it ends when the listener stops.
    stopping: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl<S: Service> OrderService for Orders<S> {
    type WatchStream = BoxStream<'static, Result<Receipt, Status>>;
    type PlaceEachStream = BoxStream<'static, Result<Placed, Status>>;
    type ExchangeStream = BoxStream<'static, Result<Placed, Status>>;

    async fn place(&self, request: Request<Order>) -> Result<Response<Receipt>, Status> {
        let origin = origin(&self.desk, request.metadata())?;
        let order = Message::Order(decoded(request));
        encoded(receipt(self.desk.finish(order, origin).await))
    }

    async fn echo(&self, request: Request<Blob>) -> Result<Response<Blob>, Status> {
        let origin = origin(&self.desk, request.metadata())?;
        let blob = Message::Blob(decoded(request));
        match answer(self.desk.finish(blob, origin).await)? {
            Answer::Blob(blob) => encoded(Ok(blob)),
            Answer::Receipt(_) => Err(misanswered()),
        }
    }

    async fn place_many(
        &self,
        request: Request<Streaming<Placement>>,
    ) -> Result<Response<Summary>, Status> {
        let mut summary = Summary::default();
        let mut all = pin!(self.place_all(request.into_inner()));
        for index in 0.. {
            let Some(placed) = all.next().await else {
                break;
            };
            add(&mut summary, index, placed?);
        }
        Ok(Response::new(summary))
    }

    async fn place_each(
        &self,
        request: Request<PlacementList>,
    ) -> Result<Response<Self::PlaceEachStream>, Status> {
        let placements = request.into_inner().placements;
        if let Err(text) = shared::check_length(placements.len()) {
            self.desk.rejected("grpc list");
            return Err(decided(Code::InvalidArgument, &text, "list"));
        }
        // All are read before any is worked on: a list with a wrong Stamp leaves nothing behind.
        let stamped = placements
            .into_iter()
            .map(|placement| stamped(&self.desk, placement));
        let all = stamped.collect::<Result<Vec<_>, Status>>()?;
        let all = stream::iter(all.into_iter().map(Ok));
        let placed = shared::place_all(self.desk.clone(), all);
        Ok(Response::new(placed.boxed()))
    }

    async fn watch(
        &self,
        request: Request<OrderQuery>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let OrderQuery { count, seed } = request.into_inner();
        let mut corpus = Corpus::new(PayloadClass::Order(WATCHED_LINES), seed);
        let desk = self.desk.clone();
        let receipts = stream::iter(0..u64::from(count))
            .map(move |sequence| {
                let order = corpus.message(seed, 0, sequence).clone();
                let desk = desk.clone();
                async move { receipt(desk.finish(order, Origin::default()).await) }
            })
            .buffered(SIDE_BY_SIDE);
        Ok(Response::new(receipts.boxed()))
    }

    async fn exchange(
        &self,
        request: Request<Streaming<Placement>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let placed = self.place_all(request.into_inner());
        Ok(Response::new(placed.boxed()))
    }
}

impl<S: Service> Orders<S> {
    /// Works on the orders of a stream, what became of each in the stream's order. What cannot be read ends it, and so
    /// does a listener that stops, once everything that was read is answered.
    fn place_all(
        &self,
        placements: Streaming<Placement>,
    ) -> impl Stream<Item = Result<Placed, Status>> + Send + use<S> {
        let desk = self.desk.clone();
        let stop = Box::pin(net::stopped(self.stopping.clone()));
        let read = stream::unfold(
            (placements, stop, desk),
            |(mut placements, mut stop, desk)| async move {
                let placement = tokio::select! {
                    biased;
                    placement = placements.next() => read(&desk, placement?),
                    () = &mut stop => {
                        let text = "the service stops; what it has read it has answered";
                        Err(decided(Code::Unavailable, text, "stopped"))
                    }
                };
                Some((placement, (placements, stop, desk)))
            },
        );
        shared::place_all(self.desk.clone(), read)
    }
}

fn read<S: Service>(
    desk: &Desk<S>,
    placement: Result<Placement, Status>,
) -> Result<(Placement, Option<Stamp>), Status> {
    let status = match placement {
        Ok(placement) => return stamped(desk, placement),
        Err(status) => status,
    };
    desk.rejected(match status.code() {
        Code::OutOfRange => "grpc oversized",
        Code::Internal => "grpc malformed",
        _ => "grpc truncated",
    });
    Err(decided(status.code(), status.message(), "rejected"))
}

/// A placement with its Stamp read.
fn stamped<S: Service>(
    desk: &Desk<S>,
    placement: Placement,
) -> Result<(Placement, Option<Stamp>), Status> {
    match shared::stamp_of(&placement) {
        Ok(stamp) => Ok((placement, stamp)),
        Err(text) => {
            desk.rejected("grpc stamp");
            Err(decided(Code::InvalidArgument, &text, "stamp"))
        }
    }
}

/// Adds what became of an order to the summary of its stream.
fn add(summary: &mut Summary, index: u64, placed: Placed) {
    if let Some(receipt) = placed.receipt {
        summary.accepted += 1;
        summary.total_cents += receipt.total_cents;
        return;
    }
    let failed = placed.failed.is_some();
    if failed {
        summary.failed += 1;
    } else {
        summary.refused += 1;
    }
    summary.rejections.push(Rejection {
        index,
        reason: placed.failed.or(placed.refused).unwrap_or_default(),
        failed,
    });
}

fn origin<S: Service>(desk: &Desk<S>, metadata: &MetadataMap) -> Result<Origin, Status> {
    let timeout = metadata.get(travel::GRPC_TIMEOUT);
    let origin = Origin {
        deadline_ns: travel::heard_by_grpc(timeout.map(|value| value.as_bytes())),
        ..Origin::default()
    };
    let Some(value) = metadata.get_bin(STAMP) else {
        return Ok(origin);
    };
    let bytes = value
        .to_bytes()
        .map_err(|error| format!("expected the Stamp's bytes in base64 in {STAMP}: {error}"));
    let stamp = bytes.and_then(|bytes| Stamp::from_bytes(&bytes).map_err(|e| e.to_string()));
    match stamp {
        Ok(stamp) => Ok(Origin {
            stamp: Some(stamp),
            ..origin
        }),
        Err(text) => {
            desk.rejected("grpc stamp");
            Err(decided(Code::InvalidArgument, &text, "stamp"))
        }
    }
}

fn answer(reply: Reply) -> Result<Answer, Status> {
    match reply {
        Reply::Done(answer) => Ok(answer),
        Reply::Refused(text) => Err(decided(Code::InvalidArgument, &text, "refused")),
        Reply::Failed(text) => Err(decided(Code::Internal, &text, "failed")),
        Reply::Overloaded(text) => Err(decided(Code::ResourceExhausted, &text, "overloaded")),
    }
}

fn receipt(reply: Reply) -> Result<Receipt, Status> {
    match answer(reply)? {
        Answer::Receipt(receipt) => Ok(receipt),
        Answer::Blob(_) => Err(misanswered()),
    }
}

fn misanswered() -> Status {
    let text = "expected a receipt for an order and a blob for a blob, got the other";
    decided(Code::Internal, text, "failed")
}

/// A status that this service decided on, marked as such.
fn decided(code: Code, text: &str, outcome: &'static str) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert(OUTCOME, MetadataValue::from_static(outcome));
    Status::with_metadata(code, text, metadata)
}
