//! Takes over what another operator made: its pods get a fingerprint, its objects become ours.
//!
//! Both once, and both before anything of the object is changed, so that being killed in between loses nothing. Which
//! fields are taken over is `shared::plan::ownership`'s decision; here they are only written, guarded by the version
//! that was read.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{Endpoints, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::json;
use shared::annotations::{APPLIED, FINGERPRINT};
use shared::api::FabricEventStream;
use shared::observed::PodIdentity;
use shared::plan::ownership::taken_over;
use shared::plan::pod_template::Fingerprint;
use shared::plan::{self, Difference, Kind, ObjectName};

use crate::context::Context;

use super::Error;
use super::apply::FIELD_MANAGER;
use super::observe::Seen;

/// Writes the fingerprints of pods that have none to these very pods. One that has gone needs none.
pub(super) async fn pods(recognised: &[(PodIdentity, Fingerprint)], ctx: &Context) -> Result<(), Error> {
    for (pod, fingerprint) in recognised {
        tracing::info!(pod = pod.name, "recognising a pod that another operator made");
        let pods: Api<Pod> = Api::namespaced(ctx.client.clone(), &pod.namespace);
        let annotations = json!({ FINGERPRINT: fingerprint.to_text() });
        let patch = json!({ "metadata": { "uid": pod.uid, "annotations": annotations } });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match pods.patch_metadata(&pod.name, &params, &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            result => drop(result.map_err(Error::kubernetes(format!("recognise pod {}", pod.name)))?),
        }
    }
    Ok(())
}

/// The objects among those to write that are there without our mark: somebody else made them.
pub(super) fn strangers(differences: &[Difference], seen: &Seen) -> BTreeSet<ObjectName> {
    let there: BTreeSet<&ObjectName> =
        differences.iter().filter(|one| one.field.is_some()).map(|one| &one.object).collect();
    if there.is_empty() {
        return BTreeSet::new();
    }
    let is_marked = |object: &serde_json::Value| {
        object.pointer("/metadata/annotations").is_some_and(|all| all.get(APPLIED).is_some())
    };
    let live = plan::objects(&seen.resources).into_iter();
    live.filter(|(name, object)| there.contains(name) && !is_marked(object)).map(|(name, _)| name).collect()
}

/// Makes upstream's fields of an object ours, so that the next apply removes those that are not wanted.
pub(super) async fn object(name: &ObjectName, ctx: &Context) -> Result<(), Error> {
    let resource = resource(name.kind);
    let api: Api<DynamicObject> = Api::namespaced_with(ctx.client.clone(), &name.namespace, &resource);
    let failed = |source| Error::kubernetes(format!("take over {name}"))(source);
    let Some(live) = api.get_metadata_opt(&name.name).await.map_err(failed)? else { return Ok(()) };
    let entries = live.metadata.managed_fields.as_deref().unwrap_or_default();
    let Some(entries) = taken_over(entries, name.kind) else { return Ok(()) };
    tracing::info!(object = %name, "taking over the fields that another operator wrote");
    let version = live.metadata.resource_version;
    let operations = json!([
        { "op": "test", "path": "/metadata/resourceVersion", "value": version },
        { "op": "replace", "path": "/metadata/managedFields", "value": entries },
    ]);
    let patch = serde_json::from_value(operations).map_err(|error| failed(kube::Error::SerdeError(error)))?;
    let patched = api.patch_metadata(&name.name, &PatchParams::default(), &Patch::Json::<()>(patch)).await;
    patched.map(drop).map_err(failed)
}

fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
        Kind::RoleBinding => ApiResource::erase::<RoleBinding>(&()),
        Kind::Service => ApiResource::erase::<Service>(&()),
        Kind::Endpoints => ApiResource::erase::<Endpoints>(&()),
        Kind::Secret => ApiResource::erase::<Secret>(&()),
        Kind::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
        Kind::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
        Kind::Deployment => ApiResource::erase::<Deployment>(&()),
        Kind::CronJob => ApiResource::erase::<CronJob>(&()),
        Kind::FabricEventStream => ApiResource::erase::<FabricEventStream>(&()),
    }
}
