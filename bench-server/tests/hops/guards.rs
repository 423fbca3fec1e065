//! What stands between a service and the troubles of its hops, by counts.

use super::*;

#[tokio::test]
async fn a_breaker_opens_after_its_share_and_the_hop_is_left_alone() {
    let stock = start(&["--rest", "127.0.0.1:0", "--slow", "fail=100%"]).await;
    let hop = format!("stock=rest:{},breaker=50%/10/60m", stock.rest());
    let checkout = calling(&[hop], &[]).await;
    assert_eq!(place_all(&checkout, 30).await, BTreeMap::from([(500, 30)]));
    let hop = &checkout.control().account().await.hops["stock"];
    identities_hold(hop);
    assert_eq!((hop.attempts, hop.refused_by_breaker), (10, 20));
    assert_eq!(hop.failed, BTreeMap::from([("status-500".to_owned(), 10)]));
    assert!(hop.breaker_ns.closed > 0 && hop.breaker_ns.open > 0);
    assert_eq!(progress(&stock).await.delivered, 10);
    // A new run begins with a closed breaker, also in the account.
    checkout.control().reset(&reset()).await;
    place_all(&checkout, 1).await;
    assert_eq!(checkout.control().account().await.hops["stock"].attempts, 1);
}

#[tokio::test]
async fn a_breaker_that_is_told_what_is_slow_opens_though_no_call_fails() {
    for (told, reached) in [(",slow-after=10ms", 10), ("", 30)] {
        let stock = start(&["--rest", "127.0.0.1:0", "--slow", "20ms"]).await;
        let hop = format!("stock=rest:{},breaker=50%/10/60m{told}", stock.rest());
        let checkout = calling(&[hop], &[]).await;
        place_all(&checkout, 30).await;
        let hop = &checkout.control().account().await.hops["stock"];
        identities_hold(hop);
        let ends = (hop.succeeded, hop.refused_by_breaker);
        assert_eq!(ends, (reached, 30 - reached), "{told}");
        assert!(hop.failed.is_empty() && hop.timed_out == 0, "{hop:?}");
        assert_eq!(hop.breaker_ns.open > 0, reached < 30);
        assert_eq!(progress(&stock).await.delivered, reached);
    }
}

#[tokio::test]
async fn a_bulkhead_sheds_what_is_over_it_and_carries_the_rest() {
    let stock = start(&["--grpc", "127.0.0.1:0"]).await;
    let address = &stock.ready.listeners["grpc"];
    let checkout = calling(&[format!("stock=grpc:{address},bulkhead=3")], &[]).await;
    stock.signal(Signal::SIGSTOP);
    let placed: Vec<_> = (0..10)
        .map(|sequence| placing(&checkout, sequence))
        .collect();
    until(&checkout, "what is over the bulkhead is shed", |account| {
        account.hops["stock"].shed == 7
    })
    .await;
    stock.signal(Signal::SIGCONT);
    let mut statuses = BTreeMap::new();
    for placed in placed {
        *statuses.entry(placed.await.unwrap()).or_insert(0) += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(200, 3), (500, 7)]));
    let hop = &checkout.control().account().await.hops["stock"];
    identities_hold(hop);
    assert_eq!((hop.succeeded, hop.shed), (3, 7));
    assert_eq!(progress(&stock).await.delivered, 3);
}

#[tokio::test]
async fn retries_are_attempts_beyond_the_calls_and_duplicates_at_the_hop() {
    const ORDERS: u64 = 10;
    for (options, retried) in [
        ("retries=3", 30),
        ("retries=3,backoff=1ms..2ms", 30),
        ("retries=3,budget=20%", 2),
    ] {
        let stock = start(&["--rest", "127.0.0.1:0", "--slow", "fail=100%"]).await;
        let hop = format!("stock=rest:{},{options}", stock.rest());
        let checkout = calling(&[hop], &[]).await;
        assert_eq!(
            place_all(&checkout, ORDERS).await,
            BTreeMap::from([(500, ORDERS)])
        );
        let hop = &checkout.control().account().await.hops["stock"];
        identities_hold(hop);
        assert_eq!(hop.attempts - hop.calls, retried, "{options}");
        assert_eq!(hop.retried, retried);
        let account = stock.control().account().await;
        assert_eq!(duplicated(&account, ORDERS), retried, "{options}");
        assert_eq!(account.effects.applied + account.effects.repeated, 0);
    }
}

#[tokio::test]
async fn an_idempotent_service_applies_an_order_once_however_often_it_comes() {
    const TIMES: u64 = 3;
    for (more, repeated, called) in [(&[][..], TIMES - 1, TIMES), (&["--idempotent"][..], 0, 1)] {
        let stock = start(&["--rest", "127.0.0.1:0"]).await;
        let hop = format!("stock=rest:{}", stock.rest());
        let checkout = calling(&[hop], more).await;
        let mut answers = Vec::new();
        for _ in 0..TIMES {
            answers.push(place(checkout.rest(), 7, &[]).await);
        }
        assert_eq!(answers[0].0, 200);
        answers.dedup();
        assert_eq!(answers.len(), 1, "the same receipt each time: {answers:?}");
        let account = checkout.control().account().await;
        let effects = account.effects;
        assert_eq!((effects.applied, effects.repeated), (1, repeated));
        assert_eq!(account.hops["stock"].calls, called);
        assert_eq!(account.progress.delivered, 1);
        assert_eq!(account.progress.completed, TIMES);
        assert_eq!(progress(&stock).await.completed, called);
    }
}
