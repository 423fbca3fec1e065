//! Starts a relay in front of one trial's service and ends it afterwards. It delays; it measures nothing.

use super::process::{Launch, PATIENCE, quieten};
use anyhow::{Context, bail};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A running relay.
#[derive(Debug)]
pub struct RelayProcess {
    child: Child,
    pid: u32,
    /// Where callers connect to instead of the service.
    pub target: String,
}

impl RelayProcess {
    /// Starts a relay to `target` that delays every byte by `delay` each way, pinned as the service is.
    pub async fn start(target: &str, delay: Duration, launch: &Launch) -> anyhow::Result<Self> {
        let mut command = Command::new(&launch.program);
        command
            .args(["relay", "--with-parent", "--to", target])
            .args(["--delay-us", &delay.as_micros().to_string()]);
        if !launch.cpus.is_empty() {
            let cpus: Vec<String> = launch.cpus.iter().map(ToString::to_string).collect();
            command.args(["--pin", &cpus.join(",")]);
        }
        quieten(&mut command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} could not be started", launch.program.display()))?;
        let pid = child.id().context("the relay ended at once")?;
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let line = match tokio::time::timeout(PATIENCE, lines.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(_) => bail!("the relay ended before it was ready; its own words are above"),
            Err(_) => bail!("the relay was not ready after {} s", PATIENCE.as_secs()),
        };
        // It says what it passed on when it is stopped: somebody must be there to read it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let ready: serde_json::Value = serde_json::from_str(&line)
            .with_context(|| format!("expected the relay's ready line, got '{line}'"))?;
        let target = ready["relay"]
            .as_str()
            .with_context(|| format!("the relay's ready line names no address: '{line}'"))?;
        Ok(Self {
            child,
            pid,
            target: target.to_string(),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends it.
    pub async fn stop(mut self) {
        let _ = self.child.kill().await;
    }
}
