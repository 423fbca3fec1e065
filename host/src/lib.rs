//! What the instrument asks of the kernel: the monotonic clock, a precise timer, CPU clocks and placement of
//! processes, what the sockets carried, and what this machine is. It knows no order and no transport.

pub mod clock;
pub mod cpu;
pub mod disk;
pub mod error;
pub mod limits;
pub mod machine;
pub mod memory;
pub mod pace;
pub mod place;
pub mod scheduling;
pub mod timer;
pub mod wire;

pub use error::Error;
