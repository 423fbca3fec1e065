//! The grpc transport: tonic on both ends, the four kinds of call of the contract. This file owns the names on the
//! wire; `client` (with `streams` for the streaming kinds and `channel` for what is under both) and `server` own the ends.
//!
//! A refused order and a wrong Stamp are `InvalidArgument`, a failed order is `Internal`, one that a full service turned
//! away is `ResourceExhausted`; a message that cannot be
//! parsed is tonic's own `Internal`, one over the limit its `OutOfRange`. So that nobody confuses the service's word
//! with the library's, every status of the service itself carries `hopbench-outcome` in its metadata. In a stream a
//! refused or failed order is an answer like any other and spares the rest; what cannot be read ends the stream.

mod channel;
mod client;
mod codec;
mod deployed;
mod error;
mod server;
mod streams;

pub use channel::Channel;
pub use client::{GrpcCaller, connect};
pub use server::serve;

/// What is left to tonic and hyper where nobody matches the settings.
pub(crate) const LEFT_UNSET: crate::LeftUnset = crate::LeftUnset {
    caller: "the channel (tonic's own, with its queue and its task, where connections are kept), HTTP/2 windows, and how frames gather into writes (Nagle is off, as tonic has it)",
    service: "HTTP/2 windows and its limit of streams (Nagle is off, as tonic has it)",
};

/// Metadata of a status that the service itself decided on: `refused`, `failed`, `overloaded`, `rejected`, `stamp`, `list` or `stopped`.
const OUTCOME: &str = "hopbench-outcome";

/// Binary metadata that carries the Stamp.
const STAMP: &str = "hopbench-stamp-bin";

#[cfg(test)]
mod tests {
    #[test]
    fn the_metadata_key_is_the_stamps_header_with_the_suffix_of_binary_values() {
        assert_eq!(super::STAMP, format!("{}-bin", bench_proto::Stamp::HEADER));
    }
}
