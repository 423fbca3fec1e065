//! The table of sizes: bytes of a body by format.

use crate::claims::size::mean_bytes;
use crate::report::document::{Cell, Document, Table, names};
use crate::report::format::{NOTHING, grouped, maybe};
use crate::results::Run;

/// JSON against protobuf, by count; where the experiment's own table says it, not a second time.
pub(in crate::report) fn sizes(document: &mut Document, run: &Run) {
    let told = |table: &crate::results::Table| table.experiment == "size" && !table.rows.is_empty();
    if run.tables.iter().any(told) {
        return;
    }
    let mut payloads: Vec<&str> = Vec::new();
    for row in &run.sizes {
        if !payloads.contains(&row.payload.as_str()) {
            payloads.push(&row.payload);
        }
    }
    let rows: Vec<Vec<Cell>> = payloads
        .iter()
        .map(|payload| {
            let (json, protobuf) = (
                mean_bytes(run, payload, "json"),
                mean_bytes(run, payload, "protobuf"),
            );
            let ratio = json.zip(protobuf).map(|(json, protobuf)| json / protobuf);
            let bytes = |value: Option<f64>| Cell::from(value.map_or(NOTHING.into(), grouped));
            vec![
                (*payload).into(),
                bytes(json),
                bytes(protobuf),
                maybe(ratio).into(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        document.heading("Size: mean body, bytes, by count");
        document.table(Table {
            header: names(["payload", "JSON", "protobuf", "JSON ÷ protobuf"]),
            numbers_from: 1,
            rows,
        });
    }
}
