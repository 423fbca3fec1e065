//! The synchronous transports carry orders, refuse what is to be refused, account for every call, and come back
//! after a cut. Each test is written once and runs on tcp, rest over HTTP/1.1 and HTTP/2, and grpc.

use crate::on_every_hop;
use crate::support::hops::{Hop, open, serve, settings};
use crate::support::{PATIENCE, Pace, Shop};
use crate::support::{
    bad_order, between_two_ends, carry, eventually, good_order, place, place_well, stamp,
};
use bench_proto::{Blob, Format, PayloadClass};
use bench_transport::{CallResult, Caller, Connecting, Failure};
use std::time::{Duration, Instant};

const ORDERS: u64 = 10_000;
const IN_FLIGHT: usize = 32;

on_every_hop![
    every_order_is_answered_with_its_receipt_in_protobuf,
    every_order_is_answered_with_its_receipt_in_json,
    blobs_come_back_as_they_went,
    bodies_larger_than_any_buffer_on_the_way_come_back,
    answers_find_their_calls_when_some_handlers_are_slow,
    fewer_connections_than_calls_carry_them_all,
    a_connection_for_each_call_carries_every_order,
    what_is_left_to_the_libraries_carries_every_order,
    a_refused_order_is_refused_with_the_reason,
    a_failed_order_is_a_failure_of_the_service,
    an_order_turned_away_by_a_full_service_was_never_delivered_and_has_a_name_of_its_own,
    a_panicking_handler_fails_its_order_alone,
    an_order_without_a_stamp_is_served,
    what_is_not_an_order_is_the_services_failure_and_the_next_order_goes_through,
    a_body_over_the_limit_is_turned_away_and_the_next_order_goes_through,
    past_the_deadline_the_call_has_timed_out_but_the_order_is_finished,
    stopping_finishes_what_was_accepted,
    a_service_that_went_away_fails_calls_by_name_until_it_is_back,
    connecting_to_nobody_says_so,
];

fn every_order_is_answered_with_its_receipt_in_protobuf<H: Hop>() {
    every_order_is_answered_with_its_receipt::<H>(Format::Protobuf);
}

fn every_order_is_answered_with_its_receipt_in_json<H: Hop>() {
    every_order_is_answered_with_its_receipt::<H>(Format::Json);
}

fn every_order_is_answered_with_its_receipt<H: Hop>(format: Format) {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(format);
        let (shop, listener, caller) = open::<H>(&service, &mut settings).await;
        let ledger = carry(&caller, PayloadClass::Order(3), ORDERS, IN_FLIGHT).await;
        let balance = shop.balance(ledger);
        assert!(balance.identity_holds(), "{balance:?}");
        assert_eq!((balance.attempted, balance.acknowledged), (ORDERS, ORDERS));
        assert_eq!(balance.delivered, Some(ORDERS), "{balance:?}");
        assert_eq!((balance.lost, balance.duplicated), (Some(0), Some(0)));
        assert_eq!((balance.recovered, balance.unexpected), (Some(0), Some(0)));
        let counters = caller.counters();
        assert_eq!((counters.reconnects, counters.unknown), (0, 0));
        assert!(counters.connects <= 4, "{counters:?}");
        assert_eq!(caller.in_force()["tcp.nodelay"], "true");
        drop(caller);
        listener.stop().await;
    });
}

fn blobs_come_back_as_they_went<H: Hop>() {
    between_two_ends(async |service| {
        for format in [Format::Json, Format::Protobuf] {
            let mut settings = settings::<H>(format);
            let (shop, _listener, caller) = open::<H>(&service, &mut settings).await;
            for class in [
                PayloadClass::Empty,
                PayloadClass::Text(1_024),
                PayloadClass::Ints,
                PayloadClass::Doubles,
                PayloadClass::Bytes(20 << 10),
            ] {
                let ledger = carry_blobs(&caller, class).await;
                assert_eq!(ledger, 100, "{class:?} in {format:?}");
            }
            assert_eq!(shop.rejections(), Default::default());
        }
    });
}

async fn carry_blobs<C: Caller>(caller: &C, class: PayloadClass) -> u64 {
    carry(caller, class, 100, 8).await.acknowledged.len()
}

fn bodies_larger_than_any_buffer_on_the_way_come_back<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Protobuf);
        settings.max_body = 4 << 20;
        settings.connections = 1;
        let (shop, _listener, caller) = open::<H>(&service, &mut settings).await;
        let ledger = carry(&caller, PayloadClass::Text(2 << 20), 8, 4).await;
        assert_eq!(ledger.acknowledged.len(), 8);
        assert_eq!(shop.rejections(), Default::default());
    });
}

fn answers_find_their_calls_when_some_handlers_are_slow<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Protobuf);
        settings.connections = 1;
        let (shop, _listener, caller) = open::<H>(&service, &mut settings).await;
        shop.pace(Pace::Odd(Duration::from_millis(2)));
        let ledger = carry(&caller, PayloadClass::Order(3), 500, IN_FLIGHT).await;
        assert_eq!(ledger.acknowledged.len(), 500);
    });
}

fn fewer_connections_than_calls_carry_them_all<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Protobuf);
        settings.connections = 2;
        let (shop, _listener, caller) = open::<H>(&service, &mut settings).await;
        shop.pace(Pace::Every(Duration::from_millis(1)));
        let ledger = carry(&caller, PayloadClass::Order(3), 500, IN_FLIGHT).await;
        assert_eq!(ledger.acknowledged.len(), 500);
        assert_eq!(caller.counters().connects, 2);
    });
}

fn a_connection_for_each_call_carries_every_order<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Protobuf);
        settings.connecting = Connecting::PerCall;
        settings.connections = IN_FLIGHT;
        let (shop, listener, caller) = open::<H>(&service, &mut settings).await;
        let ledger = carry(&caller, PayloadClass::Order(3), 500, IN_FLIGHT).await;
        let balance = shop.balance(ledger);
        assert_eq!((balance.acknowledged, balance.delivered), (500, Some(500)));
        assert_eq!((balance.lost, balance.duplicated), (Some(0), Some(0)));
        let counters = caller.counters();
        // One beside them showed that somebody listens. None was lost: each ended with its call.
        assert_eq!((counters.connects, counters.reconnects), (501, 0));
        assert_eq!(counters.unknown, 0);
        assert_eq!(caller.in_force()["connecting"], "per-call");
        drop(caller);
        listener.stop().await;
    });
}

fn what_is_left_to_the_libraries_carries_every_order<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Protobuf);
        settings.library_defaults = true;
        let (shop, listener, caller) = open::<H>(&service, &mut settings).await;
        // Few: where Nagle waits for a delayed ACK, a call takes 40 ms and more.
        let ledger = carry(&caller, PayloadClass::Order(3), 64, IN_FLIGHT).await;
        let balance = shop.balance(ledger);
        assert_eq!((balance.acknowledged, balance.delivered), (64, Some(64)));
        let left = H::NAME == "tcp" || H::NAME.starts_with("rest");
        assert_eq!(
            listener.in_force["tcp.nodelay"].contains("Nagle is on"),
            left
        );
        let nodelay = (H::NAME != "tcp").to_string();
        assert_eq!(caller.in_force()["tcp.nodelay"], nodelay);
    });
}

fn a_refused_order_is_refused_with_the_reason<H: Hop>() {
    between_two_ends(async |service| {
        for format in [Format::Json, Format::Protobuf] {
            let mut settings = settings::<H>(format);
            let (_shop, _listener, caller) = open::<H>(&service, &mut settings).await;
            let (order, reason) = bad_order(0);
            let outcome = place(&caller, order, Some(stamp(0))).await;
            match outcome.result {
                CallResult::Refused(text) => assert_eq!(text, reason),
                other => panic!("expected a refusal, got {other:?}"),
            }
            place_well(&caller, 1).await;
        }
    });
}

fn failure(result: CallResult) -> Failure {
    match result {
        CallResult::Failed(failure) => failure,
        other => panic!("expected a failure, got {other:?}"),
    }
}

fn a_failed_order_is_a_failure_of_the_service<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Json);
        let (shop, _listener, caller) = open::<H>(&service, &mut settings).await;
        shop.pace(Pace::Fails);
        let outcome = place(&caller, good_order(0), Some(stamp(0))).await;
        let failure = failure(outcome.result);
        assert!(failure.by_service, "{failure:?}");
        assert_eq!(failure.text, "this shop fails");
        let name = match H::NAME {
            "tcp" => "failed",
            "grpc" => "Internal",
            _ => "status-500",
        };
        assert_eq!(failure.name, name);
        assert_eq!(shop.rejections(), Default::default());
    });
}

fn an_order_turned_away_by_a_full_service_was_never_delivered_and_has_a_name_of_its_own<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Json);
        let (shop, _listener, caller) = open::<H>(&service, &mut settings).await;
        shop.pace(Pace::Full);
        let outcome = place(&caller, good_order(0), Some(stamp(0))).await;
        let failure = failure(outcome.result);
        assert!(failure.by_service, "{failure:?}");
        assert_eq!(failure.text, "this shop is full");
        let name = match H::NAME {
            "tcp" => "overloaded",
            "grpc" => "ResourceExhausted",
            _ => "status-503",
        };
        assert_eq!(failure.name, name);
        assert_eq!(shop.delivered(), 0);
        // It is no fault of the request, and the next one finds room.
        assert_eq!(shop.rejections(), Default::default());
        shop.pace(Pace::AtOnce);
        place_well(&caller, 1).await;
    });
}

fn a_panicking_handler_fails_its_order_alone<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Json);
        let (shop, listener, caller) = open::<H>(&service, &mut settings).await;
        shop.pace(Pace::Panics);
        let outcome = place(&caller, good_order(0), Some(stamp(0))).await;
        assert!(failure(outcome.result).by_service);
        shop.pace(Pace::AtOnce);
        place_well(&caller, 1).await;
        assert_eq!(caller.counters().reconnects, 0);
        drop(caller);
        listener.stop().await;
    });
}

fn an_order_without_a_stamp_is_served<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Json);
        let (shop, _listener, caller) = open::<H>(&service, &mut settings).await;
        let outcome = place(&caller, good_order(0), None).await;
        assert!(matches!(outcome.result, CallResult::Acknowledged(Some(_))));
        assert_eq!((shop.finished(), shop.delivered()), (1, 0));
    });
}

fn what_is_not_an_order_is_the_services_failure_and_the_next_order_goes_through<H: Hop>() {
    between_two_ends(async |service| {
        for (format, body) in [
            (Format::Protobuf, &[0xff_u8; 20][..]),
            (Format::Json, b"{\"order_id\": 7"),
        ] {
            let mut settings = settings::<H>(format);
            let (shop, _listener, caller) = open::<H>(&service, &mut settings).await;
            let garbage = body.to_vec().into();
            let call = caller.call(bench_proto::Kind::Order, "", garbage, Some(stamp(0)));
            let failure = failure(call.await.result);
            assert!(failure.by_service, "{failure:?}");
            let (name, counted) = match H::NAME {
                "tcp" => ("rejected", "tcp malformed"),
                "grpc" => ("Internal", "grpc malformed"),
                _ => ("status-400", "rest malformed"),
            };
            assert_eq!(failure.name, name);
            assert_eq!(shop.rejections(), [(counted.to_string(), 1)].into());
            place_well(&caller, 1).await;
            assert_eq!(shop.delivered(), 1);
        }
    });
}

fn a_body_over_the_limit_is_turned_away_and_the_next_order_goes_through<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Protobuf);
        let (shop, _listener, caller) = open::<H>(&service, &mut settings).await;
        let blob = Blob {
            payload: "x".repeat(settings.max_body + 1),
            ..Blob::default()
        };
        let body = Format::Protobuf.encode(&blob);
        let call = caller.call(bench_proto::Kind::Blob, "", body, Some(stamp(0)));
        let failure = failure(call.await.result);
        let (name, counted) = match H::NAME {
            "tcp" => ("rejected", "tcp oversized"),
            "grpc" => ("OutOfRange", "grpc oversized"),
            _ => ("status-413", "rest oversized"),
        };
        assert_eq!(failure.name, name, "{failure:?}");
        assert!(failure.by_service);
        assert_eq!(shop.rejections(), [(counted.to_string(), 1)].into());
        come_back(&caller, 1).await;
        assert_eq!(shop.delivered(), 1);
    });
}

/// Places a good order until it goes through, as it may only do on a new connection.
async fn come_back<C: Caller>(caller: &C, sequence: u64) {
    let start = Instant::now();
    loop {
        let outcome = place(caller, good_order(sequence), Some(stamp(sequence))).await;
        if let CallResult::Acknowledged(Some(_)) = outcome.result {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "never came back: {outcome:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn past_the_deadline_the_call_has_timed_out_but_the_order_is_finished<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Protobuf);
        settings.deadline = Duration::from_millis(100);
        settings.connections = 1;
        let (shop, listener, caller) = open::<H>(&service, &mut settings).await;
        shop.pace(Pace::Every(Duration::from_millis(400)));
        let outcome = place(&caller, good_order(0), Some(stamp(0))).await;
        assert!(
            matches!(outcome.result, CallResult::TimedOut),
            "{outcome:?}"
        );
        assert!(outcome.sent_ns.is_some());
        assert_eq!(caller.counters().unknown, 1);
        eventually("the order is finished all the same", || {
            shop.finished() == 1
        })
        .await;
        assert_eq!(shop.delivered(), 1);
        shop.pace(Pace::AtOnce);
        come_back(&caller, 1).await;
        drop(caller);
        listener.stop().await;
    });
}

fn stopping_finishes_what_was_accepted<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Protobuf);
        let (shop, listener, caller) = open::<H>(&service, &mut settings).await;
        shop.pace(Pace::Every(Duration::from_millis(200)));
        let call = tokio::task::spawn_local({
            let caller = caller.clone();
            async move { place_well(&caller, 0).await }
        });
        eventually("the order is with its handler", || shop.delivered() == 1).await;
        listener.stop().await;
        assert_eq!(shop.finished(), 1, "stopped with an order unfinished");
        call.await.unwrap();
    });
}

fn a_service_that_went_away_fails_calls_by_name_until_it_is_back<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Protobuf);
        settings.connections = 2;
        let (shop, listener, caller) = open::<H>(&service, &mut settings).await;
        for sequence in 0..4 {
            place_well(&caller, sequence).await;
        }
        listener.stop().await;
        for sequence in 4..10 {
            let outcome = place(&caller, good_order(sequence), Some(stamp(sequence))).await;
            let failure = failure(outcome.result);
            assert!(!failure.by_service, "{failure:?}");
            assert!(
                ["connect", "closed"].contains(&&*failure.name),
                "{failure:?}"
            );
        }
        assert_eq!(shop.delivered(), 4);
        let listener = serve::<H>(&service, &mut settings, &shop).await;
        come_back(&caller, 10).await;
        for sequence in 11..15 {
            come_back(&caller, sequence).await;
        }
        assert!(caller.counters().reconnects >= 1, "{:?}", caller.counters());
        assert_eq!(shop.delivered(), 9);
        drop(caller);
        listener.stop().await;
    });
}

fn connecting_to_nobody_says_so<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = settings::<H>(Format::Protobuf);
        let listener = serve::<H>(&service, &mut settings, &Shop::default()).await;
        listener.stop().await;
        let error = H::connect(&settings).await.err().expect("nobody is there");
        let text = error.to_string();
        assert!(text.contains(&settings.target), "{text}");
        assert!(text.contains("refused"), "{text}");
    });
}
