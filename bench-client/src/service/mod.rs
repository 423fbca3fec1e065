//! The services as the instrument sees them: processes of its own, started fresh for a trial, or somebody's that run already.

mod alarm;
mod control;
mod fleet;
mod inject;
mod process;
mod recipe;
mod relay;
mod stall;

pub use alarm::Alarm;
pub use control::{Control, ControlError};
pub use fleet::{Asked, Fleet};
pub use inject::{Held, Injected, Lasting, check as check_faults, inject};
pub use process::{Launch, ServiceProcess, journal_root};
pub use recipe::Recipe;
pub use relay::RelayProcess;
pub use stall::{Stopped, stall};
