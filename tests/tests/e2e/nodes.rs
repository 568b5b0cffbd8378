//! Nodes that go: their primaries leave in time, and a drain is not blocked.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, EvictParams, Patch, PatchParams};
use serde_json::json;
use tests::stage::{Cluster, SETTLED, Stage, Stop, Told, Writer, until};

/// Long enough for an eviction that is not refused.
const A_MOMENT: std::time::Duration = std::time::Duration::from_secs(3);
const TWO: &str = include_str!("../../fixtures/e2e/two-members.yaml");

pub(crate) async fn the_primary_leaves_a_cordoned_node_and_its_pod_can_be_evicted(stage: &Stage) -> Told {
    let cluster = stage.settled(TWO, 2).await?;
    let old_primary = cluster.primary().await?;
    let (node, other) = nodes_of(&cluster, &old_primary).await?;
    if node == other {
        return Stop::skipped("both members are on one node");
    }
    let pods: Api<Pod> = stage.api();
    // The client tries again for minutes when it is told that there are too many evictions.
    let eviction = tokio::time::timeout(A_MOMENT, pods.evict(&old_primary, &EvictParams::default())).await;
    assert!(!matches!(eviction, Ok(Ok(_))), "the disruption budget protects the primary");

    let watcher = cluster.watch().await?;
    let writer = Writer::begin(cluster.session("shop_owner", "shop").await?).await?;
    let nodes: Api<Node> = Api::all(stage.client());
    let (undo, name) = (nodes.clone(), node.clone());
    stage.afterwards(async move { cordon(&undo, &name, false).await });
    let begun = std::time::Instant::now();
    cordon(&nodes, &node, true).await?;
    until("another member leads", SETTLED, async || match cluster.primary().await? {
        primary if primary == old_primary => Stop::failed("the old one does"),
        _ => Ok(()),
    })
    .await?;
    stage.tell(format!("handed over after {:.1} s", begun.elapsed().as_secs_f32()));
    until("the pod can be evicted", SETTLED, async || {
        Ok(pods.evict(&old_primary, &EvictParams::default()).await?)
    })
    .await?;
    stage.tell(format!("evicted after {:.1} s", begun.elapsed().as_secs_f32()));
    writer.until_written_again().await?;
    cordon(&nodes, &node, false).await?;
    cluster.until_members_are(2).await?;
    cluster.until_running().await?;
    let written = writer.stop().await?;
    stage.tell(format!("primaries {:?}, {written:?}", watcher.primaries()));
    assert_eq!(watcher.primaries().len(), 2, "one switchover: {:?}", watcher.primaries());
    assert_eq!(written.lost, Vec::<u64>::new(), "no acknowledged row is missing");
    Ok(())
}

async fn cordon(nodes: &Api<Node>, name: &str, cordoned: bool) -> Told {
    let patch = Patch::Merge(json!({"spec": {"unschedulable": cordoned}}));
    nodes.patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// The nodes of this pod and of the other.
async fn nodes_of(cluster: &Cluster<'_>, pod: &str) -> Told<(String, String)> {
    let pods = cluster.pods().await?;
    let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    let (this, others): (Vec<&Pod>, Vec<&Pod>) =
        pods.iter().partition(|each| each.metadata.name.as_deref() == Some(pod));
    match (this.as_slice(), others.as_slice()) {
        ([this], [other]) => Ok((node(this), node(other))),
        _ => Stop::failed("there are not two members"),
    }
}
