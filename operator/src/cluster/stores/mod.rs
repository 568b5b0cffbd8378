//! What the operator knows of Kubernetes: one watch per kind, a store behind each, and one list of clusters to look at.
//!
//! `observe` reads the stores instead of asking the API server; the controller takes from [`Changes`]. A change of a
//! child object becomes "look at cluster X" by its cluster-name label, because objects need not carry owner references.
//! A newcomer would not guess why events are compared before they count: Patroni renews its leader object in every
//! cluster every ten seconds, and writes each member's position into its pod. Those writes must wake nobody.
//!
//! ```text
//!  API server ── watch per kind ──► trim ──► changed in what matters? ──► Changes (a set) ──► controller
//!                                    └─► pack ─► store ─► unpack ◄── observe
//! ```

mod changes;
mod departed;
mod dropped;
mod follow;
mod kept;
mod role_sources;
mod scope;
mod store;
mod told;
mod trim;
mod unwatched;
mod written;

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Node, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ObjectMeta, PartialObjectMeta};
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::api::{Postgresql, PostgresqlStatus};
use shared::build::build;
use shared::cluster::Cluster;
use shared::plan::{self, Kind, ObjectName};

use crate::rights::{Rights, Way};
pub use changes::Changes;
pub use departed::Departed;
use dropped::Dropped;
use follow::{Follow, Owner, Watches};
pub(super) use kept::Clue;
use kept::Form;
pub use role_sources::{RoleSources, infrastructure_places};
pub use scope::Scope;
use scope::{Part, listing};
pub use store::Store;
use told::Told;
use unwatched::Asked;
use written::Written;

/// A manifest as it is watched: one that cannot be decoded is an error of its own and stops no watch.
pub type Manifest = DeserializeGuard<Postgresql>;

/// A cluster to look at.
pub type ClusterRef = ObjectRef<Manifest>;

/// A manifest that is there, by name: what the controller holds of each while it is not looked at.
pub type Present = PartialObjectMeta<Postgresql>;

/// A store's watch ended for good: the operator is stopping.
#[derive(Debug, thiserror::Error)]
#[error("a store was dropped before it was filled")]
pub struct StoreGone;

/// The stores. Cheap to clone; the watches end with the last clone.
#[derive(Clone)]
pub struct Stores {
    /// The manifests, status included.
    pub manifests: Store<Manifest>,
    /// Their names.
    pub present: reflector::Store<Present>,
    /// Postgres pods. Patroni's annotation `status` keeps role, state and pending restart, but no positions.
    pub pods: Store<Pod>,
    /// StatefulSets.
    pub stateful_sets: Store<StatefulSet>,
    /// The poolers, without their status.
    pub deployments: Store<Deployment>,
    /// The logical backups, without their status.
    pub cron_jobs: Store<CronJob>,
    /// Services, Patroni's and the poolers' among them.
    pub services: Store<Service>,
    /// Endpoints, Patroni's among them, without its heartbeat.
    pub endpoints: Store<Endpoints>,
    /// ConfigMaps, Patroni's among them, without its heartbeat: what they say stands in annotations.
    pub config_maps: Store<PartialObjectMeta<ConfigMap>>,
    /// Secrets with user names, passwords, rotation dates and poolers' user lists; other keys are dropped.
    pub secrets: Store<Secret>,
    /// Disruption budgets, without their status.
    pub disruption_budgets: Store<PodDisruptionBudget>,
    /// The clusters' volumes.
    pub volume_claims: Store<PersistentVolumeClaim>,
    /// The pods' service accounts, one per namespace.
    pub service_accounts: Store<PartialObjectMeta<ServiceAccount>>,
    /// Their role bindings.
    pub role_bindings: Store<PartialObjectMeta<RoleBinding>>,
    /// Nodes, as far as they say whether a cluster has to leave them. Empty where the operator may not read them.
    pub nodes: Store<Node>,
    /// Where roles come from besides manifests.
    pub role_sources: RoleSources,
    /// Manifests that went without our finalizer.
    pub departed: Departed,
    changes: Changes,
    watches: Arc<Watches>,
    written: Written,
    told: Told,
    dropped: Dropped,
    asked: Asked,
    rights: Rights,
}

impl Stores {
    /// Begins to watch. The stores are empty until [`wait_until_ready`](Self::wait_until_ready).
    pub fn start(client: &Client, scope: &Scope) -> (Self, Changes) {
        let changes = Changes::default();
        let mut watches = Watches::default();
        let departed = Departed::default();
        let (manifests, present) = follow_manifests(scope.api(client), &departed, &changes, &mut watches);
        let role_sources = RoleSources::start(client, scope, &manifests, &changes, &mut watches);
        let mut start = Start {
            client,
            scope,
            changes: &changes,
            manifests: &manifests,
            watches: &mut watches,
            asked: Asked::default(),
        };
        let pods = start.labelled(None, trim::pod);
        let stores = Self {
            nodes: start.nodes(&pods),
            pods,
            stateful_sets: start.labelled(Some(Kind::StatefulSet), trim::nothing_more),
            deployments: start.part(Some(Kind::Deployment), Part::Poolers, trim::deployment),
            cron_jobs: start.part(Some(Kind::CronJob), Part::Backups, trim::cron_job),
            services: start.part(Some(Kind::Service), Part::MembersAndPoolers, trim::nothing_more),
            endpoints: start.labelled(Some(Kind::Endpoints), trim::heartbeat),
            config_maps: start.labelled(None, trim::heartbeat),
            secrets: start.part(Some(Kind::Secret), Part::MembersAndPoolers, trim::secret),
            disruption_budgets: start.labelled(Some(Kind::PodDisruptionBudget), trim::disruption_budget),
            volume_claims: start.labelled(None, trim::nothing_more),
            service_accounts: start.named(Kind::ServiceAccount, &scope.service_account),
            role_bindings: start.named(Kind::RoleBinding, &scope.role_binding),
            manifests: manifests.clone(),
            present,
            role_sources,
            departed,
            changes: changes.clone(),
            watches: Arc::default(),
            written: Written::default(),
            told: Told::default(),
            dropped: Dropped::default(),
            asked: start.asked,
            rights: scope.rights.clone(),
        };
        (Self { watches: Arc::new(watches), ..stores }, changes)
    }

    /// Waits until every store holds what the API server holds; for those that need not exist only a little.
    pub async fn wait_until_ready(&self) -> Result<(), StoreGone> {
        let ready = futures::try_join!(
            self.manifests.wait_until_ready(),
            self.pods.wait_until_ready(),
            self.stateful_sets.wait_until_ready(),
            self.deployments.wait_until_ready(),
            self.cron_jobs.wait_until_ready(),
            self.services.wait_until_ready(),
            self.endpoints.wait_until_ready(),
            self.config_maps.wait_until_ready(),
            self.secrets.wait_until_ready(),
            self.disruption_budgets.wait_until_ready(),
            self.volume_claims.wait_until_ready(),
            self.service_accounts.wait_until_ready(),
            self.role_bindings.wait_until_ready(),
        );
        ready?;
        self.role_sources.wait_a_little().await;
        Ok(())
    }

    /// Has a cluster looked at.
    pub(super) fn look_at(&self, cluster: ClusterRef) {
        self.changes.push(cluster);
    }

    /// Whether we have written to a manifest since it was as it is here.
    pub(super) fn is_behind(&self, manifest: &Postgresql) -> bool {
        self.written.is_ahead_of(manifest)
    }

    /// Takes note of what the API server answered to a write to a manifest.
    pub(super) fn wrote<K: Resource>(&self, manifest: &K) {
        self.written.note(manifest);
    }

    /// Takes note of what the API server answered to a write of a StatefulSet.
    pub(super) fn wrote_set(&self, mut set: StatefulSet) {
        trim::nothing_more(&mut set);
        self.stateful_sets.foresee(&set, Clue::cluster(&set.name_any())); // it is called as its cluster
    }

    /// Takes note that a manifest's status was written.
    pub(super) fn told(&self, uid: &str, written: &PostgresqlStatus, now: Timestamp) {
        self.told.note(uid, written, now);
    }

    /// Until when what may wait in a manifest's status is not written; `None` where it may be now.
    pub(super) fn rests_until(&self, uid: &str, now: Timestamp) -> Option<Timestamp> {
        self.told.rests_until(uid, now)
    }

    /// The manifest with the whole of the status that we wrote, where the installed definition drops parts of it.
    pub(super) fn completed<'a>(&self, manifest: &'a Postgresql) -> Cow<'a, Postgresql> {
        self.dropped.completed(manifest)
    }

    /// Takes note of what became of a status that was written. True when a part was dropped for the first time.
    pub(super) fn dropped(&self, uid: &str, before: &PostgresqlStatus, patch: &Value, kept: &Value) -> bool {
        self.dropped.note(uid, before, patch, kept)
    }

    /// Whether a part of a manifest's status is known here only.
    pub(super) fn holds_part_of(&self, manifest: &Postgresql) -> bool {
        self.dropped.has(manifest)
    }

    /// Forgets what is kept of a manifest that is gone.
    pub(super) fn forget(&self, uid: &str) {
        self.dropped.forget(uid);
    }

    /// What the operator may do.
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    /// Looks for the objects of a cluster whose kinds may neither be watched nor listed. Costs nothing otherwise.
    pub(super) async fn ask_for(&self, cluster: &Cluster, client: &Client) {
        if self.asked.is_empty() {
            return;
        }
        let objects = plan::objects(&build(cluster));
        let names: Vec<ObjectName> = objects.into_iter().map(|(name, _)| name).collect();
        self.asked.ask(&names, client).await;
    }

    /// How many watches are running.
    pub fn watches(&self) -> usize {
        self.watches.len()
    }
}

/// Watches the manifests.
fn follow_manifests(
    api: Api<Manifest>,
    departed: &Departed,
    changes: &Changes,
    watches: &mut Watches,
) -> (Store<Manifest>, reflector::Store<Present>) {
    let mut names = Writer::new(());
    let (present, departed) = (names.as_reader(), departed.clone());
    let stream = watcher(api, listing()).default_backoff();
    let store =
        Follow::new(Form::guarded(), trim::manifest, trim::manifest_digest, Owner::Itself, changes.clone())
            .on_departure(move |manifest| departed.note(manifest))
            .beside(move |event| names.apply_watcher_event(&by_name(event)))
            .spawn(stream, watches);
    (store, present)
}

/// The same event, of a name.
fn by_name(event: &Event<Manifest>) -> Event<Present> {
    let name = |manifest: &Manifest| {
        let (name, namespace) = (Some(manifest.name_any()), manifest.namespace());
        Present { metadata: ObjectMeta { name, namespace, ..ObjectMeta::default() }, ..Present::default() }
    };
    match event {
        Event::Apply(manifest) => Event::Apply(name(manifest)),
        Event::Delete(manifest) => Event::Delete(name(manifest)),
        Event::Init => Event::Init,
        Event::InitApply(manifest) => Event::InitApply(name(manifest)),
        Event::InitDone => Event::InitDone,
    }
}

/// What every watch of child objects is started with.
struct Start<'a> {
    client: &'a Client,
    scope: &'a Scope,
    changes: &'a Changes,
    manifests: &'a Store<Manifest>,
    watches: &'a mut Watches,
    asked: Asked,
}

impl Start<'_> {
    /// Watches the objects that carry the labels of members.
    fn labelled<K>(&mut self, kind: Option<Kind>, trim: fn(&mut K)) -> Store<K>
    where
        K: follow::Keepable + DeserializeOwned + Debug + Serialize,
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        self.part(kind, Part::Members, trim)
    }

    /// Watches the objects that carry the labels of a part of the clusters.
    fn part<K>(&mut self, kind: Option<Kind>, part: Part, trim: fn(&mut K)) -> Store<K>
    where
        K: follow::Keepable + DeserializeOwned + Debug + Serialize,
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let owner = Owner::Labelled(self.scope.cluster_name_label.clone(), self.manifests.clone());
        self.follow(kind, self.scope.of(part), trim, owner)
    }

    /// Watches the nodes, wherever the clusters are. Nobody waits for this store: where the operator may not read nodes,
    /// clusters are looked after without.
    fn nodes(&mut self, pods: &Store<Pod>) -> Store<Node> {
        let owner = Owner::OnNode(self.scope.cluster_name_label.clone(), pods.clone());
        let stream = watcher(Api::all(self.client.clone()), listing()).default_backoff();
        // Every look reads all of them.
        Follow::new(Form::whole(), trim::node, trim::digest, owner, self.changes.clone())
            .spawn(stream, self.watches)
    }

    /// Watches the objects of one name, in all watched namespaces.
    fn named<K>(&mut self, kind: Kind, name: &str) -> Store<K>
    where
        K: follow::Keepable + DeserializeOwned + Debug + Serialize,
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let config = listing().fields(&format!("metadata.name={name}"));
        self.follow(Some(kind), config, trim::nothing_more, Owner::Namespace(self.manifests.clone()))
    }

    /// Follows a watch, or what stands in for it. What may only be read by name is asked for where it has a name that a
    /// look knows; else its store stays empty.
    fn follow<K>(
        &mut self,
        kind: Option<Kind>,
        config: watcher::Config,
        trim: fn(&mut K),
        owner: Owner,
    ) -> Store<K>
    where
        K: follow::Keepable + DeserializeOwned + Debug + Serialize,
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let follow = Follow::new(Form::json(), trim, trim::digest, owner, self.changes.clone());
        let api = self.scope.api(self.client);
        let stream = match (self.scope.rights.way::<K>(), kind) {
            (Way::Watch, _) => watcher(api, config).default_backoff().boxed(),
            (Way::List, _) => unwatched::listed(api, config),
            (Way::Get, Some(kind)) => return self.asked.store(kind, follow),
            (Way::Get | Way::Never, _) => unwatched::nothing(),
        };
        follow.spawn(stream, self.watches)
    }
}

#[cfg(test)]
mod tests;
