//! What the API server would refuse of a new pod is learned before the old one is deleted.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, ResourceQuota};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use shared::api::Postgresql;

use crate::operator::patch_status;
use crate::takeover::{operator, upstreams_cluster};

const NAMESPACE: &str = "refused-pods";

pub(crate) async fn what_would_be_refused_is_told_before_any_pod_goes_and_a_full_quota_stops_nothing(
    client: Client,
) {
    let case = upstreams_cluster(&client, NAMESPACE, |_| {}).await;
    let name = case.cluster.identity().name.clone();
    let manifests: Api<Postgresql> = Api::namespaced(client.clone(), NAMESPACE);
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let status = async || json!(manifests.get(&name).await.unwrap().status).to_string();
    let wish = async |spec: Value| {
        let patch = Patch::Merge(json!({ "spec": spec }));
        manifests.patch(&name, &PatchParams::default(), &patch).await.unwrap();
    };
    let operator = operator(&client, &case).await;
    operator.look_until("the cluster is settled", async || status().await.contains("Reconciled")).await;

    let namespaces: Api<Namespace> = Api::all(client.clone());
    let labels = json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "baseline" } } });
    namespaces.patch(NAMESPACE, &PatchParams::default(), &Patch::Merge(&labels)).await.unwrap();
    let host =
        json!({ "name": "host", "mountPath": "/host", "volumeSource": { "hostPath": { "path": "/" } } });
    wish(json!({ "additionalVolumes": [host] })).await;
    operator
        .look_until("the refusal is told", async || {
            let status = status().await;
            status.contains("PodRefused") && status.contains("violates PodSecurity")
        })
        .await;
    assert_eq!(
        going(&pods, &name).await,
        Vec::<String>::new(),
        "no pod goes before it is known that one would come"
    );

    let number = pods.list(&Default::default()).await.unwrap().items.len();
    fill_quota(&client, number).await;
    wish(json!({ "additionalVolumes": null, "dockerImage": "spilo:next" })).await;
    operator.look_until("the first replica goes", async || !going(&pods, &name).await.is_empty()).await;
    assert_eq!(going(&pods, &name).await, [shared::names::member(&name, 1)]);
}

/// The pods that are on their way out, or gone already, of those that were made.
async fn going(pods: &Api<Pod>, cluster: &str) -> Vec<String> {
    let there = pods.list(&Default::default()).await.unwrap().items;
    let stays = |name: &String| {
        there.iter().any(|pod| pod.name_any() == *name && pod.metadata.deletion_timestamp.is_none())
    };
    let all = (0..2).map(|ordinal| shared::names::member(cluster, ordinal));
    all.filter(|name| !stays(name)).collect()
}

/// A quota that has no room for one more pod, and is in force.
async fn fill_quota(client: &Client, number: usize) {
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), NAMESPACE);
    let hard = json!({ "pods": number.to_string() });
    let quota = json!({ "metadata": { "name": "few" }, "spec": { "hard": hard } });
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    // Nobody counts here but this.
    patch_status(&quotas, "few", &json!({ "hard": hard, "used": hard })).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let containers = json!([{ "name": "one", "image": "one" }]);
    let more = json!({ "metadata": { "name": "one-more" }, "spec": { "containers": containers } });
    let more: Pod = serde_json::from_value(more).unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    while !pods
        .create(&dry, &more)
        .await
        .is_err_and(|error| error.to_string().contains("exceeded quota: few"))
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
