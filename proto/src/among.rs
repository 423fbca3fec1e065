//! Orders among others, in a stream or a list: puts one that is encoded already into its `Placement`, so that every
//! kind of call carries a body that was encoded once, by the same code. It knows no transport.

use crate::{Format, Stamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// The most orders that a list may have: their answers must fit a reply.
pub const MAX_LIST: usize = 10_000;

/// The field of the order in a `Placement`, and of the placements in their list.
const FIRST: u32 = 1;
/// The field of the Stamp in a `Placement`.
const STAMP: u32 = 2;

/// One encoded order with its Stamp, as the protobuf `Placement` of a stream.
pub fn placement(order: &[u8], stamp: Option<&Stamp>) -> Bytes {
    let mut out = BytesMut::with_capacity(placement_len(order, stamp));
    put_placement(&mut out, order, stamp);
    out.freeze()
}

/// Encoded orders with their Stamps as a `PlacementList` in the orders' own format.
pub fn list<'a, I>(format: Format, orders: I) -> Bytes
where
    I: IntoIterator<Item = (&'a [u8], Option<&'a Stamp>)> + Clone,
{
    match format {
        Format::Protobuf => {
            let length = |order, stamp| {
                let length = placement_len(order, stamp);
                key_len(FIRST) + encoded_len_varint(length as u64) + length
            };
            let all = orders.clone().into_iter();
            let total = all.map(|(order, stamp)| length(order, stamp)).sum();
            let mut out = BytesMut::with_capacity(total);
            for (order, stamp) in orders {
                encode_key(FIRST, WireType::LengthDelimited, &mut out);
                encode_varint(placement_len(order, stamp) as u64, &mut out);
                put_placement(&mut out, order, stamp);
            }
            out.freeze()
        }
        Format::Json => {
            let mut out = Vec::with_capacity(1 << 10);
            out.extend_from_slice(br#"{"placements":["#);
            for (at, (order, stamp)) in orders.into_iter().enumerate() {
                out.extend_from_slice(if at == 0 { b"" } else { b"," });
                out.extend_from_slice(br#"{"order":"#);
                out.extend_from_slice(order);
                if let Some(stamp) = stamp {
                    out.extend_from_slice(br#","stamp":""#);
                    let text = STANDARD.encode(stamp.to_bytes());
                    out.extend_from_slice(text.as_bytes());
                    out.push(b'"');
                }
                out.push(b'}');
            }
            out.extend_from_slice(b"]}");
            Bytes::from(out)
        }
    }
}

fn placement_len(order: &[u8], stamp: Option<&Stamp>) -> usize {
    let field = |key, length: usize| key_len(key) + encoded_len_varint(length as u64) + length;
    field(FIRST, order.len()) + stamp.map_or(0, |_| field(STAMP, Stamp::LEN))
}

fn put_placement(out: &mut BytesMut, order: &[u8], stamp: Option<&Stamp>) {
    encode_key(FIRST, WireType::LengthDelimited, out);
    encode_varint(order.len() as u64, out);
    out.put_slice(order);
    if let Some(stamp) = stamp {
        encode_key(STAMP, WireType::LengthDelimited, out);
        encode_varint(Stamp::LEN as u64, out);
        out.put_slice(&stamp.to_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Corpus, Message, PayloadClass, Placement, PlacementList};

    /// Orders with their Stamps; every third has none.
    fn placements() -> Vec<(Placement, Option<Stamp>)> {
        let mut corpus = Corpus::new(PayloadClass::Order(3), 1);
        let one = |sequence| {
            let Message::Order(order) = corpus.message(7, 0, sequence).clone() else {
                unreachable!("a class of orders");
            };
            let stamp = (sequence % 3 != 0).then_some(Stamp {
                run: 7,
                producer: 0,
                sequence,
                planned_ns: sequence * 1_000,
            });
            let placement = Placement {
                order: Some(order),
                stamp: stamp.map_or(Vec::new(), |stamp| stamp.to_bytes().to_vec()),
            };
            (placement, stamp)
        };
        (0..50).map(one).collect()
    }

    #[test]
    fn an_encoded_order_put_among_others_is_what_the_contract_encodes() {
        for (whole, stamp) in placements() {
            let order = Format::Protobuf.encode(whole.order.as_ref().unwrap());
            let expected = Format::Protobuf.encode(&whole);
            assert_eq!(placement(&order, stamp.as_ref()), expected);
        }
    }

    #[test]
    fn a_list_of_encoded_orders_is_what_the_contract_encodes_in_both_formats() {
        let all = placements();
        for format in [Format::Json, Format::Protobuf] {
            let bodies: Vec<_> = all
                .iter()
                .map(|(whole, stamp)| (format.encode(whole.order.as_ref().unwrap()), *stamp))
                .collect();
            let entries = bodies
                .iter()
                .map(|(body, stamp)| (&body[..], stamp.as_ref()));
            let expected = format.encode(&PlacementList {
                placements: all.iter().map(|(whole, _)| whole.clone()).collect(),
            });
            assert_eq!(list(format, entries), expected, "{format}");
            assert_eq!(
                format
                    .decode::<PlacementList>(&expected)
                    .unwrap()
                    .placements
                    .len(),
                all.len()
            );
            assert_eq!(
                format.decode::<PlacementList>(&list(format, [])).unwrap(),
                PlacementList::default()
            );
        }
    }
}
