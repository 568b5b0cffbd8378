//! The finalizer on the manifest: with it a deleted manifest stays until its objects are taken down.
//!
//! Both patches carry a `test`, so they never undo what somebody else did to the list in between.

use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use shared::api::{FINALIZER, Postgresql};
use shared::cluster::Cluster;

use crate::context::Context;

use super::Error;

/// Puts the finalizer on, or takes it off, as configured.
pub(super) async fn keep(manifest: &Postgresql, cluster: &Cluster, ctx: &Context) -> Result<(), Error> {
    let present = manifest.finalizers().iter().any(|name| name == FINALIZER);
    match (cluster.policy().finalizer, present) {
        (true, false) => add(manifest, ctx).await,
        (false, true) => remove(manifest, ctx).await,
        (true, true) | (false, false) => Ok(()),
    }
}

async fn add(manifest: &Postgresql, ctx: &Context) -> Result<(), Error> {
    let same = json!({"op": "test", "path": "/metadata/uid", "value": manifest.metadata.uid});
    let operation = match manifest.finalizers() {
        [] => json!({"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]}),
        _ => json!({"op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER}),
    };
    patch(manifest, ctx, json!([same, operation]), "add the finalizer").await
}

/// Lets the manifest go. One that is gone already is no error.
pub(super) async fn remove(manifest: &Postgresql, ctx: &Context) -> Result<(), Error> {
    let Some(index) = manifest.finalizers().iter().position(|name| name == FINALIZER) else { return Ok(()) };
    let path = format!("/metadata/finalizers/{index}");
    let operations = json!([
        {"op": "test", "path": path, "value": FINALIZER},
        {"op": "remove", "path": path},
    ]);
    match patch(manifest, ctx, operations, "remove the finalizer").await {
        Err(Error::Kubernetes { source: kube::Error::Api(status), .. }) if status.is_not_found() => Ok(()),
        result => result,
    }
}

async fn patch(manifest: &Postgresql, ctx: &Context, operations: Value, act: &str) -> Result<(), Error> {
    let api: Api<Postgresql> = Api::namespaced(ctx.client.clone(), &manifest.namespace().unwrap_or_default());
    let patch: json_patch::Patch = serde_json::from_value(operations)
        .map_err(|error| Error::Kubernetes { act: act.to_owned(), source: kube::Error::SerdeError(error) })?;
    let patched =
        api.patch_metadata(&manifest.name_any(), &PatchParams::default(), &Patch::Json::<()>(patch)).await;
    patched.map(drop).map_err(Error::kubernetes(act))
}
