//! Queue and stream on the real brokers: what they carry and what they refuse; [`faults`] is what happens when an end
//! dies. The ledgers judge; no timing is asserted.

mod clients;
mod connecting;
mod fanout;
mod faults;
mod replies;
mod rig;
mod tls;

use bench_proto::{Durability, Format, Kind, Message};
use bench_transport::{CallResult, Caller, Settings};
use bytes::Bytes;
use clients::{Kafka, Rabbit};
use rig::{Broker, Ledgered, Raw, Sender, until, with};

async fn carries_ten_thousand_orders<B: Broker>(format: Format) {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let settings = Settings { format, ..settings };
            let service = Ledgered::default();
            let listener = broker.serve(&settings, service.clone()).await.unwrap();
            let caller = broker.connect(&settings).await.unwrap();
            let mut sender = Sender::new(format);
            sender.send(&caller, 10_000).await;
            until("10,000 orders are handled", || {
                service.delivered() == 10_000
            })
            .await;
            listener.stop().await;
            let balance = service.balance(&sender.ledger);
            assert!(balance.identity_holds(), "{balance:?}");
            let sides = (balance.attempted, balance.acknowledged, balance.delivered);
            assert_eq!(sides, (10_000, 10_000, Some(10_000)));
            let faults = (balance.lost, balance.duplicated, balance.unexpected);
            assert_eq!(faults, (Some(0), Some(0), Some(0)), "{balance:?}");
            if B::NAME == "Kafka" {
                assert_eq!(
                    balance.reordered,
                    Some(0),
                    "a key's orders keep their order"
                );
                assert!(!service.a_key_was_in_work_twice());
            }
            assert_eq!(service.refused(), 0);
            assert_eq!(broker.backlog(&settings).await.unwrap(), 0);
            assert_eq!(caller.counters().unknown, 0);
            assert_eq!(caller.in_force()["window"], "256");
            assert_eq!(caller.in_force()["content-type"], format.content_type());
        },
    )
    .await;
}

#[tokio::test]
async fn the_queue_carries_ten_thousand_orders_as_protobuf() {
    carries_ten_thousand_orders::<Rabbit>(Format::Protobuf).await;
}

#[tokio::test]
async fn the_queue_carries_ten_thousand_orders_as_json() {
    carries_ten_thousand_orders::<Rabbit>(Format::Json).await;
}

#[tokio::test]
async fn the_stream_carries_ten_thousand_orders_as_protobuf() {
    carries_ten_thousand_orders::<Kafka>(Format::Protobuf).await;
}

#[tokio::test]
async fn the_stream_carries_ten_thousand_orders_as_json() {
    carries_ten_thousand_orders::<Kafka>(Format::Json).await;
}

/// Each consumer works on one order at a time; with fewer partitions than consumers some have nothing to do.
async fn several_consumers_share_the_orders<B: Broker>(partitions: i32) {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let settings = Settings {
                prefetch: 1,
                consumers: 3,
                partitions,
                ..settings
            };
            let service = Ledgered::default();
            let listener = broker.serve(&settings, service.clone()).await.unwrap();
            assert_eq!(listener.in_force["consumers"], "3");
            let caller = broker.connect(&settings).await.unwrap();
            let mut sender = Sender::new(Format::Protobuf);
            sender.send(&caller, 1_000).await;
            until("1,000 orders are handled", || service.delivered() == 1_000).await;
            listener.stop().await;
            let balance = service.balance(&sender.ledger);
            assert!(balance.identity_holds(), "{balance:?}");
            let faults = (balance.lost, balance.duplicated, balance.unexpected);
            assert_eq!(faults, (Some(0), Some(0), Some(0)), "{balance:?}");
        },
    )
    .await;
}

#[tokio::test]
async fn several_consumers_of_the_queue_share_the_orders() {
    several_consumers_share_the_orders::<Rabbit>(4).await;
}

#[tokio::test]
async fn several_consumers_of_the_stream_share_the_orders() {
    several_consumers_share_the_orders::<Kafka>(4).await;
    several_consumers_share_the_orders::<Kafka>(2).await;
}

async fn carries_orders_of_class<B: Broker>(durability: Durability, in_force: (&str, &str)) {
    with(durability, async |broker: B, settings: Settings| {
        broker.prepare(&settings).await.unwrap();
        let service = Ledgered::default();
        let listener = broker.serve(&settings, service.clone()).await.unwrap();
        let caller = broker.connect(&settings).await.unwrap();
        let (name, value) = in_force;
        assert_eq!(caller.in_force().get(name).map(String::as_str), Some(value));
        let mut sender = Sender::new(Format::Protobuf);
        sender.send(&caller, 500).await;
        assert_eq!(sender.ledger.acknowledged.len(), 500);
        until("500 orders are handled", || service.delivered() == 500).await;
        listener.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_queue_carries_orders_in_every_durability_class() {
    carries_orders_of_class::<Rabbit>(Durability::None, ("confirms", "false")).await;
    carries_orders_of_class::<Rabbit>(Durability::Memory, ("confirms", "true")).await;
    carries_orders_of_class::<Rabbit>(Durability::Process, ("delivery-mode", "2")).await;
    carries_orders_of_class::<Rabbit>(Durability::Power, ("queue-type", "quorum")).await;
}

#[tokio::test]
async fn the_stream_carries_orders_in_every_durability_class_it_has() {
    carries_orders_of_class::<Kafka>(Durability::None, ("acks", "0")).await;
    carries_orders_of_class::<Kafka>(Durability::Process, ("acks", "-1")).await;
    carries_orders_of_class::<Kafka>(Durability::Power, ("flush.messages", "1")).await;
    with(
        Durability::Process,
        async |broker: Kafka, settings: Settings| {
            let memory = Settings {
                durability: Durability::Memory,
                ..settings
            };
            let refusal = broker.connect(&memory).await.unwrap_err().to_string();
            assert!(refusal.contains("Kafka has no such class"), "{refusal}");
        },
    )
    .await;
}

/// Bad orders of every kind, each followed by a good one; every bad one is a dead letter with its reason.
async fn bad_orders_become_dead_letters<B: Broker>() {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let service = Ledgered::default();
            let listener = broker.serve(&settings, service.clone()).await.unwrap();
            let caller = broker.connect(&settings).await.unwrap();
            let mut sender = Sender::new(Format::Protobuf);
            let (_, _, good, stamp) = sender.next();
            let Ok(Message::Order(mut order)) = Format::Protobuf.decode_request(Kind::Order, &good)
            else {
                panic!("a good order decodes")
            };
            order.total.as_mut().unwrap().units += 1;
            let dishonest = Message::Order(order).encode(Format::Protobuf).to_vec();
            let protobuf = Some(Format::Protobuf.content_type());
            let bad: [(Raw, &str); 6] = [
                (raw(dishonest, protobuf), "total"),
                (raw(good[..good.len() - 3].to_vec(), protobuf), ""),
                (raw(b"{\"order_id\": ".to_vec(), None), ""),
                (
                    raw(vec![b'x'; settings.max_body + 1], protobuf),
                    "the limit is",
                ),
                (
                    Raw {
                        stamp: Some(stamp.to_bytes()[..31].to_vec()),
                        ..raw(good.to_vec(), protobuf)
                    },
                    "32",
                ),
                (raw(good.to_vec(), Some("text/plain")), "text/plain"),
            ];
            let count = bad.len();
            for (round, (raw, expected)) in bad.into_iter().enumerate() {
                let body = raw.body.clone();
                broker.send_raw(&settings, raw).await;
                let letters = broker
                    .dead_letters(&settings, letters_so_far::<B>(round))
                    .await;
                let (letter, reason) = letters.last().unwrap();
                assert_eq!(*letter, body, "a dead letter keeps its body");
                assert!(reason.contains(expected) && !reason.is_empty(), "{reason}");
                let before = service.delivered();
                sender.send(&caller, 1).await;
                until("the next good order goes through", || {
                    service.delivered() > before
                })
                .await;
            }
            let mut names = service.rejected_by_name();
            let name = if B::NAME == "Kafka" {
                "stream"
            } else {
                "queue"
            };
            for (what, times) in [
                ("malformed", 2),
                ("oversized", 1),
                ("bad stamp", 1),
                ("content type", 1),
            ] {
                assert_eq!(
                    names.remove(&format!("{name} {what}")),
                    Some(times),
                    "{what}"
                );
            }
            assert!(names.is_empty(), "nothing else was rejected: {names:?}");
            assert_eq!(service.refused(), 1);
            assert_eq!(sender.ledger.acknowledged.len(), count as u64);
            listener.stop().await;
            assert_eq!(
                broker.backlog(&settings).await.unwrap(),
                0,
                "nothing bad is delivered again"
            );
        },
    )
    .await;
}

/// The reader of a queue takes letters away; that of a topic reads from its beginning.
fn letters_so_far<B: Broker>(round: usize) -> usize {
    if B::NAME == "Kafka" { round + 1 } else { 1 }
}

fn raw(body: Vec<u8>, content_type: Option<&'static str>) -> Raw {
    Raw {
        body,
        content_type,
        stamp: None,
    }
}

#[tokio::test]
async fn bad_orders_of_every_kind_leave_the_queue_as_dead_letters() {
    bad_orders_become_dead_letters::<Rabbit>().await;
}

#[tokio::test]
async fn bad_orders_of_every_kind_leave_the_stream_as_dead_letters() {
    bad_orders_become_dead_letters::<Kafka>().await;
}

async fn serves_orders_without_a_stamp<B: Broker>() {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let service = Ledgered::default();
            let listener = broker.serve(&settings, service.clone()).await.unwrap();
            let mut sender = Sender::new(Format::Json);
            let (_, _, json, _) = sender.next();
            let (_, _, protobuf, _) = Sender::new(Format::Protobuf).next();
            for body in [json, protobuf] {
                broker.send_raw(&settings, raw(body.to_vec(), None)).await;
            }
            until("both are handled", || service.handled() == 2).await;
            assert_eq!((service.unstamped(), service.refused()), (2, 0));
            assert_eq!(service.delivered(), 0, "they are in no ledger");
            listener.stop().await;
        },
    )
    .await;
}

#[tokio::test]
async fn an_order_without_a_stamp_or_any_header_is_served_from_the_queue() {
    serves_orders_without_a_stamp::<Rabbit>().await;
}

#[tokio::test]
async fn an_order_without_a_stamp_or_any_header_is_served_from_the_stream() {
    serves_orders_without_a_stamp::<Kafka>().await;
}

#[tokio::test]
async fn an_address_shows_no_password_wherever_it_is_printed() {
    with(
        Durability::Process,
        async |broker: Rabbit, settings: Settings| {
            let service = Ledgered::default();
            let listener = broker.serve(&settings, service).await.unwrap();
            assert!(!listener.address.contains('@'), "{}", listener.address);
            listener.stop().await;
            for target in [
                "amqp://hop:s3cret@127.0.0.1:1/%2f",
                "amqp://hop:s3cret@127.0.0.1:notaport",
                "s3cret",
            ] {
                let wrong = Settings {
                    target: target.into(),
                    ..settings.clone()
                };
                let error = format!("{:?}", broker.connect(&wrong).await.unwrap_err());
                assert!(!error.contains("s3cret"), "{error}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_full_queue_refuses_the_newest_publish_and_keeps_what_it_took() {
    const LIMIT: u32 = 100;
    with(
        Durability::Process,
        async |broker: Rabbit, settings: Settings| {
            let settings = Settings {
                queue_limit: Some(LIMIT),
                ..settings
            };
            let caller = broker.connect(&settings).await.unwrap();
            assert_eq!(caller.in_force()["max-length"], "100, reject-publish");
            let mut sender = Sender::new(Format::Protobuf);
            sender.send(&caller, 1_000).await;
            let taken = sender.ledger.acknowledged.len();
            assert_eq!(sender.failures.get("nack"), Some(&(1_000 - taken)));
            assert!(taken >= LIMIT.into(), "{taken} were taken");
            assert_eq!(broker.backlog(&settings).await.unwrap(), taken);
            let service = Ledgered::default();
            let listener = broker.serve(&settings, service.clone()).await.unwrap();
            until("what was taken is handled", || service.delivered() == taken).await;
            // There is room again.
            sender.send(&caller, 1).await;
            until("one more is handled", || service.delivered() == taken + 1).await;
            listener.stop().await;
            let balance = service.balance(&sender.ledger);
            assert_eq!(
                (balance.lost, balance.recovered),
                (Some(0), Some(0)),
                "{balance:?}"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn a_blob_travels_as_a_blob() {
    async fn blob<B: Broker>() {
        with(
            Durability::Process,
            async |broker: B, settings: Settings| {
                let service = Ledgered::default();
                let listener = broker.serve(&settings, service).await.unwrap();
                let caller = broker.connect(&settings).await.unwrap();
                let blob = bench_proto::Blob {
                    payload: "text".into(),
                    ..Default::default()
                };
                let body: Bytes = Message::Blob(blob).encode(Format::Protobuf);
                let outcome = caller.call(Kind::Blob, "", body.clone(), None).await;
                assert!(matches!(outcome.result, CallResult::Acknowledged(None)));
                // This service fails blobs, so its dead letter shows what it was taken for.
                let letters = broker.dead_letters(&settings, 1).await;
                let expected = (body.to_vec(), "these tests send orders only".to_string());
                assert_eq!(letters, [expected]);
                listener.stop().await;
            },
        )
        .await;
    }
    blob::<Rabbit>().await;
    blob::<Kafka>().await;
}
