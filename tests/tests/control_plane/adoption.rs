//! Clusters that upstream's operator made, seen by ours for the first time.
//!
//! Every golden case is put on the API server as upstream left it, read back, and compared as the operator compares. The
//! operator's own first look comes after the API server has filled in its defaults, so only a real one can tell.

use std::fmt::Debug;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Endpoints, EnvVar, Pod, PodTemplateSpec, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::annotations::ROLLING_UPDATE_REQUIRED;
use shared::api::PostgresqlSpec;
use shared::build::{Credential, Resources, USERNAME_KEY, build};
use shared::names::{self, MemberRole};
use shared::observed::{Observed, ObservedPod, ObservedStatefulSet, Stranger};
use shared::plan::ownership::{MANAGER, taken_over};
use shared::plan::{self, Effect, Kind};
use shared::rollout;

use crate::golden::{self, Case};
use crate::manifests::make_namespace;
use crate::operator::patch_status;

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
        wrong.extend(wrongly_outdated(case, &seen, &desired));
        remove_services(&client, case).await;
    }
    println!("{} cases, {pods} pods; what is patched first, and how often: {patched:#?}", cases.len());
    assert!(cases.len() > 40 && pods > 60, "only {} cases with {pods} pods were found", cases.len());
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The fields in which pods become outdated, and the change of a manifest that does it.
type RestartingChange = (&'static [&'static str], fn(&mut PostgresqlSpec));

/// Changes of a manifest, and the one field for which every pod that upstream made is outdated then.
const CHANGES: &[RestartingChange] = &[
    (&[], |_| {}),
    (&["image"], |spec| spec.docker_image = Some("registry.example.org/spilo:other".into())),
    (&["env"], |spec| {
        let further = EnvVar { name: "ADDED".into(), value: Some("1".into()), ..EnvVar::default() };
        spec.env.get_or_insert_default().push(further);
    }),
];

/// What is not as expected about the pods: with nothing changed none is outdated, with something changed exactly they
/// are. Told from upstream's template, as at the first look, and from the pods alone, as after an earlier one.
fn wrongly_outdated(case: &Case, seen: &Seen, desired: &Resources) -> Vec<String> {
    let live = seen.resources.stateful_set.as_ref();
    let mut wrong = Vec::new();
    for (expected, change) in CHANGES {
        let mut manifest = case.manifest.clone();
        change(&mut manifest.spec);
        let changed = build(&golden::resolve(&manifest, &case.config));
        let desired = if expected.is_empty() { desired } else { &changed };
        for (from, set) in [("template", live), ("pod", None)] {
            let mut observed = seen.observed.clone();
            let recognised = rollout::recognise(&mut observed, set, desired);
            assert_eq!(recognised.len(), observed.pods.len(), "{}", case.name);
            for pod in &observed.pods {
                let reasons = rollout::outdated(&case.cluster, desired, pod);
                if reasons != *expected {
                    let name = &pod.identity.name;
                    wrong.push(format!("{}: {name} by its {from}: {reasons:?}, not {expected:?}", case.name));
                }
            }
        }
    }
    wrong
}

/// Where a specification differs after our first apply, on purpose: the case, the object, the field, and why.
const DELIBERATE: &[(&str, &str, &str, &str)] = &[
    (
        "shm-fsgroup",
        "StatefulSet",
        "",
        "`enableShmVolume: false` wins; pods that are there keep their volume (M4)",
    ),
    (
        "logical-backup",
        "CronJob",
        "labelSelector",
        "backups are drawn to the database they dump, not to other backups",
    ),
];

pub(crate) async fn applying_ours_over_upstreams_changes_no_specification(client: Client) {
    let (mut wrong, mut applied) = (Vec::new(), 0);
    for case in &golden::cases() {
        recreate(&client, case).await;
        let seen = seen(&client, case).await;
        let desired = rollout::for_now(build(&case.cluster), &case.cluster, &seen.observed);
        for (name, ours) in plan::objects(&desired) {
            if matches!(name.kind, Kind::Secret | Kind::ServiceAccount | Kind::FabricEventStream) {
                continue;
            }
            let api = api_of(&client, &ours);
            let Some(before) = api.get_opt(&name.name).await.unwrap() else { continue };
            take_over(&api, &before, name.kind).await;
            let params = PatchParams { dry_run: true, ..PatchParams::apply(MANAGER).force() };
            let after = api.patch(&name.name, &params, &Patch::Apply(&ours)).await;
            let after = after.unwrap_or_else(|error| panic!("{}: {name}: {error}", case.name));
            applied += 1;
            let mut differences = Vec::new();
            all_differences("", &specification(&before), &specification(&after), &mut differences);
            let is_meant = |line: &String| {
                let fits = |(of, kind, field, _): &(&str, &str, &str, &str)| {
                    case.name.ends_with(of) && name.kind.as_str() == *kind && line.contains(field)
                };
                DELIBERATE.iter().any(fits)
            };
            let unexpected = differences.into_iter().filter(|line| !is_meant(line));
            wrong.extend(unexpected.map(|line| format!("{}: {name}: {line}", case.name)));
        }
        remove_services(&client, case).await;
    }
    println!("{applied} objects of upstream's taken over and applied");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// What of an object Kubernetes acts upon; of a StatefulSet and its like without the template's annotations.
fn specification(object: &DynamicObject) -> Value {
    let mut spec = object.data.clone();
    spec.as_object_mut().unwrap().remove("status");
    for template in ["/spec/template/metadata", "/spec/jobTemplate/spec/template/metadata"] {
        if let Some(metadata) = spec.pointer_mut(template) {
            metadata.as_object_mut().unwrap().remove("annotations");
        }
    }
    spec
}

/// As the operator does it before its first apply.
async fn take_over(api: &Api<DynamicObject>, live: &DynamicObject, kind: Kind) {
    let entries = live.metadata.managed_fields.as_deref().unwrap_or_default();
    let entries =
        taken_over(entries, kind).unwrap_or_else(|| panic!("{}: nothing to take over", live.name_any()));
    let patch = json!({ "metadata": { "managedFields": entries } });
    api.patch(&live.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
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

/// The name under which upstream's operator writes: the API server takes that of its program, `/postgres-operator`.
pub(crate) const UPSTREAM: &str = "postgres-operator";

/// What the operator sees.
struct Seen {
    resources: Resources,
    observed: Observed,
}

/// Puts a case on the API server: its objects, and the pods that its StatefulSet would have.
pub(crate) async fn recreate(client: &Client, case: &Case) {
    let namespace = case.namespace.as_str();
    make_namespace(client, namespace).await;
    for object in &case.objects {
        create(client, namespace, object.clone()).await;
    }
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let Some(set) = sets.get_opt(&case.cluster.identity().name).await.unwrap() else { return };
    let spec = set.spec.as_ref().unwrap();
    let selected = spec.template.metadata.clone().unwrap_or_default();
    let revision = format!("{}-1", set.name_any());
    let status = json!({
        "observedGeneration": set.metadata.generation, "updateRevision": revision, "replicas": spec.replicas,
    });
    patch_status(&sets, &set.name_any(), &status).await;
    for ordinal in 0..spec.replicas.unwrap_or_default() {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "labels": selected.labels, "annotations": selected.annotations },
            "spec": spec.template.spec,
        });
        pod["metadata"]["name"] = json!(names::member(&set.name_any(), ordinal));
        pod["metadata"]["labels"]["controller-revision-hash"] = json!(revision);
        let role = if ordinal == 0 { "master" } else { "replica" };
        pod["metadata"]["labels"][case.cluster.labels().role_key()] = json!(role);
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
    let resource = resource_of(&object);
    let mut object: DynamicObject = serde_json::from_value(object).unwrap();
    let namespace = object.metadata.namespace.clone().unwrap_or_else(|| namespace.to_owned());
    object.metadata.namespace = None;
    make_namespace(client, &namespace).await;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
    let name = object.name_any();
    let params = PostParams { field_manager: Some(UPSTREAM.to_owned()), ..PostParams::default() };
    match api.create(&params, &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        made => drop(made.unwrap_or_else(|error| panic!("{namespace}: {} {name}: {error}", resource.kind))),
    }
}

/// The API of an untyped object's kind, in its namespace.
fn api_of(client: &Client, object: &Value) -> Api<DynamicObject> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap();
    Api::namespaced_with(client.clone(), namespace, &resource_of(object))
}

fn resource_of(object: &Value) -> ApiResource {
    let text = |field: &str| object[field].as_str().unwrap();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")))
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
    let metadata = ObjectMeta { labels: pod.metadata.labels.clone(), ..ObjectMeta::default() };
    let stranger = Stranger {
        template: PodTemplateSpec { metadata: Some(metadata), spec: pod.spec.clone() },
        revision: pod.labels().get("controller-revision-hash").cloned(),
    };
    ObservedPod {
        identity: shared::observed::PodIdentity { name: pod.name_any(), ..Default::default() },
        ordinal: i32::try_from(ordinal).unwrap(),
        running: true,
        ready: true,
        labelled: true,
        marked: pod.annotations().get(ROLLING_UPDATE_REQUIRED).is_some_and(|mark| mark == "true"),
        stranger: Some(Box::new(stranger)),
        created: Some(Timestamp::UNIX_EPOCH),
        ..ObservedPod::default()
    }
}

/// A field of the live StatefulSet, to be told beside ours.
fn live(resources: &Resources, pointer: &str) -> Option<Value> {
    json!(resources.stateful_set).pointer(pointer).cloned()
}
