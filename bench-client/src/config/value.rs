//! From a typed value of the file, or the text of a variable, to the text that a flag would have been given.

use super::Takes;
use figment::error::Actual;
use figment::value::Value;

/// The value as texts, or what was expected and what came.
pub(super) fn texts(
    value: &Value,
    takes: Takes,
    from_variable: bool,
) -> Result<Vec<String>, String> {
    let wrong = |expected: &str| Err(format!("expected {expected}, got {}", describe(value)));
    match (takes, value) {
        (Takes::Switch, Value::Bool(_, on)) => Ok(vec![on.to_string()]),
        // A variable has no type: its words are all there is.
        (Takes::Switch, Value::String(_, word))
            if from_variable && matches!(word.as_str(), "true" | "false") =>
        {
            Ok(vec![word.clone()])
        }
        (Takes::Switch, _) => wrong("true or false"),
        (Takes::One, value) => {
            scalar(value).map_or_else(|| wrong("a text or a number"), |text| Ok(vec![text]))
        }
        (Takes::Many, Value::String(_, text)) if from_variable => {
            Ok(text.split(',').map(|part| part.trim().to_owned()).collect())
        }
        (Takes::Many, Value::Array(_, items)) => {
            let texts: Option<Vec<String>> = items.iter().map(scalar).collect();
            texts.map_or_else(|| wrong("a list of texts or numbers"), Ok)
        }
        (Takes::Many, value) => scalar(value).map_or_else(
            || wrong("a text, a number or a list of them"),
            |text| Ok(vec![text]),
        ),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value.to_actual() {
        Actual::Str(text) => Some(text),
        Actual::Char(letter) => Some(letter.to_string()),
        Actual::Unsigned(number) => Some(number.to_string()),
        Actual::Signed(number) => Some(number.to_string()),
        Actual::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What came, as a person would call it.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Bool(_, on) => on.to_string(),
        Value::String(_, text) => format!("the text '{text}'"),
        Value::Array(..) => "a list".into(),
        // How the TOML library hands a date to those who know none.
        Value::Dict(_, entries) if entries.keys().any(|key| key.starts_with("$__toml")) => {
            "a date".into()
        }
        Value::Dict(..) => "a table".into(),
        other => scalar(other).map_or("nothing".into(), |number| format!("the number {number}")),
    }
}
