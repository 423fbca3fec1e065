//! `cargo bench --bench instrument`: what the instrument itself spends on an operation.

#[allow(dead_code, reason = "each bench runs a part of the cases")]
mod cases;
mod timed;

fn main() {
    timed::run(cases::instrument(&|_| true));
}
