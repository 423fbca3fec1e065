//! Both codecs behind one [`Format`]: JSON through serde, protobuf through prost, on the same structs. It knows the
//! messages and no transport.

use crate::json::Object;
use crate::{Blob, Order, Receipt, burden};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// UTF-8 JSON with the field names of the contract.
    Json,
    /// Protocol buffers.
    Protobuf,
}

/// Which request message a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An [`Order`], answered by a [`Receipt`].
    Order,
    /// A [`Blob`], echoed.
    Blob,
}

/// A decoded request.
#[allow(
    clippy::large_enum_variant,
    reason = "a box would cost every order an allocation, for the sake of blobs"
)]
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

/// The largest JSON scratch buffer that a thread keeps between messages; a larger one is given back.
const SCRATCH_KEPT: usize = 256 * 1024;

thread_local! {
    /// JSON's length is not known before it is written. Written here first, the body is then one allocation of
    /// exactly its size: nothing grows on the way, and a body that waits in a window holds no slack.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Format {
    /// `application/json` or `application/x-protobuf`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// The format that a content type names (parameters ignored), if it is one of ours. `application/protobuf` is
    /// taken for protobuf too.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        if is("application/json") {
            Some(Self::Json)
        } else if is("application/x-protobuf") || is("application/protobuf") {
            Some(Self::Protobuf)
        } else {
            None
        }
    }

    /// Encodes a message of the contract into a body of exactly its size.
    pub fn encode<M: prost::Message + Serialize>(self, message: &M) -> Bytes {
        burden::bear(self);
        match self {
            Self::Protobuf => Bytes::from(message.encode_to_vec()),
            Self::Json => SCRATCH.with_borrow_mut(|scratch| {
                scratch.clear();
                serde_json::to_writer(&mut *scratch, message)
                    .expect("a message has string keys only and a Vec takes every byte");
                let body = Bytes::copy_from_slice(scratch);
                if scratch.capacity() > SCRATCH_KEPT {
                    *scratch = Vec::new();
                }
                body
            }),
        }
    }

    /// Decodes a message of the contract. Unknown fields are passed over and missing ones are default, in both
    /// formats; anything else that is not the message is an error.
    pub fn decode<M: prost::Message + Default + serde::de::DeserializeOwned>(
        self,
        body: &[u8],
    ) -> Result<M, DecodeError> {
        burden::bear(self);
        match self {
            Self::Protobuf => M::decode(body).map_err(|e| {
                malformed::<M>(
                    "protobuf message of hopbench.v1",
                    body.len(),
                    &e.to_string(),
                )
            }),
            Self::Json => serde_json::from_slice::<Object<M>>(body)
                .map(|object| object.0)
                .map_err(|e| {
                    malformed::<M>(
                        "JSON object with the contract's field names",
                        body.len(),
                        &e.to_string(),
                    )
                }),
        }
    }

    /// Decodes a request of the given kind.
    pub fn decode_request(self, kind: Kind, body: &[u8]) -> Result<Message, DecodeError> {
        match kind {
            Kind::Order => self.decode(body).map(Message::Order),
            Kind::Blob => self.decode(body).map(Message::Blob),
        }
    }

    /// Decodes the answer to a request of the given kind.
    pub fn decode_answer(self, kind: Kind, body: &[u8]) -> Result<Answer, DecodeError> {
        match kind {
            Kind::Order => self.decode(body).map(Answer::Receipt),
            Kind::Blob => self.decode(body).map(Answer::Blob),
        }
    }
}

#[cold]
fn malformed<M>(expected: &str, length: usize, cause: &str) -> DecodeError {
    let name = std::any::type_name::<M>();
    let name = name.rsplit("::").next().unwrap_or(name);
    DecodeError(format!(
        "expected one {name} as a {expected}, got {length} bytes that are not: {cause}"
    ))
}

impl Message {
    /// Encodes the message in a format.
    pub fn encode(&self, format: Format) -> Bytes {
        match self {
            Self::Order(order) => format.encode(order),
            Self::Blob(blob) => format.encode(blob),
        }
    }

    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Order(_) => Kind::Order,
            Self::Blob(_) => Kind::Blob,
        }
    }
}

impl Answer {
    /// Encodes the answer in a format.
    pub fn encode(&self, format: Format) -> Bytes {
        match self {
            Self::Receipt(receipt) => format.encode(receipt),
            Self::Blob(blob) => format.encode(blob),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Json => "json",
            Self::Protobuf => "protobuf",
        })
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "protobuf" => Ok(Self::Protobuf),
            _ => Err(format!("expected a format, json or protobuf, got '{text}'")),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Order => "order",
            Self::Blob => "blob",
        })
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "order" => Ok(Self::Order),
            "blob" => Ok(Self::Blob),
            _ => Err(format!(
                "expected a kind of message, order or blob, got '{text}'"
            )),
        }
    }
}

#[cfg(test)]
mod tests;
