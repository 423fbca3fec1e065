//! Starts a fresh `bench-server` for one trial and ends it afterwards: politely, then by force, always by its own id.

use super::{Control, Recipe};
use crate::cell::Cell;
use anyhow::{Context, bail};
use bench_transport::{Tls, Transport};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// Time for a start (broker consumers get their partitions in it) and for a stop.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What a service process is started with, beside its cell.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The `bench-server` program.
    pub program: PathBuf,
    /// CPUs to pin it to; everywhere if empty.
    pub cpus: Vec<usize>,
    /// Where the brokers are that orders go over.
    pub brokers: BTreeMap<Transport, String>,
    /// Names the run's queues and topics.
    pub scope: String,
    /// What its slowness is drawn from: the same for every transport of a run.
    pub seed: u64,
    /// Faults planted into its ledger, for tests of the accounting.
    pub plant: Option<String>,
    /// What it encrypts with, if it does.
    pub tls: Option<Tls>,
}

impl Launch {
    /// The `bench-server` beside this program (or where `HOPBENCH_SERVER` says).
    pub fn find_program() -> anyhow::Result<PathBuf> {
        if let Some(path) = std::env::var_os("HOPBENCH_SERVER") {
            return Ok(path.into());
        }
        let own = std::env::current_exe().context("this program's own path is not known")?;
        // Beside it in an installation; one folder up when a test runs from target/…/deps.
        own.ancestors().skip(1).take(2).map(|folder| folder.join("bench-server")).find(|path| path.is_file()).with_context(|| {
            format!(
                "no bench-server beside {}; build both with `cargo build --release`, or name it in HOPBENCH_SERVER",
                own.display()
            )
        })
    }
}

/// A running service.
#[derive(Debug)]
pub struct ServiceProcess {
    child: Child,
    pid: u32,
    /// Where callers connect to, by transport.
    pub targets: BTreeMap<Transport, String>,
    /// Its control port.
    pub control: Control,
    /// Its settings in force.
    pub in_force: serde_json::Value,
}

impl ServiceProcess {
    /// Starts a service of a cell by its recipe, with its token and its certificates in `folder`, and waits until it is
    /// ready.
    ///
    /// # Errors
    /// It could not be started, or said why it ended instead.
    pub async fn start(
        cell: &Cell,
        recipe: &Recipe,
        launch: &Launch,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let token_file = folder.join("token");
        let mut command = Command::new(&launch.program);
        command
            .arg("serve")
            .arg("--with-parent")
            .args(["--control", "127.0.0.1:0"])
            .arg("--token-file")
            .arg(&token_file);
        command.arg("--journal").arg(&recipe.journal);
        command
            .args(["--scope", &recipe.scope])
            .args(["--seed", &recipe.seed.to_string()]);
        command.args(["--durability", &recipe.durability.to_string()]);
        command.args(["--format", &cell.format.to_string()]);
        command.args(["--prefetch", &cell.prefetch.to_string()]);
        command.args(["--partitions", &cell.partitions.to_string()]);
        command.args(["--consumers", &cell.consumers.to_string()]);
        if cell.library_defaults {
            command.arg("--library-defaults");
        }
        if let Some(slow) = &recipe.slow {
            command.args(["--slow", &slow.to_string()]);
        }
        if let Some(workers) = recipe.workers {
            command.args(["--workers", &workers.to_string()]);
        }
        if let Some(most) = cell.max_waiting {
            command.args(["--max-waiting", &most.to_string()]);
        }
        if let Some(limit) = cell.queue_limit {
            command.args(["--queue-limit", &limit.to_string()]);
        }
        command.args(&recipe.calls);
        if let Some(reset) = &recipe.go_on {
            command.arg("--go-on").arg(reset);
        }
        if !launch.cpus.is_empty() {
            let cpus: Vec<String> = launch.cpus.iter().map(ToString::to_string).collect();
            command.args(["--pin", &cpus.join(",")]);
        }
        if let Some(tls) = &launch.tls {
            command.args(tls_arguments(tls, folder)?);
        }
        if let Some(plant) = &launch.plant {
            command.args(["--plant", plant]);
        }
        for (transport, address) in &launch.brokers {
            // By environment: a password on a command line is for everybody to read.
            let variable = match transport {
                Transport::Queue => "HOPBENCH_AMQP_URL",
                Transport::Stream => "HOPBENCH_KAFKA_BROKERS",
                _ => continue,
            };
            command.env(variable, address);
        }
        for (transport, address) in &recipe.listeners {
            command.args([&format!("--{transport}"), address]);
        }
        quieten(&mut command);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("{} could not be started", launch.program.display()))?;
        let pid = child.id().context("the service ended at once")?;
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let mut complaints = child.stderr.take().expect("stderr is piped");
        let ready = match tokio::time::timeout(PATIENCE, lines.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(_) => {
                let mut text = String::new();
                let _ = tokio::time::timeout(
                    Duration::from_secs(1),
                    complaints.read_to_string(&mut text),
                )
                .await;
                bail!(
                    "the service ended before it was ready; it said: {}",
                    text.trim()
                );
            }
            Err(_) => bail!("the service was not ready after {} s", PATIENCE.as_secs()),
        };
        // What it says later goes on to our own stderr: nobody else would read it.
        tokio::spawn(async move {
            let _ = tokio::io::copy(&mut complaints, &mut tokio::io::stderr()).await;
        });
        let ready: serde_json::Value = serde_json::from_str(&ready)
            .with_context(|| format!("expected the service's ready line, got '{ready}'"))?;
        let address = |name: &str| {
            ready[name]
                .as_str()
                .map(str::to_string)
                .with_context(|| format!("the service's ready line names no {name}"))
        };
        let mut targets = BTreeMap::new();
        for transport in recipe.listeners.keys() {
            let target = match launch.brokers.get(transport) {
                Some(broker) => broker.clone(),
                None => address(transport.name())?,
            };
            targets.insert(*transport, target);
        }
        let control = Control::new(&address("control")?, Path::new(&address("token_file")?))?;
        tracing::info!(pid, in_force = %ready["in_force"], "a service is ready");
        Ok(Self {
            child,
            pid,
            targets,
            control,
            in_force: ready["in_force"].clone(),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Ends it after it has finished what it accepted.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = nix::unistd::Pid::from_raw(self.pid as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => {
                let status = status?;
                if !status.success() {
                    bail!("the service ended with {status} instead of 0");
                }
                Ok(())
            }
            Err(_) => {
                self.child.kill().await?;
                bail!(
                    "the service did not stop within {} s and was killed",
                    PATIENCE.as_secs()
                )
            }
        }
    }

    /// Ends it at once, as a crash would.
    pub async fn kill(mut self) {
        let _ = self.child.kill().await;
    }
}

/// Whoever wants no warnings of ours wants none of a process of ours; where `RUST_LOG` says what is logged, it says so to
/// both.
pub(super) fn quieten(command: &mut Command) {
    let warned = tracing::enabled!(target: "bench_server", tracing::Level::WARN);
    if !warned && std::env::var_os("RUST_LOG").is_none() {
        command.env("RUST_LOG", bench_usage::QUIET);
    }
}

/// Writes what the service encrypts with into its folder, and says where.
fn tls_arguments(tls: &Tls, folder: &Path) -> anyhow::Result<Vec<std::ffi::OsString>> {
    let mut arguments = vec!["--tls".into()];
    let mut file = |flag: &str, name: &str, text: &str| -> anyhow::Result<()> {
        let path = folder.join(name);
        // The folder is the user's alone (mode 0700), and goes with the service.
        std::fs::write(&path, text)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        arguments.extend([flag.into(), path.into()]);
        Ok(())
    };
    match &tls.identity {
        Some(identity) => {
            file("--certificate", "certificate.pem", &identity.certificate)?;
            file("--key", "key.pem", &identity.key)?;
        }
        None => {
            if let Some(ca) = &tls.ca {
                file("--ca", "ca.pem", ca)?;
            }
        }
    }
    Ok(arguments)
}

/// The folder in or under which the journals of all trials lie.
pub fn journal_root() -> PathBuf {
    journal_folder(&std::env::temp_dir())
}

/// The journal lies where `power` is worth something: on a disk. `/tmp` may be memory, so the run's own folder is
/// preferred when `HOPBENCH_JOURNAL` names one.
pub(super) fn journal_folder(temporary: &Path) -> PathBuf {
    std::env::var_os("HOPBENCH_JOURNAL").map_or_else(|| temporary.to_path_buf(), PathBuf::from)
}
