use super::*;
use crate::validate::validate;
use crate::{Blob, Format, Order};
use std::collections::HashSet;

const SEED: u64 = 7;

/// Mean encoded bytes of each class, protobuf and JSON.
const SIZES: [(&str, usize, usize); 13] = [
    ("E0", 0, 2),
    ("E64", 66, 78),
    ("E1K", 1_027, 1_038),
    ("E64K", 65_540, 65_550),
    ("O1", 227, 529),
    ("O3", 290, 744),
    ("O10", 513, 1_501),
    ("O100", 3_335, 11_168),
    ("O1000", 31_569, 107_960),
    ("N-int", 1_006, 3_362),
    ("N-dbl", 8_006, 18_684),
    ("N-whole", 8_006, 4_053),
    ("B64K", 65_540, 87_398),
];

fn class(name: &str) -> PayloadClass {
    name.parse().expect("a class of the table")
}

fn orders(name: &str) -> Vec<Order> {
    Corpus::new(class(name), SEED)
        .messages()
        .iter()
        .map(|message| match message {
            Message::Order(order) => order.clone(),
            Message::Blob(_) => panic!("{name} is a class of orders"),
        })
        .collect()
}

fn assert_within_two_percent(what: &str, got: f64, expected: usize) {
    let expected = expected as f64;
    assert!(
        (got - expected).abs() <= 0.02 * expected,
        "{what}: expected {expected} bytes within 2 %, got {got}"
    );
}

#[test]
fn every_class_has_its_published_mean_sizes_and_reads_back_in_both_formats() {
    for (name, protobuf, json) in SIZES {
        let corpus = Corpus::new(class(name), SEED);
        assert_eq!(corpus.messages().len(), Corpus::SIZE);
        for (format, expected) in [(Format::Protobuf, protobuf), (Format::Json, json)] {
            let mut bytes = 0;
            for message in corpus.messages() {
                let body = message.encode(format);
                bytes += body.len();
                assert_eq!(
                    format.decode_request(class(name).kind(), &body).as_ref(),
                    Ok(message)
                );
            }
            let mean = bytes as f64 / Corpus::SIZE as f64;
            assert_within_two_percent(&format!("{name} as {format}"), mean, expected);
        }
    }
}

#[test]
fn a_receipt_has_its_published_sizes() {
    // 46 and 92 here, a little below the 47 and 99 of a receipt with longer field names.
    for (format, expected) in [(Format::Protobuf, 46), (Format::Json, 92)] {
        let bytes: usize = orders("O3")
            .iter()
            .map(|order| validate(order).expect("a valid order"))
            .map(|receipt| format.encode(&receipt).len())
            .sum();
        let mean = bytes as f64 / Corpus::SIZE as f64;
        assert_within_two_percent(&format!("a receipt as {format}"), mean, expected);
    }
}

#[test]
fn no_two_messages_of_a_class_are_the_same_even_without_their_order_ids() {
    for (name, ..) in SIZES.iter().filter(|(name, ..)| *name != "E0") {
        let mut corpus = Corpus::new(class(name), SEED);
        let mut distinct = HashSet::new();
        for message in &mut corpus.messages {
            if let Message::Order(order) = message {
                order.order_id.clear();
            }
            distinct.insert(message.encode(Format::Protobuf));
        }
        assert_eq!(distinct.len(), Corpus::SIZE, "{name}");
    }
}

#[test]
fn every_order_is_one_that_the_service_works_on() {
    for (name, lines) in [("O1", 1), ("O3", 3), ("O100", 100), ("O777", 777)] {
        for order in orders(name) {
            let receipt = validate(&order).expect("lines and shipping make up the total");
            assert_eq!(receipt.lines, lines);
            assert_eq!(receipt.order_id, order.order_id);
        }
    }
}

#[test]
fn no_field_of_an_order_is_at_its_default() {
    fn check(path: &str, value: &serde_json::Value) {
        use serde_json::Value::{Array, Null, Number, Object, String};
        match value {
            Object(fields) => fields.iter().for_each(|(k, v)| check(k, v)),
            Array(values) => {
                assert!(!values.is_empty(), "{path} is empty");
                values.iter().for_each(|v| check(path, v));
            }
            String(text) => assert!(!text.is_empty(), "{path} is empty"),
            Number(number) => assert_ne!(number.as_i64(), Some(0), "{path} is 0"),
            Null | serde_json::Value::Bool(_) => panic!("{path} is {value}"),
        }
    }
    for order in orders("O10") {
        let json = serde_json::to_value(&order).expect("an order is JSON");
        check("order", &json);
    }
}

#[test]
fn orders_come_from_64_users_who_each_keep_their_address() {
    let orders = orders("O3");
    let ids: HashSet<_> = orders.iter().map(|o| &o.user_id).collect();
    let users: HashSet<_> = orders
        .iter()
        .map(|o| format!("{} {} {:?}", o.user_id, o.email, o.address))
        .collect();
    assert_eq!((ids.len(), users.len()), (64, 64));
}

#[test]
fn equal_seeds_give_equal_corpora_and_other_seeds_others() {
    for name in [
        "E0", "E64", "E64K", "O1", "O100", "N-int", "N-dbl", "N-whole", "B1K",
    ] {
        let messages = |seed| Corpus::new(class(name), seed).messages;
        assert_eq!(messages(SEED), messages(SEED), "{name}");
        assert_eq!(messages(SEED) == messages(SEED + 1), name == "E0", "{name}");
    }
}

/// If it fails after an upgrade of `rand`, corpora have changed: results are then not comparable with older ones.
#[test]
fn corpora_stay_what_they_are_from_release_to_release() {
    let fingerprint = |name| {
        let corpus = Corpus::new(class(name), SEED);
        let mut bytes = Vec::new();
        for message in corpus.messages() {
            bytes.extend_from_slice(&message.encode(Format::Protobuf));
        }
        // FNV-1a: fixed for good, unlike the standard library's hash.
        bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let got: [u64; 5] = ["O3", "E64", "N-int", "N-dbl", "B1K"].map(fingerprint);
    assert_eq!(
        got,
        [
            6_369_211_437_958_796_695,
            16_164_882_064_198_575_139,
            5_105_443_914_709_615_534,
            18_339_939_194_989_094_274,
            6_066_564_269_394_806_435,
        ],
        "fingerprints of O3, E64, N-int, N-dbl, B1K"
    );
}

#[test]
fn the_whole_doubles_are_whole_and_the_ints_are_one_byte_each() {
    let blobs = |name| -> Vec<Blob> {
        let messages = Corpus::new(class(name), SEED).messages;
        let blob = |message| match message {
            Message::Blob(blob) => blob,
            Message::Order(_) => panic!("a class of blobs"),
        };
        messages.into_iter().map(blob).collect()
    };
    for blob in blobs("N-whole") {
        assert_eq!(blob.doubles.len(), 1_000);
        assert!(blob.doubles.iter().all(|d| d.fract() == 0.0 && *d != 0.0));
    }
    for blob in blobs("N-int") {
        assert_eq!(blob.ints.len(), 1_000);
        assert!(blob.ints.iter().all(|i| (-64..64).contains(i)));
    }
    for blob in blobs("N-dbl") {
        assert!(blob.doubles.iter().any(|d| d.fract() != 0.0));
    }
}

#[test]
fn a_message_carries_the_id_of_its_operation_written_in_place() {
    let mut corpus = Corpus::new(class("O3"), SEED);
    let made = corpus.messages.clone();
    let buffer = |corpus: &Corpus, entry: usize| match &corpus.messages[entry] {
        Message::Order(order) => order.order_id.as_ptr(),
        Message::Blob(_) => panic!("a class of orders"),
    };
    let before = buffer(&corpus, 5);
    // The corpus repeats after 1,024 operations; the id does not.
    for sequence in [5, 5 + 1_024, 5 + 7 * 1_024] {
        let Message::Order(order) = corpus.message(0xab, 3, sequence).clone() else {
            panic!("a class of orders");
        };
        let Message::Order(mut expected) = made[5].clone() else {
            panic!("a class of orders");
        };
        expected.order_id = String::from_utf8(order_id(0xab, 3, sequence).into()).expect("ASCII");
        assert_eq!(order, expected);
    }
    assert_eq!(buffer(&corpus, 5), before);
}

#[test]
fn the_first_messages_of_a_corpus_are_those_of_the_whole_one() {
    for (name, ..) in SIZES {
        let whole = Corpus::new(class(name), SEED);
        let first = Corpus::first(class(name), SEED, 5);
        assert_eq!(first.messages(), &whole.messages()[..5], "{name}");
    }
    let mut three = Corpus::first(class("E64"), SEED, 3);
    let made = three.messages.clone();
    assert_eq!(three.message(1, 2, 4), &made[1], "it repeats after three");
}

#[test]
fn other_messages_are_gone_over_like_a_class_and_get_their_ids_too() {
    let made = Corpus::first(class("O3"), SEED, 3).messages;
    let mut own = Corpus::of(made.clone()).expect("three messages");
    let mut whole = Corpus::of(made).expect("three messages");
    for sequence in 0..10 {
        let Message::Order(order) = own.message(7, 1, sequence).clone() else {
            panic!("a class of orders");
        };
        assert_eq!(order.order_id.as_bytes(), order_id(7, 1, sequence));
        assert_eq!(whole.message(7, 1, sequence), &Message::Order(order));
    }
    assert!(Corpus::of(Vec::new()).is_none(), "nothing is no corpus");
}

#[test]
fn a_blob_is_sent_as_it_was_made() {
    let mut corpus = Corpus::new(class("E64"), SEED);
    let made = corpus.messages.clone();
    assert_eq!(corpus.message(1, 2, 1_024 + 9), &made[9]);
}

#[test]
fn an_order_id_shows_run_producer_and_sequence_in_hexadecimal() {
    let text = |run, producer, sequence| {
        String::from_utf8(order_id(run, producer, sequence).into()).expect("ASCII")
    };
    assert_eq!(
        text(0x0123_4567_89ab_cdef, 0xf00d, 0xba98_7654_3210),
        "01234567-89ab-cdef-f00d-ba9876543210"
    );
    assert_eq!(text(0, 0, 0), "00000000-0000-0000-0000-000000000000");
    assert_eq!(
        text(u64::MAX, MAX_PRODUCERS - 1, (1 << 48) - 1),
        "ffffffff-ffff-ffff-ffff-ffffffffffff"
    );
}

#[test]
fn every_class_is_read_back_from_its_name_and_from_json() {
    let others = [
        "O2", "O9999", "O10000", "E1", "E2K", "E1000", "B1", "B2048K",
    ];
    for name in SIZES.iter().map(|row| row.0).chain(others) {
        let class = class(name);
        assert_eq!(class.to_string(), name);
        let json = serde_json::to_string(&class).expect("a class is a string");
        assert_eq!(json, format!("\"{name}\""));
        assert_eq!(
            serde_json::from_str::<PayloadClass>(&json).expect("its own JSON"),
            class
        );
    }
    assert_eq!(
        PayloadClass::NAMED.map(|class| class.to_string()),
        SIZES.map(|row| row.0)
    );
}

#[test]
fn a_name_that_is_no_class_is_answered_with_those_there_are() {
    let names = [
        "",
        "O",
        "O0",
        "O03",
        "O10001",
        "O-1",
        "O+1",
        "O1K",
        "o3",
        "E",
        "E00",
        "EK",
        "E0K",
        "E-1",
        "E64KB",
        "E3M",
        "E2049K",
        "E99999999999",
        "B0",
        "N",
        "N-float",
        "X1",
        "é3",
        " O3",
    ];
    for name in names {
        let error = name.parse::<PayloadClass>().expect_err(name);
        assert!(error.contains(&format!("'{name}'")), "{error}");
        for known in ["E0", "E64K", "O1000", "O<n>", "N-whole", "B64K"] {
            assert!(error.contains(known), "{error}");
        }
    }
    serde_json::from_str::<PayloadClass>("\"O0\"").expect_err("not through JSON either");
}
