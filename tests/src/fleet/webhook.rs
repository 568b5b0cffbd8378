//! The webhook as a process of its own, beside the fleet: what it costs to know every manifest.

use std::path::Path;
use std::time::Duration;

use rcgen::generate_simple_self_signed;

use super::Outcome;
use super::operator::{Cost, NAMESPACE, cost_of};
use super::world::World;
use crate::control_plane::WebhookProgram;

/// How long it is left alone after it says that it is ready.
const SETTLING: Duration = Duration::from_secs(10);

/// Starts the program beside the fleet, waits until it has read everything, and says what it costs then.
pub(super) async fn measure(world: &World, program: &Path, folder: &Path) -> Outcome<Cost> {
    let certificate = generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(folder.join("tls.crt"), certificate.cert.pem())?;
    std::fs::write(folder.join("tls.key"), certificate.signing_key.serialize_pem())?;
    let kubeconfig = world.control_plane.kubeconfig()?;
    let flags = ["--configuration-object", NAMESPACE, "--namespace", NAMESPACE];
    let webhook = WebhookProgram::start(program, &kubeconfig, folder, &flags).await?;
    tokio::time::sleep(SETTLING).await;
    cost_of(webhook.id().ok_or("the webhook has ended")?)
}
