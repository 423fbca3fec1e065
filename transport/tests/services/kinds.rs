//! The kinds of call in which operations share a request: whatever they share, each order is delivered exactly once,
//! answered once, and spared by the fate of its neighbours.

use crate::support::hops::{Grpc, Hop, RestH1, RestH2, open, serve, settings};
use crate::support::{
    PATIENCE, Pace, Shop, bad_order, between_two_ends, eventually, good_order, place, stamp,
};
use bench_proto::format::Answer;
use bench_proto::ledger::Balance;
use bench_proto::validate::validate;
use bench_proto::{CallerLedger, Format};
use bench_transport::rest::RestCaller;
use bench_transport::{CallKind, CallResult, Caller, Outcome, Settings, Transport};
use std::time::{Duration, Instant};

const ORDERS: u64 = 1_000;
const IN_FLIGHT: u64 = 100;
/// Every so manieth order is one that the service refuses.
const BAD: u64 = 10;

/// Every kind with both formats where there is a choice.
fn on_every_kind(test: impl AsyncFn(tokio::runtime::Handle, Kinds) + Copy) {
    let grpc = [CallKind::Client, CallKind::Server, CallKind::Bidi];
    for kind in grpc {
        between_two_ends(async |service| {
            test(service, Kinds::Grpc(shared::<Grpc>(kind, Format::Protobuf))).await;
        });
    }
    for format in [Format::Json, Format::Protobuf] {
        between_two_ends(async |service| {
            let h1 = shared::<RestH1>(CallKind::List, format);
            test(service.clone(), Kinds::RestH1(h1)).await;
            let h2 = shared::<RestH2>(CallKind::List, format);
            test(service, Kinds::RestH2(h2)).await;
        });
    }
}

/// Settings of a hop whose operations share requests.
enum Kinds {
    Grpc(Settings),
    RestH1(Settings),
    RestH2(Settings),
}

fn shared<H: Hop>(kind: CallKind, format: Format) -> Settings {
    Settings {
        kind,
        batch: 32,
        max_body: 1 << 20,
        ..settings::<H>(format)
    }
}

/// Runs a generic function with the hop of the kind.
macro_rules! with_hop {
    ($kinds:expr, $test:ident($service:expr)) => {
        match $kinds {
            Kinds::Grpc(settings) => $test::<Grpc>($service, settings).await,
            Kinds::RestH1(settings) => $test::<RestH1>($service, settings).await,
            Kinds::RestH2(settings) => $test::<RestH2>($service, settings).await,
        }
    };
}

fn is_bad(sequence: u64) -> bool {
    sequence % BAD == BAD - 1
}

/// Places one order, good or bad, and checks what comes by value.
async fn place_one<C: Caller>(caller: C, sequence: u64) -> Outcome {
    let (good, (bad, reason)) = (good_order(sequence), bad_order(sequence));
    let receipt = validate(&good).unwrap();
    let order = if is_bad(sequence) { bad } else { good };
    let outcome = place(&caller, order, Some(stamp(sequence))).await;
    match &outcome.result {
        CallResult::Acknowledged(answer) => {
            assert!(outcome.sent_ns.is_some(), "{outcome:?}");
            assert!(!is_bad(sequence));
            if let Some(answer) = answer {
                assert_eq!(*answer, Answer::Receipt(receipt));
            }
        }
        CallResult::Refused(text) => assert_eq!(*text, reason),
        CallResult::Failed(_) | CallResult::TimedOut => {}
    }
    outcome
}

/// Places so many orders, [`IN_FLIGHT`] at a time, and accounts for each.
async fn place_many<C: Caller>(caller: &C, orders: std::ops::Range<u64>) -> CallerLedger {
    let mut ledger = CallerLedger::default();
    let all: Vec<u64> = orders.collect();
    for chunk in all.chunks(IN_FLIGHT as usize) {
        let calls: Vec<_> = chunk
            .iter()
            .map(|sequence| {
                let (caller, sequence) = (caller.clone(), *sequence);
                (
                    sequence,
                    tokio::task::spawn_local(place_one(caller, sequence)),
                )
            })
            .collect();
        for (sequence, call) in calls {
            ledger.attempted += 1;
            match call.await.unwrap().result {
                CallResult::Acknowledged(_) => {
                    ledger.acknowledged.insert(sequence);
                }
                CallResult::Refused(_) => {
                    ledger.rejected.insert(sequence);
                    ledger.refused += 1;
                }
                CallResult::Failed(failure) => {
                    if failure.by_service {
                        ledger.rejected.insert(sequence);
                    }
                    ledger.failed += 1;
                }
                CallResult::TimedOut => ledger.timed_out += 1,
            }
        }
    }
    ledger
}

async fn exactly_once<H: Hop>(service: tokio::runtime::Handle, mut settings: Settings) {
    let (shop, listener, caller) = open::<H>(&service, &mut settings).await;
    let ledger = place_many(&caller, 0..ORDERS).await;
    let refused = ORDERS / BAD;
    let expected = Balance {
        attempted: ORDERS,
        acknowledged: ORDERS - refused,
        refused,
        delivered: Some(ORDERS),
        lost: Some(0),
        duplicated: Some(0),
        recovered: Some(0),
        unexpected: Some(0),
        reordered: shop.balance(ledger.clone()).reordered,
        ..Balance::default()
    };
    assert_eq!(
        shop.balance(ledger),
        expected,
        "{} {}",
        H::NAME,
        settings.kind
    );
    let requests = caller.counters().shared_requests;
    if settings.kind.gathers() {
        assert!(requests >= ORDERS.div_ceil(settings.batch as u64));
        assert!(requests < ORDERS, "operations share requests: {requests}");
    } else {
        assert_eq!(
            requests, settings.connections as u64,
            "a stream per channel"
        );
    }
    assert_eq!(caller.in_force()["kind"], settings.kind.name());
    drop(caller);
    listener.stop().await;
}

#[test]
fn every_order_is_delivered_exactly_once_and_a_refusal_spares_the_rest() {
    on_every_kind(async |service, kinds| with_hop!(kinds, exactly_once(service)));
}

async fn failing<H: Hop>(service: tokio::runtime::Handle, mut settings: Settings) {
    let (shop, listener, caller) = open::<H>(&service, &mut settings).await;
    shop.pace(Pace::Fails);
    let outcome = place_one(caller.clone(), 0).await;
    let CallResult::Failed(failure) = outcome.result else {
        panic!("expected a failure, got {outcome:?}");
    };
    assert!(failure.by_service);
    assert_eq!(failure.text, "this shop fails");
    shop.pace(Pace::Panics);
    let outcome = place_one(caller.clone(), 1).await;
    assert!(
        matches!(&outcome.result, CallResult::Failed(failure) if failure.by_service),
        "{outcome:?}"
    );
    shop.pace(Pace::AtOnce);
    let ledger = place_many(&caller, 2..5).await;
    assert_eq!(ledger.acknowledged.len(), 3, "the connection lives on");
    drop(caller);
    listener.stop().await;
}

#[test]
fn a_failed_order_is_the_services_word_and_the_next_goes_through() {
    on_every_kind(async |service, kinds| with_hop!(kinds, failing(service)));
}

async fn late<H: Hop>(service: tokio::runtime::Handle, mut settings: Settings) {
    settings.deadline = Duration::from_millis(200);
    let (shop, listener, caller) = open::<H>(&service, &mut settings).await;
    shop.pace(Pace::Odd(Duration::from_secs(1)));
    let outcome = place_one(caller.clone(), 1).await;
    assert!(
        matches!(outcome.result, CallResult::TimedOut),
        "{outcome:?}"
    );
    assert_eq!(caller.counters().unknown, 1);
    // What the service accepted it finishes, and the ledger then knows it.
    eventually("the late order is finished", || shop.finished() == 1).await;
    assert_eq!(shop.delivered(), 1);
    drop(caller);
    listener.stop().await;
}

#[test]
fn a_call_past_its_deadline_is_unknown_and_its_order_is_finished_all_the_same() {
    on_every_kind(async |service, kinds| with_hop!(kinds, late(service)));
}

async fn away_and_back<H: Hop>(service: tokio::runtime::Handle, mut settings: Settings) {
    settings.connections = 2;
    let (shop, listener, caller) = open::<H>(&service, &mut settings).await;
    let ledger = place_many(&caller, 0..8).await;
    assert_eq!(ledger.acknowledged.len(), 8);
    listener.stop().await;
    for sequence in 10..14 {
        let outcome = place(&caller, good_order(sequence), Some(stamp(sequence))).await;
        let CallResult::Failed(failure) = outcome.result else {
            panic!("expected a failure, got {outcome:?}");
        };
        assert!(!failure.by_service, "{failure:?}");
        assert!(
            ["connect", "closed"].contains(&&*failure.name),
            "{failure:?}"
        );
    }
    assert_eq!(shop.delivered(), 8);
    let listener = serve::<H>(&service, &mut settings, &shop).await;
    let start = Instant::now();
    loop {
        let outcome = place_one(caller.clone(), 20).await;
        if matches!(outcome.result, CallResult::Acknowledged(_)) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "never came back: {outcome:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(caller);
    listener.stop().await;
}

#[test]
fn a_service_that_went_away_fails_calls_by_name_until_it_is_back() {
    on_every_kind(async |service, kinds| with_hop!(kinds, away_and_back(service)));
}

#[test]
fn a_kind_that_a_transport_does_not_have_is_refused_with_those_that_it_has() {
    between_two_ends(async |service| {
        let mut plain = settings::<RestH1>(Format::Json);
        let listener = serve::<RestH1>(&service, &mut plain, &Shop::default()).await;
        plain.kind = CallKind::Bidi;
        let error = RestH1::connect(&plain).await.expect_err("refused");
        assert!(error.to_string().contains("unary, list"), "{error}");
        assert!(Transport::Grpc.offers(CallKind::List).is_err());
        listener.stop().await;
    });
}

async fn the_catalogue_comes<H: Hop<Caller = RestCaller>>(service: &tokio::runtime::Handle) {
    let mut settings = settings::<H>(Format::Json);
    let (shop, listener, caller) = open::<H>(service, &mut settings).await;
    for _ in 0..3 {
        let outcome = caller.catalog().await;
        let came = matches!(outcome.result, CallResult::Acknowledged(None));
        assert!(
            came && outcome.sent_ns.is_some() && outcome.body_in > 0,
            "{outcome:?}"
        );
    }
    assert_eq!(shop.delivered(), 0, "it is no order");
    drop(caller);
    listener.stop().await;
}

#[test]
fn the_catalogue_comes_over_both_versions_of_http_and_is_no_order() {
    between_two_ends(async |service| {
        the_catalogue_comes::<RestH1>(&service).await;
        the_catalogue_comes::<RestH2>(&service).await;
    });
}
