//! `cargo bench --bench instructions`: instructions per operation of codecs and instrument, counted by valgrind. A
//! second, deterministic figure beside the times: it does not depend on what else the machine does.
//!
//! Each case runs twice in a process of its own, with few calls and with more; the difference is what the calls took, and
//! whatever starting up took is in neither. So nothing but `valgrind` itself has to be installed.

mod cases;

use std::process::{Command, ExitCode};

/// Calls of the two runs.
const FEW: u64 = 8;
const MORE: u64 = 72;

/// Tells a process that it is to run one case: its name and how many calls.
const CALLS: &str = "HOPBENCH_CALLS";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Ok(calls) = std::env::var(CALLS) {
        return counted(&arguments, &calls);
    }
    let benching = arguments.iter().any(|argument| argument == "--bench");
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter.as_str()));
    if !benching {
        // `cargo test --benches`: every case works.
        for mut case in cases::find(&wanted) {
            (case.call)();
            println!("{}: works", case.name);
        }
        return ExitCode::SUCCESS;
    }
    if !Command::new("valgrind")
        .arg("--version")
        .output()
        .is_ok_and(|it| it.status.success())
    {
        eprintln!("instructions are not counted: no valgrind here (apt install valgrind)");
        return ExitCode::SUCCESS;
    }
    println!(
        "{:<44}{:>16}{:>10}",
        "instructions", "per operation", "per byte"
    );
    let mut failed = 0;
    // The calls themselves are made in processes of their own.
    for case in cases::find(&wanted) {
        let name = &case.name;
        let calls = ((MORE - FEW) * case.units) as f64;
        let (few, more) = (instructions(name, FEW), instructions(name, MORE));
        match few.and_then(|few| Ok((more? - few) as f64 / calls)) {
            Ok(each) => {
                let per_byte = case
                    .bytes
                    .filter(|bytes| *bytes > 0)
                    .map_or("–".into(), |bytes| format!("{:.2}", each / bytes as f64));
                println!("{name:<44}{each:>16.1}{per_byte:>10}");
            }
            Err(problem) => {
                eprintln!("{name}: {problem}");
                failed += 1;
            }
        }
    }
    ExitCode::from(u8::from(failed > 0))
}

/// In the counted process: so many calls of one case.
fn counted(arguments: &[String], calls: &str) -> ExitCode {
    let (Some(name), Ok(calls)) = (arguments.first(), calls.parse::<u64>()) else {
        eprintln!("expected a case and a number of calls in {CALLS}");
        return ExitCode::from(2);
    };
    for mut case in cases::find(&|there| there == name) {
        for _ in 0..calls {
            (case.call)();
        }
    }
    ExitCode::SUCCESS
}

/// All instructions of a process that runs a case so many times.
fn instructions(name: &str, calls: u64) -> Result<i64, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(own)
        .arg(name)
        .env(CALLS, calls.to_string())
        .output()
        .map_err(|error| format!("valgrind could not be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let count = || {
        let line = said
            .lines()
            .find(|line| line.contains("I   refs:") || line.contains("I refs:"))?;
        let digits = line.rsplit(':').next()?.trim().replace(',', "");
        digits.parse().ok()
    };
    match count() {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!(
            "expected valgrind to count instructions, it said: {}",
            said.trim()
        )),
    }
}
