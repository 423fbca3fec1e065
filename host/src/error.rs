//! The one error of this crate. Each variant reads as a sentence: what was asked of the kernel, what it
//! answered, and what the user can do. It knows no caller.

use std::io;
use std::path::PathBuf;

/// What the kernel refused, or answered in a form that this crate doesn't know.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A process that was to be read or placed isn't there.
    #[error(
        "process {pid} was expected to run, but it is gone; look at its own output for the reason it ended"
    )]
    Vanished {
        /// The id that was asked for.
        pid: u32,
    },

    /// The kernel refused a call.
    #[error("the kernel refused to {what}: {source}; {advice}")]
    Refused {
        /// What was asked, as the rest of "refused to …".
        what: String,
        /// The kernel's answer.
        source: io::Error,
        /// What to do about it.
        advice: &'static str,
    },

    /// A file of /proc, /sys or a cgroup couldn't be read.
    #[error("{path} was expected to be readable, but: {source}; {advice}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why it could not be read.
        source: io::Error,
        /// What to do about it.
        advice: &'static str,
    },

    /// The kernel answered in a form that this crate doesn't understand.
    #[error(
        "{what} was expected, but {found} came; this kernel may be older or newer than the instrument knows"
    )]
    Unexpected {
        /// What was expected.
        what: String,
        /// What came.
        found: String,
    },
}
