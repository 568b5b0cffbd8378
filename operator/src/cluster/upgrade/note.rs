//! What of an upgrade stands on objects: the notes on the manifest, and the label that shields the pods.
//!
//! A note is written only where the manifest still says what whoever writes it has seen, so that of two operators one
//! begins, and an end is told once.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::core::ObjectMeta;
use serde_json::{Value, json};
use shared::annotations::{UPGRADE_BEGUN, UPGRADE_FAILED};
use shared::api::Postgresql;
use shared::labels::CRITICAL_OPERATION;
use shared::observed::{Attempt, PodIdentity};

use crate::context::Context;

use super::Error;

/// How often a note is tried where others write to the manifest at the same time.
const TRIES: usize = 5;

/// What a manifest must still say for a note to be right.
#[derive(Clone, Copy)]
pub(super) enum Still<'a> {
    /// Nothing of an upgrade, and it asks for what it asked for.
    Due,
    /// That this attempt was begun.
    Begun(&'a Attempt),
    /// That one failed.
    Failed,
}

impl Still<'_> {
    fn is_said_by(self, now: &ObjectMeta, seen: &Postgresql) -> bool {
        let note = |key: &str| now.annotations.as_ref().and_then(|all| all.get(key));
        let begun = note(UPGRADE_BEGUN).and_then(|text| Attempt::parse(text));
        now.uid == seen.metadata.uid
            && match self {
                Self::Due => {
                    let same = now.generation == seen.metadata.generation && now.deletion_timestamp.is_none();
                    same && begun.is_none() && note(UPGRADE_FAILED).is_none()
                }
                Self::Begun(attempt) => begun.as_ref() == Some(attempt),
                Self::Failed => begun.is_none() && note(UPGRADE_FAILED).is_some(),
            }
    }
}

/// Merges annotations into the manifest, `null` takes one away, if it still says what was seen. Whether it did.
pub(super) async fn write(
    manifest: &Postgresql,
    still: Still<'_>,
    annotations: &Value,
    ctx: &Context,
) -> Result<bool, Error> {
    let error = || Error::kubernetes("note a major upgrade on the manifest");
    let api: Api<Postgresql> = Api::namespaced(ctx.client.clone(), &manifest.namespace().unwrap_or_default());
    let name = manifest.name_any();
    let mut tries = 0;
    loop {
        tries += 1;
        let Some(now) = api.get_metadata_opt(&name).await.map_err(error())? else { return Ok(false) };
        if !still.is_said_by(&now.metadata, manifest) {
            return Ok(false);
        }
        let version = &now.metadata.resource_version;
        let metadata =
            json!({"uid": now.metadata.uid, "resourceVersion": version, "annotations": annotations});
        let patch = json!({ "metadata": metadata });
        match api.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(written) => {
                ctx.stores.wrote(&written);
                return Ok(true);
            }
            Err(kube::Error::Api(status)) if status.is_conflict() && tries < TRIES => {}
            Err(source) => return Err(error()(source)),
        }
    }
}

/// Puts the pods under the second disruption budget, or takes them out.
pub(super) async fn mark_critical(pods: &[PodIdentity], critical: bool, ctx: &Context) -> Result<(), Error> {
    for pod in pods {
        let api: Api<Pod> = Api::namespaced(ctx.client.clone(), &pod.namespace);
        let value = if critical { json!("true") } else { Value::Null };
        let patch = json!({"metadata": {"labels": {CRITICAL_OPERATION: value}}});
        match api.patch_metadata(&pod.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            result => drop(result.map_err(Error::kubernetes(format!("label {}", pod.name)))?),
        }
    }
    Ok(())
}
