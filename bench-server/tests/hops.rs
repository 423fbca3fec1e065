//! Services that call services, as real processes: what reaches which hop, what a failing or a stopped one does to its
//! callers, and what each guard turns away. Ledgers and counts judge; no time is asserted.

mod common;

use bench_proto::control::{Account, HopAccount, Progress};
use bench_proto::ledger::Balance;
use bench_proto::{CallerLedger, Format, Message, Stamp};
use common::{Orders, Program, command, histogram, http, ledger, origin, reset};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Starts a service on free ports and a fresh run of it.
async fn start(flags: &[&str]) -> Program {
    let program = Program::start(flags);
    program.control().reset(&reset()).await;
    program
}

/// A service with one listener over REST, that calls these hops.
async fn calling(hops: &[String], more: &[&str]) -> Program {
    let mut flags = vec!["--rest", "127.0.0.1:0"];
    for hop in hops {
        flags.extend(["--next", hop]);
    }
    flags.extend(more);
    start(&flags).await
}

/// Places one order: status, and the sentence where it is no success.
async fn place(address: &str, sequence: u64, more: &[(&'static str, &str)]) -> (u16, String) {
    let Message::Order(order) = Orders::new().next(sequence) else {
        panic!("an order was expected");
    };
    let stamp = origin(sequence).stamp.unwrap().to_text();
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        (Stamp::HEADER, String::from_utf8(stamp.to_vec()).unwrap()),
    ];
    headers.extend(
        more.iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    let body = Format::Json.encode(&order);
    let (status, body) = http(address, "POST", "/v1/orders", &headers, body).await;
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Places so many orders, one after the other; how many had each status.
async fn place_all(program: &Program, orders: u64) -> BTreeMap<u16, u64> {
    let mut statuses = BTreeMap::new();
    for sequence in 0..orders {
        let (status, _) = place(program.rest(), sequence, &[]).await;
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

/// Places an order on a task of its own.
fn placing(program: &Program, sequence: u64) -> JoinHandle<u16> {
    let address = program.rest().to_owned();
    tokio::spawn(async move { place(&address, sequence, &[]).await.0 })
}

/// Asks for the catalogue; the status.
async fn catalog(address: String) -> u16 {
    http(&address, "GET", "/v1/catalog", &[], "").await.0
}

async fn progress(program: &Program) -> Progress {
    let (_, progress) = program.control().call("GET", "/v1/progress", "").await;
    serde_json::from_value(progress).unwrap()
}

/// Waits until something is so of the account, and gives that. A guard against hanging ends it, no measurement.
async fn until(program: &Program, what: &str, so: impl Fn(&Account) -> bool) -> Account {
    let control = program.control();
    for _ in 0..3_000 {
        let account = control.account().await;
        if so(&account) {
            return account;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never came true: {what}");
}

/// Every call has ended once, and every attempt belongs to a call.
fn identities_hold(hop: &HopAccount) {
    let failed: u64 = hop.failed.values().sum();
    let turned_away = hop.shed + hop.refused_by_breaker;
    let ended = hop.succeeded + failed + hop.timed_out + turned_away;
    assert_eq!(hop.calls, ended, "{hop:?}");
    let untried = turned_away + hop.failed.get("deadline").copied().unwrap_or(0);
    assert_eq!(hop.attempts, hop.calls - untried + hop.retried, "{hop:?}");
    assert_eq!(histogram(&hop.latency).len(), hop.calls - untried);
}

/// Deliveries beyond the first of each order.
fn duplicated(account: &Account, orders: u64) -> u64 {
    let mut caller = CallerLedger {
        attempted: orders,
        ..CallerLedger::default()
    };
    caller.acknowledged.insert_range(0..orders);
    let balance = Balance::of(&[caller], Some(&ledger(account)));
    assert_eq!((balance.lost, balance.unexpected), (Some(0), Some(0)));
    balance.duplicated.unwrap()
}

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

mod brokers {
    //! Hops over the real brokers; without one a test fails, unless HOPBENCH_SKIP_BROKERS=1 says otherwise.

    use super::*;
    use bench_transport::{Settings, queue, stream};

    /// One broker, and a scope of its own on it.
    struct Broker {
        transport: &'static str,
        variable: &'static str,
        address: String,
        scope: String,
    }

    /// The brokers under test; none where the tests were told to do without.
    fn brokers(test: &str) -> Vec<Broker> {
        if std::env::var_os("HOPBENCH_SKIP_BROKERS").is_some_and(|value| value == "1") {
            eprintln!("brokers skipped: HOPBENCH_SKIP_BROKERS=1");
            return Vec::new();
        }
        [("queue", "HOPBENCH_AMQP_URL"), ("stream", "HOPBENCH_KAFKA_BROKERS")]
            .map(|(transport, variable)| Broker {
                transport,
                variable,
                address: std::env::var(variable).unwrap_or_else(|_| {
                    panic!("no {variable}: run the tests under `stack/stack run`, or skip with HOPBENCH_SKIP_BROKERS=1")
                }),
                scope: format!("hops-{test}-{}", std::process::id()),
            })
            .into()
    }

    impl Broker {
        /// The program with these flags and the broker's address in its environment, and a fresh run of it.
        async fn start(&self, flags: &[&str]) -> Program {
            let mut command = command(flags);
            command.env(self.variable, &self.address);
            let program = tokio::task::spawn_blocking(|| Program::started(command));
            let program = program.await.unwrap();
            program.control().reset(&reset()).await;
            program
        }

        /// A service that consumes from the broker.
        async fn consumer(&self, more: &[&str]) -> Program {
            let listener = format!("--{}", self.transport);
            let mut flags = vec![listener.as_str(), "env", "--scope", &self.scope];
            flags.extend(more);
            self.start(&flags).await
        }

        /// A service that calls that one, as `options` say.
        async fn caller(&self, options: &str, more: &[&str]) -> Program {
            let hop = format!("mail={}:env,scope={}{options}", self.transport, self.scope);
            let mut flags = vec!["--rest", "127.0.0.1:0", "--next", &hop];
            flags.extend(more);
            self.start(&flags).await
        }

        /// Stops the services and takes everything off the broker.
        async fn end(&self, programs: impl IntoIterator<Item = Program>) {
            for program in programs {
                program.signal(Signal::SIGTERM);
                let ended = tokio::task::spawn_blocking(|| program.end()).await.unwrap();
                assert_eq!(ended.0, Some(0), "{}", ended.2);
            }
            let settings = Settings {
                target: self.address.clone(),
                scope: self.scope.clone(),
                ..Settings::default()
            };
            let removed = match self.transport {
                "queue" => queue::remove(&settings).await,
                _ => stream::remove(&settings).await,
            };
            removed.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_published_arrives_and_what_is_replied_is_awaited() {
        const ORDERS: u64 = 40;
        for broker in brokers("both") {
            let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
            let durable = |folder: usize| {
                let path = folders[folder].path().to_str().unwrap();
                ["--durability", "process", "--journal", path]
            };
            let consumer = broker.consumer(&durable(0)).await;
            let publisher = broker.caller(",publish", &durable(1)).await;
            assert_eq!(
                place_all(&publisher, ORDERS).await,
                BTreeMap::from([(200, ORDERS)])
            );
            let account = until(&consumer, "everything published is delivered", |account| {
                account.progress.delivered == ORDERS && account.progress.in_service == 0
            })
            .await;
            let sent = publisher.control().account().await;
            assert_eq!(duplicated(&account, ORDERS), 0);
            assert_eq!(duplicated(&sent, ORDERS), 0);
            let hop = &sent.hops["mail"];
            identities_hold(hop);
            assert_eq!((hop.succeeded, hop.attempts), (ORDERS, ORDERS));

            consumer.control().reset(&reset()).await;
            let asker = broker.caller("", &durable(2)).await;
            assert_eq!(
                place_all(&asker, ORDERS).await,
                BTreeMap::from([(200, ORDERS)])
            );
            // Replied, so it is done already.
            assert_eq!(progress(&consumer).await.delivered, ORDERS);
            let slow = r#"{"slowness": "fail=100%"}"#;
            let control = consumer.control();
            assert_eq!(control.call("POST", "/v1/slow", slow).await.0, 200);
            let (status, sentence) = place(asker.rest(), ORDERS, &[]).await;
            assert_eq!(status, 500);
            assert!(sentence.contains("next hop mail failed"), "{sentence}");
            // A failure at the far end is none of the publisher's.
            assert_eq!(place(publisher.rest(), ORDERS + 1, &[]).await.0, 200);
            let hop = &asker.control().account().await.hops["mail"];
            identities_hold(hop);
            assert_eq!(hop.failed, BTreeMap::from([("failed".to_owned(), 1)]));
            until(&consumer, "the last one has failed too", |account| {
                account.failed == 2
            })
            .await;
            broker.end([publisher, asker, consumer]).await;
        }
    }

    #[tokio::test]
    async fn over_a_broker_too_nothing_is_started_that_nobody_waits_for() {
        const ORDERS: u64 = 4;
        for broker in brokers("deadline") {
            let consumer = broker.consumer(&["--slow", "1s workers=1"]).await;
            let asker = broker.caller(",timeout=100ms", &[]).await;
            assert_eq!(
                place_all(&asker, ORDERS).await,
                BTreeMap::from([(500, ORDERS)])
            );
            let hop = &asker.control().account().await.hops["mail"];
            identities_hold(hop);
            assert_eq!(hop.timed_out, ORDERS);
            let account = until(&consumer, "all were taken from the broker", |account| {
                account.progress.delivered + account.expired == ORDERS
                    && account.progress.in_service == 0
            })
            .await;
            assert!(account.progress.delivered <= 1, "{account:?}");
            broker.end([asker, consumer]).await;
        }
    }
}
