//! `bench-client compare`: two finished runs, or two baselines that `load --save` kept. It measures nothing.

use super::{Exit, print, usage};
use crate::compare::{Difference, compare};
use crate::report;
use crate::results::Store;
use clap::Args;
use std::path::{Path, PathBuf};

/// Flags of `compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
Trials are paired by block where both runs followed the same plan from the same seed; else the interval is Welch's over
unpaired trials, and that is said. Ratios are second ÷ first. Two runs are refused where the machine, the placement, the
brokers, the settings or a cell differ, or where a build is not that of a commit.

Exit status: 0 compared, whatever was found; 1 a run could not be read; 2 the two are not comparable.

Examples:
  bench-client compare results/before results/after
  bench-client compare results/before results/after --markdown > change.md
  bench-client compare results/baselines/main results/baselines/branch --anyway")]
pub(super) struct CompareArgs {
    /// The run to compare with: the folder that `run` wrote, or its run.json
    first: PathBuf,
    /// The run that is judged
    second: PathBuf,
    /// Compare what is not comparable all the same; the output is marked
    #[arg(long)]
    anyway: bool,
    /// Print the comparison as JSON
    #[arg(long)]
    json: bool,
    /// Print it as Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

impl CompareArgs {
    pub(super) fn execute(self) -> anyhow::Result<Exit> {
        let (first, second) = (Store::open(&self.first)?, Store::open(&self.second)?);
        let names = [&self.first, &self.second].map(|path| name(path));
        let comparison = compare(
            (names[0].as_str(), first.run()),
            (names[1].as_str(), second.run()),
        );
        if !self.anyway {
            refuse(&comparison.differences, "the two runs are not comparable")?;
        }
        print(&if self.json {
            serde_json::to_string_pretty(&comparison)? + "\n"
        } else if self.markdown {
            report::comparison_markdown(&comparison)
        } else {
            report::comparison(&comparison)
        })?;
        Ok(Exit::Done)
    }
}

/// Refuses what differs, with the list of it.
pub(super) fn refuse(differences: &[Difference], what: &str) -> anyhow::Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = differences
        .iter()
        .map(|difference| format!("  - {difference}"))
        .collect();
    Err(usage(format!(
        "{what}:\n{}\nexpected the same machine, placement, brokers and settings, and builds of commits; give --anyway to compare them all the same (the output is marked)",
        list.join("\n")
    )))
}

/// A run by the name of its folder, without the way to it.
fn name(path: &Path) -> String {
    let folder = match path.is_file() {
        true => path.parent().unwrap_or(path),
        false => path,
    };
    let last = folder.file_name().unwrap_or(folder.as_os_str());
    last.to_string_lossy().into_owned()
}
