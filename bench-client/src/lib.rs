//! The instrument.

pub mod claims;
pub mod report;
pub mod results;
pub mod stats;
pub mod validity;
