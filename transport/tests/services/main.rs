//! What needs no broker: the transports against services of their own, and against callers that are none of ours. One
//! program, since each more takes a minute to link.

mod deployed;
mod kinds;
mod malformed;
mod openapi;
mod streaming;
mod support;
mod sync;
mod tls;
