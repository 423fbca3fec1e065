//! `bench-client completions` and `bench-client man`: made from the same definition that parses the command line, so that
//! neither can fall behind it.

use super::{Exit, print};
use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;
use std::path::PathBuf;

/// Flags of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bench-client completions bash > ~/.local/share/bash-completion/completions/bench-client
  bench-client completions zsh > ~/.zfunc/_bench-client
  bench-client completions fish > ~/.config/fish/completions/bench-client.fish")]
pub(super) struct Completions {
    /// Of which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn execute(self, command: &mut Command) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "bench-client", &mut script);
        print(&String::from_utf8(script)?)?;
        Ok(Exit::Done)
    }
}

/// Flags of `man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bench-client man ~/.local/share/man/man1
  bench-client man .")]
pub(super) struct Man {
    /// The folder; made if it is not there
    dir: PathBuf,
}

impl Man {
    pub(super) fn execute(self, command: Command) -> anyhow::Result<Exit> {
        let advice = || {
            format!(
                "expected a folder for manual pages that can be written, got {}",
                self.dir.display()
            )
        };
        std::fs::create_dir_all(&self.dir).with_context(advice)?;
        clap_mangen::generate_to(command, &self.dir).with_context(advice)?;
        let pages = std::fs::read_dir(&self.dir)?.flatten();
        let ours = pages.filter(|page| {
            let name = page.file_name();
            name.to_string_lossy().starts_with("bench-client")
        });
        print(&format!(
            "{} pages in {}; `man {}` shows the first\n",
            ours.count(),
            self.dir.display(),
            self.dir.join("bench-client.1").display()
        ))?;
        Ok(Exit::Done)
    }
}
