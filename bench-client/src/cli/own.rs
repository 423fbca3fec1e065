//! The flags of one's own payload, for `run` and `load`.

use super::usage;
use crate::experiment::{codec, size};
use crate::own::Own;
use crate::results::Run;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;

/// What is carried instead of a payload class.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct OwnArgs {
    /// Carry these orders instead of a payload class, in turn: one a line as JSON with the names of order.proto, or a single one
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,
}

impl OwnArgs {
    /// The payload, read and checked; none where none is asked for.
    pub(super) fn read(&self) -> anyhow::Result<Option<Arc<Own>>> {
        let own = self.payload_file.as_deref().map(Own::orders).transpose();
        Ok(own.map_err(usage)?.map(Arc::new))
    }
}

/// What a payload weighs and what its codecs cost, before it is carried.
pub(super) fn weighed(own: &Own, seed: u64) -> Run {
    let mut run = Run {
        sizes: size::of_own(own),
        codecs: codec::of_own(own, seed),
        ..Run::default()
    };
    run.tables = vec![size::bodies(&run), codec::times(&run)];
    run
}
