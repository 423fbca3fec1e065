//! The synchronous transports over TLS 1.3: they carry the same orders, say what was negotiated, and whoever comes with
//! the wrong CA, to the wrong name or without TLS is told so. Certificates are made for each test.

use crate::on_every_hop;
use crate::support::hops::{Hop, open, serve, settings};
use crate::support::{PATIENCE, Pace, Shop};
use crate::support::{between_two_ends, carry, eventually, good_order, place, place_well, stamp};
use bench_certificate::Authority;
use bench_proto::{Format, PayloadClass};
use bench_transport::{CallResult, Caller, Identity, Settings, Tls};
use std::time::Duration;

const ORDERS: u64 = 2_000;

on_every_hop![
    every_order_is_answered_and_what_was_negotiated_is_read_back,
    bodies_of_many_records_come_back,
    stopping_finishes_what_was_accepted,
    after_a_cut_a_new_connection_is_encrypted_too,
    a_wrong_ca_is_refused_with_a_sentence,
    a_certificate_for_another_name_is_refused_with_a_sentence,
    plaintext_to_a_tls_port_is_turned_away_with_a_sentence,
    tls_to_a_plaintext_port_is_told_so,
    a_listener_without_a_certificate_says_what_it_needs,
];

/// Settings of both ends with a CA of their own.
fn encrypted<H: Hop>() -> Settings {
    let authority = Authority::new().unwrap();
    let issued = authority.issue().unwrap();
    Settings {
        tls: Some(Tls {
            ca: Some(authority.certificate().into()),
            identity: Some(Identity {
                certificate: issued.certificate,
                key: issued.key,
            }),
        }),
        ..settings::<H>(Format::Protobuf)
    }
}

fn every_order_is_answered_and_what_was_negotiated_is_read_back<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = encrypted::<H>();
        let (shop, listener, caller) = open::<H>(&service, &mut settings).await;
        let ledger = carry(&caller, PayloadClass::Order(3), ORDERS, 32).await;
        let balance = shop.balance(ledger);
        assert!(balance.identity_holds(), "{balance:?}");
        assert_eq!((balance.attempted, balance.acknowledged), (ORDERS, ORDERS));
        assert_eq!(balance.delivered, Some(ORDERS), "{balance:?}");
        assert_eq!((balance.lost, balance.duplicated), (Some(0), Some(0)));
        let in_force = caller.in_force();
        let protocol = match H::NAME {
            "tcp" => "none",
            "rest h1" => "http/1.1",
            _ => "h2",
        };
        for (name, value) in [
            ("tls", "TLSv1_3"),
            ("tls.cipher", "TLS13_AES_256_GCM_SHA384"),
            ("tls.key_exchange", "X25519"),
            ("tls.alpn", protocol),
            ("tls.resumption", "off"),
            ("tcp.nodelay", "true"),
        ] {
            assert_eq!(in_force[name], value, "{name}");
        }
        assert_eq!(listener.in_force["tls"], "1.3");
        assert!(caller.counters().connects <= 4);
        drop(caller);
        listener.stop().await;
        assert_eq!(shop.rejections(), Default::default());
    });
}

fn bodies_of_many_records_come_back<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = encrypted::<H>();
        settings.max_body = 4 << 20;
        settings.connections = 1;
        let (_shop, _listener, caller) = open::<H>(&service, &mut settings).await;
        let ledger = carry(&caller, PayloadClass::Text(2 << 20), 8, 4).await;
        assert_eq!(ledger.acknowledged.len(), 8);
    });
}

fn stopping_finishes_what_was_accepted<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = encrypted::<H>();
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

fn after_a_cut_a_new_connection_is_encrypted_too<H: Hop>() {
    between_two_ends(async |service| {
        let mut settings = encrypted::<H>();
        settings.connections = 1;
        let (shop, listener, caller) = open::<H>(&service, &mut settings).await;
        place_well(&caller, 0).await;
        listener.stop().await;
        let _listener = serve::<H>(&service, &mut settings, &shop).await;
        let placing = async {
            loop {
                let outcome = place(&caller, good_order(1), Some(stamp(1))).await;
                if let CallResult::Acknowledged(Some(_)) = outcome.result {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, placing).await.unwrap();
        assert_eq!(shop.delivered(), 2);
        assert_eq!(caller.counters().reconnects, 1);
        // The listener speaks nothing else: a plaintext call would have been turned away.
        assert_eq!(shop.rejections().get("tcp plaintext"), None);
    });
}

async fn refused<H: Hop>(settings: &Settings) -> String {
    let error = H::connect(settings).await.err().expect("no agreement");
    error.to_string()
}

fn transport<H: Hop>() -> &'static str {
    H::NAME.split(' ').next().unwrap()
}

fn a_wrong_ca_is_refused_with_a_sentence<H: Hop>() {
    between_two_ends(async |service| {
        let (shop, mut serving) = (Shop::default(), encrypted::<H>());
        let _listener = serve::<H>(&service, &mut serving, &shop).await;
        let mut calling = encrypted::<H>();
        calling.target = serving.target.clone();
        let text = refused::<H>(&calling).await;
        assert!(text.contains(&serving.target), "{text}");
        assert!(
            text.contains("signed by no CA that this end believes"),
            "{text}"
        );
        let counted = format!("{} handshake", transport::<H>());
        eventually("the failed handshake is counted", || {
            shop.rejections().contains_key(&counted)
        })
        .await;
    });
}

fn a_certificate_for_another_name_is_refused_with_a_sentence<H: Hop>() {
    between_two_ends(async |service| {
        let (shop, mut settings) = (Shop::default(), encrypted::<H>());
        settings.target = "127.0.0.2:0".into();
        let _listener = serve::<H>(&service, &mut settings, &shop).await;
        let text = refused::<H>(&settings).await;
        assert!(text.contains("for another name"), "{text}");
    });
}

fn plaintext_to_a_tls_port_is_turned_away_with_a_sentence<H: Hop>() {
    between_two_ends(async |service| {
        let (shop, mut settings) = (Shop::default(), encrypted::<H>());
        let _listener = serve::<H>(&service, &mut settings, &shop).await;
        let plain = Settings {
            tls: None,
            deadline: Duration::from_secs(5),
            ..settings.clone()
        };
        // In the clear nothing is said before the first call; grpc's channel may notice at once. Often, as over HTTP/2 the
        // goodbye may come just before the call.
        for _ in 0..20 {
            let text = match H::connect(&plain).await {
                Err(error) => error.to_string(),
                Ok(caller) => {
                    let outcome = place(&caller, good_order(0), Some(stamp(0))).await;
                    match outcome.result {
                        CallResult::Failed(failure) => failure.text,
                        other => panic!("expected a failure, got {other:?}"),
                    }
                }
            };
            assert!(text.contains("this port speaks TLS"), "{text}");
        }
        let counted = format!("{} plaintext", transport::<H>());
        eventually("the plaintext connection is counted", || {
            shop.rejections().contains_key(&counted)
        })
        .await;
        assert_eq!(shop.delivered(), 0);
        let caller = H::connect(&settings).await.unwrap();
        place_well(&caller, 1).await;
    });
}

fn tls_to_a_plaintext_port_is_told_so<H: Hop>() {
    between_two_ends(async |service| {
        let encrypted = encrypted::<H>();
        let mut plain = settings::<H>(Format::Protobuf);
        let _listener = serve::<H>(&service, &mut plain, &Shop::default()).await;
        let calling = Settings {
            target: plain.target.clone(),
            ..encrypted
        };
        let text = refused::<H>(&calling).await;
        assert!(
            text.contains("plaintext port") || text.contains("is it a TLS port?"),
            "{text}"
        );
    });
}

fn a_listener_without_a_certificate_says_what_it_needs<H: Hop>() {
    between_two_ends(async |_service| {
        let mut settings = encrypted::<H>();
        settings.tls.as_mut().unwrap().identity = None;
        let error = H::serve(settings, Shop::default()).await.err().unwrap();
        assert!(error.to_string().contains("--certificate FILE"), "{error}");
    });
}
