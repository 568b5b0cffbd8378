//! Clusters that upstream's operator made, seen by ours for the first time.
//!
//! Every golden case is put on the API server as upstream left it, read back, and compared as the operator compares. The
//! operator's own first look comes after the API server has filled in its defaults, so only a real one can tell.

use std::fmt::Debug;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Endpoints, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::annotations::{FINGERPRINT, ROLLING_UPDATE_REQUIRED};
use shared::build::{Credential, Resources, USERNAME_KEY, build};
use shared::names::{self, MemberRole};
use shared::observed::{Observed, ObservedPod, ObservedStatefulSet};
use shared::plan::pod_template::Fingerprint;
use shared::plan::{self, Effect};
use shared::rollout;

use crate::golden::{self, Case};
use crate::manifests::make_namespace;

pub(crate) async fn no_pod_of_upstreams_clusters_is_outdated_and_no_stateful_set_is_replaced(client: Client) {
    let cases = golden::cases();
    let mut wrong = Vec::new();
    let mut pods = 0;
    let mut patched = std::collections::BTreeMap::<String, usize>::new();
    for case in &cases {
        recreate(&client, case).await;
        let seen = seen(&client, case).await;
        pods += seen.observed.pods.len();
        let desired = rollout::for_now(build(&case.cluster), &case.cluster, &seen.observed);
        for difference in plan::between(&seen.resources, &desired) {
            let field = difference.field.as_deref().unwrap_or("(missing)");
            let line = format!("{} {}", difference.object.kind.as_str(), field);
            if difference.effect != Effect::Patch {
                let pointer = format!("/{}", field.replace('.', "/"));
                let (want, have) = (difference.desired.pointer(&pointer), live(&seen.resources, &pointer));
                wrong.push(format!(
                    "{}: {:?} of {}: {line}\n    ours:   {want:?}\n    theirs: {have:?}",
                    case.name, difference.effect, difference.object
                ));
            }
            *patched.entry(line).or_default() += 1;
        }
        for pod in &seen.observed.pods {
            let reasons = rollout::outdated(&case.cluster, &desired, pod);
            if !reasons.is_empty() {
                wrong
                    .push(format!("{}: {} would be recreated for {reasons:?}", case.name, pod.identity.name));
            }
        }
        remove_services(&client, case).await;
    }
    println!("{} cases, {pods} pods; what is patched first, and how often: {patched:#?}", cases.len());
    assert!(cases.len() > 40 && pods > 60, "only {} cases with {pods} pods were found", cases.len());
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Where the StatefulSet's pods would differ after our first apply, on purpose: the case, the field, and why.
const DELIBERATE: &[(&str, &str, &str)] = &[];

pub(crate) async fn applying_our_stateful_set_over_upstreams_changes_no_pod(client: Client) {
    let mut wrong = Vec::new();
    for case in &golden::cases() {
        recreate(&client, case).await;
        let seen = seen(&client, case).await;
        let desired = rollout::for_now(build(&case.cluster), &case.cluster, &seen.observed);
        let (Some(before), Some(ours)) = (&seen.resources.stateful_set, &desired.stateful_set) else {
            continue;
        };
        let api: Api<StatefulSet> = Api::namespaced(client.clone(), &case.namespace);
        let params = PatchParams { dry_run: true, ..PatchParams::apply("postgres-operator").force() };
        match api.patch(&ours.name_any(), &params, &Patch::Apply(&json!(ours))).await {
            Ok(after) => {
                let spec = |set: &StatefulSet| json!(set.spec.as_ref().unwrap().template.spec);
                let mut differences = Vec::new();
                all_differences("", &spec(before), &spec(&after), &mut differences);
                let is_meant = |line: &String| {
                    DELIBERATE.iter().any(|(of, field, _)| case.name.ends_with(of) && line.contains(field))
                };
                wrong.extend(
                    differences
                        .into_iter()
                        .filter(|line| !is_meant(line))
                        .map(|line| format!("{}: {line}", case.name)),
                );
            }
            Err(error) => wrong.push(format!("{}: {error}", case.name)),
        }
        remove_services(&client, case).await;
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every place in which two documents differ.
fn all_differences(path: &str, before: &Value, after: &Value, into: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                all_differences(&format!("{path}.{key}"), &before[key.as_str()], &after[key.as_str()], into);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                all_differences(&format!("{path}.{index}"), one, other, into);
            }
        }
        (one, other) if one != other => into.push(format!("{path}: {one} → {other}")),
        _ => {}
    }
}

/// What the operator sees.
struct Seen {
    resources: Resources,
    observed: Observed,
}

/// Puts a case on the API server: its objects, and the pods that its StatefulSet would have.
async fn recreate(client: &Client, case: &Case) {
    let namespace = case.namespace.as_str();
    make_namespace(client, namespace).await;
    for object in &case.objects {
        create(client, namespace, object.clone()).await;
    }
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let Some(set) = sets.get_opt(&case.cluster.identity().name).await.unwrap() else { return };
    let spec = set.spec.as_ref().unwrap();
    let selected = spec.template.metadata.clone().unwrap_or_default();
    for ordinal in 0..spec.replicas.unwrap_or_default() {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "labels": selected.labels, "annotations": selected.annotations },
            "spec": spec.template.spec,
        });
        pod["metadata"]["name"] = json!(names::member(&set.name_any(), ordinal));
        // What the StatefulSet's controller adds, since no volume of the template is there otherwise.
        let claim = json!({ "name": "pgdata", "emptyDir": {} });
        match pod["spec"]["volumes"].as_array_mut() {
            Some(volumes) => volumes.push(claim),
            None => pod["spec"]["volumes"] = json!([claim]),
        }
        create(client, namespace, pod).await;
    }
}

async fn create(client: &Client, namespace: &str, object: Value) {
    let text = |field: &str| object[field].as_str().unwrap().to_owned();
    let (group, version) = text("apiVersion").split_once('/').map_or_else(
        || (String::new(), text("apiVersion")),
        |(group, version)| (group.to_owned(), version.to_owned()),
    );
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(&group, &version, &text("kind")));
    let mut object: DynamicObject = serde_json::from_value(object).unwrap();
    let namespace = object.metadata.namespace.clone().unwrap_or_else(|| namespace.to_owned());
    object.metadata.namespace = None;
    make_namespace(client, &namespace).await;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
    let name = object.name_any();
    match api.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        made => drop(made.unwrap_or_else(|error| panic!("{namespace}: {} {name}: {error}", resource.kind))),
    }
}

/// Node ports are the whole cluster's: the next case may want the same.
async fn remove_services(client: &Client, case: &Case) {
    let api: Api<Service> = Api::namespaced(client.clone(), &case.namespace);
    for service in api.list(&Default::default()).await.unwrap() {
        api.delete(&service.name_any(), &DeleteParams::default()).await.unwrap();
    }
}

/// The world as the operator's stores hold it.
async fn seen(client: &Client, case: &Case) -> Seen {
    let cluster = &case.cluster;
    let name = &cluster.identity().name;
    let (account, binding) = cluster.service_account_names();
    let services = MemberRole::ALL.map(|role| names::service(name, role));
    let secrets = cluster.roles().roles.iter().map(|role| cluster.secret_name(role.name.as_str()));
    let metadata_of_account =
        |found: ServiceAccount| ServiceAccount { metadata: found.metadata, ..ServiceAccount::default() };
    let metadata_of_binding =
        |found: RoleBinding| RoleBinding { metadata: found.metadata, ..RoleBinding::default() };
    let stateful_set: Option<StatefulSet> = named(client, &case.namespace, [name.clone()]).await.pop();
    let pods = stateful_set.as_ref().map_or(0, |set| set.spec.as_ref().unwrap().replicas.unwrap_or_default());
    let members = (0..pods).map(|ordinal| names::member(name, ordinal));
    let observed = Observed {
        pods: named::<Pod>(client, &case.namespace, members)
            .await
            .iter()
            .enumerate()
            .map(pod_as_seen)
            .collect(),
        stateful_set: stateful_set.as_ref().map(|set| ObservedStatefulSet {
            generation: 1,
            observed_generation: 1,
            replicas: set.spec.as_ref().unwrap().replicas.unwrap_or_default(),
        }),
        ..Observed::default()
    };
    let resources = Resources {
        service_account: named(client, &case.namespace, [account.to_owned()])
            .await
            .pop()
            .map(metadata_of_account),
        role_binding: named(client, &case.namespace, [binding.to_owned()])
            .await
            .pop()
            .map(metadata_of_binding),
        services: named(client, &case.namespace, services.clone()).await,
        endpoints: named::<Endpoints>(client, &case.namespace, services).await,
        credentials: named::<Secret>(client, &case.namespace, secrets)
            .await
            .iter()
            .filter_map(credential)
            .collect(),
        disruption_budgets: named::<PodDisruptionBudget>(client, &case.namespace, cluster.budget_names())
            .await,
        stateful_set,
        ..Resources::default()
    };
    Seen { resources, observed }
}

/// The objects of these names that are there.
async fn named<K>(client: &Client, namespace: &str, names: impl IntoIterator<Item = String>) -> Vec<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let mut found = Vec::new();
    for name in names {
        found.extend(api.get_opt(&name).await.unwrap());
    }
    found
}

fn credential(secret: &Secret) -> Option<Credential> {
    let user = secret.data.as_ref()?.get(USERNAME_KEY)?;
    let user = std::str::from_utf8(&user.0).ok()?.parse().ok()?;
    Some(Credential { metadata: secret.metadata.clone(), user })
}

fn pod_as_seen((ordinal, pod): (usize, &Pod)) -> ObservedPod {
    let annotations = pod.annotations();
    let database = pod.spec.as_ref().unwrap().containers.first().unwrap();
    ObservedPod {
        identity: shared::observed::PodIdentity { name: pod.name_any(), ..Default::default() },
        ordinal: i32::try_from(ordinal).unwrap(),
        running: true,
        ready: true,
        labelled: true,
        marked: annotations.get(ROLLING_UPDATE_REQUIRED).is_some_and(|mark| mark == "true"),
        fingerprint: annotations.get(FINGERPRINT).map(|text| Fingerprint::parse(text)).unwrap_or_default(),
        image: database.image.clone().unwrap(),
        created: Some(Timestamp::UNIX_EPOCH),
        ..ObservedPod::default()
    }
}

/// A field of the live StatefulSet, to be told beside ours.
fn live(resources: &Resources, pointer: &str) -> Option<Value> {
    json!(resources.stateful_set).pointer(pointer).cloned()
}
