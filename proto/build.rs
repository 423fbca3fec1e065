//! Generates the messages and the gRPC service from `proto/order.proto`, without a `protoc` on the machine.

/// Message-typed fields: an object in JSON and nothing else (serde's derived structs would also take an array).
const OBJECTS: [&str; 5] = [
    "hopbench.v1.Item.unit_price",
    "hopbench.v1.Order.address",
    "hopbench.v1.Order.shipping_cost",
    "hopbench.v1.Order.total",
    "hopbench.v1.Placement.order",
];

/// Lists of messages: an array of objects in JSON.
const LISTS: [&str; 3] = [
    "hopbench.v1.Order.items",
    "hopbench.v1.PlacementList.placements",
    "hopbench.v1.PlacedList.placed",
];

/// What an order among others leaves out when it has none.
const AMONG_OTHERS: [(&str, &str); 4] = [
    (
        "Placement.stamp",
        r#"#[serde(with = "crate::json::base64", skip_serializing_if = "Vec::is_empty")]"#,
    ),
    (
        "Placed.receipt",
        r#"#[serde(deserialize_with = "crate::json::object", skip_serializing_if = "Option::is_none")]"#,
    ),
    (
        "Placed.refused",
        r#"#[serde(skip_serializing_if = "Option::is_none")]"#,
    ),
    (
        "Placed.failed",
        r#"#[serde(skip_serializing_if = "Option::is_none")]"#,
    ),
];

/// A blob leaves out what it does not carry, so that a text blob costs its text and one field name.
const BLOB: [(&str, &str); 4] = [
    (
        "payload",
        r#"#[serde(skip_serializing_if = "String::is_empty")]"#,
    ),
    (
        "data",
        r#"#[serde(with = "crate::json::base64", skip_serializing_if = "Vec::is_empty")]"#,
    ),
    ("ints", r#"#[serde(skip_serializing_if = "Vec::is_empty")]"#),
    (
        "doubles",
        r#"#[serde(skip_serializing_if = "Vec::is_empty")]"#,
    ),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/order.proto");
    let descriptors = protox::compile(["proto/order.proto"], ["proto"])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(
        out.join("order.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    let mut config = tonic_prost_build::configure()
        .type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .message_attribute(".", "#[serde(default)]");
    for list in LISTS {
        config = config.field_attribute(
            list,
            r#"#[serde(deserialize_with = "crate::json::objects")]"#,
        );
    }
    for field in OBJECTS {
        config = config.field_attribute(
            field,
            r#"#[serde(deserialize_with = "crate::json::object")]"#,
        );
    }
    for (field, attribute) in BLOB {
        config = config.field_attribute(format!("hopbench.v1.Blob.{field}"), attribute);
    }
    for (field, attribute) in AMONG_OTHERS {
        config = config.field_attribute(format!("hopbench.v1.{field}"), attribute);
    }
    config.compile_fds(descriptors)?;
    Ok(())
}
