//! Nested settings as a flat list, as results keep them.

use std::collections::BTreeMap;

/// Flattens nested settings into `prefix.name` → value.
pub fn flatten(prefix: &str, value: &serde_json::Value) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                flat.extend(flatten(&format!("{prefix}.{name}"), value));
            }
        }
        serde_json::Value::Null => {}
        serde_json::Value::String(text) => {
            flat.insert(prefix.into(), text.clone());
        }
        other => {
            flat.insert(prefix.into(), other.to_string());
        }
    }
    flat
}
