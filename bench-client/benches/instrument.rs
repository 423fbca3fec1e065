//! `cargo bench --bench instrument`: what the instrument itself spends on an operation.

#[allow(dead_code)]
mod cases;
mod timed;

fn main() {
    timed::run(cases::instrument(&|_| true));
}
