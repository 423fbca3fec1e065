//! Notes from which commit the instrument is built, and whether its sources were changed since.

use std::process::Command;

/// Compiled into the two programs beside the workspace's members.
const EMBEDDED: [&str; 3] = ["docs/openapi.yaml", "Cargo.toml", "Cargo.lock"];

fn main() {
    let workspace = std::fs::read_to_string("../Cargo.toml").expect("the workspace's Cargo.toml");
    let members = workspace
        .lines()
        .find_map(|line| line.strip_prefix("members = "))
        .expect("the workspace's members, on one line");
    // From the list itself, so that a new member cannot be forgotten here.
    let sources: Vec<&str> = members
        .split('"')
        .skip(1)
        .step_by(2)
        .chain(EMBEDDED)
        .collect();
    for watched in sources.iter().chain(&[".git/HEAD", ".git/logs/HEAD"]) {
        println!("cargo:rerun-if-changed=../{watched}");
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg("..")
            .args(arguments)
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    if let Some(commit) = git(&["rev-parse", "HEAD"]) {
        println!("cargo:rustc-env=HOPBENCH_BUILD_COMMIT={commit}");
        let mut status = vec!["status", "--porcelain", "--"];
        status.extend(&sources);
        if let Some(changes) = git(&status) {
            println!(
                "cargo:rustc-env=HOPBENCH_BUILD_DIRTY={}",
                !changes.is_empty()
            );
        }
    }
}
