//! Values that people write as words, for serde: read and written by the same code as on a command line.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// A value by its text.
pub(super) mod plain {
    use super::*;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err = String>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A value by its text, if there is one.
pub(super) mod optional {
    use super::*;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err = String>,
        D: Deserializer<'de>,
    {
        Option::<String>::deserialize(from)?
            .map(|text| text.parse().map_err(serde::de::Error::custom))
            .transpose()
    }
}

/// A duration by its text, if there is one.
pub(super) mod duration {
    use super::*;
    use crate::units;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_str(&exact(*value)),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<String>::deserialize(from)?
            .map(|text| units::parse_duration(&text).map_err(serde::de::Error::custom))
            .transpose()
    }
}

/// A duration in the largest unit that shows it without a fraction, as every reader of durations takes it.
pub(super) fn exact(duration: Duration) -> String {
    const UNITS: [(&str, u128); 3] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];
    let ns = duration.as_nanos();
    let (unit, scale) = UNITS
        .into_iter()
        .find(|(_, scale)| ns.is_multiple_of(*scale))
        .unwrap_or(("ns", 1));
    format!("{}{unit}", ns / scale)
}
