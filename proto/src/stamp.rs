//! The Stamp: who sent an operation, and when it was planned. It rides in each transport's metadata, never in the
//! body. It knows no clock: the planned instant is a number here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Identity and planned instant of one operation. On the wire it is 32 bytes (see [`Stamp::to_bytes`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The trial's id.
    pub run: u64,
    /// Which generator thread sent it.
    pub producer: u32,
    /// 0, 1, 2 … per producer.
    pub sequence: u64,
    /// The planned instant, CLOCK_MONOTONIC nanoseconds.
    pub planned_ns: u64,
}

/// Why bytes or text are not a Stamp.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StampError(pub String);

/// Tells a Stamp from 32 other bytes, and this layout from a later one: `HOP1`.
const MAGIC: [u8; 4] = *b"HOP1";

impl Stamp {
    /// Length of the binary form.
    pub const LEN: usize = 32;
    /// Length of the text form: base64 without padding.
    pub const TEXT_LEN: usize = 43;
    /// Name of the HTTP header (base64url, 43 characters) and, with `-bin`, of the gRPC metadata key; also the AMQP and Kafka header.
    pub const HEADER: &'static str = "hopbench-stamp";

    /// The fixed 32-byte form: run, producer, magic, sequence, planned; all little-endian.
    pub fn to_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; Self::LEN];
        bytes[0..8].copy_from_slice(&self.run.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.producer.to_le_bytes());
        bytes[12..16].copy_from_slice(&MAGIC);
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.planned_ns.to_le_bytes());
        bytes
    }

    /// Reads the 32-byte form; wrong length or magic is a sentence.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StampError> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().map_err(|_| {
            StampError(format!(
                "expected a Stamp of {} bytes, got {}; leave the {} header out to send an order without one",
                Self::LEN,
                bytes.len(),
                Self::HEADER
            ))
        })?;
        if bytes[12..16] != MAGIC {
            return Err(StampError(format!(
                "expected a Stamp with the magic {MAGIC:02x?} at byte 12, got {:02x?}; is the sender of this version?",
                &bytes[12..16]
            )));
        }
        let u64_at =
            |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        Ok(Self {
            run: u64_at(0),
            producer: u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes")),
            sequence: u64_at(16),
            planned_ns: u64_at(24),
        })
    }

    /// The base64url form without padding, 43 characters, on the stack.
    pub fn to_text(&self) -> [u8; 43] {
        let mut text = [0; Self::TEXT_LEN];
        URL_SAFE_NO_PAD
            .encode_slice(self.to_bytes(), &mut text)
            .expect("32 bytes are 43 characters of base64");
        text
    }

    /// Reads the base64url form.
    pub fn from_text(text: &[u8]) -> Result<Self, StampError> {
        if text.len() != Self::TEXT_LEN {
            return Err(StampError(format!(
                "expected a Stamp of {} base64url characters without padding, got {}; leave the {} header out to send an order without one",
                Self::TEXT_LEN,
                text.len(),
                Self::HEADER
            )));
        }
        // One byte more than needed: the decoder asks for room by an estimate that rounds up.
        let mut bytes = [0; Self::LEN + 1];
        let length = URL_SAFE_NO_PAD
            .decode_slice(text, &mut bytes)
            .map_err(|e| {
                StampError(format!(
                    "expected a Stamp in base64url without padding: {e}"
                ))
            })?;
        Self::from_bytes(&bytes[..length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: Stamp = Stamp {
        run: 0x0102_0304_0506_0708,
        producer: 9,
        sequence: 10,
        planned_ns: 11,
    };

    #[test]
    fn the_layout_is_run_producer_magic_sequence_planned_in_little_endian() {
        let expected = [
            8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, b'H', b'O', b'P', b'1', 10, 0, 0, 0, 0, 0, 0, 0,
            11, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(ONE.to_bytes(), expected);
        assert_eq!(
            ONE.to_text(),
            *b"CAcGBQQDAgEJAAAASE9QMQoAAAAAAAAACwAAAAAAAAA"
        );
    }

    #[test]
    fn a_wrong_length_names_the_right_one_and_what_came() {
        for length in [0, 31, 33, 43] {
            let StampError(why) =
                Stamp::from_bytes(&vec![0; length]).expect_err("not a Stamp's length");
            assert!(why.contains("32 bytes") && why.contains(&format!("got {length}")));
        }
        for length in [0, 42, 44] {
            let StampError(why) =
                Stamp::from_text(&vec![b'A'; length]).expect_err("not a Stamp's length");
            assert!(why.contains("43") && why.contains(&format!("got {length}")));
        }
    }

    #[test]
    fn a_wrong_magic_is_refused_in_both_forms() {
        let mut bytes = ONE.to_bytes();
        bytes[12] ^= 1;
        let error = Stamp::from_bytes(&bytes).expect_err("magic is wrong");
        assert!(error.0.contains("magic"));
        let text = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(Stamp::from_text(text.as_bytes()), Err(error));
    }

    #[test]
    fn another_alphabet_and_loose_bits_at_the_end_are_refused() {
        for (at, character) in [(0, b'+'), (5, b'/'), (42, b'='), (7, b' '), (9, 0xff)] {
            let mut text = ONE.to_text();
            text[at] = character;
            let StampError(why) = Stamp::from_text(&text).expect_err("not base64url");
            assert!(why.contains("base64url"), "{why}");
        }
        let mut text = ONE.to_text();
        text[42] = b'B'; // two bits beyond the 32nd byte
        Stamp::from_text(&text).expect_err("bits that no Stamp has");
    }

    proptest! {
        #[test]
        fn every_stamp_is_read_back_from_bytes_and_from_text(
            run: u64, producer: u32, sequence: u64, planned_ns: u64
        ) {
            let stamp = Stamp { run, producer, sequence, planned_ns };
            prop_assert_eq!(Stamp::from_bytes(&stamp.to_bytes()), Ok(stamp));
            prop_assert_eq!(Stamp::from_text(&stamp.to_text()), Ok(stamp));
        }

        #[test]
        fn no_bytes_and_no_text_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..80)
        ) {
            let _ = Stamp::from_bytes(&bytes);
            let _ = Stamp::from_text(&bytes);
        }
    }
}
