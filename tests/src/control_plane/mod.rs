//! A real API server for one test program: etcd and kube-apiserver as plain processes, on loopback, in a folder of
//! their own that goes away with them.
//!
//! No controllers run: a StatefulSet makes no pods, and what is deleted with dependants stays. For what only asks the API
//! server (schemas, CEL, server-side apply, conversion of what was written) that is all it takes, in seconds and
//! without root. The programs are those that the local cluster has built (`docs/local-cluster.md`).

mod daemon;
mod programs;

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kube::Client;
use kube::config::{AuthInfo, Config};

pub(crate) use daemon::Daemon;
pub use programs::Programs;

/// How long the API server may take until it is ready, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running API server. Dropping it ends its processes, by their ids, and removes its files.
#[derive(Debug)]
pub struct ControlPlane {
    port: u16,
    token: String,
    // In this order: the API server goes first, the files last.
    _api_server: Daemon,
    _storage: Daemon,
    folder: Folder,
}

impl ControlPlane {
    /// Starts both and waits until the API server is ready.
    ///
    /// # Errors
    /// What kept a process from starting, or the end of its log.
    pub async fn start(programs: &Programs) -> io::Result<Self> {
        let folder = Folder::new()?;
        let [storage_port, peer_port, port] = free_ports()?;
        let token = token()?;
        write_credentials(folder.path(), &token)?;
        let storage = Daemon::start(
            "etcd",
            &programs.etcd,
            &storage_flags(folder.path(), storage_port, peer_port),
            folder.path(),
        )?;
        let api_server = Daemon::start(
            "kube-apiserver",
            &programs.api_server,
            &api_server_flags(folder.path(), storage_port, port),
            folder.path(),
        )?;
        let mut control_plane = Self { port, token, _api_server: api_server, _storage: storage, folder };
        control_plane.until_ready().await?;
        Ok(control_plane)
    }

    /// A client that may do everything.
    ///
    /// # Errors
    /// When no client can be made of address and token.
    pub fn client(&self) -> kube::Result<Client> {
        let address = http::Uri::builder()
            .scheme("https")
            .authority(format!("127.0.0.1:{}", self.port))
            .path_and_query("/")
            .build()
            .map_err(kube::Error::HttpError)?;
        let mut config = Config::new(address);
        config.accept_invalid_certs = true; // the server has just signed its certificate itself
        config.auth_info = AuthInfo { token: Some(self.token.clone().into()), ..AuthInfo::default() };
        Client::try_from(config)
    }

    /// A kubeconfig of the same rights, for programs; it goes away with the server.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig(&self) -> io::Result<PathBuf> {
        let path = self.folder.path().join("kubeconfig");
        let kubeconfig = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "control-plane",
            "clusters": [{ "name": "control-plane", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port), "insecure-skip-tls-verify": true,
            } }],
            "contexts": [{ "name": "control-plane", "context": { "cluster": "control-plane", "user": "admin" } }],
            "users": [{ "name": "admin", "user": { "token": self.token } }],
        });
        fs::write(&path, kubeconfig.to_string())?;
        Ok(path)
    }

    async fn until_ready(&mut self) -> io::Result<()> {
        let client = self.client().map_err(io::Error::other)?;
        let begun = Instant::now();
        loop {
            let request = http_get("/readyz");
            if client.request_text(request).await.is_ok() {
                return Ok(());
            }
            for daemon in [&mut self._storage, &mut self._api_server] {
                daemon.check_alive()?;
            }
            if begun.elapsed() > PATIENCE {
                let log = self._api_server.end_of_log();
                return Err(io::Error::other(format!(
                    "the API server is not ready after {PATIENCE:?}: {log}"
                )));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Where the logs of both are, for as long as they run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn http_get(path: &str) -> http::Request<Vec<u8>> {
    let mut request = http::Request::new(Vec::new());
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    request
}

/// A temporary folder that goes away when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("control-plane-{}-{}", std::process::id(), token()?));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // nothing depends on it any more
    }
}

/// Ports that nobody listens on; they differ, since all are held until the last is known.
fn free_ports() -> io::Result<[u16; 3]> {
    let listen = || TcpListener::bind(("127.0.0.1", 0));
    let listeners = [listen()?, listen()?, listen()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// Sixteen random bytes as a word.
fn token() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The administrator's token, and the key that tokens of service accounts are signed with.
fn write_credentials(folder: &Path, token: &str) -> io::Result<()> {
    fs::write(folder.join("tokens.csv"), format!("{token},admin,admin,\"system:masters\"\n"))?;
    let key = rcgen::KeyPair::generate().map_err(io::Error::other)?;
    fs::write(folder.join("service-account.pub"), key.public_key_pem())?;
    fs::write(folder.join("service-account.key"), key.serialize_pem())
}

fn storage_flags(folder: &Path, port: u16, peer_port: u16) -> Vec<String> {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
    vec![
        format!("--data-dir={}", folder.join("etcd").display()),
        "--log-level=error".into(),
        "--unsafe-no-fsync".into(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ]
}

fn api_server_flags(folder: &Path, storage_port: u16, port: u16) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{storage_port}"),
        format!("--cert-dir={}", file("certificates")),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={port}"),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=RBAC".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={}", file("service-account.pub")),
        format!("--service-account-signing-key-file={}", file("service-account.key")),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        // Nothing makes service accounts here, and pods are never run.
        "--disable-admission-plugins=ServiceAccount".into(),
    ]
}
