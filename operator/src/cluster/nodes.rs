//! Which members have to leave their nodes, and which of them would find no other.
//!
//! The nodes come from their watch. Where a volume can be used stands in its PersistentVolume, and that is asked for only
//! while a member's node is to be left: at rest nothing is.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, NodeSelector, PersistentVolume};
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;
use shared::cluster::Cluster;
use shared::names;
use shared::observed::ObservedPod;
use shared::rollout;

use crate::context::Context;

use super::Error;

/// What the nodes mean to one cluster.
#[derive(Debug, Default)]
pub(super) struct Ground {
    /// The nodes that its members have to leave.
    pub(super) leaving: BTreeSet<String>,
    /// The members there that no other node could take.
    pub(super) stranded: BTreeSet<String>,
}

/// Looks at the nodes, and at the volumes of members that have to move.
pub(super) async fn look(cluster: &Cluster, pods: &[ObservedPod], ctx: &Context) -> Ground {
    let nodes: Vec<Arc<Node>> = ctx.stores.nodes.all().collect();
    let leaving = rollout::leaving(cluster, nodes.iter().map(AsRef::as_ref));
    let mut ground = Ground { leaving, stranded: BTreeSet::new() };
    for pod in pods {
        if !pod.node.as_ref().is_some_and(|node| ground.leaving.contains(node)) {
            continue;
        }
        let moves = match volume_affinity(cluster, pod, ctx).await {
            Ok(affinity) => {
                rollout::finds_shelter(cluster, affinity.as_ref(), nodes.iter().map(AsRef::as_ref))
            }
            Err(error) => {
                tracing::warn!(
                    pod = pod.identity.name,
                    error = super::told(&error),
                    "a member does not move"
                );
                false
            }
        };
        if !moves {
            ground.stranded.insert(pod.identity.name.clone());
        }
    }
    ground
}

/// On which nodes the volume of a member can be used; none where it is not said, or where we may not know.
async fn volume_affinity(
    cluster: &Cluster,
    pod: &ObservedPod,
    ctx: &Context,
) -> Result<Option<NodeSelector>, Error> {
    let identity = cluster.identity();
    let claim = names::data_claim(&identity.name, pod.ordinal);
    let claim = ctx.stores.volume_claims.get(&ObjectRef::new(&claim).within(&identity.namespace));
    let Some(name) = claim.and_then(|claim| claim.spec.as_ref()?.volume_name.clone()) else {
        return Ok(None);
    };
    let volumes: Api<PersistentVolume> = Api::all(ctx.client.clone());
    match volumes.get_opt(&name).await {
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            tracing::debug!(volume = name, "the operator may not read volumes; the member is taken to move");
            Ok(None)
        }
        found => {
            let found = found.map_err(Error::kubernetes(format!("read PersistentVolume {name}")))?;
            Ok(found.and_then(|volume| volume.spec?.node_affinity?.required))
        }
    }
}
