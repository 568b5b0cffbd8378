//! What upstream wrote and nobody wants any more: the operator takes the objects over, and it goes.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};
use shared::annotations::{APPLIED, FINGERPRINT};
use shared::plan::ownership::MANAGER;
use shared::plan::pod_template::{Fingerprint, differences};

use crate::adoption::{self, UPSTREAM};
use crate::golden::{self, Case};
use crate::manifests::make_namespace;
use crate::operator::{Operator, run};

/// The cluster as upstream left it, in a namespace of its own, after a change of the objects.
pub(crate) async fn upstreams_cluster(client: &Client, namespace: &str, change: impl Fn(&mut Value)) -> Case {
    let mut case = golden::case("default", "minimal", namespace);
    case.objects.iter_mut().for_each(change);
    make_namespace(client, namespace).await;
    let manifests = crate::manifests::manifests(client, namespace);
    let manifest = serde_json::from_value(json!(case.manifest)).unwrap();
    let stored = manifests.create(&Default::default(), &manifest).await.unwrap();
    case.manifest.metadata = stored.metadata;
    adoption::recreate(client, &case).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    for pod in pods.list(&Default::default()).await.unwrap() {
        run(&pods, &pod.name_any()).await;
    }
    case
}

pub(crate) async fn operator(client: &Client, case: &Case) -> Operator {
    let name = &case.cluster.identity().name;
    Operator::start(client, case.config.clone(), &case.namespace, name, case.cluster.members()).await
}

pub(crate) async fn what_upstream_wrote_and_nobody_wants_disappears_and_no_pod_is_outdated(client: Client) {
    let namespace = "takeover-metadata";
    let case = upstreams_cluster(&client, namespace, |object| {
        if matches!(object["kind"].as_str(), Some("Service" | "StatefulSet" | "Secret")) {
            object["metadata"]["annotations"]["old-annotation"] = json!("upstreams");
            object["metadata"]["labels"]["old-label"] = json!("upstreams");
        }
        if object["kind"] == "StatefulSet" {
            object["spec"]["template"]["metadata"]["annotations"]["old-annotation"] = json!("upstreams");
        }
    })
    .await;
    let name = case.cluster.identity().name.clone();
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let theirs = json!({ "metadata": { "annotations": { "a-person": "was here" } } });
    let params = PatchParams { field_manager: Some("kubectl-annotate".into()), ..PatchParams::default() };
    services.patch(&name, &params, &Patch::Merge(&theirs)).await.unwrap();
    let secret = case.cluster.secret_name(case.cluster.superuser());
    let (before, password) =
        (uids(&client, namespace).await, secrets.get(&secret).await.unwrap().data.unwrap());
    assert!(leftovers(&sets.get(&name).await.unwrap().metadata) == 2, "the case is as it should be");

    let operator = operator(&client, &case).await;
    operator
        .look_until("all of it is gone", async || {
            let set = sets.get(&name).await.unwrap();
            let template = set.spec.as_ref().unwrap().template.metadata.clone().unwrap();
            let all = [
                set.metadata,
                template,
                services.get(&name).await.unwrap().metadata,
                services.get(&replica_service(&name)).await.unwrap().metadata,
                secrets.get(&secret).await.unwrap().metadata,
            ];
            all.iter().all(|metadata| leftovers(metadata) == 0)
        })
        .await;
    let service = services.get(&name).await.unwrap();
    assert_eq!(service.annotations().get("a-person").map(String::as_str), Some("was here"));
    assert!(service.annotations().contains_key(APPLIED));
    for metadata in [service.metadata, sets.get(&name).await.unwrap().metadata] {
        assert!(!is_owned_by_upstream(&metadata), "{:?}", metadata.managed_fields);
    }
    assert_eq!(secrets.get(&secret).await.unwrap().data.unwrap(), password, "nobody touches a password");
    assert_eq!(uids(&client, namespace).await, before, "no pod was recreated");
    assert_eq!(outdated(&client, &case).await, vec![Vec::<&str>::new(); before.len()]);
}

pub(crate) async fn a_variable_that_upstream_wrote_and_nobody_wants_makes_its_pods_outdated(client: Client) {
    let case = upstreams_cluster(&client, "takeover-variable", |object| {
        if object["kind"] == "StatefulSet" {
            let variables =
                object["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().unwrap();
            variables.push(json!({ "name": "OLD_VARIABLE", "value": "upstream's" }));
        }
    })
    .await;
    let name = case.cluster.identity().name.clone();
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &case.namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &case.namespace);
    let variables = |spec: &Value| spec["containers"][0]["env"].to_string().contains("OLD_VARIABLE");
    let operator = operator(&client, &case).await;
    operator
        .look_until("the variable is gone, and so is the first replica", async || {
            let set = sets.get(&name).await.unwrap();
            let is_gone = !variables(&json!(set.spec.unwrap().template.spec));
            let replica = pods.get_opt(&shared::names::member(&name, 1)).await.unwrap();
            is_gone && replica.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some())
        })
        .await;
    let primary = pods.get(&shared::names::member(&name, 0)).await.unwrap();
    assert!(primary.metadata.deletion_timestamp.is_none(), "the primary is not the first");
    assert_eq!(outdated(&client, &case).await.first().unwrap(), &["env"], "and it is told why");
}

fn replica_service(name: &str) -> String {
    shared::names::service(name, shared::names::MemberRole::Replica)
}

/// How much of what upstream wrote is still there.
fn leftovers(metadata: &ObjectMeta) -> usize {
    let has = |map: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
        usize::from(map.as_ref().is_some_and(|map| map.contains_key(key)))
    };
    has(&metadata.annotations, "old-annotation") + has(&metadata.labels, "old-label")
}

fn is_owned_by_upstream(metadata: &ObjectMeta) -> bool {
    assert_eq!(UPSTREAM, MANAGER);
    metadata.managed_fields.iter().flatten().any(|entry| {
        let is_theirs =
            entry.manager.as_deref() == Some(UPSTREAM) && entry.operation.as_deref() == Some("Update");
        let fields = json!(entry.fields_v1).to_string();
        let is_more_than_the_namespace = fields.contains("f:labels") || fields.contains("f:containers");
        is_theirs && entry.subresource.is_none() && is_more_than_the_namespace
    })
}

async fn uids(client: &Client, namespace: &str) -> Vec<Option<String>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    pods.list(&Default::default()).await.unwrap().iter().map(|pod| pod.meta().uid.clone()).collect()
}

/// For which fields each pod is outdated, by the fingerprints that stand on pods and template.
async fn outdated(client: &Client, case: &Case) -> Vec<Vec<&'static str>> {
    let read = |annotations: &std::collections::BTreeMap<String, String>| {
        Fingerprint::parse(&annotations[FINGERPRINT])
    };
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &case.namespace);
    let set = sets.get(&case.cluster.identity().name).await.unwrap();
    let template = read(&set.spec.unwrap().template.metadata.unwrap().annotations.unwrap());
    let pods: Api<Pod> = Api::namespaced(client.clone(), &case.namespace);
    let pods = pods.list(&Default::default()).await.unwrap();
    pods.iter().map(|pod| differences(&read(pod.annotations()), &template)).collect()
}
