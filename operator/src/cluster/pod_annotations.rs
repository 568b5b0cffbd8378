//! Writes annotations to pods that run: no pod is recreated for one.
//!
//! Before the StatefulSet is written, see `shared::plan::pod_annotations`.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use serde_json::json;
use shared::build::Resources;
use shared::cluster::Cluster;
use shared::plan::pod_annotations::changes;

use crate::context::Context;

use super::Error;
use super::observe::Seen;

/// Brings the annotations of the pods that were seen to what the template says. A pod that has gone needs none; one that
/// came back as another ends the look, because what is to go is forgotten as soon as the StatefulSet is written.
pub(super) async fn refresh(
    cluster: &Cluster,
    desired: &Resources,
    seen: &Seen,
    ctx: &Context,
) -> Result<(), Error> {
    let (live, desired) = (seen.resources.stateful_set.as_ref(), desired.stateful_set.as_ref());
    for identity in seen.observed.pods.iter().filter(|pod| !pod.terminating).map(|pod| &pod.identity) {
        let pod = ctx.stores.pods.get(&ObjectRef::new(&identity.name).within(&identity.namespace));
        let Some(pod) = pod.filter(|pod| pod.uid().as_ref() == Some(&identity.uid)) else { continue };
        let annotations = changes(cluster, live, desired, pod.annotations());
        if annotations.is_empty() {
            continue;
        }
        tracing::info!(pod = identity.name, keys = ?annotations.keys(), "annotating a running pod");
        let pods: Api<Pod> = Api::namespaced(ctx.client.clone(), &identity.namespace);
        let patch = json!({ "metadata": { "uid": identity.uid, "annotations": annotations } });
        match pods.patch_metadata(&identity.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            result => drop(result.map_err(Error::kubernetes(format!("annotate pod {}", identity.name)))?),
        }
    }
    Ok(())
}
