//! Known answers: sizes that follow from the formats' own rules.

use super::*;

fn rows(class: &str) -> Vec<SizeRow> {
    of_class(class.parse().expect("a class"), 7)
}

fn mean(rows: &[SizeRow], format: &str, compression: Option<&str>) -> f64 {
    let of = |row: &&SizeRow| row.format == format && row.compression.as_deref() == compression;
    rows.iter()
        .find(of)
        .expect("every variant is counted")
        .mean_bytes
}

/// Classes whose sizes follow from the two formats' rules alone, every message alike.
#[test]
fn sizes_are_those_of_arithmetic() {
    let base64 = |bytes: f64| (bytes / 3.0).ceil() * 4.0;
    let doubles = 1_000.0;
    for (class, json, canonical, protobuf) in [
        ("E0", 2.0, 2.0, 0.0), // {} and nothing
        // {"payload":"…"} is 14 around the text; a tag and a length of 1, 2 or 3 bytes.
        ("E64", 14.0 + 64.0, 14.0 + 64.0, 2.0 + 64.0),
        ("E1K", 14.0 + 1_024.0, 14.0 + 1_024.0, 3.0 + 1_024.0),
        ("E64K", 14.0 + 65_536.0, 14.0 + 65_536.0, 4.0 + 65_536.0),
        // {"data":"…"} is 11 around base64.
        (
            "B64K",
            11.0 + base64(65_536.0),
            11.0 + base64(65_536.0),
            4.0 + 65_536.0,
        ),
        // {"doubles":[…]} is 14 around `7.0` (canonically `7`) and commas; 8 bytes each after a tag and a length of 2.
        (
            "N-whole",
            14.0 + 4.0 * doubles - 1.0,
            14.0 + 2.0 * doubles - 1.0,
            3.0 + 8.0 * doubles,
        ),
    ] {
        let rows = rows(class);
        assert_eq!(mean(&rows, "json", None), json, "{class}");
        assert_eq!(mean(&rows, "canonical-json", None), canonical, "{class}");
        assert_eq!(mean(&rows, "protobuf", None), protobuf, "{class}");
        assert!(
            rows.iter()
                .filter(|r| r.compression.is_none())
                .all(|r| r.min == r.max)
        );
    }
    // One byte each after a tag and a length of 2.
    assert_eq!(mean(&rows("N-int"), "protobuf", None), 1_003.0);
}

#[test]
fn nothing_compresses_below_its_entropy_and_frames_cost_what_their_formats_say() {
    let empty = rows("E0");
    // gzip: 10 of header, 2 of an empty block, 8 of trailer. zstd: 4 of magic, 2 of header, 3 of an empty block.
    assert_eq!(mean(&empty, "protobuf", Some("gzip")), 20.0);
    assert_eq!(mean(&empty, "protobuf", Some("zstd")), 9.0);
    // 64 letters equally often: 6 bits each. Random bytes: 8 bits each, whatever base64 made of them.
    for (class, format, entropy) in [
        ("E64K", "protobuf", 65_536.0 * 6.0 / 8.0),
        ("E64K", "json", 65_536.0 * 6.0 / 8.0),
        ("B64K", "protobuf", 65_536.0),
        ("B64K", "json", 65_536.0),
    ] {
        let rows = rows(class);
        for compression in Compression::ALL {
            let got = mean(&rows, format, Some(compression.name()));
            assert!(
                (entropy..entropy * 1.03).contains(&got),
                "{class} as {format}, {}: {got} bytes",
                compression.name()
            );
        }
    }
}

#[test]
fn canonical_json_pays_for_its_longer_names_where_an_order_has_few_lines_and_compression_narrows_the_gap()
 {
    let rows = rows("O100");
    let of = |format, compression| mean(&rows, format, compression);
    let gap = |compression| of("json", compression) / of("protobuf", compression);
    assert!(gap(None) > 3.0 && gap(Some("gzip")) < 2.0 && gap(Some("zstd")) < 2.0);
    for row in rows.iter().filter(|row| row.compression.is_some()) {
        assert!((8..1_024).contains(&row.messages), "{row:?}");
    }
    for row in rows.iter().filter(|row| row.compression.is_none()) {
        assert_eq!(row.messages, 1_024);
    }
}

#[test]
fn wire_trials_stop_by_count_and_carry_no_stamp() {
    for suite in [Suite::Quick, Suite::Full] {
        for cell in groups(suite).iter().flatten() {
            assert_eq!(cell.stop, Stop::count(OPERATIONS));
            assert!(!cell.stamped);
        }
    }
    assert_eq!(groups(Suite::Full).len(), PayloadClass::NAMED.len());
}

#[test]
fn ones_own_orders_are_counted_over_all_of_them_and_have_a_row_of_the_table() {
    let own = crate::own::Own::example("orders.jsonl", 5);
    let sizes = of_own(&own);
    assert_eq!(sizes.len(), Encoding::ALL.len() * 3);
    assert!(
        sizes
            .iter()
            .all(|row| row.messages == 5 && row.payload == own.name())
    );
    let mut run = Run {
        sizes: rows("O3"),
        ..Run::default()
    };
    run.sizes.extend(sizes);
    let table = bodies(&run);
    let names: Vec<&Value> = table.rows.iter().map(|row| &row[0]).collect();
    assert_eq!(names, [&Value::from("O3"), &Value::from(own.name())]);
}
