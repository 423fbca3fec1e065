//! `bench-server`: reads the command line, refuses what is wrong with it, and serves or relays.

use bench_server::cli::{Cli, Command, Relay, Serve};
use bench_server::stop::{self, Stop};
use clap::Parser;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    // Before anything else: who is the parent can change while this process starts.
    let parent = stop::parent();
    let mut command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(refusal) => return bench_usage::refuse(&refusal, None),
    };
    if let Command::Serve(serve) = &mut command
        && let Err(refusal) = serve.check()
    {
        return bench_usage::refuse(&refusal, None);
    }
    let logs = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| bench_usage::LOGGED.into());
    tracing_subscriber::fmt()
        .with_env_filter(logs)
        .with_writer(std::io::stderr)
        .init();
    let outcome = match command {
        Command::Serve(serve) => run(*serve, parent),
        Command::Relay(relay) => run_relay(relay, parent),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", bench_usage::told(error.chain()));
            ExitCode::FAILURE
        }
    }
}

fn run(serve: Serve, parent: nix::unistd::Pid) -> anyhow::Result<()> {
    if let Some(cpus) = &serve.pin {
        // Before any thread starts: threads inherit the placement.
        bench_host::place::pin_self(cpus)?;
    }
    let threads = bench_server::serve::threads(&serve);
    let mut builder = if threads == 1 {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    let runtime = builder.worker_threads(threads).enable_all().build()?;
    let outcome = runtime.block_on(async {
        let stop = Stop::listen(serve.with_parent.then_some(parent))?;
        bench_server::serve::serve(serve, stop).await
    });
    // A client library's helper threads are no reason to stay.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// One thread: what it has to do next is in one queue, and two threads would only wake each other.
fn run_relay(relay: Relay, parent: nix::unistd::Pid) -> anyhow::Result<()> {
    if let Some(cpus) = &relay.pin {
        bench_host::place::pin_self(cpus)?;
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = Stop::listen(relay.with_parent.then_some(parent))?;
        bench_server::relay::relay(relay, stop).await
    })
}
