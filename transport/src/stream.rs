//! The stream transport.
