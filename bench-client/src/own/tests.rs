//! Files that are orders, files that are not, and what is said of each.

use super::*;
use bench_proto::corpus::order_id;
use bench_proto::{PayloadClass, Refusal};
use serde_json::{Value, json};
use std::io::Write;

/// Orders of the corpus as their JSON.
fn orders(count: usize) -> Vec<Value> {
    let corpus = Corpus::first(PayloadClass::Order(2), 7, count);
    let value = |message: &Message| match message {
        Message::Order(order) => serde_json::to_value(order).expect("an order is JSON"),
        Message::Blob(_) => panic!("a class of orders"),
    };
    corpus.messages().iter().map(value).collect()
}

fn lines(orders: &[Value]) -> String {
    orders.iter().map(|order| format!("{order}\n")).collect()
}

fn file(name: &str, text: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    let mut file = std::fs::File::create(&path).expect("a file");
    file.write_all(text).expect("it takes the text");
    (folder, path)
}

fn read_orders(text: &str) -> Result<Own, String> {
    let (_folder, path) = file("orders.jsonl", text.as_bytes());
    Own::orders(&path)
}

fn count(own: &Own) -> usize {
    own.corpus(Format::Protobuf).messages().len()
}

/// The problems of one order that was changed.
fn problems_after(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut order = orders(1).remove(0);
    change(&mut order);
    let (_, problems) = orders::parse(&order.to_string());
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn every_order_of_a_file_is_carried_in_turn_with_an_id_of_its_operation() {
    let all = orders(3);
    let own = read_orders(&lines(&all)).expect("orders of the contract");
    for format in [Format::Json, Format::Protobuf] {
        let mut corpus = own.corpus(format);
        for sequence in 0..7 {
            let Message::Order(sent) = corpus.message(5, 1, sequence).clone() else {
                panic!("a file of orders");
            };
            let mut expected = all[sequence as usize % 3].clone();
            let id = order_id(5, 1, sequence);
            expected["order_id"] = std::str::from_utf8(&id).expect("ASCII").into();
            assert_eq!(serde_json::to_value(&sent).unwrap(), expected);
        }
    }
}

#[test]
fn what_results_say_of_a_file_is_its_name_its_orders_their_size_and_its_digest() {
    let mut all = orders(2);
    // However short or long its own id is, an order is sent with one of 36 characters.
    all[0]["order_id"] = "x".into();
    let text = lines(&all);
    let own = read_orders(&text).unwrap();
    let mean = |format: Format| {
        let mut corpus = Corpus::first(PayloadClass::Order(2), 7, 2);
        let length = |entry| corpus.message(0, 0, entry).encode(format).len() as f64;
        (0..2).map(length).sum::<f64>() / 2.0
    };
    let expected = format!(
        "file orders.jsonl, 2 orders, mean {:.0} bytes as json, {:.0} as protobuf",
        mean(Format::Json),
        mean(Format::Protobuf)
    );
    assert_eq!(own.to_string(), expected);
    assert_eq!(own.digest(), sha256(text.as_bytes()));
    assert_eq!(
        own.name(),
        format!("file:orders.jsonl#{}", &own.digest()[..8])
    );
    // Of the empty text, as FIPS 180-4's own examples have it.
    assert_eq!(
        sha256(b""),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_ne!(read_orders(&lines(&orders(3))).unwrap().name(), own.name());
}

#[test]
fn one_order_may_go_over_several_lines_and_blank_lines_are_no_orders() {
    let all = orders(2);
    let pretty = serde_json::to_string_pretty(&all[0]).unwrap();
    for text in [
        pretty.clone(),
        format!("\n\n{pretty}\n\n"),
        all[0].to_string(),
    ] {
        assert_eq!(count(&read_orders(&text).unwrap()), 1, "{text}");
    }
    let spaced = format!("\n{}\r\n\r\n  {}\n", all[0], all[1]);
    assert_eq!(count(&read_orders(&spaced).unwrap()), 2);
}

#[test]
fn each_field_that_is_wrong_is_told_with_its_line_and_what_was_expected() {
    let mut all = orders(3);
    all[0]["items"][1]["quantity"] = "2".into();
    all[0]["created_at_ms"] = json!(1.5);
    all[2]["custommer"] = "x".into();
    all[2]["total"] = "12.50".into();
    let error = read_orders(&lines(&all)).unwrap_err();
    for line in [
        "orders.jsonl has 4 problems, and nothing was started:",
        "line 1, items[1].quantity: expected a whole number of 32 bits, got the text \"2\"",
        "line 1, created_at_ms: expected a whole number of 64 bits, got 1.5",
        "line 3, custommer: expected one of `order_id`, `user_id`",
        "line 3, total: expected an object, got the text \"12.50\"",
    ] {
        assert!(error.contains(line), "{line} is not in {error}");
    }
}

#[test]
fn every_kind_of_value_is_held_against_its_field() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 12] = [
        (
            |o| o["email"] = json!(7),
            "line 1, email: expected text, got 7",
        ),
        (
            |o| o["items"] = json!({}),
            "line 1, items: expected a list, got an object",
        ),
        (
            |o| o["items"][0] = json!(null),
            "line 1, items[0]: expected an object, got null",
        ),
        (
            |o| o["address"] = json!([]),
            "line 1, address: expected an object, got a list",
        ),
        (
            |o| o["status"] = json!("STATUS_PAID"),
            "line 1, status: expected one of 0 (STATUS_UNSPECIFIED), 1 (STATUS_PLACED)",
        ),
        (|o| o["status"] = json!(9), "3 (STATUS_SHIPPED), got 9"),
        (
            |o| o["total"]["nanos"] = json!(4_000_000_000_u64),
            "line 1, total.nanos: expected a whole number of 32 bits, got 4000000000",
        ),
        (
            |o| o["orderId"] = json!("x"),
            "line 1, orderId: expected the names of order.proto, got `orderId`; write `order_id`",
        ),
        (
            |o| o["items"] = json!([]),
            "line 1, items: expected an order of at least one line",
        ),
        (
            |o| o["items"][1]["quantity"] = json!(0),
            "line 1, items[1].quantity: expected a quantity above 0 in line 2, got 0",
        ),
        (
            |o| o["items"][1]["unit_price"] = json!(null),
            "line 1, items[1].unit_price: expected the unit price of line 2",
        ),
        (
            |o| o["shipping_cost"]["currency_code"] = json!("XTS"),
            "line 1, shipping_cost: expected the shipping cost in",
        ),
    ];
    for (change, expected) in cases {
        let problems = problems_after(change);
        assert!(
            problems.len() == 1 && problems[0].contains(expected),
            "{expected} is not {problems:?}"
        );
    }
    // A sum is about the total, whichever amount is to blame.
    let problems = problems_after(|o| o["total"]["units"] = json!(1));
    assert!(
        problems[0].starts_with("line 1, total: expected a total of"),
        "{problems:?}"
    );
    // What is absent is at its default, as in every proto3 message.
    assert!(problems_after(|o| o["email"] = json!("")).is_empty());
    assert!(
        problems_after(|o| {
            o.as_object_mut().unwrap().remove("email");
        })
        .is_empty()
    );
}

#[test]
fn the_fields_of_all_refusals_are_named() {
    let amount = |words: &str| Refusal::Money {
        amount: words.into(),
        got: String::new(),
    };
    for (words, field) in [
        ("the total", "total"),
        ("the total in hundredths in 64 bits, and the total", "total"),
        ("the shipping cost", "shipping_cost"),
        ("the unit price of line 12", "items[11].unit_price"),
    ] {
        assert_eq!(orders::field_of(&amount(words)), field, "{words}");
    }
    assert_eq!(orders::field_of(&Refusal::Lines(10_001)), "items");
}

#[test]
fn what_is_no_order_at_all_is_told_with_its_place() {
    let good = orders(1).remove(0).to_string();
    for (text, expected) in [
        (String::new(), "orders.jsonl holds nothing"),
        ("\n  \n".into(), "orders.jsonl holds nothing"),
        (
            format!("{good}\nnot json\n"),
            "line 2: expected a JSON object, got what is none at column 2",
        ),
        (format!("{good}\n7\n"), "line 2: expected an object, got 7"),
        (
            format!("[{good}]"),
            "line 1: expected one order a line, got a list",
        ),
        (
            "{\n  \"items\": [\n    oops\n  ]\n}".into(),
            "line 3: expected a JSON object",
        ),
        (
            format!("{}\n{good}", &good[..20]),
            "line 1: expected a JSON object",
        ),
    ] {
        let error = read_orders(&text).expect_err(&text);
        assert!(error.contains(expected), "{expected} is not in {error}");
    }
}

#[test]
fn a_screenful_of_problems_is_listed_and_the_rest_is_counted() {
    let mut all = orders(50);
    for order in &mut all {
        order["email"] = json!(1);
    }
    let error = read_orders(&lines(&all)).unwrap_err();
    assert_eq!(error.lines().count(), 1 + LISTED + 1, "{error}");
    assert!(error.contains("50 problems") && error.contains("… and 30 more"));
}

#[test]
fn a_file_that_cannot_be_read_is_refused_with_its_reason() {
    let missing = Own::orders(Path::new("no/such/orders.jsonl")).unwrap_err();
    assert!(
        missing.contains("no/such/orders.jsonl could not be read"),
        "{missing}"
    );
    let folder = tempfile::tempdir().unwrap();
    let error = Own::orders(folder.path()).unwrap_err();
    assert!(error.contains("no plain file"), "{error}");
    let (_folder, path) = file("orders.jsonl", b"{}\n\xff\n");
    let error = Own::orders(&path).unwrap_err();
    assert!(error.contains("line 2: expected UTF-8 text"), "{error}");
    // Sparse: it takes no room on the disk.
    let (_folder, path) = file("large.jsonl", b"");
    let large = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    large.set_len(MOST_BYTES + 1).unwrap();
    let error = Own::orders(&path).unwrap_err();
    assert!(error.contains("a sample of it will do"), "{error}");
}

#[test]
fn a_name_for_results_holds_nothing_that_a_shell_or_a_page_would_trip_over() {
    let digest = sha256(b"x");
    let plain = name("my orders|<b>.jsonl", &digest);
    assert_eq!(plain, format!("file:my_orders__b_.jsonl#{}", &digest[..8]));
}

const CART: &str = r#"
syntax = "proto3";
package shop.v1;
import "money.proto";
message Line { string sku = 1; uint32 pieces = 2; shop.v1.Price price = 3; }
message Cart { string id = 1; repeated Line lines = 2; map<string, int64> points = 3; }
"#;
const MONEY: &str = r#"
syntax = "proto3";
package shop.v1;
enum Unit { CENT = 0; EURO = 1; }
message Price { int64 amount = 1; Unit unit = 2; }
"#;

/// A folder with the type's files and its messages.
fn shop(lines: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("cart.proto", CART),
        ("money.proto", MONEY),
        ("carts.jsonl", lines),
    ] {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

fn carts(lines: &str, message: &str) -> Result<Own, String> {
    let folder = shop(lines);
    let path = |name| folder.path().join(name);
    Own::typed(&path("cart.proto"), message, &path("carts.jsonl"))
}

const TWO: &str = r#"{"id":"a","lines":[{"sku":"x","pieces":2,"price":{"amount":"199","unit":"EURO"}}]}
{"id":"b","points":{"spring":"7"}}
"#;

#[test]
fn messages_of_another_type_have_the_sizes_of_both_formats_by_arithmetic() {
    let own = carts(TWO, "shop.v1.Cart").expect("two carts");
    let typed = own.as_typed().expect("a type of one's own");
    let lengths =
        |format| -> Vec<usize> { typed.bodies(format).iter().map(|body| body.len()).collect() };
    // id 3; a line: tag and length 2, sku 3, pieces 2, price 2 + 3 + 2. Of the second: id 3, an entry 2 + 8 + 2.
    assert_eq!(lengths(Format::Protobuf), [3 + 2 + 12, 3 + 12]);
    // proto3 JSON as the file has it, key by key in the contract's order.
    let texts: Vec<&str> = TWO.lines().collect();
    assert_eq!(lengths(Format::Json), [texts[0].len(), texts[1].len()]);
    assert_eq!(
        own.means(),
        [
            (texts[0].len() + texts[1].len()) as f64 / 2.0,
            (17.0 + 15.0) / 2.0
        ]
    );
    for format in [Format::Json, Format::Protobuf] {
        for (message, body) in typed.messages().iter().zip(typed.bodies(format)) {
            assert_eq!(&typed.decode(format, body), message, "{format}");
        }
    }
}

#[test]
fn a_blob_carries_the_very_bytes_of_another_type() {
    let own = carts(TWO, "shop.v1.Cart").unwrap();
    let typed = own.as_typed().unwrap();
    assert_eq!(own.kind(), Kind::Blob);
    for sequence in [0, 1, 2] {
        let entry = sequence as usize % 2;
        let Message::Blob(blob) = own.corpus(Format::Protobuf).message(1, 2, sequence).clone()
        else {
            panic!("opaque");
        };
        assert_eq!(blob.data, typed.bodies(Format::Protobuf)[entry]);
        let Message::Blob(blob) = own.corpus(Format::Json).message(1, 2, sequence).clone() else {
            panic!("opaque");
        };
        assert_eq!(blob.payload.as_bytes(), typed.bodies(Format::Json)[entry]);
    }
    let told = own.to_string();
    assert!(
        told.starts_with(
            "file carts.jsonl, 2 messages of shop.v1.Cart (dynamic, carried as opaque bytes), mean "
        ),
        "{told}"
    );
    let other = carts(TWO, "shop.v1.Line");
    assert!(other.is_err(), "a cart is no line");
}

#[test]
fn what_is_no_message_of_the_type_is_told_with_line_and_field() {
    let text = format!(
        "{}{}\n{}\n{}\n{}\n",
        TWO, r#"{"id":7}"#, r#"{"lines":[{"pieces":-1}]}"#, r#"{"colour":"red"}"#, r#"{"id":"#
    );
    let error = carts(&text, "shop.v1.Cart").unwrap_err();
    for line in [
        "carts.jsonl has 4 problems, and nothing was started:",
        "line 3, id: expected a shop.v1.Cart as proto3 JSON",
        "line 4, lines[0].pieces: expected a shop.v1.Cart as proto3 JSON",
        "unrecognized field name 'colour'",
        "line 6: expected a JSON object",
    ] {
        assert!(error.contains(line), "{line} is not in {error}");
    }
}

#[test]
fn a_definition_that_cannot_be_used_is_refused_with_its_reason() {
    let folder = shop(TWO);
    let path = |name: &str| folder.path().join(name);
    let refused = |proto: &str, message: &str| {
        Own::typed(&path(proto), message, &path("carts.jsonl")).unwrap_err()
    };
    let unknown = refused("cart.proto", "Cart");
    assert!(
        unknown.contains("no message 'Cart'") && unknown.contains("shop.v1.Cart"),
        "{unknown}"
    );
    let missing = refused("nothing.proto", "shop.v1.Cart");
    assert!(
        missing.contains("nothing.proto could not be compiled"),
        "{missing}"
    );
    std::fs::write(
        path("bad.proto"),
        "syntax = \"proto3\";\nmessage A {\n  Nowhere b = 1;\n}\n",
    )
    .unwrap();
    let bad = refused("bad.proto", "A");
    assert!(
        bad.contains("bad.proto:3") && bad.contains("Nowhere"),
        "{bad}"
    );
}

#[test]
fn another_definition_of_the_same_lines_is_another_payload() {
    let folder = shop(r#"{"id":"a"}"#);
    let path = |name: &str| folder.path().join(name);
    let read = || Own::typed(&path("cart.proto"), "shop.v1.Cart", &path("carts.jsonl")).unwrap();
    let before = read();
    assert_eq!(before.name(), read().name());
    let text = CART.replace("string id = 1", "string id = 9");
    std::fs::write(path("cart.proto"), text).unwrap();
    assert_ne!(before.name(), read().name());
}
