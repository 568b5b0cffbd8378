//! Real handshakes over loopback while the certificate's files change.
#![allow(clippy::unwrap_used, reason = "tests may be blunt")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use certs::authority::{Authority, Pair};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use webhook::metrics::Metrics;
use webhook::serve;
use webhook::tls::{Certificate, Files};

const NAME: &str = "webhook.postgres-operator.svc";

/// A directory that looks like a mounted Secret: files behind a link that is renamed at each update.
struct Mount(PathBuf);

impl Mount {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("webhook-tls-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        for file in ["tls.crt", "tls.key"] {
            std::os::unix::fs::symlink(Path::new("..data").join(file), path.join(file)).unwrap();
        }
        Self(path)
    }

    fn write(&self, version: &str, certificate: &str, key: &str) {
        let directory = self.0.join(version);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("tls.crt"), certificate).unwrap();
        std::fs::write(directory.join("tls.key"), key).unwrap();
        let link = self.0.join("..data_tmp");
        std::os::unix::fs::symlink(version, &link).unwrap();
        std::fs::rename(link, self.0.join("..data")).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Server {
    address: SocketAddr,
    certificate: Certificate,
    metrics: Arc<Metrics>,
    closed: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

async fn serving(mount: &Mount) -> Server {
    let metrics = Arc::new(Metrics::default());
    let certificate = Certificate::load(Files::within(&mount.0), Arc::clone(&metrics)).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (closed, is_closed) = watch::channel(false);
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        "slow"
    };
    let app = Router::new().route("/", get(|| async { "hello" })).route("/slow", get(slow));
    let tls = Arc::new(certificate.server_config().unwrap());
    let task = tokio::spawn(serve::accept(listener, tls, app, is_closed));
    Server { address, certificate, metrics, closed, task }
}

fn pair() -> (Authority, Pair) {
    let day = SignedDuration::from_hours(24);
    let authority = Authority::create(day, Timestamp::now()).unwrap();
    let pair = authority.issue(&[NAME.to_owned()], day, Timestamp::now()).unwrap();
    (authority, pair)
}

/// Opens a connection as a client that trusts `authority` alone, as the API server does.
async fn connect(address: SocketAddr, authority: &Authority) -> std::io::Result<SendRequest<Body>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(NAME).unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(sender: &mut SendRequest<Body>, path: &str) -> hyper::Result<StatusCode> {
    sender.ready().await?;
    let request = Request::get(path).header("host", NAME).body(Body::empty()).unwrap();
    Ok(sender.send_request(request).await?.status())
}

#[tokio::test]
async fn a_new_pair_is_served_to_new_connections_and_old_ones_live_on() {
    let mount = Mount::new("swap");
    let (old, old_pair) = pair();
    let (new, new_pair) = pair();
    mount.write("1", &old_pair.certificate, &old_pair.key);
    let mut server = serving(&mount).await;
    let mut first = connect(server.address, &old).await.unwrap();
    assert_eq!(ask(&mut first, "/").await.unwrap(), StatusCode::OK);
    assert!(connect(server.address, &new).await.is_err(), "the new certificate is not served yet");

    mount.write("2", &new_pair.certificate, &new_pair.key);
    server.certificate.look().await;

    let mut second = connect(server.address, &new).await.unwrap();
    assert_eq!(ask(&mut second, "/").await.unwrap(), StatusCode::OK);
    assert_eq!(ask(&mut first, "/").await.unwrap(), StatusCode::OK, "the old connection was dropped");
    assert!(connect(server.address, &old).await.is_err(), "the old certificate is still served");
}

#[tokio::test]
async fn a_pair_that_does_not_match_is_refused_and_the_old_one_stays() {
    let mount = Mount::new("mismatch");
    let (old, old_pair) = pair();
    let (new, new_pair) = pair();
    mount.write("1", &old_pair.certificate, &old_pair.key);
    let mut server = serving(&mount).await;
    let not_after = server.metrics.certificate.not_after.get();
    assert!(server.metrics.certificate.not_before.get() < not_after);
    assert_eq!(server.metrics.certificate.last_failure.get(), 0, "nothing was rejected yet");
    assert!(not_after > Timestamp::now().as_second());

    for (version, certificate, key) in [
        ("2", new_pair.certificate.as_str(), old_pair.key.as_str()),
        ("3", "no certificate", old_pair.key.as_str()),
        ("4", new_pair.certificate.as_str(), ""),
    ] {
        mount.write(version, certificate, key);
        server.certificate.look().await;
        assert_eq!(server.metrics.certificate.rejected.get(), 1, "{version}");
        assert_ne!(server.metrics.certificate.last_failure.get(), 0, "{version}");
        assert_eq!(server.metrics.certificate.not_after.get(), not_after);
        assert!(connect(server.address, &old).await.is_ok());
    }
    mount.write("5", &new_pair.certificate, &new_pair.key);
    server.certificate.look().await;
    assert_eq!(server.metrics.certificate.rejected.get(), 0);
    assert!(connect(server.address, &new).await.is_ok());
}

#[tokio::test]
async fn a_bad_file_is_an_error_before_anything_listens() {
    let mount = Mount::new("bad-start");
    let load = || Certificate::load(Files::within(&mount.0), Arc::new(Metrics::default()));
    assert!(load().await.err().unwrap().to_string().starts_with("could not read"));
    let (_, good) = pair();
    let (_, other) = pair();
    mount.write("1", &good.certificate, &other.key);
    assert_eq!(load().await.err().unwrap().to_string(), "could not use key and certificate together");
}

#[tokio::test]
async fn a_request_under_way_is_answered_when_the_server_stops() {
    let mount = Mount::new("drain");
    let (authority, pair) = pair();
    mount.write("1", &pair.certificate, &pair.key);
    let server = serving(&mount).await;
    let mut busy = connect(server.address, &authority).await.unwrap();
    let mut idle = connect(server.address, &authority).await.unwrap();
    assert_eq!(ask(&mut idle, "/").await.unwrap(), StatusCode::OK);
    let under_way = tokio::spawn(async move { ask(&mut busy, "/slow").await });
    tokio::time::sleep(Duration::from_millis(100)).await;

    server.closed.send_replace(true);
    assert_eq!(under_way.await.unwrap().unwrap(), StatusCode::OK);
    tokio::time::timeout(Duration::from_secs(5), server.task).await.unwrap().unwrap();
    assert!(ask(&mut idle, "/").await.is_err(), "an idle connection is closed at once");
    assert!(connect(server.address, &authority).await.is_err());
}
