//! `make-certificates DIR`: a CA and a server certificate for loopback, as the stack's brokers want them: `ca.pem`,
//! `server.pem`, `server.key`, and `server-keystore.pem` (key and certificate in one file, Kafka's PEM key store).
//! The folder is its owner's alone; inside it the files can be read, for a container mounts it under another user.

use anyhow::{Context, bail};
use bench_certificate::Authority;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        bail!("expected the folder to write certificates into, got none: make-certificates DIR");
    };
    fs::create_dir_all(&dir)
        .and_then(|()| fs::set_permissions(&dir, Permissions::from_mode(0o700)))
        .with_context(|| format!("{} cannot be made one's own", dir.display()))?;
    let authority = Authority::new()?;
    let issued = authority.issue()?;
    let store = format!("{}{}", issued.key, issued.certificate);
    for (name, text) in [
        ("server.key", issued.key.as_str()),
        ("server-keystore.pem", &store),
        ("server.pem", &issued.certificate),
        // Last: whoever sees the CA's certificate finds the rest.
        ("ca.pem", authority.certificate()),
    ] {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}
