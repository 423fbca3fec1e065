//! Messages of a type of one's own, read by its `.proto` file.

use super::{client, file, load, transports, whole};
use predicates::prelude::*;
use serde_json::Value;
use std::path::PathBuf;
use tempfile::TempDir;

const CART: &str = r#"
syntax = "proto3";
package shop.v1;
message Line { string sku = 1; uint32 pieces = 2; }
message Cart { string id = 1; repeated Line lines = 2; }
"#;

/// A type of one's own and two messages of it: 3 + 2 + 5 and 3 bytes as protobuf.
fn carts(lines: &str) -> (TempDir, [PathBuf; 2]) {
    let (folder, payload) = file("carts.jsonl", lines);
    let proto = folder.path().join("cart.proto");
    std::fs::write(&proto, CART).expect("a file");
    (folder, [proto, payload])
}

const TWO: &str = "{\"id\":\"a\",\"lines\":[{\"sku\":\"x\",\"pieces\":2}]}\n{\"id\":\"b\"}\n";

#[test]
fn messages_of_another_type_are_carried_as_opaque_bytes_by_every_transport() {
    let (_folder, [proto, payload]) = carts(TWO);
    let typed = [
        "--proto",
        proto.to_str().unwrap(),
        "--message",
        "shop.v1.Cart",
    ];
    for transport in transports() {
        let arguments = [&["--count", "400", "--in-flight", "4"][..], &typed[..]].concat();
        let trial = load(transport, &arguments, &payload);
        whole(&trial, 400);
        // Each in a blob: as protobuf a tag and a length more. REST carries proto3 JSON as text, its quotes escaped.
        let expected = if transport == "rest" {
            let mut lengths = TWO.lines().map(|line| {
                let escaped = line.len() + line.matches('"').count();
                (escaped + "{\"payload\":\"\"}".len()) as f64
            });
            (lengths.next().unwrap() + lengths.next().unwrap()) / 2.0
        } else {
            f64::midpoint(2.0 + 3.0 + 2.0 + 5.0, 2.0 + 3.0)
        };
        assert_eq!(
            trial["bytes"]["body_out"].as_f64(),
            Some(expected),
            "{transport}"
        );
        let told = trial["cell"]["factors"]["payload_file"].as_str().unwrap();
        assert!(
            told.starts_with(
                "file carts.jsonl, 2 messages of shop.v1.Cart (dynamic, carried as opaque bytes)"
            ),
            "{told}"
        );
    }
}

#[test]
fn messages_of_another_type_are_counted_and_their_dynamic_codecs_timed() {
    let (_folder, [proto, payload]) = carts(TWO);
    let out = tempfile::tempdir().unwrap();
    let output = client()
        .args([
            "run",
            "size",
            "codec",
            "--blocks",
            "1",
            "--transport",
            "tcp,rest",
            "--reruns",
            "0",
        ])
        .args(["--json", "--quiet", "--message", "shop.v1.Cart"])
        .arg("--proto")
        .arg(&proto)
        .arg("--payload-file")
        .arg(&payload)
        .arg("--out")
        .arg(out.path().join("run"))
        .output()
        .expect("it runs");
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let run: Value = serde_json::from_slice(&output.stdout).expect("run.json");
    let mine = |list: &str| -> Vec<&Value> {
        let list = run[list].as_array().unwrap().iter();
        list.filter(|row| {
            row["payload"]
                .as_str()
                .unwrap()
                .starts_with("file:carts.jsonl#")
        })
        .collect()
    };
    let sizes = mine("sizes");
    assert_eq!(sizes.len(), 6, "two formats, plain and in two compressions");
    let plain = |format: &str| {
        let of = |row: &&&Value| row["format"] == format && row["compression"].is_null();
        sizes.iter().find(of).expect("it is counted")["mean_bytes"]
            .as_f64()
            .unwrap()
    };
    assert_eq!(plain("protobuf"), f64::midpoint(10.0, 3.0));
    assert_eq!(plain("json"), (TWO.len() - 2) as f64 / 2.0);
    let codecs = mine("codecs");
    assert_eq!(codecs.len(), 4, "two formats and two directions");
    assert!(
        codecs
            .iter()
            .all(|row| row["payload"].as_str().unwrap().ends_with(" (dynamic)"))
    );
    // The wires carried it.
    let trials = run["trials"].as_array().unwrap();
    assert!(!trials.is_empty());
    for trial in trials {
        assert_eq!(
            trial["ledger"]["attempted"], trial["ledger"]["acknowledged"],
            "{trial}"
        );
    }
}

#[test]
fn a_type_or_a_message_that_cannot_be_read_is_refused_before_anything_starts() {
    let (_folder, [proto, payload]) = carts("{\"id\":7}\n{\"colour\":\"red\"}\n");
    let refused = |message: &str, words: &[&str]| {
        let mut assert = client()
            .args([
                "load",
                "--transport",
                "tcp",
                "--message",
                message,
                "--proto",
            ])
            .arg(&proto)
            .arg("--payload-file")
            .arg(&payload)
            .assert()
            .code(2)
            .stdout("");
        for words in words {
            assert = assert.stderr(predicate::str::contains(*words));
        }
    };
    refused(
        "shop.v1.Basket",
        &["no message 'shop.v1.Basket'", "shop.v1.Cart"],
    );
    refused(
        "shop.v1.Cart",
        &["line 1, id: expected a shop.v1.Cart", "line 2", "'colour'"],
    );
    let flags = |arguments: &[&str], words: &str| {
        client()
            .args(["load", "--transport", "grpc"])
            .args(arguments)
            .assert()
            .code(2)
            .stderr(predicate::str::contains(words));
    };
    flags(&["--proto", "x.proto", "--message", "A"], "--payload-file");
    flags(&["--message", "A"], "--proto");
    let (_folder, [proto, payload]) = carts(TWO);
    let typed = [
        "--proto",
        proto.to_str().unwrap(),
        "--message",
        "shop.v1.Cart",
    ];
    let streamed = [
        "--kind",
        "bidi",
        "--payload-file",
        payload.to_str().unwrap(),
    ];
    flags(&[&typed[..], &streamed[..]].concat(), "carry orders");
}
