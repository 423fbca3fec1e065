//! The service as the instrument sees it: a process of its own, started fresh for a trial, or somebody's that runs already.

mod control;
mod process;
mod relay;
mod stall;

pub use control::{Control, ControlError};
pub use process::{Launch, ServiceProcess, journal_root};
pub use relay::RelayProcess;
pub use stall::{Stopped, stall};
