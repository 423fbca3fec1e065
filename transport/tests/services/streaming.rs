//! The streaming kinds of call over grpc, and what general grpc clients ask first: health and reflection.

use crate::support::hops::{Grpc, open, settings};
use crate::support::{Pace, Shop, bad_order, between_two_ends, good_order};
use bench_proto::validate::validate;
use bench_proto::{Format, Order, OrderQuery, Placed, Placement, PlacementList, Receipt};
use bench_transport::grpc::GrpcCaller;
use futures_util::stream::{self, StreamExt, TryStreamExt};
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

/// An order among others, without a Stamp.
fn among(order: Order) -> Placement {
    Placement {
        order: Some(order),
        stamp: Vec::new(),
    }
}

/// What becomes of the good orders 0 … [`ORDERS`].
fn placed() -> Vec<Placed> {
    let placed = |receipt| Placed {
        receipt: Some(receipt),
        ..Placed::default()
    };
    receipts().into_iter().map(placed).collect()
}

#[test]
fn a_stream_of_orders_is_summed_up_with_its_refusals() {
    with_caller(async |shop, caller, _| {
        let (bad, reason) = bad_order(ORDERS);
        let orders = (0..ORDERS).map(good_order).chain([bad]);
        let orders: Vec<_> = orders.map(among).collect();
        let summary = caller.contract().place_many(stream::iter(orders)).await;
        let summary = summary.unwrap().into_inner();
        assert_eq!((summary.accepted, summary.refused), (ORDERS, 1));
        assert_eq!(summary.failed, 0);
        assert_eq!(summary.rejections.len(), 1);
        let rejection = &summary.rejections[0];
        assert_eq!((rejection.index, rejection.failed), (ORDERS, false));
        assert_eq!(rejection.reason, reason);
        let total: i64 = receipts().iter().map(|receipt| receipt.total_cents).sum();
        assert_eq!(summary.total_cents, total);
        assert_eq!(shop.finished(), ORDERS + 1);
    });
}

#[test]
fn a_list_of_orders_streams_back_what_became_of_each() {
    with_caller(async |shop, caller, _| {
        // As many as this listener's limit for a body takes.
        let listed = 200;
        let placements = (0..listed).map(good_order).map(among).collect();
        let list = PlacementList { placements };
        let answers = caller.contract().place_each(list).await.unwrap();
        let answers: Vec<Placed> = answers.into_inner().try_collect().await.unwrap();
        assert_eq!(answers, placed()[..listed as usize]);
        assert_eq!(shop.finished(), listed);
    });
}

#[test]
fn watching_streams_as_many_receipts_as_were_asked_for() {
    with_caller(async |shop, caller, _| {
        let query = OrderQuery {
            count: 300,
            seed: 5,
        };
        let mut contract = caller.contract();
        let watched: Vec<Receipt> = contract
            .watch(query)
            .await
            .unwrap()
            .into_inner()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(watched.len(), 300);
        assert!(
            watched
                .iter()
                .all(|receipt| receipt.lines == 3 && receipt.total_cents > 0)
        );
        let again: Vec<Receipt> = contract
            .watch(query)
            .await
            .unwrap()
            .into_inner()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(watched, again, "the same seed, the same orders");
        assert_eq!(shop.finished(), 600);
    });
}

#[test]
fn exchanged_answers_come_in_the_order_of_their_orders() {
    with_caller(async |shop, caller, _| {
        shop.pace(Pace::Odd(std::time::Duration::from_millis(5)));
        let orders: Vec<_> = (0..ORDERS).map(good_order).map(among).collect();
        let answers = caller.contract().exchange(stream::iter(orders)).await;
        let answers = answers.unwrap().into_inner();
        let answers: Vec<Placed> = answers.try_collect().await.unwrap();
        assert_eq!(answers, placed());
    });
}

#[test]
fn a_refusal_in_an_exchange_spares_the_orders_after_it() {
    with_caller(async |_, caller, _| {
        let (bad, reason) = bad_order(1);
        let orders = [good_order(0), bad, good_order(2)].map(among);
        let answers = caller.contract().exchange(stream::iter(orders)).await;
        let answers = answers.unwrap().into_inner();
        let answers: Vec<Placed> = answers.try_collect().await.unwrap();
        let refused = Placed {
            refused: Some(reason),
            ..Placed::default()
        };
        let mut expected = placed();
        expected.truncate(3);
        expected[1] = refused;
        assert_eq!(answers, expected);
    });
}

#[test]
fn a_stamp_that_cannot_be_read_ends_a_stream_and_spares_a_list_nothing() {
    with_caller(async |shop, caller, _| {
        let broken = Placement {
            stamp: vec![7; 3],
            ..among(good_order(1))
        };
        let orders = vec![among(good_order(0)), broken];
        let answers = caller
            .contract()
            .exchange(stream::iter(orders.clone()))
            .await;
        let mut answers = answers.unwrap().into_inner();
        assert_eq!(answers.next().await.unwrap().unwrap(), placed()[0]);
        let status = answers.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("32 bytes"), "{status}");
        assert!(answers.next().await.is_none());
        assert_eq!(shop.finished(), 1);

        let list = PlacementList { placements: orders };
        let status = caller.contract().place_each(list).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let empty = caller.contract().place_each(PlacementList::default()).await;
        let status = empty.unwrap_err();
        assert!(status.message().contains("1 to 10000"), "{status}");
        assert_eq!(shop.finished(), 1, "nothing of a refused list is worked on");
        let rejections = shop.rejections();
        assert_eq!(rejections["grpc stamp"], 2);
        assert_eq!(rejections["grpc list"], 1);
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
