//! The configuration as the command line takes it. Every flag of `run`, `load` and `calibrate` is a key of its section; what
//! a key says goes to clap as if it had been typed, so that one parser judges both and a default in `--help` stays true.

use crate::address;
use crate::config::{self, Given, Key, Takes};
use clap::builder::StyledStr;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Command};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Read where nothing else is named.
pub(super) const FILE: &str = "hopbench.toml";
/// The flag that names another file.
const FLAG: &str = "--config";
/// The commands whose flags are keys.
static SECTIONS: [&str; 3] = ["run", "load", "calibrate"];
/// The section of the brokers' addresses.
pub(super) const OF_BROKERS: &str = "brokers";
/// Its keys, each with the variable that has always said the same.
pub(super) static BROKERS: [(&str, &str); 5] = [
    ("amqp-url", "HOPBENCH_AMQP_URL"),
    ("amqps-url", "HOPBENCH_AMQPS_URL"),
    ("kafka-brokers", "HOPBENCH_KAFKA_BROKERS"),
    ("kafka-tls-brokers", "HOPBENCH_KAFKA_TLS_BROKERS"),
    ("tls-ca", "HOPBENCH_TLS_CA"),
];

/// What file and environment say, checked.
#[derive(Debug, Default)]
pub(in crate::cli) struct Settings {
    /// The file that was read.
    pub(super) file: Option<PathBuf>,
    given: Vec<Given>,
}

/// The command that these arguments name; none where they ask for help or name none.
pub(in crate::cli) fn wanted(command: &Command, arguments: &[OsString]) -> Option<String> {
    let matches = leniently(command, arguments)?;
    matches.subcommand_name().map(str::to_owned)
}

fn leniently(command: &Command, arguments: &[OsString]) -> Option<clap::ArgMatches> {
    let command = command.clone().ignore_errors(true);
    command.try_get_matches_from(arguments).ok()
}

/// Every key: the flags of the sections that anybody may set, and the brokers' addresses.
pub(super) fn keys(command: &Command) -> Vec<Key> {
    let of_flags = SECTIONS.iter().flat_map(|section| {
        let found = command.find_subcommand(section).into_iter();
        found
            .flat_map(Command::get_arguments)
            .filter(|arg| !arg.is_hide_set())
            .map(move |arg| Key {
                section: (*section).to_owned(),
                name: name(arg),
                takes: match arg.get_action() {
                    ArgAction::SetTrue | ArgAction::SetFalse => Takes::Switch,
                    ArgAction::Append => Takes::Many,
                    _ => Takes::One,
                },
            })
    });
    let of_brokers = BROKERS.iter().map(|(name, _)| Key {
        section: OF_BROKERS.to_owned(),
        name: (*name).to_owned(),
        takes: Takes::One,
    });
    of_flags.chain(of_brokers).collect()
}

fn name(arg: &Arg) -> String {
    arg.get_long()
        .map_or_else(|| arg.get_id().to_string(), str::to_owned)
}

/// The flag that a key stands for.
pub(super) fn argument<'a>(command: &'a Command, key: &Key) -> Option<&'a Arg> {
    of_section(command, &key.section, &key.name)
}

fn of_section<'a>(command: &'a Command, section: &str, key: &str) -> Option<&'a Arg> {
    let command = command.find_subcommand(section)?;
    command.get_arguments().find(|arg| name(arg) == key)
}

impl Settings {
    /// Reads and checks what file and environment say.
    pub(in crate::cli) fn find(command: &Command, arguments: &[OsString]) -> Result<Self, String> {
        let file = match file_of(arguments) {
            Some(named) => Some(PathBuf::from(named)),
            None => Some(PathBuf::from(FILE)).filter(|file| file.exists()),
        };
        // What is no text cannot be a key of ours, nor its value.
        let variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((
                    name.into_string().ok()?,
                    value.to_string_lossy().into_owned(),
                ))
            })
            .collect();
        Self::read(command, file, &variables)
    }

    pub(super) fn read(
        command: &Command,
        file: Option<PathBuf>,
        variables: &[(String, String)],
    ) -> Result<Self, String> {
        let given = config::read(file.as_deref(), variables, &keys(command))?;
        for given in &given {
            judge(command, given).map_err(|problem| format!("{}: {problem}", given.place()))?;
        }
        Ok(Self { file, given })
    }

    /// What was given for a key.
    pub(super) fn given(&self, key: &Key) -> Option<&Given> {
        let mut all = self.given.iter();
        all.find(|given| (&given.section, &given.name) == (&key.section, &key.name))
    }

    /// Hands the brokers' addresses on. A variable of the environment stands above the file, by either of its names.
    pub(in crate::cli) fn configure_brokers(&self) {
        let of_brokers = self
            .given
            .iter()
            .filter(|given| given.section == OF_BROKERS);
        let set =
            |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        let addresses: BTreeMap<&'static str, String> = of_brokers
            .filter_map(|given| {
                let (_, variable) = BROKERS.iter().find(|(name, _)| *name == given.name)?;
                let above = given.from_variable || !set(variable);
                above.then(|| (*variable, given.values.concat()))
            })
            .collect();
        crate::stack::configure(addresses);
    }

    /// The command line with what is given for its command, as if it had been typed; and what that was. What the user
    /// typed himself stands above it, and so does a flag of his that excludes it.
    pub(in crate::cli) fn typed(
        &self,
        command: &Command,
        arguments: Vec<OsString>,
    ) -> (Vec<OsString>, Vec<Given>) {
        let Some(matches) = leniently(command, &arguments) else {
            return (arguments, Vec::new());
        };
        let Some((section, matches)) = matches.subcommand() else {
            return (arguments, Vec::new());
        };
        let (Some(sub), Some(place)) = (
            command.find_subcommand(section),
            place_of(&arguments, section),
        ) else {
            return (arguments, Vec::new());
        };
        let by_hand: Vec<&Arg> = sub
            .get_arguments()
            .filter(|arg| {
                matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
            })
            .collect();
        let excludes = |one: &Arg, other: &Arg| {
            let excluded = sub.get_arg_conflicts_with(one);
            excluded.iter().any(|arg| arg.get_id() == other.get_id())
        };
        let mut added = Vec::new();
        let mut used = Vec::new();
        for given in self.given.iter().filter(|given| given.section == section) {
            let Some(arg) = of_section(command, section, &given.name) else {
                continue;
            };
            let above = by_hand.iter().any(|typed| {
                typed.get_id() == arg.get_id() || excludes(typed, arg) || excludes(arg, typed)
            });
            if !above {
                added.extend(as_typed(arg, given));
                used.push(given.clone());
            }
        }
        let mut line = arguments;
        let rest = line.split_off(place + 1);
        line.extend(added);
        line.extend(rest);
        (line, used)
    }

    /// The command with what is in force beside each flag's own default, for `--help`.
    pub(in crate::cli) fn annotated(&self, command: Command) -> Command {
        self.given.iter().fold(command, |command, given| {
            let Some(arg) = of_section(&command, &given.section, &given.name) else {
                return command;
            };
            let id = arg.get_id().to_string();
            let help = format!(
                "{} [{}: {}]",
                arg.get_help().map_or(String::new(), StyledStr::to_string),
                given.source,
                address::without_password(&given.values.join(", "))
            );
            command.mut_subcommand(&given.section, |sub| sub.mut_arg(id, |arg| arg.help(help)))
        })
    }
}

/// Says which of the flags that a refusal names nobody typed.
pub(in crate::cli) fn note(said: &str, used: &[Given]) -> Option<String> {
    let named: Vec<String> = used
        .iter()
        .filter(|given| said.contains(&format!("--{}", given.name)))
        .map(|given| format!("--{} comes from {}", given.name, given.place()))
        .collect();
    (!named.is_empty()).then(|| named.join("; "))
}

/// The value of `--config`, wherever it stands.
fn file_of(arguments: &[OsString]) -> Option<&OsStr> {
    let mut arguments = arguments.iter().skip(1).take_while(|text| *text != "--");
    while let Some(argument) = arguments.next() {
        if argument == FLAG {
            return arguments.next().map(OsString::as_os_str);
        }
        let value = argument.to_str().and_then(|text| text.strip_prefix(FLAG));
        if let Some(value) = value.and_then(|rest| rest.strip_prefix('=')) {
            return Some(OsStr::new(value));
        }
    }
    None
}

/// Where the command's name stands.
fn place_of(arguments: &[OsString], name: &str) -> Option<usize> {
    (1..arguments.len()).find(|at| arguments[*at] == name && arguments[at - 1] != FLAG)
}

/// As a user would have typed it.
fn as_typed(arg: &Arg, given: &Given) -> Vec<OsString> {
    let values = given.values.iter();
    if arg.is_positional() {
        return values.map(OsString::from).collect();
    }
    match arg.get_action().takes_values() {
        true => values
            .map(|value| format!("--{}={value}", given.name).into())
            .collect(),
        false => values
            .filter(|value| *value == "true")
            .map(|_| format!("--{}", given.name).into())
            .collect(),
    }
}

/// Hands a value to its flag's own parser, alone: what it goes with is for the whole command line to say.
fn judge(command: &Command, given: &Given) -> Result<(), String> {
    if given.section == OF_BROKERS {
        let value = given.values.concat();
        return match given.name.as_str() {
            "amqp-url" | "amqps-url" => address::amqp_url(&value),
            "kafka-brokers" | "kafka-tls-brokers" => address::hosts(&value),
            _ if Path::new(&value).is_file() => Ok(()),
            _ => Err(format!(
                "expected the file of a CA, got '{value}', which is none"
            )),
        };
    }
    let Some(arg) = of_section(command, &given.section, &given.name) else {
        return Ok(());
    };
    if !arg.get_action().takes_values() {
        return Ok(());
    }
    let mut alone = Arg::new("value")
        .long("value")
        .action(ArgAction::Append)
        .value_parser(arg.get_value_parser().clone());
    if let Some(delimiter) = arg.get_value_delimiter() {
        alone = alone.value_delimiter(delimiter);
    }
    let line = given.values.iter().map(|value| format!("--value={value}"));
    let parsed = Command::new("key")
        .no_binary_name(true)
        .arg(alone)
        .try_get_matches_from(line);
    parsed.map(drop).map_err(|error| why(&error, given))
}

/// The parser's own sentence, or which values there are.
fn why(error: &clap::Error, given: &Given) -> String {
    use clap::error::{ContextKind, ContextValue};
    let came = given.values.join(", ");
    if let Some(source) = std::error::Error::source(error) {
        let sentence = source.to_string();
        return match sentence.contains(came.as_str()) {
            true => sentence,
            false => format!("{sentence}; got '{came}'"),
        };
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            format!("expected one of {}, got '{came}'", values.join(", "))
        }
        _ => format!("expected a value as --help describes it, got '{came}'"),
    }
}
