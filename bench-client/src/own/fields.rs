//! A JSON object against the description of a message: is every field one of the contract's, and is every value one that
//! the field can hold? It finds all that is wrong, where a decoder stops at the first.

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

/// Tells a path such as `items[0].quantity` and a sentence.
type Tell<'t> = &'t mut dyn FnMut(String, String);

/// Checks a message; `at` is where it stands.
pub(super) fn check(value: &Value, message: &MessageDescriptor, at: &str, tell: Tell<'_>) {
    let Value::Object(fields) = value else {
        return tell(
            at.into(),
            format!("expected an object, got {}", show(value)),
        );
    };
    for (name, value) in fields {
        let path = if at.is_empty() {
            name.clone()
        } else {
            format!("{at}.{name}")
        };
        match message.get_field_by_name(name) {
            Some(field) => check_field(value, &field, &path, tell),
            None => tell(path, unknown(name, message)),
        }
    }
}

fn check_field(value: &Value, field: &FieldDescriptor, at: &str, tell: Tell<'_>) {
    if !field.is_list() {
        // A message may be absent, and null says so.
        if !(value.is_null() && matches!(field.kind(), Kind::Message(_))) {
            check_one(value, &field.kind(), at, tell);
        }
        return;
    }
    match value {
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                check_one(value, &field.kind(), &format!("{at}[{index}]"), tell);
            }
        }
        _ => tell(at.into(), format!("expected a list, got {}", show(value))),
    }
}

fn check_one(value: &Value, kind: &Kind, at: &str, tell: Tell<'_>) {
    let (fits, expected) = match kind {
        Kind::Message(message) => return check(value, message, at, tell),
        Kind::Enum(names) => return check_enum(value, names, at, tell),
        Kind::String | Kind::Bytes => (value.is_string(), "text"),
        Kind::Bool => (value.is_boolean(), "true or false"),
        Kind::Double | Kind::Float => (value.is_number(), "a number"),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            (whole::<i32>(value), "a whole number of 32 bits")
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            (value.is_i64(), "a whole number of 64 bits")
        }
        Kind::Uint32 | Kind::Fixed32 => (
            whole::<u32>(value),
            "a whole number of 32 bits, not below 0",
        ),
        Kind::Uint64 | Kind::Fixed64 => (value.is_u64(), "a whole number of 64 bits, not below 0"),
    };
    if !fits {
        tell(
            at.into(),
            format!("expected {expected}, got {}", show(value)),
        );
    }
}

fn whole<T: TryFrom<i64>>(value: &Value) -> bool {
    value
        .as_i64()
        .is_some_and(|number| T::try_from(number).is_ok())
}

/// The contract's JSON writes an enum by its number.
fn check_enum(value: &Value, names: &EnumDescriptor, at: &str, tell: Tell<'_>) {
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    if number.is_some_and(|number| names.get_value(number).is_some()) {
        return;
    }
    let known: Vec<String> = names
        .values()
        .map(|value| format!("{} ({})", value.number(), value.name()))
        .collect();
    tell(
        at.into(),
        format!("expected one of {}, got {}", known.join(", "), show(value)),
    );
}

fn unknown(name: &str, message: &MessageDescriptor) -> String {
    if let Some(field) = message.get_field_by_json_name(name) {
        return format!(
            "expected the names of order.proto, got `{name}`; write `{}`",
            field.name()
        );
    }
    let known: Vec<String> = message
        .fields()
        .map(|field| format!("`{}`", field.name()))
        .collect();
    format!(
        "expected one of {}, got `{name}`, which no transport would carry",
        known.join(", ")
    )
}

/// What came, in few words.
fn show(value: &Value) -> String {
    const SHOWN: usize = 40;
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.chars().count() > SHOWN => {
            let start: String = text.chars().take(SHOWN).collect();
            format!("the text \"{start}…\"")
        }
        Value::String(text) => format!("the text \"{text}\""),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}
