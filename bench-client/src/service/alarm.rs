//! RabbitMQ's memory alarm, raised and ended through the stack that started the broker. It knows no load.

use crate::stack;
use anyhow::{Context, ensure};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

/// RabbitMQ in memory alarm; the alarm is over when this is dropped, on whatever way.
#[derive(Debug)]
pub struct Alarm {
    over: bool,
}

impl Alarm {
    /// Raises it. It is in force when this returns.
    ///
    /// # Errors
    /// The stack could not raise it; its own sentence says why.
    pub async fn raise() -> anyhow::Result<Self> {
        // Before the command: one that is given up halfway may have raised it.
        let alarm = Self { over: false };
        tell("on").await?;
        Ok(alarm)
    }

    /// Ends it. It is over when this returns.
    ///
    /// # Errors
    /// The stack could not end it; its own sentence says why.
    pub async fn clear(mut self) -> anyhow::Result<()> {
        tell("off").await?;
        self.over = true;
        Ok(())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if let Err(error) = tell_and_wait("off") {
            tracing::error!(
                "RabbitMQ may still be in memory alarm: {error:#}; `stack/stack alarm off` ends it"
            );
        }
    }
}

async fn tell(word: &str) -> anyhow::Result<()> {
    let mut command = tokio::process::Command::from(command(word)?);
    // Given up, it must not come after what ends it.
    let told = command.kill_on_drop(true).output().await;
    well(word, told)
}

fn tell_and_wait(word: &str) -> anyhow::Result<()> {
    let told = command(word)?.output();
    well(word, told)
}

fn command(word: &str) -> anyhow::Result<Command> {
    let mut command = stack::command(&["alarm", word])?;
    // Ctrl-C is for this program, which then ends the alarm.
    command.stdin(Stdio::null()).process_group(0);
    Ok(command)
}

fn well(word: &str, told: std::io::Result<Output>) -> anyhow::Result<()> {
    let output = told.context("stack/stack could not be started")?;
    ensure!(
        output.status.success(),
        "`stack/stack alarm {word}` failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
