//! `cargo bench --bench codec`: encode and decode, each payload class and format, with bytes per second.

mod cases;
mod timed;

fn main() {
    timed::run(cases::find(&|name| name.starts_with("codec/")));
}
