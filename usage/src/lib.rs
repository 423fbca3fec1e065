//! How both programs refuse a command line that cannot be meant: what came, what was expected, what to do; and what they
//! log where nobody says. It knows no flag of either.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::str::FromStr;

/// What is logged where nobody says: warnings of our own crates, whose names all begin so. What a library logs about a lost
/// connection is counted, and told in our own words.
pub const LOGGED: &str = "off,bench=warn";

/// What is logged where somebody wants no warnings: errors of our own crates alone.
pub const QUIET: &str = "off,bench=error";

/// A value parser for whole numbers in a range, both ends included: clap's own says what came and not what was expected.
pub fn whole<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text: &str| {
        let number = text.parse::<T>().ok();
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                format!(
                    "expected a whole number from {} to {}, got '{text}'",
                    range.start(),
                    range.end()
                )
            })
    }
}

/// An error and its causes in one sentence, each once: some name their cause themselves.
pub fn told<'e>(chain: impl IntoIterator<Item = &'e (dyn Error + 'static)>) -> String {
    chain.into_iter().fold(String::new(), |told, error| {
        let cause = error.to_string();
        match told.is_empty() {
            true => cause,
            false if told.contains(&cause) => told,
            false => format!("{told}: {cause}"),
        }
    })
}

/// Prints what clap has to say. For a refusal what was expected is added where clap names only what came, and a note of
/// the caller's. Returns the status to end with: 0 after help and version, 2 after a refusal.
pub fn refuse(error: &clap::Error, note: Option<&str>) -> ExitCode {
    // Help into a pipe that was closed is nobody's fault.
    let _ = error.print();
    if error.use_stderr() {
        let said = error.render().to_string();
        // The help that stands in for a missing command is no sentence about it.
        let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if is_help || !names_what_was_expected(&said) {
            eprintln!("{}", expected(error));
        }
        if let Some(note) = note {
            eprintln!("{note}");
        }
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Whether a text has the word (and not only "unexpected").
fn names_what_was_expected(text: &str) -> bool {
    text.split(|c: char| !c.is_alphabetic())
        .any(|word| word.eq_ignore_ascii_case("expected"))
}

/// What was expected, for the refusals in which clap does not say it.
fn expected(error: &clap::Error) -> String {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::Strings(names)) if !names.is_empty() => Some(names.join(", ")),
        Some(ContextValue::String(name)) if !name.is_empty() => Some(name.clone()),
        _ => None,
    };
    let argument = named(ContextKind::InvalidArg);
    match (error.kind(), argument) {
        (ErrorKind::InvalidValue, argument) => match named(ContextKind::ValidValue) {
            Some(values) => format!("expected one of {values}"),
            None => format!(
                "expected a value after {}",
                argument.as_deref().unwrap_or("the flag")
            ),
        },
        (ErrorKind::ArgumentConflict, Some(argument)) => match named(ContextKind::PriorArg) {
            Some(prior) if prior != argument => {
                format!("expected one without the other; leave {argument} out, or {prior}")
            }
            _ => format!("expected {argument} once"),
        },
        (ErrorKind::MissingRequiredArgument, Some(arguments)) => {
            format!("expected {arguments}, got a command line without")
        }
        (ErrorKind::UnknownArgument, _) => {
            "expected a flag or an argument that --help lists".to_owned()
        }
        (
            ErrorKind::InvalidSubcommand
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
            _,
        ) => "expected one of the commands that --help lists".to_owned(),
        _ => "expected what --help describes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction, Command};

    fn program() -> Command {
        Command::new("program")
            .arg(
                Arg::new("number")
                    .long("number")
                    .value_parser(whole(1..=9_u16)),
            )
            .arg(
                Arg::new("way")
                    .long("way")
                    .value_parser(["east", "west"])
                    .conflicts_with("number"),
            )
            .arg(
                Arg::new("loud")
                    .long("loud")
                    .action(ArgAction::SetTrue)
                    .requires("way"),
            )
            .subcommand(Command::new("go"))
    }

    /// What a user reads after this command line.
    fn said(arguments: &[&str]) -> String {
        let line = ["program"].iter().chain(arguments);
        let error = program().try_get_matches_from(line).unwrap_err();
        let said = error.render().to_string();
        if names_what_was_expected(&said) {
            said
        } else {
            format!("{said}{}", expected(&error))
        }
    }

    #[test]
    fn whole_numbers_are_read_within_their_range() {
        let read = whole(1..=9_u16);
        assert_eq!(read("9"), Ok(9));
        for text in ["0", "10", "-1", "1.5", "", "nine", "99999999999999999999"] {
            let error = read(text).unwrap_err();
            assert_eq!(
                error,
                format!("expected a whole number from 1 to 9, got '{text}'")
            );
        }
    }

    #[test]
    fn every_refusal_names_what_came_and_what_was_expected() {
        for (arguments, came, wanted) in [
            (&["--number", "10"][..], "10", "from 1 to 9"),
            (&["--number"], "--number", "expected a value after --number"),
            (
                &["--number", "1", "--number", "2"],
                "--number",
                "expected --number <number> once",
            ),
            (&["--way", "up"], "up", "expected one of east, west"),
            (
                &["--way", "east", "--number", "1"],
                "--way",
                "expected one without the other",
            ),
            (&["--loud"], "--way", "expected --way <way>"),
            (&["--lout"], "--lout", "expected a flag"),
            (
                &["come"],
                "come",
                "expected one of the commands that --help lists",
            ),
        ] {
            let said = said(arguments);
            assert!(
                said.contains(came) && said.contains(wanted),
                "{arguments:?}: {said}"
            );
        }
    }

    #[test]
    fn unexpected_is_not_what_was_expected() {
        assert!(!names_what_was_expected("unexpected argument '--x' found"));
        assert!(names_what_was_expected("got 5; expected 6"));
    }

    #[test]
    fn a_cause_is_told_once_also_where_the_error_names_it_itself() {
        #[derive(Debug)]
        struct Told(&'static str, Option<&'static Told>);
        impl std::fmt::Display for Told {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.0)
            }
        }
        impl Error for Told {}
        static CAUSE: Told = Told("no such file", None);
        static NAMING: Told = Told(
            "could not read it: no such file; name another",
            Some(&CAUSE),
        );
        static SILENT: Told = Told("could not read it", Some(&CAUSE));
        let chain = |first: &'static Told| {
            std::iter::successors(Some(first), |told| told.1)
                .map(|told| told as &(dyn Error + 'static))
        };
        assert_eq!(told(chain(&NAMING)), NAMING.0);
        assert_eq!(told(chain(&SILENT)), "could not read it: no such file");
    }
}
