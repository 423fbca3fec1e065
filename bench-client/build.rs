//! Notes from which commit the instrument is built, and whether its sources were changed since.

use std::process::Command;

/// All that is compiled into the two programs, files that they embed among them.
const SOURCES: [&str; 10] = [
    "proto",
    "host",
    "certificate",
    "transport",
    "usage",
    "bench-server",
    "bench-client",
    "docs/openapi.yaml",
    "Cargo.toml",
    "Cargo.lock",
];

fn main() {
    for watched in SOURCES.iter().chain(&[".git/HEAD", ".git/logs/HEAD"]) {
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
        status.extend(SOURCES);
        if let Some(changes) = git(&status) {
            println!(
                "cargo:rustc-env=HOPBENCH_BUILD_DIRTY={}",
                !changes.is_empty()
            );
        }
    }
}
