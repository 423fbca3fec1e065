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
    /// The lines of --payload-file are messages of a type that this .proto file defines (its imports are looked for beside it), as
    /// proto3 JSON: counted and timed as *dynamic*, and carried as opaque bytes
    #[arg(long, value_name = "FILE", requires_all = ["message", "payload_file"])]
    proto: Option<PathBuf>,
    /// The full name of that type, such as shop.v1.Cart
    #[arg(long, value_name = "PKG.NAME", requires = "proto")]
    message: Option<String>,
}

impl OwnArgs {
    /// The payload, read and checked; none where none is asked for.
    pub(super) fn read(&self) -> anyhow::Result<Option<Arc<Own>>> {
        let Some(file) = &self.payload_file else {
            return Ok(None);
        };
        let own = match (&self.proto, &self.message) {
            (Some(proto), Some(message)) => Own::typed(proto, message, file),
            _ => Own::orders(file),
        };
        Ok(Some(Arc::new(own.map_err(usage)?)))
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
