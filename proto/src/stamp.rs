//! The Stamp: who sent an operation, and when it was planned. It rides in each transport's metadata, never in the body.

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

impl Stamp {
    /// Length of the binary form.
    pub const LEN: usize = 32;
    /// Name of the HTTP header (base64url, 43 characters) and, with `-bin`, of the gRPC metadata key; also the AMQP and Kafka header.
    pub const HEADER: &'static str = "hopbench-stamp";

    /// The fixed 32-byte form: run, producer, magic, sequence, planned; all little-endian.
    pub fn to_bytes(&self) -> [u8; 32] {
        todo!()
    }

    /// Reads the 32-byte form; wrong length or magic is a sentence.
    pub fn from_bytes(_bytes: &[u8]) -> Result<Self, StampError> {
        todo!()
    }

    /// The base64url form without padding, 43 characters, on the stack.
    pub fn to_text(&self) -> [u8; 43] {
        todo!()
    }

    /// Reads the base64url form.
    pub fn from_text(_text: &[u8]) -> Result<Self, StampError> {
        todo!()
    }
}
