//! The queue transport.
