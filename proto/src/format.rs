//! Both codecs behind one [`Format`]: JSON through serde, protobuf through prost, on the same structs.

use crate::{Blob, Order, Receipt};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// UTF-8 JSON with the field names of the contract.
    Json,
    /// Protocol buffers.
    Protobuf,
}

/// Which request message a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An [`Order`], answered by a [`Receipt`].
    Order,
    /// A [`Blob`], echoed.
    Blob,
}

/// A decoded request.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// An order.
    Order(Order),
    /// A blob.
    Blob(Blob),
}

/// A decoded answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The receipt of an order.
    Receipt(Receipt),
    /// The echo of a blob.
    Blob(Blob),
}

/// Why a body could not be decoded: what was expected and what came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

impl Format {
    /// `application/json` or `application/x-protobuf`.
    pub fn content_type(self) -> &'static str {
        todo!()
    }

    /// The format that a content type names (parameters ignored), if it is one of ours.
    pub fn of_content_type(_content_type: &str) -> Option<Self> {
        todo!()
    }

    /// Encodes a message of the contract.
    pub fn encode<M: prost::Message + Serialize>(self, _message: &M) -> Bytes {
        todo!()
    }

    /// Decodes a message of the contract.
    pub fn decode<M: prost::Message + Default + serde::de::DeserializeOwned>(
        self,
        _body: &[u8],
    ) -> Result<M, DecodeError> {
        todo!()
    }

    /// Decodes a request of the given kind.
    pub fn decode_request(self, _kind: Kind, _body: &[u8]) -> Result<Message, DecodeError> {
        todo!()
    }

    /// Decodes the answer to a request of the given kind.
    pub fn decode_answer(self, _kind: Kind, _body: &[u8]) -> Result<Answer, DecodeError> {
        todo!()
    }
}

impl Message {
    /// Encodes the message in a format.
    pub fn encode(&self, _format: Format) -> Bytes {
        todo!()
    }

    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        todo!()
    }
}

impl Answer {
    /// Encodes the answer in a format.
    pub fn encode(&self, _format: Format) -> Bytes {
        todo!()
    }
}
