//! Orders on their way through services that call services: ledgers, failures, deadlines, and what shares the workers.

use super::*;

#[tokio::test]
async fn a_chain_of_three_carries_every_order_to_its_end_with_its_stamp() {
    const ORDERS: u64 = 50;
    for (second, third) in [
        ("grpc", "rest"),
        ("rest", "grpc"),
        ("rest,http=h2", "tcp"),
        ("grpc,connections=3", "rest,format=protobuf,connections=2"),
    ] {
        let hop = |name: &str, how: &str, program: &Program| {
            let (transport, options) = how.split_once(',').unwrap_or((how, ""));
            let address = &program.ready.listeners[transport];
            let comma = if options.is_empty() { "" } else { "," };
            format!("{name}={transport}:{address}{comma}{options}")
        };
        let listener = |how: &str| format!("--{}", how.split(',').next().unwrap());
        let last = start(&[&listener(third), "127.0.0.1:0"]).await;
        let to_last = hop("last", third, &last);
        let middle = start(&[&listener(second), "127.0.0.1:0", "--next", &to_last]).await;
        let first = calling(&[hop("middle", second, &middle)], &[]).await;
        let settings = &first.ready.in_force["next middle"];
        assert_eq!(settings["hop.way"], "awaited");
        assert_eq!(settings["guard.retries"], "0");

        assert_eq!(
            place_all(&first, ORDERS).await,
            BTreeMap::from([(200, ORDERS)])
        );
        let mut accounts = Vec::new();
        for program in [&first, &middle, &last] {
            accounts.push(program.control().account().await);
        }
        for account in &accounts {
            assert_eq!(account.progress.delivered, ORDERS, "{second} {third}");
            assert_eq!(account.ledger, accounts[0].ledger, "the same Stamps");
            assert_eq!(account.effects.applied, ORDERS);
        }
        for (account, name) in accounts.iter().zip(["middle", "last"]) {
            let hop = &account.hops[name];
            identities_hold(hop);
            assert_eq!((hop.calls, hop.succeeded), (ORDERS, ORDERS));
            assert_eq!(account.hops.len(), 1);
        }
        assert!(accounts[2].hops.is_empty());
    }
}

#[tokio::test]
async fn a_hop_that_fails_fails_the_order_at_every_service_before_it() {
    for transport in ["rest", "grpc", "tcp"] {
        let listener = format!("--{transport}");
        let last = start(&[&listener, "127.0.0.1:0", "--slow", "fail=100%"]).await;
        let address = &last.ready.listeners[transport];
        let to_last = format!("last={transport}:{address}");
        let middle = start(&["--grpc", "127.0.0.1:0", "--next", &to_last]).await;
        let to_middle = format!("middle=grpc:{}", middle.ready.listeners["grpc"]);
        let first = calling(&[to_middle], &[]).await;
        let (status, sentence) = place(first.rest(), 0, &[]).await;
        assert_eq!(status, 500, "{sentence}");
        for part in ["next hop middle", "next hop last", "slowness in force"] {
            assert!(sentence.contains(part), "{sentence}");
        }
        let account = first.control().account().await;
        assert_eq!((account.failed, account.effects.applied), (1, 0));
        assert_eq!(account.progress.delivered, 1);
        let hop = &account.hops["middle"];
        identities_hold(hop);
        assert_eq!(hop.failed, BTreeMap::from([("Internal".to_owned(), 1)]));
        assert_eq!(last.control().account().await.failed, 1);
    }
}

#[tokio::test]
async fn in_sequence_the_first_failure_is_the_last_call_and_side_by_side_all_are_called() {
    const ORDERS: u64 = 5;
    let failing = start(&["--rest", "127.0.0.1:0", "--slow", "fail=100%"]).await;
    let good = start(&["--rest", "127.0.0.1:0"]).await;
    let hops = [
        format!("payment=rest:{}", failing.rest()),
        format!("email=rest:{}", good.rest()),
    ];
    for (more, reached) in [(&[][..], 0), (&["--next-side-by-side"][..], ORDERS)] {
        good.control().reset(&reset()).await;
        let checkout = calling(&hops, more).await;
        assert_eq!(
            place_all(&checkout, ORDERS).await,
            BTreeMap::from([(500, ORDERS)])
        );
        let (_, sentence) = place(checkout.rest(), ORDERS, &[]).await;
        assert!(sentence.contains("next hop payment"), "{sentence}");
        let account = checkout.control().account().await;
        let calls = |name: &str| account.hops[name].calls;
        let also = u64::from(reached > 0);
        assert_eq!(calls("payment"), ORDERS + 1);
        assert_eq!(calls("email"), reached + also);
        assert_eq!(progress(&good).await.delivered, reached + also);
    }
}

#[tokio::test]
async fn past_its_deadline_an_order_is_not_started_and_its_caller_was_not_kept_waiting() {
    const ORDERS: u64 = 3;
    for transport in ["rest", "grpc"] {
        let listener = format!("--{transport}");
        let slow = start(&[&listener, "127.0.0.1:0", "--slow", "5s workers=1"]).await;
        let address = &slow.ready.listeners[transport];
        let hop = format!("stock={transport}:{address},timeout=50ms");
        let first = calling(&[hop], &[]).await;
        for sequence in 0..ORDERS {
            let (status, sentence) = place(first.rest(), sequence, &[]).await;
            assert_eq!(status, 500);
            assert!(sentence.contains("next hop stock timed out"), "{sentence}");
        }
        let hop = &first.control().account().await.hops["stock"];
        identities_hold(hop);
        assert_eq!((hop.timed_out, hop.attempts), (ORDERS, ORDERS));
        // The first one may have its worker for 5 s; nobody waits for those behind it when it ends.
        let account = until(&slow, "the slow service is done", |account| {
            account.progress.delivered + account.expired == ORDERS
                && account.progress.in_service == 0
        })
        .await;
        assert!(account.progress.delivered <= 1, "{transport}: {account:?}");
        assert_eq!(ledger(&account).delivered() + account.expired, ORDERS);
    }
}

#[tokio::test]
async fn a_hop_gets_what_is_left_of_the_orders_own_deadline_unless_it_is_kept_at_home() {
    let both = ["--rest", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
    let slow = ["--slow", "2s workers=1"];
    let stock = start(&[&both[..], &slow].concat()).await;
    let address = &stock.ready.listeners["grpc"];
    let first = calling(&[format!("stock=grpc:{address},timeout=60s")], &[]).await;
    let home = format!("stock=grpc:{address},timeout=50ms,no-deadline");
    let home = calling(&[home], &[]).await;
    let busy = placing(&stock, 100);
    until(&stock, "its one worker is busy", |account| {
        account.progress.in_service == 1
    })
    .await;
    let (status, sentence) = place(first.rest(), 0, &[("hopbench-timeout-ms", "500")]).await;
    assert_eq!(status, 500);
    assert!(sentence.contains("next hop stock timed out"), "{sentence}");
    assert_eq!(place(home.rest(), 1, &[]).await.0, 500);
    assert_eq!(busy.await.unwrap(), 200);
    let account = until(&stock, "both have had their turn", |account| {
        account.progress.delivered + account.expired == 3 && account.progress.in_service == 0
    })
    .await;
    // Nobody told the service that the second one's caller is gone.
    assert_eq!((account.expired, account.effects.applied), (1, 2));

    let wrong = place(first.rest(), 2, &[("hopbench-timeout-ms", "soon")]).await;
    assert_eq!(wrong.0, 400);
    assert!(wrong.1.contains("hopbench-timeout-ms"), "{}", wrong.1);
}

#[tokio::test]
async fn the_catalogue_needs_a_worker_and_no_hop() {
    let stock = start(&["--rest", "127.0.0.1:0"]).await;
    let hop = format!("stock=rest:{}", stock.rest());
    let checkout = calling(&[hop], &["--workers", "2"]).await;
    stock.signal(Signal::SIGSTOP);
    let first = placing(&checkout, 0);
    let held = |orders| move |account: &Account| account.hops["stock"].calls == orders;
    until(&checkout, "one worker is held", held(1)).await;
    assert_eq!(catalog(checkout.rest().to_owned()).await, 200);
    assert_eq!(checkout.control().account().await.catalog, 1);

    let second = placing(&checkout, 1);
    until(&checkout, "both workers are held", held(2)).await;
    let queued = tokio::spawn(catalog(checkout.rest().to_owned()));
    // The service answers what needs no worker, as often as it is asked, and the catalogue not at all.
    for _ in 0..50 {
        let (status, _) = http(checkout.rest(), "GET", "/healthz", &[], "").await;
        assert_eq!(status, 200);
    }
    assert!(!queued.is_finished());
    assert_eq!(checkout.control().account().await.catalog, 1);

    stock.signal(Signal::SIGCONT);
    for placed in [first, second, queued] {
        assert_eq!(placed.await.unwrap(), 200);
    }
    let account = checkout.control().account().await;
    assert_eq!((account.catalog, account.progress.delivered), (2, 2));
    assert_eq!(account.progress.completed, 2, "the catalogue is no order");
}

#[tokio::test]
async fn a_hop_that_failed_is_called_again_when_its_order_comes_again() {
    let stock = start(&["--rest", "127.0.0.1:0", "--slow", "fail=100%"]).await;
    let hop = format!("stock=rest:{}", stock.rest());
    let checkout = calling(&[hop], &["--idempotent"]).await;
    assert_eq!(place(checkout.rest(), 0, &[]).await.0, 500);
    let control = stock.control();
    let slow = r#"{"slowness": "none"}"#;
    assert_eq!(control.call("POST", "/v1/slow", slow).await.0, 200);
    assert_eq!(place(checkout.rest(), 0, &[]).await.0, 200);
    let account = checkout.control().account().await;
    assert_eq!((account.effects.applied, account.failed), (1, 1));
    assert_eq!(account.hops["stock"].succeeded, 1);
}

#[tokio::test]
async fn a_hop_that_comes_back_after_a_kill_is_called_again() {
    let stock = start(&["--rest", "127.0.0.1:0"]).await;
    let address = stock.rest().to_owned();
    let checkout = calling(&[format!("stock=rest:{address},timeout=10s")], &[]).await;
    assert_eq!(place_all(&checkout, 5).await, BTreeMap::from([(200, 5)]));
    drop(stock);
    let (status, sentence) = place(checkout.rest(), 5, &[]).await;
    assert_eq!(status, 500);
    assert!(sentence.contains("next hop stock failed"), "{sentence}");
    let stock = start(&["--rest", &address]).await;
    // Calls fail with the last dial's error for 10 ms before the next one.
    let mut sequence = 6;
    while place(checkout.rest(), sequence, &[]).await.0 != 200 {
        sequence += 1;
        assert!(sequence < 1_000, "it never came back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(progress(&stock).await.delivered, 1);
    identities_hold(&checkout.control().account().await.hops["stock"]);
}

#[test]
fn a_hop_that_is_not_there_is_a_failure_with_its_name() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = taken.local_addr().unwrap();
    drop(taken);
    let hop = format!("stock=rest:{free}");
    let output = command(&["--rest", "127.0.0.1:0", "--next", &hop])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("next hop `stock` is not there"), "{stderr}");
}
