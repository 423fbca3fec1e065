//! `cargo bench --bench codec`: encode and decode, each payload class and format, with bytes per second.

#[allow(dead_code, reason = "each bench runs a part of the cases")]
mod cases;
mod timed;

fn main() {
    timed::run(cases::codec(&|_| true));
}
