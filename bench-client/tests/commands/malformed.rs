//! Whatever a user may mistype: refused before anything starts, with a sentence that names what came and what was
//! expected, as a person would say it; nothing is started and nothing is written.

use assert_cmd::Command;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What no sentence for a person holds: traces of a crash, and how a compiler writes values.
const NOISE: [&str; 14] = [
    "panicked",
    "RUST_BACKTRACE",
    "Some(",
    "None)",
    "Err(",
    "Ok(",
    "Os {",
    "kind:",
    "ParseIntError",
    "ParseFloatError",
    "Error {",
    "\\\"",
    "src/",
    "core::",
];

/// Each command line beside what its refusal has to repeat of it.
const COMMAND_LINES: &[(&str, &str)] = &[
    // The program itself.
    ("", "commands"),
    ("nonsense", "nonsense"),
    ("lod --transport tcp", "lod"),
    ("--verbos list", "--verbos"),
    ("list --cell", "--cell"),
    ("list capacity", "capacity"),
    ("-q -v list", "--verbose"),
    ("completions", "<SHELL>"),
    ("completions tcsh", "tcsh"),
    ("man", "<DIR>"),
    ("schema --trial --calibration", "--calibration"),
    ("report", "<DIR>"),
    ("report one two", "two"),
    ("config --jsn", "--jsn"),
    ("doctor --fast", "--fast"),
    ("--config", "--config"),
    ("--config nowhere.toml config", "nowhere.toml"),
    ("--config /dev run", "/dev"),
    // Plans.
    ("run size-of-the-moon", "size-of-the-moon"),
    ("run capacity ladder typo", "typo"),
    ("run streaming", "streaming"),
    ("run connections as-written deployed", "as-written"),
    ("run --transport pigeon", "pigeon"),
    ("run --transport rest,grcp", "grcp"),
    ("run --transport", "--transport"),
    ("run --blocks 0", "0"),
    ("run --blocks -1", "-1"),
    ("run --blocks many", "many"),
    ("run --blocks 1001", "1001"),
    ("run --blocks 1.5", "1.5"),
    ("run --blocks 2 --blocks 3", "--blocks"),
    ("run --suite endless", "endless"),
    ("run --suite wide", "wide"),
    ("run --seed x", "x"),
    ("run --seed 18446744073709551616", "18446744073709551616"),
    ("run --pin 3", "3"),
    ("run --broker-restarts 101", "101"),
    ("run --reruns 3", "3"),
    ("run --patience 5", "no unit"),
    ("run --warm-up 5", "5"),
    ("run --warm-up forever", "forever"),
    ("run --warm-up 25h", "25h"),
    ("run --plant drop=1/2", "drop=1/2"),
    ("run --plant codec=xml:5", "xml"),
    ("run --resume there --seed 2", "--resume"),
    ("run --json=yes", "yes"),
    ("calibrate --repeat 0", "0"),
    ("calibrate --repeat 1001", "1001"),
    ("calibrate --seed two", "two"),
    ("calibrate --pin everywhere", "everywhere"),
    ("calibrate thoroughly", "thoroughly"),
    ("payload", "<CLASS>"),
    ("payload O0", "O0"),
    ("payload O1 --lines 0", "0"),
    ("payload O1 --lines 99999", "99999"),
    ("payload O1 --format xml", "xml"),
    // One load: what is sent, over what.
    ("load", "--transport"),
    ("load --transport", "--transport"),
    ("load --transport smoke", "smoke"),
    ("load --transport REST", "REST"),
    ("load --transport tcp --payload huge", "huge"),
    ("load --transport tcp --payload O10001", "O10001"),
    ("load --transport tcp --payload O-3", "O-3"),
    ("load --transport tcp --payload E99999K", "E99999K"),
    ("load --transport tcp --format xml", "xml"),
    ("load --transport grpc --format json", "json"),
    ("load --transport tcp --http h2", "--http"),
    ("load --transport rest --http h3", "h3"),
    ("load --transport tcp --kind bidi", "bidi"),
    ("load --transport grpc --kind list", "list"),
    ("load --transport grpc --kind duplex", "duplex"),
    ("load --transport grpc --kind bidi --batch 10", "--batch"),
    ("load --transport grpc --kind client --batch 0", "0"),
    ("load --transport grpc --kind client --batch 33", "33"),
    ("load --transport grpc --kind server --in-flight 31", "31"),
    ("load --transport grpc --kind bidi --payload E64", "E64"),
    ("load --transport tcp --durability eternal", "eternal"),
    ("load --transport tcp --durability memory", "memory"),
    ("load --transport tcp --reply pigeon", "pigeon"),
    ("load --transport tcp --reply direct", "direct"),
    ("load --transport stream --reply queue", "queue"),
    ("load --transport tcp --queue-limit 5", "--queue-limit"),
    ("load --transport queue --queue-limit 0", "0"),
    ("load --transport tcp --max-waiting 5", "--max-waiting"),
    ("load --transport tcp --connecting sometimes", "sometimes"),
    ("load --transport tcp --connecting as-written", "as-written"),
    ("load --transport stream --connecting per-call", "per-call"),
    ("load --transport queue --relay 1ms", "--relay"),
    ("load --transport tcp --relay 11s", "--relay"),
    // One load: when, how long, how much.
    ("load --transport tcp --rate fast", "fast"),
    ("load --transport tcp --rate 0", "0"),
    ("load --transport tcp --rate -5", "-5"),
    ("load --transport tcp --rate nan", "nan"),
    ("load --transport tcp --rate inf", "inf"),
    ("load --transport tcp --rate 1e99", "1e99"),
    ("load --transport tcp --rate 5..10", "5..10"),
    ("load --transport tcp --rate 5..:10s", "5..:10s"),
    ("load --transport tcp --rate 10,20", "10,20"),
    ("load --transport tcp --rate 10:5,20", "10:5,20"),
    ("load --transport tcp --rate 10:0s", "10:0s"),
    ("load --transport tcp --rate 10:1s:2s", "10:1s:2s"),
    ("load --transport tcp --rate ,", ","),
    ("load --transport tcp --rate ''", "--rate"),
    (
        "load --transport tcp --rate 10 --in-flight 3",
        "--in-flight",
    ),
    ("load --transport tcp --rate 10 --think 1s", "--think"),
    ("load --transport tcp --arrival bursts", "bursts"),
    ("load --transport tcp --in-flight 0", "0"),
    ("load --transport tcp --in-flight 100001", "100001"),
    ("load --transport tcp --duration 5", "5"),
    ("load --transport tcp --duration 0s", "--duration"),
    ("load --transport tcp --duration 1..2s", "1..2s"),
    ("load --transport tcp --duration 5parsecs", "parsecs"),
    ("load --transport tcp --duration 90000s", "90000s"),
    ("load --transport tcp --timeout 0s", "--timeout"),
    ("load --transport tcp --count 0", "0"),
    ("load --transport tcp --count 1.5", "1.5"),
    ("load --transport tcp --max-in-flight 0", "0"),
    ("load --transport tcp --connections 60001", "60001"),
    ("load --transport tcp --threads 65", "65"),
    ("load --transport tcp --workers 0", "0"),
    ("load --transport tcp --prefetch 65536", "65536"),
    ("load --transport tcp --partitions 0", "0"),
    // One load: slowness and faults.
    ("load --transport tcp --slow sometimes", "sometimes"),
    ("load --transport tcp --slow 5", "5"),
    ("load --transport tcp --slow ''", "--slow"),
    ("load --transport tcp --slow '1ms fail=200%'", "200"),
    ("load --transport tcp --slow '1ms fail=-1'", "-1"),
    ("load --transport tcp --slow '1ms workers=0'", "workers=0"),
    ("load --transport tcp --slow '1ms wrokers=2'", "wrokers"),
    ("load --transport tcp --slow 'exp(20)'", "exp(20)"),
    ("load --transport tcp --slow 'exp(20ms'", "exp(20ms"),
    ("load --transport tcp --slow 'normal(5ms,1)'", "normal"),
    (
        "load --transport tcp --slow 'lognormal(5ms)'",
        "lognormal(5ms)",
    ),
    ("load --transport tcp --slow '5ms:0,1ms:1'", "5ms:0"),
    ("load --transport tcp --slow '1ms 2ms'", "twice"),
    ("load --transport tcp --slow '1s..2s 1ms'", "1s"),
    ("load --transport tcp --slow '0s..2s 1ms; 1s.. 2ms'", "1s"),
    ("load --transport tcp --slow '2s..1s 1ms'", "2s..1s"),
    ("load --transport tcp --slow '0s.. 1ms; 5s.. 1ms'", "5s"),
    ("load --transport tcp --slow '2h'", "2h"),
    ("load --transport tcp --fault 'kill all'", "kill all"),
    (
        "load --transport tcp --fault 'at noon kill service'",
        "noon",
    ),
    ("load --transport tcp --fault 'at 5 kill service'", "5"),
    (
        "load --transport tcp --fault 'at 9s kill service' --duration 2s",
        "at 9s kill service",
    ),
    // One load: a service that runs already.
    ("load --transport tcp --target nowhere", "nowhere"),
    (
        "load --transport rest --target http://host:80/",
        "http://host:80/",
    ),
    ("load --transport grpc --target 127.0.0.1:99999", "99999"),
    ("load --transport stream --target a:1,b", "a:1,b"),
    (
        "load --transport queue --target http://me:secret@host",
        "http://me:",
    ),
    ("load --transport tcp --control 127.0.0.1:1", "--target"),
    (
        "load --transport tcp --target 127.0.0.1:1 --control 127.0.0.1:2",
        "--token-file",
    ),
    (
        "load --transport tcp --target 127.0.0.1:1 --control here --token-file t",
        "here",
    ),
    (
        "load --transport tcp --target 127.0.0.1:1 --slow 1ms",
        "--slow",
    ),
    (
        "load --transport tcp --target 127.0.0.1:1 --workers 2",
        "--workers",
    ),
    ("load --transport tcp --scope mine", "--target"),
    ("load --transport tcp --ca ca.pem", "--tls"),
];

/// Each `hopbench.toml` beside what its refusal has to repeat of it.
const FILES: &[(&str, &str)] = &[
    ("[run", "line 1"),
    ("run.blocks = ", "line 1"),
    ("[run]\nblocks = 2\nblocks = 3", "line 3"),
    ("blocks = 3", "'blocks'"),
    ("run = 3", "[run]"),
    ("[rnu]\nblocks = 3", "the nearest is [run]"),
    ("[run]\nblcoks = 3", "the nearest is 'blocks'"),
    ("[load]\nin_flight = 3", "the nearest is 'in-flight'"),
    ("[load]\nplant = \"drop=1/2\"", "'plant'"),
    ("[run]\nblocks = \"many\"", "'many'"),
    ("[run]\nblocks = -1", "'-1'"),
    ("[run]\nblocks = 1.5", "'1.5'"),
    ("[run]\nblocks = true", "got true"),
    ("[run]\nblocks = [1, 2]", "a list"),
    ("[run]\nblocks = { a = 1 }", "a table"),
    ("[run]\nblocks = 2026-01-01", "a date"),
    ("[run]\nexclusive = \"yes\"", "'yes'"),
    ("[run]\nexclusive = 1", "the number 1"),
    ("[run]\nsuite = \"huge\"", "'huge'"),
    ("[run]\nexperiments = [\"capacity\", \"typo\"]", "typo"),
    ("[run]\nexperiments = [\"streaming\"]", "streaming"),
    ("[run]\ntransport = [\"rest\", \"pigeon\"]", "pigeon"),
    ("[run]\ntransport = [[1]]", "a list"),
    ("[run]\nwarm-up = 20", "'20'"),
    ("[load]\ntransport = \"smoke\"", "'smoke'"),
    ("[load]\nrate = \"fast\"", "'fast'"),
    ("[load]\nslow = \"sometimes\"", "'sometimes'"),
    ("[load]\npayload = 3", "'3'"),
    ("[load]\ntls = \"on\"", "'on'"),
    ("[calibrate]\nrepeat = 0", "'0'"),
    ("[brokers]\namqp-url = \"http://me:secret@host\"", "amqp://"),
    ("[brokers]\namqp-url = 5672", "'5672'"),
    ("[brokers]\nkafka-brokers = \"here\"", "'here'"),
    ("[brokers]\ntls-ca = \"nowhere.pem\"", "nowhere.pem"),
];

/// Each variable beside what its refusal has to repeat of it.
const VARIABLES: &[(&str, &str, &str)] = &[
    ("HOPBENCH_RUN__BLOCKS", "many", "HOPBENCH_RUN__BLOCKS"),
    ("HOPBENCH_RUN__BLCOKS", "3", "HOPBENCH_RUN__BLOCKS"),
    ("HOPBENCH_RNU__BLOCKS", "3", "HOPBENCH_RUN__"),
    ("HOPBENCH_RUN__", "3", "HOPBENCH_RUN__"),
    ("HOPBENCH_RUN_BLOCKS", "3", "HOPBENCH_RUN__BLOCKS"),
    ("HOPBENCH_RUN__EXCLUSIVE", "maybe", "'maybe'"),
    ("HOPBENCH_RUN__TRANSPORT", "rest,pigeon", "pigeon"),
    ("HOPBENCH_RUN__REQUESTS", "5", "HOPBENCH_RUN__REQUESTS"),
    ("HOPBENCH_LOAD__RATE", "fast", "'fast'"),
    ("HOPBENCH_LOAD__SLOW", "5", "HOPBENCH_LOAD__SLOW"),
    ("HOPBENCH_CALIBRATE__REPEAT", "0", "'0'"),
    (
        "HOPBENCH_BROKERS__AMQP_URL",
        "http://me:secret@host",
        "amqp://",
    ),
];

/// Each content of a `run.json` beside what its refusal has to repeat of it.
const RESULTS: &[(&[u8], &str)] = &[
    (b"", "line 1"),
    (b"{", "line 1"),
    (b"[]", "run.json"),
    (b"not JSON", "run.json"),
    (b"\xff\xfe\x00", "run.json"),
    (b"{\"schema\": 1}", "`1`"),
    (b"{\"schema\": \"hopbench/0\"}", "hopbench/0"),
    (b"{\"schema\": \"hopbench/999\"}", "hopbench/999"),
    (b"{\"schema\": \"other/1\"}", "other/1"),
    (
        b"{\"schema\": \"hopbench-calibration/1\"}",
        "hopbench-calibration/1",
    ),
    (b"{\"schema\": \"hopbench/1\"}", "manifest"),
    (
        b"{\"schema\": \"hopbench/1\", \"manifest\": {\"time\"",
        "line 1",
    ),
    (b"{\"schema\": \"hopbench/1\", \"manifest\": 5}", "5"),
    (
        b"{\"schema\": \"hopbench/1\", \"trials\": \"elsewhere\"}",
        "elsewhere",
    ),
];

/// A command line as a shell takes it apart.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        match i % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// The program in a folder of its own, without this process's variables; what it would start as a service leaves a trace
/// in that folder.
fn client(folder: &Path, trap: &Path) -> Command {
    let script = format!(
        "#!/bin/sh\n: > '{}/a service was started'\n",
        folder.display()
    );
    std::fs::write(trap, script).unwrap();
    std::fs::set_permissions(trap, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::cargo_bin("bench-client").expect("the program under test is built");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOPBENCH_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .env("HOPBENCH_SERVER", trap)
        .timeout(std::time::Duration::from_secs(60));
    command
}

/// Runs it and says what is wrong with its refusal, if anything: for all cases at once, so that one run shows them all.
fn problems(
    case: &str,
    status: i32,
    came: &str,
    prepare: impl FnOnce(&Path, &mut Command),
) -> Vec<String> {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("here");
    std::fs::create_dir(&folder).unwrap();
    let mut command = client(&folder, &place.path().join("trap"));
    prepare(&folder, &mut command);
    let before = entries(&folder);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let mut problems = Vec::new();
    if output.status.code() != Some(status) {
        problems.push(format!(
            "status {:?} instead of {status}",
            output.status.code()
        ));
    }
    if !output.stdout.is_empty() {
        problems.push(format!(
            "stdout: {}",
            String::from_utf8_lossy(&output.stdout)
        ));
    }
    let expected = said
        .split(|c: char| !c.is_alphabetic())
        .any(|word| word.eq_ignore_ascii_case("expected"));
    if !expected {
        problems.push("it does not say what was expected".into());
    }
    if !said.contains(came) {
        problems.push(format!("it does not repeat {came}"));
    }
    if said.contains("secret") {
        problems.push("it shows a password".into());
    }
    for noise in NOISE.iter().filter(|noise| said.contains(**noise)) {
        problems.push(format!("it holds {noise}"));
    }
    if entries(&folder) != before {
        problems.push(format!("it left {:?}", entries(&folder)));
    }
    problems
        .into_iter()
        .map(|problem| format!("{case}: {problem}; it said: {said}"))
        .collect()
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

#[test]
fn there_are_enough_of_them() {
    let cases = COMMAND_LINES.len() + FILES.len() + VARIABLES.len() + RESULTS.len();
    assert!(cases >= 200, "{cases}");
}

#[test]
fn command_lines_that_cannot_be_meant() {
    none(
        COMMAND_LINES
            .iter()
            .flat_map(|(line, came)| {
                problems(line, 2, came, |_, command| {
                    command.args(words(line));
                })
            })
            .collect(),
    );
}

/// The command that a key's section belongs to: what is wrong with a key is said whichever it is, and what its value
/// means only to its own.
fn command_for(text: &str) -> &'static [&'static str] {
    if text.contains("load") || text.contains("LOAD") {
        &["load", "--transport", "tcp"]
    } else {
        &["run", "--dry-run"]
    }
}

#[test]
fn files_that_cannot_be_meant() {
    none(
        FILES
            .iter()
            .flat_map(|(file, came)| {
                problems(file, 2, came, |folder, command| {
                    std::fs::write(folder.join("hopbench.toml"), file).unwrap();
                    command.args(command_for(file));
                })
            })
            .collect(),
    );
}

#[test]
fn a_file_is_refused_for_what_its_keys_say_together_and_with_where_they_came_from() {
    for (file, line, came) in [
        (
            "[load]\nrate = 10\nin-flight = 3",
            "load --transport tcp",
            "--in-flight comes from load.in-flight in hopbench.toml",
        ),
        (
            "[load]\nca = \"hopbench.toml\"",
            "load --transport tcp",
            "--tls",
        ),
        (
            "[load]\nthink = \"1s\"",
            "load --transport tcp --rate 10",
            "--think",
        ),
    ] {
        none(problems(file, 2, came, |folder, command| {
            std::fs::write(folder.join("hopbench.toml"), file).unwrap();
            command.args(words(line));
        }));
    }
}

#[test]
fn variables_that_cannot_be_meant() {
    none(
        VARIABLES
            .iter()
            .flat_map(|(name, value, came)| {
                problems(name, 2, came, |_, command| {
                    command.env(name, value).args(command_for(name));
                })
            })
            .collect(),
    );
}

#[test]
fn a_list_or_help_is_shown_whatever_a_file_says() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("hopbench.toml"), "[run").unwrap();
    for line in ["claims", "--help", "run --help", "completions bash"] {
        client(place.path(), &place.path().join("trap"))
            .args(words(line))
            .assert()
            .code(0);
    }
}

#[test]
fn results_that_are_none() {
    none(
        RESULTS
            .iter()
            .flat_map(|(content, came)| {
                let case = String::from_utf8_lossy(content);
                problems(&case, 1, came, |folder, command| {
                    std::fs::write(folder.join("run.json"), content).unwrap();
                    command.args(["report", "."]);
                })
            })
            .collect(),
    );
}

#[test]
fn results_that_are_not_there_or_have_no_place() {
    for (line, came) in [
        ("report nowhere", "nowhere"),
        ("report /dev/null", "/dev/null"),
        ("run --resume nowhere", "nowhere"),
        ("run size --out file/below", "file/below"),
        ("man file/below", "file/below"),
    ] {
        none(problems(line, 1, came, |folder, command| {
            std::fs::write(folder.join("file"), "no folder").unwrap();
            command.args(words(line));
        }));
    }
}
