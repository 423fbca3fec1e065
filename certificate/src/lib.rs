//! Certificates made on the spot, for this machine alone: a CA, and what it signs for 127.0.0.1, ::1 and localhost.
//! The CA's key lives in memory and goes with it, so nobody can sign anything more. It knows no connection.

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::fmt;

/// Names and addresses that an issued certificate is for.
const SUBJECTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A CA that lives as long as this value.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, both PEM, keys ECDSA P-256.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate; whoever believes the CA believes it.
    pub certificate: String,
    /// Its private key, PKCS #8.
    pub key: String,
}

impl Authority {
    /// A fresh CA. Fails only where the system has no randomness.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        let names = &mut params.distinguished_name;
        names.push(DnType::CommonName, "Hopbench CA of one run");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("no key for a CA")?;
        let certificate = params.self_signed(&key).context("no certificate of a CA")?;
        Ok(Self {
            certificate: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Its certificate, PEM: what a caller has to believe.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A server certificate for this machine's loopback.
    pub fn issue(&self) -> anyhow::Result<Issued> {
        let subjects = SUBJECTS.map(str::to_string);
        let mut params = CertificateParams::new(subjects).context("no certificate's names")?;
        let names = &mut params.distinguished_name;
        names.push(DnType::CommonName, "localhost");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().context("no key for a certificate")?;
        let certificate = params.signed_by(&key, &self.issuer);
        Ok(Issued {
            certificate: certificate.context("the CA could not sign")?.pem(),
            key: key.serialize_pem(),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Issued").finish_non_exhaustive()
    }
}
