//! A codec that passes bodies through: the load side encodes an order inside its own clock, as on every transport,
//! and an answer is decoded by the one [`Format`] of the contract.

use bench_proto::Kind;
use bench_proto::format::{Answer, Format};
use bytes::{Buf, BufMut, Bytes};
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Sends encoded requests of one kind and decodes their answers, with the length that those had.
#[derive(Clone, Copy, Debug)]
pub(super) struct PassThrough(pub(super) Kind);

impl Codec for PassThrough {
    type Encode = Bytes;
    type Decode = (Answer, usize);
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for PassThrough {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, body: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(body);
        Ok(())
    }
}

impl Decoder for PassThrough {
    type Item = (Answer, usize);
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let length = message.remaining();
        let body = message.copy_to_bytes(length);
        match Format::Protobuf.decode_answer(self.0, &body) {
            Ok(answer) => Ok(Some((answer, length))),
            Err(error) => Err(Status::data_loss(error.to_string())),
        }
    }
}

/// Sends encoded messages and decodes answers of one type, with the length that each had: for streams.
#[derive(Debug)]
pub(super) struct Decoded<M>(PhantomData<M>);

impl<M> Default for Decoded<M> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<M: prost::Message + Default + 'static> Codec for Decoded<M> {
    type Encode = Bytes;
    type Decode = (M, usize);
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<M> Encoder for Decoded<M> {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, body: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(body);
        Ok(())
    }
}

impl<M: prost::Message + Default> Decoder for Decoded<M> {
    type Item = (M, usize);
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let length = message.remaining();
        match M::decode(message) {
            Ok(answer) => Ok(Some((answer, length))),
            Err(error) => Err(Status::data_loss(format!(
                "expected an answer of {length} bytes as the contract has it: {error}"
            ))),
        }
    }
}
