//! The program as it is lived with: a configuration, help that can be installed, a look at the machine, and results that
//! survive whatever ends a run.

use assert_cmd::Command;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use predicates::prelude::*;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// Without this process's own configuration, in a folder of its own.
fn client(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("bench-client").expect("the program under test is built");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().contains("__") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .timeout(std::time::Duration::from_secs(240));
    command
}

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let help = client(folder.path()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .filter(|name| name != "help")
        .collect()
}

#[test]
fn every_command_has_a_manual_page_and_every_shell_its_completions() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man/man1");
    client(folder.path())
        .args(["man", "man/man1"])
        .assert()
        .code(0)
        .stderr("");
    let commands = commands();
    for name in ["run", "load", "doctor", "config"] {
        assert!(commands.iter().any(|there| there == name), "{commands:?}");
    }
    for name in &commands {
        let page = pages.join(format!("bench-client-{name}.1"));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    let whole = std::fs::read_to_string(pages.join("bench-client.1")).unwrap();
    assert!(whole.contains("Exit status"), "{whole}");
    for shell in SHELLS {
        client(folder.path())
            .args(["completions", shell])
            .assert()
            .code(0)
            .stderr("")
            .stdout(predicate::str::contains("max-in-flight"));
    }
}

#[test]
fn a_file_a_variable_and_a_flag_rise_in_this_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[run]\nexperiments = [\"capacity\"]\ntransport = [\"tcp\"]\nblocks = 2\n";
    std::fs::write(folder.path().join("hopbench.toml"), file).unwrap();
    let blocks = |command: &mut Command| {
        let output = command.args(["run", "--dry-run"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("tcp-") && !text.contains("grpc-"), "{text}");
        text.lines()
            .filter(|line| line.starts_with("block "))
            .count()
    };
    assert_eq!(blocks(&mut client(folder.path())), 2);
    let variable = ("HOPBENCH_RUN__BLOCKS", "3");
    assert_eq!(blocks(client(folder.path()).env(variable.0, variable.1)), 3);
    let mut command = client(folder.path());
    command.env(variable.0, variable.1);
    let output = command
        .args(["run", "--dry-run", "--blocks", "4"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("block 4") && !text.contains("block 5"),
        "{text}"
    );
    // Another file, named, takes the place of this one.
    std::fs::write(
        folder.path().join("other.toml"),
        "[run]\ntransport = [\"tcp\"]\nblocks = 1\n",
    )
    .unwrap();
    assert_eq!(
        blocks(client(folder.path()).args(["--config", "other.toml"])),
        1
    );
}

#[test]
fn config_says_what_is_in_force_and_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let file =
        "[load]\nin-flight = 8\n[brokers]\namqp-url = \"amqp://me:secret@127.0.0.1:9/%2f\"\n";
    std::fs::write(folder.path().join("hopbench.toml"), file).unwrap();
    let run = |arguments: &[&str]| {
        let output = client(folder.path())
            .args(arguments)
            .env("HOPBENCH_LOAD__RATE", "500")
            .env("HOPBENCH_TOKEN", "secret".repeat(8))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("secret"), "{text}");
        text
    };
    let all: Value = serde_json::from_str(&run(&["config", "--json"])).unwrap();
    assert_eq!(all["file"], "hopbench.toml");
    let of = |section: &str, key: &str| {
        let keys = all["keys"].as_array().unwrap().iter();
        let mut found = keys.filter(|row| row["section"] == section && row["key"] == key);
        let row = found
            .next()
            .unwrap_or_else(|| panic!("{section}.{key} is not listed"));
        (row["value"].clone(), row["source"].clone())
    };
    assert_eq!(
        of("load", "in-flight"),
        ("8".into(), "hopbench.toml".into())
    );
    assert_eq!(
        of("load", "rate"),
        ("500".into(), "HOPBENCH_LOAD__RATE".into())
    );
    assert_eq!(of("load", "timeout"), ("5s".into(), "default".into()));
    assert_eq!(of("load", "duration"), (Value::Null, Value::Null));
    assert_eq!(
        of("brokers", "amqp-url"),
        ("amqp://me:…@127.0.0.1:9/%2f".into(), "hopbench.toml".into())
    );
    let variables = all["variables"].as_array().unwrap();
    let token = variables.iter().find(|row| row["name"] == "HOPBENCH_TOKEN");
    assert_eq!(token.unwrap()["value"], "…");
    let text = run(&["config"]);
    for words in [
        "[load]",
        "HOPBENCH_LOAD__RATE",
        "HOPBENCH_KAFKA_BROKERS",
        "not set",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let help = run(&["load", "--help"]);
    let help: Vec<&str> = help.split_whitespace().collect();
    assert!(
        help.join(" ").contains("[HOPBENCH_LOAD__RATE: 500]"),
        "{help:?}"
    );
}

#[test]
fn a_broker_in_the_file_is_the_one_that_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[brokers]\namqp-url = \"amqp://me:secret@127.0.0.1:9/%2f\"\n[load]\ntransport = \"queue\"\n";
    std::fs::write(folder.path().join("hopbench.toml"), file).unwrap();
    let output = client(folder.path())
        .env_remove("HOPBENCH_AMQP_URL")
        .args(["load", "--duration", "1s", "--warmup", "0s"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    // Nobody listens there; a broker that does would have been found anywhere else.
    assert!(said.contains("127.0.0.1:9"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn quiet_reaches_the_service_that_a_load_starts() {
    let folder = tempfile::tempdir().unwrap();
    // It says what it is to log, and is no service.
    let server = folder.path().join("server");
    let script = "#!/bin/sh\necho \"logs ${RUST_LOG-as it likes}\" >&2\n";
    std::fs::write(&server, script).unwrap();
    std::fs::set_permissions(&server, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (quiet, asked, logs) in [
        (true, None, "logs off,bench=error"),
        (false, None, "logs as it likes"),
        (true, Some("off"), "logs off"),
    ] {
        let mut command = client(folder.path());
        command
            .env("HOPBENCH_SERVER", &server)
            .env_remove("RUST_LOG")
            .envs(asked.map(|filter| ("RUST_LOG", filter)));
        if quiet {
            command.arg("--quiet");
        }
        let load = ["load", "--transport", "tcp", "--count", "1"];
        let output = command.args(load).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        // The end of what it said, and so no more than this.
        assert!(said.trim_end().ends_with(logs), "{quiet}: {said}");
    }
}

#[test]
fn doctor_finds_something_about_everything_that_bears_on_the_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let output = client(folder.path())
        .args(["doctor", "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let examined: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = examined["findings"].as_array().unwrap();
    let about: Vec<&str> = findings
        .iter()
        .map(|finding| finding["about"].as_str().unwrap())
        .collect();
    for wanted in [
        "build",
        "service",
        "cores",
        "frequency",
        "others",
        "steal",
        "clock",
        "timers",
        "scheduling",
        "interrupts",
        "instructions",
        "memory",
        "open files",
        "ports",
        "network",
        "disk",
        "queue",
        "stream",
        "containers",
    ] {
        assert!(about.contains(&wanted), "{wanted}: {about:?}");
    }
    for finding in findings {
        for part in ["found", "means"] {
            assert!(finding[part].as_str().unwrap().len() > 3, "{finding}");
        }
        let state = finding["state"].as_str().unwrap();
        assert!(["good", "mind", "lacking"].contains(&state), "{finding}");
    }
    client(folder.path())
        .args(["doctor", "--quiet"])
        .assert()
        .code(0)
        .stderr("")
        .stdout(predicate::str::contains("lacking").and(predicate::str::contains("cores: ")));
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_device_is_one_with_a_sentence() {
    let program = env!("CARGO_BIN_EXE_bench-client");
    let mut child = std::process::Command::new(program)
        .arg("list")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    let stderr = child.stderr.as_mut().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = std::process::Command::new(program)
        .arg("schema")
        .stdout(full)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("expected standard output") && !said.contains("panicked"),
        "{said}"
    );
}

/// Short trials, many of them, that need no broker.
const SMALL: [&str; 12] = [
    "run",
    "size",
    "--transport",
    "tcp,rest",
    "--blocks",
    "3",
    "--warm-up",
    "0s",
    "--reruns",
    "0",
    "--out",
    "run",
];

fn trials(folder: &Path) -> usize {
    let text = std::fs::read_to_string(folder.join("run/run.json")).unwrap();
    let run: Value = serde_json::from_str(&text).expect("what is on the disk is whole");
    run["trials"].as_array().unwrap().len()
}

fn resumed(folder: &Path) {
    let output = client(folder)
        .args(["run", "--resume", "run", "--quiet"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // The machine may be too busy for a headline (3); everything else must have worked.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
}

#[test]
fn a_full_disk_keeps_every_finished_trial_and_the_end_says_what_is_missing() {
    let whole = tempfile::tempdir().unwrap();
    client(whole.path())
        .args(SMALL)
        .assert()
        .code(predicate::in_iter([0, 3]));
    let planned = trials(whole.path());
    let text = std::fs::read_to_string(whole.path().join("run/run.json")).unwrap();
    // So much of the file as half of the trials need, and what is written before the first of them.
    let lines = text
        .lines()
        .filter(|line| line.starts_with("{\"experiment\""));
    let lengths: Vec<usize> = lines.map(str::len).collect();
    assert_eq!(lengths.len(), planned);
    let run: Value = serde_json::from_str(&text).unwrap();
    let head = text.find("{\"experiment\"").unwrap();
    let sizes = serde_json::to_string_pretty(&run["sizes"]).unwrap().len();
    let half: usize = lengths[..planned / 2].iter().sum();
    let limit = head + sizes + half + lengths[planned / 2] / 2;

    let folder = tempfile::tempdir().unwrap();
    // A file may grow so far and no further: to the program, a full disk. The signal that comes with it is ignored, as
    // none comes from a disk.
    let script = format!(
        "trap '' XFSZ; ulimit -f {}; exec \"$@\"",
        limit.div_ceil(512)
    );
    let program = env!("CARGO_BIN_EXE_bench-client");
    let output = std::process::Command::new("sh")
        .args(["-c", &script, "sh"])
        .arg(program)
        .args(SMALL)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let kept = trials(folder.path());
    assert!(0 < kept && kept < planned, "{kept} of {planned}: {said}");
    let sentence = format!(
        "{kept} of {planned} trials are kept in run, and `bench-client run --resume run` runs the rest"
    );
    assert!(said.contains(&sentence), "{said}");
    let left = std::fs::read_dir(folder.path().join("run")).unwrap();
    assert_eq!(left.count(), 1, "no half-written file stays");
    resumed(folder.path());
    assert_eq!(trials(folder.path()), planned);
}

#[test]
fn an_interrupted_run_says_what_is_kept_and_is_completed_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_bench-client"))
        .args(SMALL)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("[2/") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "it ended: {said}");
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
    let kept = trials(folder.path());
    assert!(kept >= 1, "{said}");
    assert!(
        said.contains(&format!("interrupted; {kept} of ")) && said.contains("--resume run"),
        "{said}"
    );
    // What is there has a report, verdicts and all.
    client(folder.path())
        .args(["report", "run"])
        .assert()
        .success()
        .stdout(predicate::str::contains("grpc-thr-3-10x"));
    resumed(folder.path());
    assert!(trials(folder.path()) > kept);
}
