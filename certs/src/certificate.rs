//! What certificates say: read from PEM, asked by `rotation` and printed by `certs show`.
//!
//! Whether a certificate can be used is asked of the verifier that rustls itself uses, not of field comparisons of
//! our own: the question is what a client such as the API server would answer.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::rotation::Validity;

/// One certificate, as far as decisions and people need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    /// The name of its holder; each of our authorities has one of its own.
    pub subject: String,
    /// The DNS names it is valid for.
    pub names: Vec<String>,
    /// From when until when it is valid.
    pub validity: Validity,
}

impl Certificate {
    /// Every readable certificate of a PEM text, in order. What cannot be read is left out: it vouches for nothing.
    pub fn read_all(pem: &[u8]) -> Vec<Self> {
        CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).filter_map(Self::read).collect()
    }

    fn read(der: CertificateDer<'static>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        let from = Timestamp::from_second(parsed.validity().not_before.timestamp()).ok()?;
        let until = Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()?;
        let subject = parsed.subject().to_string();
        let names = match parsed.subject_alternative_name() {
            Ok(Some(extension)) => extension.value.general_names.iter().filter_map(dns_name).collect(),
            Ok(None) | Err(_) => Vec::new(),
        };
        Some(Self { der, subject, names, validity: Validity { from, until } })
    }
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = name { Some((*name).to_owned()) } else { None }
}

/// Whether `key` is the private key of the first certificate in `pem`.
pub fn key_matches(pem: &[u8], key: &[u8]) -> bool {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
    let Ok(key) = PrivateKeyDer::from_pem_slice(key) else { return false };
    CertifiedKey::from_der(chain, key, &default_provider()).is_ok_and(|pair| pair.keys_match().is_ok())
}

/// Whether a client that trusts `roots` would accept `leaf` now under every one of `names`.
pub fn accepted(leaf: &Certificate, roots: &[Certificate], names: &[String], now: Timestamp) -> bool {
    let Some(verifier) = verifier(roots) else { return false };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().try_into().unwrap_or(0)));
    names.iter().all(|name| {
        ServerName::try_from(name.as_str())
            .is_ok_and(|name| verifier.verify_server_cert(&leaf.der, &[], &name, &[], now).is_ok())
    })
}

fn verifier(authorities: &[Certificate]) -> Option<Arc<WebPkiServerVerifier>> {
    let provider: Arc<CryptoProvider> = Arc::new(default_provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots(authorities)), provider).build().ok()
}

/// What a client is given that trusts these authorities and no other.
pub fn roots(authorities: &[Certificate]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(authorities.iter().map(|authority| authority.der.clone()));
    store
}

/// The certificates as one PEM text.
pub fn to_pem(certificates: &[Certificate]) -> String {
    use base64::Engine as _;
    let mut text = String::new();
    for certificate in certificates {
        let encoded = base64::engine::general_purpose::STANDARD.encode(&certificate.der);
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for (index, letter) in encoded.chars().enumerate() {
            if index > 0 && index % 64 == 0 {
                text.push('\n');
            }
            text.push(letter);
        }
        text.push_str("\n-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::authority::Authority;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn names() -> Vec<String> {
        vec!["webhook.postgres-operator.svc".to_owned(), "localhost".to_owned()]
    }

    #[test]
    fn an_issued_certificate_is_accepted_under_each_of_its_names_and_no_other() {
        let authority = Authority::create(DAY * 40, now()).unwrap();
        let pair = authority.issue(&names(), DAY * 10, now()).unwrap();
        let root = Certificate::read_all(authority.certificate.as_bytes());
        let leaf = Certificate::read_all(pair.certificate.as_bytes()).remove(0);

        assert_eq!(leaf.names, names());
        assert!(accepted(&leaf, &root, &names(), now()));
        assert!(!accepted(&leaf, &root, &["other.svc".to_owned()], now()));
        assert!(!accepted(&leaf, &root, &names(), now() + DAY * 11), "expired");
        assert!(key_matches(pair.certificate.as_bytes(), pair.key.as_bytes()));
        assert!(!key_matches(pair.certificate.as_bytes(), authority.key.as_bytes()));
    }

    #[test]
    fn another_authority_vouches_for_nothing() {
        let pair = Authority::create(DAY, now()).unwrap().issue(&names(), DAY, now()).unwrap();
        let other = Authority::create(DAY, now()).unwrap();
        let leaf = Certificate::read_all(pair.certificate.as_bytes()).remove(0);
        let root = Certificate::read_all(other.certificate.as_bytes());
        assert!(!accepted(&leaf, &root, &names(), now()));
        assert!(!accepted(&leaf, &[], &names(), now()));
    }

    #[test]
    fn a_bundle_keeps_its_certificates_and_their_order_when_written_and_read() {
        let pem: String = (0..3).map(|_| Authority::create(DAY, now()).unwrap().certificate).collect();
        let read = Certificate::read_all(pem.as_bytes());
        assert_eq!(read.len(), 3);
        assert_eq!(Certificate::read_all(to_pem(&read).as_bytes()), read);
        assert!(Certificate::read_all(b"not a certificate").is_empty());
    }
}
