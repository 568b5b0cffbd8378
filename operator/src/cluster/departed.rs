//! Clusters whose manifest went without our finalizer: with finalizers switched off, or before there was one.
//!
//! The event of the deletion starts the same list as a manifest that waits for us. Before anything is deleted the primary's
//! Service is marked, and it goes last: so an operator that is stopped in the middle is followed by one that goes on. A
//! cluster whose manifest is merely *missing* is left alone and told: a restored backup that lacks the manifests, a
//! definition that was deleted and came back, must not cost a database.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use serde_json::json;
use shared::annotations::{CONTROLLER, DELETED};
use shared::names::{self, MemberRole};

use crate::context::Context;

use super::delete::{LOOK_AGAIN, Takedown, unprotected};
use super::stores::{ClusterRef, Manifest};
use super::{Error, place};
use crate::controller;

/// Takes down what a manifest that is gone has left behind.
///
/// # Errors
/// What could not be deleted; it is tried again.
#[tracing::instrument(skip_all, fields(cluster = %place(&*manifest)))]
pub async fn take_down(manifest: Arc<Manifest>, ctx: Arc<Context>) -> Result<Action, Error> {
    let metadata = manifest.meta();
    if metadata.annotations.as_ref().and_then(|all| all.get(CONTROLLER)) != ctx.controller_id.as_ref() {
        return Ok(finished(&manifest, &ctx));
    }
    let Some(_look) = ctx.mandate.begin(&ClusterRef::from_obj(&*manifest)) else {
        return Ok(Action::await_change()); // kept until it is ours, or until the one whose it is has done it
    };
    // Queued while another acted, and forgotten when it became ours: nothing under this name is ours to take down.
    if !ctx.stores.departed.is_kept(&manifest) {
        return Ok(Action::await_change());
    }
    let takedown = Takedown::of(&*manifest, ctx.as_ref());
    if !is_marked(metadata, &ctx) {
        if let Err(errors) = unprotected(metadata, &ctx) {
            tracing::warn!(%errors, "the manifest is gone and its cluster is protected from deletion; it stays");
            return Ok(finished(&manifest, &ctx));
        }
        mark(metadata, &ctx).await?;
    }
    if !takedown.go_on().await? {
        return Ok(Action::requeue(LOOK_AGAIN));
    }
    tracing::info!("nothing is left of the cluster");
    Ok(finished(&manifest, &ctx))
}

/// Forgets the manifest, and looks at one that may have come after it.
fn finished(manifest: &Manifest, ctx: &Context) -> Action {
    ctx.stores.departed.forget(manifest);
    ctx.stores.forget(&manifest.uid().unwrap_or_default());
    ctx.rolling.leave(&ClusterRef::from_obj(manifest));
    ctx.metrics.cluster_gone(&place(manifest));
    ctx.proofs.forget(&place(manifest));
    ctx.stores.look_at(ClusterRef::from_obj(manifest));
    Action::await_change()
}

/// Whether the takedown has begun, by whomever.
fn is_marked(metadata: &ObjectMeta, ctx: &Context) -> bool {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let service = ctx.stores.services.get(&ObjectRef::new(&service_of(metadata)).within(namespace));
    service.is_some_and(|service| service.annotations().get(DELETED) == metadata.uid.as_ref())
}

/// The Service that goes last.
fn service_of(metadata: &ObjectMeta) -> String {
    names::service(metadata.name.as_deref().unwrap_or_default(), MemberRole::Primary)
}

/// Writes down that the cluster is to go, and whose it was. Where there is no Service there is hardly anything else.
async fn mark(metadata: &ObjectMeta, ctx: &Context) -> Result<(), Error> {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let services: Api<Service> = Api::namespaced(ctx.client.clone(), namespace);
    let annotations = json!({ DELETED: metadata.uid, CONTROLLER: ctx.controller_id });
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    match services.patch_metadata(&service_of(metadata), &PatchParams::default(), &patch).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        result => result.map(drop).map_err(Error::kubernetes("mark the cluster as deleted")),
    }
}

/// Goes on with what another operator has begun, and tells which clusters have no manifest. Before the first look at the
/// clusters that `is_ours` picks.
pub fn resume(ctx: &Context, is_ours: impl Fn(&ClusterRef) -> bool) {
    let stores = &ctx.stores;
    forget_what_another_has_done(ctx, &is_ours);
    for service in stores.services.all() {
        let Some(uid) = service.annotations().get(DELETED) else { continue };
        let here: ClusterRef =
            ObjectRef::new(&service.name_any()).within(&service.namespace().unwrap_or_default());
        if !is_ours(&here) {
            continue;
        }
        // A mark with the UID of a manifest that is there is no mark of ours.
        if stores.manifests.get(&here).is_some_and(|manifest| manifest.uid().as_ref() == Some(uid)) {
            continue;
        }
        let mut annotations = service.annotations().clone();
        annotations.retain(|key, _| key == CONTROLLER);
        let metadata = ObjectMeta {
            name: Some(service.name_any()),
            namespace: service.namespace(),
            uid: Some(uid.clone()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        };
        let error = "the manifest is gone".to_owned();
        stores.departed.note(&DeserializeGuard(Err(InvalidObject { error, metadata })));
    }
    for manifest in stores.departed.manifests.state() {
        let here = ClusterRef::from_obj(&*manifest);
        if is_ours(&here) {
            stores.departed.changes.push(here);
        }
    }
    tell_orphans(ctx, &is_ours);
}

/// While we waited, manifests went and others came under their names: the operator before us has taken down what was
/// there, or had not begun to. Either way it is the new manifest's now, and a deletion of long ago must not reach it.
fn forget_what_another_has_done(ctx: &Context, is_ours: &impl Fn(&ClusterRef) -> bool) {
    let stores = &ctx.stores;
    for gone in stores.departed.manifests.state() {
        let here = ClusterRef::from_obj(&*gone);
        let another = stores.manifests.get(&here).is_some_and(|manifest| manifest.uid() != gone.uid());
        if is_ours(&here) && another && !is_marked(gone.meta(), ctx) {
            stores.departed.forget(&gone);
        }
    }
}

/// Tells which clusters have no manifest and are left alone.
fn tell_orphans(ctx: &Context, is_ours: &impl Fn(&ClusterRef) -> bool) {
    // A StatefulSet is called as its cluster.
    let clusters = ctx.stores.stateful_sets.names().into_iter().map(|set| set.into_kind_unchecked(()));
    let is_orphan = |here: &ClusterRef| {
        is_ours(here) && !ctx.stores.manifests.contains(here) && !ctx.stores.departed.has(here)
    };
    let clusters: BTreeSet<String> =
        clusters.filter(is_orphan).map(|cluster| controller::place(&cluster)).collect();
    ctx.metrics.without_manifest(clusters.len());
    for cluster in clusters {
        let advice = "apply its manifest again, or delete its objects";
        tracing::warn!(cluster, advice, "a cluster without a manifest is left alone");
    }
}
