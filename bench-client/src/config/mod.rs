//! What a user sets once instead of on every command line: `hopbench.toml`, above it `HOPBENCH_SECTION__KEY`. Every value
//! keeps where it came from. It knows neither flags nor defaults: which keys there are is handed in, and what a value
//! means is for the flag's own parser to say.

mod value;
mod variables;

pub use variables::{VARIABLES, Variable};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use std::path::Path;

/// Every variable of Hopbench begins so.
const PREFIX: &str = "HOPBENCH_";
/// Between section and key in a variable's name: one alone is part of a name.
const BETWEEN: &str = "__";
/// Of so many letters one may be wrong, missing, too many or in its neighbour's place, and it still is a slip of the hand.
const LETTERS_A_SLIP: usize = 3;

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// True or false.
    Switch,
    /// One value.
    One,
    /// A value, or a list of them.
    Many,
}

/// A key that a section may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its section, such as `load`.
    pub section: String,
    /// Its name, spelled as the flag is: `in-flight`.
    pub name: String,
    /// What it takes.
    pub takes: Takes,
}

impl Key {
    /// The variable that says the same: `HOPBENCH_LOAD__IN_FLIGHT`.
    pub fn variable(&self) -> String {
        variable(&self.section, &self.name)
    }
}

/// A value that somebody gave, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its section.
    pub section: String,
    /// Its key.
    pub name: String,
    /// As text, `true` or `false` for a switch; several for a list.
    pub values: Vec<String>,
    /// The file, or the variable.
    pub source: String,
    /// Whether it came from the environment.
    pub from_variable: bool,
}

impl Given {
    /// How a sentence calls it: `load.rate in hopbench.toml`, or the variable's name.
    pub fn place(&self) -> String {
        match self.from_variable {
            true => self.source.clone(),
            false => format!("{}.{} in {}", self.section, self.name, self.source),
        }
    }
}

/// Reads the file, if there is one, and the variables, which stand above it.
///
/// # Errors
/// A sentence, when the file cannot be read or is not TOML, a section or a key is not known, or a value is of the wrong type.
pub fn read(
    file: Option<&Path>,
    variables: &[(String, String)],
    keys: &[Key],
) -> Result<Vec<Given>, String> {
    let mut figment = Figment::new();
    if let Some(path) = file {
        figment = figment.merge(Toml::string(&text_of(path)?));
    }
    let found = variables::sections(variables, keys)?;
    let figment = figment.merge(Variables(found));
    let sections = figment
        .data()
        .map_err(|error| {
            format!(
                "expected TOML in {}, got something else: {}; write sections such as [load] with keys such as rate = 2000",
                show(file),
                error.kind
            )
        })?
        .remove(&Profile::Default)
        .unwrap_or_default();
    let mut given = Vec::new();
    for (section, value) in sections {
        let of_variable = |value: &Value| {
            let metadata = figment.get_metadata(value.tag());
            metadata.is_some_and(|metadata| metadata.name == VARIABLES_NAME)
        };
        // Where the section was opened says who misspelled it.
        let from_variable = match &value {
            Value::Dict(_, entries) => entries.values().all(of_variable),
            other => of_variable(other),
        };
        let known: Vec<&Key> = keys.iter().filter(|key| key.section == section).collect();
        if known.is_empty() {
            return Err(unknown_section(&section, keys, file, from_variable));
        }
        let Value::Dict(_, entries) = value else {
            return Err(format!(
                "expected a section [{section}] with keys in {}, got {}",
                show(file),
                value::describe(&value)
            ));
        };
        for (name, value) in entries {
            let from_variable = of_variable(&value);
            let Some(key) = known.iter().find(|key| key.name == name) else {
                return Err(unknown_key(&section, &name, &known, file, from_variable));
            };
            let source = match from_variable {
                true => key.variable(),
                false => show(file),
            };
            let values = value::texts(&value, key.takes, from_variable).map_err(|problem| {
                let place = match from_variable {
                    true => source.clone(),
                    false => format!("{section}.{name} in {source}"),
                };
                format!("{place}: {problem}")
            })?;
            given.push(Given {
                section: section.clone(),
                name,
                values,
                source,
                from_variable,
            });
        }
    }
    Ok(given)
}

/// The name that the provider of variables goes by.
const VARIABLES_NAME: &str = "variables";

/// The variables, already taken apart into sections and keys.
struct Variables(Dict);

impl Provider for Variables {
    fn metadata(&self) -> Metadata {
        Metadata::named(VARIABLES_NAME)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.0.clone())]))
    }
}

fn variable(section: &str, name: &str) -> String {
    let upper = |text: &str| text.replace('-', "_").to_uppercase();
    format!("{PREFIX}{}{BETWEEN}{}", upper(section), upper(name))
}

fn text_of(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| {
        format!(
            "expected a TOML file at {}, got none that can be read: {error}; give another one with --config",
            path.display()
        )
    })
}

fn show(file: Option<&Path>) -> String {
    file.map_or_else(
        || "the environment".to_owned(),
        |path| path.display().to_string(),
    )
}

fn unknown_section(
    section: &str,
    keys: &[Key],
    file: Option<&Path>,
    from_variable: bool,
) -> String {
    let mut sections: Vec<&str> = keys.iter().map(|key| key.section.as_str()).collect();
    sections.dedup();
    let nearest = match nearest(section, &sections) {
        Some(name) if from_variable => format!("; the nearest is {}", variable(name, "…")),
        Some(name) => format!("; the nearest is [{name}]"),
        None => String::new(),
    };
    let (place, came) = match from_variable {
        true => ("a variable".to_owned(), variable(section, "…")),
        false => (show(file), format!("'{section}'")),
    };
    format!(
        "expected a section of {} in {place}, got {came}{nearest}",
        sections.join(", ")
    )
}

fn unknown_key(
    section: &str,
    name: &str,
    known: &[&Key],
    file: Option<&Path>,
    from_variable: bool,
) -> String {
    let names: Vec<&str> = known.iter().map(|key| key.name.as_str()).collect();
    let nearest = nearest(name, &names);
    let all = "`bench-client config` lists them all";
    match from_variable {
        true => format!(
            "expected a variable for a key of [{section}], got {}{}; {all}",
            variable(section, name),
            nearest.map_or(String::new(), |near| format!(
                "; the nearest is {}",
                variable(section, near)
            ))
        ),
        false => format!(
            "expected a key of [{section}] in {}, got '{name}'{}; {all}",
            show(file),
            nearest.map_or(String::new(), |near| format!("; the nearest is '{near}'"))
        ),
    }
}

/// The name that was probably meant, if any is near enough. Dashes and underscores are one.
fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let name = name.replace('_', "-").to_lowercase();
    let most = (name.chars().count() / LETTERS_A_SLIP).max(1);
    names
        .iter()
        .map(|other| (strsim::damerau_levenshtein(&name, other), *other))
        .filter(|(slips, _)| *slips <= most)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests;
