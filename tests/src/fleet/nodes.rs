//! Nodes that take every pod: the objects, and the leases that say they live.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::Outcome;

const FIELD_MANAGER: &str = "fleet";
/// As a kubelet's.
const LEASE_SECONDS: i32 = 40;
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// One per zone, as a small fleet has them.
const NODES: usize = 3;

/// Makes the nodes, Ready, and keeps them alive.
pub(super) async fn start(client: &Client) -> Outcome<()> {
    for number in 0..NODES {
        let name = format!("node-{number}");
        register(client, &name).await?;
        let client = client.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                if let Err(error) = renew(&client, &name).await {
                    tracing::debug!(%error, name, "could not renew the lease");
                }
            }
        });
    }
    Ok(())
}

async fn register(client: &Client, name: &str) -> kube::Result<()> {
    renew(client, name).await?;
    let nodes: Api<Node> = Api::all(client.clone());
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": name,
        }},
    });
    nodes.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&node)).await?;
    let (room, now) = (json!({"cpu": "1000000", "memory": "1000Ti", "pods": "1000000"}), Timestamp::now());
    let condition = |kind: &str, status: &str| {
        json!({"type": kind, "status": status, "reason": "StandIn", "message": "",
               "lastHeartbeatTime": now, "lastTransitionTime": now})
    };
    let status = json!({"status": {
        "capacity": room, "allocatable": room,
        "conditions": [condition("Ready", "True"), condition("MemoryPressure", "False"),
            condition("DiskPressure", "False"), condition("PIDPressure", "False")],
    }});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Strategic(&status)).await.map(drop)
}

async fn renew(client: &Client, name: &str) -> kube::Result<()> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": format!("{:.6}", Timestamp::now())},
    });
    leases.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&lease)).await.map(drop)
}
