//! `cargo bench --bench instrument`: what the instrument itself spends on an operation.

mod cases;
mod timed;

fn main() {
    timed::run(cases::find(&|name| name.starts_with("instrument/")));
}
