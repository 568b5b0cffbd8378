//! Who may vouch for the Teams API over HTTPS.
//!
//! `main` asks once at start. The operator's image holds one program and no certificates, so there are two answers: those
//! that an administrator mounts and names in `SSL_CERT_FILE` or `SSL_CERT_DIR` (as OpenSSL and Go read them), and
//! Mozilla's list, which is built in, where nothing is named and the machine has none.

use rustls::RootCertStore;

/// The certificate authorities of this machine, or Mozilla's where it has none.
pub fn authorities() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate authority cannot be read; the Teams API is not trusted on its word");
    }
    let mut authorities = RootCertStore::empty();
    let (added, ignored) = authorities.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::warn!(ignored, "certificate authorities that are none");
    }
    if added == 0 {
        authorities.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    tracing::debug!(authorities = authorities.len(), "trusted over HTTPS");
    authorities
}
