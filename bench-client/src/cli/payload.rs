//! `bench-client payload`: messages of a corpus as bytes, for tools that send a body from a file. It sends nothing.

use super::Exit;
use anyhow::Context;
use bench_proto::{Corpus, Format, PayloadClass};
use bench_usage::whole;
use clap::Args;
use std::io::Write;

/// Flags of `payload`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bench-client payload O3
  bench-client payload O3 --format protobuf > order.bin
  bench-client payload O1 --lines 100 > orders.jsonl")]
pub(super) struct Payload {
    /// Payload class, as in `load`
    class: PayloadClass,
    /// json or protobuf
    #[arg(long, default_value = "json")]
    format: Format,
    /// Put the five bytes before the body that gRPC frames a message with
    #[arg(long)]
    grpc_frame: bool,
    /// So many messages of the corpus, each ended by a newline; without it one, alone
    #[arg(long, value_name = "N", value_parser = whole(1..=Corpus::SIZE as u16))]
    lines: Option<u16>,
    /// Seed of the corpus
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0..=u64::MAX))]
    seed: u64,
}

impl Payload {
    pub(super) fn execute(self) -> anyhow::Result<Exit> {
        let corpus = Corpus::new(self.class, self.seed);
        let mut out = Vec::new();
        for message in &corpus.messages()[..usize::from(self.lines.unwrap_or(1))] {
            let body = message.encode(self.format);
            if self.grpc_frame {
                let length = u32::try_from(body.len()).context("too long for a gRPC frame")?;
                out.push(0); // not compressed
                out.extend(length.to_be_bytes());
            }
            out.extend(body);
            if self.lines.is_some() {
                out.push(b'\n');
            }
        }
        std::io::stdout()
            .write_all(&out)
            .context("standard output does not take the payload")?;
        Ok(Exit::Done)
    }
}
