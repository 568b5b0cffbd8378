//! How long a review takes, over TLS on loopback with connections that stay, beside a bare TLS echo in the same run.
//!
//! `cargo bench --package webhook --bench reviews` prints a table for docs/performance.md. The webhook is the program
//! that is shipped, as a process of its own, so that its memory is its own; it is given no Kubernetes to talk to. The
//! echo answers what it was sent, through the same TLS and HTTP. Nothing is asserted: figures are for reading.
//! `PEER=program` measures another operator's webhook in the same run (`benches/peer`).
//!
//! On a virtual machine most of the time that one connection waits is another processor waking up. So one connection is
//! measured once more with everything on one processor, where nobody sleeps: that is what a review costs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement may be blunt")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use axum::{Router, body::Bytes};
use certs::authority::Authority;
use http_body_util::BodyExt;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use shared::config::OperatorConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use webhook::metrics::Metrics;
use webhook::serve;
use webhook::tls::{Certificate, Files};

const NAME: &str = "localhost";
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURE: Duration = Duration::from_secs(5);

/// The process that echoes is this program again.
const ECHO: &str = "BENCH_ECHO";

/// Which table this process measures; the first one starts the other.
#[derive(Clone, Copy, PartialEq)]
enum Processors {
    All,
    One,
}

impl Processors {
    /// Set for the process that is bound to one processor.
    const ONE: &'static str = "BENCH_ONE_PROCESSOR";

    fn of_this_process() -> Self {
        if std::env::var_os(Self::ONE).is_some() { Self::One } else { Self::All }
    }

    fn connections(self) -> &'static [usize] {
        match self {
            Self::All => &[1, 16],
            Self::One => &[1],
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::One => "one",
        }
    }

    /// Measures again on the first processor, which the servers inherit.
    fn again_on_one() {
        let program = std::env::current_exe().unwrap();
        let bound = Command::new("taskset")
            .args(["--cpu-list", "0"])
            .arg(program)
            .arg("--bench")
            .envs([(Self::ONE, "1"), ("TOKIO_WORKER_THREADS", "1")])
            .status();
        match bound {
            Ok(status) => assert!(status.success()),
            Err(error) => println!("\nnot measured on one processor: taskset: {error}"),
        }
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if let Ok(place) = std::env::var(ECHO) {
        return runtime.block_on(echo(&place));
    }
    // As a test of all targets it only has to start.
    if std::env::args().all(|argument| argument != "--bench") {
        return;
    }
    let processors = Processors::of_this_process();
    runtime.block_on(measure(processors));
    if processors == Processors::All {
        Processors::again_on_one();
    }
}

/// `DIRECTORY ADDRESS`: answers every request with its body.
async fn echo(place: &str) {
    let (directory, address) = place.split_once(' ').unwrap();
    let files = Files::within(Path::new(directory));
    let certificate = Certificate::load(files, Arc::new(Metrics::default())).await.unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let app = Router::new().route("/echo", post(|body: Bytes| async move { body }));
    let (_open, closed) = watch::channel(false);
    serve::accept(listener, Arc::new(certificate.server_config().unwrap()), app, closed).await;
}

/// A server process that ends with the measurement.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn resident(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
        format!("{:.1} MiB", kilobytes / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn start_webhook(directory: &Path) -> Server {
    let address = free_address();
    let kubeconfig = directory.join("kubeconfig");
    // Nobody listens on port 1: every watch fails, and costs no answer.
    let nowhere = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "nowhere",
        "clusters": [{"name": "nowhere", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
        "users": [{"name": "nobody", "user": {}}],
    });
    std::fs::write(&kubeconfig, nowhere.to_string()).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_webhook"))
        .arg("serve")
        .args(["--listen", &address.to_string(), "--probes", &free_address().to_string()])
        .args(["--tls-dir", &directory.display().to_string(), "--drain-seconds", "0"])
        .env("KUBECONFIG", kubeconfig)
        .env("RUST_LOG", "off")
        .spawn()
        .unwrap();
    Server { child, address }
}

/// The program that `PEER` names: another operator's webhook, which asks no Kubernetes either.
fn start_peer(directory: &Path) -> Option<Server> {
    let program = std::env::var_os("PEER")?;
    let address = free_address();
    let child = Command::new(program).arg(directory).arg(address.to_string()).spawn().unwrap();
    Some(Server { child, address })
}

fn start_echo(directory: &Path) -> Server {
    let address = free_address();
    let child = Command::new(std::env::current_exe().unwrap())
        .env(ECHO, format!("{} {address}", directory.display()))
        .spawn()
        .unwrap();
    Server { child, address }
}

struct Client {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Client {
    async fn connect(&self) -> SendRequest<Body> {
        let begun = Instant::now();
        let stream = loop {
            match TcpStream::connect(self.address).await {
                Ok(stream) => break stream,
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        stream.set_nodelay(true).unwrap();
        let stream = self.tls.connect(ServerName::try_from(NAME).unwrap(), stream).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }
}

async fn ask(sender: &mut SendRequest<Body>, path: &'static str, body: Bytes) -> (StatusCode, Bytes) {
    sender.ready().await.unwrap();
    let request = Request::post(path)
        .header("host", NAME)
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let code = response.status();
    (code, response.into_body().collect().await.unwrap().to_bytes())
}

/// Microseconds of every request that was answered within the time.
async fn load(client: &Client, path: &'static str, body: &Bytes, connections: usize) -> Vec<f64> {
    let mut workers = Vec::new();
    for _ in 0..connections {
        let (mut sender, body) = (client.connect().await, body.clone());
        workers.push(tokio::spawn(async move {
            let begun = Instant::now();
            let mut took = Vec::new();
            while begun.elapsed() < WARM_UP + MEASURE {
                let asked = Instant::now();
                let (code, _) = ask(&mut sender, path, body.clone()).await;
                assert_eq!(code, StatusCode::OK);
                if begun.elapsed() > WARM_UP {
                    took.push(asked.elapsed().as_secs_f64() * 1e6);
                }
            }
            took
        }));
    }
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.unwrap());
    }
    all.sort_by(f64::total_cmp);
    all
}

/// What a review of a full manifest weighs, in bytes.
const WEIGHT: usize = 4096;

/// A full manifest: the largest golden one, with the sections of others until its review is heavy enough.
fn manifest() -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/golden/manifests");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let manifests = paths
        .map(|path| -> Value { serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap() });
    let mut all: Vec<Value> = manifests.collect();
    all.sort_by_key(|manifest| std::cmp::Reverse(manifest.to_string().len()));
    let mut manifest = all.remove(0);
    for (section, value) in all.iter().flat_map(|other| other["spec"].as_object().unwrap()) {
        let mut fuller = manifest.clone();
        if fuller["spec"].get(section).is_none() {
            fuller["spec"][section] = value.clone();
        }
        let is_light = manifest.to_string().len() * 2 < WEIGHT;
        if is_light && shared::admission::mutate(&fuller, &OperatorConfig::default()).is_ok() {
            manifest = fuller;
        }
    }
    // What `kubectl apply` leaves beside a manifest makes up the rest of a real review.
    let copy = manifest.to_string();
    manifest["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = copy.into();
    manifest
}

fn review(old: &Value, new: &Value) -> Bytes {
    let operation = if old.is_null() { "CREATE" } else { "UPDATE" };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "acid.zalan.do", "version": "v1", "kind": "postgresql"},
            "resource": {"group": "acid.zalan.do", "version": "v1", "resource": "postgresqls"},
            "name": new["metadata"]["name"], "namespace": "default", "operation": operation,
            "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
            "object": new, "oldObject": old, "dryRun": false,
        },
    });
    Bytes::from(review.to_string())
}

async fn measure(processors: Processors) {
    let directory = std::env::temp_dir().join(format!("webhook-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let client_config = certificate(&directory);
    let tls = TlsConnector::from(Arc::new(client_config));
    let new = manifest();
    let create = review(&Value::Null, &new);
    let mut old = new.clone();
    old["spec"]["numberOfInstances"] = json!(1);
    let update = review(&old, &new);

    if processors == Processors::All {
        println!("| what | bytes | processors | connections | p50 | p99 | a second | memory |");
        println!("|---|---|---|---|---|---|---|---|");
    }
    let (webhook, echo, peer) = (start_webhook(&directory), start_echo(&directory), start_peer(&directory));
    let peers = Bytes::from_static(include_bytes!("peer/review.json"));
    let mut measured = vec![
        ("TLS echo", &echo, "/echo", &create),
        ("validate a new manifest", &webhook, "/validate", &create),
        ("mutate a new manifest", &webhook, "/mutate", &create),
        ("validate a change, with its plan", &webhook, "/validate", &update),
    ];
    if let Some(peer) = &peer {
        measured.push(("the peer validates", peer, "/validate-postgresql-cnpg-io-v1-cluster", &peers));
        measured.push(("the peer mutates", peer, "/mutate-postgresql-cnpg-io-v1-cluster", &peers));
    }
    for &connections in processors.connections() {
        for &(what, server, path, body) in &measured {
            let client = Client { address: server.address, tls: tls.clone() };
            let took = load(&client, path, body, connections).await;
            let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
            println!(
                "| {what} | {} | {} | {connections} | {:.0} µs | {:.0} µs | {:.0} | {} |",
                body.len(),
                processors.label(),
                at(0.5),
                at(0.99),
                took.len() as f64 / MEASURE.as_secs_f64(),
                server.resident()
            );
        }
    }
    let _ = std::fs::remove_dir_all(&directory);
}

/// Writes a pair for the servers; what a client needs to trust it.
fn certificate(directory: &Path) -> ClientConfig {
    let day = SignedDuration::from_hours(24);
    let authority = Authority::create(day, Timestamp::now()).unwrap();
    let pair = authority.issue(&[NAME.to_owned()], day, Timestamp::now()).unwrap();
    std::fs::write(directory.join("tls.crt"), pair.certificate).unwrap();
    std::fs::write(directory.join("tls.key"), pair.key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap()).unwrap();
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}
