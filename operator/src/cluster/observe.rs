//! Reads the world around one cluster: the stores, and Patroni.
//!
//! Costs no Kubernetes request: everything comes from the watches but what a manifest's own references name. Patroni
//! is asked on one member only, the primary where there is one, because every member tells the same story.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodStatus, PodTemplateSpec, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use shared::annotations::{FINGERPRINT, PATRONI_KEYS, ROLLING_UPDATE_REQUIRED};
use shared::api::Postgresql;
use shared::build::{Credential, Pooler, Resources, USERNAME_KEY, UserList};
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use shared::names::{self, MemberRole};
use shared::observed::{
    Observed, ObservedPod, ObservedStatefulSet, PatroniView, PodIdentity, Stranger, UpgradeView,
};
use shared::patroni::AppliedKeys;
use shared::plan::Growth;
use shared::plan::pod_template::Fingerprint;
use shared::roles::infrastructure::GivenPassword;
use shared::roles::{Origin, RoleName};

use crate::context::Context;
use crate::patroni::Address;

use super::stores::Store;
use super::{Error, credentials, nodes, told, upgrade, volumes};

/// What was seen.
pub(super) struct Seen {
    /// The objects, in the shape in which they are wished for.
    pub(super) resources: Resources,
    /// The members.
    pub(super) observed: Observed,
    /// The cluster's Secrets, by name.
    pub(super) secrets: BTreeMap<String, Secret>,
    /// Claims that have to ask for more.
    pub(super) volumes_to_grow: Vec<Growth>,
    /// The passwords of infrastructure roles: others chose them.
    pub(super) given: BTreeMap<RoleName, GivenPassword>,
}

/// The objects behind the names that the configuration gives.
pub(super) async fn references(
    manifest: &Postgresql,
    config: &OperatorConfig,
    ctx: &Context,
) -> Result<References, Error> {
    let namespace = manifest.namespace().unwrap_or_default();
    let mut references = References::default();
    if let Some(name) = &config.kubernetes.pod_environment_secret {
        references.environment_secret_keys = secret_keys(&namespace, name, ctx).await?;
    }
    if let Some(named) = &config.kubernetes.pod_environment_configmap {
        let place = named.namespace_or(&ctx.namespace);
        let maps: Api<ConfigMap> = Api::namespaced(ctx.client.clone(), place);
        let found = maps.get_opt(&named.name).await;
        let found = found.map_err(Error::kubernetes(format!("read ConfigMap {place}/{}", named.name)))?;
        references.environment_config_map = found.and_then(|map| map.data).unwrap_or_default();
    }
    if manifest.spec.enable_logical_backup == Some(true)
        && let Some(name) =
            config.logical_backup.cronjob_environment_secret.as_ref().filter(|n| !n.is_empty())
    {
        references.backup_secret_keys = secret_keys(&namespace, name, ctx).await?;
    }
    Ok(references)
}

/// The keys of a Secret; none where it is missing.
async fn secret_keys(namespace: &str, name: &str, ctx: &Context) -> Result<Vec<String>, Error> {
    let secrets: Api<Secret> = Api::namespaced(ctx.client.clone(), namespace);
    let found = secrets.get_opt(name).await;
    let found = found.map_err(Error::kubernetes(format!("read Secret {namespace}/{name}")))?;
    Ok(found.and_then(|secret| secret.data).unwrap_or_default().into_keys().collect())
}

/// Everything that is there of a cluster.
pub(super) async fn world(
    manifest: &Postgresql,
    cluster: &Cluster,
    references: &References,
    ctx: &Context,
) -> Seen {
    let identity = cluster.identity();
    let stateful_set = get(&ctx.stores.stateful_sets, &identity.namespace, &identity.name);
    let secrets = secrets_of(cluster, &ctx.stores.secrets);
    let pods = pods_of(cluster, stateful_set.as_ref(), &ctx.stores.pods);
    let storage = volumes::look(cluster, ctx);
    let ground = nodes::look(cluster, &pods, ctx).await;
    let keys = stateful_set.as_ref().and_then(|set| set.annotations().get(PATRONI_KEYS));
    let mut observed = Observed {
        patroni: patroni_view(&pods, ctx).await,
        upgrade: UpgradeView::default(), // asked below: the leader knows
        applied_keys: keys.map(|text| AppliedKeys::parse(text)).unwrap_or_default(),
        stateful_set: stateful_set.as_ref().map(stateful_set_as_seen),
        last_step: last_step(manifest),
        draining_nodes: ground.leaving,
        stranded: ground.stranded,
        growing_volumes: storage.growing,
        larger_volumes: storage.larger,
        fleet_is_busy: false,
        event_streams: None,
        pods,
    };
    let leader = observed.leader().and_then(|leader| address_of(&observed, leader));
    observed.upgrade = upgrade::look(manifest, &observed.pods, leader, ctx).await;
    let resources = resources(cluster, stateful_set, &secrets, ctx);
    let given = given(cluster, references);
    Seen { resources, observed, secrets, volumes_to_grow: storage.to_grow, given }
}

/// Where a member is asked; `None` when its pod has just gone away.
pub(super) fn address_of(seen: &Observed, member: &str) -> Option<Address> {
    seen.pod(member)?.address.clone().map(Address::of_pod)
}

/// The passwords of the infrastructure roles that are roles of this cluster.
fn given(cluster: &Cluster, references: &References) -> BTreeMap<RoleName, GivenPassword> {
    let roles = &cluster.roles().roles;
    let ours = roles.iter().filter(|role| role.origin == Origin::Infrastructure).filter_map(|role| {
        let given = references.infrastructure_roles.get(&role.name)?;
        Some((role.name.clone(), given.password.clone()))
    });
    ours.collect()
}

/// The objects. Of the pods' account and of its binding only the metadata is watched.
fn resources(
    cluster: &Cluster,
    stateful_set: Option<StatefulSet>,
    secrets: &BTreeMap<String, Secret>,
    ctx: &Context,
) -> Resources {
    let (stores, namespace) = (&ctx.stores, cluster.identity().namespace.as_str());
    let (account, binding) = cluster.service_account_names();
    let services = MemberRole::ALL.map(|role| names::service(&cluster.identity().name, role));
    Resources {
        service_account: get(&stores.service_accounts, namespace, account)
            .map(|found| ServiceAccount { metadata: found.metadata, ..ServiceAccount::default() }),
        role_binding: get(&stores.role_bindings, namespace, binding)
            .map(|found| RoleBinding { metadata: found.metadata, ..RoleBinding::default() }),
        services: named(&stores.services, namespace, services.clone()),
        endpoints: named(&stores.endpoints, namespace, services),
        credentials: secrets.values().filter_map(credential).collect(),
        disruption_budgets: named(&stores.disruption_budgets, namespace, cluster.budget_names()),
        stateful_set,
        poolers: MemberRole::ALL.map(|role| pooler(cluster, role, secrets, ctx)).into(),
        logical_backup: get(&stores.cron_jobs, namespace, cluster.logical_backup_name()),
        event_streams: Vec::new(), // not watched: `streams` asks for them
        patroni: None,
        roles: Default::default(),
    }
}

/// The parts of a pooler that are there. `plan` decides whether they are this cluster's.
fn pooler(cluster: &Cluster, role: MemberRole, secrets: &BTreeMap<String, Secret>, ctx: &Context) -> Pooler {
    let (identity, stores) = (cluster.identity(), &ctx.stores);
    let name = names::pooler(&identity.name, role);
    let users = secrets.get(&names::user_list(&name)).and_then(|secret| {
        let user = cluster.pooler_user().parse().ok()?;
        let credential = cluster.secret_name(cluster.pooler_user());
        Some(UserList { metadata: secret.metadata.clone(), user, credential })
    });
    Pooler {
        deployment: get(&stores.deployments, &identity.namespace, &name),
        service: get(&stores.services, &identity.namespace, &name),
        users,
    }
}

fn get<K>(store: &Store<K>, namespace: &str, name: &str) -> Option<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.get(&ObjectRef::new(name).within(namespace)).map(Arc::unwrap_or_clone)
}

/// The objects of these names that are there.
fn named<K>(store: &Store<K>, namespace: &str, names: impl IntoIterator<Item = String>) -> Vec<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    names.into_iter().filter_map(|name| get(store, namespace, &name)).collect()
}

/// The Secrets of this cluster's roles and poolers, found by name. A role's name is part of it, so that two Secrets of one
/// cluster have two names even where they are in two namespaces.
fn secrets_of(cluster: &Cluster, store: &Store<Secret>) -> BTreeMap<String, Secret> {
    let own = cluster.identity().namespace.as_str();
    let roles = cluster.roles().roles.iter();
    let roles = roles.map(|role| (cluster.secret_namespace(role), cluster.secret_name(role.name.as_str())));
    let lists = MemberRole::ALL.map(|role| names::user_list(&names::pooler(&cluster.identity().name, role)));
    let names = lists.into_iter().chain([cluster.secret_name(cluster.pooler_user())]).map(|name| (own, name));
    let found = names.chain(roles).filter_map(|(namespace, name)| {
        let secret = get(store, namespace, &name)?;
        (namespace == own || credentials::belongs(&secret, cluster)).then_some((name, secret))
    });
    found.collect()
}

fn credential(secret: &Secret) -> Option<Credential> {
    let user = secret.data.as_ref()?.get(USERNAME_KEY)?;
    let user = std::str::from_utf8(&user.0).ok()?.parse().ok()?;
    Some(Credential { metadata: secret.metadata.clone(), user })
}

/// The pods that the StatefulSet has or should have, by ordinal.
fn pods_of(cluster: &Cluster, stateful_set: Option<&StatefulSet>, store: &Store<Pod>) -> Vec<ObservedPod> {
    let identity = cluster.identity();
    let wanted = stateful_set.and_then(|set| set.spec.as_ref()?.replicas).unwrap_or_default();
    let present =
        stateful_set.and_then(|set| set.status.as_ref()).map(|status| status.replicas).unwrap_or_default();
    let pods = (0..wanted.max(present).max(cluster.members())).filter_map(|ordinal| {
        let pod = get(store, &identity.namespace, &names::member(&identity.name, ordinal))?;
        Some(pod_as_seen(&pod, cluster, ordinal))
    });
    pods.collect()
}

/// Why a pod does not run: it finds no node, or a container waits for more than its turn.
fn trouble(status: &PodStatus) -> Option<String> {
    let unplaced =
        status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let mut waiting =
        containers.filter_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.clone());
    let in_trouble = |reason: &String| !matches!(reason.as_str(), "ContainerCreating" | "PodInitializing");
    unplaced.and_then(|condition| condition.reason.clone()).or_else(|| waiting.find(in_trouble))
}

fn pod_as_seen(pod: &Pod, cluster: &Cluster, ordinal: i32) -> ObservedPod {
    let status = pod.status.clone().unwrap_or_default();
    let is_true =
        |kind: &str| status.conditions.iter().flatten().any(|c| c.type_ == kind && c.status == "True");
    let (ready, trouble) = (is_true("Ready"), trouble(&status));
    let containers = status.container_statuses.unwrap_or_default();
    let all_run =
        containers.iter().all(|one| one.state.as_ref().is_some_and(|state| state.running.is_some()));
    let fingerprint = pod.annotations().get(FINGERPRINT).map(|text| Fingerprint::parse(text));
    let fingerprint = fingerprint.unwrap_or_default();
    ObservedPod {
        identity: PodIdentity {
            name: pod.name_any(),
            namespace: pod.namespace().unwrap_or_default(),
            uid: pod.uid().unwrap_or_default(),
        },
        ordinal,
        running: status.phase.as_deref() == Some("Running") && all_run,
        ready,
        trouble,
        terminating: pod.metadata.deletion_timestamp.is_some(),
        labelled: pod.labels().contains_key(cluster.labels().role_key()),
        marked: pod.annotations().get(ROLLING_UPDATE_REQUIRED).is_some_and(|mark| mark == "true"),
        stranger: (fingerprint == Fingerprint::default()).then(|| Box::new(stranger(pod))),
        fingerprint,
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        address: status.pod_ip,
        created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
    }
}

/// What is there of a pod that another operator made.
fn stranger(pod: &Pod) -> Stranger {
    let metadata = ObjectMeta { labels: pod.metadata.labels.clone(), ..ObjectMeta::default() };
    Stranger {
        template: PodTemplateSpec { metadata: Some(metadata), spec: pod.spec.clone() },
        revision: pod.labels().get(REVISION).cloned(),
    }
}

/// The label in which the StatefulSet's controller names the template that a pod was made from.
const REVISION: &str = "controller-revision-hash";

/// The StatefulSet's own account of itself.
pub(super) fn stateful_set_as_seen(set: &StatefulSet) -> ObservedStatefulSet {
    ObservedStatefulSet {
        generation: set.metadata.generation.unwrap_or_default(),
        observed_generation: set
            .status
            .as_ref()
            .and_then(|status| status.observed_generation)
            .unwrap_or_default(),
        replicas: set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default(),
    }
}

fn last_step(manifest: &Postgresql) -> Option<(String, Timestamp)> {
    let step = manifest.status.as_ref()?.last_step.as_ref()?;
    Some((step.what.clone(), step.at.parse().ok()?))
}

/// What the first member that answers says; those with a role are asked first.
async fn patroni_view(pods: &[ObservedPod], ctx: &Context) -> Option<PatroniView> {
    let mut running: Vec<&ObservedPod> = pods.iter().filter(|pod| pod.running && !pod.terminating).collect();
    running.sort_by_key(|pod| (!pod.labelled, !pod.ready));
    for pod in running {
        let Some(address) = &pod.address else { continue };
        let at = Address::of_pod(address.clone());
        match futures::try_join!(ctx.patroni.cluster(&at), ctx.patroni.config(&at)) {
            Ok((members, config)) => return Some(PatroniView { members, config }),
            Err(error) => {
                tracing::debug!(pod = pod.identity.name, error = told(&error), "Patroni did not answer")
            }
        }
    }
    None
}
