//! Our image in Zalando's own installation: its Deployment, its rights, its ConfigMap and variables. It takes over a cluster
//! that another operator has made, and no pod restarts.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, LogParams};
use serde_json::json;
use tests::stage::{Cluster, SETTLED, Stage, Stop, Told, until};

const INSTALLATION: &str = include_str!("../../fixtures/drop-in/installation.yaml");
const RIGHTS: &str = include_str!("../../fixtures/drop-in/rights.yaml");

pub(crate) async fn in_zalandos_installation_our_image_takes_a_cluster_over_and_no_pod_restarts(
    stage: &Stage,
) -> Told {
    let cluster = stage.settled(include_str!("../../fixtures/e2e/two-members.yaml"), 2).await?;
    let before = processes(&cluster).await?;
    // From here on the operator that made it has nothing to do with it.
    cluster
        .change(json!({ "metadata": { "annotations": { "acid.zalan.do/controller": "zalando" } } }))
        .await?;
    let installation = RIGHTS.replace("namespace: default", &format!("namespace: {}", stage.namespace()));
    stage.install(INSTALLATION).await?;
    stage.install(&installation).await?;

    cluster.change(json!({ "spec": { "users": { "newcomer": [] } } })).await?;
    let secrets: Api<Secret> = stage.api();
    until("the new user has a Secret", SETTLED, async || {
        Ok(secrets.get(&cluster.secret("newcomer")).await?)
    })
    .await?;
    cluster.until_running().await?;
    let session = cluster.session("newcomer", "shop").await?;
    session.until_sql_is("select 1", "1").await?;
    assert_eq!(processes(&cluster).await?, before, "a pod was recreated, or a container started again");

    let log = operators_log(stage).await?;
    let told: Vec<&str> = log.lines().filter(|line| line.contains("rights are missing")).collect();
    let [told] = told.as_slice() else {
        return Stop::failed(format!("{} warnings of missing rights", told.len()));
    };
    stage.tell(told);
    // And back.
    let annotations = json!({ "acid.zalan.do/controller": null });
    let change = json!({ "metadata": { "annotations": annotations }, "spec": { "users": { "newcomer": ["createdb"] } } });
    cluster.change(change).await?;
    cluster.until_running().await?;
    assert_eq!(processes(&cluster).await?, before, "a pod was recreated on the way back");
    assert!(told.contains("leases.coordination.k8s.io") && told.contains("secrets (list, watch)"), "{told}");
    Ok(())
}

/// Every pod's UID, and how often its containers were started again.
pub(crate) async fn processes(cluster: &Cluster<'_>) -> Told<BTreeMap<String, i32>> {
    let restarts = |pod: &Pod| {
        let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        containers.into_iter().flatten().map(|container| container.restart_count).sum()
    };
    Ok(cluster.pods().await?.iter().map(|pod| (pod.uid().unwrap_or_default(), restarts(pod))).collect())
}

async fn operators_log(stage: &Stage) -> Told<String> {
    let pods: Api<Pod> = stage.api();
    let params = kube::api::ListParams::default().labels("name=postgres-operator");
    let Some(pod) = pods.list(&params).await?.items.into_iter().next() else {
        return Stop::failed("Zalando's Deployment has no pod");
    };
    Ok(pods.logs(&pod.name_any(), &LogParams::default()).await?)
}
