//! TLS 1.3 as every transport has it: what an end believes and shows, one cipher suite, no resumption (the brokers'
//! clients have none to match), and what was negotiated, read back. `stream` owns a connection of either kind.

mod stream;

pub(crate) use stream::{Door, SPEAKS_TLS, Stream, handshake};

use crate::Settings;
use anyhow::{Context, anyhow, bail};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, CommonState, Error, RootCertStore,
    ServerConfig,
};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// What the two ends of an encrypted connection hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Calling end: the CAs it believes, PEM. None: those that this machine believes.
    pub ca: Option<String>,
    /// Serving end (tcp, rest, grpc): what it shows. A broker shows its own.
    pub identity: Option<Identity>,
}

/// A certificate (with the chain behind it, if any) and its key, both PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate first, then those that signed it.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// What a calling end needs for its handshakes.
#[derive(Clone, Debug)]
pub(crate) struct Calling {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Calling {
    /// For calls to a host; none where the settings ask for plaintext.
    pub(crate) fn new(
        settings: &Settings,
        host: &str,
        protocol: Option<&str>,
    ) -> anyhow::Result<Option<Self>> {
        let believed = settings.tls.as_ref().map(Tls::believed);
        let calling = |roots| Self::believing(roots, host, protocol);
        believed.transpose()?.map(calling).transpose()
    }

    fn believing(roots: RootCertStore, host: &str, protocol: Option<&str>) -> anyhow::Result<Self> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_string()).map_err(|_| {
            anyhow!("TLS needs the service's name or IP address to check its certificate against, got {host:?}")
        })?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = protocol.map(|name| name.into()).into_iter().collect();
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }
}

impl Tls {
    fn believed(&self) -> anyhow::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    let certificate = certificate.map_err(|error| {
                        anyhow!("the CA's certificate cannot be read as PEM: {error}")
                    })?;
                    roots
                        .add(certificate)
                        .context("the CA's certificate cannot be used")?;
                }
                if roots.is_empty() {
                    bail!(
                        "expected the certificate of a CA (-----BEGIN CERTIFICATE-----), got a file without one"
                    );
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    bail!(
                        "this machine has no list of CAs that it believes: install ca-certificates, or name the CA with --ca FILE"
                    );
                }
            }
        }
        Ok(roots)
    }
}

/// What a serving end needs for its handshakes; none where the settings ask for plaintext.
fn serving(settings: &Settings, protocols: &[&str]) -> anyhow::Result<Option<Arc<ServerConfig>>> {
    let Some(tls) = &settings.tls else {
        return Ok(None);
    };
    let identity = tls.identity.as_ref().context(
        "a listener with TLS needs a certificate and its key: give --certificate FILE and --key FILE",
    )?;
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| anyhow!("the certificate cannot be read as PEM: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())
        .map_err(|error| anyhow!("the private key cannot be read as PEM: {error}"))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("certificate and key cannot be used together")?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = protocols.iter().map(|name| (*name).into()).collect();
    Ok(Some(Arc::new(config)))
}

/// The suite that rustls, OpenSSL, Erlang and Java all prefer: said aloud, so that no pair of ends agrees on another.
pub(crate) const CIPHER: &str = "TLS13_AES_256_GCM_SHA384";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_256_GCM_SHA384],
        ..ring::default_provider()
    })
}

/// What two ends agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Negotiated {
    version: String,
    cipher: String,
    key_exchange: String,
    protocol: Option<String>,
}

impl Negotiated {
    fn of(connection: &CommonState) -> Self {
        let unknown = || "unknown".to_string();
        let show = |name: Option<String>| name.unwrap_or_else(unknown);
        Self {
            version: show(connection.protocol_version().map(|v| format!("{v:?}"))),
            cipher: show(
                connection
                    .negotiated_cipher_suite()
                    .map(|suite| format!("{:?}", suite.suite())),
            ),
            key_exchange: show(
                connection
                    .negotiated_key_exchange_group()
                    .map(|group| format!("{:?}", group.name())),
            ),
            protocol: connection
                .alpn_protocol()
                .map(|name| String::from_utf8_lossy(name).into_owned()),
        }
    }
}

/// The settings of a calling end, by name; the negotiated ones are those of the latest handshake.
pub(crate) fn in_force(negotiated: Option<&Negotiated>) -> BTreeMap<String, String> {
    let Some(negotiated) = negotiated else {
        return crate::net::named([("tls", "off".into())]);
    };
    let mut settings = crate::net::named([
        ("tls", negotiated.version.clone()),
        ("tls.cipher", negotiated.cipher.clone()),
        ("tls.key_exchange", negotiated.key_exchange.clone()),
        ("tls.resumption", "off".into()),
    ]);
    let protocol = negotiated.protocol.clone();
    settings.insert("tls.alpn".into(), protocol.unwrap_or_else(|| "none".into()));
    settings
}

/// Why a handshake failed, in a sentence that says what to do.
pub(crate) fn explain(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        // A CA of the same name and another key makes it a bad signature.
        Some(Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => {
            "its certificate is signed by no CA that this end believes; name its CA with --ca FILE".into()
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!("its certificate is for another name than the one it was called by: {error}"),
        Some(Error::InvalidMessage(_)) => {
            "it does not answer in TLS: this is a plaintext port; leave TLS out, or name its TLS port".into()
        }
        Some(Error::AlertReceived(AlertDescription::ProtocolVersion)) => {
            "it does not speak TLS 1.3, and nothing older is spoken here".into()
        }
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            "it speaks TLS, and none of the protocols it was offered (ALPN): is it another service?".into()
        }
        _ if matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
        ) =>
        {
            "it closed the connection during the TLS handshake; is it a TLS port?".into()
        }
        _ => format!("the TLS handshake failed: {error}"),
    }
}

/// A handshake for its own sake: what a peer agrees to, or why it does not.
pub(crate) async fn probe(target: &str, calling: &Calling) -> Result<Negotiated, String> {
    let stream = TcpStream::connect(target).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let shaken = handshake(calling, stream).await;
    shaken
        .map(|(_, negotiated)| negotiated)
        .map_err(|error| explain(&error))
}

/// Whether a port that did not answer in plaintext answers in TLS, whatever its certificate.
pub(crate) async fn speaks_tls(target: &str) -> bool {
    /// The port has just been tried: whoever is there answers at once.
    const PATIENCE: Duration = Duration::from_secs(1);
    // Believing nobody: a certificate that comes back is the sign.
    let Ok(calling) = Calling::believing(RootCertStore::empty(), host_of(target), None) else {
        return false;
    };
    let asking = async {
        let stream = TcpStream::connect(target).await?;
        handshake(&calling, stream).await.map(drop)
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
            matches!(
                cause,
                Some(Error::InvalidCertificate(_) | Error::AlertReceived(_))
            )
        }
        Err(_) => false,
    }
}

/// The host of `host:port`.
pub(crate) fn host_of(target: &str) -> &str {
    target.rsplit_once(':').map_or(target, |(host, _)| host)
}
