//! Hops over the real brokers, published and replied; without one a test fails, unless HOPBENCH_SKIP_BROKERS=1 says otherwise.

use super::*;
use bench_transport::{Fanout, Settings, queue, stream};

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
        self.remove(None).await;
    }

    /// Takes the scope off the broker, as one end of a fan-out made it or as all share it.
    async fn remove(&self, fanout: Option<Fanout>) {
        let settings = Settings {
            target: self.address.clone(),
            scope: self.scope.clone(),
            fanout,
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
async fn one_published_message_is_for_every_reader() {
    const ORDERS: u64 = 40;
    const READERS: [&str; 2] = ["mailer", "stock"];
    for broker in brokers("fanout") {
        let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let durable = |folder: usize| {
            let path = folders[folder].path().to_str().unwrap();
            ["--durability", "process", "--journal", path]
        };
        let mut readers = Vec::new();
        for (folder, name) in READERS.into_iter().enumerate() {
            let flags = [&durable(folder)[..], &["--reader", name]].concat();
            readers.push(broker.consumer(&flags).await);
        }
        let publisher = broker.caller(",publish,fanout", &durable(2)).await;
        assert_eq!(
            place_all(&publisher, ORDERS).await,
            BTreeMap::from([(200, ORDERS)])
        );
        for reader in &readers {
            let account = until(reader, "every reader has every order", |account| {
                account.progress.delivered == ORDERS && account.progress.in_service == 0
            })
            .await;
            assert_eq!(duplicated(&account, ORDERS), 0);
        }
        let hop = &publisher.control().account().await.hops["mail"];
        identities_hold(hop);
        assert_eq!((hop.succeeded, hop.attempts), (ORDERS, ORDERS));
        readers.insert(0, publisher);
        broker.end(readers).await;
        for name in READERS {
            broker.remove(Some(Fanout::Reader(name.into()))).await;
        }
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
