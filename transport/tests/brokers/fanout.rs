//! One published message for many readers over the real brokers: each of them gets every order, and each exactly once.

use crate::clients::{Kafka, Rabbit};
use crate::rig::{Broker, Ledgered, Sender, until, with};
use bench_proto::{Durability, Format};
use bench_transport::{Caller, Connecting, Fanout, ReplyVia, Settings};

const ORDERS: u64 = 500;
const READERS: [&str; 3] = ["email", "stock", "report"];

fn reader(name: &str, settings: &Settings) -> Settings {
    Settings {
        fanout: Some(Fanout::Reader(name.into())),
        ..settings.clone()
    }
}

fn publisher(settings: &Settings) -> Settings {
    Settings {
        fanout: Some(Fanout::Publisher),
        ..settings.clone()
    }
}

async fn each_reader_gets_every_order<B: Broker>() {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let readers = READERS.map(|name| reader(name, &settings));
            let mut services = Vec::new();
            let mut listeners = Vec::new();
            for reader in &readers {
                broker.prepare(reader).await.unwrap();
                let service = Ledgered::default();
                listeners.push(broker.serve(reader, service.clone()).await.unwrap());
                services.push(service);
            }
            let caller = broker.connect(&publisher(&settings)).await.unwrap();
            let mut sender = Sender::new(Format::Protobuf);
            sender.send(&caller, ORDERS as usize).await;
            for service in &services {
                until("a reader has got every order", || {
                    service.delivered() >= ORDERS
                })
                .await;
            }
            for listener in listeners {
                listener.stop().await;
            }
            for (service, reader) in services.iter().zip(&readers) {
                let balance = service.balance(&sender.ledger);
                assert!(balance.identity_holds(), "{balance:?}");
                let sides = (balance.acknowledged, balance.delivered);
                assert_eq!(sides, (ORDERS, Some(ORDERS)));
                let faults = (balance.lost, balance.duplicated, balance.unexpected);
                assert_eq!(faults, (Some(0), Some(0), Some(0)), "{balance:?}");
                assert_eq!(broker.backlog(reader).await.unwrap(), 0);
            }
            assert_eq!(caller.counters().unknown, 0);
            drop(caller);
            for reader in &readers {
                broker.remove(reader).await.unwrap();
            }
            if B::NAME == "RabbitMQ" {
                for reader in &readers {
                    let gone = broker.backlog(reader).await.unwrap_err();
                    assert!(format!("{gone:#}").contains("is not there"), "{gone:#}");
                }
            }
        },
    )
    .await;
}

#[tokio::test]
async fn each_queue_of_a_fanout_exchange_gets_every_order() {
    each_reader_gets_every_order::<Rabbit>().await;
}

#[tokio::test]
async fn each_group_of_a_topic_gets_every_order() {
    each_reader_gets_every_order::<Kafka>().await;
}

/// Its queue or its place in the topic is there, though it is away: what is published meanwhile waits for it alone.
async fn a_reader_that_is_away_holds_up_no_other<B: Broker>() {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let [away, here] = ["away", "here"].map(|name| reader(name, &settings));
            broker.prepare(&away).await.unwrap();
            let service = Ledgered::default();
            let listener = broker.serve(&here, service.clone()).await.unwrap();
            let caller = broker.connect(&publisher(&settings)).await.unwrap();
            let mut sender = Sender::new(Format::Protobuf);
            sender.send(&caller, ORDERS as usize).await;
            assert_eq!(sender.ledger.acknowledged.len(), ORDERS);
            until("the one that is here has got every order", || {
                service.delivered() == ORDERS
            })
            .await;
            assert_eq!(broker.backlog(&away).await.unwrap(), ORDERS);
            let late = Ledgered::default();
            let second = broker.serve(&away, late.clone()).await.unwrap();
            until("the other one has got them too", || {
                late.delivered() == ORDERS
            })
            .await;
            for listener in [listener, second] {
                listener.stop().await;
            }
            drop(caller);
            for reader in [&away, &here] {
                broker.remove(reader).await.unwrap();
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_queue_without_its_reader_holds_up_no_other() {
    a_reader_that_is_away_holds_up_no_other::<Rabbit>().await;
}

#[tokio::test]
async fn a_group_without_its_reader_holds_up_no_other() {
    a_reader_that_is_away_holds_up_no_other::<Kafka>().await;
}

/// What was published before it was there is not its; what is published once it serves is, to the last order.
async fn a_new_reader_begins_with_what_is_published_from_now_on<B: Broker>() {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let here = reader("here", &settings);
            let late = Settings {
                from_latest: true,
                ..reader("late", &settings)
            };
            broker.prepare(&here).await.unwrap();
            let service = Ledgered::default();
            let listener = broker.serve(&here, service.clone()).await.unwrap();
            let caller = broker.connect(&publisher(&settings)).await.unwrap();
            let mut sender = Sender::new(Format::Protobuf);
            sender.send(&caller, ORDERS as usize).await;
            until("the first has got every order", || {
                service.delivered() == ORDERS
            })
            .await;
            let joined = Ledgered::default();
            let second = broker.serve(&late, joined.clone()).await.unwrap();
            sender.send(&caller, ORDERS as usize).await;
            until("both have got what came since", || {
                joined.delivered() >= ORDERS && service.delivered() >= 2 * ORDERS
            })
            .await;
            for listener in [listener, second] {
                listener.stop().await;
            }
            let balance = joined.balance(&sender.ledger);
            let counts = (balance.delivered, balance.lost, balance.duplicated);
            assert_eq!(counts, (Some(ORDERS), Some(ORDERS), Some(0)), "{balance:?}");
            drop(caller);
            for reader in [&late, &here] {
                broker.remove(reader).await.unwrap();
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_new_queue_begins_with_what_is_published_from_now_on() {
    a_new_reader_begins_with_what_is_published_from_now_on::<Rabbit>().await;
}

#[tokio::test]
async fn a_new_group_begins_with_what_is_published_from_now_on() {
    a_new_reader_begins_with_what_is_published_from_now_on::<Kafka>().await;
}

async fn no_reply_comes_from_many<B: Broker>(via: ReplyVia) {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let asked = Settings {
                reply: Some(via),
                ..publisher(&settings)
            };
            let refused = broker.connect(&asked).await.err().expect("it is refused");
            assert!(refused.to_string().contains("many readers"), "{refused:#}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_fan_out_with_a_reply_is_refused() {
    no_reply_comes_from_many::<Rabbit>(ReplyVia::Direct).await;
    no_reply_comes_from_many::<Kafka>(ReplyVia::Topic).await;
}

#[tokio::test]
async fn the_publisher_names_its_exchange_and_no_queue_that_is_not_there() {
    with(
        Durability::Power,
        async |broker: Rabbit, settings: Settings| {
            let publisher = publisher(&settings);
            let in_force = broker.connect(&publisher).await.unwrap().in_force();
            assert_eq!(in_force["exchange-type"], "fanout");
            assert_eq!(in_force["queue"], "one of each reader");
            for name in ["queue-type", "max-length"] {
                assert!(!in_force.contains_key(name), "{in_force:?}");
            }
            let of_many = broker.backlog(&publisher).await.unwrap_err();
            assert!(of_many.to_string().contains("reader"), "{of_many:#}");
            // The same exchange for one queue: the broker refuses it as a fan-out's.
            broker.remove(&publisher).await.unwrap();
            broker.prepare(&settings).await.unwrap();
            let refused = broker.connect(&publisher).await.unwrap_err();
            let refused = format!("{refused:#}");
            let exchange = format!("exchange hopbench.{} as asked", settings.scope);
            assert!(refused.contains(&exchange), "{refused}");
            assert!(!refused.contains(".orders"), "{refused}");
        },
    )
    .await;
}

#[tokio::test]
async fn the_sample_that_sends_to_one_queue_is_refused_in_a_fan_out() {
    with(
        Durability::Process,
        async |broker: Rabbit, settings: Settings| {
            let asked = Settings {
                connecting: Connecting::AsWritten,
                ..publisher(&settings)
            };
            let refused = broker.connect(&asked).await.unwrap_err();
            assert!(refused.to_string().contains("one queue"), "{refused:#}");
        },
    )
    .await;
}
