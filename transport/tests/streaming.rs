//! The streaming kinds of call over grpc, and what general grpc clients ask first: health and reflection.

mod support;

use bench_proto::validate::validate;
use bench_proto::{Format, OrderQuery, Receipt};
use bench_transport::grpc::GrpcCaller;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use support::hops::{Grpc, open, settings};
use support::{Pace, Shop, bad_order, between_two_ends, good_order};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

const ORDERS: u64 = 500;

fn with_caller(test: impl AsyncFnOnce(Shop, GrpcCaller, String)) {
    between_two_ends(async |service| {
        let mut settings = settings::<Grpc>(Format::Protobuf);
        let (shop, listener, caller) = open::<Grpc>(&service, &mut settings).await;
        test(shop, caller, format!("http://{}", listener.address)).await;
        listener.stop().await;
    });
}

fn receipts() -> Vec<Receipt> {
    (0..ORDERS)
        .map(|i| validate(&good_order(i)).unwrap())
        .collect()
}

#[test]
fn a_stream_of_orders_is_summed_up_with_its_refusals() {
    with_caller(async |shop, caller, _| {
        let orders = (0..ORDERS).map(good_order).chain([bad_order(ORDERS).0]);
        let orders: Vec<_> = orders.collect();
        let summary = caller.place_many(stream::iter(orders)).await.unwrap();
        assert_eq!((summary.accepted, summary.refused), (ORDERS, 1));
        let total: i64 = receipts().iter().map(|receipt| receipt.total_cents).sum();
        assert_eq!(summary.total_cents, total);
        assert_eq!(shop.finished(), ORDERS + 1);
    });
}

#[test]
fn watching_streams_as_many_receipts_as_were_asked_for() {
    with_caller(async |shop, caller, _| {
        let query = OrderQuery {
            count: 300,
            seed: 5,
        };
        let watched: Vec<Receipt> = caller
            .watch(query)
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(watched.len(), 300);
        assert!(
            watched
                .iter()
                .all(|receipt| receipt.lines == 3 && receipt.total_cents > 0)
        );
        let again: Vec<Receipt> = caller
            .watch(query)
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(watched, again, "the same seed, the same orders");
        assert_eq!(shop.finished(), 600);
    });
}

#[test]
fn exchanged_receipts_come_in_the_order_of_their_orders() {
    with_caller(async |shop, caller, _| {
        shop.pace(Pace::Every(std::time::Duration::from_millis(1)));
        let orders: Vec<_> = (0..ORDERS).map(good_order).collect();
        let exchanged = caller.exchange(stream::iter(orders)).await.unwrap();
        let exchanged: Vec<Receipt> = exchanged.try_collect().await.unwrap();
        assert_eq!(exchanged, receipts());
    });
}

#[test]
fn an_exchange_ends_with_the_first_refusal() {
    with_caller(async |_, caller, _| {
        let orders = vec![good_order(0), bad_order(1).0, good_order(2)];
        let mut exchanged = caller.exchange(stream::iter(orders)).await.unwrap();
        let first = exchanged.next().await.unwrap().unwrap();
        assert_eq!(first, validate(&good_order(0)).unwrap());
        let status = exchanged.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), bad_order(1).1);
        assert!(exchanged.next().await.is_none());
    });
}

#[test]
fn health_and_reflection_answer_a_client_that_knows_nothing() {
    with_caller(async |_, _, address| {
        let endpoint = tonic::transport::Endpoint::from_shared(address).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let service = "hopbench.v1.OrderService".to_string();
        let request = HealthCheckRequest { service };
        let health = HealthClient::new(channel.clone())
            .check(request)
            .await
            .unwrap();
        assert_eq!(health.into_inner().status(), ServingStatus::Serving);

        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut reflection = ServerReflectionClient::new(channel);
        let answers = reflection
            .server_reflection_info(stream::iter([request]))
            .await
            .unwrap();
        let answer = answers.into_inner().next().await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
            panic!("expected a list of services, got {answer:?}");
        };
        let names: Vec<_> = list
            .service
            .iter()
            .map(|service| service.name.as_str())
            .collect();
        assert!(names.contains(&"hopbench.v1.OrderService"), "{names:?}");
        assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
    });
}
