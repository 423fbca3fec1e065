//! Whatever a peer sends, a listener turns it away in its transport's own way, counts it by name, and the next good
//! order goes through. Peers here are plain sockets, and for grpc plain tonic: no client of ours is in the way.

use crate::support::hops::{Grpc, Hop, RestH1, Tcp, serve, settings};
use crate::support::{PATIENCE, Shop, between_two_ends, eventually, good_order, place_well};
use bench_proto::order::order_service_client::OrderServiceClient;
use bench_proto::{Format, Stamp};
use bench_transport::{Listener, tcp};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

/// Where lists of orders go.
const LIST: &str = "/v1/orders:batch";

/// A listener without a caller.
async fn listen<H: Hop>(service: &tokio::runtime::Handle) -> (Shop, Listener) {
    let shop = Shop::default();
    let mut settings = settings::<H>(Format::Protobuf);
    let listener = serve::<H>(service, &mut settings, &shop).await;
    (shop, listener)
}

/// Sends bytes, ends the sending side, and reads what comes until the peer closes.
async fn say(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A peer that has refused already may close before everything is written.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(PATIENCE, read).await.expect("an end");
    answer
}

async fn good_order_goes_through<H: Hop>(shop: &Shop, listener: &Listener) {
    let before = shop.delivered();
    let mut settings = settings::<H>(Format::Protobuf);
    settings.target = listener.address.clone();
    let caller = H::connect(&settings).await.unwrap();
    place_well(&caller, 1_000 + before).await;
    assert_eq!(shop.delivered(), before + 1);
}

fn counted(shop: &Shop, what: &str) -> u64 {
    shop.rejections().get(what).copied().unwrap_or(0)
}

#[test]
fn broken_frames_are_answered_with_a_sentence_and_the_connection_closed() {
    between_two_ends(async |service| {
        let (shop, listener) = listen::<Tcp>(&service).await;
        let cases: [(&str, &[u8]); 6] = [
            ("tcp oversized", &[0xff, 0xff, 0xff, 0xff, 0, 0]),
            ("tcp kind", &[0, 0, 0, 2, 9, 0]),
            ("tcp flags", &[0, 0, 0, 2, 0, 0x80]),
            ("tcp frame", &[0, 0, 0, 1, 0]),
            ("tcp truncated", &[0, 0, 0, 200, 0, 0, 1, 2, 3]),
            (
                "tcp stamp",
                &[[0, 0, 0, 34, 0, 1].as_slice(), &[7; 32]].concat(),
            ),
        ];
        for (what, bytes) in cases {
            let answer = say(&listener.address, bytes).await;
            assert_eq!(counted(&shop, what), 1, "{what}: {:?}", shop.rejections());
            assert_eq!(answer[4], 3, "{what}: the status of a rejected frame");
            let text = String::from_utf8_lossy(&answer[5..]);
            assert_eq!(answer.len(), tcp::answer_len(text.len()), "{what}");
            assert!(text.contains("expected"), "{what}: {text}");
            good_order_goes_through::<Tcp>(&shop, &listener).await;
        }
        listener.stop().await;
    });
}

#[test]
fn a_malformed_body_spoils_its_own_frame_only() {
    between_two_ends(async |service| {
        let (shop, listener) = listen::<Tcp>(&service).await;
        let empty_blob = [0, 0, 0, 2, 1, 0];
        let bytes = [&[0, 0, 0, 4, 0, 0, 0xff, 0xff][..], &empty_blob].concat();
        let answer = say(&listener.address, &bytes).await;
        assert_eq!(counted(&shop, "tcp malformed"), 1);
        assert_eq!(answer[4], 3);
        assert_eq!(
            answer[answer.len() - 5..],
            [0, 0, 0, 1, 0],
            "the echo of the empty blob"
        );
    });
}

/// A request with the given head lines.
fn post(path: &str, head: &[&str], body: &str) -> Vec<u8> {
    let head: String = head.iter().map(|line| format!("{line}\r\n")).collect();
    format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}\r\n{body}").into_bytes()
}

#[test]
fn every_kind_of_bad_request_has_its_status_and_its_name() {
    between_two_ends(async |service| {
        let (shop, listener) = listen::<RestH1>(&service).await;
        let json = "content-type: application/json";
        let protobuf = "content-type: application/x-protobuf";
        let order = serde_json::to_string(&good_order(0)).unwrap();
        let length = format!("content-length: {}", order.len());
        let bad_stamp = format!("{}: not-a-stamp", Stamp::HEADER);
        let good_stamp = crate::support::stamp(0).to_text();
        let good_stamp = String::from_utf8_lossy(&good_stamp);
        let stamp = format!("{}: {good_stamp}", Stamp::HEADER);
        let orders = "/v1/orders";
        let cases = [
            (
                400,
                "rest malformed",
                post(orders, &[json, "content-length: 9"], "{\"order_i"),
            ),
            (
                400,
                "rest malformed",
                post(orders, &[protobuf, "content-length: 3"], "\x7f\x7f\x7f"),
            ),
            (
                400,
                "rest malformed",
                post(LIST, &[json, "content-length: 2"], "[]"),
            ),
            (
                400,
                "rest list",
                post(LIST, &[json, "content-length: 2"], "{}"),
            ),
            (
                400,
                "rest stamp",
                post(
                    LIST,
                    &[json, "content-length: 36"],
                    r#"{"placements":[{},{"stamp":"AAAA"}]}"#,
                ),
            ),
            (
                400,
                "rest stamp",
                post(LIST, &[json, &stamp, "content-length: 2"], "{}"),
            ),
            (
                415,
                "rest content type",
                post(orders, &["content-type: text/xml", &length], &order),
            ),
            (415, "rest content type", post(orders, &[&length], &order)),
            (
                400,
                "rest stamp",
                post(orders, &[json, &bad_stamp, &length], &order),
            ),
            (
                413,
                "rest oversized",
                post(orders, &[json, "content-length: 9999999"], &order),
            ),
            (
                404,
                "rest path",
                post("/v1/order", &[json, &length], &order),
            ),
            (
                405,
                "rest method",
                post("/healthz", &[json, &length], &order),
            ),
            (400, "rest head", b"BROKEN\r\n\r\n".to_vec()),
            (
                400,
                "rest head",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            ),
        ];
        for (status, what, request) in cases {
            let before = counted(&shop, what);
            let answer =
                String::from_utf8_lossy(&say(&listener.address, &request).await).into_owned();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{what}: {answer}"
            );
            eventually(what, || counted(&shop, what) == before + 1).await;
            if what != "rest head" {
                let body = answer.split("\r\n\r\n").nth(1).unwrap();
                let problem: serde_json::Value = serde_json::from_str(body).unwrap();
                assert!(
                    problem["error"].as_str().unwrap().contains("expected"),
                    "{body}"
                );
            }
            good_order_goes_through::<RestH1>(&shop, &listener).await;
        }
        let truncated = post(orders, &[json, "content-length: 5000"], &order);
        say(&listener.address, &truncated).await;
        eventually("truncated bodies are counted", || {
            counted(&shop, "rest truncated") == 1
        })
        .await;
        good_order_goes_through::<RestH1>(&shop, &listener).await;
        listener.stop().await;
    });
}

/// Bodies that are no order, by content type, with what is wrong with each.
fn no_orders() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (json, protobuf) = ("application/json", "application/x-protobuf");
    let deep = "[".repeat(500).into_bytes();
    vec![
        (json, "nothing", b"".to_vec()),
        (json, "a half", br#"{"order_id": "a"#.to_vec()),
        (json, "a list", b"[]".to_vec()),
        (json, "a text", br#""order""#.to_vec()),
        (json, "a number for a text", br#"{"order_id": 5}"#.to_vec()),
        (json, "a table for a list", br#"{"items": {}}"#.to_vec()),
        (
            json,
            "a key twice",
            br#"{"order_id": "a", "order_id": "b"}"#.to_vec(),
        ),
        (json, "no UTF-8", b"{\"order_id\": \"\xff\xfe\"}".to_vec()),
        (json, "more behind it", b"{} {}".to_vec()),
        (json, "too deep", deep),
        (json, "protobuf", vec![0x0a, 0x01, b'a']),
        (protobuf, "field zero", vec![0x00, 0x00]),
        (protobuf, "a tag alone", vec![0x0a]),
        (protobuf, "shorter than it says", vec![0x0a, 0x05, b'a']),
        (
            protobuf,
            "longer than all memory",
            [&[0x0a][..], &[0xff; 8], &[0x7f]].concat(),
        ),
        (protobuf, "a number without end", vec![0xff; 11]),
        (protobuf, "a group left open", vec![0x0b]),
        (protobuf, "a group that was none", vec![0x0c]),
        (protobuf, "a wire type that there is not", vec![0x0e, 0x00]),
        (protobuf, "a number for a text", vec![0x08, 0x05]),
        (protobuf, "no UTF-8", vec![0x0a, 0x02, 0xff, 0xfe]),
        (protobuf, "JSON", b"{\"order_id\": \"a\"}".to_vec()),
    ]
}

#[test]
fn every_body_that_is_no_order_is_refused_with_what_was_expected() {
    between_two_ends(async |service| {
        let (shop, listener) = listen::<RestH1>(&service).await;
        for (kind, what, body) in no_orders() {
            let before = counted(&shop, "rest malformed");
            let head = format!(
                "POST /v1/orders HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let request = [head.as_bytes(), &body].concat();
            let answer = say(&listener.address, &request).await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(
                answer.starts_with("HTTP/1.1 400 "),
                "{kind}, {what}: {answer}"
            );
            let problem = answer.split("\r\n\r\n").nth(1).unwrap();
            let problem: serde_json::Value = serde_json::from_str(problem).unwrap();
            let said = problem["error"].as_str().unwrap();
            let length = format!("got {} bytes", body.len());
            assert!(
                said.contains("expected one Order") && said.contains(&length),
                "{kind}, {what}: {said}"
            );
            assert_eq!(
                counted(&shop, "rest malformed"),
                before + 1,
                "{kind}, {what}"
            );
        }
        good_order_goes_through::<RestH1>(&shop, &listener).await;
        listener.stop().await;
    });
}

#[test]
fn every_header_that_is_no_stamp_is_refused_with_what_was_expected() {
    between_two_ends(async |service| {
        let (shop, listener) = listen::<RestH1>(&service).await;
        let order = serde_json::to_string(&good_order(0)).unwrap();
        let length = format!("content-length: {}", order.len());
        let good = crate::support::stamp(0).to_text();
        let good = String::from_utf8_lossy(&good).into_owned();
        for bad in [
            String::new(),
            "not-a-stamp".into(),
            good[1..].to_owned(),
            format!("{good}A"),
            format!("{good}="),
            // 32 bytes, and not ours.
            "A".repeat(43),
            format!("+{}", &good[1..]),
            format!("{} {}", &good[..20], &good[21..]),
        ] {
            let before = counted(&shop, "rest stamp");
            let stamp = format!("{}: {bad}", Stamp::HEADER);
            let head = ["content-type: application/json", &stamp, &length];
            let answer = say(&listener.address, &post("/v1/orders", &head, &order)).await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{bad}: {answer}");
            assert!(answer.contains("expected a Stamp"), "{bad}: {answer}");
            assert_eq!(counted(&shop, "rest stamp"), before + 1, "{bad}");
        }
        assert_eq!(shop.delivered(), 0);
        listener.stop().await;
    });
}

#[test]
fn an_order_sent_by_hand_is_answered_in_its_own_format() {
    between_two_ends(async |service| {
        let (shop, listener) = listen::<RestH1>(&service).await;
        let order = serde_json::to_string(&good_order(0)).unwrap();
        let length = format!("content-length: {}", order.len());
        let head = ["content-type: application/json; charset=utf-8", &length];
        let answer = say(&listener.address, &post("/v1/orders", &head, &order)).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(
            answer.contains("content-type: application/json"),
            "{answer}"
        );
        assert!(answer.contains(&good_order(0).order_id), "{answer}");
        assert_eq!(shop.finished(), 1);
        for path in ["/healthz", "/v1/catalog"] {
            let get = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let answer = say(&listener.address, get.as_bytes()).await;
            assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{path}");
        }
    });
}

#[test]
fn a_list_sent_by_hand_says_what_became_of_each_of_its_orders() {
    between_two_ends(async |service| {
        let (shop, listener) = listen::<RestH1>(&service).await;
        let good = serde_json::to_string(&good_order(0)).unwrap();
        let list = format!(r#"{{"placements":[{{"order":{good}}},{{}}]}}"#);
        let length = format!("content-length: {}", list.len());
        let head = ["content-type: application/json", &length];
        let answer = say(&listener.address, &post(LIST, &head, &list)).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let placed = body["placed"].as_array().unwrap();
        assert_eq!(placed.len(), 2, "{body}");
        assert_eq!(placed[0]["receipt"]["order_id"], good_order(0).order_id);
        let refused = placed[1]["refused"].as_str().unwrap();
        assert!(refused.contains("at least one line"), "{body}");
        assert_eq!(shop.finished(), 2);
        listener.stop().await;
    });
}

#[test]
fn grpc_turns_away_a_bad_stamp_an_unknown_method_and_what_is_not_http2() {
    between_two_ends(async |service| {
        let (shop, listener) = listen::<Grpc>(&service).await;
        let endpoint = format!("http://{}", listener.address);
        let channel = tonic::transport::Endpoint::from_shared(endpoint).unwrap();
        let channel = channel.connect().await.unwrap();
        let mut client = OrderServiceClient::new(channel.clone());

        let mut request = tonic::Request::new(good_order(0));
        let bad_stamp = tonic::metadata::MetadataValue::from_bytes(&[7; 32]);
        request
            .metadata_mut()
            .insert_bin("hopbench-stamp-bin", bad_stamp);
        let status = client.place(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert_eq!(shop.rejections(), [("grpc stamp".to_string(), 1)].into());

        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.unwrap();
        let path = "/hopbench.v1.OrderService/Cancel".parse().unwrap();
        let codec = tonic_prost::ProstCodec::<bench_proto::Order, bench_proto::Receipt>::default();
        let call = grpc.unary(tonic::Request::new(good_order(0)), path, codec);
        assert_eq!(call.await.unwrap_err().code(), Code::Unimplemented);
        assert_eq!(counted(&shop, "grpc path"), 1);

        say(&listener.address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        say(&listener.address, &[0xff; 100]).await;
        good_order_goes_through::<Grpc>(&shop, &listener).await;
        drop((client, grpc));
        listener.stop().await;
    });
}

#[test]
fn a_stalled_peer_does_not_keep_a_listener_from_stopping() {
    between_two_ends(async |service| {
        let (_shop, tcp) = listen::<Tcp>(&service).await;
        let (_shop, rest) = listen::<RestH1>(&service).await;
        let (_shop, grpc) = listen::<Grpc>(&service).await;
        for listener in [tcp, rest, grpc] {
            let mut idle = TcpStream::connect(&listener.address).await.unwrap();
            idle.write_all(b"PO").await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            let stopping = tokio::time::timeout(PATIENCE, listener.stop());
            stopping.await.expect("it stops all the same");
        }
    });
}
