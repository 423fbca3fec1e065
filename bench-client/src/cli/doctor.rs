//! `bench-client doctor`: each thing that bears on the numbers, what was found, what it means, what to do.

use super::progress::Teller;
use super::{Exit, print};
use crate::doctor::{self, Facts, Finding, State};
use crate::suite::Progress;
use clap::Args;
use serde::Serialize;
use std::fmt::Write;

/// Flags of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
A finding is good, to be kept in mind, or LACKING: then something cannot be measured here, or not believed. It changes
nothing, and exits with 0 whatever it finds.

Examples:
  bench-client doctor
  bench-client doctor --json")]
pub(super) struct DoctorArgs {
    /// Print findings and the facts behind them as JSON, alone, on stdout
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Examined<'a> {
    findings: &'a [Finding],
    facts: &'a Facts,
}

impl DoctorArgs {
    pub(super) async fn execute(self, quiet: bool) -> anyhow::Result<Exit> {
        let teller = Teller::new(quiet);
        let facts = doctor::look(&|text| teller.note(text)).await;
        teller.finish();
        let findings = doctor::judge(&facts);
        let text = match self.json {
            true => {
                let examined = Examined {
                    findings: &findings,
                    facts: &facts,
                };
                serde_json::to_string_pretty(&examined)? + "\n"
            }
            false => show(&findings)?,
        };
        print(&text)?;
        Ok(Exit::Done)
    }
}

fn show(findings: &[Finding]) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    for finding in findings {
        let Finding {
            about,
            state,
            found,
            means,
            advice,
        } = finding;
        writeln!(out, "{state:<8} {about}: {found}")?;
        writeln!(out, "{:<8} {means}", "")?;
        if !advice.is_empty() {
            writeln!(out, "{:<8} → {advice}", "")?;
        }
    }
    let count = |state| {
        let alike = findings.iter().filter(|finding| finding.state == state);
        alike.count()
    };
    writeln!(
        out,
        "\n{} good, {} to keep in mind, {} lacking",
        count(State::Good),
        count(State::Mind),
        count(State::Lacking)
    )?;
    Ok(out)
}
