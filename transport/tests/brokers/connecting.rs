//! What a caller may do about connections, and each library's own defaults: every order still arrives, once.

use crate::clients::{Kafka, Rabbit};
use crate::rig::{Broker, Ledgered, Sender, until, with};
use bench_proto::{Durability, Format};
use bench_transport::{Caller, Connecting, Settings};

/// Carries orders with settings changed as given; how many connections it took, and what was in force.
async fn carries<B: Broker>(
    orders: u64,
    change: impl Fn(Settings) -> Settings,
    check: impl Fn(&dyn Fn(&str) -> String, u64),
) {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let settings = change(Settings {
                format: Format::Json,
                ..settings
            });
            let service = Ledgered::default();
            let listener = broker.serve(&settings, service.clone()).await.unwrap();
            let caller = broker.connect(&settings).await.unwrap();
            let mut sender = Sender::new(Format::Json);
            sender.send(&caller, orders as usize).await;
            assert_eq!(sender.ledger.acknowledged.len(), orders);
            until("every order is handled", || service.delivered() == orders).await;
            let in_force = caller.in_force();
            let read = |name: &str| in_force.get(name).cloned().unwrap_or_default();
            check(&read, caller.counters().connects);
            drop(caller);
            listener.stop().await;
            let balance = service.balance(&sender.ledger);
            let faults = (balance.lost, balance.duplicated, balance.unexpected);
            assert_eq!(faults, (Some(0), Some(0), Some(0)), "{balance:?}");
        },
    )
    .await;
}

fn connecting(connecting: Connecting) -> impl Fn(Settings) -> Settings {
    move |settings| Settings {
        connecting,
        ..settings
    }
}

#[tokio::test]
async fn the_queue_carries_orders_on_a_connection_each() {
    // One connection beside them declares the queue and tells what is in force.
    carries::<Rabbit>(40, connecting(Connecting::PerCall), |read, connects| {
        assert_eq!(
            (read("connecting"), read("confirms")),
            ("per-call".into(), "true".into())
        );
        assert_eq!(connects, 41);
    })
    .await;
}

#[tokio::test]
async fn the_queue_carries_orders_as_the_sources_write_it() {
    carries::<Rabbit>(40, connecting(Connecting::AsWritten), |read, connects| {
        assert!(
            read("confirms").starts_with("false"),
            "{}",
            read("confirms")
        );
        assert_eq!(
            read("delivery-mode"),
            "2",
            "the sample's message is persistent"
        );
        assert_eq!(connects, 41);
    })
    .await;
}

#[tokio::test]
async fn the_stream_carries_orders_as_the_sources_write_it() {
    carries::<Kafka>(300, connecting(Connecting::AsWritten), |read, _| {
        assert_eq!((read("acks"), read("linger.ms")), ("1".into(), "0".into()));
    })
    .await;
}

fn defaults(settings: Settings) -> Settings {
    Settings {
        library_defaults: true,
        ..settings
    }
}

#[tokio::test]
async fn the_queue_carries_orders_with_the_libraries_defaults() {
    carries::<Rabbit>(500, defaults, |read, _| {
        assert_eq!(read("confirms"), "true")
    })
    .await;
}

#[tokio::test]
async fn the_stream_carries_orders_with_the_libraries_defaults() {
    carries::<Kafka>(500, defaults, |read, _| {
        assert_eq!(read("linger.ms"), "5");
        // Since librdkafka 2.x its own default is Nagle off.
        assert_eq!(read("socket.nagle.disable"), "true");
    })
    .await;
}

#[tokio::test]
async fn a_producer_per_record_is_refused_with_what_to_do_instead() {
    with(
        Durability::Process,
        async |broker: Kafka, settings: Settings| {
            let settings = connecting(Connecting::PerCall)(settings);
            let refusal = broker.connect(&settings).await.unwrap_err().to_string();
            assert!(refusal.contains("as-written"), "{refusal}");
        },
    )
    .await;
}
