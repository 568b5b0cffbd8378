//! The webhook as a process of its own, beside the fleet: what it costs to know every manifest.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rcgen::generate_simple_self_signed;
use tokio::process::Command;

use super::Outcome;
use super::operator::{Cost, NAMESPACE, cost_of, get};
use super::world::World;

/// How long it may take until it knows all.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long it is left alone after it says that it is ready.
const SETTLING: Duration = Duration::from_secs(10);

/// Starts the program beside the fleet, waits until it has read everything, and says what it costs then.
pub(super) async fn measure(world: &World, program: &Path, folder: &Path) -> Outcome<Cost> {
    let certificate = generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(folder.join("tls.crt"), certificate.cert.pem())?;
    std::fs::write(folder.join("tls.key"), certificate.signing_key.serialize_pem())?;
    let [reviews, probes] = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?]
        .map(|listener| listener.local_addr());
    let (reviews, probes) = (reviews?, probes?);
    let webhook = Command::new(program)
        .arg("serve")
        .args(["--listen", &reviews.to_string(), "--probes", &probes.to_string()])
        .arg("--tls-dir")
        .arg(folder)
        .args(["--configuration-object", NAMESPACE, "--namespace", NAMESPACE])
        .env("KUBECONFIG", world.control_plane.kubeconfig()?)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let ready = async {
        while !get(probes.port(), "/readyz").await.is_some_and(|answer| answer.contains(" 200 ")) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.map_err(|_| "the webhook does not become ready")?;
    tokio::time::sleep(SETTLING).await;
    cost_of(webhook.id().ok_or("the webhook has ended")?)
}
