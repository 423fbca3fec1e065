//! The variant against the contract's own descriptor: an independent implementation of the mapping reads it back to the
//! same message, and writes the same JSON.

use super::*;
use crate::{Corpus, DESCRIPTORS, PayloadClass};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;

fn descriptor(name: &str) -> MessageDescriptor {
    DescriptorPool::decode(DESCRIPTORS)
        .expect("the contract's descriptors")
        .get_message_by_name(name)
        .expect("a message of the contract")
}

fn described(message: &Message) -> (MessageDescriptor, Vec<u8>) {
    match message {
        Message::Order(order) => (descriptor("hopbench.v1.Order"), order.encode_to_vec()),
        Message::Blob(blob) => (descriptor("hopbench.v1.Blob"), blob.encode_to_vec()),
    }
}

/// What the reflection library makes of the same message: JSON by its own reading of the mapping.
fn reflected(message: &Message) -> Value {
    let (descriptor, protobuf) = described(message);
    let dynamic =
        DynamicMessage::decode(descriptor, &protobuf[..]).expect("protobuf of the contract");
    serde_json::to_value(&dynamic).expect("a message is JSON")
}

fn read_back(message: &Message, json: &[u8]) -> Vec<u8> {
    let (descriptor, _) = described(message);
    let mut reader = serde_json::Deserializer::from_slice(json);
    let dynamic = DynamicMessage::deserialize(descriptor, &mut reader)
        .expect("canonical JSON of the contract");
    reader.end().expect("one value and nothing after it");
    dynamic.encode_to_vec()
}

/// `7` and `7.0` are one number.
fn numbers_alike(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(list) => list.into_iter().map(numbers_alike).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, numbers_alike(value)))
            .collect(),
        other => other,
    }
}

fn is_the_mapping(message: &Message) {
    let json = encode(message);
    let ours: Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(numbers_alike(ours), numbers_alike(reflected(message)));
    let (_, protobuf) = described(message);
    assert_eq!(read_back(message, &json), protobuf);
}

#[test]
fn every_class_is_what_the_mapping_asks_for_and_reads_back_to_the_same_message() {
    for class in PayloadClass::NAMED {
        let corpus = Corpus::first(class, 7, 16);
        corpus.messages().iter().for_each(is_the_mapping);
    }
}

#[test]
fn defaults_and_what_is_unknown_follow_the_mapping_too() {
    is_the_mapping(&Message::Order(Order::default()));
    is_the_mapping(&Message::Order(Order {
        status: 7_000,
        address: Some(Address::default()),
        items: vec![Item::default()],
        created_at_ms: i64::MIN,
        ..Order::default()
    }));
    is_the_mapping(&Message::Blob(Blob {
        ints: vec![0, -1, i32::MAX],
        doubles: vec![
            0.0,
            -0.0,
            7.0,
            0.1,
            1e300,
            9_007_199_254_740_993.0,
            f64::MIN_POSITIVE,
        ],
        ..Blob::default()
    }));
    let odd = Blob {
        doubles: vec![f64::INFINITY, f64::NEG_INFINITY],
        ..Blob::default()
    };
    is_the_mapping(&Message::Blob(odd));
}

proptest! {
    #[test]
    fn any_blob_reads_back(
        payload in ".*",
        data in vec(any::<u8>(), 0..50),
        ints in vec(any::<i32>(), 0..20),
        doubles in vec(any::<f64>().prop_filter("NaN equals nothing", |d| !d.is_nan()), 0..20),
    ) {
        let blob = Message::Blob(Blob { payload, data, ints, doubles });
        let (_, protobuf) = described(&blob);
        prop_assert_eq!(read_back(&blob, &encode(&blob)), protobuf);
    }
}

#[test]
fn a_small_order_is_written_as_by_hand() {
    let usd = |units, nanos| {
        Some(Money {
            currency_code: "USD".into(),
            units,
            nanos,
        })
    };
    let order = Order {
        order_id: "a".into(),
        user_id: "b".into(),
        items: vec![Item {
            product_id: "i".into(),
            quantity: 1,
            unit_price: usd(2, 3),
        }],
        shipping_cost: usd(4, 0),
        status: Status::Placed.into(),
        created_at_ms: 9,
        ..Order::default()
    };
    let expected = concat!(
        r#"{"orderId":"a","userId":"b","#,
        r#""items":[{"productId":"i","quantity":1,"unitPrice":{"currencyCode":"USD","units":"2","nanos":3}}],"#,
        r#""shippingCost":{"currencyCode":"USD","units":"4"},"status":"STATUS_PLACED","createdAtMs":"9"}"#
    );
    assert_eq!(
        String::from_utf8(encode(&Message::Order(order))).unwrap(),
        expected
    );
    let whole = Blob {
        doubles: vec![7.0, 0.5, f64::NAN],
        ..Blob::default()
    };
    assert_eq!(
        encode(&Message::Blob(whole)),
        br#"{"doubles":[7,0.5,"NaN"]}"#
    );
    assert_eq!(encode(&Message::Blob(Blob::default())), b"{}");
}
