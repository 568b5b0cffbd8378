//! The Node objects, and the leases that say they live.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tracing::warn;

use super::kubelet::FIELD_MANAGER;

/// As a kubelet's.
const LEASE_SECONDS: i32 = 40;
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// Why a node is not there.
#[derive(Debug, thiserror::Error)]
#[error("could not register node {name}")]
pub struct RegisterError {
    name: String,
    source: kube::Error,
}

/// Makes a node, Ready; safe to repeat.
///
/// # Errors
/// When the API server refuses.
pub async fn register(client: &Client, name: &str) -> Result<(), RegisterError> {
    let failed = |source| RegisterError { name: name.to_owned(), source };
    let nodes: Api<Node> = Api::all(client.clone());
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    renew(client, name).await.map_err(failed)?;
    nodes.patch(name, &parameters, &Patch::Apply(&object(name))).await.map_err(failed)?;
    let status = status(name, Timestamp::now());
    nodes.patch_status(name, &PatchParams::default(), &Patch::Strategic(&status)).await.map_err(failed)?;
    Ok(())
}

/// Renews the lease for ever; while the API server does not answer, quietly tries again.
pub async fn keep_alive(client: Client, name: String) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        if let Err(error) = renew(&client, &name).await {
            warn!(%error, name, "could not renew the lease");
        }
    }
}

async fn renew(client: &Client, name: &str) -> Result<(), kube::Error> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": format!("{:.6}", Timestamp::now()),
        },
    });
    leases.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&lease)).await.map(drop)
}

fn object(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
                "process-node/containers": "none",
            },
            "annotations": {"process-node/simulated": "pods are processes of one user, without containers"},
        },
    })
}

fn status(name: &str, now: Timestamp) -> Value {
    let room = json!({"cpu": "16", "memory": "64Gi", "ephemeral-storage": "100Gi", "pods": "110"});
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": "a process node has no limits of its own",
               "lastHeartbeatTime": now, "lastTransitionTime": now})
    };
    json!({"status": {
        "capacity": room,
        "allocatable": room,
        "conditions": [
            condition("Ready", "True", "ProcessNodeRuns"),
            condition("MemoryPressure", "False", "NotMeasured"),
            condition("DiskPressure", "False", "NotMeasured"),
            condition("PIDPressure", "False", "NotMeasured"),
        ],
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
        "nodeInfo": {
            "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "kubeProxyVersion": "",
            "osImage": "processes, no containers", "containerRuntimeVersion": "process-node://0.1",
            "kubeletVersion": "process-node-0.1", "operatingSystem": "linux",
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        },
    }})
}
