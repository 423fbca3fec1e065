//! gRPC as people deploy it: tonic's own channels under the caller, counted, cut and encrypted like every connection.

use crate::support::hops::{Grpc, Hop, open, serve, settings};
use crate::support::{PATIENCE, between_two_ends, carry, good_order, place, place_well, stamp};
use bench_certificate::Authority;
use bench_proto::{Format, PayloadClass};
use bench_transport::grpc::GrpcCaller;
use bench_transport::{CallKind, CallResult, Caller, Connecting, Identity, Settings, Tls};
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

const ORDERS: u64 = 500;

fn deployed() -> Settings {
    Settings {
        library_defaults: true,
        connections: 2,
        ..settings::<Grpc>(Format::Protobuf)
    }
}

/// What a caller says that it is, as a plain HTTP/2 server hears it.
async fn user_agent(mut settings: Settings) -> Option<HeaderValue> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    settings.target = listener.local_addr().unwrap().to_string();
    settings.connections = 1;
    let heard = Arc::new(Mutex::new(None));
    let hearing = heard.clone();
    tokio::task::spawn_local(async move {
        let answer = service_fn(move |request: Request<Incoming>| {
            *hearing.lock().unwrap() = request.headers().get("user-agent").cloned();
            let answer = Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", "13");
            std::future::ready(answer.body(Full::new(Bytes::new())))
        });
        let (stream, _) = listener.accept().await.unwrap();
        let server = http2::Builder::new(TokioExecutor::new());
        // It ends with the caller.
        let _ = server.serve_connection(TokioIo::new(stream), answer).await;
    });
    let caller = Grpc::connect(&settings).await.unwrap();
    let outcome = place(&caller, good_order(0), None).await;
    let CallResult::Failed(failure) = &outcome.result else {
        panic!("expected status 13, got {outcome:?}");
    };
    assert!(failure.by_service, "{failure:?}");
    heard.lock().unwrap().take()
}

#[test]
fn tonics_own_channel_names_itself_and_ours_does_not() {
    between_two_ends(async |_| {
        let agent = user_agent(deployed()).await.expect("tonic says who it is");
        assert!(agent.to_str().unwrap().starts_with("tonic/"), "{agent:?}");
        let matched = Settings {
            library_defaults: false,
            ..deployed()
        };
        assert_eq!(user_agent(matched).await, None);
    });
}

#[test]
fn whose_the_channels_are_is_said() {
    between_two_ends(async |service| {
        for (library_defaults, connecting, whose) in [
            (true, Connecting::Kept, "tonic's own"),
            (false, Connecting::Kept, "our own"),
            (true, Connecting::PerCall, "our own"),
        ] {
            let mut settings = Settings {
                library_defaults,
                connecting,
                ..deployed()
            };
            let (_shop, _listener, caller) = open::<Grpc>(&service, &mut settings).await;
            let channel = caller.in_force()["channel"].clone();
            assert!(channel.starts_with(whose), "{channel}");
        }
    });
}

/// Every order goes over the two connections that were opened at first.
async fn every_order_is_carried(service: &tokio::runtime::Handle, mut settings: Settings) {
    let (shop, listener, caller) = open::<Grpc>(service, &mut settings).await;
    let ledger = carry(&caller, PayloadClass::Order(3), ORDERS, 32).await;
    let balance = shop.balance(ledger);
    assert!(balance.identity_holds(), "{balance:?}");
    assert_eq!(
        (balance.acknowledged, balance.delivered),
        (ORDERS, Some(ORDERS))
    );
    assert_eq!((balance.lost, balance.duplicated), (Some(0), Some(0)));
    let counters = caller.counters();
    assert_eq!((counters.connects, counters.reconnects), (2, 0));
    assert_eq!(counters.unknown, 0);
    let tls = if settings.tls.is_some() {
        "TLSv1_3"
    } else {
        "off"
    };
    assert_eq!(caller.in_force()["tls"], tls);
    drop(caller);
    listener.stop().await;
}

#[test]
fn calls_and_streams_go_over_tonics_channels() {
    between_two_ends(async |service| {
        for kind in [CallKind::Unary, CallKind::Client] {
            let settings = Settings { kind, ..deployed() };
            every_order_is_carried(&service, settings).await;
        }
    });
}

#[test]
fn tonics_channels_are_encrypted_like_every_connection() {
    let authority = Authority::new().unwrap();
    let issued = authority.issue().unwrap();
    let tls = Tls {
        ca: Some(authority.certificate().into()),
        identity: Some(Identity {
            certificate: issued.certificate,
            key: issued.key,
        }),
    };
    between_two_ends(async |service| {
        let settings = Settings {
            tls: Some(tls.clone()),
            ..deployed()
        };
        every_order_is_carried(&service, settings).await;
    });
}

/// Places a good order until it goes through.
async fn come_back(caller: &GrpcCaller, sequence: u64) {
    let coming = async {
        loop {
            let outcome = place(caller, good_order(sequence), Some(stamp(sequence))).await;
            if let CallResult::Acknowledged(Some(_)) = outcome.result {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let came = tokio::time::timeout(PATIENCE, coming).await;
    came.expect("the service is there again");
}

#[test]
fn a_cut_is_named_and_each_channel_comes_back_once() {
    between_two_ends(async |service| {
        let mut settings = deployed();
        let (shop, listener, caller) = open::<Grpc>(&service, &mut settings).await;
        for sequence in 0..4 {
            place_well(&caller, sequence).await;
        }
        listener.stop().await;
        for sequence in 4..10 {
            let outcome = place(&caller, good_order(sequence), Some(stamp(sequence))).await;
            let CallResult::Failed(failure) = &outcome.result else {
                panic!("expected a failure, got {outcome:?}");
            };
            assert!(!failure.by_service, "{failure:?}");
            assert!(
                ["connect", "closed"].contains(&&*failure.name),
                "{failure:?}"
            );
        }
        let listener = serve::<Grpc>(&service, &mut settings, &shop).await;
        for sequence in 10..14 {
            come_back(&caller, sequence).await;
        }
        let counters = caller.counters();
        assert_eq!((counters.connects, counters.reconnects), (4, 2));
        assert_eq!(shop.delivered(), 8);
        drop(caller);
        listener.stop().await;
    });
}
