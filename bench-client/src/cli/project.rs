//! `bench-client project`: the theory for the user's own numbers.

use super::{Exit, print, usage};
use crate::projection::{self, Ask};
use crate::results::Store;
use crate::theory::PerSecond;
use crate::{report, units};
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Where no run is named.
const NO_RUN: &str = "no run was named that measured it; name one with --from RESULTS_DIR";

/// Flags of `project`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is run: every line is projected, not measured, and says what it rests on. With --from, CPU and bytes of one order are what that
run measured on its machine.

Examples:
  bench-client project --rate 2000000 --service-time 5ms --workers 12000 --outage 10m --from results/2026-01-31T12-00-00Z")]
pub(super) struct Project {
    /// Orders per second, up to a billion
    #[arg(long, value_name = "N")]
    rate: f64,
    /// What a worker takes over an order while all is well
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    service_time: Duration,
    /// Orders that the service works on at once, over all of its instances
    #[arg(long, value_name = "N")]
    workers: u64,
    /// The service is away for so long
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    outage: Option<Duration>,
    /// The service is slow: what an order takes then
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration, requires = "slow_for")]
    slow_time: Option<Duration>,
    /// For how long it is slow
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration, requires = "slow_time")]
    slow_for: Option<Duration>,
    /// How long a synchronous caller waits
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration, default_value = "5s")]
    timeout: Duration,
    /// A run that measured what an order costs: the folder that `run` wrote, or its run.json
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// The payload class whose costs are taken from it
    #[arg(long, value_name = "CLASS", default_value = "O3", requires = "from")]
    payload: String,
    /// Write the backlog over time as a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the projection as JSON on stdout
    #[arg(long)]
    json: bool,
}

impl Project {
    pub(super) fn execute(self) -> anyhow::Result<Exit> {
        let ask = Ask {
            rate: PerSecond(self.rate),
            service_time: self.service_time,
            workers: self.workers,
            outage: self.outage,
            slow: self.slow_time.zip(self.slow_for),
            deadline: self.timeout,
        };
        ask.check().map_err(usage)?;
        let measured = match &self.from {
            Some(folder) => {
                let store = Store::open(folder)?;
                projection::of_run(store.run(), &self.payload).map_err(usage)?
            }
            None => Vec::new(),
        };
        let projection = projection::project(&ask, measured, NO_RUN).map_err(usage)?;
        if let Some(file) = &self.svg {
            std::fs::write(file, report::projection_svg(&projection)).with_context(|| {
                format!(
                    "{} cannot be written; name a file in a folder that is there",
                    file.display()
                )
            })?;
        }
        if self.json {
            print(&format!("{}\n", serde_json::to_string_pretty(&projection)?))?;
        } else {
            print(&report::projection(&projection))?;
        }
        Ok(Exit::Done)
    }
}
