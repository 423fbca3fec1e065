//! `bench-client`.
fn main() {}
