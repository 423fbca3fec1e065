//! `bench-server`.
fn main() {}
