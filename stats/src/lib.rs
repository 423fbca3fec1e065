//! Statistics, pure and in small files, each tested against theory: histograms with censoring, intervals over blocks,
//! corrections and checks. Nothing here knows what a transport, a trial or a claim is.

pub mod aa;
pub mod binomial;
pub mod crossing;
pub mod estimate;
pub mod histogram;
pub mod holm;
pub mod line;
pub mod little;
pub mod shares;
pub mod slope;
pub mod spectrum;
pub mod steady;

pub use estimate::Estimate;
pub use shares::Shares;
pub use spectrum::Spectrum;

#[cfg(test)]
mod simulation;
