//! What bears no neighbour: an instrument that calibrates itself, a rate that must be kept up, exit status 0 of a load that
//! a busy machine could make INVALID, and a screen that is read as it is drawn. Cargo runs one test program after another;
//! in this one, one test that measures after another.

mod advise;
mod bytes;
mod calibrate;
mod compare;
mod live;
mod thresholds;

use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// Held by a test for as long as it measures; what is refused at once needs none. A test that failed gives it on.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
