use super::*;
use crate::{Address, Item, Money, Status};
use proptest::collection::vec;
use proptest::prelude::*;

fn money() -> impl Strategy<Value = Option<Money>> {
    proptest::option::of((".{0,4}", any::<i64>(), any::<i32>()).prop_map(
        |(currency_code, units, nanos)| Money {
            currency_code,
            units,
            nanos,
        },
    ))
}

fn address() -> impl Strategy<Value = Option<Address>> {
    proptest::option::of((".*", ".*", ".*", ".*", ".*").prop_map(
        |(street, city, state, country, zip)| Address {
            street,
            city,
            state,
            country,
            zip,
        },
    ))
}

prop_compose! {
    fn item()(product_id in ".*", quantity: i32, unit_price in money()) -> Item {
        Item { product_id, quantity, unit_price }
    }
}

prop_compose! {
    fn order()(
        (order_id, user_id, email) in (".*", ".*", ".*"),
        address in address(),
        items in vec(item(), 0..5),
        (shipping_cost, total) in (money(), money()),
        status: i32,
        created_at_ms: i64,
    ) -> Order {
        Order { order_id, user_id, email, address, items, shipping_cost, total, status, created_at_ms }
    }
}

prop_compose! {
    fn blob()(
        payload in ".*",
        data in vec(any::<u8>(), 0..50),
        ints in vec(any::<i32>(), 0..20),
        doubles in vec(any::<f64>().prop_filter("JSON has finite numbers only", |d| d.is_finite()), 0..20),
    ) -> Blob {
        Blob { payload, data, ints, doubles }
    }
}

const FORMATS: [Format; 2] = [Format::Json, Format::Protobuf];

proptest! {
    #[test]
    fn an_order_is_the_same_after_either_codec(order in order()) {
        for format in FORMATS {
            let back = format.decode::<Order>(&format.encode(&order));
            prop_assert_eq!(back.as_ref(), Ok(&order));
        }
    }

    #[test]
    fn a_blob_is_the_same_after_either_codec(blob in blob()) {
        for format in FORMATS {
            let back = format.decode::<Blob>(&format.encode(&blob));
            prop_assert_eq!(back.as_ref(), Ok(&blob));
        }
    }

    #[test]
    fn an_answer_is_the_same_after_either_codec(
        order_id in ".*", status: i32, lines: i32, total_cents: i64, blob in blob()
    ) {
        let receipt = Answer::Receipt(Receipt { order_id, status, lines, total_cents });
        let blob = Answer::Blob(blob);
        for format in FORMATS {
            let back = format.decode_answer(Kind::Order, &receipt.encode(format));
            prop_assert_eq!(back.as_ref(), Ok(&receipt));
            let back = format.decode_answer(Kind::Blob, &blob.encode(format));
            prop_assert_eq!(back.as_ref(), Ok(&blob));
        }
    }

    #[test]
    fn no_bytes_make_a_codec_panic(bytes in vec(any::<u8>(), 0..200)) {
        for format in FORMATS {
            let _ = format.decode_request(Kind::Order, &bytes);
            let _ = format.decode_request(Kind::Blob, &bytes);
        }
    }

    #[test]
    fn a_json_body_cut_short_is_never_an_order(order in order(), cut in 0.0..1.0) {
        let body = Format::Json.encode(&order);
        let cut = (body.len() as f64 * cut) as usize;
        prop_assert!(Format::Json.decode::<Order>(&body[..cut]).is_err());
    }
}

fn small_order() -> Order {
    let usd = |units, nanos| {
        Some(Money {
            currency_code: "USD".into(),
            units,
            nanos,
        })
    };
    Order {
        order_id: "a".into(),
        user_id: "b".into(),
        email: "c".into(),
        address: Some(Address {
            street: "d".into(),
            city: "e".into(),
            state: "f".into(),
            country: "g".into(),
            zip: "h".into(),
        }),
        items: vec![Item {
            product_id: "i".into(),
            quantity: 1,
            unit_price: usd(2, 3),
        }],
        shipping_cost: usd(4, 5),
        total: usd(6, 8),
        status: Status::Placed.into(),
        created_at_ms: 9,
    }
}

#[test]
fn json_has_the_contracts_field_names_in_the_contracts_order() {
    let expected = concat!(
        r#"{"order_id":"a","user_id":"b","email":"c","#,
        r#""address":{"street":"d","city":"e","state":"f","country":"g","zip":"h"},"#,
        r#""items":[{"product_id":"i","quantity":1,"unit_price":{"currency_code":"USD","units":2,"nanos":3}}],"#,
        r#""shipping_cost":{"currency_code":"USD","units":4,"nanos":5},"#,
        r#""total":{"currency_code":"USD","units":6,"nanos":8},"status":1,"created_at_ms":9}"#
    );
    assert_eq!(Format::Json.encode(&small_order()), expected);
}

#[test]
fn a_blob_in_json_shows_only_what_it_carries_and_bytes_as_base64() {
    let encode = |blob: Blob| Format::Json.encode(&blob);
    assert_eq!(encode(Blob::default()), "{}");
    let text = Blob {
        payload: "hop".into(),
        ..Blob::default()
    };
    assert_eq!(encode(text), r#"{"payload":"hop"}"#);
    let rest = Blob {
        data: vec![0xfb, 0xff, 0xfe, 1],
        ints: vec![-1, 0],
        doubles: vec![7.0, 0.1],
        ..Blob::default()
    };
    assert_eq!(
        encode(rest),
        r#"{"data":"+//+AQ==","ints":[-1,0],"doubles":[7.0,0.1]}"#
    );
}

#[test]
fn unknown_fields_are_passed_over_and_missing_ones_are_default_in_both_formats() {
    let json = br#" {"colour":{"deep":[1,{"er":null}]},"user_id":"b","address":null} "#;
    let expected = Order {
        user_id: "b".into(),
        ..Order::default()
    };
    assert_eq!(Format::Json.decode::<Order>(json).as_ref(), Ok(&expected));
    // Field 2 as text, then field 2047, which no message has, as a varint.
    let protobuf = [0x12, 1, b'b', 0xf8, 0x7f, 1];
    assert_eq!(Format::Protobuf.decode::<Order>(&protobuf), Ok(expected));
}

#[test]
fn malformed_json_is_answered_with_what_was_expected_and_where_it_broke() {
    let bodies = [
        ("", "EOF"),
        ("{", "EOF"),
        ("null", "null"),
        ("[]", "sequence"),
        ("7", "integer"),
        (r#""order""#, "string"),
        ("{} {}", "trailing"),
        (r#"{"items":{}}"#, "map"),
        (r#"{"items":null}"#, "null"),
        (r#"{"items":[[]]}"#, "sequence"),
        (r#"{"items":[null]}"#, "null"),
        (r#"{"items":[{"quantity":"3"}]}"#, "string"),
        (r#"{"items":[{"quantity":3.5}]}"#, "floating point"),
        (r#"{"items":[{"quantity":3000000000}]}"#, "3000000000"),
        (r#"{"items":[{"unit_price":["USD",1,2]}]}"#, "sequence"),
        (r#"{"address":["d","e","f","g","h"]}"#, "sequence"),
        (r#"{"total":[]}"#, "sequence"),
        (r#"{"shipping_cost":1.25}"#, "floating point"),
        (r#"{"order_id":7}"#, "integer"),
        (r#"{"order_id":null}"#, "null"),
        (r#"{"order_id":"a","order_id":"b"}"#, "duplicate"),
        (r#"{"status":"PLACED"}"#, "string"),
        (
            r#"{"created_at_ms":99999999999999999999}"#,
            "floating point",
        ),
        ("{\"order_id\":\"\u{1}\"}", "control character"),
        (r#"{"order_id":"\ud800"}"#, "hex escape"),
    ];
    for (body, cause) in bodies {
        let DecodeError(error) = Format::Json
            .decode::<Order>(body.as_bytes())
            .expect_err(body);
        let expected = "expected one Order as a JSON object with the contract's field names, got ";
        assert!(error.starts_with(expected), "{error}");
        assert!(
            error.contains(&format!("got {} bytes", body.len())),
            "{error}"
        );
        assert!(error.contains(cause), "{body}: {error}");
    }
    Format::Json
        .decode::<Order>(b"{\"order_id\":\"\xff\"}")
        .expect_err("not UTF-8");
}

#[test]
fn a_deep_nest_in_an_unknown_field_costs_no_stack() {
    let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
    let json = |text: String| Format::Json.decode::<Order>(text.as_bytes());
    json(format!("{{\"colour\":{open}")).expect_err("never closed");
    assert_eq!(
        json(format!("{{\"colour\":{open}{close}}}")),
        Ok(Order::default())
    );
}

#[test]
fn bytes_that_are_no_base64_are_answered_with_what_was_expected() {
    for text in ["-_8=", "AA", "A===", "AA==AA==", " AA==", "é"] {
        let body = format!("{{\"data\":\"{text}\"}}");
        let error = Format::Json
            .decode::<Blob>(body.as_bytes())
            .expect_err(text);
        assert!(error.0.contains("standard base64"), "{error}");
    }
    let error = Format::Json
        .decode::<Blob>(br#"{"data":[1,2]}"#)
        .expect_err("an array is no text");
    assert!(error.0.contains("standard base64 text"), "{error}");
}

#[test]
fn malformed_protobuf_is_answered_with_what_was_expected() {
    let bodies: [&[u8]; 5] = [
        &[0x0a],                // field 1, text, without its length
        &[0x0a, 5, b'x'],       // five characters announced, one there
        &[0x0a, 1, 0xff],       // no UTF-8
        &[0x08, 1],             // field 1 as a number
        &[0x2a, 2, 0x10, 0x80], // a line whose quantity breaks off
    ];
    for body in bodies {
        let DecodeError(error) = Format::Protobuf
            .decode::<Order>(body)
            .expect_err("not an order");
        let expected = "expected one Order as a protobuf message of hopbench.v1, got ";
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_large_json_body_leaves_no_large_buffer_behind() {
    let large = Blob {
        payload: "x".repeat(2 * SCRATCH_KEPT),
        ..Blob::default()
    };
    assert_eq!(Format::Json.encode(&large).len(), large.payload.len() + 14);
    assert_eq!(SCRATCH.with_borrow(Vec::capacity), 0);
    Format::Json.encode(&small_order());
    let kept = SCRATCH.with_borrow(Vec::capacity);
    assert!(kept > 0 && kept <= SCRATCH_KEPT);
    Format::Json.encode(&small_order());
    assert_eq!(SCRATCH.with_borrow(Vec::capacity), kept);
}

#[test]
fn content_types_name_formats_whatever_their_case_and_parameters() {
    for format in FORMATS {
        assert_eq!(Format::of_content_type(format.content_type()), Some(format));
    }
    for (text, format) in [
        ("Application/JSON; charset=utf-8", Some(Format::Json)),
        ("application/protobuf", Some(Format::Protobuf)),
        (
            "application/x-protobuf ;messageType=Order",
            Some(Format::Protobuf),
        ),
        ("", None),
        ("text/plain", None),
        ("application/jsonx", None),
        ("application/x-www-form-urlencoded", None),
    ] {
        assert_eq!(Format::of_content_type(text), format, "{text}");
    }
}

#[test]
fn formats_and_kinds_are_read_back_from_what_they_print() {
    for format in FORMATS {
        assert_eq!(format.to_string().parse(), Ok(format));
        let json = serde_json::to_value(format).expect("a format is a string");
        assert_eq!(json, format.to_string());
    }
    for kind in [Kind::Order, Kind::Blob] {
        assert_eq!(kind.to_string().parse(), Ok(kind));
        let json = serde_json::to_value(kind).expect("a kind is a string");
        assert_eq!(json, kind.to_string());
    }
    let error = "xml".parse::<Format>().expect_err("no such format");
    assert!(error.contains("json or protobuf") && error.contains("'xml'"));
    let error = "file".parse::<Kind>().expect_err("no such kind");
    assert!(error.contains("order or blob") && error.contains("'file'"));
}
