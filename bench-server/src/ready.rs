//! The one line that the service prints: that it is ready, where it listens, and what is in force. It starts nothing.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The ready line, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Always true: whoever reads a line that says so may begin.
    pub ready: bool,
    /// The service's process.
    pub pid: u32,
    /// Where each listener can be reached, by transport: `tcp`, `rest`, `grpc`, `queue`, `stream`.
    #[serde(flatten)]
    pub listeners: BTreeMap<String, String>,
    /// Where the control port listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// The file that holds the control port's token, if it was not given by the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Settings in force: per transport, and `service`.
    pub in_force: BTreeMap<String, BTreeMap<String, String>>,
}
