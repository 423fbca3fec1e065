//! Request and reply over the real brokers: every call gets its own answer, refusals and failures come back as such,
//! and a reply that comes too late is counted while the ledger calls its order recovered.

use crate::clients::{Kafka, Rabbit};
use crate::rig::{Broker, Ledgered, Sender, until, with};
use bench_proto::format::Answer;
use bench_proto::validate::validate;
use bench_proto::{Durability, Format, Kind, Message};
use bench_transport::{CallResult, Caller, ReplyVia, Settings};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::time::Duration;

async fn every_call_gets_its_own_receipt<B: Broker>(via: ReplyVia, durability: Durability) {
    const ORDERS: u64 = 2_000;
    with(durability, async |broker: B, settings: Settings| {
        let settings = Settings {
            reply: Some(via),
            ..settings
        };
        let service = Ledgered::default();
        let listener = broker.serve(&settings, service.clone()).await.unwrap();
        // Two callers: neither may see the other's replies.
        let callers = [
            broker.connect(&settings).await.unwrap(),
            broker.connect(&settings).await.unwrap(),
        ];
        assert_eq!(callers[0].in_force()["reply"], via.name());
        let mut sender = Sender::new(Format::Protobuf);
        let mut expected = BTreeMap::new();
        let mut calls = FuturesUnordered::new();
        for number in 0..ORDERS {
            let (sequence, key, body, stamp) = sender.next();
            let Ok(Message::Order(order)) = Format::Protobuf.decode_request(Kind::Order, &body)
            else {
                panic!("a good order decodes")
            };
            expected.insert(sequence, validate(&order).unwrap());
            let call = callers[number as usize % 2].call(Kind::Order, &key, body, Some(stamp));
            calls.push(async move { (sequence, call.await) });
        }
        while let Some((sequence, outcome)) = calls.next().await {
            let CallResult::Acknowledged(Some(Answer::Receipt(receipt))) = outcome.result else {
                panic!("order {sequence} got {:?}", outcome.result)
            };
            assert_eq!(Some(receipt), expected.remove(&sequence));
            assert!(outcome.sent_ns.is_some() && outcome.body_in > 0);
            sender.ledger.acknowledged.insert(sequence);
        }
        assert!(expected.is_empty(), "every order was answered");
        let balance = service.balance(&sender.ledger);
        assert_eq!(
            (balance.delivered, balance.lost, balance.duplicated),
            (Some(ORDERS), Some(0), Some(0))
        );
        for caller in &callers {
            let counters = caller.counters();
            let odd = (
                counters.unknown,
                counters.late_replies,
                counters.late_confirms,
            );
            assert_eq!(odd, (0, 0, 0), "{counters:?}");
        }
        listener.stop().await;
        assert_eq!(broker.backlog(&settings).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn the_queue_answers_by_direct_reply_to() {
    every_call_gets_its_own_receipt::<Rabbit>(ReplyVia::Direct, Durability::None).await;
    every_call_gets_its_own_receipt::<Rabbit>(ReplyVia::Direct, Durability::Process).await;
}

#[tokio::test]
async fn the_queue_answers_by_reply_queue() {
    every_call_gets_its_own_receipt::<Rabbit>(ReplyVia::Queue, Durability::None).await;
    every_call_gets_its_own_receipt::<Rabbit>(ReplyVia::Queue, Durability::Process).await;
}

#[tokio::test]
async fn the_stream_answers_by_reply_topic() {
    every_call_gets_its_own_receipt::<Kafka>(ReplyVia::Topic, Durability::None).await;
    every_call_gets_its_own_receipt::<Kafka>(ReplyVia::Topic, Durability::Process).await;
}

async fn refusals_and_failures_come_back<B: Broker>(via: ReplyVia) {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let settings = Settings {
                reply: Some(via),
                ..settings
            };
            let service = Ledgered::default();
            let listener = broker.serve(&settings, service.clone()).await.unwrap();
            let caller = broker.connect(&settings).await.unwrap();
            let mut sender = Sender::new(Format::Protobuf);
            let (_, key, good, stamp) = sender.next();
            let Ok(Message::Order(mut order)) = Format::Protobuf.decode_request(Kind::Order, &good)
            else {
                panic!("a good order decodes")
            };
            order.total.as_mut().unwrap().units += 1;
            let dishonest = Message::Order(order).encode(Format::Protobuf);
            let outcome = caller
                .call(Kind::Order, &key, dishonest, Some(stamp))
                .await;
            assert!(
                matches!(&outcome.result, CallResult::Refused(text) if text.contains("total")),
                "{:?}",
                outcome.result
            );
            let cut_short = good.slice(..good.len() - 3);
            let outcome = caller.call(Kind::Order, &key, cut_short, None).await;
            assert!(
                matches!(&outcome.result, CallResult::Failed(f) if f.by_service && f.name == "rejected"),
                "{:?}",
                outcome.result
            );
            // This service fails blobs.
            let blob = Message::Blob(bench_proto::Blob::default()).encode(Format::Protobuf);
            let outcome = caller.call(Kind::Blob, "", blob, None).await;
            assert!(
                matches!(&outcome.result, CallResult::Failed(f) if f.by_service && f.name == "failed"),
                "{:?}",
                outcome.result
            );
            let outcome = caller.call(Kind::Order, &key, good, None).await;
            assert!(matches!(outcome.result, CallResult::Acknowledged(Some(_))));
            assert_eq!(service.rejected_by_name().len(), 1);
            listener.stop().await;
            assert_eq!(broker.backlog(&settings).await.unwrap(), 0);
        },
    )
    .await;
}

#[tokio::test]
async fn refusals_and_failures_come_back_from_the_brokers_as_such() {
    refusals_and_failures_come_back::<Rabbit>(ReplyVia::Direct).await;
    refusals_and_failures_come_back::<Rabbit>(ReplyVia::Queue).await;
    refusals_and_failures_come_back::<Kafka>(ReplyVia::Topic).await;
}

async fn a_late_reply_is_counted<B: Broker>(via: ReplyVia) {
    const ORDERS: usize = 20;
    with(Durability::None, async |broker: B, settings: Settings| {
        let settings = Settings {
            reply: Some(via),
            deadline: Duration::from_millis(300),
            ..settings
        };
        let service = Ledgered::slow(Duration::from_secs(1));
        let listener = broker.serve(&settings, service.clone()).await.unwrap();
        let caller = broker.connect(&settings).await.unwrap();
        let mut sender = Sender::new(Format::Protobuf);
        sender.send(&caller, ORDERS).await;
        assert_eq!(sender.ledger.timed_out, ORDERS as u64);
        until("every reply came after its deadline", || {
            caller.counters().late_replies == ORDERS as u64
        })
        .await;
        assert_eq!(caller.counters().unknown, ORDERS as u64);
        let balance = service.balance(&sender.ledger);
        assert_eq!(
            (balance.recovered, balance.lost, balance.acknowledged),
            (Some(ORDERS as u64), Some(0), 0)
        );
        listener.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_reply_after_the_deadline_is_counted_and_its_order_is_recovered() {
    a_late_reply_is_counted::<Rabbit>(ReplyVia::Direct).await;
    a_late_reply_is_counted::<Rabbit>(ReplyVia::Queue).await;
    a_late_reply_is_counted::<Kafka>(ReplyVia::Topic).await;
}

#[tokio::test]
async fn a_way_of_reply_that_the_broker_does_not_have_is_a_sentence() {
    async fn refused<B: Broker>(via: ReplyVia, hint: &str) {
        with(Durability::None, async |broker: B, settings: Settings| {
            let settings = Settings {
                reply: Some(via),
                ..settings
            };
            let refusal = broker.connect(&settings).await.err();
            let error = refusal.expect("it is refused").to_string();
            assert!(error.contains(hint), "{error}");
        })
        .await;
    }
    refused::<Rabbit>(ReplyVia::Topic, "use direct or queue").await;
    refused::<Kafka>(ReplyVia::Direct, "use topic").await;
}
