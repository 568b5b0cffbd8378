//! Makes an authority, and certificates signed by it. Asked by `ensure` when `rotation` says that one is due.
//!
//! Two facts a newcomer would not guess: each authority has a name of its own, because clients that trust two of one
//! name may try only the first; and every certificate is dated back a little, because clocks differ.

use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use crate::rotation::BACKDATED;

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No key could be generated.
    #[error("could not generate a key")]
    Key(#[source] rcgen::Error),
    /// The key or the certificate of the authority could not be read.
    #[error("could not read the authority")]
    Authority(#[source] rcgen::Error),
    /// The certificate could not be signed.
    #[error("could not sign the certificate")]
    Sign(#[source] rcgen::Error),
    /// A DNS name cannot stand in a certificate.
    #[error("could not put the names into a certificate")]
    Names(#[source] rcgen::Error),
}

/// A certificate and its private key, as PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its private key (PKCS#8).
    pub key: String,
}

/// A certificate authority with its key, as PEM.
#[derive(Clone)]
pub struct Authority {
    /// The authority's own certificate: what clients are told to trust.
    pub certificate: String,
    /// Its private key (PKCS#8).
    pub key: String,
}

impl Authority {
    /// A new authority with a fresh P-256 key.
    ///
    /// # Errors
    /// When the system gives no randomness or the certificate cannot be signed.
    pub fn create(lifetime: SignedDuration, now: Timestamp) -> Result<Self, IssueError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IssueError::Key)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name("postgres-operator webhook authority", &key);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = SystemTime::from(now - BACKDATED).into();
        params.not_after = SystemTime::from(now + lifetime).into();
        let certificate = params.self_signed(&key).map_err(IssueError::Sign)?;
        Ok(Self { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// A serving certificate with a fresh P-256 key, for every one of `names`.
    ///
    /// # Errors
    /// When this authority cannot be read, a name is no DNS name, or signing fails.
    pub fn issue(
        &self,
        names: &[String],
        lifetime: SignedDuration,
        now: Timestamp,
    ) -> Result<Pair, IssueError> {
        let signing_key = KeyPair::from_pem(&self.key).map_err(IssueError::Authority)?;
        let issuer =
            Issuer::from_ca_cert_pem(&self.certificate, signing_key).map_err(IssueError::Authority)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IssueError::Key)?;
        let mut params = CertificateParams::new(names).map_err(IssueError::Names)?;
        params.distinguished_name = name("postgres-operator webhook", &key);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = SystemTime::from(now - BACKDATED).into();
        params.not_after = SystemTime::from(now + lifetime).into();
        let certificate = params.signed_by(&key, &issuer).map_err(IssueError::Sign)?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// `what` and the beginning of the public key, which makes the name unique.
fn name(what: &str, key: &KeyPair) -> DistinguishedName {
    let mark: String =
        key.public_key_raw().iter().skip(1).take(4).map(|byte| format!("{byte:02x}")).collect();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, format!("{what} {mark}"));
    name
}
