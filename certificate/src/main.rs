//! `make-certificates DIR`: a CA and a server certificate for loopback, as the stack's brokers want them: `ca.pem`,
//! `server.pem`, `server.key`, and `server-keystore.pem` (key and certificate in one file, Kafka's PEM key store).

use anyhow::{Context, bail};
use bench_certificate::Authority;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

fn main() -> anyhow::Result<()> {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        bail!("expected the folder to write certificates into, got none: make-certificates DIR");
    };
    fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let authority = Authority::new()?;
    let issued = authority.issue()?;
    let store = format!("{}{}", issued.key, issued.certificate);
    write(&dir.join("server.key"), 0o600, &issued.key)?;
    write(&dir.join("server-keystore.pem"), 0o600, &store)?;
    write(&dir.join("server.pem"), 0o644, &issued.certificate)?;
    // Last: whoever sees the CA's certificate finds the rest.
    write(&dir.join("ca.pem"), 0o644, authority.certificate())
}

/// A new file with this mode; one that is there is replaced, for its mode could be another.
fn write(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let write = || {
        if path.exists() {
            fs::remove_file(path)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}
