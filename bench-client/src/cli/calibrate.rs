//! `bench-client calibrate`.

use super::progress::Teller;
use super::run::Pin;
use super::{Exit, print};
use crate::calibrate::{self, Options};
use crate::report;
use crate::suite::Progress;
use bench_usage::whole;
use clap::Args;
use std::path::PathBuf;

/// Flags of `calibrate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 done, whatever the figures say (a bound that is missed is a line in the table); 1 something could not be run.

Examples:
  bench-client calibrate --quick
  bench-client calibrate --repeat 20 --exclusive --out results/calibration")]
pub(super) struct CalibrateArgs {
    /// A minute instead of five: fewer runs, shorter windows
    #[arg(long)]
    quick: bool,
    /// Rounds of the planted effect; 16 of 20 must find it, and find nothing where there is nothing
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1..=1_000_u32))]
    repeat: u32,
    /// Where calibrate.json goes [default: results/calibrate-<time>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of corpora, slowness and the order of arms
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0..=u64::MAX))]
    seed: u64,
    /// Which process runs on which core
    #[arg(long, value_enum, default_value_t = Pin::Auto)]
    pin: Pin,
    /// Say that nothing else runs on this machine now; it goes into the manifest
    #[arg(long)]
    exclusive: bool,
    /// Print calibrate.json on stdout instead of tables
    #[arg(long)]
    json: bool,
}

impl CalibrateArgs {
    pub(super) async fn execute(self, quiet: bool) -> anyhow::Result<Exit> {
        let options = Options {
            quick: self.quick,
            repeat: self.repeat,
            seed: self.seed,
            pin: self.pin == Pin::Auto,
            out: self.out.unwrap_or_else(|| {
                let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ");
                PathBuf::from("results").join(format!("calibrate-{now}"))
            }),
            exclusive: self.exclusive,
        };
        let teller = Teller::new(quiet);
        let result = calibrate::run(&options, &|text| teller.note(text)).await;
        teller.finish();
        let calibration = result?;
        if self.json {
            print(&(serde_json::to_string_pretty(&calibration)? + "\n"))?;
        } else {
            let tables = report::calibration(&calibration);
            print(&format!("{tables}\nResults: {}\n", options.out.display()))?;
        }
        Ok(Exit::Done)
    }
}
