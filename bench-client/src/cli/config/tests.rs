//! What file and environment say, as clap takes it.

use super::settings::{Settings, note};
use super::*;
use crate::cli::Cli;
use clap::{ArgMatches, CommandFactory};
use std::ffi::OsString;

/// Settings from the text of a file and from variables.
fn settings(file: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hopbench.toml");
    std::fs::write(&path, file).unwrap();
    let variables: Vec<(String, String)> = variables
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    Settings::read(&Cli::command(), Some(path), &variables)
}

fn line(text: &str) -> Vec<OsString> {
    text.split_whitespace().map(OsString::from).collect()
}

/// What clap makes of a command line under these settings; else the refusal with its note.
fn parsed(settings: &Settings, text: &str) -> Result<ArgMatches, (String, Option<String>)> {
    let (line, used) = settings.typed(&Cli::command(), line(text));
    let parsed = Cli::command().try_get_matches_from(line);
    parsed.map_err(|error| (error.to_string(), note(&error.to_string(), &used)))
}

fn number(matches: &ArgMatches, section: &str, name: &str) -> Option<u32> {
    let matches = matches.subcommand_matches(section).unwrap();
    matches.get_one::<u32>(name).copied()
}

#[test]
fn a_flag_stands_above_a_variable_and_that_above_the_file() {
    let file = "[run]\nblocks = 2\nreruns = 1\nbroker-restarts = 4\n";
    let variables = [
        ("HOPBENCH_RUN__BLOCKS", "3"),
        ("HOPBENCH_RUN__BROKER_RESTARTS", "5"),
    ];
    let settings = settings(file, &variables).unwrap();
    let matches = parsed(&settings, "bench-client run --blocks 7").unwrap();
    assert_eq!(number(&matches, "run", "blocks"), Some(7));
    assert_eq!(number(&matches, "run", "broker_restarts"), Some(5));
    assert_eq!(number(&matches, "run", "reruns"), Some(1));
}

#[test]
fn what_a_flag_requires_may_come_from_the_file_and_positionals_too() {
    let file = "[load]\ntransport = \"grpc\"\ntls = true\n[run]\nexperiments = [\"capacity\", \"ladder\"]\n";
    let settings = settings(file, &[]).unwrap();
    let matches = parsed(&settings, "bench-client load").unwrap();
    let load = matches.subcommand_matches("load").unwrap();
    assert!(load.get_flag("tls"));
    let matches = parsed(&settings, "bench-client -v run --blocks 1").unwrap();
    let run = matches.subcommand_matches("run").unwrap();
    let experiments: Vec<&String> = run.get_many("experiments").unwrap().collect();
    assert_eq!(experiments, ["capacity", "ladder"]);
    let matches = parsed(&settings, "bench-client run slow").unwrap();
    let run = matches.subcommand_matches("run").unwrap();
    assert_eq!(run.get_many::<String>("experiments").unwrap().count(), 1);
}

#[test]
fn a_typed_flag_takes_the_place_of_a_key_that_it_excludes() {
    let settings = settings("[load]\nrate = 2000\ntransport = \"tcp\"\n", &[]).unwrap();
    let matches = parsed(&settings, "bench-client load --in-flight 4").unwrap();
    assert_eq!(number(&matches, "load", "in_flight"), Some(4));
    let load = matches.subcommand_matches("load").unwrap();
    assert!(!load.contains_id("rate"));
}

#[test]
fn keys_that_exclude_each_other_are_refused_with_where_they_came_from() {
    let file = "[load]\nrate = 2000\nin-flight = 4\ntransport = \"tcp\"\n";
    let settings = settings(file, &[]).unwrap();
    let (said, note) = parsed(&settings, "bench-client load").unwrap_err();
    assert!(said.contains("cannot be used with"), "{said}");
    let note = note.expect("nobody typed them");
    assert!(
        note.contains("--rate comes from load.rate in ") && note.contains("--in-flight comes from"),
        "{note}"
    );
}

#[test]
fn a_value_is_judged_by_its_flags_own_parser_wherever_it_came_from() {
    for (file, words) in [
        (
            "[run]\nblocks = 0",
            &["run.blocks", "from 1 to 1000", "'0'"][..],
        ),
        ("[run]\nblocks = 1.5", &["'1.5'"]),
        (
            "[run]\nsuite = \"huge\"",
            &["quick, full, faults, wide", "'huge'"],
        ),
        ("[load]\nrate = \"fast\"", &["load.rate", "'fast'"]),
        ("[load]\nduration = 5", &["'5'", "unit"]),
        ("[load]\nplant = \"drop=1/2\"", &["'plant'"]),
        (
            "[brokers]\namqp-url = \"http://me:secret@host\"",
            &["amqp://"],
        ),
        ("[brokers]\nkafka-brokers = \"here\"", &["'here'"]),
        (
            "[brokers]\ntls-ca = \"/nowhere/ca.pem\"",
            &["/nowhere/ca.pem"],
        ),
    ] {
        let sentence = settings(file, &[]).unwrap_err();
        assert!(!sentence.contains("secret"), "{sentence}");
        for word in words.iter().chain(&["expected"]) {
            assert!(sentence.contains(word), "{file}: {word}: {sentence}");
        }
    }
}

#[test]
fn every_key_is_listed_once_with_its_value_and_where_it_came_from() {
    let file = "[run]\nblocks = 2\n[brokers]\namqp-url = \"amqp://me:secret@host:1\"\n";
    let settings = settings(file, &[("HOPBENCH_LOAD__TLS", "true")]).unwrap();
    let listed = keys(&Cli::command(), &settings, &Brokers::find());
    let find = |section: &str, key: &str| {
        let mut found = listed
            .iter()
            .filter(|row| row.section == section && row.key == key);
        let row = found.next().expect("it is listed");
        assert!(found.next().is_none(), "{section}.{key} is listed twice");
        (
            row.value.as_deref().unwrap_or("–"),
            row.source.as_deref().unwrap_or("not set"),
        )
    };
    let (blocks, source) = find("run", "blocks");
    assert_eq!(blocks, "2");
    assert!(source.ends_with("hopbench.toml"), "{source}");
    assert_eq!(find("run", "suite"), ("quick", "default"));
    assert_eq!(find("run", "exclusive"), ("false", "default"));
    assert_eq!(find("run", "out"), ("–", "not set"));
    assert_eq!(find("load", "tls"), ("true", "HOPBENCH_LOAD__TLS"));
    assert_eq!(find("calibrate", "repeat"), ("1", "default"));
    assert_eq!(find("brokers", "amqp-url").0, "amqp://me:…@host:1");
    assert!(listed.iter().all(|row| row.key != "plant"));
}

#[test]
fn help_shows_the_default_and_beside_it_what_is_in_force() {
    let settings = settings("[run]\nseed = 5\n", &[]).unwrap();
    let mut command = settings.annotated(Cli::command());
    let run = command.find_subcommand_mut("run").unwrap();
    let help = run.render_long_help().to_string();
    // However the lines are broken.
    let help: Vec<&str> = help.split_whitespace().collect();
    let help = help.join(" ");
    let seed = help.split("--seed").nth(1).unwrap();
    let (in_force, default) = (seed.find("hopbench.toml: 5]"), seed.find("[default: 1]"));
    assert!(in_force.is_some() && in_force < default, "{seed}");
}

#[test]
fn the_command_is_found_behind_the_flag_that_names_the_file() {
    let settings = settings("[run]\nblocks = 2\n", &[]).unwrap();
    let matches = parsed(&settings, "bench-client --config run run").unwrap();
    assert_eq!(number(&matches, "run", "blocks"), Some(2));
    assert_eq!(
        wanted(&Cli::command(), &line("bench-client list")).as_deref(),
        Some("list")
    );
    assert_eq!(wanted(&Cli::command(), &line("bench-client --help")), None);
}
