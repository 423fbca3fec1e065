//! The versioned schema of a run: what `run.json` holds, as plain data, and the store that keeps it on disk.
//! It knows no clock, no transport and no statistics: whoever fills a field owns its meaning.

mod cell;
mod figures;
mod footprint;
mod hop;
mod probe;
mod run;
pub(crate) mod store;
mod table;
mod trial;

pub use cell::{Arrival, Cell};
pub use figures::{Bytes, CpuPerOp, InstructionsPerOp, Latency, Ledger, Percentile, WireLeg};
pub use footprint::Footprint;
pub use hop::{Effects, Hop, HopCalls, HopPhase, Reached, Sent};
pub use probe::Probe;
pub use run::{
    CodecRow, Manifest, Part, Ratio, Run, SizeRow, Skipped, Verdict, VerdictRow, WarmUp,
};
pub use store::{ResultsError, Store};
pub use table::{Column, Table, Value};
pub use trial::{Fault, Phase, SeenError, SeriesBin, State, Trial, Validity, When};

#[cfg(test)]
mod tests;

/// The schema that this build writes, and the only one it reads.
pub const SCHEMA: &str = "hopbench/1";

/// The JSON Schema of `run.json`.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Run).to_value()
}

/// The JSON Schema of one trial alone (`load --json`).
pub fn trial_json_schema() -> serde_json::Value {
    schemars::schema_for!(Trial).to_value()
}
