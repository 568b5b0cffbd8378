//! The serving certificate, swapped under running connections when its files change. Asked by `serve`.
//!
//! The kubelet updates a mounted Secret by renaming a symbolic link, which watchers of the files themselves miss; so
//! the bytes are compared every ten seconds. Both files may be read around such a swap and then not belong together:
//! a pair that does not match is refused, the old one stays, and the next look finds the new pair whole.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tracing::{info, warn};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::metrics::Metrics;

/// How often the files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Why a pair cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("could not read {path}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no certificate in the file.
    #[error("could not find a certificate in the certificate file")]
    Certificate,
    /// There is no private key in the file.
    #[error("could not find a private key in the key file")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// Key and certificate do not belong together, or are of a kind that cannot be served.
    #[error("could not use key and certificate together")]
    Pair(#[source] rustls::Error),
}

/// The two files.
#[derive(Clone, Debug)]
pub struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The bytes of the two files: what is compared.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    /// `tls.crt` and `tls.key` in a directory, as a mounted Secret has them.
    pub fn within(directory: &Path) -> Self {
        Self { certificate: directory.join("tls.crt"), key: directory.join("tls.key") }
    }

    /// Reads both files.
    ///
    /// # Errors
    /// When one cannot be read.
    pub async fn read(&self) -> Result<Bytes, TlsError> {
        Ok(Bytes { certificate: read(&self.certificate).await?, key: read(&self.key).await? })
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    tokio::fs::read(path).await.map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

/// A certificate with its key, checked to belong together.
#[derive(Clone, Debug)]
pub struct Pair {
    key: Arc<CertifiedKey>,
    not_before: i64,
    not_after: i64,
}

impl Pair {
    /// Reads and checks a pair.
    ///
    /// # Errors
    /// When it cannot be served.
    pub fn read(bytes: &Bytes) -> Result<Self, TlsError> {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(&bytes.certificate).filter_map(Result::ok).collect();
        let leaf = chain.first().ok_or(TlsError::Certificate)?;
        let (not_before, not_after) = {
            let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| TlsError::Certificate)?;
            let validity = parsed.validity();
            (validity.not_before.timestamp(), validity.not_after.timestamp())
        };
        let key = PrivateKeyDer::from_pem_slice(&bytes.key).map_err(TlsError::Key)?;
        let key = CertifiedKey::from_der(chain, key, &default_provider()).map_err(TlsError::Pair)?;
        key.keys_match().map_err(TlsError::Pair)?;
        Ok(Self { key: Arc::new(key), not_before, not_after })
    }

    /// Shows how old it is, and until when it may be served.
    fn show(&self, metrics: &Metrics) {
        metrics.certificate_not_before.set(self.not_before);
        metrics.certificate_not_after.set(self.not_after);
    }
}

/// Gives each new connection the newest pair.
pub struct Resolver(watch::Receiver<Pair>);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.borrow().key))
    }
}

/// The served pair and the files it came from.
pub struct Certificate {
    files: Files,
    seen: Bytes,
    current: watch::Sender<Pair>,
    metrics: Arc<Metrics>,
}

impl Certificate {
    /// Loads the files once, before anything listens: a bad file is an error at the start, not a dead port.
    ///
    /// # Errors
    /// When the files cannot be read or served.
    pub async fn load(files: Files, metrics: Arc<Metrics>) -> Result<Self, TlsError> {
        let seen = files.read().await?;
        let pair = Pair::read(&seen)?;
        pair.show(&metrics);
        Ok(Self { files, seen, current: watch::Sender::new(pair), metrics })
    }

    /// A TLS configuration that always serves the newest pair. HTTP/1.1 only: the API server speaks nothing else.
    ///
    /// # Errors
    /// When the cryptography offers none of the TLS versions.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(self.current.subscribe())));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Looks at the files for as long as the process lives.
    pub async fn follow(mut self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            self.look().await;
        }
    }

    /// Swaps the pair when the files hold another one that can be served.
    pub async fn look(&mut self) {
        let bytes = match self.files.read().await {
            Ok(bytes) if bytes == self.seen => return,
            Ok(bytes) => bytes,
            Err(error) => return self.reject(&error),
        };
        match Pair::read(&bytes) {
            Ok(pair) => {
                pair.show(&self.metrics);
                self.metrics.certificate_rejected.set(0);
                self.current.send_replace(pair);
                info!("certificate swapped");
            }
            Err(error) => self.reject(&error),
        }
        self.seen = bytes;
    }

    fn reject(&self, error: &TlsError) {
        self.metrics.certificate_rejected.set(1);
        self.metrics.certificate_last_rejected.set(jiff::Timestamp::now().as_second());
        let source = std::error::Error::source(error).map(ToString::to_string);
        warn!(%error, source, "the new certificate cannot be served; the old one stays");
    }
}
