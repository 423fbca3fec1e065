//! The rest transport: HTTP/1.1 and HTTP/2 (prior knowledge), bodies as JSON or protobuf by content type, answers
//! in the format of their request. This file owns the words of the interface; `client` and `server` own the ends.
//!
//! `POST /v1/orders`, `POST /v1/orders:batch`, `POST /v1/echo`, `GET /v1/catalog`, `GET /healthz`, and all of it as
//! OpenAPI under `GET /openapi.yaml` (`docs/openapi.yaml`). A refused order is 422, a failed one 500, both with
//! `{"error": "…"}`; what never became an order is 400, 404, 405, 408, 413 or 415 with the same body. A list is answered
//! with 200 and what became of each of its orders: a refusal spares the rest. A list that cannot be read is refused as a
//! whole, before anything of it is worked on.

mod client;
mod list;
mod server;

pub use client::{RestCaller, connect};
pub use server::serve;

use crate::HttpVersion;
use bench_proto::Kind;
use serde::{Deserialize, Serialize};

/// The path of a kind of request.
const fn path(kind: Kind) -> &'static str {
    match kind {
        Kind::Order => "/v1/orders",
        Kind::Blob => "/v1/echo",
    }
}

/// The path of a list of orders.
const LIST_PATH: &str = "/v1/orders:batch";

/// The path of the catalogue.
const CATALOG_PATH: &str = "/v1/catalog";

/// What ALPN calls a version of HTTP.
const fn protocol(http: HttpVersion) -> &'static str {
    match http {
        HttpVersion::H1 => "http/1.1",
        HttpVersion::H2 => "h2",
    }
}

/// What is left to axum, hyper and the system where nobody matches the settings.
pub(crate) const LEFT_UNSET: crate::LeftUnset = crate::LeftUnset {
    caller: "HTTP/2 windows, and how frames gather into writes (Nagle is off, as the common client, reqwest, has it; its pool has no bound)",
    service: "Nagle: axum::serve leaves it on; HTTP/2 windows and its limit of streams",
};

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, Deserialize)]
struct Problem {
    error: String,
}
