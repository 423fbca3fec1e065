//! What the trials of this process encrypt with: a CA of its own and a certificate for loopback, made when first asked
//! for and written nowhere but into a service's temporary folder.

use anyhow::Context;
use bench_certificate::Authority;
use bench_transport::{Identity, Tls};
use std::path::Path;
use std::sync::OnceLock;

/// For services that this process starts: the CA that callers believe, and what the service shows.
pub fn own() -> anyhow::Result<Tls> {
    static OWN: OnceLock<Tls> = OnceLock::new();
    if let Some(tls) = OWN.get() {
        return Ok(tls.clone());
    }
    let authority = Authority::new()?;
    let issued = authority.issue()?;
    let made = Tls {
        ca: Some(authority.certificate().into()),
        identity: Some(Identity {
            certificate: issued.certificate,
            key: issued.key,
        }),
    };
    Ok(OWN.get_or_init(|| made).clone())
}

/// For a peer that runs already: believes the CAs in this file, or those that this machine believes.
pub fn believing(ca: Option<&Path>) -> anyhow::Result<Tls> {
    let ca = ca.map(|path| {
        std::fs::read_to_string(path)
            .with_context(|| format!("the CA's certificate {} cannot be read", path.display()))
    });
    Ok(Tls {
        ca: ca.transpose()?,
        identity: None,
    })
}
