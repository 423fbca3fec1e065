//! `bench-client config`: what is in force, and where each value came from. Passwords are shown to nobody.

mod settings;

pub(super) use settings::{Settings, note, wanted};

use super::{Exit, print};
use crate::address;
use crate::config::{Key, VARIABLES};
use crate::stack::{Broker, Brokers};
use bench_transport::Transport;
use clap::{Args, Command};
use serde::Serialize;
use std::fmt::Write;

/// Shown instead of a secret.
const HIDDEN: &str = "…";

/// Flags of `config`.
#[derive(Debug, Args)]
#[command(after_help = "\
A value comes from the flag, else from HOPBENCH_SECTION__KEY, else from hopbench.toml in the working directory (or the file
of --config), else it is the default. Keys are spelled as the flags are. A hopbench.toml:
  [run]
  transport = [\"rest\", \"grpc\"]
  exclusive = true
  [load]
  transport = \"grpc\"
  rate = 2000
  [brokers]
  kafka-brokers = \"127.0.0.1:9092\"

Examples:
  bench-client config
  HOPBENCH_LOAD__RATE=500 bench-client config --json
  bench-client config --config ours.toml")]
pub(super) struct ConfigArgs {
    /// Print it as JSON, alone, on stdout
    #[arg(long)]
    json: bool,
}

/// What is in force.
#[derive(Debug, Serialize)]
struct InForce {
    /// The file that was read, if there was one.
    file: Option<String>,
    /// Every key, set or not.
    keys: Vec<Setting>,
    /// What the stack and the programs read from the environment themselves.
    variables: Vec<Named>,
}

/// A key with its value.
#[derive(Debug, PartialEq, Serialize)]
struct Setting {
    section: String,
    key: String,
    /// None where nothing is set.
    value: Option<String>,
    /// The file, the variable, or `default`; none where nothing is set.
    source: Option<String>,
    /// The variable that would say it.
    variable: String,
}

/// A variable with its value.
#[derive(Debug, Serialize)]
struct Named {
    name: &'static str,
    value: Option<String>,
    about: &'static str,
}

impl ConfigArgs {
    pub(super) fn execute(&self, command: &Command, settings: &Settings) -> anyhow::Result<Exit> {
        let in_force = InForce {
            file: settings
                .file
                .as_ref()
                .map(|file| file.display().to_string()),
            keys: keys(command, settings, &Brokers::find()),
            variables: VARIABLES.iter().map(named).collect(),
        };
        print(&match self.json {
            true => serde_json::to_string_pretty(&in_force)? + "\n",
            false => show(&in_force)?,
        })?;
        Ok(Exit::Done)
    }
}

fn named(variable: &crate::config::Variable) -> Named {
    let value = std::env::var(variable.name).ok();
    let value = value.filter(|value| !value.is_empty());
    Named {
        name: variable.name,
        value: value.map(|value| match variable.secret {
            true => HIDDEN.to_owned(),
            false => address::without_password(&value),
        }),
        about: variable.about,
    }
}

fn keys(command: &Command, settings: &Settings, brokers: &Brokers) -> Vec<Setting> {
    let all = settings::keys(command);
    all.iter()
        .map(|key| {
            let (value, source) = settings
                .given(key)
                .map(|given| (given.values.join(", "), given.source.clone()))
                .or_else(|| by_default(command, key))
                .or_else(|| of_broker(brokers, key))
                .unzip();
            Setting {
                section: key.section.clone(),
                key: key.name.clone(),
                value: value.map(|value: String| address::without_password(&value)),
                source,
                variable: key.variable(),
            }
        })
        .collect()
}

/// What the flag's own default says.
fn by_default(command: &Command, key: &Key) -> Option<(String, String)> {
    let arg = settings::argument(command, key)?;
    let values: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    let value = match values.is_empty() {
        false => values.join(", "),
        true if !arg.get_action().takes_values() => "false".to_owned(),
        true => return None,
    };
    Some((value, "default".to_owned()))
}

/// What a variable of its own, else the stack's file, says of a broker.
fn of_broker(brokers: &Brokers, key: &Key) -> Option<(String, String)> {
    let variable = settings::BROKERS
        .iter()
        .find(|(name, _)| key.section == settings::OF_BROKERS && *name == key.name)?
        .1;
    if let Some(value) = std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty())
    {
        return Some((value, variable.to_owned()));
    }
    let address = |broker: Option<&Broker>| match broker? {
        Broker::At { address, .. } => Some(address.clone()),
        Broker::Missing(_) => None,
    };
    let value = match variable {
        "HOPBENCH_AMQP_URL" => address(brokers.of(Transport::Queue)),
        "HOPBENCH_KAFKA_BROKERS" => address(brokers.of(Transport::Stream)),
        "HOPBENCH_AMQPS_URL" => address(brokers.encrypted(Transport::Queue)),
        "HOPBENCH_KAFKA_TLS_BROKERS" => address(brokers.encrypted(Transport::Stream)),
        _ => brokers.ca.as_ref().map(|ca| ca.display().to_string()),
    };
    value.map(|value| (value, "the stack (.hopbench/env)".to_owned()))
}

fn show(in_force: &InForce) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    match &in_force.file {
        Some(file) => writeln!(out, "File: {file}")?,
        None => writeln!(
            out,
            "File: none ({} in the working directory, or --config FILE)",
            settings::FILE
        )?,
    }
    let mut section = "";
    for setting in &in_force.keys {
        if setting.section != section {
            section = &setting.section;
            writeln!(out, "\n[{section}]")?;
        }
        let value = setting.value.as_deref().unwrap_or("–");
        let source = setting.source.as_deref().unwrap_or("not set");
        writeln!(out, "{:<20} {value:<28} {source}", setting.key)?;
    }
    writeln!(
        out,
        "\nRead by the stack and the programs themselves, no keys of the file:"
    )?;
    for variable in &in_force.variables {
        let value = variable.value.as_deref().unwrap_or("–");
        writeln!(out, "{:<26} {value:<22} {}", variable.name, variable.about)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
