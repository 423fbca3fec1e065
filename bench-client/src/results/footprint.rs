//! What a group of processes held and wrote over a window.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Memory and writes of a broker over one window, all of its processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Footprint {
    /// Resident when the window began, bytes; pages that processes share count in each.
    pub resident_before: u64,
    /// The most that was seen, looked at five times a second.
    pub resident_most: u64,
    /// When the window ended.
    pub resident_after: u64,
    /// Bytes that were written towards the disk meanwhile (what the page cache took of them included).
    pub written: u64,
}
