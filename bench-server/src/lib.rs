//! The service behind every listener.
