//! The command line: what the user may say, and what he is told. Bad input is refused before anything starts.

mod advise;
mod after;
mod calibrate;
mod compare;
mod config;
mod doctor;
mod list;
mod live;
mod load;
mod manual;
mod own;
mod payload;
mod progress;
mod project;
mod run;

use crate::config::Given;
use crate::{claims, report, results, suite};
use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use config::Settings;
use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// With -v: what the programs do.
const TOLD: &str = "off,bench=info";
/// With -vv: every connection and reply that went wrong too, and what libraries log, but not each frame of HTTP/2.
const DETAILED: &str = "debug,h2=info,hyper=info,hyper_util=info,tower=info";

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
    /// A threshold of `load --fail-if` was crossed.
    Threshold = 4,
}

/// REST, gRPC, a queue or a stream? Measures it on this machine and gives each claim a verdict.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "\
Exit status: 0 done; 1 failed; 2 bad usage or config; 3 a trial was INVALID or a cell kept too few blocks; 4 a threshold
was crossed (`load --fail-if`).
Flags of run, load and calibrate may stand in hopbench.toml or in HOPBENCH_SECTION__KEY instead (see `config --help`).

Examples:
  bench-client doctor
  bench-client run --suite quick
  bench-client load --transport grpc --rate 2000 --duration 10s --payload O3
  bench-client load --transport rest --rate 500 --fail-if 'p99>20ms' --fail-if 'errors>0.1%'
  bench-client report results/2026-01-31T12-00-00Z
  bench-client compare results/before results/after"
)]
struct Cli {
    /// Read this file instead of hopbench.toml in the working directory
    #[arg(long = "config", global = true, value_name = "FILE")]
    #[allow(
        dead_code,
        reason = "read by hand before the others, for it decides what they are (see `Settings::find`)"
    )]
    config_file: Option<PathBuf>,
    /// No progress, and no warnings, the service's included
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say what happens on stderr; -vv in detail (RUST_LOG says it finer)
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run experiments in interleaved blocks and judge the claims that they decide
    Run(run::Run),
    /// One ad-hoc load run, against a service of its own or one that runs already
    Load(Box<load::LoadArgs>),
    /// Which transports fit a rate, a payload and the rest of what you need, by what was measured
    Advise(Box<advise::AdviseArgs>),
    /// What the instrument itself costs, and whether truths planted into the service come back
    Calibrate(calibrate::CalibrateArgs),
    /// Backlog, drain, cores and bandwidth for your own numbers, far past what this machine can run: projected, not measured
    Project(project::Project),
    /// List the experiments: question, claims, cells and expected time
    List(list::List),
    /// List the claims under test, their rules and the experiments that decide them
    #[command(after_help = "Examples:\n  bench-client claims")]
    Claims,
    /// Write the report of a finished run again (report.html, report.md, trials.csv, charts) and print its tables
    #[command(after_help = "\
Examples:
  bench-client report results/2026-01-31T12-00-00Z
  bench-client report results/2026-01-31T12-00-00Z --markdown > report.md")]
    Report {
        /// The folder that `run` wrote, or its run.json
        dir: PathBuf,
        /// Print Markdown on stdout and write nothing
        #[arg(long)]
        markdown: bool,
    },
    /// Set two runs against each other, cell by cell: faster, slower, or no difference seen and what would have been
    Compare(compare::CompareArgs),
    /// Print messages of a corpus, for tools that send a body from a file
    Payload(payload::Payload),
    /// What this machine has, lacks, and what that means for the numbers
    Doctor(doctor::DoctorArgs),
    /// What is in force, and where each value came from: the environment, hopbench.toml, the stack or a default
    Config(config::ConfigArgs),
    /// Print a completion script for a shell
    Completions(manual::Completions),
    /// Write a manual page of every command into a folder
    Man(manual::Man),
    /// Print the JSON Schema of run.json
    #[command(after_help = "\
Examples:
  bench-client schema > run.schema.json
  bench-client schema --trial")]
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
    let (cli, settings, used) = match parse(std::env::args_os().collect()) {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    log(cli.quiet, cli.verbose);
    settings.configure_brokers();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("no runtime")),
    };
    let result = runtime.block_on(async {
        tokio::select! {
            result = cli.command.execute(cli.quiet, &settings) => result,
            _ = interrupted() => {
                crate::trial::clear_leftovers().await;
                anyhow::bail!("interrupted; {}", progress::unfinished())
            }
        }
    });
    match result {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => match error.downcast_ref::<UsageError>() {
            Some(usage) => {
                eprintln!("error: {usage}");
                if let Some(note) = config::note(&usage.0, &used) {
                    eprintln!("{note}");
                }
                ExitCode::from(Exit::Usage as u8)
            }
            None => fail(&error),
        },
    }
}

/// The command line with what file and environment add to it, and what that was; else the status to end with, its reason
/// printed.
fn parse(arguments: Vec<OsString>) -> Result<(Cli, Settings, Vec<Given>), ExitCode> {
    let command = Cli::command();
    let wanted = config::wanted(&command, &arguments);
    let settings = match Settings::find(&command, &arguments) {
        Ok(settings) => settings,
        // Who asks for help or a list is not kept from it by a file that does not concern him.
        Err(_) if !wanted.as_deref().is_some_and(is_configured) => Settings::default(),
        Err(sentence) => {
            eprintln!("error: {sentence}");
            return Err(ExitCode::from(Exit::Usage as u8));
        }
    };
    let (arguments, used) = settings.typed(&command, arguments);
    let refuse = |error: clap::Error| {
        let note = config::note(&error.render().to_string(), &used);
        bench_usage::refuse(&error, note.as_deref())
    };
    let command = settings.annotated(command);
    let matches = command.try_get_matches_from(arguments).map_err(&refuse)?;
    let cli = Cli::from_arg_matches(&matches).map_err(&refuse)?;
    Ok((cli, settings, used))
}

/// Whether what a command does depends on file and variables.
fn is_configured(command: &str) -> bool {
    ["run", "load", "calibrate", "config", "doctor"].contains(&command)
}

/// What is logged where `RUST_LOG` does not say.
fn logged(quiet: bool, verbose: u8) -> &'static str {
    match (quiet, verbose) {
        (true, _) => bench_usage::QUIET,
        (false, 0) => bench_usage::LOGGED,
        (false, 1) => TOLD,
        (false, _) => DETAILED,
    }
}

fn log(quiet: bool, verbose: u8) {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| logged(quiet, verbose).into()),
        )
        .with_ansi(std::io::stderr().is_terminal() && !refused)
        .with_writer(std::io::stderr)
        .init();
}

/// Writes to standard output. A reader that has seen enough and closed the pipe is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context(
            "expected standard output to take what was asked for, and it did not; nothing else was lost",
        ),
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
    eprintln!("error: {}", bench_usage::told(error.chain()));
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
    async fn execute(self, quiet: bool, settings: &Settings) -> anyhow::Result<Exit> {
        match self {
            Self::Run(run) => run.execute(quiet).await,
            Self::Load(load) => load.execute(quiet).await,
            Self::Payload(payload) => payload.execute(),
            Self::Advise(advise) => advise.execute(),
            Self::Compare(compare) => compare.execute(),
            Self::Calibrate(calibrate) => calibrate.execute(quiet).await,
            Self::Doctor(doctor) => doctor.execute(quiet).await,
            Self::Config(config) => config.execute(&Cli::command(), settings),
            Self::Completions(completions) => completions.execute(&mut Cli::command()),
            Self::Man(man) => man.execute(Cli::command()),
            Self::Project(project) => project.execute(),
            Self::List(list) => list.execute(),
            Self::Claims => {
                print(&report::claims_table(&claims::CLAIMS))?;
                Ok(Exit::Done)
            }
            Self::Report { dir, markdown } => {
                let store = results::Store::open(&dir)?;
                let mut run = store.run().clone();
                suite::conclude_interrupted(&mut run);
                if markdown {
                    print(&report::markdown(&run))?;
                } else {
                    for (name, text) in report::files(&run) {
                        store.write_file(&name, text.as_bytes())?;
                    }
                    let place = store.dir().join("report.html");
                    let tables = report::terminal(&run);
                    print(&format!("{tables}\nReport: {}\n", place.display()))?;
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
                print(&(serde_json::to_string_pretty(&schema)? + "\n"))?;
                Ok(Exit::Done)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// Where a log is kept to be read.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What stands in the log of ours and of libraries.
    fn kept(filter: &str) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "lapin::channels", "lapin's error");
            tracing::error!(target: "librdkafka", "librdkafka's error");
            tracing::warn!(target: "h2::proto", "h2's warning");
            tracing::error!(target: "bench_transport::queue", "our error");
            tracing::warn!(target: "bench_transport::queue", "our warning");
            tracing::info!(target: "bench_client::service", "our news");
            tracing::debug!(target: "bench_client::service", "our detail");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn libraries_are_quiet_until_everything_is_asked_for_and_our_warnings_are_not() {
        let ours = ["our error", "our warning", "our news", "our detail"];
        let theirs = ["lapin's error", "librdkafka's error", "h2's warning"];
        for (quiet, verbose, of_ours, of_theirs) in [
            (true, 0, 1, 0),
            (false, 0, 2, 0),
            (false, 1, 3, 0),
            (false, 2, 4, 3),
        ] {
            let log = kept(logged(quiet, verbose));
            let expected: Vec<&str> = theirs[..of_theirs]
                .iter()
                .chain(&ours[..of_ours])
                .copied()
                .collect();
            let said = log.lines().count();
            assert_eq!(said, expected.len(), "{quiet} {verbose}: {log}");
            for line in expected {
                assert!(log.contains(line), "{quiet} {verbose}: {line}: {log}");
            }
        }
    }

    #[test]
    fn every_command_shows_examples_that_it_understands() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_else(|| panic!("{} shows none", command.get_name()));
            let examples: Vec<&str> = help
                .lines()
                .skip_while(|line| *line != "Examples:")
                .filter(|line| line.trim_start().starts_with("bench-client "))
                .collect();
            assert!(!examples.is_empty(), "{} shows none", command.get_name());
            for example in examples {
                let line = words(example).into_iter();
                let line: Vec<String> = line.take_while(|word| word != ">").collect();
                let parsed = Cli::command().try_get_matches_from(&line);
                assert!(parsed.is_ok(), "{example}: {parsed:?}");
            }
        }
    }

    /// A command line as a shell takes it apart, as far as the examples need one.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (i, part) in line.split('\'').enumerate() {
            match i % 2 {
                0 => words.extend(part.split_whitespace().map(str::to_owned)),
                _ => words.push(part.to_owned()),
            }
        }
        words
    }
}
