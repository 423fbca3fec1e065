//! Canonical proto3 JSON, a second variant beside [`Format::Json`](crate::Format): what a gateway or another language's
//! protobuf library would put on the wire. camelCase names, int64 as strings, enums by name, default values left out
//! (the proto3 JSON mapping). It is written to be counted; no transport of Hopbench carries it.

use crate::{Address, Blob, Item, Message, Money, Order, Status};
use serde::Serialize;
use serde::ser::{SerializeSeq, SerializeStruct, Serializer};

/// The name under which results label it.
pub const NAME: &str = "canonical-json";

/// A message as canonical proto3 JSON.
pub fn encode(message: &Message) -> Vec<u8> {
    let text = match message {
        Message::Order(order) => serde_json::to_vec(&Canonical(order)),
        Message::Blob(blob) => serde_json::to_vec(&Canonical(blob)),
    };
    text.expect("a message has string keys only and a Vec takes every byte")
}

/// A value written by the mapping instead of by the derives.
struct Canonical<T>(T);

/// Writes a struct's fields that are not at their default, in the contract's order.
macro_rules! fields {
    ($to:expr, $name:literal, $($key:literal: $is_default:expr => $value:expr,)+) => {{
        let present = 0 $(+ usize::from(!$is_default))+;
        let mut object = $to.serialize_struct($name, present)?;
        $(if !$is_default {
            object.serialize_field($key, $value)?;
        })+
        object.end()
    }};
}

impl Serialize for Canonical<&Order> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let o = self.0;
        fields!(to, "Order",
            "orderId": o.order_id.is_empty() => &o.order_id,
            "userId": o.user_id.is_empty() => &o.user_id,
            "email": o.email.is_empty() => &o.email,
            "address": o.address.is_none() => &o.address.as_ref().map(Canonical),
            "items": o.items.is_empty() => &Canonical(&o.items[..]),
            "shippingCost": o.shipping_cost.is_none() => &o.shipping_cost.as_ref().map(Canonical),
            "total": o.total.is_none() => &o.total.as_ref().map(Canonical),
            "status": o.status == 0 => &Canonical(EnumNumber(o.status)),
            "createdAtMs": o.created_at_ms == 0 => &Canonical(o.created_at_ms),
        )
    }
}

impl Serialize for Canonical<&Address> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let a = self.0;
        fields!(to, "Address",
            "street": a.street.is_empty() => &a.street,
            "city": a.city.is_empty() => &a.city,
            "state": a.state.is_empty() => &a.state,
            "country": a.country.is_empty() => &a.country,
            "zip": a.zip.is_empty() => &a.zip,
        )
    }
}

impl Serialize for Canonical<&Item> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let i = self.0;
        fields!(to, "Item",
            "productId": i.product_id.is_empty() => &i.product_id,
            "quantity": i.quantity == 0 => &i.quantity,
            "unitPrice": i.unit_price.is_none() => &i.unit_price.as_ref().map(Canonical),
        )
    }
}

impl Serialize for Canonical<&Money> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let m = self.0;
        fields!(to, "Money",
            "currencyCode": m.currency_code.is_empty() => &m.currency_code,
            "units": m.units == 0 => &Canonical(m.units),
            "nanos": m.nanos == 0 => &m.nanos,
        )
    }
}

impl Serialize for Canonical<&Blob> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let b = self.0;
        fields!(to, "Blob",
            "payload": b.payload.is_empty() => &b.payload,
            "data": b.data.is_empty() => &Canonical(Base64(&b.data)),
            "ints": b.ints.is_empty() => &b.ints,
            "doubles": b.doubles.is_empty() => &Canonical(&b.doubles[..]),
        )
    }
}

impl Serialize for Canonical<&[Item]> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(Canonical))
    }
}

impl Serialize for Canonical<i64> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// A status: its name, or its number where the contract has no name for it.
struct EnumNumber(i32);

impl Serialize for Canonical<EnumNumber> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let EnumNumber(number) = self.0;
        match Status::try_from(number) {
            Ok(status) => to.serialize_str(status.as_str_name()),
            Err(_) => to.serialize_i32(number),
        }
    }
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Canonical<Base64<'_>> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        crate::json::base64::serialize(self.0.0, to)
    }
}

/// Whole doubles are written `7`, as protobuf's own C++, Go and JavaScript do (Java writes `7.0`), and what JSON has no
/// number for by name.
impl Serialize for Canonical<&[f64]> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Doubles up to here count every integer.
        const EXACT: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
        let mut list = to.serialize_seq(Some(self.0.len()))?;
        for double in self.0 {
            let negative_zero = *double == 0.0 && double.is_sign_negative();
            if double.fract() == 0.0 && double.abs() <= EXACT && !negative_zero {
                list.serialize_element(&(*double as i64))?;
            } else if double.is_finite() {
                list.serialize_element(double)?;
            } else if double.is_nan() {
                list.serialize_element("NaN")?;
            } else if *double > 0.0 {
                list.serialize_element("Infinity")?;
            } else {
                list.serialize_element("-Infinity")?;
            }
        }
        list.end()
    }
}

#[cfg(test)]
mod tests;
