//! Volumes: each claim that waits gets one, of nothing. The controllers bind the two, as with any provisioner.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::task::JoinSet;

use super::Outcome;

const CLASS: &str = "nothing";
/// How many claims are served at once.
const AT_ONCE: usize = 32;

/// Makes the default class, and serves claims in the background.
pub(super) async fn start(client: &Client, tasks: &mut JoinSet<()>) -> Outcome<()> {
    let classes: Api<StorageClass> = Api::all(client.clone());
    let class = serde_json::from_value(json!({
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "stand-in/nothing", "allowVolumeExpansion": true, "volumeBindingMode": "Immediate",
    }))?;
    classes.create(&PostParams::default(), &class).await?;
    let client = client.clone();
    tasks.spawn(async move {
        let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
        let changes = watcher(claims, watcher::Config::default()).default_backoff().applied_objects();
        let waiting = changes.filter_map(async |claim| claim.ok()).filter(|claim| {
            let waits = claim.spec.as_ref().is_some_and(|spec| spec.volume_name.is_none());
            std::future::ready(waits && claim.metadata.deletion_timestamp.is_none())
        });
        waiting
            .for_each_concurrent(AT_ONCE, |claim| {
                let volumes: Api<PersistentVolume> = Api::all(client.clone());
                async move {
                    let made = match volume(&claim) {
                        Ok(volume) => volumes.create(&PostParams::default(), &volume).await.map(drop),
                        Err(error) => Err(kube::Error::SerdeError(error)),
                    };
                    match made {
                        // The claim was told of twice before it was bound.
                        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                        Err(error) => tracing::warn!(%error, claim = claim.name_any(), "no volume"),
                        Ok(()) => {}
                    }
                }
            })
            .await;
    });
    Ok(())
}

/// A volume for this claim alone.
fn volume(claim: &PersistentVolumeClaim) -> serde_json::Result<PersistentVolume> {
    let uid = claim.uid().unwrap_or_default();
    let wish =
        claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()).and_then(|all| all.requests.as_ref());
    serde_json::from_value(json!({
        "metadata": {"name": format!("volume-{uid}")},
        "spec": {
            "capacity": wish, "accessModes": ["ReadWriteOnce"], "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/nowhere"},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": uid,
                "namespace": claim.namespace(), "name": claim.name_any()},
        },
    }))
}
