//! What happens when an end dies: consumers and brokers are killed, a broker stands still, a queue vanishes.
//! Every call ends, and nothing acknowledged is lost.

use crate::clients::{Kafka, Rabbit};
use crate::rig::{Broker, Ledgered, Sender, stack, until, with};
use bench_proto::{Durability, Format, Kind, Message};
use bench_transport::{Caller, Origin, Reply, Service, Settings, queue, stream};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

async fn a_killed_consumer_loses_nothing<B: Broker>() {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let settings = Settings {
                prefetch: 20,
                ..settings
            };
            let service = Ledgered::slow(Duration::from_millis(3));
            let first = broker.serve(&settings, service.clone()).await.unwrap();
            let caller = broker.connect(&settings).await.unwrap();
            let mut sender = Sender::new(Format::Protobuf);
            sender.send(&caller, 3_000).await;
            until("some orders are handled", || service.handled() > 100).await;
            first.abort().await;
            let before = service.delivered();
            assert!(before < 3_000, "the consumer was killed in the middle");
            let second = broker.serve(&settings, service.clone()).await.unwrap();
            until("every order is handled", || service.delivered() == 3_000).await;
            second.stop().await;
            let balance = service.balance(&sender.ledger);
            assert_eq!((balance.acknowledged, balance.lost), (3_000, Some(0)));
            println!(
                "{}: {} handled before the kill, {} duplicated, {} flagged as redelivered",
                B::NAME,
                before,
                balance.duplicated.unwrap(),
                service.redelivered()
            );
        },
    )
    .await;
}

#[tokio::test]
async fn a_killed_consumer_of_the_queue_loses_no_acknowledged_order() {
    a_killed_consumer_loses_nothing::<Rabbit>().await;
}

#[tokio::test]
async fn a_killed_consumer_of_the_stream_loses_no_acknowledged_order() {
    a_killed_consumer_loses_nothing::<Kafka>().await;
}

/// A service whose orders never end, and take their time to go when they are dropped. It counts those in work.
#[derive(Clone, Default)]
struct Clinging(Arc<AtomicU64>);

/// An order of it in work.
struct Held(Clinging);

impl Drop for Held {
    fn drop(&mut self) {
        std::thread::sleep(Duration::from_millis(100));
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service for Clinging {
    fn handle(&self, _: Message, _: Origin) -> impl Future<Output = Reply> + Send + 'static {
        self.0.fetch_add(1, Ordering::SeqCst);
        let held = Held(self.clone());
        async move {
            let _held = held;
            std::future::pending().await
        }
    }

    fn rejected(&self, what: &str) {
        panic!("these tests send orders only, this is {what}");
    }
}

async fn an_aborted_listener_leaves_nothing_running<B: Broker>() {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let settings = Settings {
                prefetch: 2,
                consumers: 2,
                ..settings
            };
            let service = Clinging::default();
            let serving = service.clone();
            let listener = match B::NAME {
                "RabbitMQ" => queue::serve(&settings, serving).await,
                _ => stream::serve(&settings, serving).await,
            };
            let listener = listener.unwrap();
            let caller = broker.connect(&settings).await.unwrap();
            Sender::new(Format::Protobuf).send(&caller, 20).await;
            let in_work = || service.0.load(Ordering::SeqCst);
            until("two orders are in work", || in_work() >= 2).await;
            listener.abort().await;
            assert_eq!(in_work(), 0, "what was in work is gone");
            let holders = Arc::strong_count(&service.0);
            assert_eq!(holders, 1, "and so are the consumers that held the service");
        },
    )
    .await;
}

// Several threads: on one, the consumers are dropped before the test goes on, waited for or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aborted_listener_of_the_queue_leaves_nothing_running() {
    an_aborted_listener_leaves_nothing_running::<Rabbit>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aborted_listener_of_the_stream_leaves_nothing_running() {
    an_aborted_listener_leaves_nothing_running::<Kafka>().await;
}

async fn a_killed_broker_ends_every_call<B: Broker>(broker_name: &'static str) {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let settings = Settings {
                deadline: Duration::from_secs(2),
                ..settings
            };
            let service = Ledgered::default();
            let listener = broker.serve(&settings, service.clone()).await.unwrap();
            let caller = broker.connect(&settings).await.unwrap();
            let sender = RefCell::new(Sender::new(Format::Protobuf));
            let acknowledged = || sender.borrow().ledger.acknowledged.len();
            let done = Cell::new(false);
            let load = join_all((0..32).map(|_| async {
                while !done.get() {
                    let (sequence, key, body, stamp) = sender.borrow_mut().next();
                    let outcome = caller.call(Kind::Order, &key, body, Some(stamp)).await;
                    sender.borrow_mut().record(sequence, outcome);
                    // A slow trickle: the ledger, not the rate, is the point.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }));
            let script = async {
                until("orders flow", || acknowledged() > 500).await;
                stack("kill", broker_name).await;
                until("calls fail or stay unknown", || {
                    let sender = sender.borrow();
                    sender.ledger.failed + sender.ledger.timed_out >= 32
                })
                .await;
                stack("start", broker_name).await;
                let before = acknowledged();
                until("orders flow again", || acknowledged() > before + 500).await;
                done.set(true);
            };
            tokio::join!(load, script);
            let sender = sender.into_inner();
            until("nothing acknowledged is missing", || {
                service.balance(&sender.ledger).lost == Some(0)
            })
            .await;
            let balance = service.balance(&sender.ledger);
            assert!(balance.identity_holds(), "every call ended: {balance:?}");
            assert!(balance.failed + balance.timed_out >= 32);
            let counters = caller.counters();
            assert_eq!(counters.unknown, balance.timed_out, "{counters:?}");
            assert!(counters.reconnects >= 1, "{counters:?}");
            println!(
                "{}: {balance:?} {counters:?} {:?}",
                B::NAME,
                sender.failures
            );
            listener.stop().await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_killed_rabbitmq_ends_every_call_and_loses_no_acknowledged_order() {
    a_killed_broker_ends_every_call::<Rabbit>("rabbitmq").await;
}

#[tokio::test]
async fn a_killed_kafka_ends_every_call_and_loses_no_acknowledged_order() {
    a_killed_broker_ends_every_call::<Kafka>("kafka").await;
}

#[tokio::test]
async fn an_order_that_no_queue_takes_comes_back_as_a_failure() {
    with(
        Durability::Process,
        async |broker: Rabbit, settings: Settings| {
            let caller = broker.connect(&settings).await.unwrap();
            let connection = lapin::Connection::connect(&broker.address(), Default::default())
                .await
                .unwrap();
            let channel = connection.create_channel().await.unwrap();
            let queue = format!("hopbench.{}.orders", settings.scope);
            channel
                .queue_delete(queue.into(), Default::default())
                .await
                .unwrap();
            let mut sender = Sender::new(Format::Protobuf);
            sender.send(&caller, 5).await;
            assert_eq!(sender.failures.get("returned"), Some(&5));
            connection.close(200, "done".into()).await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn a_confirm_after_the_deadline_is_read_and_counted() {
    async fn late<B: Broker>(broker_name: &'static str) {
        with(
            Durability::Process,
            async |broker: B, settings: Settings| {
                let settings = Settings {
                    deadline: Duration::from_millis(500),
                    ..settings
                };
                let caller = broker.connect(&settings).await.unwrap();
                let mut sender = Sender::new(Format::Protobuf);
                sender.send(&caller, 1).await;
                assert_eq!(sender.ledger.acknowledged.len(), 1);
                stack("pause", broker_name).await;
                sender.send(&caller, 20).await;
                stack("resume", broker_name).await;
                assert_eq!(sender.ledger.timed_out, 20);
                until("the late confirms are counted", || {
                    let counters = caller.counters();
                    counters.late_confirms == 20 && counters.unknown == 20
                })
                .await;
            },
        )
        .await;
    }
    late::<Rabbit>("rabbitmq").await;
}

/// librdkafka's queue holds 100,000 records; with the broker standing still nothing leaves it.
#[tokio::test]
async fn a_full_queue_of_the_producer_is_back_pressure_in_order() {
    const ROOM: usize = 100_000;
    const BEYOND: usize = 300;
    with(
        Durability::Process,
        async |broker: Kafka, settings: Settings| {
            let settings = Settings {
                window: 2 * ROOM,
                deadline: Duration::from_secs(60),
                ..settings
            };
            let caller = broker.connect(&settings).await.unwrap();
            let mut sender = Sender::new(Format::Protobuf);
            sender.send(&caller, 1).await;
            stack("pause", "kafka").await;
            let mut calls: FuturesUnordered<_> =
                (0..ROOM + BEYOND).map(|_| sender.start(&caller)).collect();
            let ends = async {
                while let Some((sequence, outcome)) = calls.next().await {
                    sender.record(sequence, outcome);
                }
            };
            let script = async {
                until("the calls beyond the room wait", || {
                    caller.counters().queue_full == BEYOND as u64
                })
                .await;
                stack("resume", "kafka").await;
            };
            tokio::join!(ends, script);
            let all = (ROOM + BEYOND + 1) as u64;
            assert_eq!(
                sender.ledger.acknowledged.len(),
                all,
                "{:?}",
                sender.failures
            );
            let service = Ledgered::default();
            let listener = broker.serve(&settings, service.clone()).await.unwrap();
            until("every order is handled", || service.delivered() == all).await;
            listener.stop().await;
            let balance = service.balance(&sender.ledger);
            let faults = (balance.lost, balance.duplicated, balance.reordered);
            assert_eq!(faults, (Some(0), Some(0), Some(0)), "{balance:?}");
        },
    )
    .await;
}
