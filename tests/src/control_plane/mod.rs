//! A real API server for one test program: etcd and kube-apiserver as plain processes, on loopback, in a folder of
//! their own that goes away with them.
//!
//! No controllers run, unless [`Controllers`] are started: a StatefulSet makes no pods, and what is deleted with
//! dependants stays. For what only asks the API server (schemas, CEL, server-side apply, conversion of what was written)
//! that is all it takes, in seconds and without root. The programs are those that the local cluster has built
//! (`docs/local-cluster.md`).

mod controllers;
mod daemon;
pub mod definitions;
mod programs;
mod storage;
mod webhook;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kube::Client;
use kube::config::{AuthInfo, Config};

pub use controllers::Controllers;
pub(crate) use daemon::{Daemon, get};
pub use programs::Programs;
pub use storage::Storage;
pub use webhook::WebhookProgram;

/// Who [`ControlPlane::client`] is.
const ADMINISTRATOR: &str = "admin";

/// How long the API server may take until it is ready, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running API server. Dropping it ends its processes, by their ids, and removes its files.
#[derive(Debug)]
pub struct ControlPlane {
    port: u16,
    storage_port: u16,
    tokens: BTreeMap<String, String>,
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
        Self::start_for(programs, &[]).await
    }

    /// The same, for programs that are to be told apart: each of these users may do everything, and every request of
    /// theirs stands in the audit log.
    ///
    /// # Errors
    /// What kept a process from starting, or the end of its log.
    pub async fn start_for(programs: &Programs, users: &[&str]) -> io::Result<Self> {
        let folder = Folder::new()?;
        let [storage_port, peer_port, port] = free_ports()?;
        let everybody = users.iter().copied().chain([ADMINISTRATOR]);
        let tokens = everybody.map(|user| Ok((user.to_owned(), token()?))).collect::<io::Result<_>>()?;
        write_credentials(folder.path(), &tokens)?;
        let mut flags = api_server_flags(folder.path(), storage_port, port);
        if !users.is_empty() {
            flags.extend(audit_flags(folder.path(), users)?);
        }
        let storage = Daemon::start(
            "etcd",
            &programs.etcd,
            &storage_flags(folder.path(), storage_port, peer_port),
            folder.path(),
        )?;
        let api_server = Daemon::start("kube-apiserver", &programs.api_server, &flags, folder.path())?;
        let mut control_plane =
            Self { port, storage_port, tokens, _api_server: api_server, _storage: storage, folder };
        control_plane.until_ready().await?;
        Ok(control_plane)
    }

    /// A client that may do everything.
    ///
    /// # Errors
    /// When no client can be made of address and token.
    pub fn client(&self) -> kube::Result<Client> {
        self.client_of(ADMINISTRATOR)
    }

    /// A client of one of the users.
    ///
    /// # Errors
    /// When no client can be made of address and token.
    pub fn client_of(&self, user: &str) -> kube::Result<Client> {
        let token = self.tokens.get(user).cloned().unwrap_or_default();
        let address = http::Uri::builder()
            .scheme("https")
            .authority(format!("127.0.0.1:{}", self.port))
            .path_and_query("/")
            .build()
            .map_err(kube::Error::HttpError)?;
        let mut config = Config::new(address);
        config.accept_invalid_certs = true; // the server has just signed its certificate itself
        config.auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
        Client::try_from(config)
    }

    /// Its storage, which asks for no password.
    ///
    /// # Errors
    /// When no client can be made of the address.
    pub fn storage(&self) -> kube::Result<Storage> {
        Storage::at(self.storage_port)
    }

    /// A kubeconfig of the same rights, for programs; it goes away with the server.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig(&self) -> io::Result<PathBuf> {
        self.kubeconfig_of(ADMINISTRATOR)
    }

    /// A kubeconfig of one of the users.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig_of(&self, user: &str) -> io::Result<PathBuf> {
        let path = self.folder.path().join(format!("kubeconfig-{user}"));
        let kubeconfig = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "control-plane",
            "clusters": [{ "name": "control-plane", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port), "insecure-skip-tls-verify": true,
            } }],
            "contexts": [{ "name": "control-plane", "context": { "cluster": "control-plane", "user": user } }],
            "users": [{ "name": user, "user": { "token": self.tokens.get(user) } }],
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

    /// Where the requests of users are written, one a line.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.path().join(AUDIT_LOG)
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
fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let listeners = std::array::from_fn::<_, N, _>(|_| TcpListener::bind(("127.0.0.1", 0)));
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(listeners) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}

/// Sixteen random bytes as a word.
fn token() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The users' tokens, and the key that tokens of service accounts are signed with.
fn write_credentials(folder: &Path, tokens: &BTreeMap<String, String>) -> io::Result<()> {
    let lines = tokens.iter().map(|(user, token)| format!("{token},{user},{user},\"system:masters\"\n"));
    fs::write(folder.join("tokens.csv"), lines.collect::<String>())?;
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
        "--quota-backend-bytes=8589934592".into(), // thousands of clusters, with what they were before
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
        "--allow-privileged=true".into(),
        // The server is at no address that Endpoints could hold, so it publishes none.
        "--endpoint-reconciler-type=none".into(),
        // Pods get no tokens: where they run at all, they are stand-ins.
        "--disable-admission-plugins=ServiceAccount".into(),
    ]
}

/// Within the server's folder.
const AUDIT_LOG: &str = "audit.log";

/// Who asked what, without contents, and only of these users: each line costs the server time.
fn audit_flags(folder: &Path, users: &[&str]) -> io::Result<Vec<String>> {
    let policy = serde_json::json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [{ "level": "Metadata", "users": users }, { "level": "None" }],
    });
    let path = folder.join("audit-policy.json");
    fs::write(&path, policy.to_string())?;
    Ok(vec![
        format!("--audit-policy-file={}", path.display()),
        format!("--audit-log-path={}", folder.join(AUDIT_LOG).display()),
        "--audit-log-maxsize=100000".into(), // MiB: never another file
    ])
}
