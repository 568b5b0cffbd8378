//! Makes claims grow. The storage driver does the rest, and no pod is touched.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use serde_json::json;
use shared::cluster::{Cluster, Identity};
use shared::names;
use shared::plan::{Growth, Storage, storage};

use crate::context::Context;

use super::Error;

/// What is to be done about the volumes of a cluster, and what is under way.
pub(super) fn look(cluster: &Cluster, ctx: &Context) -> Storage {
    let claims = claims(cluster, ctx);
    storage(cluster, claims.iter().map(AsRef::as_ref))
}

/// The claims of the members, and of members that there were before: their ordinals go on without a gap.
pub(super) fn claims(cluster: &Cluster, ctx: &Context) -> Vec<Arc<PersistentVolumeClaim>> {
    let Identity { name, namespace, .. } = cluster.identity();
    let store = &ctx.stores.volume_claims;
    let claim = |ordinal| store.get(&ObjectRef::new(&names::data_claim(name, ordinal)).within(namespace));
    let members = (0..cluster.members()).filter_map(claim);
    members.chain((cluster.members()..).map_while(claim)).collect()
}

/// Asks for larger volumes. One that is refused, because its StorageClass cannot expand, does not stop the others.
pub(super) async fn grow(cluster: &Cluster, claims: &[Growth], ctx: &Context) -> Result<(), Error> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(ctx.client.clone(), &cluster.identity().namespace);
    let mut first_refusal = None;
    for Growth { claim, uid, from, to } in claims {
        tracing::info!(claim, from, to, "a volume has to grow");
        let patch = json!({
            "metadata": {"uid": uid}, "spec": {"resources": {"requests": {"storage": to}}},
        });
        match api.patch(claim, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            Err(error) if first_refusal.is_none() => {
                first_refusal = Some(Error::kubernetes(format!("grow {claim} from {from} to {to}"))(error));
            }
            Ok(_) | Err(_) => {}
        }
    }
    first_refusal.map_or(Ok(()), Err)
}
