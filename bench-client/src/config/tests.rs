//! Files and variables as users write them, good and bad.

use super::*;

fn keys() -> Vec<Key> {
    [
        ("load", "in-flight", Takes::One),
        ("load", "rate", Takes::One),
        ("load", "tls", Takes::Switch),
        ("run", "blocks", Takes::One),
        ("run", "transport", Takes::Many),
    ]
    .map(|(section, name, takes)| Key {
        section: section.into(),
        name: name.into(),
        takes,
    })
    .into()
}

fn reading(file: &str, variables: &[(&str, &str)]) -> Result<Vec<Given>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hopbench.toml");
    std::fs::write(&path, file).unwrap();
    let variables: Vec<(String, String)> = variables
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    read(Some(&path), &variables, &keys())
}

fn value(given: &[Given], name: &str) -> (Vec<String>, bool) {
    let one = given.iter().find(|given| given.name == name).unwrap();
    (one.values.clone(), one.from_variable)
}

#[test]
fn a_variable_stands_above_the_file_and_each_value_keeps_its_source() {
    let file = "[load]\nin-flight = 8\nrate = \"2000\"\ntls = true\n[run]\ntransport = [\"rest\", \"grpc\"]\n";
    let given = reading(
        file,
        &[("HOPBENCH_LOAD__IN_FLIGHT", "007"), ("PATH", "/bin")],
    )
    .unwrap();
    assert_eq!(given.len(), 4);
    // What a variable says stays text: a name such as 007 is no 7.
    assert_eq!(value(&given, "in-flight"), (vec!["007".into()], true));
    assert_eq!(value(&given, "rate"), (vec!["2000".into()], false));
    assert_eq!(value(&given, "tls"), (vec!["true".into()], false));
    assert_eq!(
        value(&given, "transport"),
        (vec!["rest".into(), "grpc".into()], false)
    );
    let places: Vec<String> = given.iter().map(Given::place).collect();
    assert!(places.contains(&"HOPBENCH_LOAD__IN_FLIGHT".to_owned()));
    assert!(
        places
            .iter()
            .any(|place| place.starts_with("load.rate in ") && place.ends_with("hopbench.toml")),
        "{places:?}"
    );
}

#[test]
fn numbers_are_written_as_a_flag_would_be() {
    for (number, text) in [
        ("5", "5"),
        ("-5", "-5"),
        ("1.5", "1.5"),
        ("2.0", "2"),
        ("1_000", "1000"),
    ] {
        let given = reading(&format!("[load]\nrate = {number}\n"), &[]).unwrap();
        assert_eq!(given[0].values, [text]);
    }
}

#[test]
fn a_list_from_a_variable_is_split_at_commas_and_a_switch_is_a_word() {
    let given = reading(
        "",
        &[
            ("HOPBENCH_RUN__TRANSPORT", "rest, grpc"),
            ("HOPBENCH_LOAD__TLS", "false"),
        ],
    )
    .unwrap();
    assert_eq!(
        value(&given, "transport"),
        (vec!["rest".into(), "grpc".into()], true)
    );
    assert_eq!(value(&given, "tls"), (vec!["false".into()], true));
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_came_what_was_expected_and_where() {
    for (file, words) in [
        ("[lod]\nrate = 1", &["'lod'", "nearest is [load]"][..]),
        ("rate = 1", &["'rate'", "load, run"]),
        (
            "[load]\nin_flight = 1",
            &["'in_flight'", "nearest is 'in-flight'"],
        ),
        ("[load]\nzzz = 1", &["'zzz'", "bench-client config"]),
        ("load = 5", &["[load]", "the number 5"]),
        (
            "[load]\ntls = \"yes\"",
            &["load.tls", "true or false", "'yes'"],
        ),
        ("[load]\ntls = 1", &["true or false", "the number 1"]),
        (
            "[load]\nrate = true",
            &["load.rate", "a text or a number", "true"],
        ),
        ("[load]\nrate = [1]", &["a text or a number", "a list"]),
        ("[load]\nrate = { a = 1 }", &["a table"]),
        ("[load]\nrate = 2026-01-01", &["a date"]),
        (
            "[run]\ntransport = [[1]]",
            &["a list of texts or numbers", "a list"],
        ),
        ("[load", &["TOML", "line 1"]),
        ("[load]\nrate = 1\nrate = 2", &["TOML", "line 3"]),
    ] {
        let sentence = reading(file, &[]).unwrap_err();
        assert!(sentence.contains("expected"), "{file}: {sentence}");
        assert!(sentence.contains("hopbench.toml"), "{file}: {sentence}");
        for word in words {
            assert!(sentence.contains(word), "{file}: {word}: {sentence}");
        }
    }
}

#[test]
fn a_variable_that_cannot_be_meant_is_named_as_it_was_written() {
    for (name, value, words) in [
        (
            "HOPBENCH_LOAD__IN_FLIHT",
            "1",
            &["HOPBENCH_LOAD__IN_FLIHT", "HOPBENCH_LOAD__IN_FLIGHT"][..],
        ),
        (
            "HOPBENCH_LOD__RATE",
            "1",
            &["HOPBENCH_LOD__", "HOPBENCH_LOAD__"],
        ),
        (
            "HOPBENCH_LOAD_RATE",
            "1",
            &["HOPBENCH_LOAD_RATE", "HOPBENCH_LOAD__RATE"],
        ),
        (
            "HOPBENCH_LOAD__TLS",
            "maybe",
            &["HOPBENCH_LOAD__TLS", "'maybe'", "true or false"],
        ),
    ] {
        let sentence = reading("", &[(name, value)]).unwrap_err();
        for word in words.iter().chain(&["expected"]) {
            assert!(sentence.contains(word), "{name}: {word}: {sentence}");
        }
    }
    // The stack's own variables are no keys, and other programs' variables nobody's business.
    for name in ["HOPBENCH_AMQP_URL", "HOPBENCH_KAFKA_HEAP", "OTHER__KEY"] {
        assert_eq!(reading("", &[(name, "1")]), Ok(Vec::new()));
    }
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let sentence = read(Some(Path::new("/nowhere/x.toml")), &[], &keys()).unwrap_err();
    assert!(
        sentence.contains("expected a TOML file at /nowhere/x.toml"),
        "{sentence}"
    );
    assert_eq!(read(None, &[], &keys()), Ok(Vec::new()));
}
