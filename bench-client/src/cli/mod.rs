//! The command line: what the user may say, and what he is told. Bad input is refused before anything starts.

mod calibrate;
mod list;
mod load;
mod payload;
mod progress;
mod run;

use crate::{claims, report, results};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// What a library logs about a lost connection is counted and told in our own words.
const QUIET: &str = "error,lapin=off,rdkafka=off";

/// Exit status of every command (see `--help`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Bad usage or config.
    Usage = 2,
    /// A trial was INVALID, or a cell kept too few blocks for a headline.
    Invalid = 3,
}

/// REST, gRPC, a queue or a stream? Measures it on this machine and gives each claim a verdict.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "\
Exit status: 0 done; 1 failed; 2 bad usage; 3 a trial was INVALID or a cell kept too few blocks.

Examples:
  bench-client run --suite quick
  bench-client load --transport grpc --rate 2000 --duration 10s --payload O3
  bench-client report results/2026-01-31T12-00-00Z"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run experiments in interleaved blocks and judge the claims that they decide
    Run(run::Run),
    /// One ad-hoc load run, against a service of its own or one that runs already
    Load(Box<load::LoadArgs>),
    /// What the instrument itself costs, and whether truths planted into the service come back
    Calibrate(calibrate::CalibrateArgs),
    /// List the experiments: question, claims, cells and expected time
    List(list::List),
    /// List the claims under test, their rules and the experiments that decide them
    Claims,
    /// Write the report of a finished run again (report.html, report.md, trials.csv, charts) and print its tables
    Report {
        /// The folder that `run` wrote, or its run.json
        dir: PathBuf,
        /// Print Markdown on stdout and write nothing
        #[arg(long)]
        markdown: bool,
    },
    /// Print messages of a corpus, for tools that send a body from a file
    #[command(hide = true)]
    Payload(payload::Payload),
    /// Print the JSON Schema of run.json
    Schema {
        /// Of one trial, as `load --json` prints it
        #[arg(long)]
        trial: bool,
        /// Of calibrate.json
        #[arg(long, conflicts_with = "trial")]
        calibration: bool,
    },
}

/// Parses the command line, runs the command, and says what went wrong in a sentence.
pub fn main() -> ExitCode {
    // Prints usage errors itself and exits with 2.
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| QUIET.into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("no runtime")),
    };
    let result = runtime.block_on(async {
        tokio::select! {
            result = cli.command.execute() => result,
            _ = interrupted() => {
                crate::trial::clear_leftovers().await;
                anyhow::bail!("interrupted; every finished trial is kept")
            }
        }
    });
    match result {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => match error.downcast_ref::<UsageError>() {
            Some(usage) => {
                eprintln!("error: {usage}");
                ExitCode::from(Exit::Usage as u8)
            }
            None => fail(&error),
        },
    }
}

async fn interrupted() {
    let mut terminate =
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(terminate) => terminate,
            Err(_) => return std::future::pending().await,
        };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(Exit::Failed as u8)
}

/// What the user asked for cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

fn usage(sentence: impl Into<String>) -> anyhow::Error {
    UsageError(sentence.into()).into()
}

impl Command {
    async fn execute(self) -> anyhow::Result<Exit> {
        match self {
            Self::Run(run) => run.execute().await,
            Self::Load(load) => load.execute().await,
            Self::Payload(payload) => payload.execute(),
            Self::Calibrate(calibrate) => calibrate.execute().await,
            Self::List(list) => {
                list.execute();
                Ok(Exit::Done)
            }
            Self::Claims => {
                print!("{}", report::claims_table(&claims::CLAIMS));
                Ok(Exit::Done)
            }
            Self::Report { dir, markdown } => {
                let store = results::Store::open(&dir)?;
                if markdown {
                    print!("{}", report::markdown(store.run()));
                } else {
                    for (name, text) in report::files(store.run()) {
                        store.write_file(&name, text.as_bytes())?;
                    }
                    print!("{}", report::terminal(store.run()));
                    println!("\nReport: {}", store.dir().join("report.html").display());
                }
                Ok(Exit::Done)
            }
            Self::Schema { trial, calibration } => {
                let schema = if calibration {
                    crate::calibrate::json_schema()
                } else if trial {
                    results::trial_json_schema()
                } else {
                    results::json_schema()
                };
                println!("{}", serde_json::to_string_pretty(&schema)?);
                Ok(Exit::Done)
            }
        }
    }
}
